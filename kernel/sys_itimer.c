/* SPDX-License-Identifier: MIT */
/*
 * Owns: setitimer, getitimer, alarm: a process's timers of real and of CPU time.
 *
 * ITIMER_REAL is set again when its SIGALRM is *dequeued* (itimer_dequeued in sys_timer.c), or at once, no
 * sooner than MIN_INTERVAL, when that was not queued because it is ignored. CPU-time timers are looked at
 * when the process can have used up what is left at the earliest. Locks: timer_mutex for whoever sets
 * timers; process_lock where they fire (from the timer interrupt, which finds this CPU with no lock held).
 */
#include "kernel/base/guard.h"
#include "kernel/itimer.h"
#include "kernel/syscalls.h"

enum { ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF };
struct itimerval { struct timeval interval, value; };

void alarm_fire(struct timer *t)
{
	struct process *p = container_of(t, struct process, alarm);
	u64 now = clock_ns();
	GUARD(process_lock);

	signal_send_process(p, SIGALRM, NULL);
	if (p->sig && p->alarm_interval && !(p->sig->pending.set & SIGBIT(SIGALRM)))
		timer_start(t, MAX(next_expiry(t->deadline, p->alarm_interval, now), now + MIN_INTERVAL), alarm_fire);
}

static void cpu_timer_fire(struct timer *t);

/* Under process_lock: have P's CPU-time timers looked at when it can matter. */
static void cpu_timer_arm(struct process *p)
{
	struct signal_process *s = p->sig;
	u64 used = process_cpu_ns(p), left = SLEEP_FOREVER;

	for (int i = 0; i < 2; i++)
		if (s->cpu_itimer[i].expires)
			left = MIN(left, s->cpu_itimer[i].expires - MIN(used, s->cpu_itimer[i].expires));
	if (left == SLEEP_FOREVER)
		return;
	s->cpu_timer_owner = p;
	left /= MAX(1U, MIN(p->nr_threads, nr_cpus));
	timer_start(&s->cpu_timer, deadline_in(MAX(left, MIN_INTERVAL)), cpu_timer_fire);
}

static void cpu_timer_fire(struct timer *t)
{
	struct signal_process *s = container_of(t, struct signal_process, cpu_timer);
	GUARD(process_lock);
	struct process *p = s->cpu_timer_owner;
	u64 used;

	if (!p)				/* it has ended */
		return;
	used = process_cpu_ns(p);
	for (int i = 0; i < 2; i++) {
		struct cpu_itimer *c = &s->cpu_itimer[i];

		if (!c->expires || used < c->expires)
			continue;
		c->expires = c->interval ? next_expiry(c->expires, c->interval, used) : 0;
		signal_send_process(p, i ? SIGPROF : SIGVTALRM, NULL);
	}
	if (p->sig == s)
		cpu_timer_arm(p);
}

static void cpu_itimer_get(struct process *p, int i, u64 *value, u64 *interval)
{
	GUARD(process_lock);
	const struct cpu_itimer *c = &p->sig->cpu_itimer[i];
	u64 used = process_cpu_ns(p);

	*value = !c->expires ? 0 : c->expires > used ? c->expires - used : 1000;
	*interval = c->interval;
}

static void real_get(struct process *p, u64 *value, u64 *interval)
{
	u64 now = clock_ns(), at = p->alarm.deadline;

	*interval = p->alarm_interval;
	if (p->alarm.armed)
		*value = MAX(deadline_left(at), 1000UL);
	else
		*value = *interval ? next_expiry(at, *interval, now) - now : 0;
}

static void itimer_get(int which, u64 *value, u64 *interval)
{
	struct process *p = current_process;

	if (which == ITIMER_REAL)
		real_get(p, value, interval);
	else
		cpu_itimer_get(p, which - ITIMER_VIRTUAL, value, interval);
}

static void itimer_set(int which, u64 value, u64 interval)
{
	struct process *p = current_process;

	if (which == ITIMER_REAL) {
		spin_lock(&process_lock);
		p->alarm_interval = 0;		/* so that alarm_fire does not start it again */
		spin_unlock(&process_lock);
		timer_cancel(&p->alarm);
		if (!value)
			return;
		GUARD(process_lock);
		p->alarm_interval = interval;
		timer_start(&p->alarm, deadline_in(value), alarm_fire);
		return;
	}
	GUARD(process_lock);
	p->sig->cpu_itimer[which - ITIMER_VIRTUAL] = (struct cpu_itimer){
		.expires = value ? MIN(process_cpu_ns(p) + MIN(value, FOREVER_NS), FOREVER_NS) : 0, .interval = value ? interval : 0,
	};
	cpu_timer_arm(p);
}

long sys_getitimer(u64 which, u64 to, REST2)
{
	struct itimerval it;
	u64 value, interval;

	if (which > ITIMER_PROF)
		return -EINVAL;
	itimer_get((int)which, &value, &interval);
	it = (struct itimerval){ timeval_of(interval), timeval_of(value) };
	return user_put(to, &it);
}

long sys_setitimer(u64 which, u64 from, u64 old, REST3)
{
	struct mutex *m = &current_process->sig->timer_mutex;
	struct itimerval it = { { 0, 0 }, { 0, 0 } };
	u64 value, interval;

	if (from && user_get(&it, from))
		return -EFAULT;
	if (which > ITIMER_PROF || !timeval_valid(&it.value) || !timeval_valid(&it.interval))
		return -EINVAL;
	mutex_lock(m);
	itimer_get((int)which, &value, &interval);
	itimer_set((int)which, timeval_ns(&it.value), timeval_ns(&it.interval));
	mutex_unlock(m);
	it = (struct itimerval){ timeval_of(interval), timeval_of(value) };
	return old ? user_put(old, &it) : 0;
}

long sys_alarm(u64 seconds, REST1)
{
	struct mutex *m = &current_process->sig->timer_mutex;
	u64 value, interval;

	mutex_lock(m);
	itimer_get(ITIMER_REAL, &value, &interval);
	itimer_set(ITIMER_REAL, (u64)(u32)seconds * NSEC_PER_SEC, 0);
	mutex_unlock(m);
	if (value && value < NSEC_PER_SEC)
		return 1;
	return (long)((value + NSEC_PER_SEC / 2) / NSEC_PER_SEC);
}
