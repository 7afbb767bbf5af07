/* SPDX-License-Identifier: MIT */
/*
 * Races within one address space: faults on the same and on different tables against each other and
 * against every verb that changes regions or drops pages. Real threads are the CPUs; ThreadSanitizer and
 * AddressSanitizer watch mm/, the TLB model watches what it leaves behind, and the threads what they read.
 */
#include "kit.h"
#include "crowd.h"

#define AREA 0x40000000UL
#define CPUS 4
#define TURNS 1500

static struct space *s;
static struct kit_file *file;

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

static vaddr_t word(u64 page, unsigned cpu) { return AREA + PAGES(page) + 8 * cpu; }

/* --- many faults at once ---------------------------------------------------------------------------- */

/* All CPUs touch the same pages in the same order; each has a word of its own in every page. */
static void touch_all(unsigned cpu)
{
	u64 v;

	for (unsigned round = 0; round < 12; round++) {
		u64 seed = round + 1, again = seed;

		for (unsigned i = 0; i < 600; i++) {
			u64 p = fake_random(&seed) % 600;

			if (i & 1)
				crowd_want(fake_load(s, word(p, cpu), &v) == FAULT_OK);
			crowd_want(fake_store(s, word(p, cpu), p + 1) == FAULT_OK);
		}
		crowd_meet();
		for (unsigned i = 0; i < 600; i++) {
			u64 p = fake_random(&again) % 600;

			crowd_want(fake_load(s, word(p, cpu), &v) == FAULT_OK && v == p + 1);
		}
		crowd_meet();
		if (cpu == round % CPUS)
			crowd_want(vm_advise(s, AREA, PAGES(600), MADV_DONTNEED) == 0);
		crowd_meet();
		for (u64 p = 0; p < 600; p += 13)
			crowd_want(fake_load(s, word(p, cpu), &v) == FAULT_OK && v == 0);
	}
}

static void faults_and_faults(void **state)
{
	(void)state;
	tune.read_then_write = RTW_OFF;
	kit_anon(s, AREA, 600, RW);
	crowd_run(CPUS, touch_all);
	tune.read_then_write = RTW_PREDICT;
	assert_int_equal(kit_recount(s).n[PTE_CLASS_ANON], 0);
}

/* --- one table, and another drops it --------------------------------------------------------------- */

static void touch_while_dropped(unsigned cpu)
{
	u64 seed = cpu + 7, v;

	if (cpu == 0) {
		for (unsigned turn = 0; crowd_change(TURNS); turn++)
			crowd_want(vm_advise(s, AREA, PAGES(512), MADV_DONTNEED) == 0);
		return;
	}
	while (crowd_use()) {
		u64 p = fake_random(&seed) % 64 * CPUS + cpu;		/* interleaved */

		crowd_want(fake_store(s, word(p, cpu), p) == FAULT_OK);
		crowd_want(fake_load(s, word(p, cpu), &v) == FAULT_OK && (v == p || v == 0));
	}
}

static void faults_and_dontneed(void **state)
{
	(void)state;
	kit_anon(s, AREA, 512, RW);
	crowd_run(CPUS, touch_while_dropped);
}

/* --- dropped by two at once: who returns second, having found nothing, sees nothing either ------------------- */

static void drop_after_another(unsigned cpu)
{
	u64 v;

	while (cpu == 0 && crowd_change(TURNS * 2))
		crowd_want(vm_advise(s, AREA, PAGES(4), MADV_DONTNEED) == 0);
	for (u64 n = 1; cpu && crowd_use(); n++) {
		crowd_want(fake_store(s, word(cpu, cpu), n) == FAULT_OK);
		crowd_want(vm_advise(s, word(cpu, 0), PAGES(1), MADV_DONTNEED) == 0);
		crowd_want(fake_load(s, word(cpu, cpu), &v) == FAULT_OK && v == 0);
	}
}

static void dontneed_and_dontneed(void **state)
{
	(void)state;
	kit_anon(s, AREA, 4, RW);
	crowd_run(CPUS, drop_after_another);
}

/* --- what was written is read by everybody: nobody still reads the page that was there before ------------ */

static u64 epoch, written[CPUS];	/* odd: pages are being dropped; the epoch and the number written in it */

static void write_and_read(unsigned cpu)
{
	while (cpu == 0 && crowd_change(TURNS * 2)) {
		__atomic_add_fetch(&epoch, 1, __ATOMIC_SEQ_CST);
		crowd_want(vm_advise(s, AREA, PAGES(1), MADV_DONTNEED) == 0);
		__atomic_add_fetch(&epoch, 1, __ATOMIC_SEQ_CST);
	}
	for (u64 n = 1; cpu && crowd_use(); n = n % 1000 + 1) {
		u64 now = __atomic_load_n(&epoch, __ATOMIC_SEQ_CST), v;

		crowd_want(fake_load(s, word(0, cpu), &v) == FAULT_OK);
		if (cpu < CPUS - 1 && n % 4 == 0) {
			crowd_want(fake_store(s, word(0, cpu), n) == FAULT_OK);
			if (!(now & 1) && __atomic_load_n(&epoch, __ATOMIC_SEQ_CST) == now)
				__atomic_store_n(&written[cpu], now << 32 | n, __ATOMIC_SEQ_CST);
		}
		for (unsigned i = 1; i < CPUS - 1; i++) {
			u64 w = __atomic_load_n(&written[i], __ATOMIC_SEQ_CST);

			crowd_want(fake_load(s, word(0, i), &v) == FAULT_OK);
			if (__atomic_load_n(&epoch, __ATOMIC_SEQ_CST) == w >> 32)
				crowd_want(v != 0);
		}
	}
}

static void writes_and_reads(void **state)
{
	(void)state;
	tune.read_then_write = RTW_OFF;
	fake_late_interrupts = true;
	epoch = 0;
	memset(written, 0xff, sizeof(written));
	kit_anon(s, AREA, 1, RW);
	crowd_run(CPUS, write_and_read);
	fake_late_interrupts = false;
	tune.read_then_write = RTW_PREDICT;
}

/* --- neighbours in one table come and go ----------------------------------------------------------- */

static void use_or_change(unsigned cpu)
{
	u64 seed = cpu + 99, v;

	if (cpu < 2) {
		while (crowd_use()) {
			u64 p = fake_random(&seed) % 64 * 8 + fake_random(&seed) % 4;

			crowd_want(fake_load(s, word(p, cpu), &v) == FAULT_OK && v == p + cpu);
			crowd_want(fake_store(s, word(p, cpu), p + cpu) == FAULT_OK);
		}
		return;
	}
	for (unsigned turn = 0; crowd_change(TURNS); turn++) {
		vaddr_t va = AREA + PAGES(fake_random(&seed) % 64 * 8 + 4);
		struct vm_map_args a = { .addr = va, .length = PAGES(4), .flags = RW | R_MAY_WRITE, .fixed = true };
		enum fault_result r;

		switch (fake_random(&seed) % 6) {
		case 0: vm_unmap(s, va, PAGES(4)); break;
		case 1: crowd_want(vm_map(s, &a) == (long)va); break;
		case 2: vm_protect(s, va, PAGES(2), R_READ); break;
		case 3: vm_protect(s, va, PAGES(4), RW); break;
		case 4: vm_advise(s, va, PAGES(3), MADV_DONTNEED); break;
		default:
			r = fake_store(s, va, turn);
			crowd_want(r == FAULT_OK || r == FAULT_MAPERR || r == FAULT_ACCERR);
		}
	}
}

static void faults_and_changes(void **state)
{
	(void)state;
	kit_anon(s, AREA, 512, RW);
	for (u64 p = 0; p < 512; p++)
		for (unsigned cpu = 0; cpu < 2; cpu++)
			kit_store(s, word(p, cpu), p + cpu);
	tlb_switch_space(NULL);
	crowd_run(CPUS, use_or_change);
}

/* --- rights are gone when mprotect has returned ----------------------------------------------------- */


static void write_or_forbid(unsigned cpu)
{
	u64 v;

	if (cpu == 0) {
		for (unsigned turn = 0; crowd_change(TURNS / 3); turn++) {
			vm_protect(s, AREA, PAGES(20), R_READ);
			u64 was[20];
			for (u64 p = 0; p < 20; p++)
				crowd_want(fake_load(s, word(p, 0), &was[p]) == FAULT_OK);
			for (u64 p = 0; p < 20; p++)		/* nobody can have changed it */
				crowd_want(fake_load(s, word(p, 0), &v) == FAULT_OK && v == was[p]);
			vm_protect(s, AREA, PAGES(20), RW);
		}
		return;
	}
	for (u64 n = 0; crowd_use(); n++) {
		enum fault_result r = fake_store(s, word(n % 20, 0), n);

		crowd_want(r == FAULT_OK || r == FAULT_ACCERR);
	}
}

static void faults_and_protect(void **state)
{
	(void)state;
	kit_anon(s, AREA, 20, RW);
	crowd_run(CPUS, write_or_forbid);
}

/* CPU 0 forbids and cuts off the beginning of regions: of what is beside it nobody is told that it is forbidden, or past
 * the end of a file. */
static void write_beside(unsigned cpu)
{
	struct vm_map_args a = { .addr = AREA + GiB(1), .length = PAGES(5), .flags = R_READ, .fixed = true };
	u64 v;

	while (cpu ? crowd_use() : crowd_change(TURNS)) {
		if (cpu) {
			crowd_want(fake_store(s, word(5 + cpu, 0), 1) == FAULT_OK);
			crowd_want(vm_advise(s, word(5 + cpu, 0), PAGE_SIZE, MADV_DONTNEED) == 0);
			crowd_want(fake_load(s, AREA + GiB(1), &v) == FAULT_OK);
			continue;
		}
		vm_protect(s, AREA, PAGES(5), R_READ);
		vm_protect(s, AREA, PAGES(5), RW);
		a.cache = &file->cache;
		crowd_want(vm_map(s, &a) > 0);
		a.cache = NULL;
		crowd_want(vm_map(s, &a) > 0);
		pcache_resize(&file->cache, 0);
		pcache_resize(&file->cache, PAGES(5));
	}
}

static void faults_beside_changes(void **state)
{
	(void)state;
	file = kit_file(5, true);
	kit_anon(s, AREA, 20, RW);
	kit_anon(s, AREA + GiB(1), 5, R_READ);
	crowd_run(CPUS, write_beside);
	vm_unmap(s, 0, USER_END);
	kit_file_close(file);
}

/* --- regions that come and go: nobody finds one that has gone ------------------------------------------ */

static void use_or_unmap(unsigned cpu)
{
	struct vm_map_args a = { .addr = AREA, .length = PAGES(4), .flags = RW | R_MAY_WRITE, .fixed = true };
	u64 seed = cpu, v;

	while (cpu ? crowd_use() : crowd_change(TURNS)) {
		u64 p = fake_random(&seed) % 4;
		enum fault_result r = cpu ? fake_load(s, word(p, 0), &v) : FAULT_OK;

		if (cpu) {
			crowd_want(r == FAULT_OK || r == FAULT_MAPERR);
			crowd_want(fake_load(s, word(8 + p, 0), &v) == FAULT_OK);
			continue;
		}
		crowd_want(vm_map(s, &a) == (long)AREA);
		crowd_want(fake_store(s, word(p, 0), 1) == FAULT_OK);
		crowd_want(vm_unmap(s, AREA, PAGES(4)) == 0);
		crowd_want(fake_load(s, word(p, 0), &v) == FAULT_MAPERR);
	}
}

static void faults_and_regions(void **state)
{
	(void)state;
	kit_anon(s, word(8, 0), 4, R_READ);
	crowd_run(CPUS, use_or_unmap);
	kit_check(s);
}

/* --- pages that move ------------------------------------------------------------------------------- */

static void use_or_move(unsigned cpu)
{
	vaddr_t at[2] = { AREA, AREA + GiB(1) + MiB(2) - PAGES(6) };
	u64 seed = cpu, v;

	if (cpu == 0) {
		for (unsigned turn = 0; crowd_change(TURNS); turn++)
			crowd_want(vm_remap(s, at[turn & 1], PAGES(16), PAGES(16), MREMAP_MAYMOVE | MREMAP_FIXED,
					    at[~turn & 1]) == (long)at[~turn & 1]);
		return;
	}
	while (crowd_use()) {
		u64 p = fake_random(&seed) % 16, k = fake_random(&seed) & 1;
		enum fault_result r = fake_load(s, at[k] + PAGES(p), &v);

		crowd_want(r == FAULT_MAPERR || (r == FAULT_OK && v == p + 1));
		r = fake_store(s, at[!k] + PAGES(p) + 8 * cpu, v);
		crowd_want(r == FAULT_MAPERR || r == FAULT_OK);
	}
}

static void faults_and_remap(void **state)
{
	(void)state;
	kit_anon(s, AREA, 16, RW);
	for (u64 p = 0; p < 16; p++)
		kit_store(s, AREA + PAGES(p), p + 1);
	tlb_switch_space(NULL);
	crowd_run(CPUS, use_or_move);
	assert_int_equal(kit_usage(s).anon, 16);
}

/* --- a file that shrinks and grows ----------------------------------------------------------------- */

static void use_or_cut(unsigned cpu)
{
	u64 seed = cpu, v;

	if (cpu == 0) {
		for (unsigned turn = 0; crowd_change(TURNS / 3); turn++) {
			u64 p = fake_random(&seed) % 32;

			if (turn & 1)
				pcache_punch(&file->cache, PAGES(p), PAGES(p + 1));
			else
				pcache_resize(&file->cache, PAGES(p));
			pcache_resize(&file->cache, PAGES(32));
			for (p = 0; p < 32; p++) {		/* nothing that was cut off is mapped */
				struct fake_view v = fake_look(s, AREA + PAGES(p));

				crowd_want(!v.frame || v.frame->cached.cache == &file->cache);
			}
		}
		return;
	}
	while (crowd_use()) {
		u64 p = fake_random(&seed) % 32;
		vaddr_t va = AREA + PAGES(p) + (cpu == 3 ? GiB(1) : 0) + 8 * cpu;
		enum fault_result r = fake_load(s, va, &v);

		crowd_want(r == FAULT_BUS || (r == FAULT_OK && (v == p + 1 || v == kit_file_word(p, cpu))));
		r = fake_store(s, va, p + 1);
		crowd_want(r == FAULT_BUS || r == FAULT_OK);
	}
}

static void faults_and_truncation(void **state)
{
	(void)state;
	file = kit_file(32, false);
	kit_map_file(s, file, AREA, 0, 32, RW | R_SHARED);
	kit_map_file(s, file, AREA + GiB(1), 0, 32, RW);
	crowd_run(CPUS, use_or_cut);
	vm_unmap(s, 0, USER_END);
	kit_file_close(file);
}

/* --- strangers look in: CPUs that do not run the space, and so get none of its flushes ----------------- */

static void use_or_look_in(unsigned cpu)
{
	u64 seed = cpu, v;

	while (cpu < 2 ? crowd_change(TURNS * 2) : crowd_use()) {
		/* Each in a table of its own, and in the same slot there: who looks into a table that has
		 * become another's meanwhile reads the wrong page. */
		u64 p = fake_random(&seed) % 4 * PT_ENTRIES;

		if (cpu < 2) {
			crowd_want(fake_store(s, word(p, cpu), p + 1) == FAULT_OK);
			crowd_want(vm_advise(s, AREA + PAGES(p), PAGES(1), MADV_DONTNEED) == 0);
		} else if (fake_random(&seed) % 4) {
			crowd_want(space_read(s, word(p, 0), &v, 8) == 8 && (v == 0 || v == p + 1));
		} else {
			struct space_usage u = kit_usage(s);

			crowd_want(u.anon <= 4 && u.tables <= 1 + 1 + 1 + 4);
		}
		fake_cpu_leave();		/* to user mode and back */
		fake_cpu_enter();
	}
}

static void faults_and_strangers(void **state)
{
	(void)state;
	kit_anon(s, AREA, 4 * PT_ENTRIES, RW);
	crowd_run(CPUS, use_or_look_in);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(faults_and_faults), TEST(faults_and_dontneed), TEST(dontneed_and_dontneed), TEST(writes_and_reads),
		TEST(faults_and_changes), TEST(faults_and_protect), TEST(faults_beside_changes),
		TEST(faults_and_regions),
		TEST(faults_and_remap), TEST(faults_and_truncation), TEST(faults_and_strangers),
	};

	return KIT_RUN(tests);
}
