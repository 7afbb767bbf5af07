/* SPDX-License-Identifier: MIT */
/*
 * pretouch.c - ways to make fresh anonymous memory present before it is used, and
 * what the use afterwards still costs.
 *
 * Each mode maps fresh memory of 4 KiB pages, makes it present in its own way, then
 * writes one byte to every page. Reported for each: ticks and faults per page of the
 * first pass and of the writes after it. The written bytes are verified.
 */
#include "user/quire.h"

static const char *const modes[] = { "write", "read-write", "atomic",
				     "populate-read", "populate-write", "populate-pgtable",
				     "populate-write-on-fault", NULL };

static void usage(void)
{
	fputs("usage: pretouch [-j] [-s SIZE] [-m MODE] (or --size, --mode)\n"
	      "  SIZE: bytes, default 32M. MODE: default all of\n"
	      "  write             one byte per page is written (and then written again)\n"
	      "  read-write        one byte per page is read first: the zero page, then a second "
	      "fault\n"
	      "  atomic            atomic_add(0) on each page, as some programs do\n"
	      "  populate-read     MADV_POPULATE_READ\n"
	      "  populate-write    MADV_POPULATE_WRITE\n"
	      "  populate-pgtable  Quire: page tables are made, each page faults later\n"
	      "  populate-write-on-fault  Quire: nothing yet; a fault gives its neighbours, too\n",
	      stdout);
}

/* Make the memory present. Returns 0 or an errno. */
static int prepare(int mode, char *at, size_t bytes)
{
	switch (mode) {
	case 0:
		for (size_t i = 0; i < bytes; i += PAGE)
			poke(at + i, 1);
		return 0;
	case 1:
		for (size_t i = 0; i < bytes; i += PAGE)
			check(peek(at + i) == 0, "fresh memory is not zero");
		return 0;
	case 2:
		for (size_t i = 0; i < bytes; i += PAGE)
			__atomic_fetch_add((int *)(at + i), 0, __ATOMIC_SEQ_CST);
		return 0;
	case 3: return madvise(at, bytes, MADV_POPULATE_READ) ? errno : 0;
	case 4: return madvise(at, bytes, MADV_POPULATE_WRITE) ? errno : 0;
	case 5: return madvise(at, bytes, MADV_POPULATE_PGTABLE) ? errno : 0;
	default: return madvise(at, bytes, MADV_POPULATE_WRITE_ON_FAULT) ? errno : 0;
	}
}

static void measure(int mode, size_t bytes)
{
	char *at = map_anon(bytes, 2 * MIB), name[64];
	uint64_t pages = bytes / PAGE, faults0 = faults(), start = cycles(), mid, end, faults1,
		 faults2;
	int err = prepare(mode, at, bytes);

	mid = cycles();
	faults1 = faults();
	for (size_t i = 0; i < bytes; i += PAGE)
		poke(at + i, (uint8_t)(i / PAGE + 1));
	end = cycles();
	faults2 = faults();
	for (size_t i = 0; i < bytes; i += PAGE)
		check(peek(at + i) == (uint8_t)(i / PAGE + 1), "%s: page %zu lost its byte",
		      modes[mode], i / PAGE);
	munmap(at, bytes);
	if (err) {
		snprintf(name, sizeof(name), "%s", modes[mode]);
		row_word(name, "skip");
		return;
	}
	snprintf(name, sizeof(name), "%s_first_ticks_per_page", modes[mode]);
	row_ratio(name, mid - start, pages);
	snprintf(name, sizeof(name), "%s_first_faults", modes[mode]);
	row(name, faults1 - faults0);
	snprintf(name, sizeof(name), "%s_then_ticks_per_page", modes[mode]);
	row_ratio(name, end - mid, pages);
	snprintf(name, sizeof(name), "%s_then_faults", modes[mode]);
	row(name, faults2 - faults1);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "size", required_argument, NULL, 's' },
		{ "mode", required_argument, NULL, 'm' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	size_t bytes = 32 * MIB;
	int option, only = -1;

	prog = "pretouch";
	while ((option = long_option(argc, argv, "js:m:h", options)) != -1) {
		switch (option) {
		case 'j': rows_json = true; break;
		case 's': bytes = parse_size(optarg); break;
		case 'm': only = parse_choice("mode", optarg, modes); break;
		case 'h': usage(); return 0;
		}
	}
	bytes = (bytes + PAGE - 1) & ~(PAGE - 1);
	no_more_words(optind, argc, argv);
	if (!bytes)
		refuse("bad size", "0");
	row("pages", bytes / PAGE);
	for (int mode = 0; modes[mode]; mode++)
		if (only < 0 || only == mode)
			measure(mode, bytes);
	rows_end();
	return 0;
}
