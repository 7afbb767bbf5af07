/* SPDX-License-Identifier: MIT */
/*
 * Owns: timers: a list per CPU, ordered by deadline, and what the CPU's timer interrupt is set to.
 *
 * A timer fires on the CPU that started it, from IRQ_TIMER, without a lock. Its owner's lock keeps two that
 * start it apart; FN may start it again. timer_start does not wait for FN (which may want a lock that
 * the caller has), so for a moment FN may run once more than asked for; timer_cancel does wait. The hardware is only ever set
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

/* Takes T off the queue that it is in; false: it is in none. */
static bool take_off(struct timer *t)
{
	bool was;

	for (;;) {
		u32 cpu = READ_ONCE(t->cpu);
		struct timer_queue *q = cpu_ptr(timer_queue, cpu);

		spin_lock(&q->lock);
		if (cpu == t->cpu) {
			was = t->armed;
			if (was)
				TAILQ_REMOVE(&q->list, t, link);
			t->armed = false;
			spin_unlock(&q->lock);
			return was;
		}
		spin_unlock(&q->lock);
	}
}

void timer_start(struct timer *t, u64 deadline, void (*fn)(struct timer *))
{
	struct timer_queue *q = this_cpu_ptr(timer_queue);
	struct timer *before;

	if (READ_ONCE(t->armed))
		take_off(t);
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

/* When it returns, T is not armed, even if FN does that, and FN is not running on another CPU: the caller
 * holds no lock that FN takes. */
bool timer_cancel(struct timer *t)
{
	bool was = take_off(t);

	if (nr_cpus == 1)
		return was;
	do {
		for (u32 cpu = 0; cpu < nr_cpus; cpu++)
			while (cpu != this_cpu(cpu_number) && READ_ONCE(cpu_ptr(timer_queue, cpu)->running) == t)
				arch_spin_wait();
	} while (READ_ONCE(t->armed) && take_off(t));
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
