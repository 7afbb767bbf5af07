/* SPDX-License-Identifier: MIT */
/* Tests of mm/fork.c: what parent and child see after fork, and what becomes of the pages. */
#include "kit.h"

#define AREA 0x40000000UL

static void each_its_own(void **state)
{
	struct space *s = kit_space(), *child;
	vaddr_t va = kit_anon(s, AREA, 8, RW);

	(void)state;
	for (u64 p = 0; p < 4; p++)
		kit_store(s, va + PAGES(p), p + 10);
	kit_load(s, va + PAGES(4));
	child = space_fork(s);
	assert_non_null(child);
	assert_int_equal(kit_usage(child).anon, 4);
	assert_int_equal(kit_usage(child).size, 8);
	kit_check(child);
	fake_cpu_set(1);
	for (u64 p = 0; p < 4; p++)
		want_load(child, va + PAGES(p), p + 10);
	kit_store(child, va, 77);
	kit_store(child, va + PAGES(4), 78);
	kit_store(child, va + PAGES(5), 79);
	fake_cpu_set(0);
	want_load(s, va, 10);
	want_load(s, va + PAGES(4), 0);
	want_load(s, va + PAGES(5), 0);
	kit_store(s, va + PAGES(1), 80);
	fake_cpu_set(1);
	want_load(child, va + PAGES(1), 11);
	want_load(child, va, 77);
	kit_space_end(s);
	want_load(child, va + PAGES(2), 12);		/* lives on without its parent */
	kit_store(child, va + PAGES(2), 81);
	kit_space_end(child);
}

/* The parent's threads on other CPUs lose the right to write before fork returns. */
static void other_threads_lose_write(void **state)
{
	struct space *s = kit_space(), *child;
	vaddr_t va = kit_anon(s, AREA, 40, RW);

	(void)state;
	for (u32 cpu = 3; cpu--;) {
		fake_cpu_set(cpu);
		for (u64 p = 0; p < 40; p++)
			kit_store(s, va + PAGES(p), p);
	}
	child = space_fork(s);
	for (u32 cpu = 3; cpu--;) {
		fake_cpu_set(cpu);
		for (u64 p = cpu; p < 40; p += 3)
			kit_store(s, va + PAGES(p), 1000 + p);
	}
	fake_cpu_set(4);
	for (u64 p = 0; p < 40; p++)
		want_load(child, va + PAGES(p), p);
	kit_space_end(child);
	kit_space_end(s);
}

static void shared_is_shared(void **state)
{
	struct space *s = kit_space(), *child;
	struct kit_file *f = kit_file(4, false);
	vaddr_t anon = kit_anon(s, AREA, 2, RW | R_SHARED);
	vaddr_t file = kit_map_file(s, f, AREA + PAGES(8), 0, 4, RW | R_SHARED);
	vaddr_t private = kit_map_file(s, f, AREA + PAGES(16), 0, 4, RW);

	(void)state;
	kit_store(s, anon, 1);
	kit_store(s, private + PAGES(1), 2);
	child = space_fork(s);
	assert_int_equal(f->refs, 1 + 4);
	fake_cpu_set(1);
	want_load(child, anon, 1);
	kit_store(child, anon + PAGES(1), 3);
	kit_store(child, file + PAGES(2), 4);
	want_load(child, private + PAGES(1), 2);
	want_load(child, private + PAGES(2), 4);
	kit_store(child, private + PAGES(1), 5);
	fake_cpu_set(0);
	want_load(s, anon + PAGES(1), 3);
	want_load(s, file + PAGES(2), 4);
	want_load(s, private + PAGES(1), 2);
	want_load(s, file + PAGES(1), kit_file_word(1, 0));
	kit_space_end(child);
	kit_space_end(s);
	kit_file_close(f);
}

static void special_regions(void **state)
{
	struct space *s = kit_space(), *child, *grandchild;
	vaddr_t va = kit_anon(s, AREA, 12, RW);

	(void)state;
	for (u64 p = 0; p < 12; p++)
		kit_store(s, va + PAGES(p), p + 1);
	assert_int_equal(vm_advise(s, va + PAGES(2), PAGES(2), MADV_DONTFORK), 0);
	assert_int_equal(vm_advise(s, va + PAGES(6), PAGES(2), MADV_WIPEONFORK), 0);
	assert_int_equal(vm_lock(s, va + PAGES(10), PAGES(2), true), 0);
	vm_protect(s, va + PAGES(8), PAGES(1), 0);
	child = space_fork(s);
	kit_check(child);
	assert_int_equal(kit_usage(child).size, 10);
	assert_int_equal(kit_usage(child).anon, 8);
	assert_int_equal(kit_usage(child).locked, 0);
	assert_int_equal(kit_usage(s).locked, 2);
	fake_cpu_set(1);
	want_load(child, va + PAGES(1), 2);
	want_no_load(child, va + PAGES(2), FAULT_MAPERR);
	want_load(child, va + PAGES(4), 5);
	want_load(child, va + PAGES(6), 0);
	kit_store(child, va + PAGES(7), 99);
	want_no_load(child, va + PAGES(8), FAULT_ACCERR);
	vm_protect(child, va + PAGES(8), PAGES(1), RW);
	want_load(child, va + PAGES(8), 9);		/* kept through PROT_NONE and fork */
	kit_store(child, va + PAGES(8), 90);
	grandchild = space_fork(child);
	fake_cpu_set(2);
	want_load(grandchild, va + PAGES(7), 0);	/* the advice is inherited */
	want_load(grandchild, va + PAGES(11), 12);
	fake_cpu_set(0);
	want_load(s, va + PAGES(6), 7);
	vm_protect(s, va + PAGES(8), PAGES(1), R_READ);
	want_load(s, va + PAGES(8), 9);
	kit_space_end(child);
	kit_space_end(s);
	kit_space_end(grandchild);
}

static void many_generations(void **state)
{
	enum { N = 20 };
	struct space *s[N] = { kit_space() };
	vaddr_t va = kit_anon(s[0], AREA, 600, RW);	/* over two tables */

	(void)state;
	for (u64 p = 0; p < 600; p += 7)
		kit_store(s[0], va + PAGES(p), p);
	for (unsigned i = 1; i < N; i++) {
		s[i] = space_fork(s[i / 2]);
		assert_non_null(s[i]);
		fake_cpu_set(i);
		kit_store(s[i], va + PAGES(7 * i), 1000 + i);
	}
	for (unsigned i = 0; i < N; i++) {
		fake_cpu_set(i);
		for (u64 p = 0; p < 600; p += 7) {
			u64 want = p;

			for (unsigned k = i; k; k /= 2)
				if (p == 7 * k && want == p)
					want = 1000 + k;
			want_load(s[i], va + PAGES(p), want);
		}
		kit_check(s[i]);
	}
	for (unsigned i = 0; i < N; i++)
		kit_space_end(s[(i * 7 + 3) % N]);
}

static void what_is_inherited(void **state)
{
	struct space *s = kit_space(), *child;

	(void)state;
	s->brk_start = s->brk = AREA;
	s->limit_as = GiB(3);
	s->limit_stack = MiB(3);
	vm_brk(s, AREA + 5000);
	child = space_fork(s);
	assert_int_equal(child->brk, AREA + 5000);
	assert_int_equal(child->limit_as, GiB(3));
	assert_int_equal(child->limit_stack, MiB(3));
	assert_int_equal(vm_brk(child, AREA + 9000), AREA + 9000);
	assert_int_equal(s->brk, AREA + 5000);
	kit_space_end(s);
	kit_space_end(child);
}

/* Fails at each allocation in turn: the parent is unharmed, nothing is lost. */
static void no_memory(void **state)
{
	struct space *s = kit_space(), *child = NULL;
	vaddr_t va = kit_anon(s, AREA, 1200, RW);
	struct kit_file *f = kit_file(4, true);
	u64 before;
	u32 n = 0;

	(void)state;
	kit_map_file(s, f, AREA + GiB(1), 0, 4, RW);
	for (u64 p = 0; p < 1200; p += 100)
		kit_store(s, va + PAGES(p), p + 1);
	before = kit_free_frames();
	do {
		kit_fail_from(++n);
		child = space_fork(s);
		kit_fail_none();
		if (!child)
			assert_int_equal(kit_free_frames(), before);
		kit_check(s);
		for (u64 p = 0; p < 1200; p += 100) {
			want_load(s, va + PAGES(p), p + 1);
			if (!child)
				kit_store(s, va + PAGES(p), p + 1);
		}
	} while (!child);
	assert_in_range(n, 4, 30);
	kit_space_end(child);
	kit_space_end(s);
	kit_file_close(f);
}

/* A file is cut at the moment of a space's first fork: who cuts may have seen it before the fork, the child's
 * CPU walks the same tables already, and more pages go than one batch holds. */
static void truncation_and_the_first_fork(void **state)
{
	struct kit_file *f = kit_file(150, false);
	struct space *s = kit_space(), *child;

	(void)state;
	kit_map_file(s, f, AREA, 0, 150, RW);
	for (u64 p = 0; p < 150; p++)
		kit_store(s, AREA + PAGES(p), p);
	child = space_fork(s);
	fake_cpu_set(1);
	for (u64 p = 0; p < 150; p++)
		want_load(child, AREA + PAGES(p), p);
	fake_cpu_set(0);
	s->shares = false;			/* as it was before */
	pcache_resize(&f->cache, 0);
	fake_cpu_set(1);
	want_no_load(child, AREA, FAULT_BUS);
	kit_space_end(child);
	kit_space_end(s);
	kit_file_close(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		KIT_TEST(each_its_own), KIT_TEST(other_threads_lose_write), KIT_TEST(shared_is_shared), KIT_TEST(special_regions),
		KIT_TEST(many_generations), KIT_TEST(what_is_inherited), KIT_TEST(no_memory),
		KIT_TEST(truncation_and_the_first_fork),
	};

	return KIT_RUN_EACH_FORK(tests);
}
