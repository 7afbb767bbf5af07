/* SPDX-License-Identifier: MIT */
/*
 * filescan.c - faults over a mapped file, in a chosen order.
 *
 * A file in /tmp is filled so that every page starts and ends with its own number.
 * Each round maps it anew, touches its pages in the order of the pattern, verifying what it
 * reads (or, -w, writing the complement), and unmaps it. After writing, the file must have
 * changed if and only if the mapping is shared. Reported: ticks and faults per page.
 */
#include "user/scan.h"

static void usage(void)
{
	fputs("usage: filescan [options]\n" SCAN_USAGE
	      "  -m, --map KIND      private (default) or shared\n"
	      "  -f, --file PATH     default /tmp/filescan.tmp; made, and removed at the end\n",
	      stdout);
}

/* The number at the start of page `page` of the file. */
static uint64_t number_of(size_t page)
{
	return (page + 1) * 0x9e3779b97f4a7c15ULL;
}

/* Make the file's pages first, or restore them. */
static void fill(int fd, size_t pages)
{
	static uint64_t block[16 * PAGE / 8];

	for (size_t page = 0; page < pages; page += 16) {
		size_t count = pages - page < 16 ? pages - page : 16;

		for (size_t i = 0; i < count; i++)
			block[i * PAGE / 8] = block[(i + 1) * PAGE / 8 - 1] = number_of(page + i);
		if (pwrite(fd, block, count * PAGE, (off_t)(page * PAGE)) !=
		    (ssize_t)(count * PAGE))
			die(errno, "writing the file");
	}
}

/* After -w: every touched page of the file must hold what the mapping's kind implies. */
static void verify_file(const struct scan *s, int fd, bool shared)
{
	size_t cursor = 0;

	for (size_t i = 0; i < s->steps; i++) {
		size_t page = scan_next(s, &cursor);
		uint64_t found;

		if (pread(fd, &found, 8, (off_t)(page * PAGE)) != 8)
			die(errno, "reading the file");
		check(found == (shared ? ~number_of(page) : number_of(page)),
		      "page %zu of the file is wrong after a write to a %s mapping", page,
		      shared ? "shared" : "private");
	}
}

/* Touch the pages once. Returns the ticks it took. */
static uint64_t scan_pass(const struct scan *s, char *at)
{
	uint64_t start = cycles(), wrong = 0;
	size_t cursor = 0;

	for (size_t i = 0; i < s->steps; i++) {
		size_t page = scan_next(s, &cursor);
		volatile uint64_t *word = (volatile uint64_t *)(at + page * PAGE);

		if (s->write)
			*word = ~number_of(page);
		else
			wrong += *word != number_of(page);
	}
	start = cycles() - start;
	check(!wrong, "%llu pages read wrong", (unsigned long long)wrong);
	return start;
}

int main(int argc, char **argv)
{
	static const char *const kinds[] = { "private", "shared", NULL };
	uint64_t best = UINT64_MAX, best_unmap = UINT64_MAX, faulted = 0, resident = 0;
	const char *path = "/tmp/filescan.tmp";
	int option, fd, shared = 0;
	struct scan s;

	prog = "filescan";
	scan_init(&s);
	while ((option = long_option(argc, argv, SCAN_OPTIONS "m:f:", scan_options)) != -1) {
		switch (option) {
		case 'm': shared = parse_choice("map", optarg, kinds); break;
		case 'f': path = optarg; break;
		case 'h': usage(); return 0;
		default: scan_option(&s, option, optarg);
		}
	}
	no_more_words(optind, argc, argv);
	scan_prepare(&s);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		die(errno, "%s", path);
	unlink(path);
	fill(fd, s.pages);
	for (uint64_t r = 0; r < s.rounds; r++) {
		char *at = mmap(NULL, s.bytes, PROT_READ | (s.write ? PROT_WRITE : 0),
				shared ? MAP_SHARED : MAP_PRIVATE, fd, 0);
		uint64_t rss, faults0, ticks;

		if (at == MAP_FAILED)
			die(errno, "mmap");
		rss = status_kb("VmRSS");
		faults0 = faults();
		ticks = scan_pass(&s, at);
		faulted = faults() - faults0;
		resident = status_kb("VmRSS") - rss;
		best = ticks < best ? ticks : best;
		ticks = cycles();
		munmap(at, s.bytes);
		ticks = cycles() - ticks;
		best_unmap = ticks < best_unmap ? ticks : best_unmap;
		if (s.write) {
			verify_file(&s, fd, shared);
			if (shared)
				fill(fd, s.pages);
		}
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
