/* SPDX-License-Identifier: MIT */
/*
 * bench.c - the table of costs: one section per operation, in ticks of the TSC, which
 * under `--icount` are guest instructions.
 *
 * Each section does its operation often enough that the making of tables and the reading
 * of the clock are spread thin, takes the best of several rounds, subtracts the empty
 * loop where it counts, and checks by getrusage and by contents that what it claims to
 * time has really happened. Memory is of 4 KiB pages. A row whose call this kernel does
 * not have, or for which memory is too small, prints `skip`. The same binary runs on Linux.
 */
#include "user/quire.h"

#define REGION	     (16 * MIB)
#define REGION_PAGES (REGION / PAGE)
#define SKIP	     UINT64_MAX

enum { TOUCH = 1, WHOLE, NEIGHBOUR, ALONE, NONE, SHARED_OVER_NONE };

static char *self_path;
static volatile uint64_t sink;

/*
 * One row: round() does the operation `per` times and returns its ticks, or SKIP. Where per
 * is 0, round() counts something else than ticks, and once will do.
 */
struct section {
	const char *name;
	uint64_t (*round)(const struct section *s);
	uint64_t per;
	uint64_t memory; /* bytes it needs free */
	uint64_t arg;	 /* for round(): which of its variants */
};

/* Write one byte of each page; returns the ticks. */
static uint64_t write_pages(char *at, size_t bytes, uint8_t value)
{
	uint64_t start = cycles();

	for (char *p = at; p < at + bytes; p += PAGE)
		poke(p, value);
	return cycles() - start;
}

/* Read one byte of each page; returns the ticks, and the sum in `sink`. */
static uint64_t read_pages(const char *at, size_t bytes)
{
	uint64_t start = cycles(), sum = 0;

	for (const char *p = at; p < at + bytes; p += PAGE)
		sum += peek(p);
	start = cycles() - start;
	sink = sum;
	return start;
}

/* Time less the cost of the loop around it, never below 0. */
static uint64_t net(uint64_t ticks, uint64_t loop)
{
	return ticks > loop ? ticks - loop : 0;
}

/* A section's faults must be one per page, unless a policy gives pages ahead. */
static void expect_faults(const char *name, uint64_t before, uint64_t pages)
{
	uint64_t moved = faults() - before;

	if (moved < pages && tunable("anon_prefault_order", 0))
		return;
	check(moved >= pages && moved <= pages + pages / 64 + 8, "%s: %llu faults for %llu pages",
	      name, (unsigned long long)moved, (unsigned long long)pages);
}

static pid_t checked_fork(void)
{
	pid_t pid = fork();

	if (pid < 0)
		die(errno, "fork");
	return pid;
}

static void reap(const char *name, pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid || status)
		die(0, "%s: a child failed", name);
}

#include "user/bench_fork.h"

static inline long null_call(void)
{
	long result;

	__asm__ volatile("syscall" : "=a"(result) : "a"(110L) : "rcx", "r11", "memory");
	return result;
}

#define NULL_CALLS 10000

static uint64_t null_syscall(const struct section *s)
{
	uint64_t start, ticks;

	check(null_call() == getppid(), "%s: getppid is wrong", s->name);
	start = cycles();
	for (int i = 0; i < NULL_CALLS; i++)
		null_call();
	ticks = cycles() - start;
	start = cycles();
	for (int i = 0; i < NULL_CALLS; i++)
		__asm__ volatile("" : : "a"(110L) : "rcx", "r11", "memory");
	return net(ticks, cycles() - start);
}

static uint64_t anon_write_fault(const struct section *s)
{
	char *at = map_anon(REGION, 2 * MIB);
	uint64_t before = faults(), ticks = write_pages(at, REGION, 1);

	expect_faults(s->name, before, REGION_PAGES);
	ticks = net(ticks, write_pages(at, REGION, 1));
	munmap(at, REGION);
	return ticks;
}

static uint64_t zero_read_fault(const struct section *s)
{
	char *at = map_anon(REGION, 2 * MIB);
	uint64_t before = faults(), ticks = read_pages(at, REGION);

	check(!sink, "%s: fresh memory is not zero", s->name);
	expect_faults(s->name, before, REGION_PAGES);
	ticks = net(ticks, read_pages(at, REGION));
	munmap(at, REGION);
	return ticks;
}

static uint64_t write_after_zero_read(const struct section *s)
{
	char *at = map_anon(REGION, 2 * MIB);
	uint64_t before, ticks;

	read_pages(at, REGION);
	before = faults();
	ticks = write_pages(at, REGION, 1);
	if (tunable("zero_page", 1))
		expect_faults(s->name, before, REGION_PAGES);
	ticks = net(ticks, write_pages(at, REGION, 1));
	munmap(at, REGION);
	return ticks;
}

static uint64_t populate_write_page(const struct section *s)
{
	char *at = map_anon(REGION, 2 * MIB);
	uint64_t before, ticks = cycles();
	int failed = madvise(at, REGION, MADV_POPULATE_WRITE);

	ticks = cycles() - ticks;
	before = faults();
	if (!failed)
		write_pages(at, REGION, 1);
	check(failed || faults() - before < 8, "%s: writes fault after populating", s->name);
	munmap(at, REGION);
	return failed ? SKIP : ticks;
}

/* A file of REGION bytes in /tmp, whose pages start with the low byte of their number plus 1. */
static int pattern_file(void)
{
	static const char path[] = "/tmp/bench.tmp";
	static char page[PAGE];
	static int fd = -1;

	if (fd >= 0)
		return fd;
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		die(errno, "%s", path);
	unlink(path);
	for (size_t p = 0; p < REGION_PAGES; p++) {
		page[0] = (char)(p + 1);
		if (write(fd, page, PAGE) != (ssize_t)PAGE)
			die(errno, "%s", path);
	}
	return fd;
}

static char *map_file(int prot)
{
	char *at = mmap(NULL, REGION, prot, MAP_PRIVATE, pattern_file(), 0);

	if (at == MAP_FAILED)
		die(errno, "mmap of a file");
	return at;
}

static uint64_t file_read_page(const struct section *s)
{
	char *at = map_file(PROT_READ);
	uint64_t before = faults(), ticks = read_pages(at, REGION);
	uint64_t moved = faults() - before;

	check(moved >= REGION / (2 * MIB) && moved <= REGION_PAGES + 8,
	      "%s: %llu faults for %llu pages", s->name, (unsigned long long)moved,
	      (unsigned long long)REGION_PAGES);
	ticks = net(ticks, read_pages(at, REGION));
	for (size_t p = 0; p < REGION_PAGES; p++)
		check(peek(at + p * PAGE) == (uint8_t)(p + 1), "%s: page %zu is wrong", s->name, p);
	munmap(at, REGION);
	return ticks;
}

static uint64_t private_file_write_fault(const struct section *s)
{
	char *at = map_file(PROT_READ | PROT_WRITE), byte;
	uint64_t before = faults(), ticks = write_pages(at, REGION, 0);

	expect_faults(s->name, before, REGION_PAGES);
	ticks = net(ticks, write_pages(at, REGION, 0));
	for (size_t p = 0; p < REGION_PAGES; p += 61)
		check(pread(pattern_file(), &byte, 1, (off_t)(p * PAGE)) == 1 &&
			      byte == (char)(p + 1),
		      "%s: a private write reached the file", s->name);
	munmap(at, REGION);
	return ticks;
}

static uint64_t munmap_page(const struct section *s)
{
	char *at = map_anon(REGION, 2 * MIB);
	unsigned char resident;
	uint64_t ticks;

	write_pages(at, REGION, 1);
	ticks = cycles();
	munmap(at, REGION);
	ticks = cycles() - ticks;
	check(mincore(at, PAGE, &resident) && errno == ENOMEM, "%s: still mapped", s->name);
	return ticks;
}

static uint64_t mprotect_page(const struct section *s)
{
	char *at = map_anon(REGION, 2 * MIB);
	uint64_t before, ticks;

	write_pages(at, REGION, 1);
	ticks = cycles();
	if (mprotect(at, REGION, PROT_READ))
		die(errno, "%s", s->name);
	ticks = cycles() - ticks;
	before = faults();
	read_pages(at, REGION);
	check(faults() - before < 8 && sink == REGION_PAGES, "%s: contents or pages are lost",
	      s->name);
	munmap(at, REGION);
	return ticks;
}

#define MAPS 200

/* mmap and munmap of 128 KiB, touching the first page of each for TOUCH. */
static uint64_t map_unmap(const struct section *s)
{
	uint64_t before = faults(), ticks = cycles();

	for (int i = 0; i < MAPS; i++) {
		char *at = mmap(NULL, 128 * KIB, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (at == MAP_FAILED)
			die(errno, "%s", s->name);
		if (s->arg == TOUCH)
			poke(at, 1);
		munmap(at, 128 * KIB);
	}
	ticks = cycles() - ticks;
	expect_faults(s->name, before, s->arg == TOUCH ? MAPS : 0);
	return ticks;
}

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

static const struct section sections[] = {
	{ "null_syscall", null_syscall, NULL_CALLS, 0, 0 },
	{ "anon_write_fault", anon_write_fault, REGION_PAGES, REGION, 0 },
	{ "zero_read_fault", zero_read_fault, REGION_PAGES, MIB, 0 },
	{ "write_after_zero_read", write_after_zero_read, REGION_PAGES, REGION, 0 },
	{ "populate_write_page", populate_write_page, REGION_PAGES, REGION, 0 },
	{ "file_read_page", file_read_page, REGION_PAGES, REGION, 0 },
	{ "private_file_write_fault", private_file_write_fault, REGION_PAGES, 2 * REGION, 0 },
	{ "munmap_page", munmap_page, REGION_PAGES, REGION, 0 },
	{ "mprotect_page", mprotect_page, REGION_PAGES, REGION, 0 },
	{ "mmap_munmap_128k", map_unmap, MAPS, 0, 0 },
	{ "mmap_touch_munmap_128k", map_unmap, MAPS, MIB, TOUCH },
	{ "fork_0", time_fork, 1, 0, 0 },
	{ "fork_1g", time_fork, 1, GIB, 0 },
	{ "fork_8g", time_fork, 1, 8 * GIB, 0 },
	{ "fork_exit_wait_8g", time_fork, 1, 8 * GIB, WHOLE },
	{ "fork_exit_wait_1g", time_fork, 1, GIB, WHOLE },
	{ "first_write_after_fork_1g", write_after_fork, 1, GIB, 0 },
	{ "neighbour_write_after_fork_1g", write_after_fork, 1, GIB, NEIGHBOUR },
	{ "write_alone_after_fork_1g", write_after_fork, 1, GIB, ALONE },
	{ "fork_none_1g", time_fork_none, 1, GIB, 0 },
	{ "first_write_after_fork", write_after_fork, 1, 64 * MIB, 0 },
	{ "neighbour_write_after_fork", write_after_fork, 1, 64 * MIB, NEIGHBOUR },
	{ "write_alone_after_fork", write_after_fork, 1, 64 * MIB, ALONE },
	{ "child_writes_all", child_writes_all, COPIED_PAGES, 2 * COPIED, 0 },
	{ "child_writes_all_none", child_writes_all, COPIED_PAGES, 2 * COPIED, NONE },
	{ "child_writes_all_percent", child_writes_all, 10, 2 * COPIED, SHARED_OVER_NONE },
	{ "child_reads_all_copies", child_reads_all_copies, 0, COPIED, 0 },
	{ "fork_exec_exit_wait", fork_exec_exit_wait, 1, MIB, 0 },
	{ "touch_2m_dontneed_page", touch_and_drop, 32 * 512, 4 * MIB, 512 },
	{ "touch_1_dontneed_2m", touch_and_drop, 512, 4 * MIB, 1 },
	{ "tables_left_50g_kb", sweep_leaves, 0, 0, 50 * GIB },
	{ "tables_left_1t_kb", sweep_leaves, 0, 0, 1024 * GIB },
};
#define SECTIONS (sizeof(sections) / sizeof(sections[0]))

static void usage(FILE *to)
{
	fputs("usage: bench [-j] [-r ROUNDS] [ROW...]\n"
	      "  Time all rows, or those named; the best of ROUNDS (8). Rows:",
	      to);
	for (size_t s = 0; s < SECTIONS; s++)
		fprintf(to, "%s%s", s % 3 ? " " : "\n    ", sections[s].name);
	fputc('\n', to);
}

static void run_section(const struct section *s, uint64_t rounds)
{
	uint64_t needed_kb = s->memory / KIB, best = SKIP, free_kb;

	if (large_bytes != s->memory)
		keep_large(0);
	free_kb = proc_number("/proc/meminfo", "MemAvailable",
			      proc_number("/proc/meminfo", "MemFree", 0));
	/* an eighth more than it asks for: for tables, and for the rest of the machine */
	if (large_bytes == s->memory || free_kb >= needed_kb + needed_kb / 8)
		for (uint64_t r = 0; r < (s->per ? rounds : 1); r++) {
			uint64_t ticks = s->round(s);

			best = ticks < best ? ticks : best;
			if (ticks == SKIP)
				break;
		}
	if (best == SKIP)
		row_ratio(s->name, 0, 0);
	else if (s->per <= 1)
		row(s->name, best);
	else
		row_ratio(s->name, best, s->per);
}

int main(int argc, char **argv)
{
	static char exe[512];
	uint64_t rounds = 8;
	int option;
	ssize_t len;

	if (argc == 2 && !strcmp(argv[1], "--leaf"))
		return 0;
	prog = "bench";
	while ((option = next_option(argc, argv, "jr:h")) != -1) {
		switch (option) {
		case 'j': rows_json = true; break;
		case 'r': rounds = parse_number("rounds", optarg, 1, 1000); break;
		case 'h': usage(stdout); return 0;
		default: usage(stderr); return 2;
		}
	}
	len = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	self_path = len > 0 ? exe : argv[0];
	for (int i = optind; i < argc; i++) {
		size_t s = 0;

		while (s < SECTIONS && strcmp(sections[s].name, argv[i]))
			s++;
		if (s == SECTIONS) {
			fprintf(stderr, "bench: no row '%s'; `bench -h` lists them\n", argv[i]);
			return 2;
		}
	}
	for (size_t s = 0; s < SECTIONS; s++) {
		bool wanted = optind == argc;

		for (int i = optind; i < argc; i++)
			wanted |= !strcmp(argv[i], sections[s].name);
		if (wanted)
			run_section(&sections[s], rounds);
	}
	rows_end();
	return 0;
}
