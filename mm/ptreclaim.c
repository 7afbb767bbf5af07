/* SPDX-License-Identifier: MIT */
/*
 * Owns: the policies of mm/ptreclaim.h, and the list of tables that a space keeps back: a ring of addresses,
 * not of tables, so that nothing dangles: when a table's time is over, whatever is at its address then is
 * unlinked if it is empty. Locks: the space's for the ring; a table's own for its mark `listed`.
 */
#include "mm/ptreclaim.h"
#include "kernel/base/counters.h"
#include "mm/limbo.h"
#include "mm/share.h"

#define KEPT_TURNS 64		/* a table that nobody has refilled by then goes */
#define RECLAIM_PAGES 256	/* clean pages of files dropped when memory is short */
#define RING ARRAY_SIZE(((struct kept *)0)->table)

/* Is the table at WHERE among those kept? */
static bool is_kept(const struct kept *k, u32 where)
{
	for (unsigned i = 0; i < k->n; i++)
		if (k->table[(k->first + i) % RING].where == where)
			return true;
	return false;
}

/* Takes the oldest out of the ring if there are more than LIMIT, or it has been there for too long. *VA: its address;
 * ~0 if that has been freed, and the table there now is a younger one's. */
static bool take_oldest(struct kept *k, unsigned limit, vaddr_t *va)
{
	bool due = k->n > limit || (k->n && k->turn - k->table[k->first].turn > KEPT_TURNS);

	if (due) {
		u32 where = k->table[k->first].where;

		k->first = (k->first + 1) % RING;
		k->n--;
		*va = is_kept(k, where) ? ~0UL : (vaddr_t)where << pt_shift(2);
	}
	return due;
}

/* Does T map nothing, or with ZERO nothing but the zero page? Without T's lock: as far as one sees. */
static __racy bool is_vacant(const struct frame *t, bool zero)
{
	unsigned left = READ_ONCE(pt_live(t));

	if (t->level == 1)
		return !left || (zero && left == t->table.count[PTE_CLASS_ZERO]);
	for (unsigned i = 0; (i = pt_next_live(t, i, PT_ENTRIES)) < PT_ENTRIES; i++) {
		pte_t e = READ_ONCE(pt_slots(t)[i]);

		if (e && !is_vacant(pt_child(e), zero))
			return false;
	}
	return true;
}

/* Clears the zero-page entries of leaf table T of VA, if it has no others. */
static bool drop_zero_entries(struct tlb_batch *b, vaddr_t va, struct frame *t)
{
	if (!pt_lock(t))
		return false;
	bool only = pt_live(t) && is_vacant(t, true);
	if (only) {
		pt_clear(b, t, ALIGN_DOWN(va, pt_span(2)), PT_ENTRIES);
		count(pt_free_zero);
	}
	pt_unlock(t);
	return only;
}

struct sweep {
	struct tlb_batch *b;
	bool zero;			/* tables that map only the zero page go as well */
	bool all;			/* every space is swept */
	struct pcache *cut;		/* the same for those that map it, and its map_lock is held; or NULL */
};

/*
 * Unlinks the empty tables below T in [start, end). OWN: nobody else uses T. What others use as well is let go of,
 * when it is vacant as a whole; where all users are swept it is emptied in place, and each lets go when it comes to
 * its turn. (But not, unless a file is CUT, of a table that two others share: whoever walks it is not known.)
 */
static void sweep(const struct sweep *w, struct frame *t, vaddr_t start, vaddr_t end, bool own)
{
	u64 span = pt_span(t->level);

	for (vaddr_t va = start, next; va < end; va = next) {
		pte_t e = READ_ONCE(*pt_slot(t, va));

		next = MIN(ALIGN_DOWN(va, span) + span, end);
		if (!pte_present(e))
			continue;
		struct frame *child = pt_child(e);
		bool sole = READ_ONCE(child->refs) == 1;
		if (!sole && !w->cut && !(own && w->all && child->level > 1)) {
			if (own && is_vacant(child, w->zero))
				share_let_go(w->b, t, va, child, true, NULL);
			continue;
		}
		if (child->level > 1)
			sweep(w, child, va, next, own && sole);
		else if (w->zero)
			drop_zero_entries(w->b, va, child);
		if (!READ_ONCE(pt_live(child)) && !pt_unlink_if_empty(w->b, pt_slot(t, va), child) && (own || w->cut))
			share_let_go(w->b, t, va, child, false, w->cut);
	}
}

static void let_go(struct space *s, struct tlb_batch *b, unsigned limit)
{
	vaddr_t va;
	bool due;

	do {
		due = take_oldest(&s->kept, limit, &va);
		struct frame *t = due && va != ~0UL ? pt_find(s->root, va) : NULL;
		if (!t || !pt_lock(t))
			continue;
		bool kept = t->listed;
		t->listed = 0;
		if (kept && pt_live(t))
			count(pt_kept_refilled);
		pt_unlock(t);
		if (kept)
			reclaim_range(b, va, va + pt_span(2), false);
	} while (due);
}

/* Keeps CHILD, empty, at VA back. */
static void keep(struct space *s, struct tlb_batch *b, vaddr_t va, struct frame *child)
{
	struct kept *k = &s->kept;

	if (READ_ONCE(child->listed))
		return;
	let_go(s, b, MIN(tune.pt_reclaim_keep, RING) - 1);
	if (!pt_lock(child))
		return;
	child->listed = LISTED_KEPT;
	pt_unlock(child);
	unsigned at = (k->first + k->n++) % RING;
	k->table[at].where = va >> pt_shift(2);
	k->table[at].turn = k->turn;
	count(pt_kept);
}

void reclaim_leaf(struct tlb_batch *b, pte_t *slot, vaddr_t va, struct frame *child, enum pt_reclaim policy)
{
	if (READ_ONCE(pt_live(child)) && !(tune.pt_reclaim_zero && policy == PT_RECLAIM_ALWAYS && drop_zero_entries(b, va, child)))
		return;
	if (policy == PT_RECLAIM_ALWAYS)
		pt_unlink_if_empty(b, slot, child);
	else if (policy == PT_RECLAIM_DEFERRED)
		keep(b->space, b, va, child);
}

void reclaim_kept(struct space *s, struct tlb_batch *b)
{
	if (unlikely(s->kept.n))
		let_go(s, b, 0);
}

void reclaim_turn(struct space *s, struct tlb_batch *b, enum pt_reclaim policy)
{
	s->kept.turn++;
	if (s->kept.n && policy <= PT_RECLAIM_DEFERRED)
		let_go(s, b, policy == PT_RECLAIM_DEFERRED ? MIN(tune.pt_reclaim_keep, RING) : 0);
}

void reclaim_range(struct tlb_batch *b, vaddr_t start, vaddr_t end, bool zero)
{
	sweep(&(struct sweep){ .b = b, .zero = zero }, b->space->root, start, end, true);
}

void reclaim_cut(struct tlb_batch *b, vaddr_t start, vaddr_t end, struct pcache *c)
{
	sweep(&(struct sweep){ .b = b, .cut = c }, b->space->root, start, end, true);
}

void reclaim_space(struct space *s, void *all)
{
	struct tlb_batch b;

	tlb_batch_begin(&b, s);
	let_go(s, &b, 0);
	b.everyone = all && s->shares;
	sweep(&(struct sweep){ .b = &b, .zero = true, .all = all != NULL }, s->root, 0, USER_END, true);
	tlb_batch_finish(&b);
}

u64 reclaim_tables(void)
{
	u64 freed = this_cpu(cpu_counters[C_pt_free]), let_go_of;

	do {			/* again if one that was shared may now be somebody's own */
		let_go_of = this_cpu(cpu_counters[C_pt_dropped]);
		space_each(reclaim_space, &freed);
	} while (this_cpu(cpu_counters[C_pt_dropped]) != let_go_of);
	limbo_settle();
	return this_cpu(cpu_counters[C_pt_free]) - freed;
}

bool reclaim_all(void)
{
	u64 tables = reclaim_tables();

	return tables + pcache_evict(RECLAIM_PAGES) != 0;
}
