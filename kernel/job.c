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

bool job_is_orphaned(pid_t pgid, const struct process *except)
{
	const struct process *p, *parent;

	LIST_FOREACH(p, &all_processes, all) {
		if (p->pgid != pgid || p == except || p->zombie)
			continue;
		parent = p->parent;
		if (parent && parent != init_process && parent != except && parent->pgid != pgid && parent->sid == p->sid)
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

/* P's end takes a parent from group PGID: if that was its last tie, it goes on or ends, but does not stay. */
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
	release_group(p->pgid, p);
	LIST_FOREACH(child, &p->children, sibling)
		if (child->pgid != p->pgid && child->sid == p->sid)
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
