/* SPDX-License-Identifier: MIT */
/*
 * cow_test.c - memory after fork: each process has its own, whoever writes, in whatever
 * order, over generations, through system calls too, and beside mappings that are shared.
 */
#include "tests/user/test.h"

#define PAGES 700 /* more than one table */

static char *at;

/* A barrier of two: each end writes a byte and waits for the other's. */
static int to_child[2], to_parent[2];

static void meet(bool parent)
{
	char byte = 'x';

	REQUIRE(write(parent ? to_child[1] : to_parent[1], &byte, 1) == 1);
	REQUIRE(read(parent ? to_parent[0] : to_child[0], &byte, 1) == 1);
}

static void make_pipes(void)
{
	REQUIRE(pipe(to_child) == 0 && pipe(to_parent) == 0);
}

static void close_pipes(void)
{
	close(to_child[0]), close(to_child[1]), close(to_parent[0]), close(to_parent[1]);
}

static bool all_hold(char value)
{
	for (size_t i = 0; i < PAGES; i++)
		if (at[i * PAGE] != value || at[i * PAGE + PAGE - 1] != value)
			return false;
	return true;
}

static void expect_child(pid_t pid)
{
	int status;

	EXPECT(waitpid(pid, &status, 0) == pid && status == 0);
}

static void child_writes(void)
{
	pid_t pid;

	memset(at, 1, PAGES * PAGE);
	pid = fork();
	if (pid == 0) {
		if (!all_hold(1))
			_exit(1);
		memset(at, 2, PAGES * PAGE);
		_exit(!all_hold(2));
	}
	expect_child(pid);
	EXPECT(all_hold(1));
}

static void parent_writes(void)
{
	pid_t pid;

	make_pipes();
	memset(at, 1, PAGES * PAGE);
	pid = fork();
	if (pid == 0) {
		meet(false);
		_exit(!all_hold(1));
	}
	memset(at, 2, PAGES * PAGE);
	meet(true);
	expect_child(pid);
	EXPECT(all_hold(2));
	close_pipes();
}

static void both_write_in_turn(void)
{
	pid_t pid;

	make_pipes();
	memset(at, 0, PAGES * PAGE);
	pid = fork();
	if (pid == 0) {
		for (size_t i = 0; i < PAGES; i += 97) {
			meet(false);
			if (at[i * PAGE] != 0)
				_exit(1);
			at[i * PAGE] = 'c';
			meet(false);
			if (at[i * PAGE] != 'c')
				_exit(2);
		}
		_exit(0);
	}
	for (size_t i = 0; i < PAGES; i += 97) {
		at[i * PAGE] = 'p';
		meet(true);
		meet(true);
		EXPECT_EQ(at[i * PAGE], 'p');
	}
	expect_child(pid);
	close_pipes();
}

static void write_when_alone_again(void)
{
	struct rusage before, after;
	pid_t pid;

	memset(at, 4, PAGES * PAGE);
	pid = fork();
	if (pid == 0)
		_exit(!all_hold(4));
	expect_child(pid);
	getrusage(RUSAGE_SELF, &before);
	for (size_t i = 0; i < PAGES; i++)
		at[i * PAGE] = 5;
	getrusage(RUSAGE_SELF, &after);
	EXPECT(after.ru_minflt - before.ru_minflt <= (long)PAGES + 16);
	for (size_t i = 0; i < PAGES; i++)
		if (!EXPECT(at[i * PAGE] == 5 && at[i * PAGE + 1] == 4))
			break;
}

/* Each generation writes one more page and must see all that its ancestors wrote. */
static int generation(int depth)
{
	pid_t pid;
	int status;

	for (int i = 0; i < depth; i++)
		if (at[(size_t)i * 60 * PAGE] != (char)(i + 1))
			return 1;
	if (depth == 10)
		return 0;
	at[(size_t)depth * 60 * PAGE] = (char)(depth + 1);
	pid = fork();
	if (pid == 0)
		_exit(generation(depth + 1));
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
		return 2;
	for (int i = depth + 1; i < 10; i++)
		if (at[(size_t)i * 60 * PAGE] != 0)
			return 3;
	return 0;
}

static void ten_generations(void)
{
	memset(at, 0, PAGES * PAGE);
	EXPECT_EQ(generation(0), 0);
}

static void siblings(void)
{
	pid_t pids[8];

	memset(at, 1, PAGES * PAGE);
	for (int c = 0; c < 8; c++) {
		pids[c] = fork();
		if (pids[c] == 0) {
			if (!all_hold(1))
				_exit(1);
			memset(at, 10 + c, PAGES * PAGE);
			sleep_ms(20);
			_exit(!all_hold((char)(10 + c)));
		}
	}
	for (int c = 0; c < 8; c++)
		expect_child(pids[c]);
	EXPECT(all_hold(1));
}

/* The kernel writes into the pages on the program's behalf: it must copy as well. */
static void system_call_writes(void)
{
	int fds[2];
	pid_t pid;

	memset(at, 6, PAGES * PAGE);
	REQUIRE(pipe(fds) == 0);
	pid = fork();
	if (pid == 0) {
		char *edge = at + 512 * PAGE - 10;

		if (write(fds[1], "0123456789abcdefghij", 20) != 20 || read(fds[0], edge, 20) != 20)
			_exit(1);
		if (memcmp(edge, "0123456789abcdefghij", 20) || edge[-1] != 6 || edge[20] != 6)
			_exit(2);
		if (fstat(fds[0], (struct stat *)at))
			_exit(3);
		_exit(0);
	}
	expect_child(pid);
	EXPECT(all_hold(6));
	close(fds[0]), close(fds[1]);
}

static void shared_beside_private(void)
{
	char *both = anon_pages(3);
	pid_t pid;

	REQUIRE(mmap(both + PAGE, PAGE, PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == both + PAGE);
	memset(both, 1, 3 * PAGE);
	pid = fork();
	if (pid == 0) {
		memset(both, 2, 3 * PAGE);
		_exit(0);
	}
	expect_child(pid);
	EXPECT_EQ(both[0], 1);
	EXPECT_EQ(both[PAGE], 2);
	EXPECT_EQ(both[2 * PAGE], 1);
	munmap(both, 3 * PAGE);
}

static void zero_pages_and_holes(void)
{
	char *fresh = anon_pages(8);
	pid_t pid;

	EXPECT_EQ(fresh[0], 0);
	make_pipes();
	pid = fork();
	if (pid == 0) {
		fresh[0] = 1;
		fresh[PAGE] = 1;
		meet(false);
		meet(false);
		_exit(fresh[0] != 1 || fresh[2 * PAGE] != 0);
	}
	meet(true);
	EXPECT_EQ(fresh[0], 0);
	EXPECT_EQ(fresh[PAGE], 0);
	fresh[2 * PAGE] = 3;
	meet(true);
	expect_child(pid);
	close_pipes();
	munmap(fresh, 8 * PAGE);
}

static void child_maps_into_a_hole(void)
{
	char *area = anon_pages(16);
	pid_t pid;

	memset(area, 1, 16 * PAGE);
	munmap(area + 8 * PAGE, 2 * PAGE);
	make_pipes();
	pid = fork();
	if (pid == 0) {
		if (mmap(area + 8 * PAGE, PAGE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != area + 8 * PAGE)
			_exit(1);
		area[8 * PAGE] = 7;
		munmap(area, 4 * PAGE);
		meet(false);
		_exit(area[8 * PAGE] != 7);
	}
	meet(true);
	EXPECT_EQ(try_read(area + 8 * PAGE), SIGSEGV);
	EXPECT_EQ(area[0], 1);
	expect_child(pid);
	close_pipes();
	munmap(area, 16 * PAGE);
}

static void many_short_children(void)
{
	memset(at, 3, PAGES * PAGE);
	for (int i = 0; i < 200; i++) {
		pid_t pid = fork();

		if (pid == 0) {
			at[(size_t)(i * 37 % PAGES) * PAGE] = 9;
			_exit(at[(size_t)(i * 41 % PAGES) * PAGE + 1] != 3);
		}
		expect_child(pid);
	}
	EXPECT(all_hold(3));
}

int main(void)
{
	catch_faults(0);
	at = anon_pages(PAGES);
	RUN(child_writes);
	RUN(parent_writes);
	RUN(both_write_in_turn);
	RUN(write_when_alone_again);
	RUN(ten_generations);
	RUN(siblings);
	RUN(system_call_writes);
	RUN(shared_beside_private);
	RUN(zero_pages_and_holes);
	RUN(child_maps_into_a_hole);
	RUN(many_short_children);
	return test_end();
}
