/* SPDX-License-Identifier: MIT */
/*
 * Races about the freeing of tables. Each CPU has pages of its own, which nobody else drops: what it has written it
 * must read, however tables come and go meanwhile. At the end no table is left.
 */
#include "kit.h"
#include "crowd.h"
#include "mm/ptreclaim.h"

#define CPUS 4
#define TURNS 2500

static struct space *s;
static struct kit_file *file;

static int setup(void **state)
{
	kit_test_setup(state);
	tune.read_then_write = RTW_OFF;		/* who drops what it wrote drops all there is */
	s = kit_space();
	return 0;
}

static int teardown(void **state)
{
	kit_space_end(s);
	tune.pt_reclaim = PT_RECLAIM_ALWAYS;
	return kit_test_teardown(state);
}

/* Tables that are neighbours, and far ones that have upper tables for themselves. */
static const vaddr_t tables[] = {
	GiB(1), GiB(1) + MiB(2), GiB(5), 1UL << 39, (1UL << 39) + GiB(7),
};

static vaddr_t mine(unsigned cpu, u64 n) { return tables[n % ARRAY_SIZE(tables)] + PAGES(cpu * 40); }

static void map_tables(void)
{
	for (unsigned i = 0; i < ARRAY_SIZE(tables); i++)
		kit_anon(s, tables[i], PT_ENTRIES, RW);
}

/* Writes a page of CPU's, reads it, drops it: as often as not that empties tables up to the root, just when another
 * faults below them. */
static void write_and_drop(unsigned cpu, u64 *seed)
{
	vaddr_t va = mine(cpu, fake_random(seed));
	u64 v, value = fake_random(seed);

	crowd_want(fake_store(s, va, value) == FAULT_OK);
	if (fake_random(seed) & 1)
		crowd_want(fake_store(s, va + PAGES(1), ~value) == FAULT_OK);
	crowd_want(fake_load(s, va, &v) == FAULT_OK && v == value);
	crowd_want(vm_advise(s, va, PAGES(2), MADV_DONTNEED) == 0);
	crowd_want(fake_load(s, va, &v) == FAULT_OK && v == 0);
	crowd_want(vm_advise(s, va, PAGES(1), MADV_DONTNEED) == 0);
}

static void none_left(void)
{
	tlb_switch_space(NULL);
	reclaim_tables();
	assert_int_equal(kit_usage(s).tables, 1);
	assert_int_equal(kit_usage(s).anon, 0);
}

static void fault_or_drop(unsigned cpu)
{
	u64 seed = cpu + 1;

	while (crowd_change(TURNS))
		write_and_drop(cpu, &seed);
}

static void fault_at_the_instant_of_freeing(void **state)
{
	(void)state;
	map_tables();
	crowd_run(CPUS, fault_or_drop);
	assert_int_equal(kit_usage(s).tables, 1);
	none_left();
}

/* CPU 0 gives up what policies keep, and switches them; tables that it found empty are refilled before it has their
 * locks. */
static void fault_or_give_up(unsigned cpu)
{
	u64 seed = cpu + 1;

	while (cpu ? crowd_use() : crowd_change(TURNS)) {
		if (cpu) {
			write_and_drop(cpu, &seed);
			continue;
		}
		switch (fake_random(&seed) % 4) {
		case 0: WRITE_ONCE(tune.pt_reclaim, fake_random(&seed) % 4); break;
		case 1: reclaim_tables(); break;
		default: crowd_want(vm_advise(s, tables[fake_random(&seed) % 5], MiB(2), MADV_CLEANUP_PGTABLE) == 0);
		}
		fake_cpu_leave();
		fake_cpu_enter();
	}
}

static void table_refilled_while_a_lock_was_dropped(void **state)
{
	(void)state;
	map_tables();
	crowd_run(CPUS, fault_or_give_up);
	none_left();
}

/* CPUs 0 and 1 make and free tables; the others look in without a lock, and into a relative that shares them. */
static void drop_or_walk(unsigned cpu)
{
	u64 seed = cpu + 1, v;

	while (cpu < 2 ? crowd_change(TURNS) : crowd_use()) {
		vaddr_t other = mine(fake_random(&seed) % 2, fake_random(&seed));

		if (cpu < 2) {
			write_and_drop(cpu, &seed);
		} else if (fake_random(&seed) % 4) {
			crowd_want(space_read(s, other, &v, 8) == 8);
			u8 resident;
			crowd_want(vm_mincore(s, other, 1, &resident) == 0);
		} else {
			struct space *child = space_fork(s);

			crowd_want(child);
			crowd_want(space_read(child, other, &v, 8) == 8);
			crowd_want(vm_advise(child, other, PAGES(1), MADV_DONTNEED) == 0);
			space_put(child);
		}
		fake_cpu_leave();
		fake_cpu_enter();
	}
}

static void walkers_hold_nothing_that_is_gone(void **state)
{
	(void)state;
	map_tables();
	crowd_run(CPUS, drop_or_walk);
	none_left();
}

/* An empty table of two: CPU 0 lets go of it, CPU 1 ends the relative, CPU 2 takes it over meanwhile and writes. */
static struct space *relative;

static void give_up_or_take_over(unsigned cpu)
{
	vaddr_t va = tables[0] + PAGES(3);
	u64 v;

	for (u64 n = 1; n < 400; n++) {
		if (cpu == 2) {
			crowd_want(fake_load(s, va, &v) == FAULT_OK && v == 0);
			crowd_want(relative = space_fork(s));
		}
		crowd_meet();
		if (cpu == 0)
			crowd_want(vm_advise(s, tables[0], MiB(2), MADV_CLEANUP_PGTABLE) == 0);
		if (cpu == 1)
			space_put(relative);
		if (cpu == 2) {
			crowd_want(fake_store(s, va, n) == FAULT_OK);
			fake_cpu_leave();
			fake_cpu_enter();
		}
		crowd_meet();
		if (cpu == 2) {
			crowd_want(fake_load(s, va, &v) == FAULT_OK && v == n);
			crowd_want(vm_advise(s, tables[0], MiB(2), MADV_DONTNEED) == 0);
		}
	}
}

static void table_taken_over_while_it_is_let_go_of(void **state)
{
	(void)state;
	tune.fork_share = FORK_SHARE_LEAF;
	map_tables();
	crowd_run(3, give_up_or_take_over);
	tune.fork_share = FORK_SHARE_ALL;
	none_left();
}

/* A file is cut and grows while relatives fault it in and fork: its tables are emptied in place, for all of them. */
static void cut_or_share(unsigned cpu)
{
	vaddr_t at = GiB(3) + MiB(2) - PAGES(16);
	u64 seed = cpu + 1, v;

	while (cpu ? crowd_use() : crowd_change(TURNS / 2)) {
		u64 p = fake_random(&seed) % 32;

		if (!cpu) {
			pcache_resize(&file->cache, fake_random(&seed) & 1 ? 0 : PAGES(p));
			pcache_resize(&file->cache, PAGES(32));
		} else if (fake_random(&seed) % 8) {
			enum fault_result r = fake_load(s, at + PAGES(p), &v);

			crowd_want(r == FAULT_BUS || (r == FAULT_OK && (v == kit_file_word(p, 0) || v == p)));
			if (fake_random(&seed) & 1) {
				r = fake_store(s, at + PAGES(p), p);
				crowd_want(r == FAULT_BUS || r == FAULT_OK);
			}
		} else {
			struct space *child = space_fork(s);

			crowd_want(child);
			for (unsigned i = 0; i < 4; i++) {
				ssize_t n = space_read(child, at + PAGES(p ^ i), &v, 8);

				crowd_want(n == -EFAULT || (n == 8 && (v == kit_file_word(p ^ i, 0) || v == (p ^ i))));
			}
			space_put(child);
		}
		fake_cpu_leave();
		fake_cpu_enter();
	}
}

static void truncation_empties_for_all(void **state)
{
	(void)state;
	file = kit_file(32, false);
	kit_map_file(s, file, GiB(3) + MiB(2) - PAGES(16), 0, 32, RW);
	crowd_run(CPUS, cut_or_share);
	pcache_resize(&file->cache, 0);
	tlb_switch_space(NULL);
	assert_int_equal(kit_usage(s).tables, 1);
	vm_unmap(s, 0, USER_END);
	kit_file_close(file);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(fault_at_the_instant_of_freeing), TEST(table_refilled_while_a_lock_was_dropped),
		TEST(walkers_hold_nothing_that_is_gone), TEST(truncation_empties_for_all),
		TEST(table_taken_over_while_it_is_let_go_of),
	};

	return KIT_RUN(tests);
}
