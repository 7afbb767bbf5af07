/* SPDX-License-Identifier: MIT */
/*
 * anonscan.c - faults over fresh anonymous memory, in a chosen order.
 *
 * Each round maps fresh memory, touches its pages in the order of the pattern (a read
 * must find zero, -w writes a mark), and unmaps it. Reported: ticks and faults per page
 * touched, resident memory gained, ticks to unmap. Marks are verified afterwards.
 */
#include "user/scan.h"

static void usage(void)
{
	fputs("usage: anonscan [options]\n" SCAN_USAGE, stdout);
}

int main(int argc, char **argv)
{
	uint64_t best = UINT64_MAX, best_unmap = UINT64_MAX, faulted = 0, resident = 0;
	struct scan s;
	int option;

	prog = "anonscan";
	scan_init(&s);
	while ((option = long_option(argc, argv, SCAN_OPTIONS, scan_options)) != -1) {
		if (option == 'h') {
			usage();
			return 0;
		}
		if (!scan_option(&s, option, optarg))
			refuse("no file is mapped here:", optarg);
	}
	no_more_words(optind, argc, argv);
	scan_prepare(&s);
	for (uint64_t r = 0; r < s.rounds; r++) {
		char *at = map_anon(s.bytes, 2 * MIB);
		uint64_t rss = status_kb("VmRSS"), faults0 = faults(), start = cycles(), ticks;

		if (s.write)
			for (size_t i = 0; i < s.steps; i++)
				poke(at + s.order[i] * PAGE, 1);
		else
			for (size_t i = 0; i < s.steps; i++)
				check(!peek(at + s.order[i] * PAGE),
				      "fresh memory is not zero");
		ticks = cycles() - start;
		faulted = faults() - faults0;
		resident = status_kb("VmRSS") - rss;
		best = ticks < best ? ticks : best;
		if (s.write)
			for (size_t i = 0; i < s.steps; i++)
				check(peek(at + s.order[i] * PAGE) == 1,
				      "a mark is lost");
		start = cycles();
		munmap(at, s.bytes);
		ticks = cycles() - start;
		best_unmap = ticks < best_unmap ? ticks : best_unmap;
	}
	row("pages_touched", s.steps);
	row("faults", faulted);
	row_ratio("ticks_per_page", best, s.steps);
	row_ratio("faults_per_1000_pages", faulted * 1000, s.steps);
	row("VmRSS_gained_kB", resident);
	row_ratio("unmap_ticks_per_page", best_unmap, s.steps);
	rows_end();
	return 0;
}
