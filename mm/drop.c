/* SPDX-License-Identifier: MIT */
/*
 * Owns: letting go of tables. One that others use as well loses a user, unread; only the last user looks into it. The
 * rule, the invariant and the locks are in mm/share.h.
 */
#include "mm/drop.h"
#include "kernel/base/print.h"
#include "mm/gate.h"
#include "mm/ptreclaim.h"
#include "mm/share.h"

static u64 drop_table(struct tlb_batch *b, struct frame *t);

/* Lets go of everything that T, which nobody can reach any more, points to; T itself goes to the batch. The
 * number of pages. */
static u64 empty_table(struct tlb_batch *b, struct frame *t)
{
	unsigned left = pt_live(t);
	u64 pages = t->level > 1 ? 0 : left - t->table.count[PTE_CLASS_ZERO];

	count_add(pt_clear, left);
	if (unlikely(t->marked))
		pt_judge(t, 0, PT_ENTRIES);
	for (unsigned i = 0; left; i++, left--) {
		i = pt_next_live(t, i, PT_ENTRIES);
		pte_t e = pt_slots(t)[i];

		WRITE_ONCE(pt_slots(t)[i], 0);
		if (t->level > 1)
			pages += drop_table(b, pt_child(e));
		else if (pte_class(e) != PTE_CLASS_ZERO)
			tlb_batch_frame(b, pt_child(e));
	}
	tlb_batch_table(b, t);
	return pages;
}

/* One entry less points to T. The number of pages let go of with it. */
static u64 drop_table(struct tlb_batch *b, struct frame *t)
{
	spin_lock_nested(&t->table.lock);
	bool last = __atomic_sub_fetch(&t->refs, 1, __ATOMIC_ACQ_REL) == 0;
	if (last)
		t->dead = true;
	spin_unlock(&t->table.lock);
	return last ? empty_table(b, t) : 0;
}

void drop_unlinked(struct tlb_batch *b, struct unlinked *u)
{
	tlb_batch_all(b);
	tlb_batch_flush(b);
	while (u->n)
		drop_table(b, u->table[--u->n]);
}

int share_clear_hole(struct tlb_batch *b, vaddr_t start, vaddr_t end)
{
	if (!b->space->shares)
		return 0;
	int err = share_own_edges(b, start, end);
	if (!err)
		share_zap(b, start, end, PT_RECLAIM_ALWAYS, false);
	return err;
}

/* Unlinks the shared table that SLOT, of an own table, points to for VA. */
static __noinline void unlink_shared(struct tlb_batch *b, pte_t *slot, vaddr_t va, struct unlinked *u)
{
	struct frame *t = frame_of_ptr(slot);

	if (u->n == ARRAY_SIZE(u->table))
		drop_unlinked(b, u);
	pt_lock(t);
	pte_t e = gate(b, t, slot, va, 0, 0);
	pt_unlock(t);
	__atomic_fetch_add(&b->space->owned, 1, __ATOMIC_RELEASE);	/* before T's use falls */
	count(pt_dropped);
	u->table[u->n++] = pt_child(e);
}

void share_let_go(struct tlb_batch *b, struct frame *t, vaddr_t va, struct frame *child, bool sure, struct pcache *cut)
{
	struct unlinked u = { .n = 1, .table = { child } };
	bool empty = false;
	struct region *r;

	if (!pt_lock(t))
		return;
	pte_t *slot = pt_slot(t, va);
	if (pte_present(*slot) && pt_child(*slot) == child) {
		spin_lock_nested(&child->table.lock);
		empty = !pte_writable(*slot) && (sure || !pt_live(child));	/* else it has been taken over */
		if (empty)
			gate(b, t, slot, va, 0, 0);
		spin_unlock(&child->table.lock);
	}
	pt_unlock(t);
	if (!empty)
		return;
	count(pt_dropped);
	/* Whoever has walked to it by this entry looks again, before its use falls. */
	if (!cut)
		__atomic_fetch_add(&b->space->owned, 1, __ATOMIC_RELEASE);
	else
		TAILQ_FOREACH(r, &cut->regions, mapping)
			__atomic_fetch_add(&r->space->owned, 1, __ATOMIC_RELEASE);
	drop_unlinked(b, &u);
}

struct zap {
	struct tlb_batch *b;
	enum pt_reclaim policy;
	struct unlinked u;
	bool look;			/* for a peak, before the first page goes */
	u64 pages;
};

/* Resident ones of T. */
static __racy u64 pages_of(const struct frame *t)
{
	return pt_live(t) - t->table.count[PTE_CLASS_ZERO];
}

static void look(struct zap *z)
{
	z->look = false;
	peak_look(z->b->space);
}

/* SLOTS: those of an own table of LEVEL, that of START among them. */
static void zap_below(struct zap *z, pte_t *slots, unsigned level, vaddr_t start, vaddr_t end)
{
	u64 span = pt_span(level);
	pte_t *slot = &slots[pt_index(start, level)];

	for (vaddr_t va = start, next; va < end; va = next, slot++) {
		next = MIN(ALIGN_DOWN(va, span) + span, end);
		pte_t e = READ_ONCE(*slot);

		if (!pte_present(e))
			continue;
		struct frame *child = pt_child(e);
		if (!pte_writable(e)) {
			BUG_ON(next - va != span);	/* an edge that nobody owned */
			if (z->look)
				look(z);
			unlink_shared(z->b, slot, va, &z->u);
		} else if (level > 2) {
			zap_below(z, frame_ptr(child), level - 1, va, next);
			pt_unlink_if_empty(z->b, slot, child);
		} else if (pt_lock(child)) {
			unsigned first = pt_index(va, 1), stop = first + ((next - va) >> PAGE_SHIFT);

			if (z->look && pt_next_live(child, first, stop) < stop)
				look(z);
			z->pages += pages_of(child);
			pt_clear(z->b, child, va, (next - va) >> PAGE_SHIFT);
			z->pages -= pages_of(child);
			pt_unlock(child);
			reclaim_leaf(z->b, slot, va, child, z->policy);
		}
	}
}

u64 share_zap(struct tlb_batch *b, vaddr_t start, vaddr_t end, enum pt_reclaim policy, bool peak)
{
	struct zap z;

	z.b = b;
	z.policy = policy;
	z.u.n = 0;
	z.pages = 0;
	z.look = peak;
	zap_below(&z, pt_slots(b->space->root), PT_LEVELS, start, end);
	if (z.u.n)
		drop_unlinked(b, &z.u);
	return z.pages;
}

u64 share_drop_all(struct tlb_batch *b, struct space *s)
{
	u64 pages = 0;
	unsigned left = pt_live(s->root);

	for (unsigned i = 0; left; i++, left--) {
		i = pt_next_live(s->root, i, USER_ROOT_ENTRIES);
		pte_t e = pt_slots(s->root)[i];

		gate(b, s->root, &pt_slots(s->root)[i], 0, 0, 0);
		pages += drop_table(b, pt_child(e));
	}
	return pages;
}
