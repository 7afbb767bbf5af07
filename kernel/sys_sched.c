/* SPDX-License-Identifier: MIT */
/*
 * Owns: the calls about scheduling. There is one policy, round robin in equal slices: priorities are numbers
 * that can be set and read, real-time policies are refused. Lock: process_lock, to find other threads.
 */
#include "arch/user.h"
#include "kernel/base/guard.h"
#include "kernel/base/percpu.h"
#include "kernel/syscalls.h"
#include "kernel/thread.h"

enum { SCHED_OTHER, SCHED_FIFO, SCHED_RR, SCHED_BATCH, SCHED_IDLE = 5 };

static u64 online(void)
{
	return ~0UL >> (64 - nr_cpus);
}

/* Thread TID (0: the running one), or NULL. Under process_lock. */
static struct thread *find(u64 tid)
{
	return tid ? thread_find((pid_t)tid) : current;
}

static long known(u64 tid)
{
	GUARD(process_lock);

	return (pid_t)tid < 0 ? -EINVAL : find(tid) ? 0 : -ESRCH;
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
	t = find(a0);
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
	GUARD(process_lock);
	t = find(a0);
	if (!t)
		return -ESRCH;
	WRITE_ONCE(t->affinity, mask);
	sched_move(t);
	return 0;
}

/* All that there is to know of a policy: whether it is one, and real-time. The priority it takes is 0, or is refused. */
static bool is_real_time(u64 policy) { return policy == SCHED_FIFO || policy == SCHED_RR; }
static bool is_ordinary(u64 policy) { return policy == SCHED_OTHER || policy == SCHED_BATCH || policy == SCHED_IDLE; }

static long set_policy(u64 tid, u64 policy, vaddr_t param)
{
	long err = known(tid);
	s32 priority;

	if (!err)
		err = user_get(&priority, param);
	if (err)
		return err;
	return is_real_time(policy) ? -EPERM : !is_ordinary(policy) || priority ? -EINVAL : 0;
}

static long priority_limit(u64 policy, long real_time)
{
	return is_real_time(policy) ? real_time : is_ordinary(policy) ? 0 : -EINVAL;
}

long sys_sched_getscheduler(ARGS) { return known(a0) ?: SCHED_OTHER; }
long sys_sched_setscheduler(ARGS) { return set_policy(a0, a1, a2); }
long sys_sched_setparam(ARGS) { return set_policy(a0, SCHED_OTHER, a1); }
long sys_sched_getparam(ARGS) { return known(a0) ?: user_put(a1, &(s32){ 0 }); }
long sys_sched_get_priority_max(ARGS) { return priority_limit(a0, 99); }
long sys_sched_get_priority_min(ARGS) { return priority_limit(a0, 1); }

long sys_sched_rr_get_interval(ARGS)
{
	struct { s64 sec, nsec; } slice = { 0, SCHED_SLICE_NS };

	return known(a0) ?: user_put(a1, &slice);
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
	case PRIO_USER:
		return p->cred.uid == (who ? who : me->cred.uid);
	}
	return false;
}

/* As the call returns it: 20 - nice, of the one that is best off. */
long sys_getpriority(ARGS)
{
	GUARD(process_lock);
	long best = a0 > PRIO_USER ? -EINVAL : -ESRCH;
	struct process *p;

	LIST_FOREACH(p, &all_processes, all)
		if (is_meant(p, a0, (u32)a1))
			best = MAX(best, 20L - p->nice);
	return best;
}

long sys_setpriority(ARGS)
{
	GUARD(process_lock);
	long err = a0 > PRIO_USER ? -EINVAL : -ESRCH;
	struct process *p;

	LIST_FOREACH(p, &all_processes, all)
		if (is_meant(p, a0, (u32)a1)) {
			p->nice = MAX(-20, MIN(19, (int)a2));
			err = 0;
		}
	return err;
}
