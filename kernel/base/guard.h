/* SPDX-License-Identifier: MIT */
/*
 * Owns: locks that are let go of by themselves, and holds that are dropped so, at the end of the block that they
 * were taken in, whichever way it is left: one less thing to forget on the way out. Declared first, dropped last.
 *
 *	GUARD(process_lock);			takes the spin lock; nothing that sleeps comes after it in the block
 *	GUARD_UNLESS_HELD(process_lock);	the same, but leaves it alone if this CPU has it already
 *	HELD(file) f = fd_get(fd);		file_put(f) at the end, unless it is NULL then
 */
#pragma once
#include "kernel/base/lock.h"

static inline struct spinlock *guard_begin(struct spinlock *l)
{
	spin_lock(l);
	return l;
}

static inline struct spinlock *guard_begin_unless_held(struct spinlock *l)
{
	return spin_held(l) ? NULL : guard_begin(l);
}

static inline void guard_end(struct spinlock **l)
{
	if (*l)
		spin_unlock(*l);
}

#define GUARD_NAME(line) guard_##line
#define GUARD_AT(begin, lock, line)                                                                                \
	struct spinlock *GUARD_NAME(line) __unused __attribute__((cleanup(guard_end))) = begin(&(lock))
#define GUARD(lock) GUARD_AT(guard_begin, lock, __LINE__)
#define GUARD_UNLESS_HELD(lock) GUARD_AT(guard_begin_unless_held, lock, __LINE__)

/* TYPE is a struct that has TYPE_put(). */
#define HELD(type) __attribute__((cleanup(type##_held_end))) struct type *
#define DEFINE_HELD(type)                                                                                          \
	static inline void type##_held_end(struct type **p)                                                        \
	{                                                                                                          \
		if (*p)                                                                                            \
			type##_put(*p);                                                                            \
	}
