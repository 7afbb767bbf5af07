/* SPDX-License-Identifier: MIT */
/*
 * Owns: what may be asked of pages without changing what they contain: mlock, mincore, msync.
 * Nothing is ever written back or swapped out, so msync checks and mlock populates.
 */
#include "arch/cpu.h"
#include "kernel/abi.h"
#include "kernel/base/errno.h"
#include "kernel/base/string.h"
#include "mm/check.h"
#include "mm/fault.h"
#include "mm/unmap.h"
#include "mm/vm.h"

/* What there is in [start, end) by regions, each as its rights allow; failures are not told. */
static void populate_regions(struct space *s, vaddr_t start, vaddr_t end)
{
	while (start < end) {
		spin_lock(&s->lock);
		struct region *r = region_at_or_above(s, start);
		vaddr_t from = r ? MAX(start, r->start) : end, to = r ? MIN(end, r->end) : end;
		u32 flags = r ? r->flags : 0;
		spin_unlock(&s->lock);
		if (from < to && flags & R_PROT &&
		    vm_populate(s, from, to - from, flags & R_WRITE && !(flags & R_SHARED)) == -EINTR)
			return;
		start = MAX(to, start + PAGE_SIZE);
	}
}

long vm_lock(struct space *s, vaddr_t addr, u64 length, bool lock)
{
	struct region *dropped = NULL;
	vaddr_t start = ALIGN_DOWN(addr, PAGE_SIZE), end = ALIGN_UP(addr + length, PAGE_SIZE), at = start;
	long err;

	if (end < start)
		return -EINVAL;
	if (end == start)
		return 0;
	if (end > USER_END)
		return -ENOMEM;
	space_change_begin(s);
	err = region_split_edges(s, start, end);
	for (struct region *r = err ? NULL : region_at_or_above(s, start); at < end && !err; r = region_next(r)) {
		if (!r || r->start > at) {
			err = -ENOMEM;
			break;
		}
		u64 pages = (r->end - r->start) >> PAGE_SHIFT;
		if (lock && !(r->flags & R_LOCKED))
			s->locked_pages += pages;
		if (!lock && r->flags & R_LOCKED)
			s->locked_pages -= pages;
		WRITE_ONCE(r->flags, lock ? r->flags | R_LOCKED : r->flags & ~R_LOCKED);
		r = region_try_merge(s, r, &dropped);
		at = r->end;
	}
	space_change_end(s);
	region_free_list(dropped);
	if (!err && lock)
		populate_regions(s, start, end);
	check_after(s, false);
	return err;
}

long vm_lock_all(struct space *s, bool lock)
{
	vaddr_t at = 0;
	long err = 0;

	while (!err) {
		spin_lock(&s->lock);
		struct region *r = region_at_or_above(s, at);
		vaddr_t start = r ? r->start : 0;
		at = r ? r->end : 0;
		spin_unlock(&s->lock);
		if (!r)
			break;
		err = vm_lock(s, start, at - start, lock);
	}
	return err;
}

long vm_sync(struct space *s, vaddr_t addr, u64 length, int flags)
{
	vaddr_t end = ALIGN_UP(addr + length, PAGE_SIZE);
	long err = 0;

	if (flags & ~(MS_ASYNC | MS_SYNC | MS_INVALIDATE) || addr & ~PAGE_MASK || (flags & MS_ASYNC && flags & MS_SYNC))
		return -EINVAL;
	if (end < addr || end > USER_END)
		return -ENOMEM;
	spin_lock(&s->lock);
	for (struct region *r = region_at_or_above(s, addr); addr < end && !err;) {
		if (!r || r->start > addr) {
			err = -ENOMEM;
		} else if (flags & MS_INVALIDATE && r->flags & R_LOCKED) {
			err = -EBUSY;
		} else {
			addr = r->end;
			r = region_next(r);
		}
	}
	spin_unlock(&s->lock);
	return err;
}

/* Marks the pages [va, va + n pages) of region R that the page cache holds. */
static void cached_pages(struct region *r, vaddr_t va, u64 n, u8 *vec)
{
	struct frame *page[32];

	for (u64 i = 0; i < n; i += ARRAY_SIZE(page)) {
		unsigned some = MIN(n - i, ARRAY_SIZE(page));

		spin_lock(&r->cache->lock);
		pcache_gather(r->cache, r->pgoff + ((va - r->start) >> PAGE_SHIFT) + i, some, page);
		for (unsigned k = 0; k < some; k++)
			vec[i + k] = page[k] != NULL;
		spin_unlock(&r->cache->lock);
	}
}

long vm_mincore(struct space *s, vaddr_t addr, u64 pages, u8 *vec)
{
	vaddr_t end = addr + pages * PAGE_SIZE, at = addr;
	struct pt_piece p = PT_PIECE(s->root, addr, end);
	long err = 0;

	memset(vec, 0, pages);
	spin_lock(&s->lock);
	for (struct region *r = region_at_or_above(s, at); at < end; at = r->end, r = region_next(r)) {
		if (!r || r->start > at) {
			err = -ENOMEM;
			break;
		}
		if (r->cache)
			cached_pages(r, at, (MIN(end, r->end) - at) >> PAGE_SHIFT, vec + ((at - addr) >> PAGE_SHIFT));
	}
	while (!err && pt_next(&p))
		for (unsigned i = 0; i < p.n; i++)
			if (pte_class(READ_ONCE(pt_slot(p.table, p.va)[i])))
				vec[((p.va - addr) >> PAGE_SHIFT) + i] = 1;
	spin_unlock(&s->lock);
	return err;
}
