/* SPDX-License-Identifier: MIT */
/*
 * Races over addresses: one that a thread unmaps or moves away is given to another thread at once, and moved pages
 * are given up at their new place, while other CPUs still remember the old translation. Nothing written may be lost.
 */
#include "crowd.h"
#include "kit.h"

#define AREA 0x40000000UL
#define CPUS 4
#define SLOTS 6				/* addresses that threads fight for */

static struct space *s;

static int setup(void **state)
{
	kit_test_setup(state);
	s = kit_space();
	s->mmap_top = AREA + PAGES(SLOTS);
	fake_late_interrupts = true;
	return 0;
}

static int teardown(void **state)
{
	kit_space_end(s);
	return kit_test_teardown(state);
}

/* Somebody's page, whoever's: so that this CPU remembers it. */
static void peep(u64 *seed)
{
	u64 v;

	fake_load(s, AREA + PAGES(fake_random(seed) % SLOTS), &v);
}

static void map_use_unmap(unsigned cpu)
{
	struct vm_map_args a = { .length = PAGE_SIZE, .flags = RW | R_MAY_WRITE };
	u64 seed = cpu + 1, v;

	for (u64 n = 1; n < 3000 && !crowd_late(); n++) {
		vaddr_t at = (vaddr_t)vm_map(s, &a);

		crowd_want((long)at > 0);
		for (unsigned i = 0; i < 4; i++) {
			crowd_want(fake_store(s, at + 8, n << 8 | cpu | i << 4) == FAULT_OK);
			crowd_want(fake_load(s, at + 8, &v) == FAULT_OK && v == (n << 8 | cpu | i << 4));
			peep(&seed);
		}
		crowd_want(vm_unmap(s, at, PAGE_SIZE) == 0);
		peep(&seed);
	}
}

static void addresses_go_round(void **state)
{
	(void)state;
	crowd_run(CPUS, map_use_unmap);
}

/* CPU 0 moves a page to and fro, or the whole table that it is in; CPUs 1 and 2 drop what they find at the far end; the last looks. */
static bool whole;

static vaddr_t end_of(u64 i) { return AREA + GiB(i + 1); }

static void move_or_look(unsigned cpu)
{
	u64 length = whole ? MiB(2) : PAGE_SIZE, at = 0, seed = cpu, v;

	while (cpu && crowd_use())
		if (cpu < 3)
			vm_advise(s, end_of(1), PAGE_SIZE, MADV_DONTNEED);	/* its table keeps another page, and so stays */
		else
			fake_load(s, end_of(fake_random(&seed) & 1), &v);
	for (u64 n = 0; !cpu && crowd_change(3000); n++) {
		crowd_want(vm_remap(s, end_of(at), length, length, MREMAP_MAYMOVE | MREMAP_FIXED, end_of(!at)) == (long)end_of(!at));
		at = !at;
		crowd_want(fake_load(s, end_of(at), &v) == FAULT_OK && (v == n || v == 0));
		crowd_want(fake_store(s, end_of(at), n + 1) == FAULT_OK);
	}
}

static void moved_pages_are_given_up(void **state)
{
	(void)state;
	for (unsigned turn = 0; turn < 2; turn++) {
		whole = turn;
		vm_unmap(s, 0, USER_END);
		kit_anon(s, end_of(0), whole ? 2 * PT_ENTRIES : 2, RW);
		kit_anon(s, end_of(1) + MiB(2), 1, RW);
		kit_anon(s, end_of(1) + PAGES(1), 1, RW);
		for (unsigned i = 0; i < 2; i++) {
			kit_store(s, end_of(i) + PAGES(1), 1);	/* so that neither its table empties, nor the one above it */
			if (whole || i)
				kit_store(s, end_of(i) + MiB(2), 1);
		}
		tlb_switch_space(NULL);
		crowd_run(CPUS, move_or_look);
	}
}

/* CPU 0 moves pages to and fro between tables that hold nothing else but pages of a file, which the others read and cut. */
static struct kit_file *file;

static void move_beside_a_file(unsigned cpu)
{
	u64 at = 0, seed = cpu, v;

	while (cpu && crowd_use()) {
		if (cpu == 1) {
			pcache_resize(&file->cache, 0);
			pcache_resize(&file->cache, PAGES(4));
		}
		for (unsigned i = 0; i < 4; i++)
			fake_load(s, end_of(fake_random(&seed) & 1) + PAGES(100 + i), &v);
	}
	for (u64 n = 1; !cpu && crowd_change(3000); n++) {
		for (unsigned i = 0; i < 4; i++)
			crowd_want(fake_store(s, end_of(at) + PAGES(i), n) == FAULT_OK);
		crowd_want(vm_remap(s, end_of(at), PAGES(4), PAGES(4), MREMAP_MAYMOVE | MREMAP_FIXED, end_of(!at)) == (long)end_of(!at));
		at = !at;
		for (unsigned i = 0; i < 4; i++)
			crowd_want(fake_load(s, end_of(at) + PAGES(i), &v) == FAULT_OK && v == n);
	}
}

static void moves_beside_a_file_that_is_cut(void **state)
{
	(void)state;
	file = kit_file(4, true);
	kit_anon(s, end_of(0), 4, RW);
	kit_map_file(s, file, end_of(0) + PAGES(100), 0, 4, RW | R_SHARED);
	kit_map_file(s, file, end_of(1) + PAGES(100), 0, 4, RW | R_SHARED);
	tlb_switch_space(NULL);
	crowd_run(CPUS, move_beside_a_file);
	vm_unmap(s, 0, USER_END);
	kit_file_close(file);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = { TEST(addresses_go_round), TEST(moved_pages_are_given_up),
		TEST(moves_beside_a_file_that_is_cut) };

	return KIT_RUN(tests);
}
