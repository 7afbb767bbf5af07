/* SPDX-License-Identifier: MIT */
/*
 * Owns: physical memory by frames of 4 KiB: who has each, how many hold it, and the free ones.
 *
 * A binary buddy allocator (orders 0..FRAME_MAX_ORDER) behind stacks of single frames per CPU. A frame
 * is free, or held `refs` times; who drops the last hold frees it. Invariant: a free frame is mapped
 * nowhere and in no TLB (mm/tlb.c sees to it). Locks: the buddy lists have one (RANK_FRAME); refs
 * is atomic; the other fields belong to the frame's holder, a table's to its own lock.
 */
#pragma once
#include "arch/pte.h"
#include "kernel/base/lock.h"
#include "kernel/base/types.h"

enum frame_kind {
	FRAME_RESERVED,		/* not memory, or the kernel's image */
	FRAME_FREE,		/* first frame of a free block, or on a CPU's stack */
	FRAME_KERNEL,		/* the kernel's own use */
	FRAME_SLAB,		/* small objects: mm/kmem.c */
	FRAME_TABLE,		/* a page table: mm/pgtable.c */
	FRAME_ANON,		/* a page of memory of programs */
	FRAME_CACHE,		/* a page of a file: mm/pcache.c */
	NR_FRAME_KINDS
};

struct pcache;
struct kmem_cache;

struct frame {
	u8 kind;			/* enum frame_kind */
	u8 level;			/* table: 1..4; block of kmem_alloc: its order */
	bool dead : 1;			/* table: unlinked, waiting to be freed (its lock) */
	bool marked : 1;		/* leaf table: entries may bear marks of arch/pte.h (its lock) */
	bool ahead : 1;			/* page of a file: read before anybody asked for it (its cache's lock) */
	bool starts : 1;		/* such a page: its touch starts the next reading (its cache's lock) */
	u8 listed;			/* free block in a buddy list: its order + 1 (buddy.lock); table: LISTED_KEPT or 0 (its lock) */
	u32 refs;			/* holds; of a table: parent entries and roots that point to it (use) */
	union {
		struct { struct frame *next, *prev; } free;
		struct {
			struct spinlock lock;
			/* entries by class; [PTE_CLASS_NONE] counts every entry that is not empty (live) */
			u16 count[NR_PTE_CLASSES];
			u32 groups;	/* bit per 16 entries: some may not be empty; saves scans the rest */
		} table;
		struct { struct pcache *cache; u64 index; } cached;	/* cache is NULL once truncated */
		struct { struct kmem_cache *cache; void *free; u32 used, next; } slab; /* next: a frame number */
		/* dead table: next in its batch, which leaves the lock; then its tag (mm/limbo.c) */
		struct { u64 keep; struct frame *next; u64 tag; } doomed;
	};
};
_Static_assert(sizeof(struct frame) <= 32, "struct frame is one of 4096 bytes' worth");

#define FRAME_MAX_ORDER 10
#define LISTED_KEPT 255			/* an empty table kept back: not to be taken for a free block */

/* The host tests' fake machine watches blocks come and go; the machine itself has nothing to do then. */
#ifndef frame_hook_alloc
#define frame_hook_alloc(f, order) ((void)0)
#define frame_hook_free(f, order) ((void)0)
#define frame_hook_free_zeroed(f) ((void)0)
#endif

extern struct frame *frames;		/* by frame number, from 0 */
extern u64 nr_frames;
extern char *direct_map;		/* address of physical 0 */

static inline u64 frame_number(const struct frame *f) { return (u64)(f - frames); }
static inline paddr_t frame_pa(const struct frame *f) { return frame_number(f) << PAGE_SHIFT; }
static inline void *frame_ptr(const struct frame *f) { return direct_map + frame_pa(f); }
static inline struct frame *frame_of_pa(paddr_t pa) { return &frames[pa >> PAGE_SHIFT]; }
static inline struct frame *frame_of_ptr(const void *p) { return frame_of_pa((paddr_t)((const char *)p - direct_map)); }
static inline void *ptr_of_pa(paddr_t pa) { return direct_map + pa; }

/* Boot: the array of frames lies at ARRAY (zeroed), covers COUNT frames; then each range is added. */
void frame_init(struct frame *array, u64 count);
void frame_add_range(paddr_t start, paddr_t end);

/* One frame, held once, of kind KIND; what it contains is undefined (alloc) or zero (alloc_zeroed).
 * NULL when memory is short or fail_alloc says so. */
struct frame *frame_alloc(enum frame_kind kind);
struct frame *frame_alloc_zeroed(enum frame_kind kind);

/* As frame_alloc, up to N of them into F; returns how many (0: none, as NULL above). */
unsigned frame_alloc_many(enum frame_kind kind, struct frame **f, unsigned n);

/* 2^ORDER frames in a row, held as one by the first; freed by frame_free_order. */
struct frame *frame_alloc_order(unsigned order, enum frame_kind kind);
void frame_free_order(struct frame *f, unsigned order);

static inline void frame_get(struct frame *f)
{
	__atomic_fetch_add(&f->refs, 1, __ATOMIC_RELAXED);
}

/* Drops a hold; true when it was the last, and the frame is now the caller's to free. */
static inline bool frame_drop(struct frame *f)
{
	return __atomic_sub_fetch(&f->refs, 1, __ATOMIC_ACQ_REL) == 0;
}

void frame_free(struct frame *f);	/* a frame without holds, mapped nowhere */
void frame_free_zeroed(struct frame *f);	/* the same; it contains nothing but zeroes */
void frame_put(struct frame *f);	/* drops a hold, frees at the last */
void frame_put_many(struct frame **f, unsigned n);

/* Frames free now, on CPUs' stacks included; frames that the allocator was ever given; frames in use
 * as KIND. Sums over CPUs. */
u64 frame_nr_free(void);
u64 frame_nr_total(void);
u64 frame_nr_kind(enum frame_kind kind);
u64 frame_check_free(void);

/* Gives this CPU's stack of frames back to the buddy lists. */
void frame_drain(void);

/* Should this allocation fail? Obeys fail_alloc; for every allocator that a program can make fail. */
bool alloc_should_fail(void);
