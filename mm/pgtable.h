/* SPDX-License-Identifier: MIT */
/*
 * Owns: the four levels of tables, and the one gate through which every entry is stored.
 *
 * A table is a frame of kind FRAME_TABLE. Its counts say how many entries are live and what they map,
 * its refs how many parent entries or roots point to it (use). Only the gate stores entries, and it
 * keeps counts, counters and the batch in step; nobody else may write through a slot.
 *
 * Locks: a table's entries and counts are stored under its own lock, parent before child. Walks take
 * none: a walker that found a table locks it and looks at `dead` before it stores. Policy never sees a
 * bit (arch/pte.h), the manager never decides.
 */
#pragma once
#include "mm/tlb.h"

struct space;

#define pt_live(t) ((t)->table.count[PTE_CLASS_NONE])

static inline pte_t *pt_slots(const struct frame *table)
{
	return frame_ptr(table);
}

static inline pte_t *pt_slot(const struct frame *table, vaddr_t va)
{
	return &pt_slots(table)[pt_index(va, table->level)];
}

/* The table that entry E of a table points to. */
static inline struct frame *pt_child(pte_t e)
{
	return frame_of_pa(pte_pa(e));
}

/* Makes the kernel's root from the tables that the boot code left at ROOT, and fills its upper half so
 * that later roots can copy it. */
void pt_init(paddr_t root);
extern struct frame *pt_kernel_root;

/* A new root: user half empty, kernel half the kernel's. NULL: no memory. */
struct frame *pt_root_alloc(void);
void pt_root_free(struct frame *root);	/* its user half is empty */

/* A table without entries, linked nowhere. NULL: no memory. */
struct frame *pt_alloc(unsigned level);

/* The leaf table that maps VA below ROOT, or NULL; *OWN: nobody else uses any table on the way, as far as there
 * is one. No lock. */
struct frame *pt_find(struct frame *root, vaddr_t va);
struct frame *pt_find_own(struct frame *root, vaddr_t va, bool *own);
pte_t *pt_find_slot(struct frame *root, vaddr_t va, bool *own);	/* the entry itself */

/* The same for space S (NULL: the kernel's), making what is missing. NULL: no memory. No table locked. */
struct frame *pt_make(struct space *s, vaddr_t va);
struct frame *pt_make_level(struct space *s, vaddr_t va, unsigned level);	/* the table of LEVEL */

/* Locks leaf table T for a store; false if it has been unlinked meanwhile (walk again). */
static inline bool pt_lock(struct frame *t)
{
	spin_lock(&t->table.lock);
	if (likely(!t->dead))
		return true;
	spin_unlock(&t->table.lock);
	return false;
}

static inline void pt_unlock(struct frame *t)
{
	spin_unlock(&t->table.lock);
}

#define PT_GROUP_SHIFT 4

/* Index of the first entry of T from I on that is not empty; END if there is none below it. Without T's lock it may
 * miss what is stored meanwhile. */
static __racy inline unsigned pt_next_live(const struct frame *t, unsigned i, unsigned end)
{
	const pte_t *s = pt_slots(t);

	if (i < end && s[i])
		return i;
	while (i < end) {
		unsigned groups = t->table.groups >> (i >> PT_GROUP_SHIFT);

		if (!groups)
			return end;
		if (!(groups & 1)) {
			i = ((i >> PT_GROUP_SHIFT) + __builtin_ctz(groups)) << PT_GROUP_SHIFT;
			continue;
		}
		const pte_t *p = &s[i], *stop = &s[MIN((i | ((1U << PT_GROUP_SHIFT) - 1)) + 1, end)];

		while (stop - p >= 4 && !(p[0] | p[1] | p[2] | p[3]))
			p += 4;
		while (p < stop && !*p)
			p++;
		i = (unsigned)(p - s);
		if (p < stop)
			return i;
	}
	return end;
}

/* The gate. Stores NEW in SLOT of TABLE (locked), which maps VA. If the old entry was present and
 * loses something, B is told to flush; B may be NULL where the old entry is empty or only gains. */
void pt_store(struct tlb_batch *b, struct frame *table, pte_t *slot, vaddr_t va, pte_t new);
void pt_store_empty(struct frame *table, pte_t *slot, pte_t new);	/* the same; the slot is empty */

void pt_store_marked(struct frame *table, pte_t *slot, pte_t new);	/* the same; NEW bears a mark */

/* Fill the empty ones among N slots from VA on (table locked) with LIKE, a leaf of frame 0; return how many:
 * pt_fill with PAGE[i], on which it takes a hold, none where PAGE[i] is NULL; pt_fill_fresh with PAGE[0], PAGE[1] …,
 * MAX at most, whose holds become the entries'; pt_fill_same all with PAGE, without holds. */
unsigned pt_fill(struct frame *table, vaddr_t va, unsigned n, pte_t like, struct frame *const *page);
unsigned pt_fill_fresh(struct frame *table, vaddr_t va, unsigned n, pte_t like, struct frame *const *page, unsigned max);
unsigned pt_fill_same(struct frame *table, vaddr_t va, unsigned n, pte_t like, struct frame *page);

/* The N entries of T (locked) from VA on are about to go: counts which of those that bear marks were of use. */
void pt_judge(const struct frame *t, vaddr_t va, unsigned n);

/* Clears the N entries of leaf table T (locked) from VA on; what they held goes to B. */
void pt_clear(struct tlb_batch *b, struct frame *t, vaddr_t va, unsigned n);

void pt_clear_cached(struct tlb_batch *b, struct frame *t, vaddr_t va, unsigned n);	/* pages of files only */

/* Gives the N entries of T (locked) from VA on other rights. */
void pt_protect(struct tlb_batch *b, struct frame *t, vaddr_t va, unsigned n, struct pte_edit edit);

/* Fork: gives the anonymous pages among N entries from VA in FROM to TO as well; neither may write. Both locked. */
void pt_copy_private(struct tlb_batch *b, struct frame *from, struct frame *to, vaddr_t va, unsigned n);

/* Unlinks the lowest table for VA in S (NULL: the kernel's) if it has no live entry, and each parent that empties by
 * that: they were made for nothing. S locked: who moves tables relies on those that it has made. One that has been
 * refilled meanwhile stays, or has several users. */
void pt_roll_back(struct space *s, vaddr_t va);
/* The same for CHILD alone, which SLOT was seen to point to, into B; false: it stays. Where the parent has several
 * users, B is for everyone. */
bool pt_unlink_if_empty(struct tlb_batch *b, pte_t *slot, struct frame *child);

/*
 * Visits the leaf tables that exist below ROOT in [va, end), in order:
 *	struct pt_piece p = PT_PIECE(root, start, end);
 *	while (pt_next(&p)) ... p.table, and its entries for [p.va, p.va + p.n pages)
 * No lock is held; the visitor locks p.table where it stores.
 */
struct pt_piece {
	struct frame *root, *table;
	bool own;		/* nobody else uses it */
	vaddr_t va;		/* of the first entry of this piece */
	unsigned n;		/* entries in this piece */
	vaddr_t next, end;
};
#define PT_PIECE(r, start, stop) { .root = (r), .next = (start), .end = (stop) }
bool pt_next(struct pt_piece *p);

/* p.table could not be locked: the next pt_next walks to the same piece again. */
static inline void pt_again(struct pt_piece *p)
{
	p->next = p->va;
}

/* Maps or unmaps N kernel pages at VA (KVA_BASE range); -ENOMEM, nothing mapped. Unmap frees the frames. */
int pt_map_kernel(vaddr_t va, unsigned n);
void pt_unmap_kernel(vaddr_t va, unsigned n);
/* Maps N pages of device registers at PA there, uncached and for good; -ENOMEM. */
int pt_map_device(vaddr_t va, paddr_t pa, unsigned n);
