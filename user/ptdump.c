/* SPDX-License-Identifier: MIT */
/*
 * ptdump.c - the tree of page tables of a process, from /proc/PID/pagetable: one
 * line per table, two columns deeper per level. With an address, only the tables
 * on the way to it; `ptwalk` shows the entries there.
 */
#include "user/quire.h"

static void usage(FILE *to)
{
	fputs("usage: ptdump [PID] [ADDRESS]\n"
	      "  Print the page tables of process PID (default: of ptdump itself): level, range,\n"
	      "  live entries, use count, shared or own, frame. With ADDRESS (0x...), only the\n"
	      "  tables on the way to it.\n",
	      to);
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
	for (int i = 1; i < argc; i++) {
		char *end;

		if (!strcmp(argv[i], "-h") || !strcmp(argv[i], "--help")) {
			usage(stdout);
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
		die(errno, "%s", path);
	for (char *line = text, *next; line && *line; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = 0;
		if (filter && !covers(line, address))
			continue;
		puts(line);
		tables++;
	}
	printf("%llu table%s, %llu kB\n", (unsigned long long)tables, tables == 1 ? "" : "s",
	       (unsigned long long)(tables * PAGE / KIB));
	return 0;
}
