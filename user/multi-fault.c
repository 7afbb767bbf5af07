/* SPDX-License-Identifier: MIT */
/*
 * multi-fault.c - N threads fault memory in at once and drop it again.
 *
 * Each thread owns a slot of 8 MiB and writes one byte per page over the first
 * 2 MiB of it; then everything is dropped by MADV_DONTNEED. Barriers separate the
 * two phases; a phase lasts from the first thread's begin to the last one's end.
 * Built as multi-fault, each thread drops its own 2 MiB; built as multi-fault-all
 * (DROP_ALL), thread 0 drops the slots of all with one call, while the others' CPUs
 * may still hold them in their TLBs. Every page is read back after the writes and
 * must be zero after the last drop.
 */
#include "user/together.h"

#define SLOT (8 * MIB)
#define TOUCHED (2 * MIB)
#define PAGES (TOUCHED / PAGE)

#ifdef DROP_ALL
static const bool drop_all = true;
#else
static const bool drop_all = false;
#endif

static char *memory;
static unsigned threads = 1;
static uint64_t rounds = 10;
static pthread_barrier_t barrier;
static struct span spans[MAX_THREADS];	/* of each thread's phase */
static uint64_t fault_ticks, drop_ticks, faults_before, faulted; /* written by thread 0 alone */

static void usage(void)
{
	printf(
		"usage: %s [-j] [-r ROUNDS] [THREADS]\n"
		"  Each thread writes one byte per page over 2 MiB of its own 8 MiB slot; then "
		"%s.\n"
		"  ROUNDS default 10, THREADS default 1, at most %d.\n",
		prog,
		drop_all ? "thread 0\n  drops all slots by one MADV_DONTNEED" :
			   "each\n  drops its own by MADV_DONTNEED",
		MAX_THREADS);
}

/* What a thread writes into a page in a round: never 0. */
static uint8_t mark(unsigned thread, uint64_t round, size_t page)
{
	return (uint8_t)((thread * 31 + round * 7 + page) % 255 + 1);
}

static void *run(void *arg)
{
	unsigned self = (unsigned)(uintptr_t)arg;
	char *own = memory + self * SLOT;

	for (uint64_t r = 0; r < rounds; r++) {
		pthread_barrier_wait(&barrier);
		spans[self].from = cycles();
		for (size_t p = 0; p < PAGES; p++)
			poke(own + p * PAGE, mark(self, r, p));
		spans[self].to = cycles();
		pthread_barrier_wait(&barrier);
		if (self == 0)
			fault_ticks += longest_span(spans, threads);
		for (size_t p = 0; p < PAGES; p++)
			check((uint8_t)own[p * PAGE] == mark(self, r, p),
			      "thread %u lost page %zu in round %llu", self, p,
			      (unsigned long long)r);
		pthread_barrier_wait(&barrier);
		spans[self].from = cycles();
		if (!drop_all)
			madvise(own, TOUCHED, MADV_DONTNEED);
		else if (self == 0)
			madvise(memory, threads * SLOT, MADV_DONTNEED);
		spans[self].to = cycles();
		pthread_barrier_wait(&barrier);
		if (self == 0)
			drop_ticks += longest_span(spans, drop_all ? 1 : threads);
		pthread_barrier_wait(&barrier);
	}
	if (self == 0)
		faulted = faults() - faults_before;
	pthread_barrier_wait(&barrier);
	for (size_t p = 0; p < PAGES; p++)
		check(!peek(own + p * PAGE), "thread %u: page %zu is not zero after the drop", self,
		      p);
	return NULL;
}

int main(int argc, char **argv)
{
	uint64_t pages, tables_before, tables_after;
	int option;

	prog = base_name(argv[0]);
	while ((option = next_option(argc, argv, "jr:h")) != -1) {
		switch (option) {
		case 'j': rows_json = true; break;
		case 'r': rounds = parse_number("rounds", optarg, 1, 1000000000); break;
		case 'h': usage(); return 0;
		}
	}
	no_more_words(optind + 1, argc, argv);
	if (optind < argc)
		threads = (unsigned)parse_number("number of threads", argv[optind], 1, MAX_THREADS);
	memory = map_anon(threads * SLOT, SLOT);
	tables_before = status_kb("VmPTE");
	pthread_barrier_init(&barrier, NULL, threads);
	faults_before = faults();
	together(threads, run);
	pages = rounds * threads * PAGES;
	madvise(memory, threads * SLOT, MADV_DONTNEED);
	tables_after = status_kb("VmPTE");
	check(faulted >= pages || tunable("anon_prefault_order", 0), "%llu faults for %llu pages",
	      (unsigned long long)faulted, (unsigned long long)pages);

	row("threads", threads);
	row("rounds", rounds);
	row("pages", pages);
	row("faults", faulted);
	row_ratio("ticks_per_fault", fault_ticks, pages);
	row_ratio("ticks_per_dropped_page", drop_ticks, pages);
	row("VmPTE_before_kB", tables_before);
	row("VmPTE_after_kB", tables_after);
	rows_end();
	return 0;
}
