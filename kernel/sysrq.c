/* SPDX-License-Identifier: MIT */
/*
 * Owns: the reports that need no working user space: ^P, /proc/sysrq-trigger.
 *
 * Called from the receive interrupt among others. That only comes while this CPU holds no lock (arch/cpu.h),
 * so no lock here can be one that this CPU holds already; for the case that another CPU died with the list of
 * processes, it waits a limited time. Everything else is read without locks: the
 * figures may be of slightly different moments. Lines go to the console whatever the loglevel.
 */
#include "arch/cpu.h"
#include "kernel/base/print.h"
#include "kernel/process.h"
#include "kernel/sysrq.h"
#include "mm/frame.h"

#define TRIES 1000000

static const char state_letters[] = "NRRSTZ";	/* by enum thread_state */

static void print_process(const struct process *p)
{
	const struct thread *t = TAILQ_FIRST(&p->threads);
	char state = p->zombie || !t ? 'Z' : p->stopped ? 'T' : state_letters[t->state];

	u64 size = p->space ? p->space->pages * (PAGE_SIZE / 1024) : 0;

	printk(LOG_EMERG, "%5d %5d %5d %c %4u %9lu %9lu %9lu  %s", p->pid, p->parent ? p->parent->pid : 0, p->pgid,
	       state, p->nr_threads, size, process_min_faults(p), process_cpu_ns(p) / 1000000, t ? t->comm : p->comm);
}

static void print_tasks(void)
{
	const struct process *p;
	bool held = spin_held(&process_lock);

	for (int i = 0; !held && READ_ONCE(process_lock.holder); i++) {
		if (i == TRIES) {
			printk(LOG_EMERG, "the list of processes is locked");
			return;
		}
		arch_spin_wait();
	}
	if (!held)
		spin_lock(&process_lock);
	printk(LOG_EMERG, "  PID  PPID  PGID S THRS    VSZ kB    FAULTS   TIME ms  NAME");
	LIST_FOREACH(p, &all_processes, all)
		print_process(p);
	if (!held)
		spin_unlock(&process_lock);
}

static void print_memory(void)
{
	u64 kinds[NR_FRAME_KINDS];

	for (int k = 0; k < NR_FRAME_KINDS; k++)
		kinds[k] = frame_nr_kind((enum frame_kind)k) * (PAGE_SIZE / 1024);
	printk(LOG_EMERG, "memory %lu kB: free %lu, programs %lu, files %lu, tables %lu, objects %lu, kernel %lu",
	       frame_nr_total() * (PAGE_SIZE / 1024), frame_nr_free() * (PAGE_SIZE / 1024), kinds[FRAME_ANON],
	       kinds[FRAME_CACHE], kinds[FRAME_TABLE], kinds[FRAME_SLAB], kinds[FRAME_KERNEL]);
	printk(LOG_EMERG, "running: %s[%d], %lu runnable", current->comm, current->process->pid, sched_runnable());
}

bool sysrq(char what)
{
	switch (what) {
	case 't':
		print_tasks();
		return true;
	case 'm':
		print_memory();
		return true;
	case 'c':
		panic("asked for by sysrq");
	}
	return false;
}
