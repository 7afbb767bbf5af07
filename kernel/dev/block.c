/* SPDX-License-Identifier: MIT */
/*
 * Owns: the list of block devices, the page cache of each, and /dev/NAME. The list is written at boot only, so
 * there is no lock. Opened for writing a device is EROFS; mapped, it is its page cache.
 */
#include "kernel/dev/block.h"
#include "arch/user.h"
#include "kernel/base/errno.h"
#include "kernel/base/print.h"
#include "kernel/base/string.h"
#include "kernel/fs/dev.h"
#include "kernel/fs/vfs.h"
#include "kernel/sched.h"

static struct block_device *devices;
static struct waitq cache_waiters = WAITQ(cache_waiters);	/* for pages in flight, whichever */

void pcache_wait(struct spinlock *held)
{
	waitq_sleep(&cache_waiters, held, SLEEP_FOREVER, SLEEP_UNINTERRUPTIBLE);
}

void pcache_wake(void)
{
	waitq_wake_all(&cache_waiters);
}

int block_read(struct block_device *d, const struct block_piece *p, unsigned n, struct pcache_io *io)
{
	for (unsigned i = 0; i < n; i++)
		if (p[i].sector > d->bytes >> SECTOR_SHIFT || p[i].bytes > d->bytes - (p[i].sector << SECTOR_SHIFT))
			return -EIO;
	return n ? d->read(d, p, n, io) : 0;
}

static int cache_read(struct pcache *c, u64 index, struct frame **f, unsigned n, struct pcache_io *io)
{
	struct block_device *d = container_of(c, struct block_device, cache);
	struct block_piece p[PCACHE_READ_MAX];
	u64 at = index << PAGE_SHIFT;
	unsigned i;

	for (i = 0; i < n && at < d->bytes; i++, at += PAGE_SIZE)
		p[i] = (struct block_piece){ at >> SECTOR_SHIFT, f[i], 0, (u32)MIN(PAGE_SIZE, d->bytes - at) };
	return block_read(d, p, i, io);
}

static void cache_hold(struct pcache *c __unused)	/* devices stay */
{
}

static void cache_name(struct pcache *c, char *buf, size_t size)
{
	snprintf(buf, size, "/dev/%s", container_of(c, struct block_device, cache)->name);
}

static void cache_identity(struct pcache *c, u64 *dev, u64 *ino)
{
	*dev = 0;
	*ino = container_of(c, struct block_device, cache)->rdev;
}

static const struct pcache_ops cache_ops = {
	.get = cache_hold, .put = cache_hold, .read_many = cache_read, .clean = true, .name = cache_name,
	.identity = cache_identity,
};

static int device_open(struct file *f)
{
	return (f->flags & O_ACCMODE) == O_RDONLY ? 0 : -EROFS;
}

static ssize_t device_read(struct file *f, struct iov_cursor *to, u64 *pos)
{
	return file_read_cached(&((struct block_device *)f->data)->cache, to, pos);
}

static int device_mmap(struct file *f, struct pcache **cache)
{
	*cache = &((struct block_device *)f->data)->cache;
	return 0;
}

enum { BLKROGET = 0x125e, BLKGETSIZE = 0x1260, BLKSSZGET = 0x1268, BLKGETSIZE64 = 0x80081272 };

static long device_ioctl(struct file *f, unsigned cmd, u64 arg)
{
	struct block_device *d = f->data;
	u64 value = cmd == BLKROGET ? 1 : cmd == BLKSSZGET ? SECTOR_SIZE : cmd == BLKGETSIZE ? d->bytes >> SECTOR_SHIFT : d->bytes;

	if (cmd != BLKROGET && cmd != BLKSSZGET && cmd != BLKGETSIZE && cmd != BLKGETSIZE64)
		return -ENOTTY;
	return user_copy_out(arg, &value, cmd == BLKROGET || cmd == BLKSSZGET ? 4 : 8) ? -EFAULT : 0;
}

static const struct file_ops device_ops = {
	.open = device_open, .read_iov = device_read, .mmap = device_mmap, .ioctl = device_ioctl, .seekable = true,
};

struct block_device *block_find(u64 rdev)
{
	struct block_device *d = devices;

	while (d && d->rdev != rdev)
		d = d->next;
	return d;
}

int block_register(struct block_device *d)
{
	pcache_init(&d->cache, &cache_ops, false);
	pcache_resize(&d->cache, d->bytes);
	d->next = devices;
	devices = d;
	return dev_register(d->name, S_IFBLK | 0440, d->rdev, &device_ops, d);
}
