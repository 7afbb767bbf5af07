/* SPDX-License-Identifier: MIT */
/*
 * Owns: spin locks. The kernel runs with interrupts off and is not preempted, so a lock needs no
 * interrupt state; whoever waits for one serves TLB shootdowns meanwhile (arch_spin_wait), so a CPU
 * that holds a lock may wait for all others to flush.
 *
 * A lock has a rank. Under debug_check each CPU keeps the locks it holds, and taking one whose rank is
 * not above the last one's is a panic: this is the kernel's one statement of lock order. Two locks
 * of one rank (tables, parent before child) are taken with spin_lock_nested.
 */
#pragma once
#include "kernel/base/percpu.h"

enum lock_rank {		/* outer first */
	RANK_NONE,		/* not checked */
	RANK_PROCESS,		/* process tree, pids */
	RANK_FILES,		/* descriptor tables */
	RANK_PIPE,		/* pipes, ttys, event counters */
	RANK_SPACES,		/* the list of address spaces */
	RANK_SPACE,		/* regions of an address space */
	RANK_CLEAN,		/* which page caches can lose pages */
	RANK_MAPPINGS,		/* which regions map a page cache */
	RANK_CACHE,		/* page cache: index to frame */
	RANK_VNODE,		/* names of files: /proc/PID/maps asks under the space's lock */
	RANK_TABLE,		/* one page table; parent before child */
	RANK_SIGNAL,		/* pending signals */
	RANK_TIMER,		/* timer queues */
	RANK_FUTEX,		/* futex buckets */
	RANK_WAITQ,		/* wait queues */
	RANK_SCHED,		/* run queues */
	RANK_KMEM,		/* object caches */
	RANK_FRAME,		/* free lists of frames */
	RANK_PRINT,		/* the console */
};

struct spinlock {
	u16 holder;			/* 0: free; else CPU number + 1 */
	u8 rank;
	u8 unused;
};
#define SPINLOCK(r) { .holder = 0, .rank = (r) }

void spin_lock_slow(struct spinlock *l);	/* waits; counts lock_contended */
extern bool lock_debug;				/* check order and ownership */
void lock_debug_take(struct spinlock *l, bool nested);
void lock_debug_drop(struct spinlock *l);
void lock_debug_none(void);			/* the thread may sleep here: panics if its CPU holds a lock */

/* The host tests' fake machine lets others go first here. */
#ifndef lock_hook_take
#define lock_hook_take() ((void)0)
#endif

static inline void spin_init(struct spinlock *l, enum lock_rank rank)
{
	*l = (struct spinlock)SPINLOCK(rank);
}

static inline bool spin_trylock(struct spinlock *l)
{
	u16 none = 0;
	return __atomic_compare_exchange_n(&l->holder, &none, (u16)(this_cpu(cpu_number) + 1), false,
					   __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

static inline void spin_lock_kind(struct spinlock *l, bool nested)
{
	if (unlikely(lock_debug))
		lock_debug_take(l, nested);
	if (unlikely(!spin_trylock(l)))
		spin_lock_slow(l);
}

/* Takes L; the caller holds nothing of L's rank or beyond. */
static inline void spin_lock(struct spinlock *l)
{
	spin_lock_kind(l, false);
}

/* Takes L, of the same rank as the last lock taken; the caller has an order of its own (say which). */
static inline void spin_lock_nested(struct spinlock *l)
{
	spin_lock_kind(l, true);
}

static inline void spin_unlock(struct spinlock *l)
{
	if (unlikely(lock_debug))
		lock_debug_drop(l);
	__atomic_store_n(&l->holder, 0, __ATOMIC_RELEASE);
}

static inline bool spin_held(const struct spinlock *l)
{
	return __atomic_load_n(&l->holder, __ATOMIC_RELAXED) == this_cpu(cpu_number) + 1;
}
