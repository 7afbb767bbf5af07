/* SPDX-License-Identifier: MIT */
/*
 * Owns: mutexes: locks whose holder may sleep.
 *
 * `owner` is taken by compare-and-swap; whoever fails queues itself first and tries again, and the one who
 * unlocks clears the owner first and looks at the queue after: one of the two sees the other.
 */
#include "kernel/base/print.h"
#include "kernel/sched.h"
#include "kernel/thread.h"

void mutex_init(struct mutex *m)
{
	m->owner = NULL;
	waitq_init(&m->waiters);
}

static bool try_take(struct mutex *m)
{
	struct thread *nobody = NULL;

	return __atomic_compare_exchange_n(&m->owner, &nobody, current, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
}

static __noinline void lock_slow(struct mutex *m)
{
	struct waiter w;
	bool taken;

	BUG_ON(m->owner == current);
	do {
		waitq_add(&m->waiters, &w);
		taken = try_take(m);
		if (!taken)
			thread_sleep(SLEEP_FOREVER, SLEEP_UNINTERRUPTIBLE);
		waitq_remove(&w);
	} while (!taken);
	if (current->nr_waiters)	/* poll's: what woke them may have been taken for the mutex's */
		current->woken = true;
}

void mutex_lock(struct mutex *m)
{
	if (unlikely(!try_take(m)))
		lock_slow(m);
}

void mutex_unlock(struct mutex *m)
{
	__atomic_store_n(&m->owner, NULL, __ATOMIC_SEQ_CST);
	if (unlikely(!TAILQ_EMPTY(&m->waiters.waiters)))
		waitq_wake_one(&m->waiters);
}
