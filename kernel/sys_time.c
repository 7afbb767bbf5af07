/* SPDX-License-Identifier: MIT */
/*
 * Owns: reading clocks and sleeping by them. All clocks are the machine's one (clock_ns), counted from boot or
 * from 1970, or the CPU time of threads. Timers that signal are in sys_itimer.c and sys_timer.c. No lock but
 * process_lock for others' CPU time.
 */
#include "arch/user.h"
#include "kernel/base/guard.h"
#include "kernel/syscalls.h"
#include "kernel/thread.h"
#include "kernel/timespec.h"

enum { CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID, CLOCK_MONOTONIC_RAW,
       CLOCK_REALTIME_COARSE, CLOCK_MONOTONIC_COARSE, CLOCK_BOOTTIME, CLOCK_REALTIME_ALARM, CLOCK_BOOTTIME_ALARM,
       CLOCK_TAI = 11 };
#define TIMER_ABSTIME 1
#define TICKS_PER_SECOND 100
/* Clocks of others (pthread_getcpuclockid): ~id << 3, with this bit a thread's. */
#define CPU_CLOCK_OF_THREAD 4
#define OWN_CPU_CLOCK (-8)	/* id 0 */

static u64 boot_epoch_ns(void)
{
	return clock_boot_epoch() * NSEC_PER_SEC;
}

static long read_cpu_clock(int clock, u64 *ns)
{
	pid_t id = ~(clock >> 3);
	GUARD(process_lock);

	if (clock & CPU_CLOCK_OF_THREAD) {
		const struct thread *t = id ? thread_find(id) : current;

		if (!t || t->process != current_process)
			return -EINVAL;
		*ns = thread_cpu_ns(t);
	} else {
		const struct process *p = id ? process_find(id) : current_process;

		if (!p)
			return -EINVAL;
		*ns = process_cpu_ns(p);
	}
	return 0;
}

static long read_clock(int clock, u64 *ns)
{
	switch (clock) {
	case CLOCK_REALTIME:
	case CLOCK_REALTIME_COARSE:
	case CLOCK_REALTIME_ALARM:
	case CLOCK_TAI:
		*ns = boot_epoch_ns() + clock_ns();
		return 0;
	case CLOCK_MONOTONIC:
	case CLOCK_MONOTONIC_RAW:
	case CLOCK_MONOTONIC_COARSE:
	case CLOCK_BOOTTIME:
	case CLOCK_BOOTTIME_ALARM:
		*ns = clock_ns();
		return 0;
	case CLOCK_PROCESS_CPUTIME_ID:
		return read_cpu_clock(OWN_CPU_CLOCK, ns);
	case CLOCK_THREAD_CPUTIME_ID:
		*ns = thread_cpu_ns(current);
		return 0;
	default:
		return clock < 0 ? read_cpu_clock(clock, ns) : -EINVAL;
	}
}

long sys_clock_gettime(u64 clock, u64 va, REST2)
{
	struct timespec ts;
	u64 ns;
	long err = read_clock((int)clock, &ns);

	if (err)
		return err;
	ts = timespec_of(ns);
	return user_put(va, &ts);
}

long sys_clock_getres(u64 clock, u64 va, REST2)
{
	struct timespec ts = { 0, 1 };
	u64 ns;
	long err = read_clock((int)clock, &ns);

	return err ? err : va ? user_put(va, &ts) : 0;
}

long sys_gettimeofday(u64 tv_va, u64 tz_va, REST2)
{
	struct timeval tv = timeval_of(boot_epoch_ns() + clock_ns());
	u64 utc = 0;

	if (tv_va && user_put(tv_va, &tv))
		return -EFAULT;
	return tz_va ? user_put(tz_va, &utc) : 0;
}

long sys_time(u64 va, REST1)
{
	s64 seconds = (s64)((boot_epoch_ns() + clock_ns()) / NSEC_PER_SEC);

	return va && user_put(va, &seconds) ? -EFAULT : seconds;
}

static s64 ticks(u64 ns)
{
	return (s64)(ns / (NSEC_PER_SEC / TICKS_PER_SECOND));
}

long sys_times(u64 va, REST1)
{
	struct rusage_times own, children;

	spin_lock(&process_lock);
	process_usage(current_process, USAGE_SELF, &own);
	process_usage(current_process, USAGE_CHILDREN, &children);
	spin_unlock(&process_lock);
	s64 tms[4] = { ticks(own.user_ns), ticks(own.kernel_ns), ticks(children.user_ns), ticks(children.kernel_ns) };
	return va && user_put(va, &tms) ? -EFAULT : ticks(clock_ns());
}

/* Until DEADLINE: 0, or -EINTR. */
static int sleep_until(u64 deadline)
{
	int r;

	do
		r = thread_sleep(deadline, SLEEP_INTERRUPTIBLE);
	while (!r);
	return r == -EINTR ? r : 0;
}

/* A sleep that was broken off, and begun again as no handler ran, ends when it was to end. */
static long sleep_for(u64 ns, u64 left_va)
{
	u64 deadline = current->restart_deadline;
	struct timespec left;

	current->restart_deadline = 0;
	if (!deadline)
		deadline = deadline_in(ns);
	if (!sleep_until(deadline))
		return 0;
	left = timespec_of(deadline_left(deadline));
	if (left_va && user_put(left_va, &left))
		return -EFAULT;
	current->restart_deadline = deadline;
	return -ERESTART_BLOCK;
}

static long get_time(vaddr_t va, u64 *ns)
{
	struct timespec ts;

	if (user_get(&ts, va))
		return -EFAULT;
	if (!timespec_valid(&ts))
		return -EINVAL;
	*ns = timespec_ns(&ts);
	return 0;
}

long sys_nanosleep(u64 time, u64 left, REST2)
{
	u64 ns;
	long err = get_time(time, &ns);

	return err ? err : sleep_for(ns, left);
}

long sys_clock_nanosleep(u64 clock, u64 flags, u64 time, u64 left, REST4)
{
	u64 ns, now;
	long err = get_time(time, &ns);

	if (!err)
		err = read_clock((int)clock, &now);
	if (err)
		return err;
	if (clock == CLOCK_THREAD_CPUTIME_ID)
		return -EINVAL;
	if (clock == CLOCK_PROCESS_CPUTIME_ID || (int)clock < 0)
		return -EOPNOTSUPP;
	if (!(flags & TIMER_ABSTIME))
		return sleep_for(ns, left);
	/* From this clock's count to ns since boot. */
	if (ns != SLEEP_FOREVER)
		ns = ns > now ? deadline_in(ns - now) : 0;
	return sleep_until(ns) ? -ERESTART_NOHAND : 0;
}
