/* SPDX-License-Identifier: MIT */
/*
 * Owns: the tree from page index to frame: nodes of 64 slots, as many levels as the highest index needs;
 * with none, `top` is the frame of index 0. Nodes without slots in use are freed as pages are cut off.
 * Locks: see mm/pcache.h. Truncation is in three steps whose order is the protocol: take the frames out of
 * the tree and clear cached.cache (under lock), unmap them everywhere (under map_lock), drop the holds.
 */
#include "mm/pcache_tree.h"
#include "kernel/base/counters.h"
#include "kernel/base/errno.h"
#include "kernel/base/print.h"
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

enum total { TOTAL_FILE, TOTAL_SHMEM, TOTAL_CLEAN, NR_TOTALS };
static s64 totals[NR_TOTALS];

static void count_page(struct pcache *c, int by)
{
	c->nr_pages += by;
	__atomic_fetch_add(&totals[c->shmem ? TOTAL_SHMEM : c->ops->clean ? TOTAL_CLEAN : TOTAL_FILE], by, __ATOMIC_RELAXED);
}

u64 pcache_kept_pages(bool shmem)
{
	return __atomic_load_n(&totals[shmem ? TOTAL_SHMEM : TOTAL_FILE], __ATOMIC_RELAXED);
}

u64 pcache_total_pages(bool shmem)
{
	return pcache_kept_pages(shmem) + (shmem ? 0 : __atomic_load_n(&totals[TOTAL_CLEAN], __ATOMIC_RELAXED));
}

void pcache_init(struct pcache *c, const struct pcache_ops *ops, bool shmem)
{
	*c = (struct pcache){ .ops = ops, .shmem = shmem };
	spin_init(&c->lock, RANK_CACHE);
	spin_init(&c->map_lock, RANK_MAPPINGS);
	TAILQ_INIT(&c->regions);
	LIST_INIT(&c->readings);
	if (ops->clean)
		pcache_clean_add(c);
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
static __always_inline void **find_slot(struct pcache *c, u64 index)
{
	unsigned shift = c->height * NODE_SHIFT;
	void **slot = &c->top;

	if (unlikely(!fits(c, index)))
		return NULL;
	while (shift) {
		struct node *n = *slot;

		if (unlikely(!n))
			return NULL;
		shift -= NODE_SHIFT;
		slot = &n->slot[index >> shift & (NODE_SLOTS - 1)];
	}
	return slot;
}

struct frame *pcache_look(struct pcache *c, u64 index)
{
	void **slot = find_slot(c, index);

	return slot ? *slot : NULL;
}

int pcache_insert(struct pcache *c, u64 index, struct frame *f)
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
	BUG_ON(*slot);
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
	struct frame *f = pcache_look(c, index);
	if (f)
		frame_get(f);
	spin_unlock(&c->lock);
	return f;
}

/* F, fresh, becomes page INDEX, unless another was faster: that one, with a hold for the caller. */
static int make_page(struct pcache *c, u64 index, struct frame *f, struct frame **out)
{
	int err = 0;

	spin_lock(&c->lock);
	*out = pcache_look(c, index);
	if (!*out) {
		err = pcache_insert(c, index, f);
		*out = f;
	}
	if (!err)
		frame_get(*out);
	spin_unlock(&c->lock);
	if (err || *out != f)
		frame_put(f);
	return err;
}

int pcache_get_as(struct pcache *c, u64 index, u32 flags, struct frame **out)
{
	if (c->ops->read_many)
		return pcache_read(c, index, flags, out);
	*out = pcache_find(c, index);
	if (*out)
		return 0;
	struct frame *f = frame_alloc_zeroed(FRAME_CACHE);
	return f ? make_page(c, index, f, out) : -ENOMEM;
}

struct frame *const *pcache_run(struct pcache *c, u64 index, unsigned *n)
{
	if (c->height)
		*n = MIN(*n, NODE_SLOTS - (unsigned)(index & (NODE_SLOTS - 1)));
	else
		*n = 1;
	return (struct frame *const *)find_slot(c, index);
}

unsigned pcache_gather(struct pcache *c, u64 index, unsigned n, struct frame **out)
{
	unsigned found = 0;

	for (unsigned i = 0; i < n;) {
		unsigned run = n - i;
		struct frame *const *slot = pcache_run(c, index + i, &run);

		for (; run; run--, i++) {
			out[i] = slot ? *slot++ : NULL;
			found += out[i] != NULL;
		}
	}
	return found;
}

/* Takes what K wants out below *SLOT, which covers pages from BASE on; frees nodes that become empty. The list is
 * linked through doomed.next, which leaves cached.cache readable, and takes the place of cached.index. */
static void cut(struct pcache *c, void **slot, unsigned h, u64 base, struct pcache_cut *k)
{
	if (h == 0) {
		struct frame *f = *slot;

		if (base < k->first || base > k->last || (k->idle && READ_ONCE(f->refs) != 1))
			return;
		*slot = NULL;
		count_page(c, -1);
		if (f->ahead) {
			count(readahead_wasted);
			pcache_asked(c, f);
		}
		WRITE_ONCE(f->cached.cache, NULL);
		f->doomed.next = k->list;
		k->list = f;
		if (!--k->most)
			k->first = base + 1;
		return;
	}
	struct node *n = *slot;
	u64 span = (h - 1) * NODE_SHIFT >= 64 ? 0 : 1UL << ((h - 1) * NODE_SHIFT);
	unsigned from = k->first > base ? MIN((k->first - base) / span, (u64)NODE_SLOTS) : 0;
	for (unsigned i = from; i < NODE_SLOTS && k->most; i++) {
		u64 at = base + i * span;

		if (at > k->last)
			break;
		if (!n->slot[i])
			continue;
		cut(c, &n->slot[i], h - 1, at, k);
		if (!n->slot[i])
			n->used--;
	}
	if (n->used == 0 && !k->keep_nodes) {
		*slot = NULL;
		kmem_cache_free(&node_cache, n);
	}
}

void pcache_cut(struct pcache *c, struct pcache_cut *k)
{
	if (c->top)
		cut(c, &c->top, c->height, 0, k);
	if (!c->top)
		c->height = 0;
}

u64 pcache_cut_free(struct pcache_cut *k)
{
	u64 n = 0;

	for (; k->list; n++) {
		struct frame *f = k->list;

		k->list = f->doomed.next;
		frame_put(f);
	}
	return n;
}

void pcache_unmap(struct pcache *c, u64 first, u64 last, bool copies)
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
	struct pcache_cut k = { .first = first, .last = last, .most = ~0UL };

	spin_lock(&c->lock);
	pcache_cut(c, &k);
	spin_unlock(&c->lock);
	if (!TAILQ_EMPTY(&c->regions))
		pcache_unmap(c, first, last, copies);
	pcache_cut_free(&k);
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
	if (c->ops->clean)
		pcache_clean_remove(c);
	cut_range(c, 0, ~0UL >> PAGE_SHIFT, true);
}
