/* SPDX-License-Identifier: MIT */
/*
 * Owns: the grace period: when may memory be reused that others might still look at without a lock?
 *
 * Each CPU shows in epoch_here the epoch in which it last entered the kernel; 0 while it is in user mode or
 * idle. Whoever has unlinked something takes a tag by epoch_retire(). What it unlinked can be seen only by
 * CPUs that were in the kernel then, that is, whose epoch_here is neither 0 nor above the tag. So pointers
 * found without a lock are good until the thread goes to user mode or sleeps, not beyond.
 *
 * Why it is right: entering is an xchg, a full barrier, between the look at epoch_now and the first look at
 * shared memory; retiring is an atomic addition between the unlinking and the first look at epoch_here. So
 * either the one who retires sees the other's epoch_here, or the other sees the unlinking. Leaving is a
 * plain store, which x86 makes visible after all loads before it. With one CPU nothing needs waiting for.
 * Callers: arch/entry.S and kernel/sched.c enter and leave; mm/ retires.
 */
#pragma once
#include "kernel/base/percpu.h"

extern u64 epoch_now;			/* starts at 1 */
DECLARE_PERCPU(u64, epoch_here);

/* This CPU begins to look at shared memory; or, in the kernel already, lets go of all it has found so far.
 * A full barrier. */
static inline void epoch_enter(void)
{
	u64 e = READ_ONCE(epoch_now);

	__asm__ volatile("xchgq %0, %%gs:%1" : "+r"(e), "+m"(epoch_here) :: "memory");
}

/* This CPU looks at no shared memory until epoch_enter. */
static inline void epoch_leave(void)
{
	__atomic_store_n(this_cpu_ptr(epoch_here), 0, __ATOMIC_RELEASE);
}

/* A tag for what the caller has unlinked by now; what carries a smaller or equal tag may be freed once
 * epoch_passed() says so. Any lock may be held. */
u64 epoch_retire(void);

/* Has every other CPU left the kernel, or entered it anew, since TAG was given? (The caller knows what it
 * holds itself.) Never waits. */
bool epoch_passed(u64 tag);
