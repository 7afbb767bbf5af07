/* SPDX-License-Identifier: MIT */
/*
 * scan.h - the order in which filescan and anonscan visit pages, and their common
 * options. A pattern is a function from a step to a page, so that both programs, and
 * a check after them, walk the same pages in the same order.
 */
#ifndef USER_SCAN_H
#define USER_SCAN_H

#include "user/quire.h"

enum scan_pattern { SCAN_LINEAR, SCAN_RANDOM, SCAN_STRIDED, SCAN_2M };

static const char *const scan_patterns[] = { "linear", "random", "strided", "2m", NULL };

struct scan {
	size_t bytes, pages;
	enum scan_pattern pattern;
	size_t stride; /* pages between touches of `strided` */
	size_t steps;  /* touches in one pass */
	size_t factor; /* odd multiplier of `random` over a power of two */
	size_t mask;
	uint64_t rounds;
	bool write;
};

#define SCAN_OPTIONS "js:p:r:t:wh"
#define SCAN_USAGE                                                                           \
	"  -s, --size SIZE     bytes to scan, default 32M\n"                                 \
	"  -p, --pattern NAME  linear (default), random (every page once),\n"                \
	"                      strided (every STRIDE-th page), 2m (one page per 2 MiB)\n"    \
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

/* Work out the number of steps, after the options; exits 2 when there is nothing to scan. */
static inline void scan_prepare(struct scan *s)
{
	s->pages = s->bytes / PAGE;
	if (!s->pages) {
		fprintf(stderr, "%s: less than a page to scan\n", prog);
		exit(2);
	}
	s->bytes = s->pages * PAGE;
	if (s->pattern == SCAN_2M)
		s->stride = 512;
	s->steps = s->pages;
	if (s->pattern == SCAN_STRIDED || s->pattern == SCAN_2M)
		s->steps = (s->pages + s->stride - 1) / s->stride;
	for (s->mask = 1; s->mask < s->pages; s->mask <<= 1)
		;
	s->factor = s->mask * 5 / 8 | 5; /* 5 mod 8: a full cycle below */
	s->mask--;
}

/*
 * The page of each step, starting from *cursor = 0. `random` runs a full-period
 * congruential sequence over the next power of two and skips what lies outside.
 */
static inline size_t scan_next(const struct scan *s, size_t *cursor)
{
	size_t page;

	switch (s->pattern) {
	case SCAN_RANDOM:
		do {
			*cursor = (*cursor * s->factor + 12345) & s->mask;
			page = *cursor;
		} while (page >= s->pages);
		return page;
	case SCAN_LINEAR: return (*cursor)++;
	default:
		page = *cursor;
		*cursor += s->stride;
		return page;
	}
}

#endif
