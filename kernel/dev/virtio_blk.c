/* SPDX-License-Identifier: MIT */
/*
 * Owns: virtio disks on PCI (Virtio 1.0, "modern"): their registers, one queue each, what is in flight.
 *
 * A request is a chain of descriptors: a header that the device reads, the pages that it fills, a byte of status.
 * Header and status have a place per descriptor: those of the chain's first are used. What is asked for is one or
 * more requests, each a part of a struct pcache_io; the interrupt takes finished ones off and ends their parts. To
 * read and wait is to do the same, and sleep until all parts have ended.
 *
 * A device that breaks the rules, or answers nothing for disk_timeout, is reset, so that it touches memory no
 * more; all that waits for it fails, and whatever is asked of it later. Lock: disk->lock (RANK_PIPE) for all
 * fields that change after the start; interrupt and timer take it too, which come only where no lock is held. It
 * is held when the last part of a pcache_io is ended.
 */
#include "arch/machine.h"
#include "kernel/base/errno.h"
#include "kernel/base/print.h"
#include "kernel/base/string.h"
#include "kernel/base/tunables.h"
#include "kernel/dev/block.h"
#include "kernel/dev/pci.h"
#include "kernel/fs/dev.h"
#include "kernel/sched.h"
#include "mm/kmem.h"

enum { VENDOR = 0x1af4, DEVICE_MODERN = 0x1042, DEVICE_TRANSITIONAL = 0x1001 };
enum { CAP_COMMON = 1, CAP_NOTIFY = 2, CAP_DEVICE = 4 };		/* cfg_type of a capability */
enum { CAP_TYPE = 3, CAP_BAR = 4, CAP_OFFSET = 8, CAP_LENGTH = 12, CAP_MULTIPLIER = 16 };
enum { STATUS_ACKNOWLEDGE = 1, STATUS_DRIVER = 2, STATUS_DRIVER_OK = 4, STATUS_FEATURES_OK = 8, STATUS_FAILED = 128 };
enum { FEATURE_SEG_MAX = 1 << 2, FEATURE_VERSION_1 = 1 << 0 };		/* in words 0 and 1 of the features */
enum { NO_VECTOR = 0xffff, RESET_TRIES = 1000000 };
enum { DESC_NEXT = 1, DESC_WRITE = 2, REQUEST_IN = 0, MOST_DISKS = 4 };

struct common_config {
	u32 device_feature_select, device_feature, driver_feature_select, driver_feature;
	u16 config_vector, num_queues;
	u8 status, generation;
	u16 queue_select, queue_size, queue_vector, queue_enable, queue_notify_off;
	u32 queue_desc[2], queue_avail[2], queue_used[2];
};
_Static_assert(sizeof(struct common_config) == 56, "Virtio 1.0, 4.1.4.3");

struct blk_config { u32 capacity[2], size_max, seg_max; };

#define RING_MAX 256U		/* descriptors used; a power of two */
#define NS 1000000000UL

struct desc { u64 address; u32 length; u16 flags, next; };
struct header { u32 type, reserved; u64 sector; };

/* What device and driver share: one block of memory. */
struct rings {
	struct desc desc[RING_MAX];
	struct { u16 flags, idx, ring[RING_MAX]; } avail __attribute__((aligned(4)));
	struct { u16 flags, idx; struct { u32 id, length; } ring[RING_MAX]; } used __attribute__((aligned(4)));
	struct header header[RING_MAX];
	u8 status[RING_MAX];
};
#define RINGS_ORDER 2
_Static_assert(sizeof(struct rings) <= PAGE_SIZE << RINGS_ORDER, "the rings fit their block");

/* What one thread waits for. */
struct transfer {
	struct pcache_io io;
	struct waitq done;
};

struct disk {
	struct block_device block;
	char name[4];
	volatile struct common_config *common;
	volatile u16 *notify;
	struct rings *rings;
	u32 size, most_pages;		/* descriptors; pages of one request */
	struct spinlock lock;
	u16 free, nr_free;		/* list of free descriptors through `next` */
	u16 seen;			/* used.idx as far as we have looked */
	bool dead;
	struct pcache_io *owner[RING_MAX];	/* by a request's first descriptor; NULL: none in flight */
	struct waitq room;		/* threads that want descriptors */
	u64 answered;			/* when it last answered, or was asked with nothing in flight: ns since boot */
	struct timer watch;		/* armed while something is in flight, perhaps longer */
	bool watched;
};

static void wake(struct pcache_io *io)
{
	waitq_wake_all(&container_of(io, struct transfer, io)->done);
}

static void finish(struct disk *d, u16 head, bool failed)
{
	struct pcache_io *io = d->owner[head];

	d->owner[head] = NULL;
	pcache_io_end(io, failed);
}

static bool reset(struct disk *d)
{
	d->common->status = 0;
	for (unsigned i = 0; i < RESET_TRIES; i++)
		if (!d->common->status)
			return true;
	return false;
}

/* D is trusted no more. Locked. */
static void give_up(struct disk *d, const char *why)
{
	if (d->dead)
		return;
	printk(LOG_ERR, "%s: %s; the disk is given up", d->name, why);
	d->dead = true;
	if (!reset(d))
		panic("%s: it cannot be reset, and might write to memory at any time", d->name);
	for (u16 i = 0; i < d->size; i++)
		if (d->owner[i])
			finish(d, i, true);
	waitq_wake_all(&d->room);
}

static void free_chain(struct disk *d, u16 head)
{
	u16 last = head;

	d->nr_free++;
	for (; d->rings->desc[last].flags & DESC_NEXT; last = d->rings->desc[last].next)
		d->nr_free++;
	d->rings->desc[last].next = d->free;
	d->free = head;
	waitq_wake_all(&d->room);
}

static void interrupt(void *arg)
{
	struct disk *d = arg;
	struct rings *r = d->rings;

	spin_lock(&d->lock);
	while (!d->dead && d->seen != __atomic_load_n(&r->used.idx, __ATOMIC_ACQUIRE)) {
		u32 head = READ_ONCE(r->used.ring[d->seen++ % d->size].id);

		if (head >= d->size || !d->owner[head]) {
			give_up(d, "it finished what nobody had asked for");
			break;
		}
		d->answered = clock_ns();
		finish(d, (u16)head, r->status[head] != 0);
		free_chain(d, (u16)head);
	}
	spin_unlock(&d->lock);
}

/* While something is in flight and disk_timeout is set, looks whether D answers. Locked. */
static void watch(struct disk *d);

static void look(struct timer *t)
{
	struct disk *d = container_of(t, struct disk, watch);

	spin_lock(&d->lock);
	d->watched = false;
	if (d->nr_free < d->size && tune.disk_timeout && clock_ns() >= d->answered + tune.disk_timeout * NS)
		give_up(d, "no answer in disk_timeout seconds");
	watch(d);
	spin_unlock(&d->lock);
}

static void watch(struct disk *d)
{
	if (d->watched || d->dead || d->nr_free == d->size || !tune.disk_timeout)
		return;
	d->watched = true;
	timer_start(&d->watch, d->answered + tune.disk_timeout * NS, look);
}

static u16 add_desc(struct disk *d, paddr_t address, u32 length, u16 flags)
{
	u16 n = d->free;
	struct desc *desc = &d->rings->desc[n];

	d->free = desc->next;
	d->nr_free--;
	*desc = (struct desc){ address, length, flags, d->free };	/* its successor is the next one taken */
	return n;
}

/* Submits the N pieces, one run of sectors, for IO. Locked; there is room. */
static void submit(struct disk *d, struct pcache_io *io, const struct block_piece *p, unsigned n)
{
	struct rings *r = d->rings;
	u16 head = d->free;
	const char *base = (const char *)r;
	paddr_t pa = (paddr_t)(base - direct_map);

	if (d->nr_free == d->size)
		d->answered = clock_ns();
	r->header[head] = (struct header){ .type = REQUEST_IN, .sector = p->sector };
	r->status[head] = 0xff;
	d->owner[head] = io;
	pcache_io_begin(io);
	add_desc(d, pa + (u64)((const char *)&r->header[head] - base), sizeof(struct header), DESC_NEXT);
	for (unsigned i = 0; i < n; i++)
		add_desc(d, frame_pa(p[i].frame) + p[i].offset, p[i].bytes, DESC_NEXT | DESC_WRITE);
	add_desc(d, pa + (u64)((const char *)&r->status[head] - base), 1, DESC_WRITE);
	r->avail.ring[r->avail.idx % d->size] = head;
	__atomic_store_n(&r->avail.idx, (u16)(r->avail.idx + 1), __ATOMIC_RELEASE);
	*d->notify = 0;		/* uncached: it comes after the stores */
	watch(d);
}

/* How many of the N pieces one request takes. */
static unsigned run_of(const struct disk *d, const struct block_piece *p, unsigned n)
{
	unsigned run = 1;

	while (run < n && run < d->most_pages && p[run].sector == p[run - 1].sector + (p[run - 1].bytes >> SECTOR_SHIFT))
		run++;
	return run;
}

/* Could all be submitted now? Locked. */
static bool room_for(const struct disk *d, const struct block_piece *p, unsigned n)
{
	unsigned need = 0;

	for (unsigned run; n; p += run, n -= run)
		need += 2 + (run = run_of(d, p, n));
	return need <= d->nr_free;
}

static void wait(struct disk *d, struct waitq *q)
{
	waitq_sleep(q, &d->lock, SLEEP_FOREVER, SLEEP_UNINTERRUPTIBLE);
}

/* Submits the N pieces for IO, as there is room. How many are left: D is dead. Locked. */
static unsigned submit_all(struct disk *d, struct pcache_io *io, const struct block_piece *p, unsigned n)
{
	for (unsigned run; n; p += run, n -= run) {
		run = run_of(d, p, n);
		while (d->nr_free < run + 2 && !d->dead)
			wait(d, &d->room);
		if (d->dead)
			break;
		submit(d, io, p, run);
	}
	return n;
}

static int disk_read(struct block_device *b, const struct block_piece *p, unsigned n, struct pcache_io *io)
{
	struct disk *d = container_of(b, struct disk, block);
	struct transfer t = { .io.done = wake };
	int err = 0;

	spin_lock(&d->lock);
	if (!io) {
		waitq_init(&t.done);
		err = submit_all(d, &t.io, p, n) ? -EIO : 0;
		while (t.io.parts)
			wait(d, &t.done);
		err = t.io.failed ? -EIO : err;
	} else if (!room_for(d, p, n)) {
		err = -EAGAIN;
	} else if (submit_all(d, io, p, n)) {
		err = -EIO;
	}
	spin_unlock(&d->lock);
	return err;
}

/* The structure of kind TYPE that a capability points to, mapped; its capability in *CAP. */
static volatile void *map_structure(pci_t dev, u8 type, u32 size, u8 *cap)
{
	u8 at = 0;

	for (unsigned i = 0; i < PCI_MOST_CAPABILITIES && (at = pci_capability(dev, PCI_CAP_VENDOR, at)) != 0; i++)
		if (pci_read8(dev, at + CAP_TYPE) == type && pci_read32(dev, at + CAP_LENGTH) >= size) {
			*cap = at;
			return pci_map(dev, pci_read8(dev, at + CAP_BAR), pci_read32(dev, at + CAP_OFFSET),
				       pci_read32(dev, at + CAP_LENGTH));
		}
	return NULL;
}

/* Agrees on features: we want version 1 and, where it is offered, the number of pages a request may have. */
static bool negotiate(volatile struct common_config *c, bool *seg_max)
{
	c->device_feature_select = 1;
	if (!(c->device_feature & FEATURE_VERSION_1))
		return false;
	c->device_feature_select = 0;
	*seg_max = c->device_feature & FEATURE_SEG_MAX;
	c->driver_feature_select = 0;
	c->driver_feature = *seg_max ? FEATURE_SEG_MAX : 0;
	c->driver_feature_select = 1;
	c->driver_feature = FEATURE_VERSION_1;
	c->status |= STATUS_FEATURES_OK;
	return c->status & STATUS_FEATURES_OK;
}

static void put_address(volatile u32 to[2], const void *at)
{
	paddr_t pa = (paddr_t)((const char *)at - direct_map);

	to[0] = (u32)pa;
	to[1] = (u32)(pa >> 32);
}

/* The queue: its rings, its interrupt. NULL or why not. */
static const char *start_queue(struct disk *d)
{
	volatile struct common_config *c = d->common;
	struct frame *f = frame_alloc_order(RINGS_ORDER, FRAME_KERNEL);

	if (!f)
		return "no memory";
	d->rings = memset(frame_ptr(f), 0, PAGE_SIZE << RINGS_ORDER);
	c->config_vector = NO_VECTOR;
	c->queue_select = 0;
	d->size = MIN(c->queue_size, RING_MAX);
	d->most_pages = MIN(d->most_pages, d->size - 2);
	if (d->size < 4 || d->size & (d->size - 1))
		return "a queue of a size that cannot be";
	for (u16 i = 0; i < d->size; i++)
		d->rings->desc[i].next = (u16)(i + 1);
	d->nr_free = (u16)d->size;
	c->queue_size = (u16)d->size;
	c->queue_vector = 0;
	if (c->queue_vector != 0)
		return "it refuses its interrupt";
	put_address(c->queue_desc, d->rings->desc);
	put_address(c->queue_avail, &d->rings->avail);
	put_address(c->queue_used, &d->rings->used);
	c->queue_enable = 1;
	c->status |= STATUS_DRIVER_OK;
	return NULL;
}

/* Takes DEV into service as D. NULL or why not. */
static const char *start(struct disk *d, pci_t dev)
{
	u8 cap = 0, unused;
	volatile struct blk_config *config = map_structure(dev, CAP_DEVICE, sizeof(*config), &unused);
	volatile char *notify = map_structure(dev, CAP_NOTIFY, 2, &cap);
	bool seg_max;

	d->common = map_structure(dev, CAP_COMMON, sizeof(*d->common), &unused);
	if (!d->common || !notify || !config)
		return "no registers of Virtio 1.0";
	pci_enable(dev);
	if (!reset(d))
		return "it does not answer";
	d->common->status = STATUS_ACKNOWLEDGE | STATUS_DRIVER;
	if (!negotiate(d->common, &seg_max))
		return "it does not speak Virtio 1.0";
	d->block.bytes = ((u64)config->capacity[1] << 32 | config->capacity[0]) << SECTOR_SHIFT;
	if (!d->block.bytes || d->block.bytes >> 62)
		return "it has no sectors";
	d->most_pages = seg_max ? MAX(config->seg_max, 1U) : 1;
	if (pci_attach_message(dev, interrupt, d))
		return "no message interrupt";
	const char *why = start_queue(d);
	u64 at = (u64)d->common->queue_notify_off * pci_read32(dev, cap + CAP_MULTIPLIER);

	d->notify = (volatile u16 *)(notify + at);
	return at + sizeof(*d->notify) > pci_read32(dev, cap + CAP_LENGTH) ? "its bell is out of reach" : why;
}

static void add_disk(pci_t dev, unsigned number)
{
	struct disk *d = kmem_alloc(sizeof(*d));
	const char *why = "no memory";

	if (d) {
		snprintf(d->name, sizeof(d->name), "vd%c", 'a' + number);
		spin_init(&d->lock, RANK_PIPE);
		waitq_init(&d->room);
		d->block.name = d->name;
		d->block.rdev = DEV(254, 16 * number);
		d->block.read = disk_read;
		why = start(d, dev);
		if (!why && block_register(&d->block))
			why = "no memory";
		if (why && d->common)
			d->common->status = STATUS_FAILED;
	}
	if (why)	/* what it has stays: the device may know of it */
		printk(LOG_ERR, "vd%c: virtio disk at PCI slot %u: %s", 'a' + number, dev >> 3, why);
	else
		printk(LOG_INFO, "%s: virtio disk, %lu KiB, %u requests' descriptors", d->name, d->block.bytes >> 10, d->size);
}

void virtio_blk_init(void)
{
	unsigned n = 0;
	pci_t at = 0, dev;
	u16 id;

	while (n < MOST_DISKS && (id = pci_next(&at, VENDOR, &dev)) != 0)
		if (id == DEVICE_MODERN || id == DEVICE_TRANSITIONAL)
			add_disk(dev, n++);
}
