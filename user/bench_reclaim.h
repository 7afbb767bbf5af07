/* SPDX-License-Identifier: MIT */
/*
 * bench_reclaim.h - the part of bench.c that times memory that comes and goes, and measures the tables that are left.
 *
 * Included by bench.c alone, after the functions that it uses.
 */
#ifndef USER_BENCH_RECLAIM_H
#define USER_BENCH_RECLAIM_H

/* Sweep addresses: write the first `arg` pages of 2 MiB, drop 2 MiB, go on. */
static uint64_t touch_and_drop(const struct section *s)
{
	size_t touched = s->arg * PAGE;
	uint64_t turns = s->per / (s->arg > 1 ? s->arg : 1);
	char *at = map_anon(turns * 2 * MIB, 2 * MIB);
	uint64_t before = faults(), ticks = cycles();

	for (char *p = at; p < at + turns * 2 * MIB; p += 2 * MIB) {
		for (char *q = p; q < p + touched; q += PAGE)
			poke(q, 1);
		madvise(p, 2 * MIB, MADV_DONTNEED);
	}
	ticks = cycles() - ticks;
	expect_faults(s->name, before, turns * s->arg);
	check(!peek(at), "%s: a dropped page is not zero", s->name);
	munmap(at, turns * 2 * MIB);
	return ticks;
}

/* Sweep `arg` bytes of addresses, write a page of each 2 MiB, drop them: kB of tables left. */
static uint64_t sweep_leaves(const struct section *s)
{
	char *at = map_anon(s->arg, 2 * MIB);
	uint64_t before = status_kb("VmPTE"), after;

	for (char *p = at; p < at + s->arg; p += 2 * MIB) {
		poke(p, 1);
		madvise(p, 2 * MIB, MADV_DONTNEED);
	}
	after = status_kb("VmPTE");
	check(!peek(at), "%s: a dropped page is not zero", s->name);
	munmap(at, s->arg);
	return net(after, before);
}

static const struct section reclaim_sections[] = {
	ROW("touch_2m_dontneed_page", touch_and_drop, 32 * 512, 4 * MIB, 512),
	ROW("touch_1_dontneed_2m", touch_and_drop, 512, 4 * MIB, 1),
	ROW("tables_left_50g_kb", sweep_leaves, 0, 0, 50 * GIB),
	ROW("tables_left_1t_kb", sweep_leaves, 0, 0, 1024 * GIB),
};

#endif
