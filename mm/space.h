/* SPDX-License-Identifier: MIT */
/*
 * Owns: address spaces and their regions: the software truth of which page tables are a cache.
 *
 * A space is held by the threads that run in it (`refs`); the last one drops its regions and tables.
 * Regions lie in a red-black tree, disjoint, each within the user half, page-aligned.
 *
 * Locks: `lock` (RANK_SPACE) is taken by whoever changes regions, and makes `seq` odd meanwhile. A fault
 * does not take it: it reads seq, looks up, and validates seq under the lock of the one table
 * that it changes. A changer makes seq odd first and changes tables after, each under its lock, so that either the
 * fault's store comes before and is seen, or the fault sees the new seq and begins again.
 */
#pragma once
#include "mm/pcache.h"
#include "mm/pgtable.h"
#include "third_party/bsd/tree.h"

enum region_flag {
	R_READ = 1, R_WRITE = 2, R_EXEC = 4,		/* PROT_* as asked for */
	R_SHARED = 8,
	R_MAY_WRITE = 16,				/* mprotect may add write */
	R_GROWSDOWN = 32, R_LOCKED = 128,
	R_DONTFORK = 256, R_WIPEONFORK = 512, R_RANDOM = 1024, R_SEQUENTIAL = 2048,
	R_STACK = 4096, R_HEAP = 8192,
	R_POPULATE = 32768,				/* any fault gives writable pages, to its neighbours too */
	R_PROT = R_READ | R_WRITE | R_EXEC,
};

/* What faults have learnt of a region (mm/around.c). Hints: read and written without a lock. */
struct ahead {
	u8 order;			/* log2 of its window's bytes; PAGE_SHIFT: closed; 0: there has been no fault yet */
	u8 doubt;			/* times that the window was opened in vain */
	u8 dense;			/* a table that holds eight times so many pages of files is filled */
	u8 due;				/* log2 of the faults at which what has filled a table is judged; 0: a window's */
	u32 faults;			/* that found the window closed */
	u8 run;				/* log2 of the anonymous pages that the last fault gave */
	bool guessing;			/* reads are given writable pages */
	u8 reads, writes;		/* zero pages given, and those replaced, in this turn of guessing */
	vaddr_t last;			/* what is to be judged: its first page, and in the low bits its pages; 0: nothing */
	vaddr_t next;			/* where the next fault comes if the run goes on */
} __attribute__((packed, aligned(4)));		/* so that it follows flags without a gap */

struct region {
	RB_ENTRY(region) node;
	vaddr_t start, end;
	u32 flags;
	struct ahead ahead;
	struct space *space;
	struct pcache *cache;		/* NULL: anonymous and private */
	u64 pgoff;			/* page of the cache at start */
	TAILQ_ENTRY(region) mapping;	/* in cache->regions */
	struct region *next_free;	/* in a list of regions to be dropped */
	u64 tag;			/* while it waits there: mm/limbo.c */
};
RB_HEAD(region_tree, region);

struct space {
	struct frame *root;
	LIST_ENTRY(space) all;		/* in the list of all spaces (its lock) */
	u32 refs;
	union {
		struct {
			u32 seq;	/* odd: regions are being changed */
			u32 owned;	/* times that a table of others left its tables: who has walked before, walks again */
		};
		u64 stamp;		/* both, for faults to compare at once */
	};
	struct spinlock lock;
	u32 nr_regions;
	struct region_tree regions;
	bool shares;			/* some of its tables may have other users (share.h) */
	struct kept {			/* empty leaf tables kept back, oldest first: mm/ptreclaim.c; `lock` */
		u8 first, n;
		u32 turn;		/* times that pages were dropped */
		struct { u32 where, turn; } table[32];	/* where: address / 2 MiB */
	} kept;
	u64 id, cpus, flushes;		/* mm/tlb.c: like no other's ever; CPUs whose root register is ours; rounds */
	u64 pages;			/* pages in regions (VmSize) */
	struct {			/* mm/peak.c */
		u64 size, rss;		/* the highest of the past: pages, and of these resident */
		u64 most, given;	/* it has no more resident pages now; as of this count of pages given */
	} peak;
	u64 locked_pages;
	u64 limit_as, limit_data, limit_stack;	/* bytes; from setrlimit */
	vaddr_t mmap_top;		/* mmap looks downwards from here */
	vaddr_t brk_start, brk;		/* changed by who has set brk_busy (atomic) */
	bool brk_busy;
	/* For /proc; set by exec. */
	vaddr_t code_start, code_end, data_start, data_end, stack_start, arg_start, arg_end, env_start, env_end;
};

#define MMAP_MIN_ADDR 0x10000UL
#define MAX_REGIONS 65530

struct space *space_create(void);	/* held once; NULL: no memory */
struct space *space_fork(struct space *parent);	/* a copy as fork() makes it; NULL: no memory, parent unharmed */
static inline void space_get(struct space *s) { __atomic_fetch_add(&s->refs, 1, __ATOMIC_RELAXED); }
/* Drops a hold; the last one drops it all, and returns the pages that it alone had, or those of its peak (others: 0). No lock
 * held. */
u64 space_put(struct space *s);

/* Calls FN for every space there is, with its lock held. No lock held. */
void space_each(void (*fn)(struct space *s, void *arg), void *arg);

/* For those who change regions. begin takes the lock; before end, TLBs have been flushed of what has changed. */
void space_change_begin(struct space *s);
void space_change_end(struct space *s);

void peak_look(struct space *s);	/* pages of S, locked, are about to go */

/* The region that contains VA, or the first above it; NULL. Under the lock. */
struct region *region_at_or_above(struct space *s, vaddr_t va);
struct region *region_at(struct space *s, vaddr_t va);
struct region *region_look(struct space *s, u32 seq, vaddr_t va);	/* without; good if s->seq, even, still is SEQ */
struct region *region_next(struct region *r);
struct region *region_prev(struct region *r);
struct region *region_last(struct space *s);

/* mm's own use: see mm/region.c */
struct region *region_alloc(void);
struct region *region_copy(const struct region *r);	/* with a hold on its cache; like R in all but its place */
void region_insert(struct space *s, struct region *r);
void region_remove(struct space *s, struct region *r);
/* Fork: copies of all regions of FROM into TO, which has none; *FLAGS: those of them all. -ENOMEM: of some. */
int region_copy_all(struct space *from, struct space *to, u32 *flags);
struct region *region_remove_all(struct space *s);	/* a list for region_free_list */
int region_split(struct space *s, struct region *r, vaddr_t at);
int region_split_edges(struct space *s, vaddr_t start, vaddr_t end);	/* so that none reaches across either */
/* Joins R with its neighbours where they are alike; those swallowed go to *DROPPED. What R is part of now. */
struct region *region_try_merge(struct space *s, struct region *r, struct region **dropped);
void region_free(struct region *r);		/* drops its cache; no lock held */
void region_free_list(struct region *list);	/* the same after a grace period, for regions that were in a tree */
