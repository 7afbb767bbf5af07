/* SPDX-License-Identifier: MIT */
/*
 * Owns: timer_create and its family.
 *
 * A timer with an interval is set again when its signal is *dequeued*, so that one that nobody takes costs
 * nothing and its overruns are a division; when the signal was not queued (it is ignored, or one like it
 * is pending), it is set again at once, no sooner than MIN_INTERVAL. Locks: timer_mutex for the list and
 * whoever sets timers; process_lock where they fire, from the timer interrupt.
 */
#include "kernel/base/guard.h"
#include "kernel/itimer.h"
#include "kernel/syscalls.h"
#include "mm/kmem.h"

#define MAX_TIMERS 1024
#define TIMER_ABSTIME 1

enum { CLOCK_REALTIME_ = 0, CLOCK_MONOTONIC_ = 1, CLOCK_BOOTTIME_ = 7 };
enum { SIGEV_SIGNAL = 0, SIGEV_NONE = 1, SIGEV_THREAD = 2, SIGEV_THREAD_ID = 4 };

struct itimerspec { struct timespec interval, value; };
struct sigevent { u64 value; s32 signo, notify, tid; u8 pad[44]; };

struct posix_timer {
	LIST_ENTRY(posix_timer) link;
	struct timer timer;
	struct process *process;
	int id, clock, notify, signo;
	pid_t tid;			/* SIGEV_THREAD_ID; 0: the process */
	u64 value, expires, interval;	/* expires 0: off */
	u32 overrun;			/* of the signal taken last */
};

/* Is the signal of timer PT on queue Q? */
static bool is_queued(const struct posix_timer *pt, const struct pending *q)
{
	const struct pending_signal *s;

	TAILQ_FOREACH(s, &q->queue, link)
		if (s->info.code == SI_TIMER && s->info.by.pid == pt->id)
			return true;
	return false;
}

static void posix_timer_fire(struct timer *timer)
{
	struct posix_timer *pt = container_of(timer, struct posix_timer, timer);
	struct siginfo info = { .code = SI_TIMER, .by = { .pid = pt->id, .value = pt->value } };
	struct process *p = pt->process;
	struct thread *t = NULL;
	u64 now = clock_ns();
	bool queued = false;
	GUARD(process_lock);

	if (pt->tid)
		t = thread_find(pt->tid);
	if (pt->tid && (!t || t->process != p))
		t = TAILQ_FIRST(&p->threads);
	if (p->sig && pt->notify != SIGEV_NONE) {
		if (t)
			signal_send_thread(t, pt->signo, &info);
		else
			signal_send_process(p, pt->signo, &info);
		spin_lock(&p->sig->lock);
		queued = is_queued(pt, t ? &t->sig.pending : &p->sig->pending);
		spin_unlock(&p->sig->lock);
	}
	if (!queued && pt->interval && p->sig) {
		pt->expires = next_expiry(pt->expires, pt->interval, now);
		timer_start(timer, MAX(pt->expires, now + MIN_INTERVAL), posix_timer_fire);
	} else if (!queued) {
		pt->expires = 0;
	}
}

static struct posix_timer *find_timer(int id)
{
	struct posix_timer *pt;

	LIST_FOREACH(pt, &current_process->sig->timers, link)
		if (pt->id == id)
			return pt;
	return NULL;
}

void itimer_dequeued(struct siginfo *info)
{
	struct process *p = current_process;
	u64 now = clock_ns();
	struct posix_timer *pt;

	mutex_lock(&p->sig->timer_mutex);
	spin_lock(&process_lock);	/* apart from who fires */
	if (info->code != SI_TIMER) {
		if (p->alarm_interval && !p->alarm.armed)
			timer_start(&p->alarm, next_expiry(p->alarm.deadline, p->alarm_interval, now), alarm_fire);
	} else if ((pt = find_timer(info->by.pid)) && !pt->timer.armed && pt->expires) {
		pt->overrun = pt->interval ? (u32)MIN((now - pt->expires) / pt->interval, 0x7fffffffUL) : 0;
		info->by.uid = pt->overrun;
		pt->expires = pt->interval ? next_expiry(pt->expires, pt->interval, now) : 0;
		if (pt->expires)
			timer_start(&pt->timer, pt->expires, posix_timer_fire);
	}
	spin_unlock(&process_lock);
	mutex_unlock(&p->sig->timer_mutex);
}

static void delete_timer(struct posix_timer *pt)
{
	LIST_REMOVE(pt, link);
	timer_cancel(&pt->timer);
	kmem_free(pt);
}

void itimer_exec(struct signal_process *s)
{
	mutex_lock(&s->timer_mutex);
	while (!LIST_EMPTY(&s->timers))
		delete_timer(LIST_FIRST(&s->timers));
	mutex_unlock(&s->timer_mutex);
}

void itimer_leave(struct process *p, struct signal_process *s)
{
	struct posix_timer *pt, *next;

	spin_lock(&process_lock);
	if (s->cpu_timer_owner == p)
		s->cpu_timer_owner = NULL;
	spin_unlock(&process_lock);
	if (LIST_EMPTY(&s->timers))
		return;
	mutex_lock(&s->timer_mutex);
	LIST_FOREACH_SAFE(pt, &s->timers, link, next)
		if (pt->process == p)
			delete_timer(pt);
	mutex_unlock(&s->timer_mutex);
}

void itimer_exit(struct process *p)
{
	spin_lock(&process_lock);
	p->alarm_interval = 0;
	spin_unlock(&process_lock);
	timer_cancel(&p->alarm);
	itimer_leave(p, p->sig);
}

void itimer_destroy(struct signal_process *s)
{
	timer_cancel(&s->cpu_timer);
	while (!LIST_EMPTY(&s->timers))
		delete_timer(LIST_FIRST(&s->timers));
}

/* Is EV's thread one of ours? */
static bool own_thread(pid_t tid)
{
	GUARD(process_lock);
	struct thread *t = thread_find(tid);

	return t && t->process == current_process;
}

long sys_timer_create(u64 clock, u64 event, u64 id_to, REST3)
{
	struct signal_process *s = current_process->sig;
	struct sigevent ev = { .signo = SIGALRM };
	struct posix_timer *pt, *other;
	unsigned count = 0;
	int id;

	if (clock != CLOCK_REALTIME_ && clock != CLOCK_MONOTONIC_ && clock != CLOCK_BOOTTIME_)
		return -EINVAL;
	if (event && user_get(&ev, event))
		return -EFAULT;
	if (ev.notify != SIGEV_NONE && (ev.signo < 1 || ev.signo > NSIG))
		return -EINVAL;
	if (ev.notify & ~(SIGEV_NONE | SIGEV_THREAD | SIGEV_THREAD_ID) ||
	    (ev.notify & SIGEV_THREAD_ID && !own_thread(ev.tid)))
		return -EINVAL;
	pt = kmem_alloc(sizeof(*pt));
	if (!pt)
		return -EAGAIN;
	mutex_lock(&s->timer_mutex);
	LIST_FOREACH(other, &s->timers, link)
		count++;
	if (count >= MAX_TIMERS) {
		mutex_unlock(&s->timer_mutex);
		kmem_free(pt);
		return -EAGAIN;
	}
	id = s->next_timer_id++ & 0x7fffffff;
	pt->process = current_process;
	pt->id = id;
	pt->clock = (int)clock;
	pt->notify = ev.notify;
	pt->signo = ev.signo;
	pt->tid = ev.notify & SIGEV_THREAD_ID ? ev.tid : 0;
	pt->value = event ? ev.value : (u64)id;
	LIST_INSERT_HEAD(&s->timers, pt, link);
	mutex_unlock(&s->timer_mutex);
	if (!user_put(id_to, &id))
		return 0;
	sys_timer_delete(id, 0, 0, 0, 0, 0);
	return -EFAULT;
}

/* Under timer_mutex. */
static struct itimerspec timer_get(const struct posix_timer *pt)
{
	u64 now = clock_ns(), left = 0;

	if (pt->expires && pt->interval)
		left = next_expiry(pt->expires, pt->interval, now) - now;
	else if (pt->timer.armed)
		left = MAX(deadline_left(pt->expires), 1UL);
	return (struct itimerspec){ timespec_of(pt->interval), timespec_of(left) };
}

static void timer_set(struct posix_timer *pt, const struct itimerspec *it, bool absolute)
{
	u64 at = timespec_ns(&it->value), epoch = clock_boot_epoch() * NSEC_PER_SEC;

	timer_cancel(&pt->timer);
	pt->expires = pt->overrun = 0;
	pt->interval = timespec_ns(&it->interval);
	if (!at)
		return;
	if (!absolute)
		at = deadline_in(at);
	else if (pt->clock == CLOCK_REALTIME_ && at != SLEEP_FOREVER)
		at = at > epoch ? at - epoch : 0;
	pt->expires = MAX(at, 1UL);
	timer_start(&pt->timer, pt->expires, posix_timer_fire);
}

long sys_timer_settime(u64 id, u64 flags, u64 new, u64 old, REST4)
{
	struct mutex *m = &current_process->sig->timer_mutex;
	struct itimerspec it, was;
	struct posix_timer *pt;

	if (!new)
		return -EINVAL;
	if (user_get(&it, new))
		return -EFAULT;
	if (!timespec_valid(&it.value) || !timespec_valid(&it.interval))
		return -EINVAL;
	mutex_lock(m);
	pt = find_timer((int)id);
	if (pt) {
		was = timer_get(pt);
		timer_set(pt, &it, flags & TIMER_ABSTIME);
	}
	mutex_unlock(m);
	return !pt ? -EINVAL : old ? user_put(old, &was) : 0;
}

long sys_timer_gettime(u64 id, u64 to, REST2)
{
	struct mutex *m = &current_process->sig->timer_mutex;
	struct itimerspec it;
	struct posix_timer *pt;

	mutex_lock(m);
	pt = find_timer((int)id);
	if (pt)
		it = timer_get(pt);
	mutex_unlock(m);
	return pt ? user_put(to, &it) : -EINVAL;
}

long sys_timer_getoverrun(u64 id, REST1)
{
	struct mutex *m = &current_process->sig->timer_mutex;
	struct posix_timer *pt;
	long overrun;

	mutex_lock(m);
	pt = find_timer((int)id);
	overrun = pt ? (long)pt->overrun : -EINVAL;
	mutex_unlock(m);
	return overrun;
}

long sys_timer_delete(u64 id, REST1)
{
	struct mutex *m = &current_process->sig->timer_mutex;
	struct posix_timer *pt;

	mutex_lock(m);
	pt = find_timer((int)id);
	if (pt)
		delete_timer(pt);
	mutex_unlock(m);
	return pt ? 0 : -EINVAL;
}
