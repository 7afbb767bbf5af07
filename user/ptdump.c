/* SPDX-License-Identifier: MIT */
/*
 * ptdump.c - the tree of page tables of a process, from /proc/PID/pagetable: one
 * line per table, two columns deeper per level. Tables that other processes reach as
 * well are found in their trees, by frame. With an address, only the tables on the way
 * to it; `ptwalk` shows the entries there.
 */
#include <dirent.h>
#include "user/quire.h"

static void usage(void)
{
	fputs("usage: ptdump [PID] [ADDRESS]\n"
	      "  Print the page tables of process PID (default: of ptdump itself): level, range,\n"
	      "  live entries, use count, shared or own, frame, and of a shared one the processes\n"
	      "  that reach it. With ADDRESS (0x...), only the tables on the way to it.\n",
	      stdout);
}

/* The trees of all processes that there are, and the frames in them. */
struct reach {
	uint64_t frame;
	int pid;
};
static struct reach *reaches;
static size_t nr_reaches;

static uint64_t frame_of(const char *line)
{
	const char *at = strstr(line, "frame=");

	return at ? strtoull(at + 6, NULL, 16) : 0;
}

static int by_frame(const void *a, const void *b)
{
	const struct reach *x = a, *y = b;

	if (x->frame != y->frame)
		return x->frame < y->frame ? -1 : 1;
	return (x->pid > y->pid) - (x->pid < y->pid);
}

static void add_tree(int pid)
{
	char path[64], *text, *line;

	snprintf(path, sizeof(path), "/proc/%d/pagetable", pid);
	text = read_text(path);
	for (line = text; line && *line; line = strchr(line, '\n'), line += line != NULL) {
		if (!(nr_reaches & (nr_reaches - 1))) {
			struct reach *more =
				realloc(reaches, (nr_reaches ? 2 * nr_reaches : 1) * sizeof(*reaches));

			if (!more)
				die(0, "out of memory");
			reaches = more;
		}
		reaches[nr_reaches++] = (struct reach){ frame_of(line), pid };
	}
	free(text);
}

static void find_reaches(void)
{
	DIR *proc = opendir("/proc");
	struct dirent *e;

	while (proc && (e = readdir(proc)))
		if (e->d_name[0] >= '1' && e->d_name[0] <= '9')
			add_tree(atoi(e->d_name));
	if (proc)
		closedir(proc);
	qsort(reaches, nr_reaches, sizeof(*reaches), by_frame);
}

/* After a table's line: `by=PID,PID...`. */
static void print_sharers(uint64_t frame)
{
	size_t low = 0, high = nr_reaches;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (reaches[middle].frame < frame)
			low = middle + 1;
		else
			high = middle;
	}
	for (const char *before = " by="; low < nr_reaches && reaches[low].frame == frame; low++) {
		printf("%s%d", before, reaches[low].pid);
		before = ",";
	}
}

/* Whether the table of this line, `... 0xFROM-0xTO ...`, covers the address. */
static bool covers(const char *line, uint64_t address)
{
	const char *range = strstr(line, "0x");
	char *dash;
	uint64_t from, to;

	if (!range)
		return true;
	from = strtoull(range, &dash, 16);
	if (*dash != '-')
		return true;
	to = strtoull(dash + 1, NULL, 16);
	return from <= address && (address < to || to == 0);
}

int main(int argc, char **argv)
{
	uint64_t address = 0, tables = 0;
	bool filter = false;
	const char *pid = "self";
	char path[64], *text;

	prog = "ptdump";
	no_more_words(3, argc, argv);
	for (int i = 1; i < argc; i++) {
		char *end;

		if (!strcmp(argv[i], "-h") || !strcmp(argv[i], "--help")) {
			usage();
			return 0;
		}
		if (strncmp(argv[i], "0x", 2)) {
			if (strcmp(argv[i], "self"))
				parse_number("process", argv[i], 1, INT32_MAX);
			pid = argv[i];
			continue;
		}
		address = strtoull(argv[i], &end, 16);
		if (*end || end == argv[i] + 2) {
			fprintf(stderr, "ptdump: bad address '%s'\n", argv[i]);
			return 2;
		}
		filter = true;
	}
	snprintf(path, sizeof(path), "/proc/%s/pagetable", pid);
	text = read_text(path);
	if (!text)
		die(0, errno == ENOENT ? "no process %s" : "process %s cannot be looked into", pid);
	if (strstr(text, " shared "))
		find_reaches();
	for (char *line = text, *next; line && *line; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = 0;
		if (filter && !covers(line, address))
			continue;
		fputs(line, stdout);
		if (strstr(line, " shared "))
			print_sharers(frame_of(line));
		putchar('\n');
		tables++;
	}
	printf("%llu table%s, %llu kB\n", (unsigned long long)tables, tables == 1 ? "" : "s",
	       (unsigned long long)(tables * PAGE / KIB));
	return 0;
}
