/* SPDX-License-Identifier: MIT */
/*
 * Owns: which process groups are orphaned, and what ends with a session leader (kernel/job.h).
 *
 * Groups are found by walking all processes: there are few, and it happens at job control only; the
 * common exit of a process asks nobody as long as no process at all is stopped.
 * Lock: process_lock, held by the callers.
 */
#include "kernel/dev/tty.h"
#include "kernel/job.h"

static u32 nr_stopped;		/* processes with p->stopped; process_lock */

void job_count_stopped(int change)
{
	nr_stopped += (u32)change;
}

/* Does P, of another group, keep group PGID of session SID from being an orphan, by being one's parent there? */
static bool is_tie(const struct process *p, pid_t pgid, pid_t sid)
{
	return p && p != init_process && p->pgid != pgid && p->sid == sid;
}

bool job_is_orphaned(pid_t pgid, const struct process *except)
{
	const struct process *p;

	LIST_FOREACH(p, &all_processes, all) {
		if (p->pgid != pgid || p == except || p->zombie)
			continue;
		if (p->parent != except && is_tie(p->parent, pgid, p->sid))
			return false;
	}
	return true;
}

static bool has_stopped(pid_t pgid)
{
	const struct process *p;

	LIST_FOREACH(p, &all_processes, all)
		if (p->pgid == pgid && p->stopped && !p->zombie)
			return true;
	return false;
}

/* P's end takes a tie from group PGID: if that was the last, it goes on or ends, but does not stay. */
static void release_group(pid_t pgid, const struct process *p)
{
	if (!has_stopped(pgid) || !job_is_orphaned(pgid, p))
		return;
	signal_send_group(pgid, SIGHUP);
	signal_send_group(pgid, SIGCONT);
}

void job_exit(struct process *p)
{
	struct process *child;

	if (p->stopped) {
		p->stopped = false;
		nr_stopped--;
	}
	if (p->tty && p->sid == p->pid)
		tty_session_end(p);
	if (!nr_stopped)
		return;
	if (is_tie(p->parent, p->pgid, p->sid))
		release_group(p->pgid, p);
	LIST_FOREACH(child, &p->children, sibling)
		if (is_tie(p, child->pgid, child->sid))
			release_group(child->pgid, p);
}

bool job_group_exists(pid_t pgid, pid_t sid)
{
	const struct process *p;

	LIST_FOREACH(p, &all_processes, all)
		if (p->pgid == pgid && (!sid || p->sid == sid))
			return true;
	return false;
}
