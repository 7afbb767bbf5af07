/* SPDX-License-Identifier: MIT */
/*
 * Owns: sharing tables and owning them; mm/drop.c lets go of them, mm/move.c moves them. The rule, the invariant
 * and the locks are in mm/share.h.
 * The idea of sharing tables at fork by use counts is Daniel Phillips's (2002); doing it at every level,
 * re-owning at use 1, and filling in place are this kernel's.
 *
 *   fork          the root is copied, what it points to gains a user
 *   write fault   walks down; copies each table with other users, takes over one whose others have gone
 *   zap           a table covered whole loses a user, unread; one covered in part was owned before
 *   exit          the root's tables lose a user each; only what has none left is looked into
 */
#include "mm/share.h"
#include "kernel/base/errno.h"
#include "kernel/base/print.h"
#include "kernel/base/tunables.h"
#include "mm/drop.h"
#include "mm/gate.h"

/* N entries that are all tables, or all anonymous pages, and none empty: nothing to ask of any of them. */
static __always_inline void copy_run(pte_t *from, pte_t *to, unsigned n)
{
	pte_t e;

#pragma GCC unroll 8
	for (unsigned i = 0; i < n; i++) {
		pte_clear_write(&from[i]);
		to[i] = e = READ_ONCE(from[i]);
		frame_get(pt_child(e));
	}
	count_add(pt_change, n);
}

/* Where T's entries begin, if they are many, lie without a gap and are all of class C; else PT_ENTRIES. */
static unsigned only_run(const struct frame *t, enum pte_class c)
{
	unsigned n = pt_live(t), first;

	if (n < PT_ENTRIES / 16 || t->table.count[c] != n || t->marked)
		return PT_ENTRIES;
	first = pt_next_live(t, 0, PT_ENTRIES);
	return first + n <= PT_ENTRIES && pt_next_live(t, first + n, PT_ENTRIES) == PT_ENTRIES ? first : PT_ENTRIES;
}

/* Gives COPY, linked nowhere, the entries of T, which is locked and used by others too. Nobody may write to what
 * both map, so T's entries lose the write bit; no flush: no path to T had it. */
static void copy_entries(struct frame *t, struct frame *copy)
{
	pte_t *from = pt_slots(t), *to = pt_slots(copy);
	unsigned left = pt_live(t), run = only_run(t, t->level > 1 ? PTE_CLASS_NONE : PTE_CLASS_ANON);

	if (run < PT_ENTRIES) {
		copy_run(from + run, to + run, left);
		left = 0;
	}
	for (unsigned i = 0; left; i++, left--) {
		i = pt_next_live(t, i, PT_ENTRIES);
		if (t->level > 1) {
			copy_run(from + i, to + i, 1);
			continue;
		}
		pte_t e = from[i];

		if (pte_writable(e) && pte_class(e) == PTE_CLASS_ANON)
			e = gate_protect(&from[i]);
		if (pte_class(e) != PTE_CLASS_ZERO)
			frame_get(pt_child(e));
		to[i] = pte_unmark(e);		/* judged once, where it was given */
	}
	for (unsigned c = 0; c < NR_PTE_CLASSES; c++)
		copy->table.count[c] = t->table.count[c];
	copy->table.groups = t->table.groups;
}

/* Takes over the table that SLOT, of an own table, was seen to point to by E, if its other users have gone. */
static bool take_over(pte_t *slot, pte_t e)
{
	struct frame *parent = frame_of_ptr(slot), *t = pt_child(e);

	if (READ_ONCE(t->refs) != 1 || !pt_lock(parent))
		return false;
	bool alone = pte_pa(*slot) == pte_pa(e) && __atomic_load_n(&t->refs, __ATOMIC_ACQUIRE) == 1;
	if (alone) {
		gate_permit(slot);
		t->listed = 0;
		count(pt_reowned);
	}
	pt_unlock(parent);
	return alone;
}

/* The leaf table of VA, on a path that is own or could be taken over; NULL if that is not enough. */
static struct frame *take_over_path(struct space *s, vaddr_t va)
{
	pte_t *slots = pt_slots(s->root);

	for (unsigned level = PT_LEVELS; level > 1; level--) {
		pte_t *slot = &slots[pt_index(va, level)], e = READ_ONCE(*slot);

		if (!pte_present(e) || (!pte_writable(e) && !take_over(slot, e)))
			return NULL;
		slots = ptr_of_pa(pte_pa(e));
	}
	return frame_of_ptr(slots);
}

/* A copy in place of the table that SLOT, of an own table, points to for VA. 0; -EAGAIN: look again; -ENOMEM. */
static int own_copy(struct tlb_batch *b, pte_t *slot, vaddr_t va, struct unlinked *u)
{
	struct frame *parent = frame_of_ptr(slot), *copy;
	int err = -EAGAIN;

	if (!pt_lock(parent))
		return -EAGAIN;
	pte_t e = *slot;
	struct frame *t = pt_child(e);
	if (!pte_present(e) || pte_writable(e) || READ_ONCE(t->refs) == 1)
		goto out;
	copy = pt_alloc(t->level);
	err = copy ? 0 : -ENOMEM;
	if (!copy)
		goto out;
	spin_lock_nested(&t->table.lock);
	copy_entries(t, copy);
	gate(NULL, parent, slot, va, pte_table(frame_pa(copy), true), 0);
	__atomic_fetch_add(&b->space->owned, 1, __ATOMIC_RELEASE);	/* while T is locked: fault_lock() looks */
	spin_unlock(&t->table.lock);
	tlb_batch_all(b);
	u->table[u->n++] = t;
	count(pt_unshared);
out:
	pt_unlock(parent);
	return err;
}

/* Tables that need not be own: those that lie whole in [lo, hi), and span MOST at most. */
struct keep { vaddr_t lo, hi; u64 most; };

static bool is_kept(const struct keep *k, vaddr_t base, u64 span)
{
	return k && k->lo <= base && base + span <= k->hi && span <= k->most;
}

/*
 * Walks towards VA, owning each table on the way, down to the first that is missing or KEEP (NULL: none) excepts.
 * *SPAN: the span of that one; 0 if there is none, and *LEAF is the leaf table.
 */
static int own_path(struct tlb_batch *b, vaddr_t va, const struct keep *keep, u64 *span, struct frame **leaf)
{
	pte_t *root = pt_slots(b->space->root), *slots = root;
	unsigned level = PT_LEVELS;
	struct unlinked u;
	int err = 0;

	u.n = 0;
	while (level > 1) {
		pte_t *slot = &slots[pt_index(va, level)], e = READ_ONCE(*slot);

		if (!pte_present(e) || is_kept(keep, ALIGN_DOWN(va, pt_span(level)), pt_span(level)))
			break;
		if (pte_writable(e)) {
			slots = ptr_of_pa(pte_pa(e));
			level--;
			continue;
		}
		if (take_over(slot, e))
			continue;
		if (u.n == ARRAY_SIZE(u.table))
			drop_unlinked(b, &u);
		err = own_copy(b, slot, va, &u);
		if (err == -ENOMEM)
			break;
		if (err) {
			slots = root;
			level = PT_LEVELS;
		}
	}
	*span = level > 1 ? pt_span(level) : 0;
	*leaf = frame_of_ptr(slots);
	if (u.n)
		drop_unlinked(b, &u);
	return err == -ENOMEM ? err : 0;
}

struct frame *share_make_own(struct space *s, vaddr_t va, bool *took)
{
	struct frame *t = take_over_path(s, va);
	struct tlb_batch b;
	u64 span;

	*took = true;
	if (t)
		return t;
	tlb_batch_begin(&b, s);
	spin_lock(&s->lock);	/* no fork meanwhile: it would share tables that were seen to be own */
	int err = own_path(&b, va, NULL, &span, &t);
	spin_unlock(&s->lock);
	tlb_batch_finish(&b);
	*took = !err && !span;
	if (err)
		return NULL;
	return span ? pt_make(s, va) : t;	/* below a path of one's own, so is what is made */
}

/* Is every table on the way to VA own, so that there is nothing for own_path() to do? */
static __always_inline bool is_own_path(struct frame *root, vaddr_t va)
{
	const pte_t *slots = pt_slots(root);
	pte_t all = ~0UL;

#pragma GCC unroll 3
	for (unsigned level = PT_LEVELS; level > 1; level--) {
		pte_t e = READ_ONCE(slots[pt_index(va, level)]);

		if (!pte_present(e))
			break;
		all &= e;
		slots = ptr_of_pa(pte_pa(e));
	}
	return pte_writable(all);
}

int share_own_edges(struct tlb_batch *b, vaddr_t start, vaddr_t end)
{
	const struct keep keep = { start, end, ~0UL };
	struct frame *root = b->space->root, *leaf;
	int err = 0;
	u64 span;

	if (!b->space->shares)
		return 0;
	if (!is_own_path(root, start))
		err = own_path(b, start, &keep, &span, &leaf);
	if (!err && (start ^ (end - 1)) >> pt_shift(2) && !is_own_path(root, end - 1))
		err = own_path(b, end - 1, &keep, &span, &leaf);
	return err;
}

int share_own_range(struct tlb_batch *b, vaddr_t start, vaddr_t end, u64 most)
{
	const struct keep keep = { start, end, most };
	int err = 0;

	if (!b->space->shares)
		return 0;
	for (vaddr_t va = start; va < end && !err;) {
		struct frame *leaf;
		u64 span;

		err = own_path(b, va, &keep, &span, &leaf);
		if (!span)
			span = pt_span(2);
		va = ALIGN_DOWN(va, span) + span;
	}
	return err;
}

/* Gives TO the entries of FROM's user part: the tables themselves at LEVEL, copies of the tables above it. */
static int share_tables(struct tlb_batch *b, struct frame *from, struct frame *to, unsigned level)
{
	unsigned left, n = from->level == PT_LEVELS ? USER_ROOT_ENTRIES : PT_ENTRIES;
	int err = 0;

	spin_lock_kind(&from->table.lock, from->level < PT_LEVELS);
	left = pt_live(from);		/* under the lock: another thread may be linking tables */
	for (unsigned i = 0; left && !err; i++, left--) {
		i = pt_next_live(from, i, n);
		BUG_ON(i >= n);
		pte_t *slot = &pt_slots(from)[i], e = *slot;

		if (from->level > level) {
			struct frame *copy = pt_alloc(from->level - 1);

			if (!copy) {
				err = -ENOMEM;
				break;
			}
			gate_fill(to, &pt_slots(to)[i], pte_table(frame_pa(copy), true));
			err = share_tables(b, pt_child(e), copy, level);
			continue;
		}
		frame_get(pt_child(e));
		if (pte_writable(e)) {
			gate_protect(slot);
			tlb_batch_all(b);
		}
		gate_fill(to, &pt_slots(to)[i], pte_set_write(e, false));
		count(pt_shared);
	}
	spin_unlock(&from->table.lock);
	return err;
}

int share_fork(struct tlb_batch *b, struct space *parent, struct space *child)
{
	WRITE_ONCE(parent->shares, true);
	child->shares = true;
	return share_tables(b, parent->root, child->root, tune.fork_share == FORK_SHARE_ALL ? PT_LEVELS : 2);
}
