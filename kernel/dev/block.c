/* SPDX-License-Identifier: MIT */
/*
 * Owns: the list of block devices, and the page cache of each. Written at boot only, so there is no lock.
 */
#include "kernel/dev/block.h"
#include "kernel/base/errno.h"
#include "kernel/base/print.h"
#include "kernel/base/string.h"

static struct block_device *devices;

int block_read(struct block_device *d, const struct block_piece *p, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (p[i].sector > d->bytes >> SECTOR_SHIFT || p[i].bytes > d->bytes - (p[i].sector << SECTOR_SHIFT))
			return -EIO;
	return n ? d->read(d, p, n) : 0;
}

static int cache_read(struct pcache *c, u64 index, struct frame **f, unsigned n)
{
	struct block_device *d = container_of(c, struct block_device, cache);
	struct block_piece p[PCACHE_READ_MAX];
	u64 at = index << PAGE_SHIFT;
	unsigned i;

	for (i = 0; i < n && at < d->bytes; i++, at += PAGE_SIZE)
		p[i] = (struct block_piece){ at >> SECTOR_SHIFT, f[i], 0, (u32)MIN(PAGE_SIZE, d->bytes - at) };
	return block_read(d, p, i);
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

struct block_device *block_find(const char *name)
{
	struct block_device *d = devices;

	while (d && strcmp(d->name, name))
		d = d->next;
	return d;
}

int block_register(struct block_device *d)
{
	pcache_init(&d->cache, &cache_ops, false);
	pcache_resize(&d->cache, d->bytes);
	d->next = devices;
	devices = d;
	return 0;
}
