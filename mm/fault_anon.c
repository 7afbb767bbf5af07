/* SPDX-License-Identifier: MIT */
/*
 * Owns: the cases that end with memory of the process's own: zeroed pages, the zero page, copies on write.
 * Each gets its page before it locks the table, stores under the lock, flushes after it.
 */
#include "arch/cpu.h"
#include "kernel/base/counters.h"
#include "mm/fault_case.h"

enum fault_result fault_zero(struct fault *f)
{
	if (!fault_lock(f))
		return FAULT_AGAIN;
	pt_store_empty(f->table, f->slot, pte_leaf(frame_pa(zero_frame), PTE_CLASS_ZERO, fault_rights(f, false)));
	pt_unlock(f->table);
	if (unlikely(!f->own))
		count(pt_fill_shared);
	count(fault_zero);
	return FAULT_OK;
}

/* Stores FRAME (the caller's hold becomes the entry's) in place of what F found. */
static __always_inline enum fault_result give_page(struct fault *f, struct frame *frame)
{
	struct tlb_batch b;

	if (!fault_lock(f)) {
		frame_put(frame);
		return FAULT_AGAIN;
	}
	pte_t new = pte_leaf(frame_pa(frame), PTE_CLASS_ANON, fault_rights(f, true));
	if (!f->old) {
		pt_store_empty(f->table, f->slot, new);
		pt_unlock(f->table);
		return FAULT_OK;
	}
	tlb_batch_begin(&b, f->space);
	pt_store(&b, f->table, f->slot, f->va, new);
	pt_unlock(f->table);
	tlb_batch_finish(&b);
	return FAULT_OK;
}

enum fault_result fault_anon(struct fault *f)
{
	struct frame *frame = frame_alloc_zeroed(FRAME_ANON);

	if (unlikely(!frame))
		return FAULT_OOM;
	enum fault_result result = give_page(f, frame);
	if (likely(result == FAULT_OK)) {
		if (f->old)
			count(fault_zero_write);
		else
			count(fault_anon);
	}
	return result;
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
	pt_store(&b, f->table, f->slot, f->va, pte_leaf(frame_pa(copy), PTE_CLASS_ANON, fault_rights(f, true)));
	tlb_batch_frame(&b, old);
	pt_unlock(f->table);
	tlb_batch_finish(&b);
	count(page_copied);
	count(fault_cow);
	return FAULT_OK;
}
