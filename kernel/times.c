/* SPDX-License-Identifier: MIT */
/*
 * Owns: how much CPU time threads and CPUs have used, and how much of it in the kernel.
 *
 * The sum is exact: it is taken at each switch (kernel/sched.c). Where it went is sampled, so that the ways into
 * the kernel cost nothing: a busy CPU's timer comes each TICK_NS, and what its thread was doing then is what it
 * is taken to have done all the tick long. The kernel lets no interrupt in: one that was due meanwhile
 * comes before the first instruction of the program, that is, where the kernel has just gone back to.
 *
 * A thread's account is written by the CPU that it runs on; time_seq is odd meanwhile, so that others read it
 * without a lock.
 */
#include "arch/cpu.h"
#include "arch/machine.h"
#include "kernel/process.h"
#include "kernel/thread.h"

#define TICK_NS 10000000UL

static DEFINE_PERCPU(u64, next_tick);
static DEFINE_PERCPU(u64, kernel_time);
DEFINE_PERCPU(u64, fault_rip);

static void write_begin(struct thread *t)
{
	WRITE_ONCE(t->time_seq, t->time_seq + 1);
	barrier();
}

static void write_end(struct thread *t)
{
	barrier();
	WRITE_ONCE(t->time_seq, t->time_seq + 1);
}

void times_switch(struct thread *prev, struct thread *next, u64 now)
{
	write_begin(prev);
	prev->user_ns += now - prev->run_start;
	prev->run_start = 0;
	write_end(prev);
	next->run_start = now;
}

void times_busy(u64 now)
{
	if (now >= this_cpu(next_tick))
		this_cpu(next_tick) = now + TICK_NS;
	timer_need(this_cpu(next_tick));
}

/* Had the kernel just gone back to user mode, where F says, when the interrupt came? By sysret, which leaves
 * RIP in RCX; or to what faulted. */
static bool came_from_kernel(const struct trapframe *f)
{
	return !trap_from_user(f) || f->rip == f->rcx || f->rip == this_cpu(fault_rip);
}

void times_tick(const struct trapframe *f)
{
	struct thread *t = current;
	u64 now = clock_ns(), tick = now + TICK_NS - this_cpu(next_tick);	/* as long as it has been: it may come late */

	if (now >= this_cpu(next_tick)) {
		this_cpu(next_tick) = now + TICK_NS;
		write_begin(t);
		t->user_ns += now - t->run_start;
		t->run_start = now;
		tick = came_from_kernel(f) ? MIN(t->user_ns, tick) : 0;
		t->user_ns -= tick;
		t->kernel_ns += tick;
		write_end(t);
		this_cpu(kernel_time) += tick;
	}
	timer_need(this_cpu(next_tick));
}

u64 times_kernel_ns(u32 cpu)
{
	return READ_ONCE(*cpu_ptr(kernel_time, cpu));
}

u64 thread_cpu_ns(const struct thread *t)
{
	u64 ns, start;
	u32 seq;

	do {
		seq = __atomic_load_n(&t->time_seq, __ATOMIC_ACQUIRE);
		ns = READ_ONCE(t->user_ns) + READ_ONCE(t->kernel_ns);
		start = READ_ONCE(t->run_start);
		barrier();
	} while (seq & 1 || seq != READ_ONCE(t->time_seq));
	if (start) {
		u64 now = clock_ns();

		ns += now - MIN(now, start);
	}
	return ns;
}

u64 process_cpu_ns(const struct process *p)
{
	u64 ns = p->user_ns + p->kernel_ns;
	const struct thread *t;

	TAILQ_FOREACH(t, &p->threads, sibling)
		ns += thread_cpu_ns(t);
	return ns;
}

void process_times(struct process *p, u64 *user, u64 *kernel)
{
	u64 all = process_cpu_ns(p);
	const struct thread *t;

	*kernel = p->kernel_ns;
	TAILQ_FOREACH(t, &p->threads, sibling)
		*kernel += READ_ONCE(t->kernel_ns);
	/* A tick that turns out to be the kernel's may have been told as the program's. */
	*user = p->user_told = MIN(MAX(all - MIN(all, *kernel), p->user_told), all);
	*kernel = all - *user;
}
