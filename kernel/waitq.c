/* SPDX-License-Identifier: MIT */
/*
 * Owns: wait queues (kernel/sched.h): who waits for what, and the waking.
 *
 * A waiter is on its queue until it is woken or taken off; `queue` says which. A thread may have several
 * (poll, and a mutex meanwhile): waking any sets thread->woken, which stays set while the thread has waiters
 * that it has not looked at, so that a nested sleep cannot swallow it. Lock: waitq.lock (RANK_WAITQ).
 */
#include "arch/cpu.h"
#include "kernel/base/errno.h"
#include "kernel/process.h"
#include "kernel/thread.h"

void waitq_init(struct waitq *q)
{
	spin_init(&q->lock, RANK_WAITQ);
	TAILQ_INIT(&q->waiters);
}

void waitq_add(struct waitq *q, struct waiter *w)
{
	w->thread = current;
	w->thread->nr_waiters++;
	w->home = q;
	spin_lock(&q->lock);
	w->queue = q;
	TAILQ_INSERT_TAIL(&q->waiters, w, link);
	spin_unlock(&q->lock);
}

/* Takes the lock even when W has been woken: the waker may not have finished with its thread. */
void waitq_remove(struct waiter *w)
{
	struct waitq *q = w->home;

	spin_lock(&q->lock);
	if (w->queue)
		TAILQ_REMOVE(&q->waiters, w, link);
	w->queue = NULL;
	spin_unlock(&q->lock);
	if (--w->thread->nr_waiters == 0)
		w->thread->woken = false;
}

int waitq_sleep(struct waitq *q, struct spinlock *held, u64 deadline, enum sleep_flag how)
{
	struct waiter w;
	bool other = false;
	int result;

	waitq_add(q, &w);
	if (held)
		spin_unlock(held);
	for (;;) {
		result = thread_sleep(deadline, how);
		if (!READ_ONCE(w.queue))
			result = 0;
		else if (!result)
			other = true;		/* another waiter of this thread */
		if (result || !READ_ONCE(w.queue))
			break;
	}
	if (other)
		current->woken = true;
	waitq_remove(&w);
	if (held)
		spin_lock(held);
	return result;
}

/* Takes the first waiter off Q (locked) and wakes it. False: there is none. */
static bool wake_first(struct waitq *q)
{
	struct waiter *w = TAILQ_FIRST(&q->waiters);

	if (!w)
		return false;
	TAILQ_REMOVE(&q->waiters, w, link);
	WRITE_ONCE(w->queue, NULL);
	thread_wake(w->thread);
	return true;
}

void waitq_wake_one(struct waitq *q)
{
	spin_lock(&q->lock);
	q->wakes++;
	wake_first(q);
	spin_unlock(&q->lock);
}

void waitq_wake_all(struct waitq *q)
{
	spin_lock(&q->lock);
	q->wakes++;
	while (wake_first(q))
		;
	spin_unlock(&q->lock);
}

bool sched_pause(void)
{
	cpu_irq_window();
	if (this_cpu(thread_work) & WORK_RESCHED)
		sched_yield();
	return READ_ONCE(current->exiting) && signal_is_pending(current);
}
