/* SPDX-License-Identifier: MIT */
/* Tests of mm's verbs against what Linux documents: results, errno, and that errors change nothing. */
#include "kit.h"

#define AREA 0x40000000UL

static struct space *s;

static int setup(void **state)
{
	kit_test_setup(state);
	s = kit_space();
	return 0;
}

static int teardown(void **state)
{
	kit_space_end(s);
	return kit_test_teardown(state);
}

static long map_raw(vaddr_t addr, u64 length, bool fixed, bool noreplace)
{
	return vm_map(s, &(struct vm_map_args){ .addr = addr, .length = length, .fixed = fixed, .noreplace = noreplace,
						.flags = RW | R_MAY_WRITE });
}

static void map_arguments(void **state)
{
	(void)state;
	assert_int_equal(map_raw(0, 0, false, false), -EINVAL);
	assert_int_equal(map_raw(0, ~0UL, false, false), -ENOMEM);
	assert_int_equal(map_raw(0, USER_END + PAGE_SIZE, false, false), -ENOMEM);
	assert_int_equal(map_raw(AREA + 1, PAGE_SIZE, true, false), -EINVAL);
	assert_int_equal(map_raw(0, PAGE_SIZE, true, false), -EPERM);
	assert_int_equal(map_raw(USER_END, PAGE_SIZE, true, false), -ENOMEM);
	assert_int_equal(map_raw(~0xfffUL, PAGE_SIZE, true, false), -ENOMEM);
	assert_int_equal(map_raw(AREA, USER_END, true, false), -ENOMEM);
	assert_int_equal(map_raw(AREA, 1, true, false), AREA);
	assert_int_equal(s->pages, 1);
	assert_int_equal(map_raw(AREA, PAGE_SIZE, true, true), -EEXIST);
	assert_int_equal(map_raw(AREA - PAGE_SIZE, PAGES(3), true, true), -EEXIST);
	assert_int_equal(s->pages, 1);
	assert_int_equal(map_raw(AREA + PAGE_SIZE, PAGE_SIZE, true, true), AREA + PAGE_SIZE);
	assert_int_equal(s->nr_regions, 1);			/* the two are one */
}

static void map_places(void **state)
{
	long a = map_raw(0, PAGES(3), false, false), b = map_raw(0, PAGES(3), false, false);

	(void)state;
	assert_int_equal(b, a - PAGES(3));			/* downwards, without gaps */
	assert_int_equal(map_raw(AREA + 5, PAGES(2), false, false), AREA + PAGE_SIZE);	/* the hint, rounded */
	assert_int_equal(map_raw(AREA, PAGES(2), false, false), b - PAGES(2));	/* taken: elsewhere */
	vm_unmap(s, (u64)a, PAGES(2));
	assert_int_equal(map_raw(0, PAGES(3), false, false), b - PAGES(5));	/* the hole is too small */
	assert_int_equal(map_raw(0, PAGES(2), false, false), a);
	assert_int_equal(map_raw(0, s->mmap_top - MMAP_MIN_ADDR, false, false), -ENOMEM);
	s->limit_as = s->pages << PAGE_SHIFT;
	assert_int_equal(map_raw((u64)a - PAGE_SIZE, PAGES(3), true, false), a - PAGE_SIZE);	/* what goes does not count */
	assert_int_equal(map_raw((u64)a - PAGE_SIZE, PAGES(5), true, false), -ENOMEM);
	s->limit_as = (s->pages + 3) << PAGE_SHIFT;
	assert_int_equal(map_raw(0, PAGES(4), false, false), -ENOMEM);
	assert_true(map_raw(0, PAGES(3), false, false) > 0);
}

static void map_over(void **state)
{
	vaddr_t va = kit_anon(s, AREA, 8, RW);

	(void)state;
	for (u64 p = 0; p < 8; p++)
		kit_store(s, va + PAGES(p), p + 1);
	fake_cpu_set(1);
	want_load(s, va + PAGES(3), 4);
	fake_cpu_set(0);
	kit_anon(s, va + PAGES(2), 3, R_READ);
	assert_int_equal(kit_usage(s).anon, 5);
	assert_int_equal(s->pages, 8);
	fake_cpu_set(1);
	want_load(s, va + PAGES(3), 0);
	want_no_store(s, va + PAGES(4), FAULT_ACCERR);
	want_load(s, va + PAGES(5), 6);
	fake_cpu_set(0);
}

static void populate(void **state)
{
	struct vm_map_args a = { .addr = AREA, .length = PAGES(600), .flags = RW, .fixed = true, .populate = true };

	(void)state;
	assert_int_equal(vm_map(s, &a), AREA);
	assert_int_equal(kit_usage(s).anon, 600);
	a.addr += PAGES(1000);
	a.flags = R_READ;
	vm_map(s, &a);
	assert_int_equal(kit_usage(s).anon, 600);
	assert_int_equal(kit_recount(s).n[PTE_CLASS_ZERO], 600);
}

static void unmapping(void **state)
{
	vaddr_t va = kit_anon(s, AREA, 1024, RW);
	u64 tables;

	(void)state;
	assert_int_equal(vm_unmap(s, va + 1, PAGE_SIZE), -EINVAL);
	assert_int_equal(vm_unmap(s, va, 0), -EINVAL);
	assert_int_equal(vm_unmap(s, USER_END, PAGE_SIZE), -EINVAL);
	assert_int_equal(vm_unmap(s, va, ~0UL), -EINVAL);
	assert_int_equal(vm_unmap(s, 0x1000, PAGE_SIZE), 0);	/* nothing there is no error */
	for (u64 p = 0; p < 1024; p += 8)
		kit_store(s, va + PAGES(p), p);
	tables = kit_usage(s).tables;
	assert_int_equal(vm_unmap(s, va + PAGES(100), PAGES(100) + 1), 0);
	assert_int_equal(s->pages, 1024 - 101);
	assert_int_equal(s->nr_regions, 2);
	want_no_load(s, va + PAGES(104), FAULT_MAPERR);
	want_no_load(s, va + PAGES(200), FAULT_MAPERR);
	want_load(s, va + PAGES(208), 208);
	want_load(s, va + PAGES(96), 96);
	assert_int_equal(vm_unmap(s, va + PAGES(512), PAGES(512)), 0);
	assert_int_equal(kit_usage(s).tables, tables - 1);
	assert_int_equal(vm_unmap(s, 0, USER_END), 0);
	assert_int_equal(kit_usage(s).tables, 1);
	assert_int_equal(s->nr_regions, 0);
}

static void protection(void **state)
{
	vaddr_t va = kit_anon(s, AREA, 8, RW);
	struct kit_file *f = kit_file(4, true);
	struct vm_map_args readonly = { .addr = AREA + PAGES(16), .length = PAGES(4), .fixed = true, .cache = &f->cache,
					.flags = R_READ | R_SHARED };

	(void)state;
	assert_int_equal(vm_protect(s, va + 8, PAGE_SIZE, R_READ), -EINVAL);
	assert_int_equal(vm_protect(s, va, 0, R_READ), 0);
	assert_int_equal(vm_protect(s, va, ~0UL, R_READ), -ENOMEM);
	assert_int_equal(vm_protect(s, va + PAGES(6), PAGES(4), R_READ), -ENOMEM);
	assert_int_equal(vm_map(s, &readonly), readonly.addr);	/* opened for reading only */
	assert_int_equal(vm_protect(s, readonly.addr, PAGES(1), RW), -EACCES);
	for (u64 p = 0; p < 8; p++)
		kit_store(s, va + PAGES(p), p + 1);
	for (u32 cpu = 3; cpu--;) {				/* every CPU loses the rights */
		fake_cpu_set(cpu);
		for (u64 p = 0; p < 8; p++)
			kit_store(s, va + PAGES(p), p + 1);
	}
	assert_int_equal(vm_protect(s, va + PAGES(2), PAGES(3), R_READ), 0);
	assert_int_equal(s->nr_regions, 4);
	fake_cpu_set(2);
	want_no_store(s, va + PAGES(2), FAULT_ACCERR);
	want_load(s, va + PAGES(2), 3);
	kit_store(s, va + PAGES(5), 6);
	assert_int_equal(vm_protect(s, va, PAGES(8), 0), 0);
	assert_int_equal(s->nr_regions, 2);
	assert_int_equal(kit_usage(s).anon, 8);			/* barred, but kept */
	fake_cpu_set(1);
	want_no_load(s, va + PAGES(3), FAULT_ACCERR);
	want_no_store(s, va + PAGES(3), FAULT_ACCERR);
	assert_int_equal(vm_protect(s, va, PAGES(8), RW | R_EXEC), 0);
	for (u64 p = 0; p < 8; p++) {
		want_load(s, va + PAGES(p), p + 1);
		assert_int_equal(fake_fetch(s, va + PAGES(p)), FAULT_OK);
		kit_store(s, va + PAGES(p), p + 2);
	}
	assert_int_equal(vm_protect(s, va, PAGES(8), RW), 0);
	assert_int_equal(fake_fetch(s, va), FAULT_ACCERR);
	fake_cpu_set(0);
	vm_unmap(s, 0, USER_END);
	kit_file_close(f);
}

static void advice(void **state)
{
	vaddr_t va = kit_anon(s, AREA, 512, RW);
	struct kit_file *f = kit_file(8, true);
	vaddr_t shared = kit_map_file(s, f, AREA + PAGES(1024), 0, 8, RW | R_SHARED);
	vaddr_t private = kit_map_file(s, f, AREA + PAGES(1040), 0, 8, RW);

	(void)state;
	assert_int_equal(vm_advise(s, va, PAGE_SIZE, 77), -EINVAL);
	assert_int_equal(vm_advise(s, va + 1, PAGE_SIZE, MADV_DONTNEED), -EINVAL);
	assert_int_equal(vm_advise(s, va, ~0UL - va, MADV_DONTNEED), -EINVAL);
	assert_int_equal(vm_advise(s, va, 0, MADV_DONTNEED), 0);
	for (u64 p = 0; p < 512; p++)
		kit_store(s, va + PAGES(p), p + 1);
	assert_int_equal(vm_advise(s, va + PAGES(1), PAGES(510), MADV_DONTNEED), 0);
	assert_int_equal(kit_usage(s).anon, 2);
	want_load(s, va, 1);
	want_load(s, va + PAGES(511), 512);
	want_load(s, va + PAGES(300), 0);
	assert_int_equal(vm_advise(s, va + PAGES(500), PAGES(600), MADV_DONTNEED), -ENOMEM);	/* a hole; the rest is done */
	want_load(s, va + PAGES(511), 0);
	vm_advise(s, va, PAGES(512), MADV_DONTNEED);
	kit_store(s, shared, 5);
	kit_store(s, private, 6);
	assert_int_equal(vm_advise(s, shared, PAGES(8), MADV_DONTNEED), 0);
	assert_int_equal(vm_advise(s, private, PAGES(8), MADV_DONTNEED), 0);
	want_load(s, shared, 5);				/* is the file's */
	want_load(s, private, 5);				/* the copy is gone */
	assert_int_equal(vm_advise(s, private, PAGES(8), MADV_FREE), -EINVAL);
	assert_int_equal(vm_advise(s, shared, PAGES(8), MADV_WIPEONFORK), -EINVAL);
	assert_int_equal(vm_advise(s, shared, PAGES(1), MADV_REMOVE), 0);
	want_load(s, shared, 0);
	assert_int_equal(vm_advise(s, private, PAGES(1), MADV_REMOVE), -EINVAL);
	assert_int_equal(vm_lock(s, va, PAGES(4), true), 0);
	assert_int_equal(vm_advise(s, va, PAGES(8), MADV_DONTNEED), -EINVAL);
	assert_int_equal(vm_advise(s, va, PAGES(8), MADV_DONTNEED_LOCKED), 0);
	assert_int_equal(vm_advise(s, va, PAGES(8), MADV_POPULATE_WRITE), 0);
	assert_int_equal(kit_usage(s).anon, 8);
	assert_int_equal(vm_advise(s, va + PAGES(510), PAGES(4), MADV_POPULATE_READ), -ENOMEM);
	vm_protect(s, va + PAGES(100), PAGES(1), R_READ);
	assert_int_equal(vm_advise(s, va + PAGES(99), PAGES(3), MADV_POPULATE_WRITE), -EINVAL);
	pcache_resize(&f->cache, PAGES(4));
	assert_int_equal(vm_advise(s, shared, PAGES(8), MADV_POPULATE_READ), -EFAULT);
	assert_int_equal(vm_advise(s, va, PAGES(512), MADV_SEQUENTIAL), 0);
	assert_true(region_at(s, va + PAGES(50))->flags & R_SEQUENTIAL);
	assert_int_equal(vm_advise(s, va, PAGES(512), MADV_RANDOM), 0);
	assert_int_equal(region_at(s, va + PAGES(50))->flags & (R_SEQUENTIAL | R_RANDOM), R_RANDOM);
	assert_int_equal(vm_advise(s, va, PAGES(512), MADV_NORMAL), 0);
	vm_unmap(s, 0, USER_END);
	kit_file_close(f);
}

static void break_of_the_heap(void **state)
{
	(void)state;
	s->brk_start = s->brk = AREA + 0x123;
	assert_int_equal(vm_brk(s, 0), AREA + 0x123);
	assert_int_equal(vm_brk(s, AREA), AREA + 0x123);
	assert_int_equal(vm_brk(s, AREA + PAGES(3) + 7), AREA + PAGES(3) + 7);
	kit_store(s, AREA + PAGES(3), 5);
	assert_int_equal(vm_brk(s, AREA + PAGES(3) + 1), AREA + PAGES(3) + 1);
	want_load(s, AREA + PAGES(3), 5);			/* still within the page */
	assert_int_equal(vm_brk(s, AREA + PAGES(2)), AREA + PAGES(2));
	want_no_load(s, AREA + PAGES(3), FAULT_MAPERR);
	assert_int_equal(vm_brk(s, AREA + PAGES(4)), AREA + PAGES(4));
	want_load(s, AREA + PAGES(3), 0);
	kit_anon(s, AREA + PAGES(6), 1, RW);
	assert_int_equal(vm_brk(s, AREA + PAGES(8)), AREA + PAGES(4));
	assert_int_equal(vm_brk(s, AREA + PAGES(6)), AREA + PAGES(6));
	s->limit_data = PAGES(6);
	assert_int_equal(vm_brk(s, USER_END), AREA + PAGES(6));
	assert_int_equal(vm_brk(s, ~0UL), AREA + PAGES(6));
	kit_fail_from(1);
	assert_int_equal(vm_brk(s, AREA + PAGES(3)), AREA + PAGES(6));	/* a split needs memory */
	kit_fail_none();
	assert_int_equal(vm_brk(s, AREA + PAGES(3)), AREA + PAGES(3));
	kit_fail_from(1);
	assert_int_equal(vm_brk(s, AREA + PAGES(5)), AREA + PAGES(3));
}

static void locking(void **state)
{
	vaddr_t va = kit_anon(s, AREA, 8, RW);
	u8 vec[10];

	(void)state;
	kit_load(s, va + PAGES(7));
	kit_store(s, va + PAGES(1), 1);
	assert_int_equal(vm_mincore(s, va, 8, vec), 0);
	assert_memory_equal(vec, ((u8[]){ 0, 1, 0, 0, 0, 0, 0, 1 }), 8);
	assert_int_equal(vm_mincore(s, va, 9, vec), -ENOMEM);
	assert_int_equal(vm_lock(s, va + 1, PAGES(3), true), 0);	/* rounds outwards: 4 pages */
	assert_int_equal(kit_usage(s).locked, 4);
	assert_int_equal(kit_usage(s).anon, 4);
	assert_int_equal(vm_lock(s, va + PAGES(6), PAGES(4), true), -ENOMEM);
	assert_int_equal(vm_sync(s, va, PAGES(8), MS_SYNC), 0);
	assert_int_equal(vm_sync(s, va, PAGES(9), MS_ASYNC), -ENOMEM);
	assert_int_equal(vm_sync(s, va, PAGES(8), MS_SYNC | MS_ASYNC), -EINVAL);
	assert_int_equal(vm_sync(s, va, PAGES(8), MS_INVALIDATE), -EBUSY);
	assert_int_equal(vm_sync(s, va + 1, PAGES(1), MS_SYNC), -EINVAL);
	assert_int_equal(vm_lock(s, va, PAGES(8), false), 0);
	assert_int_equal(kit_usage(s).locked, 0);
	assert_int_equal(s->nr_regions, 1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(map_arguments), TEST(map_places), TEST(map_over), TEST(populate), TEST(unmapping), TEST(protection),
		TEST(advice), TEST(break_of_the_heap), TEST(locking),
	};

	return KIT_RUN_EACH_FORK(tests);
}
