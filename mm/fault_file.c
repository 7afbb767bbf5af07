/* SPDX-License-Identifier: MIT */
/*
 * Owns: mapping pages of the page cache: the page asked for and, on a read, the neighbours that the cache
 * already holds, within the region, the table, and the window that mm/around.c names.
 *
 * A page is stored with the cache's lock and the table's held. Truncation takes the page out of the
 * cache first and unmaps after, so it either finds our entry or we do not find the page.
 */
#include "arch/cpu.h"
#include "kernel/base/counters.h"
#include "kernel/base/errno.h"
#include "mm/fault_case.h"

/* Has the cache get the page of F, which it has not. FAULT_OK: at once, look again. */
static __noinline enum fault_result bring_in(struct fault *f)
{
	struct pcache *c = f->cache;
	bool sleeps = c->ops->read_many;

	c->ops->get(c);			/* the region that holds it may go while we sleep */
	int err = pcache_get_as(c, fault_index(f, f->va), f->flags, &f->fetched);
	c->ops->put(c);
	if (err)
		return err == -ENOMEM ? FAULT_OOM : fault_refuse(f, FAULT_BUS);
	if (sleeps)
		return FAULT_FETCHED;
	frame_put(f->fetched);
	return FAULT_OK;
}

/* Pages of F's cache have been read ahead, perhaps those that F has mapped; they may start the next reading. No lock is
 * held, and nothing else is to be done for F. */
static __noinline enum fault_result touched(struct fault *f)
{
	struct pcache *c = f->cache;
	vaddr_t from = f->until ? f->from : f->va, to = f->until ? f->until : f->va + PAGE_SIZE;

	spin_lock(&c->lock);
	u64 marker = pcache_touched(c, fault_index(f, from), (to - from) >> PAGE_SHIFT);
	spin_unlock(&c->lock);
	if (marker != PCACHE_NONE) {
		c->ops->get(c);		/* as above */
		pcache_ahead(c, marker, f->flags);
		c->ops->put(c);
	}
	return FAULT_OK;
}

/* Finds the page of F, and takes the cache's lock, which keeps it there. Other than FAULT_OK: nothing is locked. */
static __always_inline enum fault_result lock_page(struct fault *f, struct frame **page)
{
	struct pcache *c = f->cache;
	enum fault_result result;

	for (;;) {
		spin_lock(&c->lock);
		if (unlikely(fault_index(f, f->va) >= pcache_pages(c))) {
			result = fault_refuse(f, FAULT_BUS);
			break;
		}
		*page = pcache_look(c, fault_index(f, f->va));
		if (likely(*page))
			return FAULT_OK;
		spin_unlock(&c->lock);
		result = bring_in(f);
		if (result != FAULT_OK)
			return result;
	}
	spin_unlock(&c->lock);
	if (result == FAULT_BUS)
		count(fault_bus);
	return result;
}

/* TO, or the end of F's file, if that comes before: there may be pages behind it. Cache locked. */
static vaddr_t within_file(const struct fault *f, vaddr_t to)
{
	return MIN(to, f->start + ((pcache_pages(f->cache) - f->pgoff) << PAGE_SHIFT));
}

/* Stores what the cache holds of [va, to) where nothing is mapped; how many. Cache and table locked. */
static unsigned fill(struct fault *f, vaddr_t va, vaddr_t to, pte_t like)
{
	unsigned filled = 0, n;

	for (; va < to; va += n * PAGE_SIZE) {
		n = (to - va) >> PAGE_SHIFT;
		struct frame *const *page = pcache_run(f->cache, fault_index(f, va), &n);
		if (page)
			filled += pt_fill(f->table, va, n, like, page);
	}
	if (unlikely(!f->own))
		count_add(pt_fill_shared, filled);
	return filled;
}

static __noinline void fill_window(struct fault *f, pte_t like)
{
	struct window w = around_window(f), probe;
	unsigned filled = 0, measured = 0;

	w.to = within_file(f, w.to);
	if (w.to - w.from <= PAGE_SIZE)
		return;
	f->from = w.from;
	f->until = w.to;
	probe = (struct window){ w.to, w.to };
	/* A region that gets all it can has nothing more to learn from it. */
	if ((tune.fault_around_adapt && w.to - w.from < f->end - f->start) || !tune.fault_around_young) {
		probe = around_probe(f, w);
		measured = filled = fill(f, probe.from, probe.to, pte_mark_ahead(like));
	}
	if (w.from < probe.from)
		filled += fill(f, w.from, probe.from, like);
	if (probe.to < w.to)
		filled += fill(f, probe.to, w.to, like);
	if (filled) {
		count(around_windows);
		count_add(around_mapped, filled);
		count_add(around_measured, measured);
	}
}

enum fault_result fault_file(struct fault *f)
{
	struct pcache *c = f->cache;
	struct frame *page;

	if (unlikely(f->flags & R_POPULATE) && !(f->flags & R_SHARED) && !f->write && !f->until && around_expects_write(f)) {
		f->write = true;	/* on a path of its own, where it will be copied */
		return FAULT_AGAIN;
	}
	enum fault_result result = lock_page(f, &page);
	if (unlikely(result != FAULT_OK))
		return result;
	if (unlikely(!fault_lock(f))) {
		spin_unlock(&c->lock);
		return FAULT_AGAIN;
	}
	pte_t like = pte_leaf(0, c->shmem ? PTE_CLASS_SHMEM : PTE_CLASS_FILE, fault_rights(f, f->flags & R_SHARED));
	frame_get(page);
	pt_store_empty(f->table, f->slot, like | frame_pa(page));
	if (unlikely(f->until))
		count_add(populate_pages, fill(f, f->va, within_file(f, f->until), like));
	else if (tune.fault_around_bytes > PAGE_SIZE && !f->write && !(f->flags & R_RANDOM) && !around_closed(f))
		fill_window(f, like);
	pt_unlock(f->table);
	spin_unlock(&c->lock);
	count(fault_file);
	if (unlikely(!f->own))
		count(pt_fill_shared);
	return unlikely(READ_ONCE(c->nr_ahead)) ? touched(f) : FAULT_OK;
}

enum fault_result fault_file_copy(struct fault *f)
{
	struct frame *page, *copy;

	enum fault_result result = lock_page(f, &page);
	if (unlikely(result != FAULT_OK))
		return result;
	frame_get(page);
	spin_unlock(&f->cache->lock);
	copy = frame_alloc(FRAME_ANON);
	if (unlikely(!copy)) {
		frame_put(page);
		return FAULT_OOM;
	}
	cpu_copy_page(frame_ptr(copy), frame_ptr(page));
	/* Under the table's lock: a truncation that has cut the page off by now may have been here already. */
	bool ours = fault_lock(f), there = ours && READ_ONCE(page->cached.cache) == f->cache;
	if (likely(there))
		pt_store_empty(f->table, f->slot, pte_leaf(frame_pa(copy), PTE_CLASS_ANON, fault_rights(f, true)));
	if (likely(ours))
		pt_unlock(f->table);
	frame_put(page);
	if (unlikely(!there)) {
		frame_put(copy);
		return FAULT_AGAIN;
	}
	count(page_copied);
	count(fault_cow);
	return unlikely(READ_ONCE(f->cache->nr_ahead)) ? touched(f) : FAULT_OK;
}
