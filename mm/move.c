/* SPDX-License-Identifier: MIT */
/*
 * Owns: moving what tables map. See mm/move.h.
 *
 * Two walks over the same pieces: the first makes the tables that are to take them up, the second moves. Nothing
 * can unlink those between: whoever gives up empty tables of a space has it locked.
 *
 * A fault that began before the change may still link tables, which stay empty, at either place: at the old one there
 * may be nothing to take them up, so they stay; at the new one they are let go of in favour of what comes. It may also
 * be storing still, with its table locked: so no table is passed over because it looks empty.
 */
#include "mm/move.h"
#include "kernel/base/errno.h"
#include "kernel/base/print.h"
#include "mm/drop.h"
#include "mm/gate.h"

/* The table of LEVEL for VA below ROOT; NULL: none. */
static struct frame *find(struct frame *root, vaddr_t va, unsigned level)
{
	struct frame *t = root;

	while (t->level > level) {
		pte_t e = READ_ONCE(*pt_slot(t, va));

		if (!pte_present(e))
			return NULL;
		t = pt_child(e);
	}
	return t;
}

/* Moves the entry SLOT of a whole table to that of TO for VA. */
static void move_table(struct tlb_batch *b, pte_t *slot, struct frame *to, vaddr_t va)
{
	struct frame *from = frame_of_ptr(slot);
	struct unlinked late = { .n = 0 };

	pt_lock(from);
	pte_t e = *slot;
	gate_unlink(from, slot);
	pt_unlock(from);
	BUG_ON(!pt_lock(to));
	pte_t old = gate(NULL, to, pt_slot(to, va), va, e, 0);
	pt_unlock(to);
	tlb_batch_all(b);
	count(pt_moved);
	if (unlikely(old)) {
		late.table[late.n++] = pt_child(old);
		drop_unlinked(b, &late);
	}
}

/* Moves N entries from VA in leaf table FROM to NEW_VA in TO (may be the same), where nothing is. */
static void move_entries(struct tlb_batch *b, struct frame *from, vaddr_t va, struct frame *to, vaddr_t new_va, unsigned n)
{
	pte_t *src = pt_slot(from, va), *dst = pt_slot(to, new_va);
	struct frame *first = from < to ? from : to, *second = from < to ? to : from;

	spin_lock(&first->table.lock);
	if (second != first)
		spin_lock_nested(&second->table.lock);
	BUG_ON(from->dead || to->dead);
	for (unsigned i = 0; i < n; i++) {
		u64 offset = (u64)i * PAGE_SIZE;

		if (src[i])
			gate(NULL, to, &dst[i], new_va + offset, pte_unmark(gate(b, from, &src[i], va + offset, 0, 0)), 0);
	}
	if (second != first)
		spin_unlock(&second->table.lock);
	spin_unlock(&first->table.lock);
}

struct walk {
	const struct move *m;
	bool commit;			/* the second of the two */
};

/* The table of LEVEL that is to take up what is at VA; NULL: no memory, or in the second walk, nothing is there. */
static struct frame *taker(const struct walk *w, vaddr_t va, unsigned level)
{
	struct space *s = w->m->batch->space;

	return w->commit ? find(s->root, va + w->m->by, level) : pt_make_level(s, va + w->m->by, level);
}

/* Part [va, end) of leaf table T, which may come to lie in two. */
static int walk_leaf(const struct walk *w, struct frame *t, vaddr_t va, vaddr_t end)
{
	u64 by = w->m->by;

	for (vaddr_t next; va < end; va = next) {
		struct frame *to = taker(w, va, 1);

		next = MIN(ALIGN_DOWN(va + by, pt_span(2)) + pt_span(2) - by, end);
		if (w->commit && to)
			move_entries(w->m->batch, t, va, to, va + by, (next - va) >> PAGE_SHIFT);
		else if (!w->commit && !to)
			return -ENOMEM;
	}
	return 0;
}

/* Part [va, end) of T, which is above the leaves. */
static int walk(const struct walk *w, struct frame *t, vaddr_t va, vaddr_t end)
{
	u64 span = pt_span(t->level);
	unsigned first = pt_index(va, t->level), last = pt_index(end - 1, t->level), i = first;
	vaddr_t base = ALIGN_DOWN(va, span) - first * span;
	int err = 0;

	for (; (i = pt_next_live(t, i, last + 1)) <= last && !err; i++) {
		vaddr_t from = MAX(base + i * span, va), to = MIN(base + (i + 1) * span, end);
		pte_t *slot = &pt_slots(t)[i], e = READ_ONCE(*slot);

		if (to - from < span || span > move_most(w->m)) {
			struct frame *child = pt_child(e);

			err = t->level > 2 ? walk(w, child, from, to) : walk_leaf(w, child, from, to);
			continue;
		}
		struct frame *parent = taker(w, from, t->level);
		if (w->commit && parent)
			move_table(w->m->batch, slot, parent, from + w->m->by);
		else if (!w->commit && !parent)
			err = -ENOMEM;
	}
	return err;
}

int move_prepare(const struct move *m)
{
	return walk(&(struct walk){ m, false }, m->batch->space->root, m->from, m->end);
}

void move_commit(const struct move *m)
{
	walk(&(struct walk){ m, true }, m->batch->space->root, m->from, m->end);
}
