/* SPDX-License-Identifier: MIT */
/*
 * Owns: which thread runs: a queue of ready threads per CPU, round robin in slices of 4 ms, the switch.
 *
 * A thread is queued on its own CPU (thread->cpu), and only that CPU takes from its queue. So a thread that
 * is woken by another CPU while still leaving its own stack is not resumed before it has left. There is no
 * tick: the timer is set to the end of the slice only while somebody else is ready.
 * Locks: thread->sleep_lock, then runqueue.lock (both RANK_SCHED, in this order). Callers: whoever sleeps
 * or wakes; trap.c; kernel/timer.c.
 */
#include "arch/cpu.h"
#include "arch/machine.h"
#include "kernel/base/errno.h"
#include "kernel/base/print.h"
#include "kernel/process.h"
#include "kernel/thread.h"
#include "mm/tlb.h"



struct runqueue {
	struct spinlock lock;
	struct thread_list ready;
	u32 nr_ready;
	struct thread *dead;		/* left by sched_exit, freed by the next thread to run */
};

static DEFINE_PERCPU(struct runqueue, runqueue) = {
	.lock = SPINLOCK(RANK_SCHED), .ready = TAILQ_HEAD_INITIALIZER(runqueue.ready),
};

/* What runs when nothing does; on the boot CPU from the first instruction on. */
static DEFINE_PERCPU(struct thread, idle_thread) = {
	.process = &kernel_process, .comm = "idle", .state = THREAD_RUNNING, .sleep_lock = SPINLOCK(RANK_SCHED),
};
DEFINE_PERCPU(struct thread *, current_thread) = &idle_thread;
DEFINE_PERCPU(u32, thread_work);

static void reap(struct runqueue *rq)
{
	struct thread *t = rq->dead;

	rq->dead = NULL;
	thread_free(t);
}

static void switch_to(struct runqueue *rq, struct thread *prev, struct thread *next)
{
	u64 now = clock_ns();

	prev->user_ns += now - prev->run_start;
	next->run_start = now;
	next->slice_end = now + SCHED_SLICE_NS;
	next->state = THREAD_RUNNING;
	if (rq->nr_ready)
		timer_need(next->slice_end);
	count(switches);
	this_cpu(thread_work) = next->sig.work ? WORK_SIGNAL : 0;
	this_cpu(current_thread) = next;
	if (prev->domain != next->domain)
		domain_switch(prev->domain, next->domain);
	if (prev->space != next->space)
		tlb_switch_space(next->space);
	context_switch(&prev->context, &next->context);
	sched_switched();
}

/* Runs on the stack of a thread that has just got the CPU, before anything else. */
void sched_switched(void)
{
	struct runqueue *rq = this_cpu_ptr(runqueue);

	if (unlikely(rq->dead))
		reap(rq);
}

/* Gives the CPU to the next ready thread, or the idle one. The running one's state says what it is now; it
 * returns when somebody has made it ready and its turn has come (at once, if that was itself). */
static void schedule(void)
{
	struct runqueue *rq = this_cpu_ptr(runqueue);
	struct thread *prev = current, *next;

	spin_lock(&rq->lock);
	next = TAILQ_FIRST(&rq->ready);
	if (next) {
		TAILQ_REMOVE(&rq->ready, next, run_link);
		rq->nr_ready--;
	}
	spin_unlock(&rq->lock);
	if (!next)
		next = this_cpu_ptr(idle_thread);
	if (next == prev)
		prev->state = THREAD_RUNNING;
	else
		switch_to(rq, prev, next);
}

/* Under T's sleep_lock, or when nobody else knows T yet. */
static void enqueue(struct thread *t)
{
	struct runqueue *rq = cpu_ptr(runqueue, t->cpu);
	bool first;

	spin_lock_nested(&rq->lock);
	t->state = THREAD_READY;
	TAILQ_INSERT_TAIL(&rq->ready, t, run_link);
	first = rq->nr_ready++ == 0;
	spin_unlock(&rq->lock);
	if (!first)
		return;
	if (t->cpu != this_cpu(cpu_number)) {
		ipi_resched(t->cpu);
	} else if (current != this_cpu_ptr(idle_thread)) {
		current->slice_end = clock_ns() + SCHED_SLICE_NS;
		timer_need(current->slice_end);
	}
}

void sched_ready(struct thread *t)
{
	t->cpu = this_cpu(cpu_number);
	enqueue(t);
}

/* T need not sleep on for what it waits for. */
void thread_wake(struct thread *t)
{
	spin_lock(&t->sleep_lock);
	t->woken = true;
	if (t->state == THREAD_SLEEPING)
		enqueue(t);
	spin_unlock(&t->sleep_lock);
}

void thread_interrupt(struct thread *t)
{
	spin_lock(&t->sleep_lock);
	t->poked = true;
	if (t->state == THREAD_SLEEPING && t->how != SLEEP_UNINTERRUPTIBLE)
		enqueue(t);
	spin_unlock(&t->sleep_lock);
}

static void sleep_over(struct timer *timer)
{
	thread_wake(container_of(timer, struct thread, sleep_timer));
}

/* Does something pending end a sleep of kind HOW? */
static bool sleep_broken(const struct thread *t, enum sleep_flag how)
{
	if (how == SLEEP_KILLABLE)
		return t->exiting;
	return signal_is_pending(t);
}

/* Sleeps until woken or, by HOW, broken off: 0 or -EINTR. A signal that comes after sleep_broken has
 * looked finds the thread asleep, or sets `poked`. Called and left with sleep_lock. */
static int sleep_locked(struct thread *t, enum sleep_flag how)
{
	while (!t->woken) {
		if (how != SLEEP_UNINTERRUPTIBLE) {
			t->poked = false;
			spin_unlock(&t->sleep_lock);
			bool broken = sleep_broken(t, how);
			spin_lock(&t->sleep_lock);
			if (broken)
				return -EINTR;
			if (t->woken || t->poked)
				continue;
		}
		t->how = how;
		t->state = THREAD_SLEEPING;
		spin_unlock(&t->sleep_lock);
		schedule();
		spin_lock(&t->sleep_lock);
	}
	return 0;
}

int thread_sleep(u64 deadline, enum sleep_flag how)
{
	struct thread *t = current;
	bool timed = deadline != SLEEP_FOREVER, over = timed && clock_ns() >= deadline;
	int result;

	if (timed && !over)
		timer_start(&t->sleep_timer, deadline, sleep_over);
	spin_lock(&t->sleep_lock);
	if (over)
		result = t->woken ? 0 : -ETIMEDOUT;
	else
		result = sleep_locked(t, how);
	t->woken = false;
	spin_unlock(&t->sleep_lock);
	if (timed && !over && !timer_cancel(&t->sleep_timer) && !result)
		result = -ETIMEDOUT;
	return result;
}

void sched_yield(void)
{
	struct thread *t = current;

	if (!this_cpu_ptr(runqueue)->nr_ready)
		return;
	spin_lock(&t->sleep_lock);
	enqueue(t);
	spin_unlock(&t->sleep_lock);
	schedule();
}

void sched_stop_self(void)
{
	struct thread *t = current;

	spin_lock(&t->sleep_lock);
	if (t->process->stopped && !t->exiting) {
		t->state = THREAD_STOPPED;
		spin_unlock(&t->sleep_lock);
		schedule();
	} else {
		spin_unlock(&t->sleep_lock);
	}
}

void thread_continue(struct thread *t)
{
	spin_lock(&t->sleep_lock);
	if (t->state == THREAD_STOPPED)
		enqueue(t);
	spin_unlock(&t->sleep_lock);
}

void sched_exit(void)
{
	struct thread *t = current;

	t->state = THREAD_DEAD;
	this_cpu_ptr(runqueue)->dead = t;
	schedule();
	panic("a dead thread runs");
}

void sched_tick(void)
{
	struct thread *t = current;

	if (!this_cpu_ptr(runqueue)->nr_ready || t == this_cpu_ptr(idle_thread))
		return;
	if (clock_ns() >= t->slice_end)
		this_cpu(thread_work) |= WORK_RESCHED;
	else
		timer_need(t->slice_end);
}

/* Threads waiting for this CPU; more of them after an interrupt than before: look at once. */
u32 sched_nr_ready(void)
{
	return this_cpu_ptr(runqueue)->nr_ready;
}

u64 sched_runnable(void)
{
	u64 n = 0;

	for (u32 cpu = 0; cpu < nr_cpus; cpu++)
		n += cpu_ptr(runqueue, cpu)->nr_ready + (*cpu_ptr(current_thread, cpu) != cpu_ptr(idle_thread, cpu));
	return n;
}

u64 thread_cpu_ns(const struct thread *t)
{
	return t->user_ns + t->kernel_ns + (t->state == THREAD_RUNNING ? clock_ns() - t->run_start : 0);
}

void sched_start(void)
{
	struct runqueue *rq = this_cpu_ptr(runqueue);

	if (this_cpu(cpu_number)) {	/* its copies of these point into the boot CPU's */
		TAILQ_INIT(&rq->ready);
		this_cpu(current_thread) = this_cpu_ptr(idle_thread);
		timers_init_cpu();
	}
	this_cpu_ptr(idle_thread)->cpu = this_cpu(cpu_number);
	for (;;) {
		if (rq->nr_ready)
			schedule();
		else
			cpu_idle();
	}
}
