/* SPDX-License-Identifier: MIT */
/*
 * Owns: mapping pages of the page cache: the page asked for and, on a read, the neighbours that the cache
 * already holds, within the region, the table, and an aligned window of fault_around_bytes.
 *
 * A page is stored with the cache's lock and the table's held. Truncation takes the page out of the
 * cache first and unmaps after, so it either finds our entry or we do not find the page.
 */
#include "kernel/base/counters.h"
#include "kernel/base/errno.h"
#include "kernel/base/tunables.h"
#include "mm/fault_case.h"

#define AROUND_BATCH 16		/* pages looked up and stored at a time */

/* First page and number of pages of the window around F's page. */
static unsigned window(const struct fault *f, vaddr_t *first)
{
	u64 bytes = f->write ? PAGE_SIZE : tune.fault_around_bytes;
	vaddr_t from = MAX(ALIGN_DOWN(f->va, bytes), f->start);
	vaddr_t to = MIN(ALIGN_DOWN(f->va, bytes) + bytes, f->end);

	*first = from;
	return (to - from) >> PAGE_SHIFT;
}

/* Stores the pages of the window that are cached, where nothing is mapped. Cache and table locked. */
static unsigned fill_window(struct fault *f, enum pte_class class, unsigned rights)
{
	struct frame *page[AROUND_BATCH];
	pte_t entry[AROUND_BATCH];
	vaddr_t va;
	unsigned left = window(f, &va), filled = 0;

	while (left) {
		unsigned n = MIN(left, (unsigned)AROUND_BATCH);
		u64 index = f->index + ((s64)(va - f->va) >> PAGE_SHIFT);

		if (pcache_gather(f->cache, index, n, page)) {
			for (unsigned i = 0; i < n; i++)
				entry[i] = page[i] ? pte_leaf(frame_pa(page[i]), class, rights) : 0;
			filled += pt_fill(f->table, va, entry, n);
		}
		va += n * PAGE_SIZE;
		left -= n;
	}
	return filled;
}

enum fault_result fault_file(struct fault *f)
{
	struct pcache *c = f->cache;
	struct frame *page;

	if (f->index >= pcache_pages(c)) {
		count(fault_bus);
		return FAULT_BUS;
	}
	int err = pcache_get(c, f->index, &page);
	if (err)
		return err == -ENOMEM ? FAULT_OOM : FAULT_BUS;
	spin_lock(&c->lock);
	if (page->cached.cache != c || f->index >= pcache_pages(c) || !fault_lock(f)) {
		spin_unlock(&c->lock);
		frame_put(page);
		return FAULT_AGAIN;
	}
	unsigned filled = fill_window(f, c->shmem ? PTE_CLASS_SHMEM : PTE_CLASS_FILE, fault_rights(f, f->flags & R_SHARED));
	pt_unlock(f->table);
	spin_unlock(&c->lock);
	frame_put(page);
	count(fault_file);
	if (unlikely(!f->own))
		count_add(pt_fill_shared, filled);
	if (filled > 1) {
		count(around_windows);
		count_add(around_mapped, filled - 1);
	}
	return FAULT_OK;
}
