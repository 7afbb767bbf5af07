/* SPDX-License-Identifier: MIT */
/*
 * forkbench.c - what fork costs, now and later.
 *
 * cost: a parent with MiB of written memory forks; timed are fork itself, the first write
 * after it by the child and by the parent, the writes next to it, writing all, reading
 * all, exit and wait, and the parent's write when the child has gone. snapshot: an
 * in-memory store that forks a child every K updates to read a frozen copy, and how long
 * the parent is held up. children: a fork server, many short children. tree: descendants
 * of descendants. Contents are verified on both sides throughout. Children report through
 * a shared page, which the parent reads after they have ended.
 */
#include "user/quire.h"

static const char *const modes[] = { "cost", "snapshot", "children", "tree", NULL };

static uint64_t mib, rounds = 3, count = 10, updates = 1000, depth = 4;
static char *memory;
static size_t bytes, page_count;

/* What a child measured; in a MAP_SHARED page. */
static struct report {
	uint64_t first, neighbour, write_all, read_all, ok;
} * shared;

static void usage(FILE *to)
{
	fputs("usage: forkbench [-j] [-m MODE] [-r ROUNDS] [-n COUNT] [-k UPDATES] [-d DEPTH] "
	      "[MiB]\n"
	      "  MiB of memory are written before the first fork, default 64 (in tree: 4); 0 "
	      "allowed\n"
	      "  in cost. In tree every process needs that much for itself.\n"
	      "  cost      the price of fork, of writes and reads after it, exit and wait; the\n"
	      "            best of ROUNDS (3)\n"
	      "  snapshot  COUNT (10) forks, one every UPDATES (1000) random updates of the "
	      "store;\n"
	      "            worst and p99 time of one update, fork included\n"
	      "  children  COUNT children, one after the other, that write 4 pages and exit\n"
	      "  tree      each process forks two, DEPTH (4) generations, all write all pages\n",
	      to);
}

static uint64_t min_of(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static pid_t checked_fork(void)
{
	pid_t pid = fork();

	if (pid < 0)
		die(errno, "fork");
	return pid;
}

static void reap(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			die(errno, "wait");
	check(status == 0, "a child failed (status %#x)", status);
}

static void write_all(uint8_t value)
{
	for (size_t p = 0; p < page_count; p++)
		poke(memory + p * PAGE, value);
}

static void verify_all(uint8_t value, const char *who)
{
	for (size_t p = 0; p < page_count; p++)
		check(peek(memory + p * PAGE) == value, "%s: page %zu holds %d, not %d", who, p,
		      peek(memory + p * PAGE), value);
}

/* The ticks of one write to page p. */
static uint64_t timed_write(size_t p, uint8_t value)
{
	uint64_t start = cycles();

	poke(memory + p * PAGE, value);
	return cycles() - start;
}

/* Child: read everything (must copy nothing), then write a page, its neighbour, and all. */
static void cost_child(void)
{
	uint64_t start = cycles();

	verify_all(1, "child");
	shared->read_all = cycles() - start;
	if (page_count) {
		shared->first = timed_write(page_count / 2, 2);
		shared->neighbour = timed_write(page_count / 2 + 1, 2);
	}
	start = cycles();
	write_all(2);
	shared->write_all = cycles() - start;
	verify_all(2, "child");
	shared->ok = 1;
	_exit(0);
}

static void cost(void)
{
	uint64_t fork_t = UINT64_MAX, whole = UINT64_MAX, first = UINT64_MAX, next = UINT64_MAX;
	uint64_t all = UINT64_MAX, read_all = UINT64_MAX, parent_first = UINT64_MAX;
	uint64_t parent_next = UINT64_MAX, alone = UINT64_MAX, populate, start;

	start = cycles();
	write_all(1);
	populate = cycles() - start;
	for (uint64_t r = 0; r < rounds; r++) {
		int hold[2];
		pid_t pid;
		char byte;

		/* fork + exit + wait of a child that does nothing */
		start = cycles();
		pid = checked_fork();
		if (pid == 0)
			_exit(0);
		reap(pid);
		whole = min_of(whole, cycles() - start);

		/* a child that only lives: the parent pays for its own writes */
		if (pipe(hold))
			die(errno, "pipe");
		start = cycles();
		pid = checked_fork();
		if (pid == 0) {
			close(hold[1]);
			_exit(read(hold[0], &byte, 1) != 0);
		}
		fork_t = min_of(fork_t, cycles() - start);
		if (page_count) {
			parent_first = min_of(parent_first, timed_write(page_count / 2, 1));
			parent_next = min_of(parent_next, timed_write(page_count / 2 + 1, 1));
		}
		close(hold[1]);
		close(hold[0]);
		reap(pid);
		if (page_count)
			alone = min_of(alone, timed_write(page_count / 2 + 2, 1));

		/* a child that reads, then writes everything */
		shared->ok = 0;
		pid = checked_fork();
		if (pid == 0)
			cost_child();
		reap(pid);
		check(shared->ok, "the child did not finish");
		verify_all(1, "parent");
		first = min_of(first, shared->first);
		next = min_of(next, shared->neighbour);
		all = min_of(all, shared->write_all);
		read_all = min_of(read_all, shared->read_all);
	}
	row("MiB", mib);
	row("pages", page_count);
	row_ratio("populate_ticks_per_page", populate, page_count);
	row("fork_ticks", fork_t);
	row("fork_exit_wait_ticks", whole);
	if (!page_count)
		return;
	row("parent_first_write_ticks", parent_first);
	row("parent_neighbour_write_ticks", parent_next);
	row("parent_write_alone_ticks", alone);
	row("child_first_write_ticks", first);
	row("child_neighbour_write_ticks", next);
	row_ratio("child_read_all_ticks_per_page", read_all, page_count);
	row_ratio("child_write_all_ticks_per_page", all, page_count);
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* Child of a snapshot: the sum over the store must stay what it was at the fork. */
static void snapshot_child(uint64_t sum)
{
	for (int pass = 0; pass < 2; pass++) {
		uint64_t found = 0;

		for (size_t p = 0; p < page_count; p++)
			found += *(volatile uint64_t *)(memory + p * PAGE);
		if (found != sum)
			_exit(1);
	}
	_exit(0);
}

static void snapshot(void)
{
	uint64_t total = count * updates, *pauses = malloc(total * sizeof(*pauses));
	uint64_t random = 1, sum = 0, done = 0, whole, forking = 0;

	if (!pauses)
		die(0, "out of memory");
	write_all(0);
	whole = cycles();
	for (uint64_t c = 0; c < count; c++) {
		pid_t pid = -1;

		for (uint64_t u = 0; u < updates; u++) {
			size_t page = next_random(&random) % page_count;
			uint64_t add = next_random(&random), start = cycles();

			if (u == 0) {
				pid = checked_fork();
				if (pid == 0)
					snapshot_child(sum);
				forking += cycles() - start;
			}
			*(volatile uint64_t *)(memory + page * PAGE) += add;
			pauses[done++] = cycles() - start;
			sum += add;
		}
		reap(pid);
	}
	whole = cycles() - whole;
	qsort(pauses, total, sizeof(*pauses), compare);
	row("MiB", mib);
	row("snapshots", count);
	row("updates", total);
	row_ratio("fork_ticks", forking, count);
	row("update_median_ticks", pauses[total / 2]);
	row("update_p99_ticks", pauses[total - 1 - total / 100]);
	row("update_worst_ticks", pauses[total - 1]);
	row_ratio("snapshot_ticks", whole, count);
	free(pauses);
}

static void children(void)
{
	uint64_t start;

	write_all(1);
	start = cycles();
	for (uint64_t c = 0; c < count; c++) {
		pid_t pid = checked_fork();

		if (pid == 0) {
			for (size_t i = 0; i < 4 && i < page_count; i++) {
				char *at = memory + (c + i * 97) % page_count * PAGE;

				if (peek(at) != 1)
					_exit(1);
				poke(at, 3);
			}
			_exit(0);
		}
		reap(pid);
	}
	start = cycles() - start;
	verify_all(1, "parent");
	row("MiB", mib);
	row("children", count);
	row_ratio("ticks_per_child", start, count);
}

/* One member of the tree: write all pages with its own mark, fork two, verify. */
static void member(uint64_t generation, uint8_t mark)
{
	pid_t pids[2] = { 0, 0 };

	write_all(mark);
	for (int side = 0; generation < depth && side < 2; side++) {
		pids[side] = checked_fork();
		if (pids[side] == 0) {
			verify_all(mark, "descendant");
			member(generation + 1, (uint8_t)(mark * 2 + side));
			_exit(0);
		}
	}
	for (int side = 0; side < 2; side++)
		if (pids[side])
			reap(pids[side]);
	verify_all(mark, "ancestor");
}

static void tree(void)
{
	uint64_t start = cycles();

	member(0, 1);
	start = cycles() - start;
	row("MiB", mib);
	row("processes", (2ULL << depth) - 1);
	row_ratio("ticks_per_process", start, (2ULL << depth) - 1);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "mode", required_argument, NULL, 'm' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int option, mode = 0;

	prog = "forkbench";
	while ((option = getopt_long(argc, argv, "jm:r:n:k:d:h", options, NULL)) != -1) {
		switch (option) {
		case 'j': rows_json = true; break;
		case 'm': mode = parse_choice("mode", optarg, modes); break;
		case 'r': rounds = parse_number("rounds", optarg, 1, 1000000); break;
		case 'n': count = parse_number("count", optarg, 1, 1000000); break;
		case 'k': updates = parse_number("updates", optarg, 1, 1000000); break;
		case 'd': depth = parse_number("depth", optarg, 0, 6); break;
		case 'h': usage(stdout); return 0;
		default: usage(stderr); return 2;
		}
	}
	if (optind < argc)
		mib = parse_number("MiB", argv[optind], mode != 0, 1 << 20);
	else
		mib = mode == 3 ? 4 : 64;
	bytes = mib * MIB;
	page_count = bytes / PAGE;
	if (bytes)
		memory = map_anon(bytes, 2 * MIB);
	shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		die(errno, "shared page");
	switch (mode) {
	case 0: cost(); break;
	case 1: snapshot(); break;
	case 2: children(); break;
	default: tree(); break;
	}
	rows_end();
	return 0;
}
