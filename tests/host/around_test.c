/* SPDX-License-Identifier: MIT */
/*
 * Tests of mm/around.c and mm/populate.c: faults by arithmetic, what a window must not pass, marks and their exact
 * counts, how a window adapts to each pattern beside the best and the worst fixed one, runs, guesses, populate.
 */
#include "kit.h"

#define AREA 0x40000000UL
#define N 4096				/* pages of the file: eight tables */

static struct space *s;
static struct kit_file *file;

static int setup(void **state)
{
	kit_test_setup(state);
	s = kit_space();
	file = kit_file(N, true);
	for (u64 i = 0; i < N; i++) {
		struct frame *page;

		assert_int_equal(pcache_get(&file->cache, i, &page), 0);
		*(u64 *)frame_ptr(page) = i + 1;
		frame_put(page);
	}
	return 0;
}

static int teardown(void **state)
{
	kit_space_end(s);
	kit_file_close(file);
	tune.fault_around_bytes = 65536;
	tune.fault_around_adapt = tune.fault_around_young = 1;
	tune.anon_prefault_order = 0;
	tune.read_then_write = RTW_PREDICT;
	return kit_test_teardown(state);
}

#define faults_of(statement) ({ u64 f_ = fake_nr_faults; statement; fake_nr_faults - f_; })

/* Reads pages 0, STEP, 2 STEP … of N pages at VA. The faults. */
static u64 scan(vaddr_t va, u64 n, u64 step)
{
	return faults_of(({ for (u64 p = 0; p < n; p += step) want_load(s, va + PAGES(p), p + 1); }));
}

static vaddr_t map(u32 flags)
{
	return kit_map_file(s, file, AREA, 0, N, flags);
}

static void faults_are_pages_by_window(void **state)
{
	static const u32 kinds[] = { R_READ, R_READ | R_SHARED, R_READ | R_EXEC, RW };

	(void)state;
	tune.fault_around_adapt = 0;
	for (u64 bytes = 4096; bytes <= MiB(2); bytes *= 2)
		for (unsigned k = 0; k < ARRAY_SIZE(kinds); k++) {
			vaddr_t va = map(kinds[k]);

			tune.fault_around_bytes = (u32)bytes;
			assert_int_equal(scan(va, N, 1), PAGES(N) / bytes);
			assert_int_equal(kit_usage(s).shmem, N);
			kit_check(s);
			vm_unmap(s, va, PAGES(N));
		}
}

/* Neither past the region, nor into its neighbour, nor past the file's end, nor writable where a write must copy. */
static void a_window_has_borders(void **state)
{
	vaddr_t va = kit_map_file(s, file, AREA + PAGES(100), 10, 20, R_READ);

	(void)state;
	tune.fault_around_adapt = 0;
	tune.fault_around_bytes = MiB(2);
	kit_map_file(s, file, va + PAGES(20), 500, 20, RW);
	assert_int_equal(faults_of(want_load(s, va + PAGES(5), 16)), 1);
	assert_int_equal(kit_usage(s).shmem, 20);
	assert_int_equal(fake_look(s, va - PAGES(1)).leaf, 0);
	assert_int_equal(fake_look(s, va + PAGES(20)).leaf, 0);
	kit_check(s);
	assert_int_equal(faults_of(want_load(s, va + PAGES(25), 506)), 1);
	for (u64 i = 20; i < 40; i++)
		assert_false(fake_look(s, va + PAGES(i)).write);
	kit_store(s, va + PAGES(22), 7);
	want_load(s, va + PAGES(22), 7);
	assert_int_equal(*(u64 *)frame_ptr(pcache_look(&file->cache, 502)), 503);
	vm_unmap(s, AREA, MiB(2));
	pcache_resize(&file->cache, PAGES(N - 6));
	va = kit_map_file(s, file, AREA, N - 16, 32, RW | R_SHARED);
	kit_load(s, va);
	assert_int_equal(kit_usage(s).shmem, 10);
	want_no_load(s, va + PAGES(10), FAULT_BUS);
	kit_check(s);
}

static void marks_are_counted_once(void **state)
{
	u64 mapped, hit, wasted;

	(void)state;
	tune.fault_around_adapt = tune.fault_around_young = 0;
	for (unsigned how = 0; how < 4; how++) {
		vaddr_t va = map(R_READ);

		mapped = counter_sum(C_around_mapped), hit = counter_sum(C_around_hit), wasted = counter_sum(C_around_wasted);
		for (u64 p = 0; p < N; p += 16)		/* each window: its first page, and three that were given */
			for (u64 i = 0; i < 4; i++)
				want_load(s, va + PAGES(p + i), p + i + 1);
		assert_int_equal(counter_sum(C_around_mapped) - mapped, N / 16 * 15);
		assert_int_equal(counter_sum(C_around_measured) >= N / 16 * 15, true);
		if (how == 1) {				/* the tables have two users; the marks count once */
			struct space *child = space_fork(s);

			fake_cpu_set(1);
			want_load(child, va + PAGES(3), 4);
			vm_unmap(child, va + PAGES(5), PAGES(1));
			kit_space_end(child);
			fake_cpu_set(0);
		} else if (how == 2) {
			assert_true(vm_remap(s, va, PAGES(N), PAGES(N), MREMAP_MAYMOVE | MREMAP_FIXED, AREA + GiB(1)) > 0);
			va = AREA + GiB(1);
		} else if (how == 3) {
			pcache_resize(&file->cache, 0);
		}
		vm_unmap(s, va, PAGES(N));
		mapped = counter_sum(C_around_mapped) - mapped;	/* with fork_share=none the child has a window of its own */
		assert_int_equal(counter_sum(C_around_hit) - hit, N / 16 * 3);
		assert_int_equal(counter_sum(C_around_hit) - hit + counter_sum(C_around_wasted) - wasted, mapped);
	}
}

/* What the host can count: a fault is some 350 instructions, an entry given 20 and to be taken away again 40. */
static u64 cost(u64 (*pattern)(vaddr_t va), u32 kind, u32 bytes, bool adapt)
{
	vaddr_t va = map(kind);
	u64 set = counter_sum(C_pt_set);

	tune.fault_around_bytes = bytes;
	tune.fault_around_adapt = adapt;
	u64 faults = pattern(va);
	u64 sum = faults * 350 + (counter_sum(C_pt_set) - set) * 60;
	vm_unmap(s, va, PAGES(N));
	return sum;
}

static u64 linear(vaddr_t va) { return scan(va, N, 1); }
static u64 backwards(vaddr_t va)
{
	return faults_of(({ for (u64 p = N; p--;) want_load(s, va + PAGES(p), p + 1); }));
}
/* Pages [FIRST, FIRST + SPAN), a power of two, each once and in disorder. */
static void shuffled(vaddr_t va, u64 first, u64 span)
{
	for (u64 i = 0, p = 0; i < span; i++, p = (p * (span * 5 / 8 | 5) + 12345) % span)
		want_load(s, va + PAGES(first + p), first + p + 1);
}
static u64 disorder(vaddr_t va) { return faults_of(shuffled(va, 0, N)); }
static u64 straddling(vaddr_t va)	/* two as well, but never in one window of less than 128 KiB */
{
	return faults_of(({
		for (u64 p = 15; p < N; p += p % 512 == 15 ? 1 : 511)
			want_load(s, va + PAGES(p), p + 1);
	}));
}
static u64 by_tables(vaddr_t va)	/* in disorder, but one table after the other */
{
	return faults_of(({ for (u64 p = 0; p < N; p += 512) shuffled(va, p, 512); }));
}
static u64 three_runs(vaddr_t va)
{
	return faults_of(({ for (u64 i = 0; i < N; i++) want_load(s, va + PAGES(i * 2731 % N), i * 2731 % N + 1); }));
}
static u64 strided(vaddr_t va) { return scan(va, N, 16); }
static u64 eighths(vaddr_t va) { return scan(va, N, 8); }
static u64 sparse(vaddr_t va) { return scan(va, N, 512); }
static u64 pairs(vaddr_t va)		/* two pages side by side of each table */
{
	return faults_of(({
		for (u64 p = 0; p < N; p += p % 512 ? 511 : 1)
			want_load(s, va + PAGES(p), p + 1);
	}));
}
static u64 phases(vaddr_t va)		/* linear over a quarter, then strided, then linear again */
{
	return scan(va, N / 4, 1) + scan(va, N * 3 / 4, 16) + scan(va, N, 1);
}

static void adapts(void **state)
{
	/* per cent of the best fixed window, and of the worst, that are allowed */
	static const struct { const char *name; u64 (*pattern)(vaddr_t); u64 best, worst; } rows[] = {
		{ "linear", linear, 110, 30 }, { "backwards", backwards, 110, 30 }, { "three runs", three_runs, 110, 30 },
		{ "random", disorder, 160, 30 },
		{ "random by tables", by_tables, 130, 30 }, { "strided", strided, 105, 60 }, { "every eighth", eighths, 130, 80 },
		{ "sparse", sparse, 100, 3 }, { "pairs", pairs, 160, 6 },
		{ "straddling pairs", straddling, 130, 6 }, { "phases", phases, 130, 30 },
	};
	static const u32 kinds[] = { R_READ, R_READ | R_SHARED, R_READ | R_EXEC };

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(rows) * ARRAY_SIZE(kinds); i++) {
		u64 best = ~0UL, worst = 0, adapted;
		u32 kind = kinds[i % ARRAY_SIZE(kinds)];
		unsigned r = i / ARRAY_SIZE(kinds);

		for (u64 bytes = 4096; bytes <= MiB(2); bytes *= 2) {
			u64 c = cost(rows[r].pattern, kind, (u32)bytes, false);

			best = MIN(best, c);
			worst = MAX(worst, c);
		}
		adapted = cost(rows[r].pattern, kind, 65536, true);
		print_message("%s (%x): best fixed %lu, worst %lu, adapted %lu (%lu %%, %lu %%)\n", rows[r].name, kind, best, worst,
			      adapted, adapted * 100 / best, adapted * 100 / worst);
		if (adapted * 100 > best * rows[r].best || adapted * 100 > worst * rows[r].worst)
			fail_msg("%s: %lu, best %lu, worst %lu", rows[r].name, adapted, best, worst);
	}
}

static void advice_goes_before_learning(void **state)
{
	vaddr_t va = map(R_READ);

	(void)state;
	assert_int_equal(moved(around_mapped, want_load(s, va, 1)), 0);
	assert_int_equal(vm_advise(s, va, PAGES(N), MADV_SEQUENTIAL), 0);
	assert_int_equal(moved(around_mapped, want_load(s, va + PAGES(512), 513)), 63);
	assert_int_equal(vm_advise(s, va, PAGES(N), MADV_RANDOM), 0);
	assert_int_equal(moved(around_mapped, want_load(s, va + PAGES(512 + 64), 512 + 65)), 0);
}

static void what_is_measured(void **state)
{
	(void)state;
	for (unsigned how = 0; how < 4; how++) {
		bool adapts = how & 1, young = how & 2;
		u64 mapped = counter_sum(C_around_mapped), measured = counter_sum(C_around_measured);
		u64 judged = counter_sum(C_around_hit) + counter_sum(C_around_wasted);

		tune.fault_around_young = young;
		cost(linear, R_READ, MiB(2), adapts);
		mapped = counter_sum(C_around_mapped) - mapped;
		measured = counter_sum(C_around_measured) - measured;
		if (young && adapts)
			assert_in_range(measured, N / 512, N / 16);
		else
			assert_int_equal(measured, young ? 0 : mapped);
		assert_int_equal(counter_sum(C_around_hit) + counter_sum(C_around_wasted) - judged, measured);
	}
}

static void runs_double(void **state)
{
	static const u64 given[] = { 1, 2, 4, 8, 8, 8 };
	vaddr_t va = kit_anon(s, AREA, 1024, RW), at = va;

	(void)state;
	tune.anon_prefault_order = 3;
	u64 mapped = counter_sum(C_ahead_mapped), hit = counter_sum(C_ahead_hit), wasted = counter_sum(C_ahead_wasted);
	region_at(s, va)->ahead.next = 0;
	for (unsigned i = 0; i < ARRAY_SIZE(given); at += PAGES(given[i++])) {
		u64 before = kit_usage(s).anon;

		assert_int_equal(faults_of(kit_store(s, at, 1)), 1);
		assert_int_equal(kit_usage(s).anon - before, given[i]);
	}
	kit_store(s, va + PAGES(500), 1);			/* a miss: one page; the next to it: two, up to the table's end */
	assert_int_equal(kit_usage(s).anon, 32);
	kit_store(s, va + PAGES(511), 1);
	assert_int_equal(kit_usage(s).anon, 33);
	kit_store(s, va + PAGES(512), 1);
	assert_int_equal(kit_usage(s).anon, 35);
	kit_store(s, va + PAGES(2), 1);				/* one that was given */
	vm_advise(s, va + PAGES(600), PAGES(300), MADV_RANDOM);
	for (u64 p = 600; p < 610; p++)
		assert_int_equal(faults_of(kit_store(s, va + PAGES(p), 1)), 1);
	vm_advise(s, va + PAGES(700), PAGES(100), MADV_SEQUENTIAL);
	assert_int_equal(moved(ahead_mapped, kit_store(s, va + PAGES(701), 1)), 15);
	mapped = counter_sum(C_ahead_mapped) - mapped;
	vm_unmap(s, va, PAGES(1024));
	assert_int_equal(counter_sum(C_ahead_hit) - hit + counter_sum(C_ahead_wasted) - wasted, mapped);
	assert_int_equal(counter_sum(C_ahead_hit) - hit, 1);
}

static void guesses(void **state)
{
	vaddr_t va = kit_anon(s, AREA, 2048, RW);
	u64 given, hit = counter_sum(C_predict_hit), wasted = counter_sum(C_predict_wasted), faults;

	(void)state;
	given = counter_sum(C_predict_given);
	faults = faults_of(({
		for (u64 p = 0; p < 800; p++) {
			want_load(s, va + PAGES(p), 0);
			kit_store(s, va + PAGES(p), p);
		}
	}));
	assert_in_range(faults, 800, 1000);			/* not 1600 */
	given = counter_sum(C_predict_given) - given;
	assert_int_equal(faults, 1600 - given);
	assert_int_equal(moved(predict_given, ({		/* they stop: two turns at most */
		for (u64 p = 800; p < 2000; p++)
			want_load(s, va + PAGES(p), 0);
	})) <= 32, true);
	u64 all = counter_sum(C_predict_given);
	vm_unmap(s, va, PAGES(2048));
	assert_int_equal(counter_sum(C_predict_hit) - hit, given);
	assert_in_range(counter_sum(C_predict_wasted) - wasted, 0, 32);
	tune.read_then_write = RTW_HINT;
	va = kit_anon(s, AREA, 64, RW);
	assert_int_equal(vm_advise(s, va + PAGES(32), PAGES(16), MADV_POPULATE_WRITE_ON_FAULT), 0);
	assert_int_equal(faults_of(({ want_load(s, va + PAGES(40), 0); kit_store(s, va + PAGES(33), 1); })), 1);
	assert_int_equal(kit_usage(s).anon, 16);
	want_load(s, va + PAGES(31), 0);
	assert_int_equal(kit_usage(s).anon, 16);
	assert_int_equal(counter_sum(C_predict_given), all);
}

static void populates(void **state)
{
	vaddr_t va = kit_anon(s, AREA, 1000, RW);
	struct space *child;

	(void)state;
	kit_store(s, va + PAGES(70), 5);
	kit_load(s, va + PAGES(71));
	assert_int_equal(faults_of(assert_int_equal(moved(populate_pages, vm_populate(s, va, PAGES(1000), true)), 999)), 0);
	assert_int_equal(kit_usage(s).anon, 1000);
	want_load(s, va + PAGES(70), 5);
	child = space_fork(s);
	fake_cpu_set(1);
	assert_int_equal(vm_populate(child, va, PAGES(1000), true), 0);	/* copies of its own */
	assert_int_equal(faults_of(kit_store(child, va + PAGES(999), 6)), 0);
	kit_check(child);
	kit_space_end(child);
	fake_cpu_set(0);
	want_load(s, va + PAGES(999), 0);
	vm_unmap(s, va, PAGES(1000));
	va = map(RW);
	assert_int_equal(vm_populate(s, va, PAGES(N), false), 0);
	assert_int_equal(kit_usage(s).shmem, N);
	assert_int_equal(scan(va, N, 1), 0);
	assert_int_equal(vm_populate(s, va + PAGES(8), PAGES(8), true), 0);
	assert_int_equal(kit_usage(s).anon, 8);
	assert_int_equal(faults_of(kit_store(s, va + PAGES(9), 1)), 0);
	vm_unmap(s, va, PAGES(N));
	va = kit_anon(s, AREA, 200, RW);
	kit_fail_from(50);
	assert_int_equal(vm_populate(s, va, PAGES(200), true), -ENOMEM);
	kit_fail_none();
	kit_check(s);
	assert_int_equal(vm_populate(s, va, PAGES(201), true), -ENOMEM);
	assert_int_equal(kit_usage(s).anon, 200);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(faults_are_pages_by_window), TEST(a_window_has_borders), TEST(marks_are_counted_once), TEST(adapts),
		TEST(advice_goes_before_learning), TEST(what_is_measured),
		TEST(runs_double), TEST(guesses), TEST(populates),
	};

	return KIT_RUN_EACH_FORK(tests);
}
