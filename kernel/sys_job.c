/* SPDX-License-Identifier: MIT */
/* Owns: the system calls about process groups and sessions, with Linux's rules. Each takes process_lock once. */
#include "kernel/base/errno.h"
#include "kernel/base/guard.h"
#include "kernel/job.h"
#include "kernel/syscalls.h"

static long move_to_group(pid_t pid, pid_t pgid)
{
	struct process *self = current_process, *p = pid ? process_find(pid) : self;

	if (!p || (p != self && p->parent != self))
		return -ESRCH;
	if (p != self && p->sid != self->sid)
		return -EPERM;
	if (p != self && p->did_exec)
		return -EACCES;
	if (p->sid == p->pid)
		return -EPERM;
	if (!pgid)
		pgid = p->pid;
	if (pgid != p->pid && !job_group_exists(pgid, self->sid))
		return -EPERM;
	p->pgid = pgid;
	return 0;
}

long sys_setpgid(u64 pid, u64 pgid, REST2)
{
	GUARD(process_lock);

	return (pid_t)pgid < 0 ? -EINVAL : move_to_group((pid_t)pid, (pid_t)pgid);
}

long sys_setsid(ARGS)
{
	GUARD(process_lock);
	struct process *p = current_process;

	if (job_group_exists(p->pid, 0))
		return -EPERM;
	p->sid = p->pgid = p->pid;
	p->tty = NULL;
	return p->pid;
}

/* The group, or session, of process PID (0: the running one), or -ESRCH. */
static long id_of(pid_t pid, bool session)
{
	GUARD(process_lock);
	const struct process *p = pid ? process_find(pid) : current_process;

	return !p ? -ESRCH : session ? p->sid : p->pgid;
}

long sys_getpgid(ARGS) { return id_of((pid_t)a0, false); }
long sys_getpgrp(ARGS) { return id_of(0, false); }
long sys_getsid(ARGS) { return id_of((pid_t)a0, true); }
