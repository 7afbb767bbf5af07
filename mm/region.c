/* SPDX-License-Identifier: MIT */
/*
 * Owns: the tree of regions of a space: finding, inserting, splitting, merging. Nothing here touches a page
 * table. See mm/space.h for locks: changers hold the space's lock with seq odd; a fault may look up
 * without it, on a tree that is being rotated, because a region is freed only when every CPU that may look at it has
 * left the kernel (mm/limbo.h), and because what it found is validated later.
 */
#include "kernel/base/errno.h"
#include "kernel/base/print.h"
#include "kernel/base/string.h"
#include "mm/kmem.h"
#include "mm/limbo.h"
#include "mm/space.h"

static KMEM_CACHE(region_cache, "region", struct region);

/* What a CPU found last without the lock. It is in the tree for as long as seq has not moved. */
struct found { u64 id; struct region *region; u32 seq; };	/* id: the space's; 0: nothing */
static DEFINE_PERCPU(struct found, found);

static int region_order(const struct region *a, const struct region *b)
{
	return a->start < b->start ? -1 : a->start > b->start;
}

RB_GENERATE_STATIC(region_tree, region, node, region_order)

struct region *region_at_or_above(struct space *s, vaddr_t va)
{
	struct region *r = RB_ROOT(&s->regions), *best = NULL;

	while (r) {
		if (va < r->end) {
			best = r;
			if (va >= r->start)
				break;
			r = RB_LEFT(r, node);
		} else {
			r = RB_RIGHT(r, node);
		}
	}
	return best;
}

struct region *region_at(struct space *s, vaddr_t va)
{
	struct region *r = region_at_or_above(s, va);

	return r && va >= r->start ? r : NULL;
}

static __noinline struct region *look(struct space *s, u32 seq, vaddr_t va)
{
	struct region *r = region_at(s, va);

	if (r)
		this_cpu(found) = (struct found){ s->id, r, seq };
	return r;
}

struct region *region_look(struct space *s, u32 seq, vaddr_t va)
{
	if (likely(this_cpu(found).id == s->id && this_cpu(found).seq == seq)) {
		struct region *r = this_cpu(found).region;

		if (likely(va >= r->start && va < r->end))
			return r;
	}
	return look(s, seq, va);
}

struct region *region_next(struct region *r)
{
	return RB_NEXT(region_tree, &r->space->regions, r);
}

struct region *region_last(struct space *s)
{
	return RB_MAX(region_tree, &s->regions);
}

struct region *region_prev(struct region *r)
{
	return RB_PREV(region_tree, &r->space->regions, r);
}

struct region *region_alloc(void)
{
	return kmem_cache_alloc(&region_cache);
}

static __always_inline struct region *copy_of(const struct region *r)
{
	struct region *copy = kmem_cache_take(&region_cache);

	if (!copy)
		return NULL;
	memcpy(copy, r, offsetof(struct region, mapping));	/* what follows is set by who links it */
	if (copy->cache)
		copy->cache->ops->get(copy->cache);
	return copy;
}

struct region *region_copy(const struct region *r)
{
	return copy_of(r);
}

static void link_cache(struct region *r)
{
	if (!r->cache)
		return;
	spin_lock(&r->cache->map_lock);
	TAILQ_INSERT_TAIL(&r->cache->regions, r, mapping);
	spin_unlock(&r->cache->map_lock);
}

static void unlink_cache(struct region *r)
{
	if (!r->cache)
		return;
	spin_lock(&r->cache->map_lock);
	TAILQ_REMOVE(&r->cache->regions, r, mapping);
	spin_unlock(&r->cache->map_lock);
}

void region_insert(struct space *s, struct region *r)
{
	u64 pages = (r->end - r->start) >> PAGE_SHIFT;

	r->space = s;
	BUG_ON(RB_INSERT(region_tree, &s->regions, r) != NULL);
	s->nr_regions++;
	s->pages += pages;
	if (r->flags & R_LOCKED)
		s->locked_pages += pages;
	link_cache(r);
}

void region_remove(struct space *s, struct region *r)
{
	u64 pages = (r->end - r->start) >> PAGE_SHIFT;

	unlink_cache(r);
	RB_REMOVE(region_tree, &s->regions, r);
	s->nr_regions--;
	s->pages -= pages;
	if (r->flags & R_LOCKED)
		s->locked_pages -= pages;
}

#define COPY_FAILED (1U << 31)		/* beside the flags of regions */

/* Puts a copy of FROM and of all below it into *LINK, below ABOVE. The flags of them all. */
static u32 copy_tree(struct space *s, struct region *from, struct region *above, struct region **link)
{
	u32 all = 0;

	for (; from; from = RB_LEFT(from, node)) {
		struct region *copy = *link = copy_of(from);

		if (unlikely(!copy))
			return COPY_FAILED;
		all |= copy->flags;
		copy->flags &= ~R_LOCKED;
		copy->space = s;
		RB_PARENT(copy, node) = above;
		if (copy->cache)
			link_cache(copy);
		if (RB_RIGHT(from, node))
			all |= copy_tree(s, RB_RIGHT(from, node), copy, &RB_RIGHT(copy, node));
		above = copy;
		link = &RB_LEFT(copy, node);
	}
	return all;
}

int region_copy_all(struct space *from, struct space *to, u32 *flags)
{
	*flags = copy_tree(to, RB_ROOT(&from->regions), NULL, &RB_ROOT(&to->regions));
	if (likely(!(*flags & COPY_FAILED))) {
		to->nr_regions = from->nr_regions;
		to->pages = from->pages;
		return 0;
	}
	for (struct region *r = RB_MIN(region_tree, &to->regions); r; r = region_next(r)) {
		to->nr_regions++;
		to->pages += (r->end - r->start) >> PAGE_SHIFT;
	}
	return -ENOMEM;
}

struct region *region_remove_all(struct space *s)
{
	struct region *dropped = NULL, *next;

	for (struct region *r = RB_MIN(region_tree, &s->regions); r; r = next) {
		next = region_next(r);
		unlink_cache(r);
		r->next_free = dropped;
		dropped = r;
	}
	RB_INIT(&s->regions);
	s->nr_regions = 0;
	s->pages = s->locked_pages = 0;
	return dropped;
}

int region_split(struct space *s, struct region *r, vaddr_t at)
{
	if (at <= r->start || at >= r->end)
		return 0;
	if (s->nr_regions >= MAX_REGIONS)
		return -ENOMEM;
	struct region *upper = region_copy(r);
	if (!upper)
		return -ENOMEM;
	u64 pages = (r->end - at) >> PAGE_SHIFT;
	upper->start = at;
	upper->pgoff += (at - r->start) >> PAGE_SHIFT;
	region_insert(s, upper);	/* before R shrinks: a truncation must find every page by one of them */
	r->end = at;
	s->pages -= pages;
	if (r->flags & R_LOCKED)
		s->locked_pages -= pages;
	return 0;
}

int region_split_edges(struct space *s, vaddr_t start, vaddr_t end)
{
	struct region *r = region_at_or_above(s, start);
	int err = 0;

	if (r && r->start < start)
		err = region_split(s, r, start);
	if (!err && (r = region_at_or_above(s, end - 1)) && r->start < end)
		err = region_split(s, r, end);
	return err;
}

/* Can B, which begins where A ends, be part of A? */
static bool mergeable(const struct region *a, const struct region *b)
{
	return a && b && a->end == b->start && a->flags == b->flags && a->cache == b->cache &&
	       !(a->flags & (R_STACK | R_GROWSDOWN)) &&
	       (!a->cache || a->pgoff + ((a->end - a->start) >> PAGE_SHIFT) == b->pgoff);
}

/* Lets A swallow B; B goes to *DROPPED, for region_free_list. */
static void swallow(struct space *s, struct region *a, struct region *b, struct region **dropped)
{
	u64 pages = (b->end - b->start) >> PAGE_SHIFT;

	a->end = b->end;		/* first, as in region_split */
	s->pages += pages;
	if (a->flags & R_LOCKED)
		s->locked_pages += pages;
	region_remove(s, b);
	b->next_free = *dropped;
	*dropped = b;
}

struct region *region_try_merge(struct space *s, struct region *r, struct region **dropped)
{
	struct region *before = region_prev(r), *after = region_next(r);

	if (mergeable(r, after))
		swallow(s, r, after, dropped);
	if (mergeable(before, r)) {
		swallow(s, before, r, dropped);
		r = before;
	}
	return r;
}

void region_free(struct region *r)
{
	if (r->cache)
		r->cache->ops->put(r->cache);
	kmem_cache_free(&region_cache, r);
}

void region_free_list(struct region *list)
{
	if (nr_cpus > 1) {
		limbo_regions(list);
		return;
	}
	while (list) {
		struct region *r = list;

		list = r->next_free;
		region_free(r);
	}
}
