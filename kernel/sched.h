/* SPDX-License-Identifier: MIT */
/*
 * Owns: threads as things that run: run queues, sleeping and waking, time slices.
 *
 * The kernel is not preempted: a thread leaves the CPU when it blocks, or on its way back to user mode
 * when its slice is over. A wait queue is used as a condition variable under a spin lock of its owner.
 */
#pragma once
#include "arch/context.h"
#include "kernel/base/lock.h"
#include "third_party/bsd/queue.h"

struct process;
struct thread;

enum thread_state { THREAD_NEW, THREAD_READY, THREAD_RUNNING, THREAD_SLEEPING, THREAD_STOPPED, THREAD_DEAD };

struct waiter {
	TAILQ_ENTRY(waiter) link;
	struct thread *thread;
	struct waitq *queue;	/* where it is queued; NULL once woken (queue's lock) */
	struct waitq *home;	/* where it was queued */
};
TAILQ_HEAD(waiter_list, waiter);

struct waitq {
	struct spinlock lock;	/* RANK_WAITQ */
	u32 wakes;		/* ever, modulo 2^32: an epoll that waits for edges compares them */
	struct waiter_list waiters;
};
#define WAITQ(q) { .lock = SPINLOCK(RANK_WAITQ), .waiters = TAILQ_HEAD_INITIALIZER((q).waiters) }
void waitq_init(struct waitq *q);

#define SLEEP_FOREVER (~0UL)
/* Interruptible: by signals; killable: only by what ends the thread. */
enum sleep_flag { SLEEP_UNINTERRUPTIBLE = 0, SLEEP_INTERRUPTIBLE = 1, SLEEP_KILLABLE = 2 };

/*
 * Sleeps on Q until woken, DEADLINE (ns since boot) or, if interruptible, a signal. HELD (may be NULL) is
 * released after the thread is queued and taken again before return, so that no wake-up is lost.
 * 0 woken (look at the condition again), -ETIMEDOUT, -EINTR (a signal is pending: the caller picks
 * -EINTR or -ERESTART…).
 */
int waitq_sleep(struct waitq *q, struct spinlock *held, u64 deadline, enum sleep_flag how);
void waitq_wake_one(struct waitq *q);
void waitq_wake_all(struct waitq *q);

/* For poll: queue W without sleeping, sleep until any of one's waiters has been woken, take W off. */
void waitq_add(struct waitq *q, struct waiter *w);
void waitq_remove(struct waiter *w);
int thread_sleep(u64 deadline, enum sleep_flag how);	/* same results; returns at once if a waiter was woken */

/* A lock that may be held while sleeping, copying from users or doing I/O. Taken before any spin lock. */
struct mutex {
	struct thread *owner;	/* atomic */
	struct waitq waiters;
};
void mutex_init(struct mutex *m);
void mutex_lock(struct mutex *m);
void mutex_unlock(struct mutex *m);

/* Wakes T wherever it sleeps interruptibly: a signal has come. */
void thread_interrupt(struct thread *t);
void sched_ready(struct thread *t);	/* a new thread may run */
/* For what may run long in the kernel, no lock held: interrupts and others get in; true if the thread is to die. */
bool sched_pause(void);
void sched_yield(void);			/* to the back of the queue */
void sched_exit(void) __noreturn;	/* the dead thread's last act; its stack is freed by the next */
struct trapframe;
void sched_tick(const struct trapframe *f);	/* from the timer interrupt; F NULL: from another */
void sched_start(void) __noreturn;	/* this CPU becomes its idle thread */
void sched_stop_self(void);		/* job control: sleeps in THREAD_STOPPED until thread_continue */
void thread_continue(struct thread *t);
u64 sched_runnable(void);		/* for loadavg, ^P */

DECLARE_PERCPU(struct thread *, current_thread);
#define current (this_cpu(current_thread))

/* Bits of work of the running thread before returning to user mode; trap_user_work serves them. */
enum { WORK_RESCHED = 1, WORK_SIGNAL = 2 };
DECLARE_PERCPU(u32, thread_work);

/* Timers: FN(arg) is called from the timer interrupt of this CPU at DEADLINE, once. */
struct timer {
	TAILQ_ENTRY(timer) link;
	u64 deadline;
	void (*fn)(struct timer *t);
	bool armed;
	u32 cpu;
};
void timer_start(struct timer *t, u64 deadline, void (*fn)(struct timer *));
bool timer_cancel(struct timer *t);	/* true: it was armed and will not fire */
void timers_run(void);			/* from IRQ_TIMER */
