/* SPDX-License-Identifier: MIT */
/*
 * Owns: what the files of the page cache (pcache.c: the tree; readahead.c: reading; pcache_drop.c: dropping) hand
 * to each other. Nobody else includes this. "Locked" is c->lock.
 */
#pragma once
#include "mm/pcache.h"

/* Puts F at INDEX, which is empty; nodes on the way are made. The caller's hold is the cache's now. -ENOMEM. Locked. */
int pcache_insert(struct pcache *c, u64 index, struct frame *f);

/* Which frames to take out of a cache, and those taken. */
struct pcache_cut {
	u64 first, last;	/* of these pages; first becomes where to go on, once `most` are taken */
	u64 most;		/* how many; counts down */
	bool idle;		/* only those that nobody else holds */
	bool keep_nodes;	/* nodes of the tree stay: the allocator of nodes may be locked */
	struct frame *list;
};
void pcache_cut(struct pcache *c, struct pcache_cut *k);	/* Locked */
u64 pcache_cut_free(struct pcache_cut *k);	/* drops the holds on those taken; how many */

/* Unmaps pages [first, last] of C wherever a region maps them; COPIES: private copies of them as well. */
void pcache_unmap(struct pcache *c, u64 first, u64 last, bool copies);

/* F, of C and `ahead`, is that no more. Locked. */
static inline void pcache_asked(struct pcache *c, struct frame *f)
{
	f->ahead = f->starts = false;
	WRITE_ONCE(c->nr_ahead, c->nr_ahead - 1);
}

/* Gets page INDEX; if it is absent, by reading it and what FLAGS and the pages beside it suggest. As pcache_get_as. */
int pcache_read(struct pcache *c, u64 index, u32 flags, struct frame **out);

void pcache_clean_add(struct pcache *c);
void pcache_clean_remove(struct pcache *c);
