/* SPDX-License-Identifier: MIT */
/*
 * bench_fork.h - the part of bench.c that times fork, and writes and reads after it.
 *
 * Included by bench.c alone, after the functions that it uses. With fork_share=none for
 * comparison, where the kernel has that; it is left as `all`.
 */
#ifndef USER_BENCH_FORK_H
#define USER_BENCH_FORK_H

/* Written memory of GiBs, kept over the rows that need as much. */
static char *large;
static size_t large_bytes;

/* Have exactly this many bytes of written memory, or 0. */
static void keep_large(size_t bytes)
{
	if (bytes == large_bytes)
		return;
	if (large_bytes)
		munmap(large, large_bytes);
	large_bytes = bytes;
	if (bytes) {
		large = map_anon(bytes, 2 * MIB);
		write_pages(large, bytes, 1);
	}
}

/* fork of a child that exits at once; for WHOLE the time until it has been waited for. */
static uint64_t time_fork(const struct section *s)
{
	uint64_t start, ticks;
	pid_t pid;

	keep_large(s->memory);
	start = cycles();
	pid = checked_fork();
	if (pid == 0)
		_exit(large_bytes && peek(large + large_bytes - PAGE) != 1);
	ticks = cycles() - start;
	reap(s->name, pid);
	return s->arg == WHOLE ? cycles() - start : ticks;
}

#define READ_ONLY (8 * GIB)

/* The same, of as much memory that was only read: no pages, but 16 MiB of tables. */
static uint64_t time_fork_zeroes(const struct section *s)
{
	char *at = map_anon(READ_ONLY, 2 * MIB);
	uint64_t best = SKIP;

	read_pages(at, READ_ONLY);
	for (int round = 0; round < 8; round++) {
		uint64_t ticks = time_fork(s);

		best = ticks < best ? ticks : best;
	}
	check(!peek(at + READ_ONLY / 2), "%s: a page that nobody wrote is not zero", s->name);
	munmap(at, READ_ONLY);
	return best;
}

/* Say how much fork shares, where that can be said. */
static bool set_fork_share(const char *to)
{
	int fd = open("/proc/sys/vm/fork_share", O_WRONLY | O_CLOEXEC);
	bool ok = fd >= 0 && write(fd, to, strlen(to)) == (ssize_t)strlen(to);

	if (fd >= 0)
		close(fd);
	return ok;
}

/* fork as a classic kernel does it. */
static uint64_t time_fork_none(const struct section *s)
{
	uint64_t ticks;

	if (!set_fork_share("none"))
		return SKIP;
	ticks = time_fork(s);
	set_fork_share("all");
	return ticks;
}

static uint64_t timed_write(char *at)
{
	uint64_t start = cycles();

	poke(at, 2);
	return cycles() - start;
}

/* The parent's write when the child that had the same memory has gone. */
static uint64_t write_alone(const struct section *s, char *spot)
{
	pid_t pid = checked_fork();
	uint64_t before, ticks;

	if (pid == 0)
		_exit(peek(spot) != 1);
	reap(s->name, pid);
	before = faults();
	ticks = timed_write(spot);
	check(faults() - before <= 1, "%s: more than one fault", s->name);
	return ticks;
}

/* The parent's first two writes while a child with the same memory lives. */
static uint64_t write_shared(const struct section *s, char *spot)
{
	uint64_t first, next, before;
	int up[2], down[2];
	char byte = 0;
	pid_t pid;

	if (pipe(up) || pipe(down))
		die(errno, "pipe");
	pid = checked_fork();
	if (pid == 0) {
		if (write(up[1], &byte, 1) != 1 || read(down[0], &byte, 1) != 1)
			_exit(1);
		_exit(peek(spot) != 1 || peek(spot + PAGE) != 1);
	}
	if (read(up[0], &byte, 1) != 1)
		die(0, "%s: no word from the child", s->name);
	before = faults();
	first = timed_write(spot);
	next = timed_write(spot + PAGE);
	expect_faults(s->name, before, 2);
	if (write(down[1], &byte, 1) != 1)
		die(errno, "pipe");
	reap(s->name, pid);
	close(up[0]), close(up[1]), close(down[0]), close(down[1]);
	return s->arg == NEIGHBOUR ? next : first;
}

/* In memory of this section's size: less than a GiB is made anew for each round. */
static uint64_t write_after_fork(const struct section *s)
{
	bool own = s->memory < GIB;
	char *at, *spot;
	uint64_t ticks;

	if (own) {
		at = map_anon(s->memory, 2 * MIB);
		write_pages(at, s->memory, 1);
	} else {
		keep_large(s->memory);
		at = large;
	}
	spot = at + s->memory / 2 + 5 * PAGE;
	ticks = s->arg == ALONE ? write_alone(s, spot) : write_shared(s, spot);
	if (own) {
		munmap(at, s->memory);
	} else {
		poke(spot, 1);
		poke(spot + PAGE, 1);
	}
	return ticks;
}

#define COPIED	     (32 * MIB)
#define COPIED_PAGES (COPIED / PAGE)

/* fork, a child that writes every page, its exit and the wait for it. */
static uint64_t fork_write_exit(const struct section *s, char *at)
{
	uint64_t start = cycles();
	pid_t pid = checked_fork();

	if (pid == 0) {
		write_pages(at, COPIED, 2);
		_exit(peek(at + COPIED / 2) != 2);
	}
	reap(s->name, pid);
	return cycles() - start;
}

/* The same as the kernel is set, with fork_share=none, or the one over the other in 0.1 %. */
static uint64_t child_writes_all(const struct section *s)
{
	uint64_t shared, none = 0;
	char *at;

	if (s->arg && !set_fork_share("none"))
		return SKIP;
	at = map_anon(COPIED, 2 * MIB);
	write_pages(at, COPIED, 1);
	if (s->arg) {
		none = fork_write_exit(s, at);
		set_fork_share("all");
		write_pages(at, COPIED, 1);
	}
	shared = s->arg == NONE ? 0 : fork_write_exit(s, at);
	check(peek(at) == 1 && peek(at + COPIED - PAGE) == 1, "%s: a child's write is seen",
	      s->name);
	munmap(at, COPIED);
	return s->arg == SHARED_OVER_NONE ? shared * 1000 / none : shared + none;
}

/* Pages and tables that a child's reading of everything copies. */
static uint64_t child_reads_all_copies(const struct section *s)
{
	static const char path[] = "/proc/self/counters";
	static const char *const names[] = { "pt_unshared", "pt_copied", "page_copied" };
	uint64_t *copies =
		mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint64_t found;
	char *at;
	pid_t pid;

	if (copies == MAP_FAILED || access(path, R_OK))
		return SKIP;
	at = map_anon(COPIED, 2 * MIB);
	write_pages(at, COPIED, 1);
	pid = checked_fork();
	if (pid == 0) {
		for (int pass = 0; pass < 2; pass++) /* the first owns what asking needs */
			for (int i = 0; i < 3; i++)
				copies[i] = proc_number(path, names[i], 0);
		read_pages(at, COPIED);
		for (int i = 0; i < 3; i++)
			copies[3] += proc_number(path, names[i], 0) - copies[i];
		_exit(sink != COPIED_PAGES);
	}
	reap(s->name, pid);
	found = copies[3];
	munmap(copies, PAGE);
	munmap(at, COPIED);
	return found;
}

/* mremap of all that a waiting child shares. */
static uint64_t move_after_fork(const struct section *s)
{
	uint64_t ticks;
	int wait[2];
	char byte, *to;
	pid_t pid;

	keep_large(s->memory);
	to = map_anon(large_bytes, 2 * MIB);
	check(pipe(wait) == 0, "%s: no pipe", s->name);
	pid = checked_fork();
	if (pid == 0) {
		close(wait[1]);
		_exit(read(wait[0], &byte, 1) != 0 || peek(large + large_bytes - PAGE) != 1);
	}
	ticks = cycles();
	check(mremap(large, large_bytes, large_bytes, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to, "%s: not moved", s->name);
	ticks = cycles() - ticks;
	large = to;
	check(peek(large + large_bytes - PAGE) == 1, "%s: contents lost", s->name);
	close(wait[0]);
	close(wait[1]);
	reap(s->name, pid);
	return ticks;
}

static uint64_t fork_exec_exit_wait(const struct section *s)
{
	uint64_t start = cycles();
	pid_t pid = checked_fork();

	if (pid == 0) {
		execl(self_path, self_path, "--leaf", (char *)NULL);
		_exit(127);
	}
	reap(s->name, pid);
	return cycles() - start;
}

static const struct section fork_sections[] = {
	ROW("fork_0", time_fork, 1, 0, 0),
	ROW("fork_1g", time_fork, 1, GIB, 0),
	ROW("fork_exit_wait_1g", time_fork, 1, GIB, WHOLE),
	ROW("first_write_after_fork_1g", write_after_fork, 1, GIB, 0),
	ROW("neighbour_write_after_fork_1g", write_after_fork, 1, GIB, NEIGHBOUR),
	ROW("write_alone_after_fork_1g", write_after_fork, 1, GIB, ALONE),
	ROW("mremap_after_fork_1g", move_after_fork, 1, GIB, 0),
	ROW("fork_none_1g", time_fork_none, 1, GIB, 0),
	ROW("fork_8g_read", time_fork_zeroes, 0, 0, 0),
	ROW("fork_exit_wait_8g_read", time_fork_zeroes, 0, 0, WHOLE),
	ROW("fork_3g", time_fork, 1, 3 * GIB, 0, .asked = true),
	ROW("fork_exit_wait_3g", time_fork, 1, 3 * GIB, WHOLE, .asked = true),
	ROW("first_write_after_fork", write_after_fork, 1, 64 * MIB, 0),
	ROW("neighbour_write_after_fork", write_after_fork, 1, 64 * MIB, NEIGHBOUR),
	ROW("write_alone_after_fork", write_after_fork, 1, 64 * MIB, ALONE),
	ROW("child_writes_all", child_writes_all, COPIED_PAGES, 2 * COPIED, 0),
	ROW("child_writes_all_none", child_writes_all, COPIED_PAGES, 2 * COPIED, NONE),
	ROW("child_writes_all_percent", child_writes_all, 10, 2 * COPIED, SHARED_OVER_NONE),
	ROW("child_reads_all_copies", child_reads_all_copies, 0, COPIED, 0),
	ROW("fork_exec_exit_wait", fork_exec_exit_wait, 1, MIB, 0),
};

#endif
