/* SPDX-License-Identifier: MIT */
/*
 * Random operations by up to eight address spaces (model_ops.h, model_blocks.h) against a plain reference (model.h). After each
 * step contents, rights, faults and counts agree. Each space runs on two CPUs in turn, so that stale
 * translations and missing shootdowns show. QUIRE_SEED picks the run, QUIRE_STEPS its length, twice:
 * once under pt_reclaim=always, when no empty table may be there, once under policies that change.
 */
#include "model_blocks.h"

static void count_empty(struct frame *t, vaddr_t va __unused, bool own __unused, void *arg)
{
	*(long *)arg += pt_live(t) == 0 && t->level < PT_LEVELS;
}

static long empty_tables(struct space *s)
{
	long n = 0;

	report_each_table(s, count_empty, &n);
	return n;
}

static void other_policies(void)
{
	tune.fault_around_bytes = 1U << (12 + rnd(10));
	tune.fault_around_adapt = (u32)rnd(2);
	tune.fault_around_young = (u32)rnd(2);
	tune.anon_prefault_order = mixed ? (u32)rnd(10) : 0;
	tune.read_then_write = mixed ? (u32)rnd(3) : RTW_OFF;
}

static void compare(struct process *m, bool all)
{
	struct space_usage u = kit_usage(m->s);
	struct kit_count c = kit_recount(m->s);
	u64 size = 0, locked = 0, own = 0;

	check_space(m->s);
	for (unsigned p = 0; p < ALL_PAGES; p++) {
		size += m->page[p].mapped ? weight_of(p) : 0;
		locked += m->page[p].locked;
		own += m->page[p].own;
	}
	agree((long)u.size, (long)size);
	agree((long)u.locked, (long)locked);
	assert_true(u.anon >= own);		/* more, where pages are given unasked */
	if (!mixed)
		agree((long)u.anon, (long)own);
	agree((long)u.anon, (long)c.n[PTE_CLASS_ANON]);
	agree((long)u.file, (long)c.n[PTE_CLASS_FILE]);
	agree((long)u.shmem, (long)c.n[PTE_CLASS_SHMEM]);
	agree((long)u.tables, (long)c.n[PTE_CLASS_NONE]);
	if (!mixed)
		agree(empty_tables(m->s), 0);
	for (unsigned p = 0; p < ALL_PAGES && all; p++) {
		u64 got;

		agree(fake_load(m->s, word_of(p), &got), verdict(&m->page[p], false, false));
		if (verdict(&m->page[p], false, false) == FAULT_OK)
			agree((long)got, (long)value_of(&m->page[p]));
	}
}

static void one_step(void)
{
	struct process *m = &process[rnd(SPACES)];
	unsigned p = (unsigned)rnd(NPAGES), n = 1 + (unsigned)rnd(rnd(4) ? 6 : 60);

	if (!m->s)
		return;
	n = MIN(n, ZONE_PAGES - p % ZONE_PAGES);
	if (mixed && rnd(100) == 0) {
		tune.pt_reclaim = (u32)rnd(4);
		tune.pt_reclaim_keep = 1 + (u32)rnd(6);
		tune.pt_reclaim_zero = (u32)rnd(2);
	}
	fake_cpu_set((u32)(m - process) + (rnd(2) ? SPACES : 0));
	tune.debug_check = rnd(32) == 0 ? 2 : 0;
	failing = rnd(8) == 0;
	if (failing)
		kit_fail_nth(1 + (u32)rnd(5));
	switch (rnd(36)) {
	case 0 ... 3: do_map(m, p, n); break;
	case 4: do_unmap(m, p, n); break;
	case 5 ... 6: do_protect(m, p, n); break;
	case 7: do_drop(m, p, n); break;
	case 8: mixed && rnd(2) ? do_hint(m, p, n) : do_drop(m, p, n); break;
	case 9: do_fork_advice(m, p, n); break;
	case 10: if (!failing) do_populate(m, p, n); break;
	case 11: if (!failing) do_lock(m, p, n); break;
	case 12 ... 13: do_remap(m, p, n); break;
	case 14: do_brk(m); break;
	case 15: do_fork(m); break;
	case 16: if (rnd(2)) do_exit(m); break;
	case 17: do_file(); break;
	case 32 ... 35: do_block(m); break;
	case 18: if (rnd(4) == 0) do_tables(m, p, n); break;
	default: do_access(m, p);
	}
	kit_fail_none();
	if (m->s) {
		fake_speculate(m->s, va_of((unsigned)rnd(ALL_PAGES)));
		compare(m, step % 64 == 0);
	}
	if (step % 256 == 0)
		check_frames();
}

static void random_steps(bool all_policies)
{
	const char *steps = getenv("QUIRE_STEPS"), *from = getenv("QUIRE_SEED");
	u64 n = steps ? strtoull(steps, NULL, 0) : 25000;

	mixed = all_policies;
	if (from)
		seed = strtoull(from, NULL, 0) * 0x9e3779b97f4a7c15UL + 1;
	for (unsigned i = 0; i < FILES; i++) {
		files[i].plain = i == 0;
		files[i].size = OBJECT_PAGES;
		files[i].file = kit_file(OBJECT_PAGES, i != 0);
		for (u64 k = 0; k < OBJECT_PAGES; k++)
			files[i].value[k] = initial(&files[i], k);
	}
	process[0].brk = 0;
	process[0].s = kit_space();
	process[0].s->mmap_top = va_of(ZONE_PAGES - 1) + PAGE_SIZE;
	process[0].s->brk_start = process[0].s->brk = va_of(ZONE_PAGES);
	for (step = 1; step <= n; step++) {
		if (step % 128 == 1)
			other_policies();
		one_step();
	}
	for (struct process *m = process; m < process + SPACES; m++)
		if (m->s) {
			kit_space_end(m->s);
			unmap(m->page, ALL_PAGES);
			m->s = NULL;
		}
	for (unsigned i = 0; i < FILES; i++)
		kit_file_close(files[i].file);
}

static void empty_tables_go_at_once(void **state __unused)
{
	random_steps(false);
}

static void all_policies_by_turns(void **state __unused)
{
	random_steps(true);
}

int main(void)
{
	const struct CMUnitTest tests[] = { KIT_TEST(empty_tables_go_at_once), KIT_TEST(all_policies_by_turns) };

	return KIT_RUN(tests);
}
