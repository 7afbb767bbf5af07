/* SPDX-License-Identifier: MIT */
/*
 * Races between relatives: a space is forked while its threads write; a child is a snapshot whatever they
 * do; parent and child break up what they share at the same time, and end in any order.
 */
#include "kit.h"
#include "crowd.h"
#include "arch/cpu.h"

#define AREA 0x40000000UL
#define CPUS 4
#define PAGES_USED 80			/* across two tables */

static struct space *s, *relative[CPUS];

static vaddr_t word(u64 page, unsigned n) { return AREA + MiB(2) - PAGES(PAGES_USED / 2) + PAGES(page) + 8 * n; }

static int setup(void **state)
{
	kit_test_setup(state);
	s = kit_space();
	kit_anon(s, word(0, 0), PAGES_USED, RW);
	for (u64 p = 0; p < PAGES_USED; p++)
		kit_store(s, word(p, 7), p);
	tlb_switch_space(NULL);
	return 0;
}

static int teardown(void **state)
{
	if (s)
		kit_space_end(s);
	return kit_test_teardown(state);
}

/* CPU 0 forks and looks at the child; the others write growing numbers, each its own word. STRANGER does not run the space,
 * so no flush waits for it. */
#define STRANGER 3

static bool write_word(unsigned cpu, vaddr_t va, u64 n)
{
	u64 v;

	if (cpu == STRANGER)
		return space_write(s, va, &n, 8) == 8 && space_read(s, va, &v, 8) == 8 && v == n;
	return fake_store(s, va, n) == FAULT_OK && fake_load(s, va, &v) == FAULT_OK && v == n;
}

static void write_or_fork(unsigned cpu)
{
	u64 seed = cpu, v, first[PAGES_USED * CPUS];

	for (u64 n = 1; cpu && crowd_use(); n++) {
		u64 p = fake_random(&seed) % PAGES_USED;

		crowd_want(write_word(cpu, word(p, cpu), n));
		fake_cpu_leave();
		fake_cpu_enter();
	}
	for (unsigned turn = 0; !cpu && crowd_change(240); turn++) {
		tune.fork_share = turn % 3;
		struct space *child = space_fork(s);

		crowd_want(child);
		for (u64 i = 0; i < ARRAY_SIZE(first); i++)
			crowd_want(fake_load(child, word(i / CPUS, i % CPUS), &first[i]) == FAULT_OK);
		for (u64 i = 0; i < ARRAY_SIZE(first); i += 3) {
			crowd_want(fake_load(child, word(i / CPUS, i % CPUS), &v) == FAULT_OK && v == first[i]);
			crowd_want(fake_store(child, word(i / CPUS, i % CPUS), 1UL << 60) == FAULT_OK);
		}
		check_space(child);
		tlb_switch_space(NULL);
		space_put(child);
	}
}

static void forks_and_writes(void **state)
{
	(void)state;
	crowd_run(CPUS, write_or_fork);
	for (u64 p = 0; p < PAGES_USED; p++) {
		want_load(s, word(p, 7), p);
		for (unsigned n = 0; n < CPUS; n++)
			assert_true(kit_load(s, word(p, n)) < 1UL << 60);	/* nothing came back from a child */
	}
}

/* The same with few pages, so that one thread copies a page while another, whose CPU remembers that it may, writes to it. */
static void write_and_look(unsigned cpu)
{
	u64 seed = cpu, v;

	for (u64 n = 1; cpu && crowd_use(); n++) {
		u64 p = fake_random(&seed) % 2;

		crowd_want(fake_store(s, word(p, cpu), n) == FAULT_OK);
		crowd_want(fake_load(s, word(p, cpu), &v) == FAULT_OK && v == n);
	}
	for (unsigned turn = 0; !cpu && crowd_change(1500); turn++) {
		tune.fork_share = turn % 4 ? FORK_SHARE_NONE : FORK_SHARE_ALL;
		struct space *child = space_fork(s);

		crowd_want(child);
		space_put(child);
	}
}

static void no_write_is_lost(void **state)
{
	(void)state;
	fake_late_interrupts = true;
	crowd_run(CPUS, write_and_look);
	fake_late_interrupts = false;
}

/* While CPU 0 forks, the others make tables, often the same at the same time, at root entries below one that is always there. */
#define TOP(i) ((u64)(i) << pt_shift(4))

static void link_tables(unsigned cpu)
{
	u64 seed = cpu, v;

	for (u64 n = 1; cpu && crowd_use(); n++) {
		vaddr_t at = TOP(2 + fake_random(&seed) % 4);

		if (fake_random(&seed) % 4 == 0)
			vm_advise(s, at, GiB(1), MADV_DONTNEED);
		else
			crowd_want(fake_store(s, at + PAGES(cpu), n) == FAULT_OK);
	}
	while (!cpu && crowd_change(400)) {
		struct space *child = space_fork(s);

		crowd_want(child && fake_load(child, TOP(9), &v) == FAULT_OK && v == 99);
		arch_freeze_others(true);	/* they change what it shares */
		check_space(child);
		arch_thaw_others();
		tlb_switch_space(NULL);
		space_put(child);
	}
}

static void forks_while_tables_are_linked(void **state)
{
	(void)state;
	for (unsigned i = 2; i < 10; i++)
		kit_anon(s, TOP(i), PT_ENTRIES, RW);
	kit_store(s, TOP(9), 99);
	tlb_switch_space(NULL);
	for (tune.fork_share = 0; tune.fork_share < 2; tune.fork_share++)
		crowd_run(CPUS, link_tables);
	kit_check(s);
	tlb_switch_space(NULL);
}

/* CPUs 0 and 1 fork, one while the flush of the other is under way; 2 and 3 write the same pages, each its own words. */
static void write_or_fork_too(unsigned cpu)
{
	u64 seed = cpu + 1, v, last[8] = { 0 }, first[8 * CPUS];

	for (u64 n = 1; cpu > 1 && crowd_use(); n++) {
		u64 p = fake_random(&seed) % ARRAY_SIZE(last);

		crowd_want(fake_load(s, word(p, cpu), &v) == FAULT_OK && v == last[p]);
		crowd_want(fake_store(s, word(p, cpu), last[p] = n) == FAULT_OK);
	}
	while (cpu < 2 && crowd_change(400)) {
		struct space *child = space_fork(s);

		crowd_want(child);
		for (unsigned turn = 0; turn < 2; turn++)
			for (u64 i = 0; i < ARRAY_SIZE(first); i++) {
				crowd_want(fake_load(child, word(i / CPUS, i % CPUS), &v) == FAULT_OK);
				crowd_want(!turn || v == first[i]);
				first[i] = v;
			}
		tlb_switch_space(NULL);
		space_put(child);
	}
}

static void forks_and_forks(void **state)
{
	(void)state;
	fake_late_interrupts = true;
	for (tune.fork_share = 0; tune.fork_share <= FORK_SHARE_NONE; tune.fork_share++) {
		for (u64 i = 0; i < 8 * CPUS; i++)
			kit_store(s, word(i / CPUS, i % CPUS), 0);
		tlb_switch_space(NULL);
		crowd_run(CPUS, write_or_fork_too);
	}
	fake_late_interrupts = false;
	tune.fork_share = FORK_SHARE_ALL;
}

/* CPU 0 forks while the heap grows and shrinks: its children's end where their region does. */
static void move_heap(unsigned cpu)
{
	u64 seed = cpu, v;

	while (cpu ? crowd_use() : crowd_change(1000)) {
		if (cpu) {
			vaddr_t to = s->brk_start + PAGES(1 + fake_random(&seed) % 8);

			crowd_want(vm_brk(s, to) == (long)to);
			continue;
		}
		struct space *child = space_fork(s);
		vaddr_t end = child ? child->brk : 0;

		crowd_want(child && fake_load(child, end - 8, &v) == FAULT_OK);
		crowd_want(vm_brk(child, end + PAGE_SIZE) == (long)(end + PAGE_SIZE));
		tlb_switch_space(NULL);
		space_put(child);
	}
}

static void forks_while_the_heap_moves(void **state)
{
	(void)state;
	s->brk = s->brk_start = GiB(7);
	assert_int_equal(vm_brk(s, GiB(7) + PAGE_SIZE), GiB(7) + PAGE_SIZE);
	crowd_run(2, move_heap);
}

/* Four relatives, one per CPU, write everything at the same time: each table and page is fought for. */
static void write_mine(unsigned cpu)
{
	struct space *mine = relative[cpu];
	u64 seed = cpu + 5, v;

	for (unsigned i = 0; i < 3 * PAGES_USED; i++) {
		u64 p = fake_random(&seed) % PAGES_USED;

		crowd_want(fake_load(mine, word(p, 7), &v) == FAULT_OK && v == p);
		crowd_want(fake_store(mine, word(p, 0), cpu + 100) == FAULT_OK);
		if (i % 50 == 49)
			crowd_want(vm_protect(mine, word(p, 0) & PAGE_MASK, PAGE_SIZE, i & 1 ? R_READ : RW) == 0 &&
				   vm_protect(mine, word(0, 0), PAGES(PAGES_USED), RW) == 0);
		if (i % 90 == 80)
			crowd_want(vm_advise(mine, word(70, 0), PAGES(10), MADV_DONTNEED) == 0 &&
				   ({ for (u64 k = 70; k < 80; k++) fake_store(mine, word(k, 7), k); true; }));
		crowd_want(fake_load(mine, word(p, 0), &v) == FAULT_OK && (v == cpu + 100 || (p >= 70 && v == 0)));
	}
	check_space(mine);
	tlb_switch_space(NULL);
	space_put(mine);			/* in any order */
	relative[cpu] = NULL;
}

static void relatives_break_up(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 20; round++) {
		for (unsigned i = 0; i < CPUS; i++) {
			tune.fork_share = round % 3;
			relative[i] = space_fork(i && round & 1 ? relative[i - 1] : s);	/* siblings, or a chain */
			assert_non_null(relative[i]);
		}
		crowd_run(CPUS, write_mine);
		for (u64 p = 0; p < PAGES_USED; p += 9) {
			want_load(s, word(p, 7), p);
			want_load(s, word(p, 0), 0);
		}
		kit_check(s);
		tlb_switch_space(NULL);
	}
}

/* A write has found a path of its own and waits for the table's lock, when a fork makes the table the child's too: it must not
 * replace a page there, which the child may have in its TLB while only the parent's CPUs are flushed. CPU 3 makes siblings, so that
 * pages have several holders, writes to them, and lets them go. */
static void write_or_multiply(unsigned cpu)
{
	u64 seed = cpu, v, first[PAGES_USED];

	for (u64 n = 1; (cpu == 1 || cpu == 2) && crowd_use(); n++)
		crowd_want(fake_store(s, word(fake_random(&seed) % PAGES_USED, cpu), n) == FAULT_OK);
	while (cpu == 3 && crowd_use()) {
		struct space *sibling = space_fork(s);

		crowd_want(sibling);
		for (unsigned i = 0; i < PAGES_USED / 2; i++)
			crowd_want(fake_store(sibling, word(fake_random(&seed) % PAGES_USED, 1), 1UL << 61) == FAULT_OK);
		tlb_switch_space(NULL);
		space_put(sibling);
	}
	while (cpu == 0 && crowd_change(300)) {
		struct space *child = space_fork(s);

		crowd_want(child);
		for (u64 p = 0; p < PAGES_USED; p++)
			crowd_want(fake_load(child, word(p, 1), &first[p]) == FAULT_OK);
		for (unsigned i = 0; i < 4 * PAGES_USED; i++)
			crowd_want(fake_load(child, word(i % PAGES_USED, 1), &v) == FAULT_OK && v == first[i % PAGES_USED]);
		tlb_switch_space(NULL);
		space_put(child);
	}
}

static void fork_between_walk_and_lock(void **state)
{
	(void)state;
	tune.fork_share = FORK_SHARE_ALL;
	crowd_run(CPUS, write_or_multiply);
}

/* A file mapped by all relatives is cut and grows while they fault it in. */
static struct kit_file *file;

static void use_or_cut(unsigned cpu)
{
	u64 seed = cpu, v;

	for (unsigned turn = 0; turn < 300; turn++) {
		u64 p = fake_random(&seed) % 32;

		if (cpu == 0) {
			pcache_resize(&file->cache, PAGES(p));
			pcache_resize(&file->cache, PAGES(32));
			continue;
		}
		enum fault_result r = fake_load(relative[cpu], AREA + GiB(1) + PAGES(p), &v);
		crowd_want(r == FAULT_BUS || (r == FAULT_OK && (v == kit_file_word(p, 0) || v == p + cpu)));
		r = fake_store(relative[cpu], AREA + GiB(1) + PAGES(p), p + cpu);
		crowd_want(r == FAULT_BUS || r == FAULT_OK);
	}
	tlb_switch_space(NULL);
	space_put(relative[cpu]);
}

static void relatives_and_truncation(void **state)
{
	(void)state;
	file = kit_file(32, false);
	kit_map_file(s, file, AREA + GiB(1), 0, 32, RW);
	for (unsigned round = 0; round < 10; round++) {
		tune.fork_share = round % 3;
		kit_load(s, AREA + GiB(1) + PAGES(3));
		tlb_switch_space(NULL);
		for (unsigned i = 0; i < CPUS; i++)
			assert_non_null(relative[i] = space_fork(s));
		crowd_run(CPUS, use_or_cut);
	}
	kit_space_end(s);
	s = NULL;
	kit_file_close(file);
}

/* Children end under debug_check=1 while the tables that they share are filled by reads, and emptied. */
static void fill_or_end(unsigned cpu)
{
	u64 seed = cpu, v;

	while (cpu ? crowd_use() : crowd_change(400)) {
		if (cpu) {
			crowd_want(fake_load(s, GiB(3) + PAGES(fake_random(&seed) % (4 * PT_ENTRIES)), &v) == FAULT_OK && !v);
			if (fake_random(&seed) % 512 == 0)
				crowd_want(vm_advise(s, GiB(3), MiB(8), MADV_DONTNEED) == 0);
			continue;
		}
		struct space *child = space_fork(s);

		crowd_want(child);
		for (unsigned i = fake_random(&seed) % 64; i; i--)
			fake_load(child, GiB(3) + PAGES(fake_random(&seed) % (4 * PT_ENTRIES)), &v);
		tlb_switch_space(NULL);
		space_put(child);
	}
}

static void checked_as_they_end(void **state)
{
	(void)state;
	kit_anon(s, GiB(3), 4 * PT_ENTRIES, R_READ);
	tune.debug_check = 1;
	crowd_run(CPUS, fill_or_end);
	tune.debug_check = 0;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(forks_and_writes), TEST(forks_and_forks), TEST(forks_while_the_heap_moves), TEST(no_write_is_lost), TEST(forks_while_tables_are_linked), TEST(relatives_break_up),
		TEST(relatives_and_truncation), TEST(fork_between_walk_and_lock), TEST(checked_as_they_end),
	};

	return KIT_RUN(tests);
}
