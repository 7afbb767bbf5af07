/* SPDX-License-Identifier: MIT */
/*
 * Owns: the tree from page index to frame: nodes of 64 slots, as many levels as the highest index needs;
 * with none, `top` is the frame of index 0. Nodes without slots in use are freed as pages are cut off.
 * Locks: see mm/pcache.h. Truncation is in three steps whose order is the protocol: take the frames out of
 * the tree and clear cached.cache (under lock), unmap them everywhere (under map_lock), drop the holds.
 */
#include "mm/pcache.h"
#include "kernel/base/errno.h"
#include "kernel/base/string.h"
#include "mm/kmem.h"
#include "mm/space.h"
#include "mm/vm.h"

#define NODE_SHIFT 6
#define NODE_SLOTS (1U << NODE_SHIFT)

struct node {
	u32 used;
	void *slot[NODE_SLOTS];
};
static KMEM_CACHE(node_cache, "pcache-node", struct node);

static s64 total_file, total_shmem;

static void count_page(struct pcache *c, int by)
{
	c->nr_pages += by;
	__atomic_fetch_add(c->shmem ? &total_shmem : &total_file, by, __ATOMIC_RELAXED);
}

u64 pcache_total_pages(bool shmem)
{
	return __atomic_load_n(shmem ? &total_shmem : &total_file, __ATOMIC_RELAXED);
}

void pcache_init(struct pcache *c, const struct pcache_ops *ops, bool shmem)
{
	*c = (struct pcache){ .ops = ops, .shmem = shmem };
	spin_init(&c->lock, RANK_CACHE);
	spin_init(&c->map_lock, RANK_MAPPINGS);
	TAILQ_INIT(&c->regions);
}

static bool fits(const struct pcache *c, u64 index)
{
	return c->height * NODE_SHIFT >= 64 || index >> (c->height * NODE_SHIFT) == 0;
}

static unsigned slot_of(u64 index, unsigned height)
{
	return index >> ((height - 1) * NODE_SHIFT) & (NODE_SLOTS - 1);
}

/* The slot of INDEX, or NULL if no node leads there. Locked. */
static void **find_slot(struct pcache *c, u64 index)
{
	void **slot = &c->top;

	if (!fits(c, index))
		return NULL;
	for (unsigned h = c->height; h; h--) {
		struct node *n = *slot;

		if (!n)
			return NULL;
		slot = &n->slot[slot_of(index, h)];
	}
	return slot;
}

/* Puts F at INDEX, which is empty; nodes on the way are made. -ENOMEM. Locked. */
static int insert(struct pcache *c, u64 index, struct frame *f)
{
	while (!fits(c, index)) {
		if (c->top) {
			struct node *n = kmem_cache_alloc(&node_cache);

			if (!n)
				return -ENOMEM;
			n->slot[0] = c->top;
			n->used = 1;
			c->top = n;
		}
		c->height++;
	}
	void **slot = &c->top;
	struct node *in = NULL;
	for (unsigned h = c->height; h; h--) {
		if (!*slot) {
			*slot = kmem_cache_alloc(&node_cache);
			if (!*slot)
				return -ENOMEM;
			if (in)
				in->used++;
		}
		in = *slot;
		slot = &in->slot[slot_of(index, h)];
	}
	*slot = f;
	if (in)
		in->used++;
	f->cached.cache = c;
	f->cached.index = index;
	count_page(c, 1);
	return 0;
}

struct frame *pcache_find(struct pcache *c, u64 index)
{
	spin_lock(&c->lock);
	void **slot = find_slot(c, index);
	struct frame *f = slot ? *slot : NULL;
	if (f)
		frame_get(f);
	spin_unlock(&c->lock);
	return f;
}

int pcache_get(struct pcache *c, u64 index, struct frame **out)
{
	int err = 0;

	*out = pcache_find(c, index);
	if (*out)
		return 0;
	struct frame *f = frame_alloc_zeroed(FRAME_CACHE);
	if (!f)
		return -ENOMEM;
	if (c->ops->read_many) {
		err = c->ops->read_many(c, index, &f, 1);
		if (err) {
			frame_put(f);
			return err;
		}
	}
	spin_lock(&c->lock);
	void **slot = find_slot(c, index);
	if (slot && *slot) {
		struct frame *theirs = *slot;

		frame_get(theirs);
		spin_unlock(&c->lock);
		frame_put(f);
		*out = theirs;
		return 0;
	}
	frame_get(f);
	err = insert(c, index, f);
	spin_unlock(&c->lock);
	if (err) {
		frame_drop(f);
		frame_put(f);
		return err;
	}
	*out = f;
	return 0;
}

unsigned pcache_gather(struct pcache *c, u64 index, unsigned n, struct frame **out)
{
	unsigned found = 0;

	for (unsigned i = 0; i < n;) {
		void **slot = find_slot(c, index + i);
		unsigned run = c->height ? NODE_SLOTS - ((index + i) & (NODE_SLOTS - 1)) : 1;

		for (run = MIN(run, n - i); run; run--, i++) {
			out[i] = slot ? *slot++ : NULL;
			found += out[i] != NULL;
		}
	}
	return found;
}

/* Takes the frames of [first, last] out below *SLOT into the list; frees nodes that become empty. Locked.
 * The list is linked through doomed.next, which leaves cached.cache and cached.index readable. */
static unsigned cut(struct pcache *c, void **slot, unsigned h, u64 base, u64 first, u64 last, struct frame **list)
{
	if (!*slot || (h == 0 && (base < first || base > last)))
		return 0;
	if (h == 0) {
		struct frame *f = *slot;

		*slot = NULL;
		count_page(c, -1);
		WRITE_ONCE(f->cached.cache, NULL);
		f->doomed.next = *list;
		*list = f;
		return 1;
	}
	struct node *n = *slot;
	u64 span = (h - 1) * NODE_SHIFT >= 64 ? 0 : 1UL << ((h - 1) * NODE_SHIFT);
	unsigned from = first > base ? MIN((first - base) / span, (u64)NODE_SLOTS) : 0;
	for (unsigned i = from; i < NODE_SLOTS; i++) {
		u64 at = base + i * span;

		if (at > last)
			break;
		if (n->slot[i] && cut(c, &n->slot[i], h - 1, at, first, last, list) && !n->slot[i])
			n->used--;
	}
	if (n->used == 0) {
		*slot = NULL;
		kmem_cache_free(&node_cache, n);
	}
	return 1;
}

/* Unmaps pages [first, last] of C wherever a region maps them; COPIES: private copies of them as well. */
static void unmap_everywhere(struct pcache *c, u64 first, u64 last, bool copies)
{
	struct region *r;

	spin_lock(&c->map_lock);
	TAILQ_FOREACH(r, &c->regions, mapping) {
		u64 pages = (r->end - r->start) >> PAGE_SHIFT;
		u64 from = MAX(first, r->pgoff), to = MIN(last, r->pgoff + pages - 1);
		struct tlb_batch b;

		if (from > to)
			continue;
		tlb_batch_begin(&b, r->space);
		vm_zap_in_place(r->space, &b, r->start + ((from - r->pgoff) << PAGE_SHIFT),
				r->start + ((to - r->pgoff + 1) << PAGE_SHIFT), c, copies);
		tlb_batch_finish(&b);
	}
	spin_unlock(&c->map_lock);
}

static void cut_range(struct pcache *c, u64 first, u64 last, bool copies)
{
	struct frame *list = NULL;

	spin_lock(&c->lock);
	cut(c, &c->top, c->height, 0, first, last, &list);
	if (!c->top)
		c->height = 0;
	spin_unlock(&c->lock);
	if (!TAILQ_EMPTY(&c->regions))
		unmap_everywhere(c, first, last, copies);
	while (list) {
		struct frame *f = list;

		list = f->doomed.next;
		frame_put(f);
	}
}

/* Zeroes bytes [from, to) of page INDEX, if it is held. */
static void zero_within(struct pcache *c, u64 index, unsigned from, unsigned to)
{
	struct frame *f = pcache_find(c, index);

	if (!f)
		return;
	memset((char *)frame_ptr(f) + from, 0, to - from);
	frame_put(f);
}

void pcache_resize(struct pcache *c, u64 bytes)
{
	u64 old, first = (bytes + PAGE_SIZE - 1) >> PAGE_SHIFT;

	spin_lock(&c->lock);
	old = c->size;
	WRITE_ONCE(c->size, bytes);
	spin_unlock(&c->lock);
	if (bytes >= old)
		return;
	cut_range(c, first, ~0UL >> PAGE_SHIFT, true);
	if (bytes & ~PAGE_MASK)
		zero_within(c, bytes >> PAGE_SHIFT, bytes & ~PAGE_MASK, PAGE_SIZE);
}

void pcache_punch(struct pcache *c, u64 start, u64 end)
{
	u64 first = (start + PAGE_SIZE - 1) >> PAGE_SHIFT, last = end >> PAGE_SHIFT;

	if (start >= end)
		return;
	if (start >> PAGE_SHIFT == last) {
		zero_within(c, last, start & ~PAGE_MASK, end & ~PAGE_MASK);
		return;
	}
	if (start & ~PAGE_MASK)
		zero_within(c, start >> PAGE_SHIFT, start & ~PAGE_MASK, PAGE_SIZE);
	if (end & ~PAGE_MASK)
		zero_within(c, last, 0, end & ~PAGE_MASK);
	if (first < last)
		cut_range(c, first, last - 1, false);
}

void pcache_destroy(struct pcache *c)
{
	cut_range(c, 0, ~0UL >> PAGE_SHIFT, true);
}
