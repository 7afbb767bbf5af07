/* SPDX-License-Identifier: MIT */
/*
 * Owns: the cases that end with memory of the process's own: zeroed pages, the zero page, copies on write.
 * Each gets its page before it locks the table (but for a copy on write, which most often turns out not to be needed),
 * stores under the lock; where another page was before, flushes under it.
 */
#include "arch/cpu.h"
#include "kernel/base/counters.h"
#include "mm/fault_case.h"

#define BATCH 32			/* pages allocated, and stored under one lock, at a time */

/* How many of the N entries from SLOT on are empty, as far as one sees without a lock. */
static unsigned count_empty(const pte_t *slot, unsigned n)
{
	unsigned empty = 0;

	for (unsigned i = 0; i < n; i++)
		empty += !READ_ONCE(slot[i]);
	return empty;
}

/* Gives zeroed pages to what is empty of [from, to), entries like LIKE; *GIVEN: how many. FAULT_OOM: none. */
static enum fault_result give_range(struct fault *f, vaddr_t from, vaddr_t to, pte_t like, unsigned *given)
{
	struct frame *page[BATCH];
	unsigned n, got, used;

	*given = 0;
	for (; from < to; from += n * PAGE_SIZE) {
		n = MIN((unsigned)((to - from) >> PAGE_SHIFT), (unsigned)BATCH);
		unsigned empty = count_empty(pt_slot(f->table, from), n);
		got = frame_alloc_many(FRAME_ANON, page, empty);
		if (unlikely(!got && empty))
			return *given ? FAULT_OK : FAULT_OOM;
		for (unsigned i = 0; i < got; i++)
			cpu_clear_page(frame_ptr(page[i]));
		count_add(page_zeroed, got);
		if (unlikely(!fault_lock(f))) {
			frame_put_many(page, got);
			return FAULT_AGAIN;
		}
		used = pt_fill_fresh(f->table, from, n, like, page, got);
		f->old = READ_ONCE(*f->slot);
		pt_unlock(f->table);
		frame_put_many(page + used, got - used);
		*given += used;
	}
	return FAULT_OK;
}

/* The zero page for what is empty of [from, to): how many. Table locked. */
static unsigned give_zeroes(struct fault *f, vaddr_t from, vaddr_t to, pte_t like)
{
	unsigned n = pt_fill_same(f->table, from, (to - from) >> PAGE_SHIFT, like, zero_frame);

	if (unlikely(!f->own))
		count_add(pt_fill_shared, n);
	return n;
}

static __always_inline pte_t like_anon(const struct fault *f)
{
	return pte_leaf(0, PTE_CLASS_ANON, fault_rights(f, true));
}

static __always_inline pte_t like_zero(const struct fault *f)
{
	return pte_leaf(0, PTE_CLASS_ZERO, fault_rights(f, false));
}

enum fault_result fault_range(struct fault *f, vaddr_t to)
{
	enum fault_result result = FAULT_OK;
	unsigned given;

	if (f->write || !tune.zero_page) {
		result = give_range(f, f->va, to, like_anon(f), &given);
	} else if (fault_lock(f)) {
		given = give_zeroes(f, f->va, to, like_zero(f));
		pt_unlock(f->table);
	} else {
		return FAULT_AGAIN;
	}
	count_add(populate_pages, given);
	return result;
}

/* A fault that may give more than its page. */
static __noinline enum fault_result anon_run(struct fault *f)
{
	struct window w = around_run(f);
	unsigned given;

	if (f->flags & R_POPULATE) {
		enum fault_result result = give_range(f, w.from, w.to, like_anon(f), &given);

		if (given) {
			count(fault_anon);
			count_add(populate_pages, given - 1);
		}
		return result == FAULT_OK && !f->old ? FAULT_AGAIN : result;
	}
	enum fault_result result = give_range(f, f->va, f->va + PAGE_SIZE, like_anon(f), &given);
	if (result != FAULT_OK)
		return result;
	count(fault_anon);
	if (w.to > f->va + PAGE_SIZE) {
		give_range(f, f->va + PAGE_SIZE, w.to, pte_mark_ahead(like_anon(f)), &given);
		count_add(ahead_mapped, given);
	}
	return FAULT_OK;
}

/* A writable page for who reads, and is expected to write. */
static __noinline enum fault_result guess_write(struct fault *f)
{
	struct frame *frame;

	if (f->flags & R_POPULATE) {
		f->write = true;
		return f->own ? anon_run(f) : FAULT_AGAIN;
	}
	frame = frame_alloc_zeroed(FRAME_ANON);
	if (unlikely(!frame))
		return FAULT_OOM;
	if (!fault_lock(f)) {
		frame_put(frame);
		return FAULT_AGAIN;
	}
	pt_store_marked(f->table, f->slot, pte_mark_guess(like_anon(f)) | frame_pa(frame));
	pt_unlock(f->table);
	count(fault_anon);
	count(predict_given);
	return FAULT_OK;
}

enum fault_result fault_zero(struct fault *f)
{
	if (around_expects_write(f))
		return guess_write(f);
	if (!fault_lock(f))
		return FAULT_AGAIN;
	pt_store_empty(f->table, f->slot, like_zero(f) | frame_pa(zero_frame));
	if (unlikely(!f->own))
		count(pt_fill_shared);
	if (unlikely(tune.anon_prefault_order)) {
		struct window w = around_run(f);

		if (w.to > f->va + PAGE_SIZE)
			count_add(ahead_mapped, give_zeroes(f, f->va + PAGE_SIZE, w.to, pte_mark_ahead(like_zero(f))));
	}
	pt_unlock(f->table);
	count(fault_zero);
	return FAULT_OK;
}

/*
 * Stores NEW where another page is, and has every CPU forget that one. Until they have, nobody may write NEW, or somebody would
 * still read the old page after that write: it is there to be read first, and gets its write bit when they have. A
 * fork may have shared the table since it was locked: then the child's CPUs, too, may have seen the old page there.
 */
static __always_inline void replace(struct fault *f, struct tlb_batch *b, pte_t new)
{
	bool alone = nr_cpus == 1;

	pt_store(b, f->table, f->slot, f->va, alone ? new : pte_set_write(new, false));
	b->everyone = unlikely(READ_ONCE(f->space->stamp) != f->stamp);
	tlb_batch_flush(b);
	if (!alone)
		pt_store(NULL, f->table, f->slot, f->va, new);
}

enum fault_result fault_anon(struct fault *f)
{
	struct tlb_batch b;

	if (!f->old && unlikely(tune.anon_prefault_order || f->flags & R_POPULATE))
		return anon_run(f);
	struct frame *frame = frame_alloc_zeroed(FRAME_ANON);
	if (unlikely(!frame))
		return FAULT_OOM;
	if (!fault_lock(f)) {
		frame_put(frame);
		return FAULT_AGAIN;
	}
	pte_t new = like_anon(f) | frame_pa(frame);
	if (!f->old) {
		pt_store_empty(f->table, f->slot, new);
		pt_unlock(f->table);
		count(fault_anon);
		return FAULT_OK;
	}
	tlb_batch_begin(&b, f->space);
	replace(f, &b, new);
	around_wrote(f);
	pt_unlock(f->table);
	count(fault_zero_write);
	return FAULT_OK;
}

/* Nobody else has the page: only the write bit is missing. */
static enum fault_result reuse(struct fault *f)
{
	pt_store(NULL, f->table, f->slot, f->va, pte_set_dirty(pte_set_young(pte_set_write(f->old, true), true), true));
	pt_unlock(f->table);
	count(pgreuse);
	return FAULT_OK;
}

enum fault_result fault_cow(struct fault *f)
{
	struct frame *old = frame_of_pa(pte_pa(f->old)), *copy;
	struct tlb_batch b;

	if (!fault_lock(f))
		return FAULT_AGAIN;
	/* The lock keeps the entry, and with it a hold on the page. The only hold: nobody can get another. */
	if (pte_class(f->old) == PTE_CLASS_ANON && __atomic_load_n(&old->refs, __ATOMIC_ACQUIRE) == 1)
		return reuse(f);
	copy = frame_alloc(FRAME_ANON);
	if (unlikely(!copy)) {
		pt_unlock(f->table);
		return FAULT_OOM;
	}
	cpu_copy_page(frame_ptr(copy), frame_ptr(old));
	tlb_batch_begin(&b, f->space);
	tlb_batch_frame(&b, old);
	replace(f, &b, pte_leaf(frame_pa(copy), PTE_CLASS_ANON, fault_rights(f, true)));
	pt_unlock(f->table);
	count(page_copied);
	count(fault_cow);
	return FAULT_OK;
}
