/* SPDX-License-Identifier: MIT */
/*
 * filescan.c - faults over a mapped file, in a chosen order.
 *
 * A file is made in /tmp whose pages each start with a number of their own; or one that is
 * there is taken as it is, and never written. Each round maps it anew, touches its pages in the
 * order of the pattern, verifying what it reads (or, -w, writing the complement), and unmaps it.
 * After writing, the file must have changed if and only if the mapping is shared. Uncached, the
 * kernel drops the file's pages before each round. Reported: ticks and faults per page.
 */
#include "user/scan.h"

static void usage(void)
{
	fputs("usage: filescan [options]\n" SCAN_USAGE
	      "  -m, --map KIND      private (default), shared, or code: private and executable\n"
	      "  -f, --file PATH     a file or disk that is there, and is not changed (/disk/...,\n"
	      "                      /dev/vda); default: one made in /tmp, and removed\n"
	      "  -u, --uncached      with -f: its pages are dropped before each round, and come\n"
	      "                      in by major faults\n",
	      stdout);
}

static uint64_t *numbers; /* the first of each page of the file */

/* Make the file's pages first, or restore them. */
static void fill(int fd, size_t pages)
{
	static uint64_t block[16 * PAGE / 8];

	for (size_t page = 0; page < pages; page += 16) {
		size_t count = pages - page < 16 ? pages - page : 16;

		for (size_t i = 0; i < count; i++)
			block[i * PAGE / 8] = numbers[page + i];
		if (pwrite(fd, block, count * PAGE, (off_t)(page * PAGE)) !=
		    (ssize_t)(count * PAGE))
			die(errno, "writing the file");
	}
}

/* A file in /tmp of the size to scan; or the one at `path`, of which no more is scanned than there is. */
static int open_file(struct scan *s, const char *path)
{
	const char *name = path ? path : "/tmp/filescan.tmp";
	int fd = open(name, O_CLOEXEC | (path ? O_RDONLY : O_RDWR | O_CREAT | O_TRUNC), 0600);
	off_t size = fd < 0 || !path ? 0 : lseek(fd, 0, SEEK_END);

	if (fd < 0 || size < 0)
		die(errno, "%s", name);
	if (path && (uint64_t)size < s->bytes)
		s->bytes = (uint64_t)size;
	scan_prepare(s);
	numbers = malloc(s->pages * sizeof(*numbers));
	if (!numbers)
		die(errno, "memory for %zu numbers", s->pages);
	for (size_t page = 0; page < s->pages; page++)
		if (!path)
			numbers[page] = (page + 1) * 0x9e3779b97f4a7c15ULL;
		else if (pread(fd, &numbers[page], 8, (off_t)(page * PAGE)) != 8)
			die(errno, "reading %s", name);
	if (!path) {
		unlink(name);
		fill(fd, s->pages);
	}
	return fd;
}

/* After -w: every touched page of the file must hold what the mapping's kind implies. */
static void verify_file(const struct scan *s, int fd, bool shared)
{
	for (size_t i = 0; i < s->steps; i++) {
		size_t page = s->order[i];
		uint64_t found;

		if (pread(fd, &found, 8, (off_t)(page * PAGE)) != 8)
			die(errno, "reading the file");
		check(found == (shared ? ~numbers[page] : numbers[page]),
		      "page %zu of the file is wrong after a write to a %s mapping", page,
		      shared ? "shared" : "private");
	}
}

/* Touch the pages once. Returns the ticks it took. */
static uint64_t scan_pass(const struct scan *s, char *at)
{
	uint64_t start = cycles(), wrong = 0;

	for (size_t i = 0; i < s->steps; i++) {
		size_t page = s->order[i];
		volatile uint64_t *word = (volatile uint64_t *)(at + page * PAGE);

		if (s->write)
			*word = ~numbers[page];
		else
			wrong += *word != numbers[page];
	}
	start = cycles() - start;
	check(!wrong, "%llu pages read wrong", (unsigned long long)wrong);
	return start;
}

/* Where BYTES fit in, at the beginning of a table, so that windows and tables are as many as the size says. */
static void *aligned_room(uint64_t bytes)
{
	char *room = mmap(NULL, bytes + 2 * MIB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (room == MAP_FAILED)
		die(errno, "mmap");
	munmap(room, bytes + 2 * MIB);
	return (void *)(((uintptr_t)room + 2 * MIB - 1) & ~(2 * MIB - 1));
}

int main(int argc, char **argv)
{
	static const char *const kinds[] = { "private", "shared", "code", NULL };
	enum { SHARED = 1, CODE };
	uint64_t best = UINT64_MAX, best_unmap = UINT64_MAX, faulted = 0, resident = 0, major = 0;
	bool uncached = false;
	const char *path = NULL;
	int option, fd, kind = 0;
	struct scan s;

	prog = "filescan";
	scan_init(&s);
	while ((option = long_option(argc, argv, SCAN_OPTIONS "m:f:u", scan_options)) != -1) {
		switch (option) {
		case 'm': kind = parse_choice("map", optarg, kinds); break;
		case 'f': path = optarg; break;
		case 'u': uncached = true; break;
		case 'h': usage(); return 0;
		default: scan_option(&s, option, optarg);
		}
	}
	no_more_words(optind, argc, argv);
	bool shared = kind == SHARED;

	if (uncached && !path)
		refuse("what is in /tmp cannot be dropped: -u needs", "-f");
	if (path && shared && s.write)
		refuse("writes to a shared mapping would change", path);
	fd = open_file(&s, path);
	for (uint64_t r = 0; r < s.rounds; r++) {
		char *at = mmap(aligned_room(s.bytes), s.bytes, PROT_READ | (s.write ? PROT_WRITE : 0) | (kind == CODE ? PROT_EXEC : 0),
				shared ? MAP_SHARED : MAP_PRIVATE, fd, 0);
		uint64_t rss, faults0, major0, ticks;

		if (at == MAP_FAILED)
			die(errno, "mmap");
		if (uncached && (errno = posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED)))
			die(errno, "dropping the pages of %s", path);
		rss = status_kb("VmRSS");
		major0 = major_faults();
		faults0 = faults();
		ticks = scan_pass(&s, at);
		faulted = faults() - faults0;
		major = major_faults() - major0;
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
	row("major_faults", major);
	row_ratio("ticks_per_page", best, s.steps);
	row_ratio("faults_per_1000_pages", faulted * 1000, s.steps);
	row("VmRSS_gained_kB", resident);
	row_ratio("unmap_ticks_per_page", best_unmap, s.steps);
	rows_end();
	return 0;
}
