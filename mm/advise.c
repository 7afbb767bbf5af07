/* SPDX-License-Identifier: MIT */
/*
 * Owns: madvise: one row per advice, saying what it does to the pages or the flags of each region in the
 * range. Unmapped parts are passed over and reported as ENOMEM at the end, as Linux does.
 * Lock: the space's; only advice that changes flags makes seq odd.
 */
#include "kernel/abi.h"
#include "kernel/base/errno.h"
#include "mm/check.h"
#include "mm/ptreclaim.h"
#include "mm/share.h"
#include "mm/unmap.h"
#include "mm/vm.h"

struct advice {
	int number;
	u32 set, clear;			/* region flags */
	bool zap;			/* drop the pages */
	bool anon_only;
	bool allow_locked;
};

static const struct advice advices[] = {
	{ .number = MADV_NORMAL, .clear = R_RANDOM | R_SEQUENTIAL | R_POPULATE },
	{ .number = MADV_RANDOM, .set = R_RANDOM, .clear = R_SEQUENTIAL },
	{ .number = MADV_SEQUENTIAL, .set = R_SEQUENTIAL, .clear = R_RANDOM },
	{ .number = MADV_DONTNEED, .zap = true },
	{ .number = MADV_DONTNEED_LOCKED, .zap = true, .allow_locked = true },
	{ .number = MADV_FREE, .zap = true, .anon_only = true },	/* "at any time" may be now */
	{ .number = MADV_DONTFORK, .set = R_DONTFORK },
	{ .number = MADV_DOFORK, .clear = R_DONTFORK },
	{ .number = MADV_WIPEONFORK, .set = R_WIPEONFORK, .anon_only = true },
	{ .number = MADV_KEEPONFORK, .clear = R_WIPEONFORK },
	{ .number = MADV_POPULATE_WRITE_ON_FAULT, .set = R_POPULATE },
	{ .number = MADV_HUGEPAGE },
	{ .number = MADV_NOHUGEPAGE },
	{ .number = MADV_MERGEABLE },
	{ .number = MADV_UNMERGEABLE },
	{ .number = MADV_DONTDUMP },
	{ .number = MADV_DODUMP },
	{ .number = MADV_COLD },
	{ .number = MADV_PAGEOUT },
};

static const struct advice *find(int number)
{
	for (unsigned i = 0; i < ARRAY_SIZE(advices); i++)
		if (advices[i].number == number)
			return &advices[i];
	return NULL;
}

/* How far from START the pages may be dropped, in *STOP; what to report in the end. */
static long droppable(struct space *s, const struct advice *a, vaddr_t start, vaddr_t end, vaddr_t *stop)
{
	struct region *r = region_at_or_above(s, start);
	vaddr_t at = start;
	long err = 0;

	for (; at < end; at = r->end, r = region_next(r)) {
		if (!r || r->start > at)
			err = -ENOMEM;
		if (!r || r->start >= end)
			break;
		if ((r->flags & R_LOCKED && !a->allow_locked) || (a->anon_only && r->cache)) {
			err = -EINVAL;
			break;
		}
	}
	*stop = MIN(at, end);
	return err;
}

static long drop_pages(struct space *s, const struct advice *a, vaddr_t start, vaddr_t end)
{
	struct tlb_batch b;
	vaddr_t stop;

	tlb_batch_begin(&b, s);
	spin_lock(&s->lock);
	long err = droppable(s, a, start, end, &stop);
	if (start < stop) {
		if (share_own_edges(&b, start, stop) < 0)
			err = -EAGAIN;		/* nothing is dropped; ENOMEM means a hole */
		else
			vm_zap(s, &b, start, stop);
	}
	tlb_batch_finish(&b);		/* before another drops the same, finds nothing, and flushes nothing */
	spin_unlock(&s->lock);
	return err;
}

static long change_flags(struct space *s, const struct advice *a, vaddr_t start, vaddr_t end)
{
	struct region *dropped = NULL;
	struct tlb_batch b;
	long err;

	tlb_batch_begin(&b, s);
	space_change_begin(s);
	err = unmap_prepare(s, &b, start, end);
	if (err) {
		tlb_batch_finish(&b);
		space_change_end(s);
		return -EAGAIN;
	}
	for (struct region *r = region_at_or_above(s, start);; r = region_next(r)) {
		if (!r || r->start > start)
			err = -ENOMEM;
		if (!r || r->start >= end)
			break;
		if (a->anon_only && (r->cache || r->flags & R_SHARED)) {
			err = -EINVAL;
			break;
		}
		WRITE_ONCE(r->flags, (r->flags & ~a->clear) | a->set);
		r = region_try_merge(s, r, &dropped);
		start = r->end;
		if (start >= end)
			break;
	}
	tlb_batch_finish(&b);
	space_change_end(s);
	region_free_list(dropped);
	return err;
}

/* MADV_REMOVE: a hole in the file under a shared mapping. */
static long remove_pages(struct space *s, vaddr_t start, vaddr_t end)
{
	while (start < end) {
		spin_lock(&s->lock);
		struct region *r = region_at(s, start);
		struct pcache *c = r && r->flags & R_SHARED && r->flags & R_WRITE ? r->cache : NULL;

		if (!c) {
			spin_unlock(&s->lock);
			return r ? -EINVAL : -ENOMEM;
		}
		u64 from = (r->pgoff << PAGE_SHIFT) + (start - r->start);
		u64 length = MIN(end, r->end) - start;
		c->ops->get(c);
		spin_unlock(&s->lock);
		pcache_punch(c, from, from + length);
		c->ops->put(c);
		start += length;
	}
	return 0;
}

/* MADV_WILLNEED: pages of files come into memory; a hole is ENOMEM, after what comes behind it. */
static long read_pages(struct space *s, vaddr_t start, vaddr_t end)
{
	long err = 0;

	while (start < end) {
		spin_lock(&s->lock);
		struct region *r = region_at_or_above(s, start);
		struct pcache *c = r ? r->cache : NULL;
		vaddr_t from = r ? MAX(r->start, start) : end, to = r ? MIN(r->end, end) : end;
		u64 first = from < to ? r->pgoff + ((from - r->start) >> PAGE_SHIFT) : 0;

		if (from > start)
			err = -ENOMEM;
		if (from < to && c)
			c->ops->get(c);
		spin_unlock(&s->lock);
		if (from < to && c) {
			pcache_willneed(c, first, first + ((to - from) >> PAGE_SHIFT) - 1);
			c->ops->put(c);
		}
		start = MAX(to, from);
	}
	return err;
}

/* MADV_CLEANUP_PGTABLE: also on addresses that no region has any more. */
static long clean_up(struct space *s, vaddr_t start, vaddr_t end)
{
	struct tlb_batch b;

	tlb_batch_begin(&b, s);
	spin_lock(&s->lock);
	reclaim_range(&b, start, end, true);
	tlb_batch_finish(&b);
	spin_unlock(&s->lock);
	return 0;
}

/* MADV_POPULATE_PGTABLE: the leaf tables of the range, so that faults there find them. */
static long make_tables(struct space *s, vaddr_t start, vaddr_t end)
{
	vaddr_t va = start, stop;
	long err = 0;

	while (va < end && !err) {
		stop = MIN(ALIGN_DOWN(va, pt_span(3)) + pt_span(3), end);
		spin_lock(&s->lock);
		for (; va < stop && !err; va = ALIGN_DOWN(va, pt_span(2)) + pt_span(2))
			if (!region_at(s, va) || !pt_make(s, va))
				err = -ENOMEM;
		spin_unlock(&s->lock);
		if (!err && vm_pause && vm_pause())
			err = -EINTR;
	}
	for (; err && start < va; start = stop) {	/* all memory may be in them */
		stop = MIN(ALIGN_DOWN(start, pt_span(3)) + pt_span(3), va);
		clean_up(s, start, stop);
		if (vm_pause)
			vm_pause();
	}
	return err;
}

long vm_advise(struct space *s, vaddr_t addr, u64 length, int number)
{
	const struct advice *a = find(number);
	vaddr_t end = ALIGN_UP(addr + length, PAGE_SIZE);
	long err;

	if (addr & ~PAGE_MASK || end < addr || (length && end == addr))
		return -EINVAL;
	if (!a && number != MADV_POPULATE_READ && number != MADV_POPULATE_WRITE && number != MADV_REMOVE && number != MADV_WILLNEED &&
	    number != MADV_POPULATE_PGTABLE && number != MADV_CLEANUP_PGTABLE)
		return -EINVAL;
	if (end == addr)
		return 0;
	if (addr >= USER_END || end > USER_END)
		return -ENOMEM;
	if (number == MADV_CLEANUP_PGTABLE)
		err = clean_up(s, addr, end);
	else if (number == MADV_POPULATE_PGTABLE)
		err = make_tables(s, addr, end);
	else if (number == MADV_WILLNEED)
		err = read_pages(s, addr, end);
	else if (!a && number != MADV_REMOVE)
		err = vm_populate(s, addr, end - addr, number == MADV_POPULATE_WRITE);
	else if (!a)
		err = remove_pages(s, addr, end);
	else if (a->zap)
		err = drop_pages(s, a, addr, end);
	else
		err = change_flags(s, a, addr, end);
	check_after(s, false);
	return err;
}
