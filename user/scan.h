/* SPDX-License-Identifier: MIT */
/*
 * scan.h - the order in which filescan and anonscan visit pages, and their common
 * options. A pattern becomes a list of pages, so that both programs, and a check after
 * them, walk the same pages in the same order, and the walk itself costs next to nothing.
 */
#ifndef USER_SCAN_H
#define USER_SCAN_H

#include "user/quire.h"

enum scan_pattern { SCAN_LINEAR, SCAN_RANDOM, SCAN_STRIDED, SCAN_2M, SCAN_PHASES };

static const char *const scan_patterns[] = { "linear", "random", "strided", "2m", "phases", NULL };

struct scan {
	size_t bytes, pages;
	enum scan_pattern pattern;
	size_t stride; /* pages between touches of `strided` */
	size_t *order; /* the pages to touch, in this order */
	size_t steps;  /* how many those are */
	uint64_t rounds;
	bool write;
};

#define SCAN_OPTIONS "js:p:r:t:wh"
#define SCAN_USAGE                                                                           \
	"  -s, --size SIZE     bytes to scan, default 32M\n"                                 \
	"  -p, --pattern NAME  linear (default), random (every page once),\n"                \
	"                      strided (every STRIDE-th page), 2m (one page per 2 MiB),\n"   \
	"                      phases (linear, 2m, random, linear, a quarter each)\n"        \
	"  -t, --stride PAGES  default 16\n"                                                 \
	"  -w, --write         write to each page instead of reading\n"                      \
	"  -r, --rounds N      fresh mappings to scan, default 1; figures are of the best\n" \
	"  -j                  JSON\n"

static const struct option scan_options[] __attribute__((unused)) = {
	{ "size", required_argument, NULL, 's' },
	{ "pattern", required_argument, NULL, 'p' },
	{ "stride", required_argument, NULL, 't' },
	{ "write", no_argument, NULL, 'w' },
	{ "rounds", required_argument, NULL, 'r' },
	{ "map", required_argument, NULL, 'm' },
	{ "file", required_argument, NULL, 'f' },
	{ "uncached", no_argument, NULL, 'u' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

static inline void scan_init(struct scan *s)
{
	*s = (struct scan){ .bytes = 32 * MIB, .stride = 16, .rounds = 1 };
}

/* Take one option of SCAN_OPTIONS; false when it is not one of them. */
static inline bool scan_option(struct scan *s, int option, const char *arg)
{
	switch (option) {
	case 'j': rows_json = true; return true;
	case 's': s->bytes = parse_size(arg); return true;
	case 'p':
		s->pattern = (enum scan_pattern)parse_choice("pattern", arg, scan_patterns);
		return true;
	case 't': s->stride = parse_number("stride", arg, 1, 1 << 20); return true;
	case 'r': s->rounds = parse_number("rounds", arg, 1, 1000000); return true;
	case 'w': s->write = true; return true;
	default: return false;
	}
}

/* Add every stride-th page from `first` on, of `span`; or all in random order, when stride is 0. */
static inline void scan_add(struct scan *s, size_t first, size_t span, size_t stride)
{
	size_t mask = 1, at = 0;

	for (size_t page = 0; stride && page < span; page += stride)
		s->order[s->steps++] = first + page;
	while (mask < span)
		mask <<= 1;
	if (!stride) /* a full cycle over the next power of two, which ends with 0; what lies outside is skipped */
		do {
			at = (at * (mask * 5 / 8 | 5) + 12345) & (mask - 1);
			if (at < span)
				s->order[s->steps++] = first + at;
		} while (at);
}

/* Work out the steps, after the options; exits 2 when there is nothing to scan. */
static inline void scan_prepare(struct scan *s)
{
	static const size_t strides[][4] = {
		[SCAN_LINEAR] = { 1 }, [SCAN_2M] = { 512 }, [SCAN_PHASES] = { 1, 512, 0, 1 }
	};
	size_t phases = s->pattern == SCAN_PHASES ? 4 : 1, span = s->bytes / PAGE / phases;

	if (!span) {
		fprintf(stderr, "%s: less than a page to scan%s\n", prog,
			phases > 1 ? " in each phase" : "");
		exit(2);
	}
	s->pages = span * phases;
	s->bytes = s->pages * PAGE;
	s->order = malloc(s->pages * sizeof(*s->order));
	if (!s->order)
		die(errno, "memory for the order of %zu pages", s->pages);
	for (size_t i = 0; i < phases; i++)
		scan_add(s, i * span, span,
			 s->pattern == SCAN_STRIDED ? s->stride : strides[s->pattern][i]);
}

#endif
