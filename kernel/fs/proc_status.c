/* SPDX-License-Identifier: MIT */
/*
 * Owns: the texts that tell how a process is doing: status, stat, statm, limits, byte for byte as Linux's
 * parsers expect them. Sizes come from space_usage, which adds up the counts of the space's tables and
 * is exact at that moment; the rest is read in one go under process_lock. A field that this kernel has no
 * truth for is left out of status, and 0 in stat, whose fields are positions.
 */
#include "kernel/dev/tty.h"
#include "kernel/fs/proc.h"
#include "mm/report.h"

enum { LIMIT_RSS = 5, LIMIT_SIGPENDING = 11 };	/* of getrlimit */

static const char *const state_names = "R (running)\0S (sleeping)\0D (disk sleep)\0T (stopped)\0Z (zombie)\0";

/* The letter of T's state, or if only the process is asked for (T its first thread), P's. */
static char state_of(const struct process *p, const struct thread *t, bool one)
{
	const struct thread *other;

	if (p->zombie || !t)
		return 'Z';
	if (p->stopped || t->state == THREAD_STOPPED)
		return 'T';
	if (!one)
		TAILQ_FOREACH(other, &p->threads, sibling)
			if (other->state == THREAD_RUNNING || other->state == THREAD_READY)
				return 'R';
	if (t->state == THREAD_SLEEPING)
		return t->how == SLEEP_INTERRUPTIBLE ? 'S' : 'D';
	return 'R';
}

static const char *state_name(char letter)
{
	const char *s = state_names;

	while (*s && *s != letter)
		s += strlen(s) + 1;
	return s;
}

void proc_times(const struct process *p, u64 *user, u64 *kernel)
{
	const struct thread *t;

	*kernel = p->kernel_ns;
	TAILQ_FOREACH(t, &p->threads, sibling)
		*kernel += t->kernel_ns;
	*user = process_cpu_ns(p) - *kernel;
}

/* The usage of N's space, and a few of its fields; all 0 for one that has none. 0 or -ESRCH. */
struct space_facts {
	bool any;
	struct space_usage u;
	vaddr_t code_start, code_end, stack_start, data_start, data_end, brk_start;
	vaddr_t arg_start, arg_end, env_start, env_end;
};

static int space_facts(struct proc_node *n, struct space_facts *f)
{
	struct space *s;
	int e = proc_space(n, &s);

	*f = (struct space_facts){ 0 };
	if (e || !s)
		return e;
	space_usage(s, &f->u);
	f->any = true;
	f->code_start = s->code_start;
	f->code_end = s->code_end;
	f->stack_start = s->stack_start;
	f->data_start = s->data_start;
	f->data_end = s->data_end;
	f->brk_start = s->brk_start;
	f->arg_start = s->arg_start;
	f->arg_end = s->arg_end;
	f->env_start = s->env_start;
	f->env_end = s->env_end;
	space_put(s);
	return 0;
}

static u64 facts_rss(const struct space_facts *f)
{
	return f->u.anon + f->u.file + f->u.shmem;
}

/* Pages of the program's own code; the rest of what is executable is "library". */
static u64 facts_exec(const struct space_facts *f)
{
	u64 own = (ALIGN_UP(f->code_end, PAGE_SIZE) - ALIGN_DOWN(f->code_start, PAGE_SIZE)) >> PAGE_SHIFT;

	return MIN(own, f->u.exec);
}

static void memory_lines(struct text *t, const struct process *p, const struct space_facts *f)
{
	u64 rss = facts_rss(f), exec = facts_exec(f);
	const struct { const char *name; u64 pages; } line[] = {
		{ "VmSize", f->u.size }, { "VmLck", f->u.locked }, { "VmPin", 0 },
		{ "VmHWM", MAX(p->max_rss_pages, rss) }, { "VmRSS", rss },
		{ "RssAnon", f->u.anon }, { "RssFile", f->u.file }, { "RssShmem", f->u.shmem },
		{ "VmData", f->u.data }, { "VmStk", f->u.stack }, { "VmExe", exec }, { "VmLib", f->u.exec - exec },
		{ "VmPTE", f->u.tables }, { "VmSwap", 0 },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(line); i++)
		text_printf(t, "%s:\t%8lu kB\n", line[i].name, KB(line[i].pages));
}

static void signal_lines(struct text *t, const struct process *p, const struct thread *thread)
{
	struct signal_process *s = p->sig;

	if (!s || !thread)
		return;
	spin_lock(&s->lock);
	text_printf(t, "SigQ:\t%u/%lu\nSigPnd:\t%016lx\nShdPnd:\t%016lx\nSigBlk:\t%016lx\n", s->nr_queued,
		    p->limits[LIMIT_SIGPENDING].cur, thread->sig.pending.set, s->pending.set, thread->sig.blocked);
	text_printf(t, "SigIgn:\t%016lx\nSigCgt:\t%016lx\n", s->ignored, s->caught);
	spin_unlock(&s->lock);
}

static void cpu_lines(struct text *t, const struct thread *thread)
{
	u64 all = nr_cpus < 64 ? (1UL << nr_cpus) - 1 : ~0UL, set = (thread ? thread->affinity : all) & all;
	const char *comma = "";

	if (nr_cpus > 32)
		text_printf(t, "Cpus_allowed:\t%08x,%08x\nCpus_allowed_list:\t", (u32)(set >> 32), (u32)set);
	else
		text_printf(t, "Cpus_allowed:\t%x\nCpus_allowed_list:\t", (u32)set);
	for (unsigned first = 0, last; first < 64; first = last + 1) {
		for (; first < 64 && !(set >> first & 1); first++)
			;
		if (first == 64)
			break;
		for (last = first; last < 63 && set >> (last + 1) & 1; last++)
			;
		text_printf(t, first == last ? "%s%u" : "%s%u-%u", comma, first, last);
		comma = ",";
	}
	text_printf(t, "\n");
}

int proc_show_status(struct proc_file *pf, struct text *t)
{
	struct proc_node *n = pf->node;
	struct space_facts f;
	struct thread *thread;
	struct process *p;
	int e = space_facts(n, &f);

	if (e)
		return e;
	p = proc_lock_thread(n, &thread);
	if (!p)
		return -ESRCH;
	text_printf(t, "Name:\t%s\nState:\t%s\nTgid:\t%d\nNgid:\t0\nPid:\t%d\nPPid:\t%d\nTracerPid:\t0\n",
		    thread ? thread->comm : p->comm, state_name(state_of(p, thread, n->tid)), p->pid,
		    n->tid ? n->tid : p->pid, p->parent ? p->parent->pid : 0);
	text_printf(t, "Uid:\t%u\t%u\t%u\t%u\nGid:\t%u\t%u\t%u\t%u\nGroups:\t", p->cred.uid, p->cred.euid, p->cred.suid,
		    p->cred.fsuid, p->cred.gid, p->cred.egid, p->cred.sgid, p->cred.fsgid);
	for (unsigned i = 0; i < p->cred.nr_groups; i++)
		text_printf(t, "%u ", p->cred.groups[i]);
	text_printf(t, "\nNStgid:\t%d\nNSpid:\t%d\nNSpgid:\t%d\nNSsid:\t%d\n", p->pid, n->tid ? n->tid : p->pid, p->pgid,
		    p->sid);
	if (f.any)
		memory_lines(t, p, &f);
	text_printf(t, "Threads:\t%u\n", p->nr_threads);
	signal_lines(t, p, thread);
	text_printf(t, "NoNewPrivs:\t%d\n", p->cred.no_new_privs);
	cpu_lines(t, thread);
	spin_unlock(&process_lock);
	return 0;
}

int proc_show_stat(struct proc_file *pf, struct text *t)
{
	struct proc_node *n = pf->node;
	struct space_facts f;
	struct thread *thread;
	struct process *p;
	u64 user, kernel;
	int e = space_facts(n, &f);

	if (e)
		return e;
	p = proc_lock_thread(n, &thread);
	if (!p)
		return -ESRCH;
	proc_times(p, &user, &kernel);
	if (n->tid) {
		kernel = thread->kernel_ns;
		user = thread_cpu_ns(thread) - kernel;
	}
	/* pid comm state ppid pgrp session tty_nr tpgid flags */
	text_printf(t, "%d (%s) %c %d %d %d %d %d 0 ", n->tid ? n->tid : p->pid, thread ? thread->comm : p->comm,
		    state_of(p, thread, n->tid), p->parent ? p->parent->pid : 0, p->pgid, p->sid, p->tty ? 4 << 8 | 64 : 0,
		    p->tty ? p->tty->pgid : -1);
	/* minflt cminflt majflt cmajflt utime stime cutime cstime priority nice num_threads itrealvalue starttime */
	text_printf(t, "%lu %lu %lu %lu %lu %lu %lu %lu %d %d %u 0 %lu ", process_min_faults(p), p->child_min_faults,
		    p->maj_faults, p->child_maj_faults, proc_ticks(user), proc_ticks(kernel),
		    proc_ticks(p->child_user_ns), proc_ticks(p->child_kernel_ns), 20 + p->nice, p->nice, p->nr_threads,
		    proc_ticks(p->start_ns));
	/* vsize rss rsslim startcode endcode startstack kstkesp kstkeip */
	text_printf(t, "%lu %lu %lu %lu %lu %lu 0 0 ", f.u.size << PAGE_SHIFT, facts_rss(&f), p->limits[LIMIT_RSS].cur, f.code_start,
		    f.code_end, f.stack_start);
	/* signal blocked sigignore sigcatch wchan nswap cnswap exit_signal processor rt_priority policy */
	text_printf(t, "%lu %lu %lu %lu 0 0 0 %d %u 0 0 ", thread ? thread->sig.pending.set : 0,
		    thread ? thread->sig.blocked : 0, p->sig ? p->sig->ignored : 0,
		    p->sig ? p->sig->caught : 0, p->exit_signal, thread ? thread->cpu : 0);
	/* delayacct guest cguest start_data end_data start_brk arg_start arg_end env_start env_end exit_code */
	text_printf(t, "0 0 0 %lu %lu %lu %lu %lu %lu %lu %d\n", f.data_start, f.data_end, f.brk_start, f.arg_start,
		    f.arg_end, f.env_start, f.env_end, p->exit_code);
	spin_unlock(&process_lock);
	return 0;
}

int proc_show_statm(struct proc_file *pf, struct text *t)
{
	struct space_facts f;
	int e = space_facts(pf->node, &f);

	if (e)
		return e;
	text_printf(t, "%lu %lu %lu %lu 0 %lu 0\n", f.u.size, facts_rss(&f), f.u.file + f.u.shmem, facts_exec(&f),
		    f.u.data + f.u.stack);
	return 0;
}

static void limit_value(struct text *t, u64 value)
{
	char number[24] = "unlimited";

	if (value != ~0UL)
		snprintf(number, sizeof(number), "%lu", value);
	text_printf(t, "%-20s ", number);
}

int proc_show_limits(struct proc_file *pf, struct text *t)
{
	static const struct { const char *name, *unit; } limit[NR_RLIMITS] = {
		{ "cpu time", "seconds" }, { "file size", "bytes" }, { "data size", "bytes" }, { "stack size", "bytes" },
		{ "core file size", "bytes" }, { "resident set", "bytes" }, { "processes", "processes" },
		{ "open files", "files" }, { "locked memory", "bytes" }, { "address space", "bytes" },
		{ "file locks", "locks" }, { "pending signals", "signals" }, { "msgqueue size", "bytes" },
		{ "nice priority", "" }, { "realtime priority", "" }, { "realtime timeout", "us" },
	};
	struct process *p = proc_lock_process(pf->node);

	if (!p)
		return -ESRCH;
	text_printf(t, "%-25s %-20s %-20s %-10s\n", "Limit", "Soft Limit", "Hard Limit", "Units");
	for (unsigned i = 0; i < NR_RLIMITS; i++) {
		text_printf(t, "Max %-21s ", limit[i].name);
		limit_value(t, p->limits[i].cur);
		limit_value(t, p->limits[i].max);
		text_printf(t, "%-10s\n", limit[i].unit);
	}
	spin_unlock(&process_lock);
	return 0;
}
