/* SPDX-License-Identifier: MIT */
/*
 * bench.c - the table of costs: one section per operation, in ticks of the TSC, which
 * under `--icount` are guest instructions. The sections are in headers, a group in each.
 *
 * Each section does its operation often enough that the making of tables and the reading
 * of the clock are spread thin, takes the best of several rounds, subtracts the empty
 * loop where it counts, and checks by getrusage and by contents that what it claims to
 * time has really happened. Memory is of 4 KiB pages. A row whose call this kernel does
 * not have, or for which memory is too small or CPUs too few, prints `skip`. The same binary
 * runs on Linux.
 */
#include "user/quire.h"

#define REGION (16 * MIB)
#define REGION_PAGES (REGION / PAGE)
#define SKIP UINT64_MAX

enum { TOUCH = 1,
       WHOLE,
       NEIGHBOUR,
       ALONE,
       NONE,
       SHARED_OVER_NONE };

static char *self_path;
static volatile uint64_t sink;

/*
 * One row: round() does the operation `per` times and returns its ticks, or SKIP. Where per
 * is 0, round() counts something else than ticks, and once will do. A row goes into the
 * table at the end of its header; nothing else needs to know of it but tests/bench.targets.
 */
struct section {
	const char *name;
	uint64_t (*round)(const struct section *s);
	uint64_t per;
	uint64_t memory; /* bytes it needs free */
	uint64_t arg;	 /* for round(): which of its variants */
	unsigned cpus;	 /* it needs, where more than one */
	bool asked;	 /* runs only when it is named itself: it takes long */
};
#define ROW(...)                    \
	{                           \
		.name = __VA_ARGS__ \
	} /* in a table of sections: what is left out is 0 */

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

#include "user/bench_memory.h"
#include "user/bench_around.h"
#include "user/bench_fork.h"
#include "user/bench_reclaim.h"
#include "user/bench_threads.h"

#define GROUP(of)                               \
	.name = #of, .sections = of##_sections, \
	.count = sizeof(of##_sections) / sizeof(of##_sections[0])

static const struct group {
	const char *name;
	const struct section *sections;
	size_t count;
	bool asked; /* runs only when it is named */
} groups[] = {
	{ GROUP(memory) },
	{ GROUP(around) },
	{ GROUP(fork) },
	{ GROUP(reclaim) },
	{ GROUP(threads) },
	{ GROUP(scaling), .asked = true },
	{ GROUP(keeping), .asked = true },
};
#define GROUPS (sizeof(groups) / sizeof(groups[0]))

static void usage(void)
{
	fputs("usage: bench [-j] [-w] [-r ROUNDS] [GROUP|ROW...]\n"
	      "  Time the rows or groups named, or all but those in brackets: the best of ROUNDS "
	      "(8).\n"
	      "  -w  after each figure that is not the same in all rounds its worst, as "
	      "ROW_worst\n",
	      stdout);
	for (size_t g = 0; g < GROUPS; g++) {
		const struct group *group = &groups[g];

		printf("%s:", group->name);
		for (size_t s = 0; s < group->count; s++) {
			bool asked = group->asked || group->sections[s].asked;

			printf("%s%s%s%s", s % 3 ? " " : "\n    ", asked ? "(" : "",
			       group->sections[s].name, asked ? ")" : "");
		}
		putchar('\n');
	}
}

static void print_row(const struct section *s, const char *suffix, uint64_t ticks)
{
	char name[80];

	snprintf(name, sizeof(name), "%s%s", s->name, suffix);
	if (ticks == SKIP)
		row_ratio(name, 0, 0);
	else if (s->per <= 1)
		row(name, ticks);
	else
		row_ratio(name, ticks, s->per);
}

static void run_section(const struct section *s, uint64_t rounds, bool show_worst)
{
	uint64_t needed_kb = s->memory / KIB, best = SKIP, worst = 0, free_kb;

	if (large_bytes != s->memory)
		keep_large(0);
	free_kb = proc_number("/proc/meminfo", "MemAvailable",
			      proc_number("/proc/meminfo", "MemFree", 0));
	/* an eighth more than it asks for: for tables, and for the rest of the machine */
	if (s->cpus <= cpus_online() &&
	    (large_bytes == s->memory || free_kb >= needed_kb + needed_kb / 8))
		for (uint64_t r = 0; r < (s->per ? rounds : 1); r++) {
			uint64_t ticks = s->round(s);

			best = ticks < best ? ticks : best;
			worst = ticks > worst ? ticks : worst;
			if (ticks == SKIP)
				break;
		}
	print_row(s, "", best);
	if (show_worst && best != SKIP && worst > best)
		print_row(s, "_worst", worst);
}

/* Whether one of the words, of which `count`, names this row or its group; none: the usual rows. */
static bool wanted(const struct group *g, const struct section *s, char **words, int count)
{
	for (int i = 0; i < count; i++)
		if (!strcmp(words[i], s->name) || (!strcmp(words[i], g->name) && !s->asked))
			return true;
	return !count && !g->asked && !s->asked;
}

static bool known(char *word)
{
	for (size_t g = 0; g < GROUPS; g++)
		for (size_t s = 0; s < groups[g].count; s++)
			if (wanted(&groups[g], &groups[g].sections[s], &word, 1))
				return true;
	return false;
}

int main(int argc, char **argv)
{
	static char exe[512];
	uint64_t rounds = 8;
	bool show_worst = false;
	int option;
	ssize_t len;

	if (argc == 2 && !strcmp(argv[1], "--leaf"))
		return 0;
	prog = "bench";
	while ((option = next_option(argc, argv, "jwr:h")) != -1) {
		switch (option) {
		case 'j': rows_json = true; break;
		case 'w': show_worst = true; break;
		case 'r': rounds = parse_number("rounds", optarg, 1, 1000); break;
		case 'h': usage(); return 0;
		}
	}
	len = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	self_path = len > 0 ? exe : argv[0];
	for (int i = optind; i < argc; i++)
		if (!known(argv[i])) {
			fprintf(stderr, "bench: no row or group '%s'; `bench -h` lists them\n",
				argv[i]);
			return 2;
		}
	for (size_t g = 0; g < GROUPS; g++)
		for (size_t s = 0; s < groups[g].count; s++)
			if (wanted(&groups[g], &groups[g].sections[s], argv + optind,
				   argc - optind))
				run_section(&groups[g].sections[s], rounds, show_worst);
	rows_end();
	return 0;
}
