/* SPDX-License-Identifier: MIT */
/*
 * Owns: the birth and end of address spaces, and the bracket around every change of regions.
 * See mm/space.h for the invariants and locks; fork is mm/fork.c's.
 */
#include "mm/space.h"
#include "mm/check.h"
#include "mm/kmem.h"
#include "mm/share.h"

static KMEM_CACHE(space_cache, "space", struct space);

static LIST_HEAD(, space) all_spaces = LIST_HEAD_INITIALIZER(all_spaces);
static struct spinlock all_lock = SPINLOCK(RANK_SPACES);

/* What lies above is left for the stack and its guard. */
#define DEFAULT_MMAP_TOP (USER_END - GiB(1))

struct space *space_create(void)
{
	struct space *s = kmem_cache_alloc(&space_cache);

	if (!s)
		return NULL;
	s->root = pt_root_alloc();
	if (!s->root) {
		kmem_cache_free(&space_cache, s);
		return NULL;
	}
	tlb_begin_space(s);
	s->refs = 1;
	spin_init(&s->lock, RANK_SPACE);
	RB_INIT(&s->regions);
	s->mmap_top = DEFAULT_MMAP_TOP;
	s->limit_as = s->limit_data = ~0UL;
	s->limit_stack = MiB(8);
	spin_lock(&all_lock);
	LIST_INSERT_HEAD(&all_spaces, s, all);
	spin_unlock(&all_lock);
	return s;
}

void space_each(void (*fn)(struct space *s, void *arg), void *arg)
{
	struct space *s;

	spin_lock(&all_lock);
	LIST_FOREACH(s, &all_spaces, all) {
		spin_lock(&s->lock);
		fn(s, arg);
		spin_unlock(&s->lock);
	}
	spin_unlock(&all_lock);
}

void space_change_begin(struct space *s)
{
	spin_lock(&s->lock);
	__atomic_fetch_add(&s->seq, 1, __ATOMIC_SEQ_CST);
}

void space_change_end(struct space *s)
{
	s->peak.size = MAX(s->peak.size, s->pages);
	__atomic_store_n(&s->seq, s->seq + 1, __ATOMIC_RELEASE);
	spin_unlock(&s->lock);
}

u64 space_put(struct space *s)
{
	struct tlb_batch b;

	if (__atomic_sub_fetch(&s->refs, 1, __ATOMIC_ACQ_REL) != 0)
		return 0;
	check_after(s, true);	/* with the others frozen: relatives change the tables that it shares */
	tlb_end_space(s);
	spin_lock(&all_lock);
	LIST_REMOVE(s, all);
	spin_unlock(&all_lock);
	u64 peak = s->peak.rss;
	space_change_begin(s);
	struct region *dropped = region_remove_all(s);
	space_change_end(s);
	/* Now no file that shrinks finds its way to our tables. */
	tlb_batch_begin(&b, s);
	u64 pages = share_drop_all(&b, s);
	tlb_batch_finish(&b);
	region_free_list(dropped);
	pt_root_free(s->root);
	kmem_cache_free(&space_cache, s);
	return MAX(pages, peak);
}

