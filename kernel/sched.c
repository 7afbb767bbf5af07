/* SPDX-License-Identifier: MIT */
/*
 * Owns: which thread runs: a queue of ready threads per CPU, round robin in slices of 4 ms, the switch.
 *
 * Who is woken goes to its last CPU if that idles, else to another idle one, else to its last one's queue;
 * a CPU with nothing to do takes from others' queues before it halts. on_cpu is set from before the switch
 * to a thread until the next one has left its stack: meanwhile it is queued at its own CPU only, and
 * nobody takes it from there. There is no tick: the timer is set to the end of the slice only while
 * somebody else is ready.
 *
 * Nobody is forgotten: a CPU sets its bit in idle_cpus, then looks at all queues, then halts; who queues a
 * thread that another CPU could run looks at idle_cpus afterwards (place, or share when a thread that had
 * to wait for its stack may go), clears one bit and interrupts that CPU.
 * Locks: thread->sleep_lock, then runqueue.lock (both RANK_SCHED, in this order). Callers: whoever sleeps
 * or wakes; trap.c; kernel/timer.c.
 */
#include "arch/cpu.h"
#include "arch/machine.h"
#include "kernel/base/epoch.h"
#include "kernel/base/errno.h"
#include "kernel/base/print.h"
#include "kernel/process.h"
#include "kernel/thread.h"
#include "mm/tlb.h"

struct runqueue {
	struct spinlock lock;
	struct thread_list ready;
	u32 nr_ready;
	/* this CPU's own: */
	struct thread *left;		/* whose stack it has just left, or is about to */
	struct thread *dead;		/* left by sched_exit, freed by the next thread to run */
	struct thread *moving;		/* ready, to be queued elsewhere once its stack is left */
};

static DEFINE_PERCPU(struct runqueue, runqueue) = {
	.lock = SPINLOCK(RANK_SCHED), .ready = TAILQ_HEAD_INITIALIZER(runqueue.ready),
};

/* What runs when nothing does; on the boot CPU from the first instruction on. */
static DEFINE_PERCPU(struct thread, idle_thread) = {
	.process = &kernel_process, .comm = "idle", .state = THREAD_RUNNING, .sleep_lock = SPINLOCK(RANK_SCHED),
	.affinity = ~0UL, .on_cpu = true,
};
DEFINE_PERCPU(struct thread *, current_thread) = &idle_thread;
DEFINE_PERCPU(u32, thread_work);

static u64 idle_cpus;			/* bit per CPU that halts, or is about to, and has not been called: atomic */

static bool may_run_on(const struct thread *t, u32 cpu)
{
	return READ_ONCE(t->affinity) >> cpu & 1;
}

/* Has CPU, which idles, called by nobody else? */
static bool claim_idle(u32 cpu)
{
	u64 bit = 1UL << cpu;

	return __atomic_fetch_and(&idle_cpus, ~bit, __ATOMIC_SEQ_CST) & bit;
}

/* The CPU at whose queue T, which gets ready, is to wait. Under T's sleep_lock. */
static __noinline u32 place_on_many(struct thread *t)
{
	u64 idle, allowed = t->affinity & ~0UL >> (64 - nr_cpus);

	if (__atomic_load_n(&t->on_cpu, __ATOMIC_ACQUIRE))
		return t->cpu;
	while ((idle = __atomic_load_n(&idle_cpus, __ATOMIC_SEQ_CST) & allowed)) {
		u32 cpu = idle >> t->cpu & 1 ? t->cpu : (u32)__builtin_ctzl(idle);

		if (claim_idle(cpu))
			return cpu;
	}
	return allowed >> t->cpu & 1 ? t->cpu : (u32)__builtin_ctzl(allowed);
}

static u32 place(struct thread *t)
{
	return nr_cpus == 1 ? 0 : place_on_many(t);
}

/* Under T's sleep_lock, or when nobody else knows T yet. */
static void enqueue(struct thread *t)
{
	u32 cpu = place(t);
	struct runqueue *rq = cpu_ptr(runqueue, cpu);
	bool first;

	spin_lock_nested(&rq->lock);
	t->cpu = cpu;
	t->state = THREAD_READY;
	TAILQ_INSERT_TAIL(&rq->ready, t, run_link);
	first = rq->nr_ready++ == 0;
	spin_unlock(&rq->lock);
	if (!first)
		return;
	if (cpu != this_cpu(cpu_number)) {
		ipi_resched(cpu);
	} else if (current != this_cpu_ptr(idle_thread)) {
		current->slice_end = clock_ns() + SCHED_SLICE_NS;
		timer_need(current->slice_end);
	}
}

/* Calls an idle CPU that may take the first of RQ, this CPU's. */
static __noinline void share(struct runqueue *rq)
{
	struct thread *t;
	u64 idle = 0;

	spin_lock(&rq->lock);
	t = TAILQ_FIRST(&rq->ready);
	if (t && !t->on_cpu)
		idle = READ_ONCE(idle_cpus) & t->affinity;
	spin_unlock(&rq->lock);
	if (idle && claim_idle((u32)__builtin_ctzl(idle)))
		ipi_resched((u32)__builtin_ctzl(idle));
}

static __noinline void requeue(struct thread *t)
{
	spin_lock(&t->sleep_lock);
	enqueue(t);
	spin_unlock(&t->sleep_lock);
}

static __noinline void after_switch(struct runqueue *rq)
{
	struct thread *t = rq->dead;

	rq->dead = NULL;
	if (t)
		thread_free(t);
	t = rq->moving;
	rq->moving = NULL;
	if (t)
		requeue(t);
}

/* Runs on the stack of a thread that has just got the CPU, before anything else. */
void sched_switched(void)
{
	struct runqueue *rq = this_cpu_ptr(runqueue);

	__atomic_store_n(&rq->left->on_cpu, false, __ATOMIC_RELEASE);
	if (unlikely(rq->dead || rq->moving))
		after_switch(rq);
	if (rq->nr_ready && READ_ONCE(idle_cpus))
		share(rq);
}

static void switch_to(struct runqueue *rq, struct thread *prev, struct thread *next)
{
	u64 now = clock_ns();

	times_switch(prev, next, now);
	if (prev == this_cpu_ptr(idle_thread))
		times_busy(now);
	next->slice_end = now + SCHED_SLICE_NS;
	next->on_cpu = true;
	next->state = THREAD_RUNNING;
	rq->left = prev;
	if (READ_ONCE(idle_cpus) && prev == this_cpu_ptr(idle_thread))
		claim_idle(this_cpu(cpu_number));
	if (rq->nr_ready)
		timer_need(next->slice_end);
	count(switches);
	epoch_enter();		/* the barrier between `state` and `work`, `affinity`: thread_interrupt, sched_move */
	this_cpu(thread_work) = (next->sig.work ? WORK_SIGNAL : 0) |
				(likely(may_run_on(next, this_cpu(cpu_number))) ? 0 : WORK_RESCHED);
	this_cpu(current_thread) = next;
	if (prev->domain != next->domain)
		domain_switch(prev->domain, next->domain);
	if (prev->space != next->space) {
		if (next->space)
			tlb_switch_space(next->space);
		else
			tlb_idle();
	}
	context_switch(&prev->context, &next->context);
	sched_switched();
}

/* The first of RQ, this CPU's own, that may run here; the others are sent away. NULL: none. */
static struct thread *take_own(struct runqueue *rq)
{
	struct thread *t;

	for (;;) {
		spin_lock(&rq->lock);
		t = TAILQ_FIRST(&rq->ready);
		if (t) {
			TAILQ_REMOVE(&rq->ready, t, run_link);
			rq->nr_ready--;
		}
		spin_unlock(&rq->lock);
		if (!t || likely(may_run_on(t, this_cpu(cpu_number))))
			return t;
		if (t->on_cpu)
			rq->moving = t;		/* the running one: it leaves now */
		else
			requeue(t);
	}
}

/* A thread from another CPU's queue, or NULL. */
static __noinline struct thread *steal(void)
{
	u32 me = this_cpu(cpu_number);

	for (u32 i = 1; i < nr_cpus; i++) {
		struct runqueue *rq = cpu_ptr(runqueue, (me + i) % nr_cpus);
		struct thread *t;

		if (!READ_ONCE(rq->nr_ready))
			continue;
		spin_lock(&rq->lock);
		TAILQ_FOREACH(t, &rq->ready, run_link)
			if (may_run_on(t, me) && !__atomic_load_n(&t->on_cpu, __ATOMIC_ACQUIRE))
				break;
		if (t) {
			TAILQ_REMOVE(&rq->ready, t, run_link);
			rq->nr_ready--;
		}
		spin_unlock(&rq->lock);
		if (t) {
			t->cpu = me;
			count(steals);
			return t;
		}
	}
	return NULL;
}

/* Gives the CPU to the next ready thread, or the idle one. The running one's state says what it is now; it
 * returns when somebody has made it ready and its turn has come (at once, if that was itself: false). */
static bool schedule(void)
{
	struct runqueue *rq = this_cpu_ptr(runqueue);
	struct thread *prev = current, *next;

	if (unlikely(lock_debug))
		lock_debug_none();
	next = take_own(rq);
	if (!next && nr_cpus > 1)
		next = steal();
	if (!next)
		next = this_cpu_ptr(idle_thread);
	if (next != prev) {
		switch_to(rq, prev, next);
		return true;
	}
	prev->state = THREAD_RUNNING;
	if (nr_cpus > 1) {
		epoch_enter();
		if (prev->sig.work)
			this_cpu(thread_work) |= WORK_SIGNAL;
	}
	return false;
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

/* T's sig.work is set already. Taking the lock is a barrier: either T is seen to run, and interrupted, or
 * switch_to sees sig.work. */
void thread_interrupt(struct thread *t)
{
	spin_lock(&t->sleep_lock);
	t->poked = true;
	if (t->state == THREAD_SLEEPING && t->how != SLEEP_UNINTERRUPTIBLE)
		enqueue(t);
	else if (t->state == THREAD_RUNNING && t->cpu != this_cpu(cpu_number))
		ipi_resched(t->cpu);
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
		return READ_ONCE(t->exiting) && signal_is_pending(t);
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
		if (!schedule() && t == this_cpu_ptr(idle_thread))
			cpu_idle();	/* boot, before there are threads */
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

	if (!this_cpu_ptr(runqueue)->nr_ready && may_run_on(t, this_cpu(cpu_number)))
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

void sched_tick(const struct trapframe *f)
{
	struct thread *t = current;

	if (t == this_cpu_ptr(idle_thread))
		return;
	if (f)
		times_tick(f);
	if (!this_cpu_ptr(runqueue)->nr_ready)
		return;
	if (clock_ns() >= t->slice_end)
		this_cpu(thread_work) |= WORK_RESCHED;
	else
		timer_need(t->slice_end);
}

/* Another CPU says: look at your queue, at the running thread's signals, at where it may run. */
void sched_kicked(void)
{
	struct runqueue *rq = this_cpu_ptr(runqueue);
	struct thread *t = current;

	cpus_drain_here();
	if (rq->nr_ready && READ_ONCE(idle_cpus) && t != this_cpu_ptr(idle_thread))
		share(rq);	/* it had to wait for its stack here */
	if (t->sig.work)
		this_cpu(thread_work) |= WORK_SIGNAL;
	if (unlikely(!may_run_on(t, this_cpu(cpu_number))))
		this_cpu(thread_work) |= WORK_RESCHED;
	sched_tick(NULL);
}

/* A thread that waits in a queue is sent on by the CPU whose queue it is; one that sleeps, when it is woken. */
void sched_move(struct thread *t)
{
	spin_lock(&t->sleep_lock);
	if (t == current)
		this_cpu(thread_work) |= WORK_RESCHED;
	else if (t->state == THREAD_RUNNING && !may_run_on(t, t->cpu))
		ipi_resched(t->cpu);
	spin_unlock(&t->sleep_lock);
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

u64 sched_idle_ns(u32 cpu)
{
	return thread_cpu_ns(cpu_ptr(idle_thread, cpu));
}

void sched_init_cpu(u32 cpu)
{
	struct thread *idle = cpu_ptr(idle_thread, cpu);

	/* The fresh copies point into the boot CPU's. */
	TAILQ_INIT(&cpu_ptr(runqueue, cpu)->ready);
	*cpu_ptr(current_thread, cpu) = idle;
	idle->cpu = cpu;
	idle->run_start = 1;
	timers_init_cpu(cpu);
}

void sched_start(void)
{
	struct runqueue *rq = this_cpu_ptr(runqueue);
	u64 me = 1UL << this_cpu(cpu_number);

	for (;;) {
		if (nr_cpus > 1)
			__atomic_fetch_or(&idle_cpus, me, __ATOMIC_SEQ_CST);
		if ((rq->nr_ready || nr_cpus > 1) && schedule())
			continue;
		epoch_leave();
		arch_idle();
		epoch_enter();
	}
}
