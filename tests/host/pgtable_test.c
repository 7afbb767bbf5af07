/* SPDX-License-Identifier: MIT */
/* Tests of mm/pgtable.c: the gate's counts and batch, tables coming and going, walks, runs of entries. */
#include "kit.h"
#include "arch/layout.h"
#include "mm/fault_case.h"
#include "mm/move.h"

#define AREA 0x40000000UL		/* where leaf tables are made: GiB 1 */

static struct frame *table_at(struct space *s, vaddr_t va)
{
	struct frame *t = pt_make(s, va);

	assert_non_null(t);
	assert_ptr_equal(pt_find(s->root, va), t);
	assert_int_equal(t->level, 1);
	return t;
}

static void assert_counts(const struct frame *t)
{
	u16 count[8] = { 0 };

	for (unsigned i = 0; i < PT_ENTRIES; i++) {
		pte_t e = pt_slots(t)[i];

		count[PTE_CLASS_NONE] += e != 0;
		if (pte_class(e))
			count[pte_class(e)]++;
	}
	for (unsigned c = 0; c < NR_PTE_CLASSES; c++)
		assert_int_equal(t->table.count[c], count[c]);
}

static void store(struct space *s, struct frame *t, vaddr_t va, pte_t e)
{
	struct tlb_batch b;

	if (!e && !*pt_slot(t, va))
		return;
	tlb_batch_begin(&b, s);
	assert_true(pt_lock(t));
	pt_store(&b, t, pt_slot(t, va), va, e);
	pt_unlock(t);
	tlb_batch_finish(&b);
}

static pte_t anon_page(void)
{
	return pte_leaf(frame_pa(frame_alloc_zeroed(FRAME_ANON)), PTE_CLASS_ANON, PTE_USER | PTE_WRITE | PTE_YOUNG);
}

/* Clears [va, va + n pages) and lets go of the tables. */
static void drop(struct space *s, vaddr_t va, unsigned n)
{
	struct tlb_batch b;

	tlb_batch_begin(&b, s);
	vm_zap(s, &b, va, va + PAGES(n));
	tlb_batch_finish(&b);
}

static void making(void **state)
{
	struct space *s = kit_space();
	struct frame *a, *b;

	(void)state;
	assert_null(pt_find(s->root, AREA));
	assert_int_equal(moved(pt_alloc, a = table_at(s, AREA + 0x5000)), 3);
	assert_int_equal(moved(pt_alloc, b = table_at(s, AREA + MiB(2) - 1)), 0);
	assert_ptr_equal(a, b);
	assert_int_equal(moved(pt_alloc, b = table_at(s, AREA + MiB(2))), 1);
	assert_int_equal(moved(pt_alloc, table_at(s, AREA + GiB(1))), 2);
	assert_int_equal(moved(pt_alloc, table_at(s, USER_END - 1)), 3);
	assert_int_equal(pt_live(s->root), 2);
	assert_int_equal(kit_usage(s).tables, 1 + 3 + 1 + 2 + 3);
	assert_null(pt_find(s->root, AREA + MiB(4)));
	for (unsigned level = 2; level <= PT_LEVELS; level++) {
		pte_t e = fake_look(s, AREA).slot_of[level];

		assert_true(pte_present(e) && pte_user(e) && pte_writable(e) && pte_exec(e));
		assert_int_equal(pt_child(e)->refs, 1);
		assert_int_equal(pt_child(e)->level, level - 1);
	}
	/* empty tables are dropped with the space */
	kit_space_end(s);
}

static void gate_counts(void **state)
{
	static pte_t now[PT_ENTRIES];
	struct space *s = kit_space();
	struct frame *t = table_at(s, AREA);
	u64 seed = 3;

	(void)state;
	for (unsigned turn = 0; turn < 5000; turn++) {
		u64 r = fake_random(&seed);
		unsigned i = r % PT_ENTRIES;
		struct tlb_batch b;
		pte_t e = pte_leaf((r >> 16 & 3) << PAGE_SHIFT, 1 + (r >> 20) % 4,
				   PTE_USER | (r >> 24 & (PTE_WRITE | PTE_EXEC | PTE_YOUNG | PTE_DIRTY)));
		bool loses;

		if ((r >> 32) % 4 == 0)
			e = 0;
		else if ((r >> 32) % 4 == 1)
			e = pte_apply(pte_edit(true, true, false, pte_exec(e)), e);
		if (!e && !now[i])
			continue;
		loses = pte_present(now[i]) &&
			(!pte_present(e) || pte_pa(e) != pte_pa(now[i]) || (pte_writable(now[i]) && !pte_writable(e)) ||
			 (pte_exec(now[i]) && !pte_exec(e)));
		tlb_batch_begin(&b, s);
		pt_lock(t);
		pt_store(&b, t, &pt_slots(t)[i], AREA + PAGES(i), e);
		pt_unlock(t);
		assert_int_equal(b.nr_pages, loses);
		if (loses)
			assert_int_equal(b.page[0], AREA + PAGES(i));
		now[i] = e;
		assert_int_equal(pt_slots(t)[i], e);
		assert_counts(t);
	}
	for (unsigned i = 0; i < PT_ENTRIES; i++)
		store(s, t, AREA + PAGES(i), 0);
	assert_int_equal(pt_live(t), 0);
	assert_counts(t);
	kit_space_end(s);
}

/* The scan that skips groups finds what a look at every entry finds. */
static void next_live(void **state)
{
	struct space *s = kit_space();
	struct frame *t = table_at(s, AREA);
	u64 seed = 77;

	(void)state;
	for (unsigned turn = 0; turn < 300; turn++) {
		unsigned dense = turn % 5 ? 40 : 2;

		for (unsigned i = 0; i < PT_ENTRIES; i++)
			store(s, t, AREA + PAGES(i), fake_random(&seed) % dense ? 0 : pte_leaf(0, PTE_CLASS_ZERO, PTE_USER));
		for (unsigned from = 0; from < PT_ENTRIES; from += 1 + (unsigned)(fake_random(&seed) % 9)) {
			unsigned end = from + (unsigned)(fake_random(&seed) % (PT_ENTRIES + 1 - from)), i = from;

			while (i < end && !pt_slots(t)[i])
				i++;
			assert_int_equal(pt_next_live(t, from, end), i);
		}
	}
	for (unsigned i = 0; i < PT_ENTRIES; i++)
		store(s, t, AREA + PAGES(i), 0);
	kit_space_end(s);
}

static void next_over_holes(void **state)
{
	static const vaddr_t base[] = {			/* of leaf tables, ascending */
		0, AREA, AREA + MiB(2), AREA + MiB(8), AREA + GiB(3),
		1UL << 39, (1UL << 39) + GiB(511) + MiB(1022), USER_END - MiB(2),
	};
	struct space *s = kit_space();
	u64 seed = 21;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(base); i++)
		table_at(s, base[i]);
	for (unsigned turn = 0; turn < 2000; turn++) {
		vaddr_t from = base[fake_random(&seed) % ARRAY_SIZE(base)] + PAGES(fake_random(&seed) % 1024);
		vaddr_t to = base[fake_random(&seed) % ARRAY_SIZE(base)] + PAGES(fake_random(&seed) % 1024);

		from = MIN(from, USER_END);
		to = MIN(to, USER_END);
		struct pt_piece p = PT_PIECE(s->root, from, to);
		for (unsigned i = 0; i < ARRAY_SIZE(base); i++) {
			vaddr_t first = MAX(from, base[i]), end = MIN(to, base[i] + MiB(2));

			if (first >= end)
				continue;
			assert_true(pt_next(&p));
			assert_ptr_equal(p.table, pt_find(s->root, base[i]));
			assert_int_equal(p.va, first);
			assert_int_equal(p.n, (end - first) >> PAGE_SHIFT);
		}
		assert_false(pt_next(&p));
	}
	kit_space_end(s);
}

static void unlinking(void **state)
{
	struct space *s = kit_space();
	struct frame *near, *far;

	(void)state;
	kit_anon(s, AREA, 2048, RW);
	near = table_at(s, AREA);
	far = table_at(s, AREA + MiB(2));
	store(s, near, AREA, anon_page());
	store(s, far, AREA + MiB(2), anon_page());
	pt_roll_back(s, AREA);				/* not empty: stays */
	assert_ptr_equal(pt_find(s->root, AREA), near);
	kit_check(s);
	assert_int_equal(moved(pt_free, drop(s, AREA, 512)), 1);
	assert_null(pt_find(s->root, AREA));
	assert_ptr_equal(pt_find(s->root, AREA + MiB(2)), far);
	kit_check(s);
	assert_int_equal(moved(pt_free_empty, drop(s, AREA, 1024)), 3);	/* up to the root */
	assert_int_equal(pt_live(s->root), 0);
	assert_int_equal(kit_usage(s).tables, 1);
	tune.pt_reclaim = PT_RECLAIM_NEVER;
	store(s, table_at(s, AREA), AREA, anon_page());
	assert_int_equal(moved(pt_free, drop(s, AREA, 512)), 0);
	assert_int_equal(kit_usage(s).tables, 4);
	tune.pt_reclaim = PT_RECLAIM_ALWAYS;
	kit_space_end(s);
}

/* The mark of a table kept back is not that of a free block: frames beside it are freed and merged. */
static void kept_beside_free(void **state)
{
	struct space *s = kit_space();

	(void)state;
	tune.pt_reclaim = PT_RECLAIM_DEFERRED;
	tune.pt_reclaim_keep = 32;
	kit_anon(s, AREA, 32 * PT_ENTRIES, RW);
	for (u64 i = 0; i < 32; i++)
		kit_store(s, AREA + MiB(2) * i, i);
	for (u64 i = 0; i < 32; i++)
		assert_int_equal(vm_advise(s, AREA + MiB(2) * i, PAGE_SIZE, MADV_DONTNEED), 0);
	assert_int_equal(kit_usage(s).tables, 1 + 1 + 1 + 32);
	kit_free_frames();
	kit_check(s);
	tune.pt_reclaim = PT_RECLAIM_ALWAYS;
	tune.pt_reclaim_keep = 4;
	kit_space_end(s);
}

static void out_of_memory(void **state)
{
	struct space *s = kit_space();
	struct frame *t;

	(void)state;
	for (unsigned n = 1; n <= 4; n++) {
		kit_fail_from(n);
		t = pt_make(s, AREA);
		kit_fail_none();
		assert_int_equal(t != NULL, n == 4);
		assert_int_equal(kit_usage(s).tables, n == 4 ? 4 : 1);
		assert_int_equal(pt_live(s->root), n == 4);
		kit_check(s);
	}
	kit_fail_from(1);
	assert_null(pt_make(s, AREA + MiB(2)));		/* beside a table that stays */
	assert_null(pt_root_alloc());
	kit_fail_none();
	assert_ptr_equal(pt_find(s->root, AREA), t);
	kit_space_end(s);
}

static void filling_and_clearing(void **state)
{
	struct space *s = kit_space();
	struct frame *t, *f[6], *page[6];
	pte_t like = pte_leaf(0, PTE_CLASS_ANON, PTE_USER);
	struct tlb_batch b;

	(void)state;
	kit_anon(s, AREA, 512, RW);
	t = table_at(s, AREA);
	for (unsigned i = 0; i < 6; i++) {
		f[i] = frame_alloc_zeroed(FRAME_ANON);
		page[i] = i == 2 ? NULL : f[i];
	}
	pt_lock(t);
	assert_int_equal(pt_fill(t, AREA + PAGES(509), 1, like, page + 4), 1);
	assert_int_equal(pt_fill(t, AREA + PAGES(505), 6, like, page), 4);	/* not the hole, not the one that is there */
	pt_unlock(t);
	for (unsigned i = 0; i < 6; i++) {
		assert_int_equal(f[i]->refs, i == 2 ? 1 : 2);
		frame_put(f[i]);
	}
	assert_int_equal(pt_live(t), 5);
	assert_counts(t);
	tlb_batch_begin(&b, s);
	pt_lock(t);
	pt_clear(&b, t, AREA + PAGES(506), 3);
	pt_unlock(t);
	assert_int_equal(b.nr_frames, 2);
	assert_int_equal(f[1]->refs, 1);		/* not before the flush */
	assert_int_equal(f[1]->kind, FRAME_ANON);
	tlb_batch_finish(&b);
	assert_int_equal(f[1]->kind, FRAME_FREE);
	assert_int_equal(pt_live(t), 3);
	assert_counts(t);
	for (unsigned i = 0; i < 3; i++)
		f[i] = frame_alloc_zeroed(FRAME_ANON);
	pt_lock(t);
	assert_int_equal(pt_fill_fresh(t, AREA + PAGES(505), 5, like, f, 3), 3);	/* 506 to 508 */
	assert_int_equal(pt_fill_same(t, AREA, 40, pte_leaf(0, PTE_CLASS_ZERO, PTE_USER), zero_frame), 40);
	pt_unlock(t);
	assert_int_equal(pt_live(t), 46);
	assert_ptr_equal(pt_child(*pt_slot(t, AREA + PAGES(507))), f[1]);
	assert_counts(t);
	kit_space_end(s);
}

static void protecting(void **state)
{
	struct space *s = kit_space();
	vaddr_t va = kit_anon(s, AREA, 3, RW);
	struct frame *t = table_at(s, va);
	struct tlb_batch b;
	pte_t was = pte_set_dirty(anon_page(), true);

	(void)state;
	store(s, t, va + PAGES(1), was);
	tlb_batch_begin(&b, s);
	pt_lock(t);
	pt_protect(&b, t, va, 3, pte_edit(true, false, false, false));
	assert_true(pte_barred(*pt_slot(t, va + PAGES(1))));
	assert_int_equal(*pt_slot(t, va), 0);
	assert_in_range(b.nr_pages, 1, 3);		/* that page at least */
	pt_protect(&b, t, va, 3, pte_edit(false, true, false, true));
	pte_t now = *pt_slot(t, va + PAGES(1));
	assert_true(pte_present(now) && pte_exec(now) && !pte_writable(now) && pte_pa(now) == pte_pa(was));
	pt_protect(&b, t, va, 3, pte_edit(false, true, true, false));
	assert_int_equal(*pt_slot(t, va + PAGES(1)), was);
	pt_unlock(t);
	assert_counts(t);
	tlb_batch_finish(&b);
	kit_space_end(s);
}

/* Pages within one table, then to another; then the table itself, its entry moved, nothing in it touched. */
static void moving(void **state)
{
	struct space *s = kit_space();
	vaddr_t a = kit_anon(s, AREA, 3 * PT_ENTRIES, RW);
	struct tlb_batch b;
	pte_t e[4];

	(void)state;
	for (unsigned i = 0; i < 4; i++)
		store(s, table_at(s, a), a + PAGES(i), e[i] = i == 1 ? 0 : anon_page());
	table_at(s, a + PAGES(512));
	for (unsigned k = 0; k < 3; k++) {
		vaddr_t to = a + PAGES(k == 0 ? 300 : k == 1 ? 212 : 512);
		struct frame *src = pt_find(s->root, a), *dst = pt_find(s->root, to);
		if (k == 2)
			table_at(s, to);		/* an empty one, in the way */
		struct move m = { .batch = &b, .from = a, .end = a + PAGES(k == 2 ? 512 : 4), .by = to - a };

		tlb_batch_begin(&b, s);
		assert_int_equal(move_prepare(&m), 0);
		assert_int_equal(moved(pt_moved, move_commit(&m)), k == 2);
		if (k < 2)
			assert_in_range(b.nr_pages, 3, 4);
		else
			assert_true(b.upper);
		tlb_batch_finish(&b);
		for (unsigned i = 0; i < 4; i++) {
			assert_int_equal(fake_look(s, a + PAGES(i)).leaf, 0);
			assert_int_equal(fake_look(s, to + PAGES(i)).leaf, e[i]);
		}
		if (k == 2)
			assert_ptr_equal(pt_find(s->root, to), src);
		else
			assert_counts(dst);
		assert_counts(src);
		a = to;
	}
	kit_space_end(s);
}

static void kernel_pages(void **state)
{
	vaddr_t va = KVA_BASE + PAGES(100);
	u64 kernel, before = kit_free_frames();

	(void)state;
	kernel = frame_nr_kind(FRAME_KERNEL);
	assert_int_equal(pt_map_kernel(va, 5), 0);
	assert_int_equal(frame_nr_kind(FRAME_KERNEL), kernel + 5);
	for (unsigned i = 0; i < 5; i++) {
		pte_t e = *pt_slot(pt_find(pt_kernel_root, va), va + PAGES(i));

		assert_true(pte_present(e) && pte_writable(e) && !pte_exec(e) && !pte_user(e));
	}
	assert_int_equal(*pt_slot(pt_find(pt_kernel_root, va), va + PAGES(5)), 0);
	pt_unmap_kernel(va, 5);
	assert_int_equal(kit_free_frames(), before);
	for (unsigned n = 1; n <= 5; n++) {
		kit_fail_from(n);
		assert_int_equal(pt_map_kernel(va, 5), -ENOMEM);
		kit_fail_none();
		assert_int_equal(kit_free_frames(), before);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		KIT_TEST(making), KIT_TEST(gate_counts), KIT_TEST(next_live), KIT_TEST(next_over_holes), KIT_TEST(unlinking),
		KIT_TEST(kept_beside_free),
		KIT_TEST(out_of_memory), KIT_TEST(filling_and_clearing), KIT_TEST(protecting), KIT_TEST(moving),
		KIT_TEST(kernel_pages),
	};

	return KIT_RUN(tests);
}
