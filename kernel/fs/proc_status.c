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

DEFINE_HELD(space)
static const struct space no_space;	/* all 0: stands for that of a zombie */

/* The space of N's process in *S, held, or NULL, and its usage. 0 or -ESRCH. */
static int space_and_usage(struct proc_node *n, struct space **s, struct space_usage *u)
{
	int e = proc_space(n, s);

	*u = (struct space_usage){ 0 };
	if (!e && *s)
		space_usage(*s, u);
	return e;
}

static u64 rss(const struct space_usage *u)
{
	return u->anon + u->file + u->shmem;
}

/* Pages of the program's own code; the rest of what is executable is "library". */
static u64 own_code(const struct space *s, const struct space_usage *u)
{
	u64 own = (ALIGN_UP(s->code_end, PAGE_SIZE) - ALIGN_DOWN(s->code_start, PAGE_SIZE)) >> PAGE_SHIFT;

	return MIN(own, u->exec);
}

static void memory_lines(struct text *t, const struct space *s, const struct space_usage *u)
{
	u64 own = own_code(s, u);
	const struct { const char *name; u64 pages; } line[] = {
		{ "VmPeak", u->peak_size }, { "VmSize", u->size }, { "VmLck", u->locked }, { "VmPin", 0 },
		{ "VmHWM", u->peak_rss }, { "VmRSS", rss(u) },
		{ "RssAnon", u->anon }, { "RssFile", u->file }, { "RssShmem", u->shmem },
		{ "VmData", u->data }, { "VmStk", u->stack }, { "VmExe", own }, { "VmLib", u->exec - own },
		{ "VmPTE", u->tables }, { "VmSwap", 0 },
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
	for (unsigned first, n; set; set &= first + n < 64 ? ~0UL << (first + n) : 0, comma = ",") {
		first = __builtin_ctzl(set);
		n = ~(set >> first) ? __builtin_ctzl(~(set >> first)) : 64;
		text_printf(t, n == 1 ? "%s%u" : "%s%u-%u", comma, first, first + n - 1);
	}
	text_printf(t, "\n");
}

int proc_show_status(struct proc_file *pf, struct text *t)
{
	struct proc_node *n = pf->node;
	HELD(space) s = NULL;
	struct space_usage u;
	struct thread *thread;
	int e = space_and_usage(n, &s, &u);

	if (e)
		return e;
	GUARD(process_lock);
	struct process *p = proc_thread(n, &thread);
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
	if (s)
		memory_lines(t, s, &u);
	text_printf(t, "Threads:\t%u\n", p->nr_threads);
	signal_lines(t, p, thread);
	text_printf(t, "NoNewPrivs:\t%d\n", p->cred.no_new_privs);
	cpu_lines(t, thread);
	return 0;
}

int proc_show_stat(struct proc_file *pf, struct text *t)
{
	struct proc_node *n = pf->node;
	HELD(space) held = NULL;
	struct space_usage u;
	struct thread *thread;
	u64 user, kernel;
	int e = space_and_usage(n, &held, &u);
	const struct space *s = held ?: &no_space;

	if (e)
		return e;
	GUARD(process_lock);
	struct process *p = proc_thread(n, &thread);
	if (!p)
		return -ESRCH;
	process_times(p, &user, &kernel);
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
	text_printf(t, "%lu %lu %lu %lu %lu %lu 0 0 ", u.size << PAGE_SHIFT, rss(&u), p->limits[LIMIT_RSS].cur,
		    s->code_start, s->code_end, s->stack_start);
	/* signal blocked sigignore sigcatch wchan nswap cnswap exit_signal processor rt_priority policy */
	text_printf(t, "%lu %lu %lu %lu 0 0 0 %d %u 0 0 ", thread ? thread->sig.pending.set : 0,
		    thread ? thread->sig.blocked : 0, p->sig ? p->sig->ignored : 0,
		    p->sig ? p->sig->caught : 0, p->exit_signal, thread ? thread->cpu : 0);
	/* delayacct guest cguest start_data end_data start_brk arg_start arg_end env_start env_end exit_code */
	text_printf(t, "0 0 0 %lu %lu %lu %lu %lu %lu %lu %d\n", s->data_start, s->data_end, s->brk_start, s->arg_start,
		    s->arg_end, s->env_start, s->env_end, p->exit_code);
	return 0;
}

int proc_show_statm(struct proc_file *pf, struct text *t)
{
	HELD(space) s = NULL;
	struct space_usage u;
	int e = space_and_usage(pf->node, &s, &u);

	if (!e)
		text_printf(t, "%lu %lu %lu %lu 0 %lu 0\n", u.size, rss(&u), u.file + u.shmem,
			    own_code(s ?: &no_space, &u), u.data + u.stack);
	return e;
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
	GUARD(process_lock);
	struct process *p = proc_process(pf->node);

	if (!p)
		return -ESRCH;
	text_printf(t, "%-25s %-20s %-20s %-10s\n", "Limit", "Soft Limit", "Hard Limit", "Units");
	for (unsigned i = 0; i < NR_RLIMITS; i++) {
		text_printf(t, "Max %-21s ", limit[i].name);
		limit_value(t, p->limits[i].cur);
		limit_value(t, p->limits[i].max);
		text_printf(t, "%-10s\n", limit[i].unit);
	}
	return 0;
}
