/* SPDX-License-Identifier: MIT */
/* Owns: the system calls about process groups and sessions, with Linux's rules. Each takes process_lock once. */
#include "kernel/base/errno.h"
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

long sys_setpgid(u64 pid, u64 pgid, u64 a2 __unused, u64 a3 __unused, u64 a4 __unused, u64 a5 __unused)
{
	long err;

	if ((pid_t)pgid < 0)
		return -EINVAL;
	spin_lock(&process_lock);
	err = move_to_group((pid_t)pid, (pid_t)pgid);
	spin_unlock(&process_lock);
	return err;
}

long sys_setsid(u64 a0 __unused, u64 a1 __unused, u64 a2 __unused, u64 a3 __unused, u64 a4 __unused, u64 a5 __unused)
{
	struct process *p = current_process;
	long err = -EPERM;

	spin_lock(&process_lock);
	if (!job_group_exists(p->pid, 0)) {
		p->sid = p->pgid = p->pid;
		p->tty = NULL;
		err = p->pid;
	}
	spin_unlock(&process_lock);
	return err;
}

long sys_getpgid(u64 pid, u64 a1 __unused, u64 a2 __unused, u64 a3 __unused, u64 a4 __unused, u64 a5 __unused)
{
	const struct process *p;
	long id;

	spin_lock(&process_lock);
	p = (pid_t)pid ? process_find((pid_t)pid) : current_process;
	id = p ? p->pgid : -ESRCH;
	spin_unlock(&process_lock);
	return id;
}

long sys_getpgrp(u64 a0 __unused, u64 a1 __unused, u64 a2 __unused, u64 a3 __unused, u64 a4 __unused, u64 a5 __unused)
{
	return current_process->pgid;
}

long sys_getsid(u64 pid, u64 a1 __unused, u64 a2 __unused, u64 a3 __unused, u64 a4 __unused, u64 a5 __unused)
{
	const struct process *p;
	long id;

	spin_lock(&process_lock);
	p = (pid_t)pid ? process_find((pid_t)pid) : current_process;
	id = p ? p->sid : -ESRCH;
	spin_unlock(&process_lock);
	return id;
}
