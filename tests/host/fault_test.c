/* SPDX-License-Identifier: MIT */
/* Tests of mm/fault*.c: each row of the case table, seen from hardware's side and by its counter. */
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
	tune.zero_page = 1;
	tune.fault_around_bytes = 65536;
	return kit_test_teardown(state);
}

/* STATEMENT takes exactly one fault, and it is of case C. */
#define one_fault(c, statement) do { \
	u64 faults_ = fake_nr_faults, handled_ = counter_sum(C_pgfault); \
	assert_int_equal(moved(c, statement), 1); \
	assert_int_equal(fake_nr_faults - faults_, 1); \
	assert_int_equal(counter_sum(C_pgfault) - handled_, 1); \
} while (0)
#define no_fault(statement) do { \
	u64 faults_ = fake_nr_faults; \
	statement; \
	assert_int_equal(fake_nr_faults, faults_); \
} while (0)

static void anonymous(void **state)
{
	vaddr_t va = kit_anon(s, AREA, 4, RW);

	(void)state;
	one_fault(fault_anon, kit_store(s, va, 5));
	no_fault(want_load(s, va, 5));
	no_fault(kit_store(s, va + 8, 6));
	no_fault(want_load(s, va + 16, 0));
	assert_int_equal(kit_usage(s).anon, 1);
	one_fault(fault_zero, want_load(s, va + PAGES(1), 0));
	assert_int_equal(kit_usage(s).anon, 1);			/* the zero page is nobody's memory */
	one_fault(fault_zero, want_load(s, va + PAGES(2), 0));
	assert_ptr_equal(fake_look(s, va + PAGES(1)).frame, fake_look(s, va + PAGES(2)).frame);
	one_fault(fault_zero_write, kit_store(s, va + PAGES(1), 7));
	no_fault(want_load(s, va + PAGES(1), 7));
	want_load(s, va + PAGES(1) + 8, 0);
	want_load(s, va + PAGES(2), 0);				/* the zero page is still zero */
	assert_int_equal(kit_usage(s).anon, 2);
	tune.zero_page = 0;
	one_fault(fault_anon, want_load(s, va + PAGES(3), 0));
	no_fault(kit_store(s, va + PAGES(3), 9));
}

static void nowhere(void **state)
{
	vaddr_t va = kit_anon(s, AREA, 1, RW);

	(void)state;
	want_no_load(s, va - 8, FAULT_MAPERR);
	want_no_store(s, va + PAGE_SIZE, FAULT_MAPERR);
	want_no_load(s, 0, FAULT_MAPERR);
	assert_int_equal(fake_fetch(s, USER_END - 8), FAULT_MAPERR);
	assert_int_equal(fault_handle(s, USER_END, FAULT_USER), FAULT_MAPERR);
	assert_int_equal(fault_handle(s, ~0UL, FAULT_USER | FAULT_WRITE), FAULT_MAPERR);
	assert_int_equal(fault_handle(s, 1UL << 63, FAULT_USER), FAULT_MAPERR);
	assert_int_equal(kit_usage(s).tables, 1);
}

static void rights(void **state)
{
	static const u32 prots[] = { 0, R_READ, R_WRITE, RW, R_EXEC, R_READ | R_EXEC, RW | R_EXEC };

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(prots); i++)
		for (unsigned order = 0; order < 6; order++) {	/* which access comes first must not matter */
			vaddr_t va = kit_anon(s, AREA + PAGES(i * 6 + order), 1, prots[i]);
			u64 v;

			for (unsigned k = 0; k < 3; k++) {
				unsigned what = (order / 2 + (order & 1 ? 2 * k : k)) % 3;
				bool ok = what == 0 ? prots[i] : what == 1 ? prots[i] & R_WRITE : prots[i] & R_EXEC;
				enum fault_result r = what == 0 ? fake_load(s, va, &v) : what == 1 ? fake_store(s, va, 3) :
						      fake_fetch(s, va);

				if (r != (ok ? FAULT_OK : FAULT_ACCERR))
					fail_msg("prot %u, access %u of order %u: %d", prots[i], what, order, r);
			}
		}
}

static void copy_or_reuse(void **state)
{
	vaddr_t va = kit_anon(s, AREA, 2, RW);
	struct space *child;
	struct frame *page;

	(void)state;
	kit_store(s, va, 1);
	page = fake_look(s, va).frame;
	child = space_fork(s);
	no_fault(want_load(s, va, 1));
	one_fault(fault_cow, kit_store(s, va, 2));		/* two hold it: a copy */
	assert_ptr_not_equal(fake_look(s, va).frame, page);
	fake_cpu_set(1);
	want_load(child, va, 1);
	one_fault(pgreuse, kit_store(child, va, 3));		/* the last holder: the page itself */
	assert_ptr_equal(fake_look(child, va).frame, page);
	kit_space_end(child);
	fake_cpu_set(0);
	want_load(s, va, 2);
}

static void file_read(void **state)
{
	struct kit_file *f = kit_file(64, false);
	vaddr_t shared, private;
	struct frame *page;

	(void)state;
	for (u64 i = 0; i < 64; i += 2) {			/* every other page is cached */
		assert_int_equal(pcache_get(&f->cache, i, &page), 0);
		frame_put(page);
	}
	shared = kit_map_file(s, f, AREA + PAGES(32), 3, 40, R_READ | R_SHARED);
	private = kit_map_file(s, f, AREA + PAGES(512), 0, 64, R_READ);
	tune.fault_around_bytes = 4096;
	one_fault(fault_file, want_load(s, shared + 16, kit_file_word(3, 2)));
	assert_int_equal(kit_usage(s).file, 1);
	tune.fault_around_bytes = 65536;
	one_fault(fault_file, want_load(s, private + PAGES(20), kit_file_word(20, 0)));
	assert_int_equal(kit_usage(s).file, 1 + 8);		/* pages 16, 18 .. 30 */
	for (u64 i = 16; i < 32; i += 2)
		no_fault(want_load(s, private + PAGES(i), kit_file_word(i, 0)));
	one_fault(fault_file, want_load(s, private + PAGES(32), kit_file_word(32, 0)));
	one_fault(fault_file, want_load(s, private + PAGES(33), kit_file_word(33, 0)));	/* read from below */
	assert_int_equal(f->reads, 32 + 2);
	want_no_store(s, shared, FAULT_ACCERR);
	vm_unmap(s, AREA, PAGES(1024));
	assert_int_equal(kit_usage(s).file, 0);
	/* a window of 2 MiB stays within its region */
	private = kit_map_file(s, f, AREA + PAGES(100), 10, 20, R_READ);
	tune.fault_around_bytes = 2 << 20;
	kit_load(s, private + PAGES(8));
	assert_int_equal(kit_usage(s).file, 10);		/* 10, 12 .. 28 */
	vm_unmap(s, AREA, PAGES(1024));
	kit_file_close(f);
}

static void file_write(void **state)
{
	struct kit_file *f = kit_file(8, false);
	vaddr_t a = kit_map_file(s, f, AREA, 0, 8, RW | R_SHARED), b = kit_map_file(s, f, AREA + PAGES(16), 0, 8, RW);

	(void)state;
	one_fault(fault_cow, kit_store(s, b, 1));		/* private, write first */
	one_fault(fault_file, kit_store(s, a + PAGES(1), 2));	/* shared, write first */
	no_fault(want_load(s, a + PAGES(1), 2));
	want_load(s, b + PAGES(1), 2);				/* not copied yet: sees the file */
	one_fault(fault_cow, kit_store(s, b + PAGES(1), 3));
	want_load(s, a + PAGES(1), 2);
	want_load(s, a, kit_file_word(0, 0));
	want_load(s, b, 1);
	want_load(s, b + 8, kit_file_word(0, 1));
	assert_int_equal(kit_usage(s).anon, 2);
	vm_protect(s, a, PAGES(8), R_READ);
	want_no_store(s, a + PAGES(1), FAULT_ACCERR);
	vm_protect(s, a, PAGES(8), RW);
	kit_store(s, a + PAGES(1), 4);
	want_load(s, b + PAGES(1), 3);
	vm_unmap(s, AREA, PAGES(32));
	kit_file_close(f);
}

static void past_the_end(void **state)
{
	struct kit_file *f = kit_file(2, false);
	vaddr_t a = kit_map_file(s, f, AREA, 0, 4, RW | R_SHARED), b = kit_map_file(s, f, AREA + PAGES(16), 1, 4, RW);

	(void)state;
	pcache_resize(&f->cache, PAGES(1) + 1);
	kit_load(s, a + PAGES(1));
	assert_int_equal(moved(fault_bus, want_no_load(s, a + PAGES(2), FAULT_BUS)), 1);
	want_no_store(s, a + PAGES(3), FAULT_BUS);
	kit_store(s, b, 1);
	want_no_load(s, b + PAGES(1), FAULT_BUS);
	want_no_store(s, b + PAGES(1), FAULT_BUS);
	pcache_resize(&f->cache, PAGES(4));
	want_load(s, a + PAGES(3), kit_file_word(3, 0));
	f->broken = true;
	want_no_load(s, a + PAGES(2), FAULT_BUS);		/* cannot be read */
	want_no_store(s, b + PAGES(1), FAULT_BUS);
	vm_unmap(s, AREA, PAGES(32));
	kit_file_close(f);
}

static void stack(void **state)
{
	vaddr_t top = 0x7ffffff00000UL, low = top - KiB(64);

	(void)state;
	s->limit_stack = MiB(4);
	assert_int_equal(vm_map_stack(s, top, PAGES(2)), 0);
	kit_store(s, top - 8, 1);
	assert_int_equal(moved(fault_stack, kit_store(s, low, 2)), 1);
	assert_int_equal(kit_usage(s).stack, 16);
	no_fault(want_load(s, top - 8, 1));
	want_load(s, low + PAGES(3), 0);
	kit_store(s, top - MiB(4), 3);				/* all that the limit allows */
	want_no_store(s, top - MiB(4) - 8, FAULT_MAPERR);
	s->limit_stack = MiB(8);
	kit_anon(s, top - MiB(6), 1, RW);			/* somebody below: a gap stays */
	want_no_store(s, top - MiB(6) + PAGES(2), FAULT_MAPERR);
	kit_store(s, top - MiB(4) - PAGES(1), 4);
	s->limit_as = s->pages << PAGE_SHIFT;
	want_no_store(s, top - MiB(4) - PAGES(2), FAULT_MAPERR);
	want_load(s, top - MiB(6), 0);
}

static void no_memory(void **state)
{
	struct kit_file *f = kit_file(1, true);
	vaddr_t anon = kit_anon(s, AREA, 1, RW), file = kit_map_file(s, f, AREA + GiB(1), 0, 1, RW);
	u64 v;

	(void)state;
	for (u32 n = 1; n <= 4; n++) {
		kit_fail_from(n);
		assert_int_equal(moved(fault_oom, want_no_store(s, anon, FAULT_OOM)), 1);
		assert_int_equal(fake_store(s, file, 1), FAULT_OOM);
		assert_int_equal(fake_load(s, file, &v), FAULT_OOM);
		kit_fail_none();
		kit_check(s);
	}
	kit_store(s, anon, 1);
	kit_store(s, file, 1);
	struct space *child = space_fork(s);
	kit_fail_from(1);
	want_no_store(s, anon, FAULT_OOM);			/* the copy */
	want_load(s, anon, 1);
	kit_fail_none();
	kit_space_end(child);
	vm_unmap(s, file, PAGE_SIZE);
	kit_file_close(f);
}

/* Another CPU has the page already, this one an older, weaker translation: all is well. */
static void spurious(void **state)
{
	vaddr_t va = kit_anon(s, AREA, 1, RW);

	(void)state;
	kit_store(s, va, 1);
	assert_int_equal(moved(fault_spurious, fault_handle(s, va, FAULT_USER | FAULT_WRITE)), 1);
	vm_protect(s, va, PAGE_SIZE, R_READ);
	fake_cpu_set(1);
	want_load(s, va, 1);
	fake_cpu_set(0);
	vm_protect(s, va, PAGE_SIZE, RW);
	kit_store(s, va, 2);
	fake_cpu_set(1);
	no_fault(kit_store(s, va, 3));				/* hardware walks again before it faults */
	fake_cpu_set(0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(anonymous), TEST(nowhere), TEST(rights), TEST(copy_or_reuse), TEST(file_read), TEST(file_write),
		TEST(past_the_end), TEST(stack), TEST(no_memory), TEST(spurious),
	};

	return KIT_RUN_EACH_FORK(tests);
}
