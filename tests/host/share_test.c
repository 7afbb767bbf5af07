/* SPDX-License-Identifier: MIT */
/*
 * Tests of mm/share.c: what fork shares, what a write takes for its own and no more, what either side drops,
 * maps, protects, moves or fills without the other noticing. The parent is on CPU 0, the child on 1.
 */
#include "kit.h"

#define AREA 0x40000000UL		/* a table of level 2 of its own begins here */
#define N 1024				/* pages in two leaf tables, every eighth written: reads its number + 1 */

static struct space *s, *child;
static vaddr_t va;

static void on(struct space *who)
{
	fake_cpu_set(who != s);
}

static u64 load(struct space *who, u64 page)
{
	on(who);
	return kit_load(who, va + PAGES(page));
}

static void store(struct space *who, u64 page, u64 value)
{
	on(who);
	kit_store(who, va + PAGES(page), value);
}

#define want(who, page, value) assert_int_equal(load((who), (page)), (value))

static int setup(void **state)
{
	kit_test_setup(state);
	tune.fork_share = FORK_SHARE_ALL;
	s = kit_space();
	va = kit_anon(s, AREA, N, RW);
	for (u64 p = 0; p < N; p += 8)
		store(s, p, p + 1);
	child = space_fork(s);
	assert_non_null(child);
	return 0;
}

static int teardown(void **state)
{
	if (child)
		kit_space_end(child);
	kit_space_end(s);
	return kit_test_teardown(state);
}

static void all_as_written(struct space *who)
{
	for (u64 p = 0; p < N; p += 8)
		want(who, p, p + 1);
	kit_check(who);
}

static struct frame *table(struct space *who, unsigned level, u64 page)
{
	return pt_child(fake_look(who, va + PAGES(page)).slot_of[level + 1]);
}

static void fork_copies_the_root(void **state)
{
	struct space *second;

	(void)state;
	on(s);
	assert_int_equal(moved(pt_alloc, second = space_fork(s)), 1);
	assert_ptr_equal(table(s, 3, 0), table(second, 3, 0));
	assert_int_equal(table(s, 3, 0)->refs, 3);
	assert_int_equal(table(s, 1, 0)->refs, 1);
	for (struct space *who = second; who; who = who == second ? child : who == child ? s : NULL) {
		assert_int_equal(kit_usage(who).anon, N / 8);		/* exact, shared or not */
		assert_int_equal(kit_usage(who).tables, 5);
	}
	kit_space_end(second);
	assert_int_equal(table(s, 3, 0)->refs, 2);
	tune.fork_share = FORK_SHARE_LEAF;
	assert_int_equal(moved(pt_alloc, second = space_fork(child)), 3);	/* root and two levels */
	assert_int_equal(table(second, 1, 0)->refs, 2);
	assert_int_equal(table(second, 2, 0)->refs, 1);
	kit_space_end(second);
	all_as_written(s);
	all_as_written(child);
}

/* A write owns the path it needs; its neighbour needs nothing but its page. */
static void write_owns_its_path(void **state)
{
	(void)state;
	on(child);
	assert_int_equal(moved(pt_unshared, store(child, 8, 100)), 3);
	assert_int_equal(moved(pt_unshared, store(child, 16, 101)), 0);
	assert_int_equal(moved(pt_unshared, store(child, 17, 102)), 0);
	assert_int_equal(moved(pt_unshared, store(child, 600, 103)), 1);	/* the other leaf table */
	assert_int_equal(table(s, 1, 0)->refs, 1);
	want(s, 8, 9);
	want(s, 17, 0);
	want(s, 600, 601);
	want(child, 8, 100);
	want(child, 0, 1);
	assert_int_equal(moved(pt_unshared, store(s, 24, 104)), 0);		/* the parent's copy is its own by now */
	want(child, 24, 25);
	kit_check(s);
	kit_check(child);
}

/* Whose other users have gone is taken over, tables and pages: nothing is copied. */
static void last_user_takes_over(void **state)
{
	u64 copies;

	(void)state;
	kit_space_end(child);
	child = NULL;
	copies = counter_sum(C_page_copied);
	u64 unshared = counter_sum(C_pt_unshared);
	assert_true(moved(pt_reowned, store(s, 8, 100)) > 0);
	assert_int_equal(moved(pt_reowned, store(s, 16, 100)), 0);
	store(s, 600, 100);
	assert_int_equal(counter_sum(C_pt_unshared), unshared);
	assert_int_equal(counter_sum(C_page_copied), copies);
	want(s, 8, 100);
}

/* Half of a table, one page of a table, a whole table and all of them are dropped by one side only. */
static void drops_are_private(void **state)
{
	(void)state;
	for (unsigned k = 0; k < 2; k++) {
		struct space *mine = k ? child : s, *other = k ? s : child;

		on(mine);
		assert_int_equal(vm_advise(mine, va + PAGES(8), PAGES(1), MADV_DONTNEED), 0);
		want(mine, 8, 0);
		want(mine, 16, 17);
		assert_int_equal(vm_unmap(mine, va + PAGES(256), PAGES(128)), 0);
		want_no_load(mine, va + PAGES(264), FAULT_MAPERR);
		want(mine, 248, 249);
		want(mine, 384, 385);
		assert_int_equal(vm_advise(mine, va + PAGES(512), PAGES(512), MADV_DONTNEED), 0);
		want(mine, 520, 0);
		if (k == 0)
			all_as_written(other);
		on(mine);
		assert_int_equal(vm_unmap(mine, va, PAGES(N)), 0);
		assert_int_equal(kit_usage(mine).tables, 1);
		if (k == 0)
			all_as_written(other);
	}
}

/* A table covered whole is let go of, unread. */
static void whole_tables_are_let_go(void **state)
{
	(void)state;
	on(child);
	assert_int_equal(moved(pt_dropped, vm_unmap(child, va, PAGES(N))), 2);
	assert_int_equal(table(s, 3, 0)->refs, 1);
	all_as_written(s);
	kit_space_end(child);
	child = space_fork(s);
	on(child);
	assert_int_equal(moved(pt_dropped, vm_unmap(child, va + PAGES(512), PAGES(512))), 1);
	assert_true(moved(pt_clear, vm_unmap(child, va, PAGES(512))) < 64);
	all_as_written(s);
}

/* What one side maps into a hole of a shared table, of any level, the other does not see. */
static void holes(void **state)
{
	static const vaddr_t hole[] = { AREA + PAGES(N), AREA + MiB(64), AREA + GiB(2), AREA + GiB(520), AREA - PAGES(3) };

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(hole); i++) {
		struct space *mine = i & 1 ? child : s, *other = i & 1 ? s : child;

		on(mine);
		kit_anon(mine, hole[i], 2, RW);
		want_load(mine, hole[i] + PAGES(1), 0);
		kit_store(mine, hole[i], 7);
		on(other);
		want_no_load(other, hole[i], FAULT_MAPERR);
		want_no_load(other, hole[i] + PAGES(1), FAULT_MAPERR);
		kit_check(other);
	}
	all_as_written(s);
	all_as_written(child);
}

/* The same where a region is put or grows into the hole without anything being unmapped there before. */
static void growing_into_holes(void **state)
{
	struct vm_map_args careful = { .addr = AREA - PAGES(8), .length = PAGES(4), .flags = RW, .fixed = true, .noreplace = true };
	vaddr_t hole[4] = { careful.addr, AREA + PAGES(N), AREA + MiB(6), AREA + MiB(9) - PAGES(4) };

	(void)state;
	kit_space_end(child);
	on(s);
	s->brk_start = s->brk = hole[2];
	assert_int_equal(vm_map_stack(s, AREA + MiB(9), PAGES(2)), 0);
	kit_store(s, AREA + MiB(9) - 8, 1);		/* tables around all of these are there, and shared */
	kit_anon(s, AREA + MiB(7) - PAGES(1), 1, RW);
	kit_store(s, AREA + MiB(7) - PAGES(1), 1);
	child = space_fork(s);
	on(child);
	assert_int_equal(vm_map(child, &careful), hole[0]);
	assert_int_equal(vm_remap(child, va, PAGES(N), PAGES(N + 2), 0, 0), va);
	assert_int_equal(vm_brk(child, hole[2] + PAGES(3)), hole[2] + PAGES(3));
	for (unsigned i = 0; i < 4; i++)
		want_load(child, hole[i], 0);		/* a read: must not fill what the parent sees; the last grows the stack */
	on(s);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(fake_look(s, hole[i]).leaf, 0);
	for (unsigned i = 0; i < 3; i++)
		want_no_load(s, hole[i], FAULT_MAPERR);
	all_as_written(s);
	all_as_written(child);
}

/* Reading fills the shared table for both; writing afterwards is still private. */
static void reads_fill_in_place(void **state)
{
	struct frame *t = table(s, 1, 0);
	u64 faults;

	(void)state;
	assert_int_equal(moved(pt_unshared, want(child, 1, 0)), 0);
	assert_ptr_equal(table(child, 1, 0), t);
	on(s);
	faults = fake_nr_faults;
	want(s, 1, 0);
	assert_int_equal(fake_nr_faults, faults);
	store(s, 1, 5);
	want(child, 1, 0);
	store(child, 1, 6);
	want(s, 1, 5);
}

static void rights(void **state)
{
	(void)state;
	on(child);
	assert_int_equal(vm_protect(child, va + PAGES(8), PAGES(1), R_READ), 0);
	want_no_store(child, va + PAGES(8), FAULT_ACCERR);
	store(s, 8, 50);
	want(child, 8, 9);
	assert_int_equal(vm_protect(s, va, PAGES(N), 0), 0);
	on(s);
	want_no_load(s, va, FAULT_ACCERR);
	for (u64 p = 0; p < N; p += 8)
		want(child, p, p + 1);
	assert_int_equal(vm_protect(s, va, PAGES(N), RW), 0);
	want(s, 0, 1);
	want(s, 8, 50);
	assert_int_equal(vm_lock(child, va, PAGES(16), true), 0);
	store(child, 0, 3);
	want(s, 0, 1);
}

static void moves(void **state)
{
	vaddr_t was = va;

	(void)state;
	on(child);
	assert_int_equal(vm_remap(child, va, PAGES(N), PAGES(N), MREMAP_MAYMOVE | MREMAP_FIXED, AREA + GiB(700)),
			 AREA + GiB(700));
	all_as_written(s);
	va = AREA + GiB(700);
	all_as_written(child);
	store(child, 0, 9);
	on(s);
	va = was;
	want(s, 0, 1);
	assert_int_equal(vm_remap(s, va + PAGES(3), PAGES(20), PAGES(20), MREMAP_MAYMOVE | MREMAP_FIXED,
				  AREA + GiB(800)), AREA + GiB(800));
	want_load(s, AREA + GiB(800) + PAGES(5), 9);
	fake_cpu_set(1);
	want_load(child, AREA + GiB(700) + PAGES(8), 9);
	fake_cpu_set(0);
}

/* Regions that fork treats specially, beside others in the same table. */
static void special_neighbours(void **state)
{
	(void)state;
	kit_space_end(child);
	assert_int_equal(vm_advise(s, va + PAGES(8), PAGES(1), MADV_DONTFORK), 0);
	assert_int_equal(vm_advise(s, va + PAGES(16), PAGES(1), MADV_WIPEONFORK), 0);
	assert_int_equal(vm_advise(s, va + PAGES(512), PAGES(512), MADV_WIPEONFORK), 0);
	child = space_fork(s);
	kit_check(child);
	on(child);
	want_no_load(child, va + PAGES(8), FAULT_MAPERR);
	want(child, 16, 0);
	want(child, 24, 25);
	want(child, 600, 0);
	assert_int_equal(kit_usage(child).anon, N / 16 - 2);
	all_as_written(s);
}

static void files_and_truncation(void **state)
{
	struct kit_file *f = kit_file(16, false);
	vaddr_t shared = AREA + MiB(6), private = shared + PAGES(16);

	(void)state;
	kit_space_end(child);
	on(s);
	kit_map_file(s, f, shared, 0, 16, RW | R_SHARED);
	kit_map_file(s, f, private, 0, 16, RW);
	kit_load(s, shared);
	kit_store(s, private + PAGES(3), 3);
	child = space_fork(s);
	on(child);
	kit_store(child, shared + PAGES(1), 4);
	kit_store(child, private + PAGES(4), 5);
	on(s);
	want_load(s, shared + PAGES(1), 4);
	want_load(s, private + PAGES(4), kit_file_word(4, 0));
	kit_space_end(child);
	child = space_fork(s);
	on(child);
	want_load(child, private + PAGES(3), 3);
	fake_cpu_set(2);
	pcache_resize(&f->cache, PAGES(2));
	for (unsigned k = 0; k < 2; k++) {
		struct space *who = k ? s : child;

		on(who);
		want_no_load(who, private + PAGES(3), FAULT_BUS);
		want_no_load(who, shared + PAGES(2), FAULT_BUS);
		want_load(who, shared + PAGES(1), 4);
		vm_unmap(who, shared, PAGES(32));
		kit_check(who);
	}
	kit_file_close(f);
}

static void orphans(void **state)
{
	struct space *grand = space_fork(child), *great = space_fork(grand);

	(void)state;
	kit_space_end(child);
	kit_space_end(grand);
	child = great;
	all_as_written(great);
	store(great, 8, 70);
	want(s, 8, 9);
	store(s, 16, 71);
	want(great, 16, 17);
}

static void a_thousand_forks(void **state)
{
	u64 before = kit_free_frames();

	(void)state;
	for (unsigned i = 0; i < 1000; i++) {
		struct space *one = space_fork(i & 1 ? s : child);

		tune.fork_share = i % 3;
		fake_cpu_set(2);
		kit_store(one, va + PAGES(i), i + 1);
		want_load(one, va + PAGES((i * 8 + 8) % 512 | 512), ((i * 8 + 8) % 512 | 512) + 1);
		tlb_switch_space(NULL);
		space_put(one);
	}
	fake_cpu_set(0);
	all_as_written(s);
	all_as_written(child);
	assert_true(kit_free_frames() + 16 >= before);
}

/* Each allocation of each operation that owns tables fails once: both sides unharmed. */
/* A table above many: its copy takes a run of entries at once, and counts a user of each. */
static void above_many_tables(void **state)
{
	vaddr_t at = kit_anon(s, AREA + GiB(2), 40 * PT_ENTRIES, RW);
	struct space *third;

	(void)state;
	for (u64 t = 0; t < 40; t++)
		kit_store(s, at + t * MiB(2), t + 1);
	third = space_fork(s);
	on(third);
	kit_store(third, at, 100);
	assert_int_equal(pt_find(s->root, at + MiB(2) * 39)->refs, 2);
	kit_check(third);
	on(s);
	for (u64 t = 0; t < 40; t++)
		want_load(s, at + t * MiB(2), t + 1);
	kit_space_end(third);
	for (u64 t = 0; t < 40; t++)
		kit_store(s, at + t * MiB(2), t + 2);
	for (u64 t = 0; t < 40; t++)
		want_load(s, at + t * MiB(2), t + 2);
	kit_check(s);
}

static void no_memory(void **state)
{
	(void)state;
	for (unsigned what = 0; what < 6; what++) {
		long r = 0;
		u32 n = 0;

		do {
			on(child);
			kit_fail_from(++n);
			switch (what) {
			case 0: r = fake_store(child, va + PAGES(8), 50) == FAULT_OOM ? -ENOMEM : 0; break;
			case 1: r = vm_advise(child, va + PAGES(16), PAGES(3), MADV_DONTNEED); break;
			case 2: r = vm_unmap(child, va + PAGES(24), PAGES(600)); break;
			case 3: r = vm_protect(child, va + PAGES(700), PAGES(10), R_READ); break;
			case 4: r = kit_try_anon(child, AREA + PAGES(N), 3, RW); break;
			default:
				r = vm_remap(child, va + PAGES(800), PAGES(16), PAGES(16), MREMAP_MAYMOVE | MREMAP_FIXED,
					     AREA + GiB(9));
			}
			kit_fail_none();
			kit_check(child);
			if (r < 0) {
				assert_true(r == -ENOMEM || r == -EAGAIN);
				all_as_written(child);
			}
			all_as_written(s);
		} while (r < 0 && n < 30);
		assert_in_range(n, 2, 20);
		kit_space_end(child);
		child = space_fork(s);
	}
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(fork_copies_the_root), TEST(write_owns_its_path), TEST(last_user_takes_over), TEST(drops_are_private),
		TEST(whole_tables_are_let_go), TEST(holes), TEST(growing_into_holes), TEST(reads_fill_in_place), TEST(rights), TEST(moves),
		TEST(special_neighbours), TEST(files_and_truncation), TEST(orphans), TEST(a_thousand_forks), TEST(above_many_tables),
		TEST(no_memory),
	};

	return KIT_RUN(tests);
}
