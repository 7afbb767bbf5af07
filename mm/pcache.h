/* SPDX-License-Identifier: MIT */
/*
 * Owns: the page cache: the pages of one file (or of shared anonymous memory) by index, and the list
 * of regions that map it.
 *
 * The cache holds each of its frames once. A frame that is cut off (truncation) has cached.cache set to
 * NULL first, then is unmapped everywhere: a fault that found the frame checks that under its table's
 * lock, so it cannot be mapped afterwards. Locks: `lock` (RANK_CACHE) for tree and size in pages;
 * `map_lock` (RANK_MAPPINGS) for the regions. Owner: whoever embeds it (a vnode, mm/shm.c).
 */
#pragma once
#include "mm/frame.h"
#include "third_party/bsd/queue.h"

struct pcache;
struct region;

#define PCACHE_READ_MAX 64

struct pcache_ops {
	void (*get)(struct pcache *c);			/* hold, drop the owner */
	void (*put)(struct pcache *c);
	/* Reads N (up to PCACHE_READ_MAX) pages from INDEX on into N zeroed frames that nobody else knows. 0 or
	 * -EIO. NULL: there is nothing behind the cache. May sleep; no lock is held. */
	int (*read_many)(struct pcache *c, u64 index, struct frame **f, unsigned n);
	bool clean;		/* nobody writes to its pages: any can be dropped and read again */
	/* Path for /proc/PID/maps into BUF. */
	void (*name)(struct pcache *c, char *buf, size_t size);
	void (*identity)(struct pcache *c, u64 *dev, u64 *ino);
};

TAILQ_HEAD(region_list, region);

struct pcache {
	const struct pcache_ops *ops;
	struct spinlock lock;
	struct spinlock map_lock;
	bool shmem;		/* counted as shared memory, not as file */
	u8 height;		/* levels of nodes; 0: `top` is the frame of index 0 */
	void *top;
	u64 nr_pages;		/* frames held */
	u64 size;		/* bytes (lock to change); a mapping past its last page is SIGBUS */
	struct region_list regions;
};

/* Pages that C's size makes, the last one perhaps in part. */
static inline u64 pcache_pages(const struct pcache *c)
{
	return (READ_ONCE(c->size) + PAGE_SIZE - 1) >> PAGE_SHIFT;
}

void pcache_init(struct pcache *c, const struct pcache_ops *ops, bool shmem);
void pcache_destroy(struct pcache *c);	/* no region maps it; drops all frames */

/* The frame of INDEX with a hold for the caller; NULL if there is none. */
struct frame *pcache_find(struct pcache *c, u64 index);

/* The same, made (zeroed or read) if absent. 0, -ENOMEM, -EIO. May sleep if there is ops->read_many. */
int pcache_get(struct pcache *c, u64 index, struct frame **out);

/* Finds up to N frames at INDEX.. without holds, NULL for holes, under c->lock, which the caller has. */
unsigned pcache_gather(struct pcache *c, u64 index, unsigned n, struct frame **out);

/* Sets the size; cuts off pages past it, zeroes the rest of the last page, unmaps what was cut. */
void pcache_resize(struct pcache *c, u64 bytes);

/* Drops the whole pages within [start, end) bytes and zeroes the partial edges (hole punching). */
void pcache_punch(struct pcache *c, u64 start, u64 end);

u64 pcache_total_pages(bool shmem);	/* over all caches: nr_file_pages, nr_shmem */

/* A cache for shared anonymous memory of BYTES, held once. NULL: no memory. */
struct pcache *shm_create(u64 bytes);
