/* SPDX-License-Identifier: MIT */
/*
 * Owns: tables and the gate. See mm/pgtable.h for what callers may rely on.
 *
 * Reading order: tables coming and going, walks, and operations on a run of entries of one leaf table.
 * Every store goes through the gate (mm/gate.h). Tables of several users are mm/share.c's, the kernel's mappings mm/kmap.c's.
 *
 * Why counts can live in the frame: each entry says by itself what class of page it maps (arch/pte.h), so
 * the gate needs to look at nothing but the two values. Why a walker needs no lock: a table that
 * is unlinked gets `dead` under its lock, and is freed only after the flush of the batch that unlinked it.
 */
#include "mm/pgtable.h"
#include "arch/layout.h"
#include "kernel/base/counters.h"
#include "kernel/base/errno.h"
#include "kernel/base/print.h"
#include "mm/gate.h"
#include "mm/space.h"

struct frame *pt_kernel_root;
static u16 kernel_slots[8];		/* the entries of every root that are the kernel's; constant after boot */
static unsigned nr_kernel_slots;

void pt_store(struct tlb_batch *b, struct frame *table, pte_t *slot, vaddr_t va, pte_t new)
{
	gate(b, table, slot, va, new, 0);
}

void pt_store_empty(struct frame *table, pte_t *slot, pte_t new)
{
	gate_fill(table, slot, new);
}

void pt_store_marked(struct frame *table, pte_t *slot, pte_t new)
{
	gate_fill(table, slot, new);
	table->marked = true;
}

static __always_inline struct frame *alloc_table(unsigned level)
{
	struct frame *t = frame_alloc_zeroed(FRAME_TABLE);

	if (!t)
		return NULL;
	count(pt_alloc);
	t->level = level;
	t->dead = t->marked = false;
	t->listed = 0;
	for (unsigned i = 0; i < NR_PTE_CLASSES; i++)
		t->table.count[i] = 0;
	t->table.groups = 0;
	spin_init(&t->table.lock, RANK_TABLE);
	return t;
}

struct frame *pt_alloc(unsigned level)
{
	return alloc_table(level);
}

static void table_free(struct frame *t)
{
	count(pt_free);
	frame_free_zeroed(t);
}

struct frame *pt_root_alloc(void)
{
	struct frame *root = pt_alloc(PT_LEVELS);

	if (!root)
		return NULL;
	for (unsigned k = 0; k < nr_kernel_slots; k++)
		pt_slots(root)[kernel_slots[k]] = pt_slots(pt_kernel_root)[kernel_slots[k]];
	return root;
}

void pt_root_free(struct frame *root)
{
	BUG_ON(pt_live(root));
	for (unsigned k = 0; k < nr_kernel_slots; k++)
		pt_slots(root)[kernel_slots[k]] = 0;
	table_free(root);
}

/* The table's slots that entry E points to. */
static __always_inline pte_t *below(pte_t e)
{
	return ptr_of_pa(pte_pa(e));
}

pte_t *pt_find_slot(struct frame *root, vaddr_t va, bool *own)
{
	pte_t e4, e3 = ~0UL, e2 = ~0UL;
	pte_t *slot = NULL;

	count(pt_walk);
	e4 = READ_ONCE(pt_slots(root)[pt_index(va, 4)]);
	if (unlikely(!pte_present(e4))) {
		e4 = ~0UL;
		goto out;
	}
	e3 = READ_ONCE(below(e4)[pt_index(va, 3)]);
	if (unlikely(!pte_present(e3))) {
		e3 = ~0UL;
		goto out;
	}
	e2 = READ_ONCE(below(e3)[pt_index(va, 2)]);
	if (unlikely(!pte_present(e2))) {
		e2 = ~0UL;
		goto out;
	}
	slot = &below(e2)[pt_index(va, 1)];
out:
	*own = pte_writable(e4 & e3 & e2);
	return slot;
}

struct frame *pt_find_own(struct frame *root, vaddr_t va, bool *own)
{
	pte_t *slot = pt_find_slot(root, va, own);

	return slot ? frame_of_ptr(slot) : NULL;
}

struct frame *pt_find(struct frame *root, vaddr_t va)
{
	bool own;

	return pt_find_own(root, va, &own);
}

static struct frame *root_of(struct space *s)
{
	return s ? s->root : pt_kernel_root;
}

/* Frees the tables from the one that E points to down to the leaf table of VA, linked nowhere. */
static __noinline void free_chain(pte_t e, vaddr_t va)
{
	while (e) {
		struct frame *t = pt_child(e);
		pte_t *slot = pt_slot(t, va);

		e = *slot;
		if (e)
			gate_unlink(t, slot);
		table_free(t);
	}
}

/* Links tables for VA, from that of LOW up to one that SLOT, of a table of LEVEL, points to, unless another CPU has
 * changed it. Other CPUs see all of them or none. The lowest; NULL: no memory, or (*AGAIN) something has changed. */
static __always_inline struct frame *link_chain(pte_t *slot, unsigned level, vaddr_t va, unsigned low, bool *again)
{
	struct frame *parent = frame_of_ptr(slot), *lowest = NULL;
	pte_t e = 0;

	for (unsigned l = low; l < level; l++) {
		struct frame *t = alloc_table(l);

		if (unlikely(!t))
			goto fail;
		if (lowest)
			gate_fill(t, pt_slot(t, va), e);
		else
			lowest = t;
		e = pte_table(frame_pa(t), true);
	}
	if (likely(pt_lock(parent))) {
		if (likely(!*slot)) {
			gate_fill(parent, slot, e);
			pt_unlock(parent);
			return lowest;
		}
		pt_unlock(parent);
	}
	*again = true;
fail:
	free_chain(e, va);
	return NULL;
}

static __always_inline struct frame *make(struct space *s, vaddr_t va, unsigned low)
{
	struct frame *t;
	bool again;

	do {
		pte_t *slot = pt_slot(root_of(s), va), e;
		unsigned level = PT_LEVELS;

		again = false;
		for (; pte_present(e = READ_ONCE(*slot)); slot = &below(e)[pt_index(va, level)])
			if (--level == low)
				return pt_child(e);
		t = link_chain(slot, level, va, low, &again);
	} while (unlikely(again));
	return t;
}

struct frame *pt_make(struct space *s, vaddr_t va)
{
	return make(s, va, 1);
}

struct frame *pt_make_level(struct space *s, vaddr_t va, unsigned level)
{
	return level == PT_LEVELS ? root_of(s) : make(s, va, level);
}

bool pt_unlink_if_empty(struct tlb_batch *b, pte_t *slot, struct frame *child)
{
	struct frame *parent = frame_of_ptr(slot);
	bool empty = false;

	if (READ_ONCE(pt_live(child)) || !pt_lock(parent))
		return false;
	if (likely(pte_present(*slot) && pt_child(*slot) == child)) {
		spin_lock_nested(&child->table.lock);
		empty = pt_live(child) == 0 && child->refs == 1;	/* a fault may have refilled it since we looked */
		if (likely(empty)) {
			child->dead = true;
			gate_unlink(parent, slot);
		}
		spin_unlock(&child->table.lock);
	}
	pt_unlock(parent);
	if (likely(empty)) {
		count(pt_free_empty);
		tlb_batch_table(b, child);
	}
	return empty;
}

void pt_roll_back(struct space *s, vaddr_t va)
{
	struct frame *path[PT_LEVELS + 1];
	struct frame *t = root_of(s);
	struct tlb_batch b;

	tlb_batch_begin(&b, s);
	b.everyone = s;			/* a fork may come between: what goes may be the child's too */
	path[PT_LEVELS] = t;
	while (t->level > 1) {
		pte_t e = READ_ONCE(*pt_slot(t, va));

		if (!pte_present(e))
			break;
		t = path[t->level - 1] = pt_child(e);
	}
	for (unsigned level = t->level; level < PT_LEVELS; level++)
		if (!pt_unlink_if_empty(&b, pt_slot(path[level + 1], va), path[level]))
			break;
	tlb_batch_finish(&b);
}

bool pt_next(struct pt_piece *p)
{
	while (p->next < p->end) {
		struct frame *t = p->root;
		vaddr_t va = p->next;
		pte_t all = ~0UL;

		while (t->level > 1) {
			pte_t e = READ_ONCE(*pt_slot(t, va));

			if (!pte_present(e))
				break;
			all &= e;
			t = pt_child(e);
		}
		if (t->level > 1) {
			unsigned i = pt_index(va, t->level), live = pt_next_live(t, i, PT_ENTRIES);

			p->next = ALIGN_DOWN(va, pt_span(t->level)) + MAX(live - i, 1U) * pt_span(t->level);
			continue;
		}
		p->next = MIN(ALIGN_DOWN(va, pt_span(2)) + pt_span(2), p->end);
		p->table = t;
		p->own = pte_writable(all);
		p->va = va;
		p->n = (p->next - va) >> PAGE_SHIFT;
		return true;
	}
	return false;
}

enum fill { FILL_EACH, FILL_FRESH, FILL_SAME };

static __always_inline unsigned fill(struct frame *table, vaddr_t va, unsigned n, pte_t like, struct frame *const *page,
				     unsigned max, enum fill how)
{
	pte_t *first = pt_slot(table, va);
	unsigned filled = 0;

	for (unsigned i = 0; i < n && (how != FILL_FRESH || filled < max); i++) {
		if (first[i] || (how == FILL_EACH && !page[i]))
			continue;
		struct frame *f = page[how == FILL_EACH ? i : how == FILL_FRESH ? filled : 0];
		if (how == FILL_EACH)
			frame_get(f);
		__atomic_store_n(&first[i], like | frame_pa(f), __ATOMIC_RELEASE);
		filled++;
	}
	gate_filled(table, first, n, pte_class(like), filled);
	if (pte_marked(like))
		table->marked = true;
	return filled;
}

unsigned pt_fill(struct frame *table, vaddr_t va, unsigned n, pte_t like, struct frame *const *page)
{
	return fill(table, va, n, like, page, n, FILL_EACH);
}

unsigned pt_fill_fresh(struct frame *table, vaddr_t va, unsigned n, pte_t like, struct frame *const *page, unsigned max)
{
	return fill(table, va, n, like, page, max, FILL_FRESH);
}

unsigned pt_fill_same(struct frame *table, vaddr_t va, unsigned n, pte_t like, struct frame *page)
{
	return fill(table, va, n, like, &page, n, FILL_SAME);
}

static __always_inline pte_t any(const pte_t *e) { return e[0] | e[1] | e[2] | e[3]; }
void pt_judge(const struct frame *t, vaddr_t va, unsigned n)
{
	const pte_t *slots = pt_slots(t);
	unsigned i = pt_index(va, 1), end = i + n;

	for (unsigned stop; i < end; i = stop) {
		const pte_t *g = &slots[i & -(1U << PT_GROUP_SHIFT)];

		stop = MIN((i | ((1U << PT_GROUP_SHIFT) - 1)) + 1, end);
		if (t->table.groups >> (i >> PT_GROUP_SHIFT) & 1 && pte_marked(any(g) | any(g + 4) | any(g + 8) | any(g + 12)))
			for (; i < stop; i++)
				if (pte_marked(slots[i]))
					gate_judge(slots[i]);
	}
}

void pt_clear(struct tlb_batch *b, struct frame *t, vaddr_t va, unsigned n)
{
	unsigned i = pt_index(va, 1), end = i + n, cleared = 0;

	if (!pt_live(t))
		return;
	if (unlikely(t->marked))
		pt_judge(t, va, n);
	tlb_batch_pages(b, va, n);
	for (; (i = pt_next_live(t, i, end)) < end; i++) {
		if (unlikely(b->nr_frames == TLB_BATCH_FRAMES)) {
			tlb_batch_flush(b);
			tlb_batch_pages(b, va, n);
		}
		gate_clear(b, t, &pt_slots(t)[i]);
		cleared++;
		if (!pt_live(t))
			break;
	}
	count_add(pt_clear, cleared);
}

void pt_clear_cached(struct tlb_batch *b, struct frame *t, vaddr_t va, unsigned n)
{
	pte_t *slot = pt_slot(t, va);

	for (unsigned i = 0; i < n; i++)
		if (pte_class(slot[i]) == PTE_CLASS_FILE || pte_class(slot[i]) == PTE_CLASS_SHMEM)
			tlb_batch_frame(b, pt_child(gate(b, t, &slot[i], va + (u64)i * PAGE_SIZE, 0, 0)));
}

void pt_protect(struct tlb_batch *b, struct frame *t, vaddr_t va, unsigned n, struct pte_edit edit)
{
	pte_t *slot = &pt_slots(t)[pt_index(va, 1)], *end = slot + n;
	unsigned changed = 0;
	pte_t lost = 0;

	for (; slot < end; slot++) {
		pte_t old = *slot;

		if (!old || pte_apply(edit, old) == old)
			continue;
		gate_rights(slot, &old, edit);
		lost |= pte_edit_takes(edit, old);
		changed++;
	}
	count_add(pt_change, changed);
	if (lost)
		tlb_batch_pages(b, va, n);
}

void pt_copy_private(struct tlb_batch *b, struct frame *from, struct frame *to, vaddr_t va, unsigned n)
{
	pte_t *src = pt_slot(from, va), *dst = pt_slot(to, va);
	unsigned left = from->table.count[PTE_CLASS_ANON], copied = left;

	for (unsigned i = 0; i < n && left; i++) {
		pte_t e = src[i];

		if (pte_class(e) != PTE_CLASS_ANON)
			continue;
		if (pte_writable(e)) {
			e = pte_set_write(e, false);
			e |= gate(b, from, &src[i], va + (u64)i * PAGE_SIZE, e, PTE_HARDWARE) & PTE_HARDWARE;
		}
		frame_get(pt_child(e));
		gate(NULL, to, &dst[i], va + (u64)i * PAGE_SIZE, pte_unmark(e), 0);
		left--;
	}
	count_add(fork_ptes, copied - left);
}

void pt_init(paddr_t root)
{
	struct frame *top = frame_of_pa(root);

	/* The boot code's tables stay as they are below; the root gets counts and the tables of KVA_BASE. */
	pt_kernel_root = top;
	top->kind = FRAME_TABLE;
	top->refs = 1;
	top->level = PT_LEVELS;
	spin_init(&top->table.lock, RANK_TABLE);
	for (unsigned i = 0; i < PT_ENTRIES; i++)
		pt_live(top) += pt_slots(top)[i] != 0;
	top->table.groups = ~0U;
	if (!pt_make(NULL, KVA_BASE))
		panic("no memory for the first kernel tables");
	for (unsigned i = USER_ROOT_ENTRIES; i < PT_ENTRIES; i++)
		if (pt_slots(top)[i]) {
			ASSERT(nr_kernel_slots < ARRAY_SIZE(kernel_slots));
			kernel_slots[nr_kernel_slots++] = i;
		}
}
