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

/* What keeping empty tables is worth: pages are written and dropped under each policy of pt_reclaim, in the
 * same table again, in eight by turns, or never in the same; by one thread or several. */
enum { KEEP_TURNS = 64, KEEP_PAGES_SHIFT = 8, KEEP_SETS_SHIFT = 24 };
static const char *const keep_policies[] = { "always", "deferred", "on_request", "never" };

static bool set_policy(unsigned policy)
{
	int fd = open("/proc/sys/vm/pt_reclaim", O_WRONLY | O_CLOEXEC);
	ssize_t len = (ssize_t)strlen(keep_policies[policy]);
	bool ok = fd >= 0 && write(fd, keep_policies[policy], (size_t)len) == len;

	if (fd >= 0)
		close(fd);
	return ok;
}

/* Write PAGES pages of a table and drop them, in SETS tables by turns; the ticks. */
static uint64_t keep_turns(char *at, size_t pages, size_t sets)
{
	uint64_t ticks = cycles();

	for (size_t turn = 0; turn < KEEP_TURNS; turn++) {
		char *from = at + turn % sets * 2 * MIB;

		for (size_t p = 0; p < pages; p++)
			poke(from + p * PAGE, 1);
		madvise(from, pages * PAGE, MADV_DONTNEED);
	}
	return cycles() - ticks;
}

static uint64_t keep_round(const struct section *s)
{
	size_t pages = s->arg >> KEEP_PAGES_SHIFT & 0xffff, sets = s->arg >> KEEP_SETS_SHIFT;
	uint64_t before, result;
	char *at;

	if (!set_policy(s->arg & 3))
		return SKIP;
	at = map_anon(KEEP_TURNS * 2 * MIB, 2 * MIB);
	before = status_kb("VmPTE");
	result = keep_turns(at, pages, sets);
	if (!s->per)
		result = net(status_kb("VmPTE"), before);
	check(!peek(at), "%s: a dropped page is not zero", s->name);
	set_policy(0);
	munmap(at, KEEP_TURNS * 2 * MIB);
	return result;
}

#define KEEP_ARG(policy, pages, sets) \
	((policy) | (pages) << KEEP_PAGES_SHIFT | (uint64_t)(sets) << KEEP_SETS_SHIFT)
#define KEEP_ROW(name, policy, pages, sets) \
	ROW(name, keep_round, KEEP_TURNS * (pages), 4 * MIB, KEEP_ARG(policy, pages, sets))
#define KEEP_SET(word, policy, pages)                                                           \
	KEEP_ROW("keep_" word "_" #pages "_same", policy, pages, 1),                            \
		KEEP_ROW("keep_" word "_" #pages "_eight", policy, pages, 8),                   \
		KEEP_ROW("keep_" word "_" #pages "_other", policy, pages, KEEP_TURNS)
#define KEEP_ROWS(word, policy)                                                                 \
	KEEP_SET(word, policy, 1), KEEP_SET(word, policy, 8), KEEP_SET(word, policy, 64),       \
		KEEP_SET(word, policy, 512),                                                    \
		ROW("keep_" word "_held_kb", keep_round, 0, 0, KEEP_ARG(policy, 1, KEEP_TURNS))

static const struct section keeping_sections[] = {
	KEEP_ROWS("always", 0), KEEP_ROWS("deferred", 1), KEEP_ROWS("request", 2), KEEP_ROWS("never", 3),
};

static const struct section reclaim_sections[] = {
	ROW("touch_2m_dontneed_page", touch_and_drop, 32 * 512, 4 * MIB, 512),
	ROW("touch_1_dontneed_2m", touch_and_drop, 512, 4 * MIB, 1),
	ROW("tables_left_50g_kb", sweep_leaves, 0, 0, 50 * GIB),
	ROW("tables_left_1t_kb", sweep_leaves, 0, 0, 1024 * GIB),
	ROW("tables_left_55t_kb", sweep_leaves, 0, 0, 55 * 1024 * GIB, 1, true),
};

#endif
