/* SPDX-License-Identifier: MIT */
/*
 * Owns: the calls about scheduling. There is one policy, round robin in equal slices: priorities are numbers
 * that can be set and read, real-time policies are refused. Lock: process_lock, to find other threads.
 */
#include "arch/user.h"
#include "kernel/base/percpu.h"
#include "kernel/syscalls.h"
#include "kernel/thread.h"

enum { SCHED_OTHER, SCHED_FIFO, SCHED_RR, SCHED_BATCH, SCHED_IDLE = 5 };
#define ARGS u64 a0 __unused, u64 a1 __unused, u64 a2 __unused, u64 a3 __unused, u64 a4 __unused, u64 a5 __unused

static u64 online(void)
{
	return ~0UL >> (64 - nr_cpus);
}

/* Is there a thread TID (0: the running one)? */
static long known(u64 tid)
{
	struct thread *t;

	if ((pid_t)tid < 0)
		return -EINVAL;
	spin_lock(&process_lock);
	t = tid ? thread_find((pid_t)tid) : current;
	spin_unlock(&process_lock);
	return t ? 0 : -ESRCH;
}

long sys_sched_yield(ARGS)
{
	sched_yield();
	return 0;
}

long sys_sched_getaffinity(ARGS)
{
	struct thread *t;
	u64 mask = 0;

	if (a1 < sizeof(mask) || a1 % sizeof(mask))
		return -EINVAL;
	spin_lock(&process_lock);
	t = a0 ? thread_find((pid_t)a0) : current;
	if (t)
		mask = t->affinity & online();
	spin_unlock(&process_lock);
	if (!t)
		return -ESRCH;
	return user_put(a2, &mask) ? -EFAULT : (long)sizeof(mask);
}

long sys_sched_setaffinity(ARGS)
{
	struct thread *t;
	u64 mask = 0;

	if (user_copy_in(&mask, a2, MIN(a1, sizeof(mask))))
		return -EFAULT;
	if (!(mask & online()))
		return -EINVAL;
	spin_lock(&process_lock);
	t = a0 ? thread_find((pid_t)a0) : current;
	if (t) {
		WRITE_ONCE(t->affinity, mask);
		sched_move(t);
	}
	spin_unlock(&process_lock);
	return t ? 0 : -ESRCH;
}

long sys_sched_getscheduler(ARGS)
{
	long err = known(a0);

	return err ? err : SCHED_OTHER;
}

long sys_sched_setscheduler(ARGS)
{
	long err = known(a0);
	s32 priority;

	if (err)
		return err;
	if (user_get(&priority, a2))
		return -EFAULT;
	if (a1 == SCHED_FIFO || a1 == SCHED_RR)
		return -EPERM;
	return (a1 != SCHED_OTHER && a1 != SCHED_BATCH && a1 != SCHED_IDLE) || priority ? -EINVAL : 0;
}

long sys_sched_getparam(ARGS)
{
	long err = known(a0);
	s32 priority = 0;

	return err ? err : user_put(a1, &priority);
}

long sys_sched_setparam(ARGS)
{
	long err = known(a0);
	s32 priority;

	if (!err)
		err = user_get(&priority, a1);
	return err ? err : priority ? -EINVAL : 0;
}

static long priority_limit(u64 policy, long real_time)
{
	switch (policy) {
	case SCHED_FIFO:
	case SCHED_RR:
		return real_time;
	case SCHED_OTHER:
	case SCHED_BATCH:
	case SCHED_IDLE:
		return 0;
	default:
		return -EINVAL;
	}
}

long sys_sched_get_priority_max(ARGS)
{
	return priority_limit(a0, 99);
}

long sys_sched_get_priority_min(ARGS)
{
	return priority_limit(a0, 1);
}

long sys_sched_rr_get_interval(ARGS)
{
	struct { s64 sec, nsec; } slice = { 0, SCHED_SLICE_NS };
	long err = known(a0);

	return err ? err : user_put(a1, &slice);
}

long sys_getcpu(ARGS)
{
	u32 cpu = this_cpu(cpu_number), node = 0;

	return (a0 && user_put(a0, &cpu)) || (a1 && user_put(a1, &node)) ? -EFAULT : 0;
}

enum { PRIO_PROCESS, PRIO_PGRP, PRIO_USER };

static bool is_meant(const struct process *p, u64 which, u32 who)
{
	const struct process *me = current_process;

	switch (which) {
	case PRIO_PROCESS:
		return p->pid == (who ? (pid_t)who : me->pid);
	case PRIO_PGRP:
		return p->pgid == (who ? (pid_t)who : me->pgid);
	default:
		return p->cred.uid == (who ? who : me->cred.uid);
	}
}

/* As the call returns it: 20 - nice, of the one that is best off. */
long sys_getpriority(ARGS)
{
	long best = -ESRCH;
	struct process *p;

	if (a0 > PRIO_USER)
		return -EINVAL;
	spin_lock(&process_lock);
	LIST_FOREACH(p, &all_processes, all)
		if (is_meant(p, a0, (u32)a1))
			best = MAX(best, 20L - p->nice);
	spin_unlock(&process_lock);
	return best;
}

long sys_setpriority(ARGS)
{
	int nice = MAX(-20, MIN(19, (int)a2));
	struct process *p;
	long err = -ESRCH;

	if (a0 > PRIO_USER)
		return -EINVAL;
	spin_lock(&process_lock);
	LIST_FOREACH(p, &all_processes, all)
		if (is_meant(p, a0, (u32)a1)) {
			p->nice = nice;
			err = 0;
		}
	spin_unlock(&process_lock);
	return err;
}
