/* SPDX-License-Identifier: MIT */
/*
 * Owns: eventfd: a 64-bit counter that read takes (or, as a semaphore, counts down) and write adds to.
 * Lock: `lock` (RANK_PIPE) for the value. One queue for both sides: they are rarely there together.
 */
#include "kernel/fs/fd.h"
#include "kernel/fs/poll.h"
#include "kernel/syscalls.h"
#include "mm/kmem.h"

#define EFD_SEMAPHORE 1
#define MOST (~0UL - 1)

struct eventfd {
	struct spinlock lock;
	bool semaphore;
	u64 value;
	struct waitq queue;
};

/* Waits until *VALUE may go on; the lock is held. 0, -EAGAIN, -ERESTART. */
static int wait_until(struct file *f, struct eventfd *e, bool (*ready)(struct eventfd *, u64), u64 n)
{
	while (!ready(e, n)) {
		if (f->flags & O_NONBLOCK)
			return -EAGAIN;
		if (waitq_sleep(&e->queue, &e->lock, SLEEP_FOREVER, SLEEP_INTERRUPTIBLE))
			return -ERESTART;
	}
	return 0;
}

static bool has_value(struct eventfd *e, u64 n __unused)
{
	return e->value > 0;
}

static bool has_room(struct eventfd *e, u64 n)
{
	return n <= MOST - e->value;
}

static ssize_t eventfd_read(struct file *f, vaddr_t buf, size_t n, u64 *pos __unused)
{
	struct eventfd *e = f->data;
	u64 value = 0;
	int err;

	if (n < sizeof(value))
		return -EINVAL;
	spin_lock(&e->lock);
	err = wait_until(f, e, has_value, 0);
	if (!err) {
		value = e->semaphore ? 1 : e->value;
		e->value -= value;
	}
	spin_unlock(&e->lock);
	if (err)
		return err;
	waitq_wake_all(&e->queue);
	return user_put(buf, &value) ?: (ssize_t)sizeof(value);
}

static ssize_t eventfd_write(struct file *f, vaddr_t buf, size_t n, u64 *pos __unused)
{
	struct eventfd *e = f->data;
	u64 value;
	int err;

	if (n < sizeof(value))
		return -EINVAL;
	if (user_get(&value, buf))
		return -EFAULT;
	if (value > MOST)
		return -EINVAL;
	spin_lock(&e->lock);
	err = wait_until(f, e, has_room, value);
	if (!err)
		e->value += value;
	spin_unlock(&e->lock);
	if (err)
		return err;
	waitq_wake_all(&e->queue);
	return sizeof(value);
}

static unsigned eventfd_poll(struct file *f, struct poll_table *pt)
{
	struct eventfd *e = f->data;
	u64 value;

	poll_wait(pt, &e->queue);
	value = READ_ONCE(e->value);
	return (value ? POLL_IN : 0) | (value < MOST ? POLL_OUT : 0);
}

static void eventfd_close(struct file *f)
{
	kmem_free(f->data);
}

static const struct file_ops eventfd_ops = {
	.read = eventfd_read, .write = eventfd_write, .poll = eventfd_poll, .close = eventfd_close,
};

long sys_eventfd2(u64 value, u64 flags, REST2)
{
	struct eventfd *e;
	struct file *f;

	if (flags & ~(u64)(EFD_SEMAPHORE | O_CLOEXEC | O_NONBLOCK))
		return -EINVAL;
	e = kmem_alloc(sizeof(*e));
	f = e ? file_alloc(&eventfd_ops, O_RDWR | (flags & O_NONBLOCK)) : NULL;
	if (!f) {
		kmem_free(e);
		return -ENOMEM;
	}
	spin_init(&e->lock, RANK_PIPE);
	waitq_init(&e->queue);
	e->value = (u32)value;
	e->semaphore = flags & EFD_SEMAPHORE;
	f->data = e;
	return fd_install_or_put(f, flags);
}
