/* SPDX-License-Identifier: MIT */
/*
 * Owns: the page cache: the pages of one file (or of shared anonymous memory) by index, and the list
 * of regions that map it.
 *
 * The cache holds each of its frames once. A frame that is cut off (truncation) has cached.cache set to
 * NULL first, then is unmapped everywhere: a fault maps the frame with `lock` held, or, where it maps a private
 * copy, checks that under its table's lock, so it cannot be mapped afterwards. A page that is being read is not in the tree; `readings` says that it
 * will be, so that it is read once. Locks: `lock` (RANK_CACHE) for tree, size and readings; `map_lock`
 * (RANK_MAPPINGS) for the regions. Owner: whoever embeds it (a vnode, mm/shm.c).
 */
#pragma once
#include "mm/frame.h"
#include "third_party/bsd/queue.h"

struct pcache;
struct region;

#define PCACHE_READ_MAX 64
#define PCACHE_NONE (~0UL)		/* no index */

/* A reading under way, in parts. Who starts it holds one part while it hands out the others; whoever ends the last
 * one calls DONE: under a lock as low as RANK_PIPE, perhaps in an interrupt. */
struct pcache_io {
	u32 parts;
	bool failed;
	void (*done)(struct pcache_io *io);
};

static inline void pcache_io_begin(struct pcache_io *io)
{
	__atomic_fetch_add(&io->parts, 1, __ATOMIC_RELAXED);
}

static inline void pcache_io_end(struct pcache_io *io, bool failed)
{
	if (failed)
		WRITE_ONCE(io->failed, true);
	if (__atomic_sub_fetch(&io->parts, 1, __ATOMIC_ACQ_REL) == 0)
		io->done(io);
}

struct pcache_ops {
	void (*get)(struct pcache *c);			/* hold, drop the owner */
	void (*put)(struct pcache *c);	/* of a disk's: also from its interrupt, with the disk locked */
	/* Reads N (up to PCACHE_READ_MAX) pages from INDEX on into N zeroed frames that nobody else knows. What is
	 * past the end of the file may be junk. 0, -EIO, -ENOMEM; with IO: when that is begun, as parts of IO (it
	 * still sleeps for what says where the pages are); -EAGAIN: the device has too much to do.
	 * NULL: there is nothing behind the cache. No lock is held. */
	int (*read_many)(struct pcache *c, u64 index, struct frame **f, unsigned n, struct pcache_io *io);
	bool clean;		/* nobody writes to its pages: any can be dropped and read again */
	/* Path for /proc/PID/maps into BUF. */
	void (*name)(struct pcache *c, char *buf, size_t size);
	void (*identity)(struct pcache *c, u64 *dev, u64 *ino);
};

TAILQ_HEAD(region_list, region);
LIST_HEAD(reading_list, reading);

struct pcache {
	const struct pcache_ops *ops;
	void *owner;		/* for ops, if they want it; constant */
	struct spinlock lock;
	struct spinlock map_lock;
	bool shmem;		/* counted as shared memory, not as file */
	u8 height;		/* levels of nodes; 0: `top` is the frame of index 0 */
	void *top;
	u32 nr_ahead;		/* of the frames held, those read ahead and not asked for yet (lock to change) */
	u64 nr_pages;		/* frames held */
	struct reading_list readings;	/* runs of pages in flight: mm/readahead.c */
	TAILQ_ENTRY(pcache) clean;	/* in the list of those with ops->clean: mm/pcache_drop.c */
	u64 size;		/* bytes (lock to change); a mapping past its last page is SIGBUS */
	struct region_list regions;
};

/* Pages that C's size makes, the last one perhaps in part. */
static inline u64 pcache_pages(const struct pcache *c)
{
	return (READ_ONCE(c->size) + PAGE_SIZE - 1) >> PAGE_SHIFT;
}

/* No lock is held if OPS->clean; destroy: none but those that `put` is called with. */
void pcache_init(struct pcache *c, const struct pcache_ops *ops, bool shmem);
void pcache_destroy(struct pcache *c);	/* no region maps it; drops all frames */

/* The frame of INDEX with a hold for the caller; NULL if there is none. */
struct frame *pcache_find(struct pcache *c, u64 index);

/* The same, made (zeroed or read) if absent. 0, -ENOMEM, -EIO. If there is ops->read_many it may sleep; the
 * caller holds C, and reads ahead as FLAGS say (R_RANDOM, R_SEQUENTIAL of a region, or 0). */
int pcache_get_as(struct pcache *c, u64 index, u32 flags, struct frame **out);
static inline int pcache_get(struct pcache *c, u64 index, struct frame **out)
{
	return pcache_get_as(c, index, 0, out);
}

/* Of the N pages from INDEX on, those that are there are asked for, or mapped: they have been read ahead with success.
 * The last one whose touch is to start the next reading, by pcache_ahead; or PCACHE_NONE. Call it if nr_ahead is not 0.
 * Under c->lock, which the caller has. */
u64 pcache_touched(struct pcache *c, u64 index, u64 n);

/* Begins to read what comes after page INDEX, and does not wait for it; quietly nothing if it cannot. As
 * pcache_get_as, but for a sleep where the file system must read where the pages are. */
void pcache_ahead(struct pcache *c, u64 index, u32 flags);

/* Sleeps until what has been begun so by now is over, and holds no owner of a cache any more. */
void pcache_settle(void);

/* Reads the pages of [first, last] that are absent, if something is behind C, until memory is short or one cannot
 * be read. As pcache_get. */
void pcache_willneed(struct pcache *c, u64 first, u64 last);

/* Sleeps until pcache_wake is called, HELD (of RANK_CACHE) released meanwhile; it may return for no reason.
 * Implemented by kernel/dev/block.c, and by the host's fake machine. */
void pcache_wait(struct spinlock *held);
void pcache_wake(void);

/* The same without a hold, under c->lock, which the caller has. */
struct frame *pcache_look(struct pcache *c, u64 index);

/* The slots of INDEX and of those after it that lie beside it, *N at most; *N becomes their number. NULL: nothing is
 * held there. Under c->lock, which the caller has. */
struct frame *const *pcache_run(struct pcache *c, u64 index, unsigned *n);

/* Copies N such slots, and says how many are not NULL. Under c->lock. */
unsigned pcache_gather(struct pcache *c, u64 index, unsigned n, struct frame **out);

/* Sets the size; cuts off pages past it, zeroes the rest of the last page, unmaps what was cut. */
void pcache_resize(struct pcache *c, u64 bytes);

/* Drops the whole pages within [start, end) bytes and zeroes the partial edges (hole punching). */
void pcache_punch(struct pcache *c, u64 start, u64 end);

/* Drops those of pages [first, last] that are clean and that nobody maps or uses. No lock is held. */
void pcache_drop(struct pcache *c, u64 first, u64 last);
/* Drops up to N clean pages that nobody maps or uses; how many. From any allocator: passes over what is locked,
 * keeps the nodes of trees. WAIT: no lock is held, so it does neither. */
u64 pcache_shrink(unsigned n, bool wait);
/* The same, and if these are too few, mapped ones, which it unmaps. No lock is held. */
u64 pcache_evict(unsigned n);

u64 pcache_total_pages(bool shmem);	/* over all caches: nr_file_pages, nr_shmem */
u64 pcache_kept_pages(bool shmem);	/* of these, the ones that cannot be dropped */

/* A cache for shared anonymous memory of BYTES, held once. NULL: no memory. */
struct pcache *shm_create(u64 bytes);
