/* SPDX-License-Identifier: MIT */
/*
 * bench_threads.h - the part of bench.c that times threads of one space on several CPUs.
 *
 * Included by bench.c alone, after the functions that it uses. As in multi-fault-all, each
 * thread writes one byte per page over 2 MiB of its own slot of 8 MiB, then one of them
 * drops it all. Under --icount the clock goes on by the instructions of all CPUs, so that
 * a phase's length over its faults is what a fault costs; without, threads run at the same
 * time and only ratios within one run mean anything: those are the group `scaling`.
 */
#ifndef USER_BENCH_THREADS_H
#define USER_BENCH_THREADS_H

#include <sched.h>
#include "user/together.h"

#define MOST_THREADS 16
#define THREAD_SLOT (8 * MIB)
#define THREAD_BYTES (2 * MIB)
#define THREAD_PAGES (THREAD_BYTES / PAGE)
#define THREAD_ROUNDS 4

static struct {
	char *memory;
	unsigned threads;
	/* A thread's pages: in bytes from one's first to the next one's, and from page to page. */
	size_t apart, step, pages;
	pthread_barrier_t barrier;
	struct span span[MOST_THREADS];
	uint64_t faulting, dropping; /* ticks of all rounds; written by thread 0 alone */
} team;

static unsigned cpus_online(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	if (sched_getaffinity(0, sizeof(set), &set))
		return 1;
	return (unsigned)CPU_COUNT(&set);
}

static void *team_run(void *arg)
{
	unsigned self = (unsigned)(uintptr_t)arg;
	char *own = team.memory + self * team.apart;

	for (unsigned r = 0; r < THREAD_ROUNDS; r++) {
		pthread_barrier_wait(&team.barrier);
		team.span[self].from = cycles();
		for (size_t p = 0; p < team.pages; p++)
			poke(own + p * team.step, (uint8_t)(self + r + 1));
		team.span[self].to = cycles();
		pthread_barrier_wait(&team.barrier);
		for (size_t p = 0; p < team.pages; p++)
			check(peek(own + p * team.step) == self + r + 1, "thread %u lost page %zu", self,
			      p);
		pthread_barrier_wait(&team.barrier);
		if (self == 0) {
			uint64_t start;

			team.faulting += longest_span(team.span, team.threads);
			start = cycles();
			madvise(team.memory, team.threads * THREAD_SLOT, MADV_DONTNEED);
			team.dropping += cycles() - start;
		}
		pthread_barrier_wait(&team.barrier);
		check(!peek(own), "thread %u: not zero after the drop", self);
	}
	return NULL;
}

/* All rounds of a team; its times are in `team`. Each thread has a slot, or all interleave in one. */
static void team_work(const char *name, unsigned threads, bool one_table)
{
	uint64_t before = faults(), pages, moved;

	team.threads = threads;
	team.apart = one_table ? PAGE : THREAD_SLOT;
	team.step = one_table ? threads * PAGE : PAGE;
	team.pages = one_table ? THREAD_PAGES / threads : THREAD_PAGES;
	pages = threads * team.pages * THREAD_ROUNDS;
	team.faulting = team.dropping = 0;
	team.memory = map_anon(threads * THREAD_SLOT, THREAD_SLOT);
	pthread_barrier_init(&team.barrier, NULL, threads);
	together(threads, team_run);
	moved = faults() - before;
	check(moved >= pages || tunable("anon_prefault_order", 0), "%s: %llu faults for %llu pages",
	      name, (unsigned long long)moved, (unsigned long long)pages);
	munmap(team.memory, threads * THREAD_SLOT);
}

/* A fault of `arg` threads, in tenths of a tick. */
static uint64_t team_fault(const struct section *s)
{
	team_work(s->name, (unsigned)s->arg, false);
	return team.faulting * 10 / (s->arg * THREAD_PAGES * THREAD_ROUNDS);
}

/* A dropped page of `arg` threads, in tenths of a tick. */
static uint64_t team_drop(const struct section *s)
{
	team_work(s->name, (unsigned)s->arg, false);
	return team.dropping * 10 / (s->arg * THREAD_PAGES * THREAD_ROUNDS);
}

/* A fault of `arg` threads in one table, in tenths of a tick. */
static uint64_t team_one_table(const struct section *s)
{
	team_work(s->name, (unsigned)s->arg, true);
	return team.faulting * 10 / (THREAD_PAGES * THREAD_ROUNDS);
}

/* The same over one of a single thread, in tenths of a per cent. */
static uint64_t team_one_table_growth(const struct section *s)
{
	struct section one = *s;
	uint64_t single;

	one.arg = 1;
	single = team_one_table(&one);
	return team_one_table(s) * 1000 / single;
}

/* A fault of `arg` threads over one of a single thread, in tenths of a per cent. */
static uint64_t team_growth(const struct section *s)
{
	struct section one = *s;
	uint64_t single;

	one.arg = 1;
	single = team_fault(&one);
	return team_fault(s) * 1000 / single;
}

/* What `arg` threads do in the time in which one does 1, in tenths of a per cent; the best round. */
static uint64_t team_speed(const struct section *s)
{
	uint64_t best = 0;

	for (int round = 0; round < 20; round++) {
		uint64_t single, all;

		team_work(s->name, 1, false);
		single = team.faulting;
		team_work(s->name, (unsigned)s->arg, false);
		all = single * s->arg * 100 / team.faulting;
		best = all > best ? all : best;
	}
	return best;
}

/* A fault of a team under a policy of pt_reclaim, and with it its part of the drop, in tenths of a tick. */
static uint64_t team_keep(const struct section *s)
{
	unsigned threads = (unsigned)(s->arg >> 8);

	if (!set_policy(s->arg & 3))
		return SKIP;
	team_work(s->name, threads, false);
	set_policy(0);
	return (team.faulting + team.dropping) * 10 / (threads * THREAD_PAGES * THREAD_ROUNDS);
}

#define TEAM_KEEP(threads)                                                                             \
	ROW("threads_keep_always_" #threads, team_keep, 10, 64 * MIB, (threads) << 8, 4, true),        \
		ROW("threads_keep_deferred_" #threads, team_keep, 10, 64 * MIB, (threads) << 8 | 1, 4, \
		    true),                                                                             \
		ROW("threads_keep_never_" #threads, team_keep, 10, 64 * MIB, (threads) << 8 | 3, 4, true)

static const struct section threads_sections[] = {
	ROW("threads_fault_1", team_fault, 10, 8 * MIB, 1, 4),
	ROW("threads_fault_16", team_fault, 10, 64 * MIB, 16, 4),
	ROW("threads_growth_percent", team_growth, 10, 64 * MIB, 16, 4),
	ROW("threads_one_table_1", team_one_table, 10, 8 * MIB, 1, 4),
	ROW("threads_one_table_16", team_one_table, 10, 8 * MIB, 16, 4),
	ROW("threads_one_table_growth_percent", team_one_table_growth, 10, 8 * MIB, 16, 4),
	ROW("threads_drop_page_16", team_drop, 10, 64 * MIB, 16, 4),
	TEAM_KEEP(1),
	TEAM_KEEP(8),
	TEAM_KEEP(16),
};

static const struct section scaling_sections[] = {
	ROW("scaling_faults_2_percent", team_speed, 0, 16 * MIB, 2, 2),
	ROW("scaling_faults_4_percent", team_speed, 0, 32 * MIB, 4, 4),
};

#endif
