/* SPDX-License-Identifier: MIT */
/*
 * one-table.c - N threads touch interleaved pages of one 2 MiB range while another drops it.
 *
 * Page p belongs to thread p % N: all threads fault in one last-level table at once. In each
 * round a thread writes its mark to its pages, one after the other, and reads each back at
 * once: the byte must be its mark, or 0 when the dropper's MADV_DONTNEED came between, never
 * another's nor an older one. The dropper is one more thread that drops the whole range until
 * the others are done, resting -d microseconds between (0: none at all; with -n nobody drops,
 * and every mark must be found at the end of a round). Before the last round it stops, so
 * that this round's marks must all be there, and after a final drop every page must be zero.
 */
#include "user/together.h"
#include <stdatomic.h>
#include <time.h>

#define RANGE (2 * MIB)
#define PAGES (RANGE / PAGE)

static char *memory;
static unsigned threads = 1;
static uint64_t rounds = 100, rest_us = 100, faulted, faults_before;
static bool no_drop;
static pthread_barrier_t barrier;
static atomic_bool done;
static atomic_ullong lost, drops;

static struct span spans[MAX_THREADS]; /* of each thread's rounds */

/* What a thread's touches alone came to: written by it, read when it has ended. */
static struct {
	uint64_t touches, ticks;
} __attribute__((aligned(64))) own[MAX_THREADS];

static void usage(void)
{
	printf(
		"usage: one-table [-j] [-n] [-t THREADS] [-r ROUNDS] [-d MICROSECONDS]\n"
		"  THREADS write the interleaved pages of 2 MiB while one more drops them all.\n"
		"  THREADS default 1, at most %d, ROUNDS default 100; -d: the dropper's rest\n"
		"  between two drops, default 100; -n: it drops only between rounds.\n",
		MAX_THREADS);
}

/* What a thread writes into a page in a round: never 0, and not what it wrote before. */
static uint8_t mark(unsigned thread, uint64_t round, size_t page)
{
	return (uint8_t)((thread * 31 + round * 7 + page) % 255 + 1);
}

static void touch(unsigned self, uint64_t round)
{
	uint64_t from = cycles();

	for (size_t p = self; p < PAGES; p += threads) {
		poke(memory + p * PAGE, mark(self, round, p));
		own[self].touches++;
	}
	own[self].ticks += cycles() - from;
}

static void look(unsigned self, uint64_t round, bool whole)
{
	uint64_t gone = 0;

	for (size_t p = self; p < PAGES; p += threads) {
		uint8_t found = peek(memory + p * PAGE), expected = mark(self, round, p);

		check(found == expected || (!found && !whole),
		      "thread %u, round %llu, page %zu: expected %u, found %u", self,
		      (unsigned long long)round, p, expected, found);
		gone += !found;
	}
	atomic_fetch_add(&lost, gone);
}

static void drop(void)
{
	if (madvise(memory, RANGE, MADV_DONTNEED))
		die(errno, "MADV_DONTNEED");
	atomic_fetch_add(&drops, 1);
}

static void *run_dropper(void *arg)
{
	struct timespec rest = { (time_t)(rest_us / 1000000), (long)(rest_us % 1000000) * 1000 };

	(void)arg;
	while (!atomic_load(&done)) {
		drop();
		if (rest_us)
			nanosleep(&rest, NULL);
	}
	return NULL;
}

static void *run(void *arg)
{
	unsigned self = (unsigned)(uintptr_t)arg;

	pthread_barrier_wait(&barrier);
	spans[self].from = cycles();
	for (uint64_t r = 0; r < rounds; r++) {
		touch(self, r);
		look(self, r, no_drop);
		if (!no_drop)
			continue;
		pthread_barrier_wait(&barrier);
		if (self == 0)
			drop();
		pthread_barrier_wait(&barrier);
	}
	spans[self].to = cycles();
	return NULL;
}

/* One more round without a dropper: everything written must stay, then go with a last drop. */
static void *run_last(void *arg)
{
	unsigned self = (unsigned)(uintptr_t)arg;

	touch(self, rounds);
	pthread_barrier_wait(&barrier);
	look(self, rounds, true);
	pthread_barrier_wait(&barrier);
	if (self == 0)
		drop();
	pthread_barrier_wait(&barrier);
	for (size_t p = 0; p < PAGES; p++)
		check(!peek(memory + p * PAGE), "page %zu is not zero after the last drop", p);
	return NULL;
}

int main(int argc, char **argv)
{
	uint64_t span, touches = 0, ticks = 0;
	pthread_t dropper;
	int option, err;

	prog = "one-table";
	while ((option = next_option(argc, argv, "jnt:r:d:h")) != -1) {
		switch (option) {
		case 'j': rows_json = true; break;
		case 'n': no_drop = true; break;
		case 't':
			threads = (unsigned)parse_number("threads", optarg, 1, MAX_THREADS);
			break;
		case 'r': rounds = parse_number("rounds", optarg, 1, 1000000000); break;
		case 'd': rest_us = parse_number("rest", optarg, 0, 1000000000); break;
		case 'h': usage(); return 0;
		}
	}
	no_more_words(optind, argc, argv);
	memory = map_anon(RANGE, RANGE);
	pthread_barrier_init(&barrier, NULL, threads);
	faults_before = faults();
	err = no_drop ? 0 : pthread_create(&dropper, NULL, run_dropper, NULL);
	if (err)
		die(err, "the dropper");
	together(threads, run);
	atomic_store(&done, true);
	if (!no_drop)
		pthread_join(dropper, NULL);
	faulted = faults() - faults_before;
	span = longest_span(spans, threads);
	for (unsigned t = 0; t < threads; t++) {
		touches += own[t].touches;
		ticks += own[t].ticks;
	}
	drop();
	together(threads, run_last);

	row("threads", threads);
	row("rounds", rounds);
	row("touches", touches);
	row("faults", faulted);
	row("drops", atomic_load(&drops));
	row("found_dropped", atomic_load(&lost));
	row_ratio("ticks_per_touch", ticks, touches);
	row_ratio("ticks_per_fault", span, faulted);
	rows_end();
	return 0;
}
