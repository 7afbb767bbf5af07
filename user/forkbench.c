/* SPDX-License-Identifier: MIT */
/*
 * forkbench.c - what fork costs, now and later.
 *
 * cost: a parent with MiB of written memory forks; timed are fork itself, fork with exit and
 * wait, and for parent and child each: the first write after it, the write next to that,
 * reading all, writing all; the parent's writes when the child has gone. snapshot: an
 * in-memory store that forks every K updates a child that keeps a frozen copy, and how long
 * the parent is held up. server: thousands of short children, as a fuzzer's. tree:
 * descendants of descendants. Contents are verified on all sides. Children report through a
 * shared page, which the parent reads after they have ended. Best on one CPU, where a child
 * that waits takes no time. Where a second copy of the memory has no room, what needs it
 * prints `skip`.
 */
#include "user/quire.h"

static const char *const modes[] = { "cost", "snapshot", "server", "tree", "children", NULL };
enum { COST,
       SNAPSHOT,
       SERVER,
       TREE,
       CHILDREN }; /* children: server's other name */

static uint64_t mib, rounds = 3, count, updates = 1000, depth = 4;
static bool reading; /* a snapshot's child reads all the time */
static char *memory;
static size_t bytes, page_count;

/* What a child measured; in a MAP_SHARED page. */
static struct report {
	uint64_t first, neighbour, read_all, write_all, copies, ok;
} * shared;

static void usage(void)
{
	fputs("usage: forkbench [-j] [-m MODE] [-r ROUNDS] [-n COUNT] [-k UPDATES] [-d DEPTH] "
	      "[-c]\n"
	      "                 [MiB]      (or --mode, --rounds, --count, --updates, --depth)\n"
	      "  MiB of memory are written before the first fork, default 64 (in tree: 4); 0 "
	      "allowed\n"
	      "  in cost and server. In tree every process needs that much for itself.\n"
	      "  cost      the price of fork, of writes and reads after it, exit and wait; the\n"
	      "            best of ROUNDS (3)\n"
	      "  snapshot  COUNT (10) forks, one every UPDATES (1000) random updates of the "
	      "store;\n"
	      "            worst and p99 time of one update, fork included; the child keeps the\n"
	      "            copy and reads it when the updates are done, or with -c meanwhile\n"
	      "  server    COUNT (2000) children, one after the other, that write 4 pages and "
	      "exit\n"
	      "            (also: children)\n"
	      "  tree      each process forks two, DEPTH (4) generations, all write all pages\n",
	      stdout);
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

/* A child that only lives, until let_go(). */
struct held {
	pid_t pid;
	int pipe[2];
};

static void hold_pipe(struct held *h)
{
	if (pipe(h->pipe))
		die(errno, "pipe");
}

static void wait_to_be_let_go(const struct held *h)
{
	char byte;

	close(h->pipe[1]);
	if (read(h->pipe[0], &byte, 1))
		_exit(1);
}

static void let_go(const struct held *h)
{
	close(h->pipe[1]);
	close(h->pipe[0]);
	reap(h->pid);
}

/* Write every page; returns the ticks. */
static uint64_t write_all(uint8_t value)
{
	uint64_t start = cycles();

	for (size_t p = 0; p < page_count; p++)
		poke(memory + p * PAGE, value);
	return cycles() - start;
}

/* Read and verify every page; returns the ticks. */
static uint64_t verify_all(uint8_t value, const char *who)
{
	uint64_t start = cycles();

	for (size_t p = 0; p < page_count; p++)
		check(peek(memory + p * PAGE) == value, "%s: page %zu holds %d, not %d", who, p,
		      peek(memory + p * PAGE), value);
	return cycles() - start;
}

/* The ticks of one write to page p. */
static uint64_t timed_write(size_t p, uint8_t value)
{
	uint64_t start = cycles();

	poke(memory + p * PAGE, value);
	return cycles() - start;
}

/* Whether all of the memory may be copied once: an eighth is left for the rest. */
static bool room_for_a_copy(void)
{
	uint64_t free_kb = proc_number("/proc/meminfo", "MemAvailable", UINT64_MAX);

	return free_kb / 8 * 7 >= bytes / KIB;
}

/* Tables and pages copied by this process so far; 0 on Linux, which does not tell. */
static uint64_t copies(void)
{
	static const char path[] = "/proc/self/counters";

	return proc_number(path, "pt_unshared", 0) + proc_number(path, "page_copied", 0);
}

static struct figures {
	uint64_t fork, whole, alone, alone_all;
	uint64_t first, neighbour, read_all, write_all; /* the parent's */
	struct report child;
	uint64_t child_whole;
} best;

/* fork + exit + wait of a child that does nothing, and the writes when it has gone. */
static void cost_short(void)
{
	uint64_t start = cycles();
	pid_t pid = checked_fork();

	if (pid == 0)
		_exit(0);
	reap(pid);
	best.whole = min_of(best.whole, cycles() - start);
	if (page_count) {
		best.alone = min_of(best.alone, timed_write(page_count / 2, 1));
		best.alone_all = min_of(best.alone_all, write_all(1));
	}
}

/* A child that only lives: the parent pays for its own writes. */
static void cost_parent(bool room)
{
	struct held child;
	uint64_t start;

	hold_pipe(&child);
	start = cycles();
	child.pid = checked_fork();
	if (child.pid == 0) {
		wait_to_be_let_go(&child);
		_exit(0);
	}
	best.fork = min_of(best.fork, cycles() - start);
	if (page_count) {
		best.first = min_of(best.first, timed_write(page_count / 2, 1));
		best.neighbour = min_of(best.neighbour, timed_write(page_count / 2 + 1, 1));
		best.read_all = min_of(best.read_all, verify_all(1, "parent"));
		if (room)
			best.write_all = min_of(best.write_all, write_all(1));
	}
	let_go(&child);
}

/* Child: read everything (must copy nothing), then write a page, its neighbour, and all. */
static void cost_child(bool room)
{
	uint64_t before = copies();

	before = copies(); /* the first time owned what asking needs */
	shared->read_all = verify_all(1, "child");
	shared->copies = copies() - before;
	shared->first = timed_write(page_count / 2, 2);
	shared->neighbour = timed_write(page_count / 2 + 1, 2);
	if (room) {
		shared->write_all = write_all(2);
		verify_all(2, "child");
	}
	shared->ok = 1;
	_exit(0);
}

static void cost_of_child(bool room)
{
	uint64_t start;
	pid_t pid;

	shared->ok = 0;
	pid = checked_fork();
	if (pid == 0)
		cost_child(room);
	reap(pid);
	check(shared->ok, "the child did not finish");
	verify_all(1, "parent");
	best.child.first = min_of(best.child.first, shared->first);
	best.child.neighbour = min_of(best.child.neighbour, shared->neighbour);
	best.child.read_all = min_of(best.child.read_all, shared->read_all);
	best.child.write_all = min_of(best.child.write_all, shared->write_all);
	best.child.copies = min_of(best.child.copies, shared->copies);
	if (!room)
		return;
	write_all(1);
	start = cycles();
	pid = checked_fork();
	if (pid == 0) {
		write_all(2);
		_exit(0);
	}
	reap(pid);
	best.child_whole = min_of(best.child_whole, cycles() - start);
}

static void cost(void)
{
	uint64_t populate = write_all(1), with_room;
	bool room = room_for_a_copy();

	memset(&best, 0xff, sizeof(best));
	for (uint64_t r = 0; r < rounds; r++) {
		cost_short();
		cost_parent(room);
		if (page_count)
			cost_of_child(room);
	}
	with_room = room ? page_count : 0;
	row("MiB", mib);
	row("pages", page_count);
	row_ratio("populate_ticks_per_page", populate, page_count);
	row("fork_ticks", best.fork);
	row("fork_exit_wait_ticks", best.whole);
	if (!page_count)
		return;
	row("parent_first_write_ticks", best.first);
	row("parent_neighbour_write_ticks", best.neighbour);
	row_ratio("parent_read_all_ticks_per_page", best.read_all, page_count);
	row_ratio("parent_write_all_ticks_per_page", best.write_all, with_room);
	row("parent_write_alone_ticks", best.alone);
	row_ratio("parent_write_all_alone_ticks_per_page", best.alone_all, page_count);
	row("child_first_write_ticks", best.child.first);
	row("child_neighbour_write_ticks", best.child.neighbour);
	row_ratio("child_read_all_ticks_per_page", best.child.read_all, page_count);
	row_ratio("child_write_all_ticks_per_page", best.child.write_all, with_room);
	row_ratio("fork_child_write_all_exit_ticks_per_page", best.child_whole, with_room);
	if (access("/proc/self/counters", R_OK) == 0)
		row("child_read_all_copies", best.child.copies);
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* The store as a snapshot's child sees it must stay what it was at the fork. */
static void sum_twice(uint64_t sum)
{
	for (int pass = 0; pass < 2; pass++) {
		uint64_t found = 0;

		for (size_t p = 0; p < page_count; p++)
			found += *(volatile uint64_t *)(memory + p * PAGE);
		if (found != sum)
			_exit(1);
	}
}

static void snapshot_child(const struct held *h, uint64_t sum)
{
	if (reading)
		sum_twice(sum);
	wait_to_be_let_go(h);
	sum_twice(sum);
	_exit(0);
}

static void snapshot(void)
{
	uint64_t total = count * updates, *pauses = malloc(total * sizeof(*pauses));
	uint64_t random = 1, sum = 0, done = 0, held = 0, forking = 0, worst_fork = 0;

	if (!pauses)
		die(0, "out of memory");
	memset(pauses, 1, total * sizeof(*pauses));
	write_all(0);
	for (uint64_t c = 0; c < count; c++) {
		struct held child = { .pid = -1 };

		hold_pipe(&child);
		for (uint64_t u = 0; u < updates; u++) {
			size_t page = next_random(&random) % page_count;
			uint64_t add = next_random(&random), start = cycles();

			if (u == 0) {
				child.pid = checked_fork();
				if (child.pid == 0)
					snapshot_child(&child, sum);
				uint64_t took = cycles() - start;

				forking += took;
				worst_fork = took > worst_fork ? took : worst_fork;
			}
			*(volatile uint64_t *)(memory + page * PAGE) += add;
			pauses[done] = cycles() - start;
			held += pauses[done++];
			sum += add;
		}
		let_go(&child);
	}
	qsort(pauses, total, sizeof(*pauses), compare);
	row("MiB", mib);
	row("snapshots", count);
	row("updates", total);
	row_ratio("fork_ticks", forking, count);
	row("fork_worst_ticks", worst_fork);
	row("update_median_ticks", pauses[total / 2]);
	row("update_p99_ticks", pauses[total - 1 - total / 100]);
	row("update_worst_ticks", pauses[total - 1]);
	row_ratio("snapshot_ticks", held, count);
	free(pauses);
}

static void server(void)
{
	uint64_t start, worst = 0;

	write_all(1);
	start = cycles();
	for (uint64_t c = 0; c < count; c++) {
		uint64_t before = cycles(), took;
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
		took = cycles() - before;
		worst = took > worst ? took : worst;
	}
	start = cycles() - start;
	verify_all(1, "parent");
	row("MiB", mib);
	row("children", count);
	row_ratio("ticks_per_child", start, count);
	row("worst_child_ticks", worst);
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
		{ "rounds", required_argument, NULL, 'r' },
		{ "count", required_argument, NULL, 'n' },
		{ "updates", required_argument, NULL, 'k' },
		{ "depth", required_argument, NULL, 'd' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int option, mode = COST;

	prog = "forkbench";
	while ((option = long_option(argc, argv, "jm:r:n:k:d:ch", options)) != -1) {
		switch (option) {
		case 'j': rows_json = true; break;
		case 'm': mode = parse_choice("mode", optarg, modes); break;
		case 'r': rounds = parse_number("rounds", optarg, 1, 1000000); break;
		case 'n': count = parse_number("count", optarg, 1, 1000000); break;
		case 'k': updates = parse_number("updates", optarg, 1, 1000000); break;
		case 'd': depth = parse_number("depth", optarg, 0, 6); break;
		case 'c': reading = true; break;
		case 'h': usage(); return 0;
		}
	}
	if (mode == CHILDREN)
		mode = SERVER;
	mib = mode == TREE ? 4 : 64;
	no_more_words(optind + 1, argc, argv);
	if (optind < argc)
		mib = parse_number("MiB", argv[optind], mode == SNAPSHOT || mode == TREE, 1 << 20);
	if (!count)
		count = mode == SERVER ? 2000 : 10;
	bytes = mib * MIB;
	page_count = bytes / PAGE;
	if (bytes)
		memory = map_anon(bytes, 2 * MIB);
	shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		die(errno, "shared page");
	row_word("mode", modes[mode]);
	switch (mode) {
	case COST: cost(); break;
	case SNAPSHOT: snapshot(); break;
	case SERVER: server(); break;
	default: tree(); break;
	}
	rows_end();
	return 0;
}
