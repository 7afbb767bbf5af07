/* SPDX-License-Identifier: MIT */
/* Tests of mm/remap.c: mremap as Linux has it; moved pages keep their frames and every CPU hears of it. */
#include "kit.h"

#define AREA 0x40000000UL
#define FAR (AREA + GiB(600))

static struct space *s;
static vaddr_t va;

/* 8 pages that read 1 .. 8, on CPU 1 too. */
static int setup(void **state)
{
	kit_test_setup(state);
	s = kit_space();
	va = kit_anon(s, AREA, 8, RW);
	for (u64 p = 0; p < 8; p++)
		kit_store(s, va + PAGES(p), p + 1);
	fake_cpu_set(1);
	for (u64 p = 0; p < 8; p++)
		want_load(s, va + PAGES(p), p + 1);
	fake_cpu_set(0);
	return 0;
}

static int teardown(void **state)
{
	kit_space_end(s);
	return kit_test_teardown(state);
}

static void want_pages(vaddr_t at, u64 first, u64 n)
{
	for (u32 cpu = 2; cpu--;) {
		fake_cpu_set(cpu);
		for (u64 p = 0; p < n; p++)
			want_load(s, at + PAGES(p), first + p);
	}
}

static void arguments(void **state)
{
	(void)state;
	assert_int_equal(vm_remap(s, va + 1, PAGES(8), PAGES(9), MREMAP_MAYMOVE, 0), -EINVAL);
	assert_int_equal(vm_remap(s, va, PAGES(8), 0, MREMAP_MAYMOVE, 0), -EINVAL);
	assert_int_equal(vm_remap(s, va, PAGES(8), PAGES(9), 64, 0), -EINVAL);
	assert_int_equal(vm_remap(s, va, PAGES(8), PAGES(9), MREMAP_FIXED, FAR), -EINVAL);
	assert_int_equal(vm_remap(s, va, PAGES(8), PAGES(8), MREMAP_MAYMOVE | MREMAP_FIXED, FAR + 5), -EINVAL);
	assert_int_equal(vm_remap(s, va, PAGES(8), PAGES(8), MREMAP_MAYMOVE | MREMAP_FIXED, va + PAGES(7)), -EINVAL);
	assert_int_equal(vm_remap(s, va, PAGES(8), PAGES(8), MREMAP_MAYMOVE | MREMAP_FIXED, USER_END - PAGES(4)), -EINVAL);
	assert_int_equal(vm_remap(s, va, PAGES(8), ~0UL, MREMAP_MAYMOVE, 0), -EINVAL);
	assert_int_equal(vm_remap(s, va - PAGES(1), PAGES(1), PAGES(2), MREMAP_MAYMOVE, 0), -EFAULT);
	assert_int_equal(vm_remap(s, va, PAGES(9), PAGES(10), MREMAP_MAYMOVE, 0), -EFAULT);
	assert_int_equal(vm_remap(s, va, 0, PAGES(1), MREMAP_MAYMOVE, 0), -EINVAL);
	assert_int_equal(vm_remap(s, va, PAGES(8), PAGES(8), 0, 0), va);
	s->limit_as = PAGES(9);
	assert_int_equal(vm_remap(s, va, PAGES(8), PAGES(10), MREMAP_MAYMOVE, 0), -ENOMEM);
	want_pages(va, 1, 8);
}

static void in_place(void **state)
{
	(void)state;
	assert_int_equal(vm_remap(s, va, PAGES(8), PAGES(5), 0, 0), va);
	want_pages(va, 1, 5);
	want_no_load(s, va + PAGES(5), FAULT_MAPERR);
	assert_int_equal(vm_remap(s, va + PAGES(2), PAGES(3), PAGES(6), 0, 0), va + PAGES(2));
	want_pages(va, 1, 5);
	want_load(s, va + PAGES(7), 0);
	assert_int_equal(s->nr_regions, 1);
	kit_anon(s, va + PAGES(10), 1, R_READ);
	assert_int_equal(vm_remap(s, va, PAGES(8), PAGES(11), 0, 0), -ENOMEM);
	assert_int_equal(vm_remap(s, va, PAGES(8), PAGES(10), 0, 0), va);
}

static void moving(void **state)
{
	struct frame *page = fake_look(s, va + PAGES(2)).frame;
	long to;

	(void)state;
	kit_anon(s, va + PAGES(8), 1, R_READ);
	to = vm_remap(s, va, PAGES(8), PAGES(12), MREMAP_MAYMOVE, 0);
	assert_true(to > 0 && (u64)to != va);
	want_pages((u64)to, 1, 8);
	want_load(s, (u64)to + PAGES(11), 0);
	want_no_load(s, va, FAULT_MAPERR);
	assert_ptr_equal(fake_look(s, (u64)to + PAGES(2)).frame, page);
	assert_int_equal(kit_usage(s).anon, 8);
}

/* A part, to an odd place: the destination lies across two tables, one of which gets nothing. */
static void to_a_fixed_place(void **state)
{
	vaddr_t to = FAR + MiB(2) - PAGES(5);

	(void)state;
	kit_anon(s, to - PAGES(1), 3, RW);
	kit_store(s, to, 99);
	vm_advise(s, va + PAGES(4), PAGES(2), MADV_DONTNEED);
	assert_int_equal(vm_remap(s, va + PAGES(1), PAGES(5), PAGES(7), MREMAP_MAYMOVE | MREMAP_FIXED, to), to);
	want_pages(to, 2, 3);
	want_load(s, to + PAGES(3), 0);
	want_no_load(s, to + PAGES(7), FAULT_MAPERR);
	want_pages(va, 1, 1);
	want_pages(va + PAGES(6), 7, 2);
	want_no_load(s, va + PAGES(1), FAULT_MAPERR);
	assert_int_equal(vm_remap(s, va, PAGES(1), PAGES(1), MREMAP_MAYMOVE | MREMAP_FIXED, to + PAGES(1)), to + PAGES(1));
	want_pages(to + PAGES(1), 1, 1);
	want_pages(to, 2, 1);
}

/* No table stays behind that holds nothing. */
static void no_empty_tables(void **state)
{
	(void)state;
	vm_advise(s, va + PAGES(1), PAGES(7), MADV_DONTNEED);
	assert_int_equal(vm_remap(s, va, PAGES(8), PAGES(8), MREMAP_MAYMOVE | MREMAP_FIXED, FAR + MiB(2) - PAGES(4)),
			 FAR + MiB(2) - PAGES(4));
	assert_int_equal(kit_usage(s).tables, 4);
}

static void rights_and_forks_move_along(void **state)
{
	struct space *child;

	(void)state;
	vm_protect(s, va + PAGES(1), PAGES(1), R_READ);
	child = space_fork(s);
	assert_int_equal(vm_remap(s, va + PAGES(1), PAGES(1), PAGES(1), MREMAP_MAYMOVE | MREMAP_FIXED, FAR), FAR);
	want_load(s, FAR, 2);
	want_no_store(s, FAR, FAULT_ACCERR);
	assert_int_equal(vm_remap(s, va + PAGES(2), PAGES(6), PAGES(6), MREMAP_MAYMOVE | MREMAP_FIXED,
				  FAR + GiB(1)), FAR + GiB(1));
	kit_store(s, FAR + GiB(1), 100);
	fake_cpu_set(2);
	want_load(child, va + PAGES(2), 3);
	kit_space_end(child);
	fake_cpu_set(0);
}

static void files(void **state)
{
	struct kit_file *f = kit_file(16, false);
	vaddr_t a = kit_map_file(s, f, AREA + GiB(2), 4, 8, RW | R_SHARED), b;

	(void)state;
	kit_store(s, a + PAGES(1), 55);
	assert_int_equal(vm_remap(s, a, PAGES(8), PAGES(12), MREMAP_MAYMOVE | MREMAP_FIXED, FAR), FAR);
	want_load(s, FAR + PAGES(1), 55);
	want_load(s, FAR + PAGES(11), kit_file_word(15, 0));
	b = (vaddr_t)vm_remap(s, FAR + PAGES(1), 0, PAGES(3), MREMAP_MAYMOVE, FAR + GiB(1));	/* a second view */
	assert_int_not_equal(b, FAR + GiB(1));			/* as in Linux: no hint without MREMAP_FIXED */
	assert_true((long)b > 0);
	want_load(s, b, 55);
	kit_store(s, b + PAGES(1), 56);
	want_load(s, FAR + PAGES(2), 56);
	pcache_resize(&f->cache, PAGES(5));
	want_no_load(s, b, FAULT_BUS);
	want_no_load(s, FAR + PAGES(2), FAULT_BUS);
	want_load(s, FAR, kit_file_word(4, 0));
	vm_unmap(s, 0, USER_END);
	kit_file_close(f);
}

#define TABLE PAGES(PT_ENTRIES)

static struct frame *leaf_of(struct space *who, vaddr_t at) { return pt_find(who->root, at); }

/* What is covered whole moves by one entry, shared with a relative or not; the rest page by page. */
static void whole_tables(void **state)
{
	vaddr_t from = kit_anon(s, FAR, 4 * PT_ENTRIES, RW), to = FAR + GiB(3) + TABLE;
	struct space *child;
	struct frame *t;
	u64 v;

	(void)state;
	for (u64 p = 0; p < 4 * PT_ENTRIES; p += 64)
		kit_store(s, from + PAGES(p), p + 1);
	child = space_fork(s);
	fake_cpu_set(1);
	t = leaf_of(child, from + TABLE);
	for (u64 p = 256; p < 4 * PT_ENTRIES; p += 64)
		want_load(child, from + PAGES(p), p + 1);
	u64 unshared = counter_sum(C_pt_unshared);
	assert_int_equal(moved(pt_moved, assert_int_equal(vm_remap(child, from + PAGES(256), PAGES(3 * PT_ENTRIES), PAGES(3 * PT_ENTRIES),
								  MREMAP_MAYMOVE | MREMAP_FIXED, to + PAGES(256)), to + PAGES(256))), 2);
	unshared = counter_sum(C_pt_unshared) - unshared;
	assert_int_equal(unshared, tune.fork_share == FORK_SHARE_ALL ? 4 : tune.fork_share == FORK_SHARE_LEAF ? 2 : 0);
	assert_ptr_equal(leaf_of(child, to + TABLE), t);
	assert_int_equal(t->refs, tune.fork_share == FORK_SHARE_NONE ? 1 : 2);
	want_load(child, to + PAGES(256), 257);
	want_load(child, to + TABLE, PT_ENTRIES + 1);
	assert_int_equal(fake_load(child, from + TABLE, &v), FAULT_MAPERR);
	fake_cpu_set(0);
	want_load(s, from + TABLE, PT_ENTRIES + 1);
	v = moved(pt_fill_shared, want_load(s, from + TABLE + PAGES(3), 0));	/* for both, at two addresses */
	assert_int_equal(v, tune.fork_share != FORK_SHARE_NONE);
	fake_cpu_set(1);
	assert_int_equal(moved(fault_zero, want_load(child, to + TABLE + PAGES(3), 0)), !v);
	kit_store(child, to + TABLE, 7);
	kit_store(child, to + TABLE + PAGES(3), 8);
	fake_cpu_set(0);
	want_load(s, from + TABLE, PT_ENTRIES + 1);
	want_load(s, from + TABLE + PAGES(3), 0);
	assert_int_equal(kit_usage(child).anon, 8 + 4 * 8 + 1);
	kit_check(s);
	kit_space_end(child);
}

/* The same two levels up: a table of level 2, and with it 512 leaf tables at most. */
static void upper_tables(void **state)
{
	vaddr_t from = kit_anon(s, FAR & -GiB(1), GiB(2) / PAGE_SIZE, RW), to = from + GiB(900);
	struct space *child;

	(void)state;
	for (u64 at = 0; at < GiB(2); at += MiB(256))
		kit_store(s, from + at, at + 1);
	child = space_fork(s);
	assert_int_equal(moved(pt_moved, vm_remap(s, from, GiB(2), GiB(2), MREMAP_MAYMOVE | MREMAP_FIXED, to)), 2);
	assert_int_equal(moved(pt_moved, vm_remap(s, to, GiB(2), GiB(2), MREMAP_MAYMOVE | MREMAP_FIXED, from + GiB(4))), 2);
	to = from + GiB(4);
	for (u64 at = 0; at < GiB(2); at += MiB(256)) {
		want_load(s, to + at, at + 1);
		want_load(child, from + at, at + 1);
		kit_store(s, to + at, at);
		want_load(child, from + at, at + 1);
	}
	kit_space_end(child);
}

/* A file is cut: found at both addresses of a table that two spaces share, and forgotten by both CPUs. */
static void cut_at_two_addresses(void **state)
{
	struct kit_file *f = kit_file(PT_ENTRIES, false);
	vaddr_t at = kit_map_file(s, f, FAR, 0, PT_ENTRIES, RW | R_SHARED), to = FAR + 3 * TABLE;
	struct space *child;

	(void)state;
	kit_store(s, at + PAGES(300), 1);
	kit_store(s, at + PAGES(2), 2);
	child = space_fork(s);
	fake_cpu_set(1);
	assert_int_equal(vm_remap(child, at, TABLE, TABLE, MREMAP_MAYMOVE | MREMAP_FIXED, to), to);
	want_load(child, to + PAGES(2), 2);
	want_load(child, to + PAGES(300), 1);
	fake_cpu_set(0);
	want_load(s, at + PAGES(300), 1);
	pcache_punch(&f->cache, PAGES(300), PAGES(301));
	for (u32 cpu = 2; cpu--;) {
		fake_cpu_set(cpu);
		want_load(cpu ? child : s, (cpu ? to : at) + PAGES(300), kit_file_word(300, 0));
		want_load(cpu ? child : s, (cpu ? to : at) + PAGES(2), 2);
	}
	pcache_resize(&f->cache, PAGES(1));
	want_no_load(s, at + PAGES(2), FAULT_BUS);
	fake_cpu_set(1);
	want_no_load(child, to + PAGES(2), FAULT_BUS);
	fake_cpu_set(0);
	kit_space_end(child);
	vm_unmap(s, at, TABLE);
	kit_file_close(f);
}

static void left_in_place(void **state)
{
	unsigned flags = MREMAP_MAYMOVE | MREMAP_DONTUNMAP;

	(void)state;
	assert_int_equal(vm_remap(s, va, PAGES(8), PAGES(9), flags, 0), -EINVAL);
	assert_int_equal(vm_remap(s, va, PAGES(8), PAGES(8), flags | MREMAP_FIXED, FAR), FAR);
	want_pages(FAR, 1, 8);
	want_load(s, va, 0);
	kit_store(s, va + PAGES(1), 5);
	want_load(s, FAR + PAGES(1), 2);
	assert_int_equal(s->pages, 16);
}

static void shrink_over_regions(void **state)
{
	(void)state;
	vm_protect(s, va + PAGES(4), PAGES(2), R_READ);		/* three regions */
	assert_int_equal(vm_remap(s, va, PAGES(8), PAGES(3), 0, 0), va);	/* Linux unmaps whatever follows */
	want_pages(va, 1, 3);
	assert_int_equal(s->pages, 3);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(arguments), TEST(in_place), TEST(moving), TEST(to_a_fixed_place), TEST(no_empty_tables),
		TEST(rights_and_forks_move_along), TEST(files),
		TEST(whole_tables), TEST(upper_tables), TEST(cut_at_two_addresses), TEST(left_in_place), TEST(shrink_over_regions),
	};

	return KIT_RUN_EACH_FORK(tests);
}
