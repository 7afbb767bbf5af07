/* SPDX-License-Identifier: MIT */
/*
 * Owns: epoll: a set of descriptors that is kept in the kernel between waits.
 *
 * A member is a descriptor and the number of the file that it meant, without a hold on that: it is gone as soon
 * as the descriptor means another file, which is noticed when a process that shares its table looks next. Waiting asks every member, as poll
 * does; what was reported moves to the end of the set. With EPOLLET a member is reported once for all that its
 * wait queues were woken for since it was asked last. An epoll within an epoll is refused. Lock: epoll->lock,
 * a mutex.
 */
#include "kernel/base/string.h"
#include "kernel/fs/fd.h"
#include "kernel/fs/poll.h"
#include "kernel/process.h"
#include "kernel/syscalls.h"
#include "kernel/timespec.h"
#include "mm/kmem.h"

enum { CTL_ADD = 1, CTL_DEL, CTL_MOD };
#define EPOLLONESHOT (1U << 30)
#define EPOLLET (1U << 31)
#define EVENT_BITS 0x3fffU		/* what poll knows, of the events; the rest are flags */
#define MAX_BATCH 256			/* events per call */

struct epoll_event { u32 events; u64 data; } __attribute__((packed));

struct member {
	TAILQ_ENTRY(member) link;
	u64 watch;			/* of its file */
	const struct files *of;		/* whose descriptor; only compared */
	int fd;
	bool reported;
	u32 wakes;			/* when it was */
	struct epoll_event wanted;
};

struct epoll {
	struct mutex lock;
	TAILQ_HEAD(member_list, member) members;
	struct waitq changed;		/* members came or want something else */
};

static void drop(struct epoll *ep, struct member *m)
{
	TAILQ_REMOVE(&ep->members, m, link);
	kmem_free(m);
}

struct wait_call {
	struct epoll *ep;
	struct file *file;		/* the epoll's own */
	struct epoll_event *events;	/* NULL: only whether there are any */
	long max;
};

/* The number of F, which no other file has or will have. */
static u64 watch_number(struct file *f)
{
	static u64 last;
	u64 none = 0;

	if (!READ_ONCE(f->watch))
		__atomic_compare_exchange_n(&f->watch, &none, __atomic_add_fetch(&last, 1, __ATOMIC_RELAXED), false,
					    __ATOMIC_RELAXED, __ATOMIC_RELAXED);
	return f->watch;
}

/* What M, whose file is F, has to report; queues on PT unless it is NULL. TAKE: it is reported by that. */
static unsigned ask(struct member *m, struct file *f, struct poll_table *pt, bool take)
{
	struct poll_table count;
	bool edges = m->wanted.events & EPOLLET;
	unsigned now;

	if (!(m->wanted.events & EVENT_BITS))
		return 0;
	if (edges && !pt) {
		pt = &count;
		pt->file = NULL;
		pt->only_count = true;
	}
	if (pt)
		pt->wakes = 0;
	now = poll_file_bits(f, pt) & m->wanted.events & EVENT_BITS;
	if (edges && m->reported && m->wakes == pt->wakes)
		return 0;
	if (take && edges) {
		m->reported = now;
		m->wakes = pt->wakes;
	}
	return now;
}

/* Under ep->lock. */
static long scan_members(struct wait_call *c, struct poll_table *pt)
{
	struct member *m, *next, *last = TAILQ_LAST(&c->ep->members, member_list);
	bool end = !last;
	long n = 0;

	for (m = TAILQ_FIRST(&c->ep->members); !end && n < c->max; m = next) {
		struct file *f = fd_get(m->fd);
		unsigned now = 0;

		next = TAILQ_NEXT(m, link);
		end = m == last;
		if (f && f->watch == m->watch)
			now = ask(m, f, n ? NULL : pt, c->events);
		else if (m->of == current_process->files)
			drop(c->ep, m);
		if (now) {
			if (c->events) {
				c->events[n] = (struct epoll_event){ now, m->wanted.data };
				if (m->wanted.events & EPOLLONESHOT)
					m->wanted.events &= ~EVENT_BITS;
				TAILQ_REMOVE(&c->ep->members, m, link);
				TAILQ_INSERT_TAIL(&c->ep->members, m, link);
			}
			n++;
		}
		if (f)
			file_put(f);
	}
	return n;
}

static long wait_scan(void *arg, struct poll_table *pt)
{
	struct wait_call *c = arg;
	long n;

	if (pt) {
		pt->file = c->file;
		poll_wait(pt, &c->ep->changed);
	}
	mutex_lock(&c->ep->lock);
	n = scan_members(c, pt);
	mutex_unlock(&c->ep->lock);
	return n;
}

static unsigned epoll_poll(struct file *f, struct poll_table *pt)
{
	struct wait_call c = { .ep = f->data, .file = f, .max = 1 };

	return wait_scan(&c, pt) ? POLL_IN : 0;
}

static void epoll_close(struct file *f)
{
	struct epoll *ep = f->data;

	while (!TAILQ_EMPTY(&ep->members))
		drop(ep, TAILQ_FIRST(&ep->members));
	kmem_free(ep);
}

static const struct file_ops epoll_ops = { .poll = epoll_poll, .close = epoll_close };

static long create(u32 flags)
{
	struct epoll *ep = kmem_alloc(sizeof(*ep));
	struct file *f = ep ? file_alloc(&epoll_ops, O_RDWR) : NULL;

	if (!f) {
		kmem_free(ep);
		return -ENOMEM;
	}
	mutex_init(&ep->lock);
	waitq_init(&ep->changed);
	TAILQ_INIT(&ep->members);
	f->data = ep;
	return fd_install_or_put(f, flags);
}

long sys_epoll_create(u64 size, REST1)
{
	return (int)size <= 0 ? -EINVAL : create(0);
}

long sys_epoll_create1(u64 flags, REST1)
{
	return flags & ~(u64)O_CLOEXEC ? -EINVAL : create((u32)flags);
}

/* The epoll behind EPFD with a hold on its file, or NULL and why. */
static struct file *get_epoll(int epfd, long *err)
{
	struct file *f = fd_get(epfd);

	*err = -EBADF;
	if (f && f->ops != &epoll_ops) {
		*err = -EINVAL;
		file_put(f);
		f = NULL;
	}
	return f;
}

/* Under ep->lock. */
static long control(struct epoll *ep, u64 op, int fd, struct file *f, const struct epoll_event *ev)
{
	struct member *next, *m = NULL;

	for (next = TAILQ_FIRST(&ep->members); next && !m;) {
		struct member *this = next;

		next = TAILQ_NEXT(this, link);
		if (this->fd == fd && this->watch == f->watch)
			m = this;
		else if (this->fd == fd && this->of == current_process->files)
			drop(ep, this);		/* the number means another file now */
	}
	switch (op) {
	case CTL_ADD:
		if (m)
			return -EEXIST;
		m = kmem_alloc(sizeof(*m));
		if (!m)
			return -ENOMEM;
		*m = (struct member){ .watch = watch_number(f), .of = current_process->files, .fd = fd };
		TAILQ_INSERT_TAIL(&ep->members, m, link);
		break;
	case CTL_DEL:
		if (m)
			drop(ep, m);
		return m ? 0 : -ENOENT;
	case CTL_MOD:
		if (!m)
			return -ENOENT;
		break;
	default:
		return -EINVAL;
	}
	m->reported = false;
	m->wanted = *ev;
	m->wanted.events |= POLL_ERR | POLL_HUP;
	return 0;
}

long sys_epoll_ctl(u64 epfd, u64 op, u64 fd, u64 event, REST4)
{
	struct epoll_event ev = { 0, 0 };
	struct file *ef, *f;
	struct epoll *ep;
	long err;

	if (op != CTL_DEL && user_get(&ev, event))
		return -EFAULT;
	ef = get_epoll((int)epfd, &err);
	if (!ef)
		return err;
	ep = ef->data;
	f = fd_get_io((int)fd);
	if (!f) {
		err = -EBADF;
	} else if (!f->ops->poll) {
		err = -EPERM;
	} else if (f->ops == &epoll_ops) {
		err = -EINVAL;
	} else {
		mutex_lock(&ep->lock);
		err = control(ep, op, (int)fd, f, &ev);
		mutex_unlock(&ep->lock);
		waitq_wake_all(&ep->changed);
	}
	if (f)
		file_put(f);
	file_put(ef);
	return err;
}

static long wait(u64 epfd, u64 events, int max, int timeout)
{
	struct wait_call c = { .max = MIN(max, MAX_BATCH) };
	u64 deadline = timeout < 0 ? SLEEP_FOREVER : deadline_in((u64)timeout * 1000000);
	long result;

	if (max <= 0 || (u64)max > 0x7fffffffUL / sizeof(struct epoll_event))
		return -EINVAL;
	c.file = get_epoll((int)epfd, &result);
	if (!c.file)
		return result;
	c.ep = c.file->data;
	c.events = kmem_alloc((size_t)c.max * sizeof(*c.events));
	result = c.events ? poll_loop(wait_scan, &c, deadline) : -ENOMEM;
	if (result > 0 && user_copy_out(events, c.events, (size_t)result * sizeof(*c.events)))
		result = -EFAULT;
	kmem_free(c.events);
	file_put(c.file);
	return result;
}

long sys_epoll_wait(u64 epfd, u64 events, u64 max, u64 timeout, REST4)
{
	return wait(epfd, events, (int)max, (int)timeout);
}

long sys_epoll_pwait(u64 epfd, u64 events, u64 max, u64 timeout, u64 mask, u64 size)
{
	sigset_t_ set;
	long result;

	if (!mask)
		return wait(epfd, events, (int)max, (int)timeout);
	result = signal_get_set(mask, size, &set);
	if (result)
		return result;
	signal_mask_enter(set);
	result = wait(epfd, events, (int)max, (int)timeout);
	signal_mask_leave(result == -EINTR);
	return result;
}
