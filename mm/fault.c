/* SPDX-License-Identifier: MIT */
/*
 * Owns: the decision which case a fault is. The case table:
 *
 *   region            access   entry            what happens
 *   none                                        FAULT_MAPERR, unless a stack grows to it
 *   forbids access                              FAULT_ACCERR
 *   anonymous         read     empty            fault_zero: the zero page
 *   anonymous         write    empty, zero page fault_anon: a zeroed page
 *   file              read     empty            fault_file: the cached page, neighbours with it
 *   file, shared      write    empty            fault_file
 *   file, private     write    empty            fault_file_copy
 *   private           write    not writable     fault_cow: a copy; or the page itself, if nobody else has it
 *   shared            write    not writable     fault_mkwrite
 *   any               write    permits it       fault_own, when tables were in the way; else
 *   any               any      permits it       fault_spurious
 *
 * A write first makes every table on its way its own (mm/share.h); a read may fill a table that others use too.
 * Locks: none until the case is decided and its page is at hand; then the one leaf table, under which
 * fault_lock() validates what was seen (space->seq, the entry). What has changed means: begin again.
 */
#include "mm/fault_case.h"
#include "arch/tlb.h"
#include "kernel/base/counters.h"
#include "kernel/base/print.h"
#include "mm/check.h"
#include "mm/ptreclaim.h"
#include "mm/share.h"
#include "mm/vm.h"

#define STACK_GUARD_GAP MiB(1)
#define EVICT 64		/* clean pages dropped for a fault that finds no memory */

/* No region at VA: the stack above it may grow down to it. */
static __noinline enum fault_result grow_stack(struct space *s, vaddr_t va)
{
	enum fault_result result = FAULT_MAPERR;

	space_change_begin(s);
	struct region *r = region_at_or_above(s, va);
	if (r && va >= r->start) {
		result = FAULT_AGAIN;		/* another thread was here first */
	} else if (r && r->flags & R_GROWSDOWN && r->end - va <= s->limit_stack) {
		struct region *below = region_prev(r);
		u64 pages = (r->start - va) >> PAGE_SHIFT;

		struct tlb_batch b;
		tlb_batch_begin(&b, s);
		if ((!below || below->end + STACK_GUARD_GAP <= va || below->flags & R_GROWSDOWN) && va >= MMAP_MIN_ADDR &&
		    (s->pages + pages) << PAGE_SHIFT <= s->limit_as) {
			if (share_clear_hole(&b, va, r->start) < 0) {
				result = FAULT_OOM;
				goto out;
			}
			r->start = va;
			s->pages += pages;
			if (r->flags & R_LOCKED)
				s->locked_pages += pages;
			count(fault_stack);
			result = FAULT_AGAIN;
		}
out:
		tlb_batch_finish(&b);
	}
	space_change_end(s);
	if (result == FAULT_MAPERR)
		count(fault_unmapped);
	return result;
}

static bool allowed(u32 flags, bool write, bool exec)
{
	return flags & (write ? R_WRITE : exec ? R_EXEC : R_PROT);	/* x86 cannot forbid reading alone */
}

enum fault_result fault_spurious(struct fault *f)
{
	count(fault_spurious);
	arch_tlb_flush_page(f->va);
	return FAULT_OK;
}

enum fault_result fault_own(struct fault *f __unused)
{
	count(fault_own);
	return FAULT_OK;
}

enum fault_result fault_mkwrite(struct fault *f)
{
	if (!fault_lock(f))
		return FAULT_AGAIN;
	pt_store(NULL, f->table, f->slot, f->va, pte_set_dirty(pte_set_young(pte_set_write(f->old, true), true), true));
	pt_unlock(f->table);
	count(fault_mkwrite);
	return FAULT_OK;
}

/* The region allows the access and the entry does not, though only writes are ever held back. */
static enum fault_result disagreement(struct fault *f)
{
	if (!fault_lock(f))
		return FAULT_AGAIN;
	panic("entry %#lx of %#lx has not the rights of its region (flags %#x)", f->old, f->va, f->flags);
}

static __always_inline enum fault_result decide(struct fault *f)
{
	if (!f->old) {
		if (f->cache)
			return f->write && !(f->flags & R_SHARED) ? fault_file_copy(f) : fault_file(f);
		return f->write || !tune.zero_page ? fault_anon(f) : fault_zero(f);
	}
	if (pte_permits(f->old, pte_want(f->write), f->exec))
		return f->took ? fault_own(f) : fault_spurious(f);
	if (unlikely(!f->write || pte_barred(f->old)))
		return disagreement(f);
	if (f->flags & R_SHARED)
		return fault_mkwrite(f);
	return pte_class(f->old) == PTE_CLASS_ZERO ? fault_anon(f) : fault_cow(f);
}

/* The walk found no leaf table, or one with other users, which a write may not use: a write wants a path of its
 * own, a read takes a table whoever else uses it (mm/share.h). */
static __noinline enum fault_result find_table(struct fault *f)
{
	struct space *s = f->space;
	struct frame *t;

	f->made = true;
	if (f->slot && !f->write)
		return FAULT_OK;
	if (!f->write || f->own) {
		t = pt_make(s, f->va);
		f->slot = t ? pt_slot(t, f->va) : NULL;
		return t ? FAULT_OK : FAULT_OOM;
	}
	if (!share_make_own(s, f->va, &f->took))
		return FAULT_OOM;
	f->owned = __atomic_load_n(&s->owned, __ATOMIC_ACQUIRE);
	f->slot = pt_find_slot(s->root, f->va, &f->own);
	return f->slot && f->own ? FAULT_OK : FAULT_AGAIN;
}

static __always_inline enum fault_result find(struct fault *f)
{
	struct space *s = f->space;

	f->stamp = __atomic_load_n(&s->stamp, __ATOMIC_ACQUIRE);
	if (unlikely(f->seq & 1)) {
		spin_lock(&s->lock);	/* wait for the change to end */
		spin_unlock(&s->lock);
		return FAULT_AGAIN;
	}
	struct region *r = region_look(s, f->seq, f->va);
	if (unlikely(!r))
		return grow_stack(s, f->va);
	f->region = r;
	f->flags = READ_ONCE(r->flags);
	f->cache = READ_ONCE(r->cache);
	f->start = READ_ONCE(r->start);
	f->end = READ_ONCE(r->end);
	f->pgoff = READ_ONCE(r->pgoff);
	if (unlikely(!allowed(f->flags, f->write, f->exec))) {
		enum fault_result result = fault_refuse(f, FAULT_ACCERR);

		if (result == FAULT_ACCERR)
			count(fault_prot);
		return result;
	}
	f->slot = pt_find_slot(s->root, f->va, &f->own);
	if (unlikely(!f->slot || !f->own)) {
		enum fault_result result = find_table(f);

		if (result != FAULT_OK)
			return result;
	}
	f->table = frame_of_ptr(f->slot);
	f->old = READ_ONCE(*f->slot);
	return FAULT_OK;
}

enum fault_result fault_find(struct fault *f)
{
	return find(f);
}

enum fault_result fault_decide(struct fault *f)
{
	return decide(f);
}

bool fault_worth(struct fault *f, enum fault_result result, struct fault_tries *t)
{
	if (result < FAULT_OOM)
		return false;
	if (result != FAULT_FETCHED) {
		count(fault_retry);
		/* Tables once: those made for this fault would be given up, and made again, for ever. */
		return result == FAULT_AGAIN || (t->gave_up ? pcache_evict(EVICT) : (t->gave_up = reclaim_all()));
	}
	if (t->page)
		frame_put(t->page);
	t->page = f->fetched;
	return true;
}

bool fault_end(struct fault_tries *t)
{
	struct frame *page = t->page;

	if (page)
		frame_put(page);
	t->page = NULL;
	return page;
}

/* Until F, whose first try came to RESULT, has come to an end. */
static __noinline enum fault_result try_again(struct fault *f, enum fault_result result)
{
	struct fault_tries t = { 0 };

	while (fault_worth(f, result, &t)) {
		result = fault_find(f);
		if (result == FAULT_OK)
			result = fault_decide(f);
	}
	if (fault_end(&t) && result == FAULT_OK) {
		count(pgmajfault);
		return FAULT_MAJOR;
	}
	return result;
}

void fault_undo(struct fault *f)
{
	spin_lock(&f->space->lock);
	pt_roll_back(f->space, f->va);
	spin_unlock(&f->space->lock);
}

enum fault_result fault_handle(struct space *s, vaddr_t va, unsigned error)
{
	enum fault_result result;
	struct fault f;

	f.space = s;
	f.va = va & PAGE_MASK;
	f.write = error & FAULT_WRITE;
	f.exec = error & FAULT_EXEC;
	f.took = f.made = false;
	f.until = 0;

	if (unlikely(va >= USER_END))
		return FAULT_MAPERR;
	result = find(&f);
	if (likely(result == FAULT_OK))
		result = decide(&f);
	if (unlikely(result >= FAULT_OOM))
		result = try_again(&f, result);
	if (likely(result <= FAULT_MAJOR))
		count(pgfault);
	else if (result == FAULT_OOM)
		count(fault_oom);
	if (unlikely(result > FAULT_MAJOR && f.made))
		fault_undo(&f);
	if (unlikely(tune.debug_check))
		check_after(s, false);
	return result;
}
