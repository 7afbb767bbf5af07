/* SPDX-License-Identifier: MIT */
/*
 * Owns: the table of devices, /dev, and the devices without hardware: null zero full random urandom
 * kmsg. /dev is a tmpfs whose nodes carry a device number; any node with that number, wherever
 * mknod put it, opens the device.
 * Lock: vfs_lock for the list of devices (added to at boot, never removed from).
 */
#include "kernel/fs/dev.h"
#include "kernel/base/print.h"
#include "kernel/fs/vfs.h"
#include "kernel/process.h"
#include "kernel/random.h"
#include "mm/kmem.h"

struct device {
	struct device *next;
	const char *name;
	u32 mode;
	u64 rdev;
	const struct file_ops *ops;
	void *data;
};

static struct device *devices;
static struct vnode *dev_root;	/* held; NULL until /dev is there */

static int make_node(const struct device *d)
{
	struct vnode *v;
	int e = dev_root->ops->create(dev_root, d->name, strlen(d->name), d->mode, d->rdev, NULL, &v);

	if (!e)
		vnode_put(v);
	return e;
}

int dev_register(const char *name, u32 mode, u64 rdev, const struct file_ops *ops, void *data)
{
	struct device *d = kmem_alloc(sizeof(*d));

	if (!d)
		return -ENOMEM;
	*d = (struct device){ devices, name, mode & S_IFMT ? mode : S_IFCHR | mode, rdev, ops, data };
	spin_lock(&vfs_lock);
	d->next = devices;
	devices = d;
	spin_unlock(&vfs_lock);
	return dev_root ? make_node(d) : 0;
}

int dev_open(struct file *f)
{
	struct device *d;

	spin_lock(&vfs_lock);
	for (d = devices; d && (d->rdev != f->vnode->rdev || (d->mode ^ f->vnode->mode) & S_IFMT); d = d->next)
		;
	spin_unlock(&vfs_lock);
	if (!d)
		return -ENXIO;
	f->ops = d->ops;
	f->data = d->data;
	return 0;
}

static ssize_t null_read(struct file *f __unused, struct iov_cursor *c __unused, u64 *pos __unused)
{
	return 0;
}

static ssize_t null_write(struct file *f __unused, struct iov_cursor *c, u64 *pos __unused)
{
	return c->left;
}

static ssize_t full_write(struct file *f __unused, struct iov_cursor *c, u64 *pos __unused)
{
	return c->left ? -ENOSPC : 0;
}

#define CHUNK 65536UL	/* between looks at pending interrupts */

static ssize_t zero_read(struct file *f __unused, struct iov_cursor *c, u64 *pos __unused)
{
	ssize_t done = 0;

	while (c->left) {
		size_t n = MIN(c->left, CHUNK), moved = iov_put(c, NULL, n);

		done += moved;
		if (moved < n)
			return done ? done : -EFAULT;
		if (signal_pause())
			break;
	}
	return done;
}

/* No page cache: the mapping is anonymous memory. */
static int zero_mmap(struct file *f __unused, struct pcache **cache)
{
	*cache = NULL;
	return 0;
}

static ssize_t random_read(struct file *f __unused, struct iov_cursor *c, u64 *pos __unused)
{
	u8 bytes[512];
	ssize_t done = 0;

	while (c->left) {
		size_t n = MIN(c->left, sizeof(bytes)), moved;

		random_bytes(bytes, n);
		moved = iov_put(c, bytes, n);
		done += moved;
		if (moved < n)
			return done ? done : -EFAULT;
		if (signal_pause())
			break;
	}
	return done;
}

/* A line that a program logs; "<N>" before it is its level. */
static ssize_t kmsg_write(struct file *f __unused, struct iov_cursor *c, u64 *pos __unused)
{
	char line[256], *text = line;
	size_t n = MIN(c->left, sizeof(line) - 1);
	ssize_t all = c->left;
	int level = LOG_NOTICE;

	if (iov_take(c, line, n) < n)
		return -EFAULT;
	line[n] = 0;
	if (n >= 3 && line[0] == '<' && line[1] >= '0' && line[1] <= '7' && line[2] == '>') {
		level = line[1] - '0';
		text += 3;
	}
	printk(level, "%s", text);
	return all;
}

/* The log from the file's position on. */
static ssize_t kmsg_read(struct file *f __unused, struct iov_cursor *c, u64 *pos)
{
	char bytes[256];
	ssize_t done = 0;

	while (c->left) {
		size_t n = log_read(pos, bytes, MIN(c->left, sizeof(bytes))), moved = iov_put(c, bytes, n);

		done += moved;
		if (moved < n)
			return done ? done : -EFAULT;
		if (!n)
			break;
	}
	return done;
}

static const struct file_ops null_ops = { .read_iov = null_read, .write_iov = null_write, .seekable = true };
static const struct file_ops zero_ops = {
	.read_iov = zero_read, .write_iov = null_write, .mmap = zero_mmap, .seekable = true,
};
static const struct file_ops full_ops = { .read_iov = zero_read, .write_iov = full_write, .seekable = true };
static const struct file_ops random_ops = { .read_iov = random_read, .write_iov = null_write, .seekable = true };
static const struct file_ops kmsg_ops = { .read_iov = kmsg_read, .write_iov = kmsg_write, .seekable = true };

int dev_init(struct vnode *dev)
{
	static const char *const links[][2] = {
		{ "fd", "/proc/self/fd" }, { "stdin", "/proc/self/fd/0" }, { "stdout", "/proc/self/fd/1" },
		{ "stderr", "/proc/self/fd/2" },
	};
	int e = dev_register("null", 0666, DEV(1, 3), &null_ops, NULL) ?:
		dev_register("zero", 0666, DEV(1, 5), &zero_ops, NULL) ?:
		dev_register("full", 0666, DEV(1, 7), &full_ops, NULL) ?:
		dev_register("random", 0666, DEV(1, 8), &random_ops, NULL) ?:
		dev_register("urandom", 0666, DEV(1, 9), &random_ops, NULL) ?:
		dev_register("kmsg", 0644, DEV(1, 11), &kmsg_ops, NULL);
	struct vnode *v;

	dev_root = vnode_get(dev);
	for (struct device *d = devices; d && !e; d = d->next)
		e = make_node(d);
	for (unsigned i = 0; i < ARRAY_SIZE(links) && !e; i++) {
		e = dev->ops->create(dev, links[i][0], strlen(links[i][0]), S_IFLNK | 0777, 0, links[i][1], &v);
		if (!e)
			vnode_put(v);
	}
	return e;
}
