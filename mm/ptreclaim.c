/* SPDX-License-Identifier: MIT */
/*
 * Owns: the policies of mm/ptreclaim.h, and the list of tables that a space keeps back: a ring of addresses,
 * not of tables, so that nothing dangles: when a table's time is over, whatever is at its address then is
 * unlinked if it is empty. Lock: kept.lock for the ring; a table's own lock for its mark `listed`.
 */
#include "mm/ptreclaim.h"
#include "kernel/base/counters.h"

#define KEPT_TURNS 64		/* a table that nobody has refilled by then goes */
#define RECLAIM_PAGES 256	/* clean pages of files dropped when memory is short */
#define RING ARRAY_SIZE(((struct kept *)0)->table)

/* Takes the oldest out of the ring if there are more than LIMIT, or it has been there for too long. */
static bool take_oldest(struct kept *k, unsigned limit, vaddr_t *va)
{
	bool due = k->n > limit || (k->n && k->turn - k->table[k->first].turn > KEPT_TURNS);

	if (due) {
		*va = (vaddr_t)k->table[k->first].where << pt_shift(2);
		k->first = (k->first + 1) % RING;
		k->n--;
	}
	return due;
}

static void let_go(struct space *s, struct tlb_batch *b, unsigned limit)
{
	vaddr_t va;
	bool due;

	do {
		spin_lock(&s->kept.lock);
		due = take_oldest(&s->kept, limit, &va);
		spin_unlock(&s->kept.lock);
		struct frame *t = due ? pt_find(s->root, va) : NULL;
		if (!t || !pt_lock(t))
			continue;
		t->listed = 0;
		if (pt_live(t))
			count(pt_kept_refilled);
		pt_unlock(t);
		pt_unlink_empty(b, va);
	} while (due);
}

/* Keeps CHILD, empty, at VA back. */
static void keep(struct space *s, struct tlb_batch *b, vaddr_t va, struct frame *child)
{
	struct kept *k = &s->kept;

	if (!pt_lock(child))
		return;
	bool known = child->listed;
	child->listed = 1;
	pt_unlock(child);
	if (known)
		return;
	let_go(s, b, MIN(tune.pt_reclaim_keep, RING) - 1);
	spin_lock(&k->lock);
	if (k->n < RING) {
		unsigned at = (k->first + k->n++) % RING;

		k->table[at].where = va >> pt_shift(2);
		k->table[at].turn = k->turn;
		count(pt_kept);
	}
	spin_unlock(&k->lock);
}

/* Clears the zero-page entries of T, which has no others. */
static bool drop_zero_entries(struct tlb_batch *b, struct frame *t)
{
	if (!pt_lock(t))
		return false;
	bool only = pt_live(t) && pt_live(t) == t->table.count[PTE_CLASS_ZERO];
	if (only) {
		pt_clear(b, t, pt_base(t), PT_ENTRIES);
		count(pt_free_zero);
	}
	pt_unlock(t);
	return only;
}

void reclaim_leaf(struct tlb_batch *b, struct frame *parent, vaddr_t va, struct frame *child, enum pt_reclaim policy)
{
	if (READ_ONCE(pt_live(child)) && !(tune.pt_reclaim_zero && policy == PT_RECLAIM_ALWAYS && drop_zero_entries(b, child)))
		return;
	if (policy == PT_RECLAIM_ALWAYS)
		pt_unlink_if_empty(b, parent, va, child);
	else if (policy == PT_RECLAIM_DEFERRED)
		keep(b->space, b, va, child);
}

void reclaim_turn(struct space *s, struct tlb_batch *b)
{
	s->kept.turn++;
	if (s->kept.n)
		let_go(s, b, MIN(tune.pt_reclaim_keep, RING));
}

void reclaim_range(struct space *s, vaddr_t start, vaddr_t end, bool zero)
{
	struct pt_piece p = PT_PIECE(s->root, start, end);
	struct tlb_batch b;

	tlb_batch_begin(&b, s);
	while (pt_next(&p)) {
		if (!p.own)
			continue;
		if (zero)
			drop_zero_entries(&b, p.table);
		if (!READ_ONCE(pt_live(p.table)))
			pt_unlink_empty(&b, p.va);
	}
	tlb_batch_finish(&b);
}

static void reclaim_space(struct space *s, void *arg __unused)
{
	struct tlb_batch b;

	tlb_batch_begin(&b, s);
	let_go(s, &b, 0);
	tlb_batch_finish(&b);
	reclaim_range(s, 0, USER_END, true);
}

bool reclaim_all(void)
{
	u64 before = frame_nr_free();

	space_each(reclaim_space, NULL);
	pcache_evict(RECLAIM_PAGES);
	return frame_nr_free() > before;
}
