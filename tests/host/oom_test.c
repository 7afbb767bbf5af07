/* SPDX-License-Identifier: MIT */
/*
 * Every allocation of every operation fails once: each operation is tried with allocation 1, 2, 3 … and all
 * after it failing, until it succeeds. A failure is the right errno, the checker passes, memory reads as
 * before, and in the end no frame is lost.
 */
#include "kit.h"

#define AREA 0x40000000UL
#define FAR (AREA + GiB(600))
#define N 40				/* pages that read their number + 1 */

static struct space *s;
static struct kit_file *file;
static vaddr_t va, fileva;
static u64 may_stay;			/* frames that a failure may leave: a region split, pages populated or cached */

static int setup(void **state)
{
	kit_test_setup(state);
	may_stay = 1;
	s = kit_space();
	file = kit_file(64, true);
	va = kit_anon(s, AREA + MiB(2) - PAGES(N / 2), N, RW);	/* across two tables */
	fileva = kit_map_file(s, file, AREA + MiB(8), 0, 16, RW);
	for (u64 p = 0; p < N; p++)
		kit_store(s, va + PAGES(p), p + 1);
	return 0;
}

static int teardown(void **state)
{
	kit_space_end(s);
	kit_file_close(file);
	return kit_test_teardown(state);
}

static void unharmed(void)
{
	kit_check(s);
	for (u64 p = 0; p < N; p++)
		want_load(s, va + PAGES(p), p + 1);
}

/* More tables than there is memory for: none of them stays. */
static void tables_of_a_huge_region(void **state)
{
	u64 huge = GiB(1 << 10), before = kit_usage(s).tables;

	(void)state;
	kit_anon(s, FAR, huge >> PAGE_SHIFT, RW);
	assert_int_equal(vm_advise(s, FAR, huge, MADV_POPULATE_PGTABLE), -ENOMEM);
	assert_int_equal(kit_usage(s).tables, before);
	unharmed();
}

/* OPERATION gives a long. It fails as WANT from N_ = 1 on, at least AT_LEAST times, then succeeds. */
#define fails_until_it_works(at_least, want, operation) ({ \
	u32 n_ = 0; \
	u64 free_ = kit_free_frames(); \
	long r_; \
	for (;;) { \
		kit_fail_from(++n_); \
		r_ = (long)(operation); \
		kit_fail_none(); \
		kit_check(s); \
		if (r_ != (want)) \
			break; \
		unharmed(); \
		assert_true(kit_free_frames() + may_stay >= free_); \
		assert_in_range(n_, 1, 60); \
	} \
	if (n_ <= (at_least)) \
		fail_msg("%s: only %u allocations", #operation, n_ - 1); \
	r_; \
})

static void mapping(void **state)
{
	struct vm_map_args a = { .addr = va + PAGES(3), .length = PAGES(4), .flags = R_READ, .fixed = true };
	struct vm_map_args shared = { .length = PAGES(4), .flags = RW | R_SHARED, .cache = &file->cache };

	(void)state;
	assert_true(fails_until_it_works(1, -ENOMEM, vm_map(s, &shared)) > 0);
	assert_int_equal(fails_until_it_works(2, -ENOMEM, vm_map(s, &a)), va + PAGES(3));
	want_load(s, va + PAGES(3), 0);
	want_load(s, va + PAGES(2), 3);
	want_load(s, va + PAGES(7), 8);
}

static void unmapping(void **state)
{
	(void)state;
	assert_int_equal(fails_until_it_works(1, -ENOMEM, vm_unmap(s, va + PAGES(5), PAGES(10))), 0);
	want_no_load(s, va + PAGES(5), FAULT_MAPERR);
	want_load(s, va + PAGES(4), 5);
	want_load(s, va + PAGES(15), 16);
}

static void protecting(void **state)
{
	(void)state;
	assert_int_equal(fails_until_it_works(1, -ENOMEM, vm_protect(s, va + PAGES(5), PAGES(10), R_READ)), 0);
	want_no_store(s, va + PAGES(5), FAULT_ACCERR);
	want_load(s, va + PAGES(5), 6);
	kit_store(s, va + PAGES(4), 5);
}

static void remapping(void **state)
{
	long to;

	(void)state;
	kit_anon(s, va + PAGES(N), 1, R_READ);
	to = fails_until_it_works(3, -ENOMEM, vm_remap(s, va, PAGES(N), PAGES(N + 4), MREMAP_MAYMOVE, 0));
	assert_true(to > 0);
	va = (vaddr_t)to;
	unharmed();
	to = fails_until_it_works(4, -ENOMEM, vm_remap(s, va, PAGES(N), PAGES(N), MREMAP_MAYMOVE | MREMAP_FIXED,
						       FAR + MiB(2) - PAGES(3)));
	assert_int_equal(to, FAR + MiB(2) - PAGES(3));
	va = (vaddr_t)to;
	unharmed();
}

static void advising(void **state)
{
	(void)state;
	assert_int_equal(fails_until_it_works(1, -EAGAIN, vm_advise(s, va + PAGES(5), PAGES(3), MADV_DONTFORK)), 0);
	may_stay = 40;
	assert_int_equal(fails_until_it_works(5, -ENOMEM, vm_advise(s, fileva, PAGES(16), MADV_POPULATE_WRITE)), 0);
}

static void growing_the_heap(void **state)
{
	(void)state;
	s->brk_start = s->brk = FAR;
	assert_int_equal(fails_until_it_works(0, FAR, vm_brk(s, FAR + PAGES(4))), FAR + PAGES(4));
	kit_store(s, FAR, 1);
}

static void faulting(void **state)
{
	vaddr_t far = kit_anon(s, FAR, 4, RW);
	struct kit_file *other = kit_file(1UL << 30, false);
	vaddr_t view = kit_map_file(s, other, FAR + GiB(600), (1UL << 30) - 4, 4, RW);
	struct space *child;
	u64 v;

	(void)state;
	assert_int_equal(fails_until_it_works(3, FAULT_OOM, fake_load(s, far, &v)), FAULT_OK);
	assert_int_equal(fails_until_it_works(1, FAULT_OOM, fake_store(s, far, 1)), FAULT_OK);
	may_stay = 10;
	assert_int_equal(fails_until_it_works(4, FAULT_OOM, fake_store(s, view, 1)), FAULT_OK);
	assert_int_equal(fails_until_it_works(1, FAULT_OOM, fake_load(s, view + PAGES(1), &v)), FAULT_OK);
	child = space_fork(s);
	assert_int_equal(fails_until_it_works(1, FAULT_OOM, fake_store(s, va, 1)), FAULT_OK);
	kit_space_end(child);
	vm_unmap(s, view, PAGES(4));
	kit_file_close(other);
}

static void forking(void **state)
{
	struct space *child;

	(void)state;
	tune.debug_check = 2;		/* a child half made is looked at before it goes */
	child = (struct space *)fails_until_it_works(3, 0, space_fork(s));
	tune.debug_check = 0;
	fake_cpu_set(1);
	want_load(child, va, 1);
	kit_store(child, va, 50);
	kit_space_end(child);
	fake_cpu_set(0);
	unharmed();
}

static void creating(void **state)
{
	struct space *n = (struct space *)fails_until_it_works(2, 0, space_create());

	(void)state;
	kit_space_end(n);
}

/* Memory that is really gone, not only said to be: the same, until frames come back. */
static void true_exhaustion(void **state)
{
	vaddr_t big = kit_anon(s, FAR, 20000, RW);
	u64 p = 0;

	(void)state;
	while (fake_store(s, big + PAGES(p), p + 1) == FAULT_OK)
		p++;
	assert_in_range(p, 15000, 16384);
	kit_check(s);
	for (u64 i = 0; i < p; i += 97)
		want_load(s, big + PAGES(i), i + 1);
	assert_null(space_fork(s));
	want_no_store(s, big + PAGES(p), FAULT_OOM);
	assert_int_equal(vm_advise(s, big, PAGES(10), MADV_DONTNEED), 0);
	kit_store(s, big + PAGES(p), 1);
	unharmed();
	assert_int_equal(vm_unmap(s, big, PAGES(20000)), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(mapping), TEST(unmapping), TEST(protecting), TEST(remapping), TEST(advising), TEST(growing_the_heap), TEST(tables_of_a_huge_region),
		TEST(faulting), TEST(forking), TEST(creating), TEST(true_exhaustion),
	};

	return KIT_RUN_EACH_FORK(tests);
}
