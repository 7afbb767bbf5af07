/* SPDX-License-Identifier: MIT */
/*
 * bench_reclaim.h - the part of bench.c that times memory that comes and goes, and
 * measures the tables that are left.
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

/* Write a page of each 2 MiB of a range, drop it again. */
static void sweep(char *from, char *to)
{
	for (char *p = from; p < to; p += 2 * MIB) {
		poke(p, 1);
		madvise(p, 2 * MIB, MADV_DONTNEED);
	}
}

/*
 * Sweep `arg` bytes of addresses: kB of tables left. Skipped where the first GiB shows that
 * they would take more memory than is free.
 */
static uint64_t sweep_leaves(const struct section *s)
{
	char *at = map_anon(s->arg, 2 * MIB);
	uint64_t before = status_kb("VmPTE"), left, free_kb;

	sweep(at, at + GIB);
	left = net(status_kb("VmPTE"), before);
	free_kb = proc_number("/proc/meminfo", "MemAvailable", 0);
	if (left * (s->arg / GIB) < free_kb - free_kb / 8) {
		sweep(at + GIB, at + s->arg);
		left = net(status_kb("VmPTE"), before);
		check(!peek(at) && !peek(at + s->arg - 2 * MIB), "%s: a dropped page is not zero",
		      s->name);
	} else {
		left = SKIP;
	}
	munmap(at, s->arg);
	return left;
}

static const struct section reclaim_sections[] = {
	ROW("touch_2m_dontneed_page", touch_and_drop, 32 * 512, 4 * MIB, 512),
	ROW("touch_1_dontneed_2m", touch_and_drop, 512, 4 * MIB, 1),
	ROW("tables_left_50g_kb", sweep_leaves, 0, 0, 50 * GIB),
	ROW("tables_left_1t_kb", sweep_leaves, 0, 0, 1024 * GIB),
	ROW("tables_left_55t_kb", sweep_leaves, 0, 0, 55 * 1024 * GIB, 1, true),
};

#endif
