/* SPDX-License-Identifier: MIT */
/*
 * Owns: the gate, through which every entry that hardware could see is stored. It keeps the table's counts,
 * the counters and the batch in step with the entry. Only pgtable.c, share.c, drop.c and move.c include this; the
 * rest of the kernel has pt_store() and the operations on runs. A table that is linked nowhere yet may be
 * written directly (share.c, when it copies one).
 */
#pragma once
#include "kernel/base/counters.h"
#include "mm/pgtable.h"

/* Leaf OLD, which bears a mark, goes: it is known now whether it was of use. */
static __noinline __unused void gate_judge(pte_t old)
{
	if (pte_guessed(old)) {
		if (pte_dirty(old))
			count(predict_hit);
		else
			count(predict_wasted);
	} else if (pte_class(old) == PTE_CLASS_ANON || pte_class(old) == PTE_CLASS_ZERO) {
		if (pte_young(old))
			count(ahead_hit);
		else
			count(ahead_wasted);
	} else if (pte_young(old)) {
		count(around_hit);
	} else {
		count(around_wasted);
	}
}

/* SLOT of T gets its first entry. */
static __always_inline void gate_note(struct frame *t, const pte_t *slot)
{
	WRITE_ONCE(pt_live(t), pt_live(t) + 1);
	t->table.groups |= 1U << ((uintptr_t)slot / sizeof(pte_t) % PT_ENTRIES >> PT_GROUP_SHIFT);
}

/*
 * The gate. Table locked. Stores NEW, with those bits of KEEP that the old entry has at that instant (the
 * CPU may be setting A or D). Returns what was there. B is NULL where no CPU can have the old entry, or all may.
 */
static __always_inline pte_t gate(struct tlb_batch *b, struct frame *t, pte_t *slot, vaddr_t va, pte_t new, pte_t keep)
{
	pte_t old = *slot;

	if (old == 0) {
		if (new == 0)
			return 0;
		__atomic_store_n(slot, new, __ATOMIC_RELEASE);
		count(pt_set);
		gate_note(t, slot);
	} else {
		while (!__atomic_compare_exchange_n(slot, &old, new | (old & keep), false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
			;
		if (b && pte_loses(old, new))
			tlb_batch_page(b, va);
		if (unlikely(pte_marked(old)) && !pte_marked(new))
			gate_judge(old);
		if (new) {
			count(pt_change);
			if (pte_class(old) == pte_class(new))
				return old;
		} else {
			count(pt_clear);
			WRITE_ONCE(pt_live(t), pt_live(t) - 1);
		}
		if (pte_class(old))
			t->table.count[pte_class(old)]--;
	}
	if (pte_class(new))
		t->table.count[pte_class(new)]++;
	return old;
}

/* The gate where the slot is empty. */
static __always_inline void gate_fill(struct frame *t, pte_t *slot, pte_t new)
{
	__atomic_store_n(slot, new, __ATOMIC_RELEASE);
	count(pt_set);
	gate_note(t, slot);
	if (pte_class(new))
		t->table.count[pte_class(new)]++;
}

/* The same for N entries of class C from SLOT on, of which FILLED were empty and have just been stored. */
static __always_inline void gate_filled(struct frame *t, const pte_t *slot, unsigned n, enum pte_class c, unsigned filled)
{
	unsigned first = (uintptr_t)slot / sizeof(pte_t) % PT_ENTRIES;

	WRITE_ONCE(pt_live(t), pt_live(t) + filled);
	t->table.count[c] += filled;
	t->table.groups |= (2U << ((first + n - 1) >> PT_GROUP_SHIFT)) - (1U << (first >> PT_GROUP_SHIFT));
	count_add(pt_set, filled);
}

/* The gate where a leaf is cleared. The caller has told B of the address, and counts pt_clear. */
static __always_inline void gate_clear(struct tlb_batch *b, struct frame *t, pte_t *slot)
{
	pte_t old = __atomic_exchange_n(slot, 0, __ATOMIC_ACQ_REL);

	WRITE_ONCE(pt_live(t), pt_live(t) - 1);
	t->table.count[pte_class(old)]--;
	if (likely(pte_class(old) != PTE_CLASS_ZERO))
		tlb_batch_frame(b, pt_child(old));
}

/* The gate where the entry of a table goes, of which the caller tells the batch. Nobody else changes such an entry:
 * it is born with A. */
static __always_inline void gate_unlink(struct frame *t, pte_t *slot)
{
	__atomic_store_n(slot, 0, __ATOMIC_RELEASE);
	count(pt_clear);
	WRITE_ONCE(pt_live(t), pt_live(t) - 1);
}

/* The gate where only rights of a leaf change, so that no count moves; the caller tells the batch, and counts
 * pt_change. *OLD: what SLOT was seen to hold; it becomes what EDIT was applied to. */
static __always_inline void gate_rights(pte_t *slot, pte_t *old, struct pte_edit edit)
{
	pte_t new = pte_apply(edit, *old);

	while (unlikely(!__atomic_compare_exchange_n(slot, old, new, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)))
		new = pte_apply(edit, *old);
}

/* The gate where an entry loses its write bit; the caller flushes, unless no path to its table had one. Returns it. */
static __always_inline pte_t gate_protect(pte_t *slot)
{
	pte_clear_write(slot);
	count(pt_change);
	return READ_ONCE(*slot);
}

/* The gate where an entry gets its write bit, so that no count moves and nothing need be flushed. */
static __always_inline void gate_permit(pte_t *slot)
{
	pte_give_write(slot);
	count(pt_change);
}
