/* SPDX-License-Identifier: MIT */
/*
 * Owns: timers: a list per CPU, ordered by deadline, and what the CPU's timer interrupt is set to.
 *
 * A timer fires on the CPU that started it, from IRQ_TIMER, without a lock. The hardware is only ever set
 * earlier, by timer_need; when it goes off early, nothing is due and it is set anew. Lock:
 * timer_queue.lock (RANK_TIMER) for the list, `armed` and `cpu` of its timers.
 */
#include "arch/cpu.h"
#include "arch/machine.h"
#include "kernel/thread.h"

#define NEVER (~0UL)

TAILQ_HEAD(timer_list, timer);

struct timer_queue {
	struct spinlock lock;
	struct timer_list list;
	u64 hardware;			/* when the next interrupt comes */
	struct timer *running;		/* its FN is being called */
};

static DEFINE_PERCPU(struct timer_queue, timer_queue) = {
	.lock = SPINLOCK(RANK_TIMER), .list = TAILQ_HEAD_INITIALIZER(timer_queue.list), .hardware = NEVER,
};

void timers_init_cpu(u32 cpu)
{
	TAILQ_INIT(&cpu_ptr(timer_queue, cpu)->list);
}

void timer_need(u64 deadline)
{
	struct timer_queue *q = this_cpu_ptr(timer_queue);

	if (deadline < q->hardware) {
		q->hardware = deadline;
		timer_arm(deadline);
	}
}

void timer_start(struct timer *t, u64 deadline, void (*fn)(struct timer *))
{
	struct timer_queue *q = this_cpu_ptr(timer_queue);
	struct timer *before;

	timer_cancel(t);
	spin_lock(&q->lock);
	t->deadline = deadline;
	t->fn = fn;
	t->cpu = this_cpu(cpu_number);
	t->armed = true;
	before = TAILQ_LAST(&q->list, timer_list);
	while (before && before->deadline > deadline)
		before = TAILQ_PREV(before, timer_list, link);
	if (before)
		TAILQ_INSERT_AFTER(&q->list, before, t, link);
	else
		TAILQ_INSERT_HEAD(&q->list, t, link);
	spin_unlock(&q->lock);
	if (!before)
		timer_need(deadline);
}

/* When it returns, FN is not running on another CPU either: the caller holds no lock that FN takes. */
bool timer_cancel(struct timer *t)
{
	struct timer_queue *q = cpu_ptr(timer_queue, t->cpu);
	bool was;

	spin_lock(&q->lock);
	was = t->armed;
	if (was)
		TAILQ_REMOVE(&q->list, t, link);
	t->armed = false;
	spin_unlock(&q->lock);
	while (!was && t->cpu != this_cpu(cpu_number) && READ_ONCE(q->running) == t)
		arch_spin_wait();
	return was;
}

void timers_run(void)
{
	struct timer_queue *q = this_cpu_ptr(timer_queue);
	struct timer *t;

	q->hardware = NEVER;
	spin_lock(&q->lock);
	while ((t = TAILQ_FIRST(&q->list)) && t->deadline <= clock_ns()) {
		TAILQ_REMOVE(&q->list, t, link);
		t->armed = false;
		q->running = t;
		spin_unlock(&q->lock);
		t->fn(t);
		spin_lock(&q->lock);
		q->running = NULL;
	}
	spin_unlock(&q->lock);
	if (t)
		timer_need(t->deadline);
}
