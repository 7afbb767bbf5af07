/* SPDX-License-Identifier: MIT */
/*
 * sparse.c - many addresses, little memory: what is left of page tables when memory
 * comes and goes by MADV_DONTNEED, as allocators use it.
 *
 * A region of --va bytes (nothing reserved) is swept in steps of --step; at no time is
 * much of it present. Modes differ in how a step's 2 MiB is filled and emptied. Every
 * byte written is verified before it is dropped. Reported: VmPTE before, at its peak
 * (sampled) and after, VmRSS before and after, ticks per page and per turn.
 */
#include "user/quire.h"
#include <time.h>

#define CHUNK (2 * MIB)
#define CHUNK_PAGES (CHUNK / PAGE)

static const char *const modes[] = { "touch2m", "page", "piecemeal", "oddeven",
				     "upper", "arenas", NULL };

static char *memory;
static uint64_t va = GIB, step = CHUNK, live_limit = 16 * MIB, operations = 20000, seed = 1;
static uint64_t turns, pages, peak_kb;

static void usage(void)
{
	fputs("usage: sparse [-j] [-v SIZE] [-m MODE] [-s STEP] (or --va, --mode, --step)\n"
	      "  --va SIZE    addresses to sweep, default 1G (K, M, G, T)\n"
	      "  --step SIZE  distance between turns, default 2M; a run of minutes says how far it is\n"
	      "  --mode touch2m    write all of 2 MiB, drop 2 MiB (default)\n"
	      "         page       write one page, drop 2 MiB\n"
	      "         piecemeal  write all of 2 MiB, drop it page by page\n"
	      "         oddeven    write all of 2 MiB, drop the odd pages, then the even ones\n"
	      "         upper      one page per GiB everywhere (12 kB each, all at once),\n"
	      "                    then dropped one by one\n"
	      "         arenas     an allocator: random runs of pages come and go, a run's pages "
	      "are\n"
	      "                    dropped when it is freed (--live SIZE 16M, --ops N 20000, "
	      "--seed S)\n",
	      stdout);
}

static uint8_t mark(uint64_t offset)
{
	return (uint8_t)(offset / PAGE % 251 + offset / GIB % 3 + 1);
}

static void touch(uint64_t offset)
{
	poke(memory + offset, mark(offset));
	pages++;
}

static void drop(uint64_t offset, uint64_t bytes)
{
	if (madvise(memory + offset, bytes, MADV_DONTNEED))
		die(errno, "madvise");
}

static void verify(uint64_t offset)
{
	check(peek(memory + offset) == mark(offset), "the byte at offset %#llx is lost",
	      (unsigned long long)offset);
}

/* Note the size of the tables every so often: reading /proc is not free. */
static void sample(uint64_t turn)
{
	if (turn & (turn - 1))
		return;

	uint64_t now = status_kb("VmPTE");

	peak_kb = now > peak_kb ? now : peak_kb;
}

#define PROGRESS_SECONDS 10

/* On a long run say now and then how far it is; the clock is read every 1024 turns. */
static void progress(uint64_t at)
{
	static time_t said;
	struct timespec now;

	if (turns & 1023)
		return;
	clock_gettime(CLOCK_MONOTONIC, &now);
	if (said && now.tv_sec - said >= PROGRESS_SECONDS)
		fprintf(stderr, "# %3llu %% of %llu GiB, VmPTE %llu kB\n", (unsigned long long)(at / (va / 100 + 1)),
			(unsigned long long)(va / GIB), (unsigned long long)status_kb("VmPTE"));
	if (!said || now.tv_sec - said >= PROGRESS_SECONDS)
		said = now.tv_sec;
}

/* One turn of the modes that work on 2 MiB at a time. */
static void turn_at(int mode, uint64_t at)
{
	uint64_t filled = mode == 1 ? PAGE : CHUNK;

	for (uint64_t p = 0; p < filled; p += PAGE)
		touch(at + p);
	for (uint64_t p = 0; p < filled; p += PAGE)
		verify(at + p);
	sample(turns++);
	if (mode == 0 || mode == 1) {
		drop(at, CHUNK);
	} else if (mode == 2) {
		for (uint64_t p = 0; p < CHUNK; p += PAGE)
			drop(at + p, PAGE);
	} else {
		for (uint64_t p = PAGE; p < CHUNK; p += 2 * PAGE)
			drop(at + p, PAGE);
		for (uint64_t p = 0; p < CHUNK; p += 2 * PAGE)
			drop(at + p, PAGE);
	}
}

/* Tables of every level come into being, then lose their entries one by one. */
static void sweep_upper(void)
{
	for (uint64_t at = 0; at < va; at += GIB, turns++)
		touch(at);
	sample(0);
	for (uint64_t at = 0; at < va; at += GIB)
		verify(at);
	for (uint64_t at = 0; at < va; at += GIB)
		drop(at, PAGE);
}

/*
 * An allocator with size classes of 1 to 512 pages. A slot is a place of 2 MiB: it holds
 * runs of one class, is taken from anywhere in the addresses, and given back when empty.
 */
struct slot {
	uint64_t at;	    /* offset of its 2 MiB */
	uint16_t run_pages; /* class; 0 when the slot is unused */
	uint16_t used;	    /* runs in use */
	uint64_t in_use[CHUNK_PAGES / 64];
};

static struct slot *slots;
static size_t slot_count;

/* Take or free one run chosen by the random state; returns pages gained (or lost, negative). */
static long arena_step(uint64_t *random, bool take)
{
	uint64_t choice = next_random(random);
	struct slot *s = &slots[choice % slot_count];
	uint64_t run, first, bytes;

	if (!s->run_pages) {
		if (!take)
			return 0;
		s->run_pages = (uint16_t)(1 << (choice >> 32) % 10);
		s->at = next_random(random) % (va / CHUNK / slot_count) * slot_count * CHUNK +
			(uint64_t)(s - slots) * CHUNK;
	}
	run = next_random(random) % (CHUNK_PAGES / s->run_pages);
	first = s->at + run * s->run_pages * PAGE;
	bytes = s->run_pages * PAGE;
	if (take == !!(s->in_use[run / 64] >> run % 64 & 1))
		return 0;
	s->in_use[run / 64] ^= 1ULL << run % 64;
	if (take) {
		for (uint64_t p = 0; p < bytes; p += PAGE)
			touch(first + p);
		s->used++;
		return s->run_pages;
	}
	for (uint64_t p = 0; p < bytes; p += PAGE)
		verify(first + p);
	drop(first, bytes);
	long lost = s->run_pages;
	if (--s->used == 0)
		s->run_pages = 0;
	return -lost;
}

static void sweep_arenas(void)
{
	uint64_t random = seed, live = 0;

	for (turns = 0; turns < operations; turns++) {
		bool take = live < live_limit / PAGE && next_random(&random) % 2;

		live += (uint64_t)arena_step(&random, take);
		sample(turns);
	}
	for (size_t i = 0; i < slot_count; i++) {
		struct slot *s = &slots[i];

		for (unsigned run = 0; s->run_pages && run < CHUNK_PAGES / s->run_pages; run++) {
			uint64_t first = s->at + (uint64_t)run * s->run_pages * PAGE;

			if (!(s->in_use[run / 64] >> run % 64 & 1))
				continue;
			for (uint64_t p = 0; p < s->run_pages; p++)
				verify(first + p * PAGE);
			drop(first, s->run_pages * PAGE);
		}
	}
}

static void parse(int argc, char **argv, int *mode)
{
	static const struct option options[] = {
		{ "va", required_argument, NULL, 'v' },
		{ "mode", required_argument, NULL, 'm' },
		{ "step", required_argument, NULL, 's' },
		{ "live", required_argument, NULL, 'l' },
		{ "ops", required_argument, NULL, 'o' },
		{ "seed", required_argument, NULL, 'S' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	while ((option = long_option(argc, argv, "jv:m:s:l:o:S:h", options)) != -1) {
		switch (option) {
		case 'j': rows_json = true; break;
		case 'v': va = parse_size(optarg); break;
		case 'm': *mode = parse_choice("mode", optarg, modes); break;
		case 's': step = parse_size(optarg); break;
		case 'l': live_limit = parse_size(optarg); break;
		case 'o': operations = parse_number("ops", optarg, 1, UINT64_MAX); break;
		case 'S': seed = parse_number("seed", optarg, 1, UINT64_MAX); break;
		case 'h': usage(); exit(0);
		}
	}
	no_more_words(optind, argc, argv);
	if (va < CHUNK || step < CHUNK || step % CHUNK) {
		fprintf(stderr, "%s: --va and --step are at least 2M, --step a multiple of it\n",
			prog);
		exit(2);
	}
	va &= ~(CHUNK - 1);
}

int main(int argc, char **argv)
{
	uint64_t pte_before, pte_after, rss_before, rss_after, faulted, ticks;
	int mode = 0;

	prog = "sparse";
	parse(argc, argv, &mode);
	slot_count = va / CHUNK < 64 ? va / CHUNK : 64;
	slots = calloc(slot_count, sizeof(*slots));
	memory = map_anon(va, CHUNK);
	sample(0);
	peak_kb = 0;
	rss_before = status_kb("VmRSS");
	pte_before = status_kb("VmPTE");
	faulted = faults();
	ticks = cycles();
	if (mode == 4)
		sweep_upper();
	else if (mode == 5)
		sweep_arenas();
	else
		for (uint64_t at = 0; at <= va - CHUNK; at += step, progress(at))
			turn_at(mode, at);
	ticks = cycles() - ticks;
	faulted = faults() - faulted;
	pte_after = status_kb("VmPTE");
	rss_after = status_kb("VmRSS");

	row_word("mode", modes[mode]);
	row("va_kB", va / KIB);
	row("step_kB", step / KIB);
	row("turns", turns);
	row("pages", pages);
	row("faults", faulted);
	row_ratio("ticks_per_page", ticks, pages);
	row_ratio("ticks_per_turn", ticks, turns);
	row("VmRSS_before_kB", rss_before);
	row("VmRSS_after_kB", rss_after);
	row("VmPTE_before_kB", pte_before);
	row("VmPTE_peak_kB", peak_kb);
	row("VmPTE_after_kB", pte_after);
	rows_end();
	return 0;
}
