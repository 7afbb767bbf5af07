/* SPDX-License-Identifier: MIT */
/*
 * share_kin_test.c - families: generations, siblings, orphans, the killed, threads that
 * write while one of them forks, exec and vfork, with memory that all of them share.
 *
 * tests/run: limit=90
 */
#include "tests/user/share.h"
#include <pthread.h>
#include <spawn.h>

static char *self;

/* Stamped pages in each of three tables, one behind a border of a GiB. */
static void build(void)
{
	start_afresh();
	map_stamped(SPACE + GIB - TABLE, 6, 0x100);
	map_stamped(SPACE + GIB, 6, 0x200);
	map_stamped(SPACE + GIB + TABLE + 500 * PAGE, 6, 0x300);
}

/* Each generation writes before and after the next, which must see the first alone. */
static int generation;

static void descend(void)
{
	verify("descendant");
	scribble(0x1000 * (uint32_t)generation);
	if (generation++ < 7)
		kin_once(descend);
	verify("descendant, after its own descendants");
	scribble(0x1000 * (uint32_t)generation + 0x800);
	verify("descendant, in the end");
}

static void generations(void)
{
	build();
	generation = 1;
	kin_once(descend);
	verify("ancestor");
	scribble(0x400);
	kin_once(descend);
	verify("ancestor, in the end");
}

/* Brothers that write the same pages by turns. */
static void brother(void)
{
	for (int i = 0; i < 4; i++) {
		verify("brother");
		scribble((uint32_t)getpid() * 16 + (uint32_t)i);
		turn_over();
	}
	verify("brother, in the end");
}

static void siblings(void)
{
	struct kin kin[8];

	build();
	for (int k = 0; k < 8; k++) {
		kin[k] = kin_start(brother);
		scribble(0x10000 + 0x100 * (uint32_t)k);
	}
	for (int i = 0; i < 5; i++)
		for (int k = 0; k < 8; k++) {
			kin_turn(&kin[(k + i) % 8]);
			verify("parent of brothers");
		}
	for (int k = 0; k < 8; k++)
		kin_end(&kin[k]);
	scribble(0x20000);
	verify("parent of brothers, in the end");
}

/* A grandchild outlives its parent, then writes all, while the grandparent has too. */
static int orphan_pipe[2], news[2];

static void lose_parent(void)
{
	pid_t pid;
	char byte = 0;

	scribble(0x5000);
	pid = fork();
	REQUIRE(pid >= 0);
	if (pid)
		return;
	alarm(TEST_SECONDS);
	close(orphan_pipe[1]);
	EXPECT_EQ(read(orphan_pipe[0], &byte, 1), 1);
	verify("orphan");
	scribble(0x6000);
	verify("orphan, after its writes");
	EXPECT_EQ(write(news[1], test_failures ? "1" : "0", 1), 1);
	fflush(stdout);
	_exit(0);
}

static void orphans(void)
{
	char byte = 'x';

	build();
	REQUIRE(pipe(orphan_pipe) == 0 && pipe(news) == 0);
	for (int i = 0; i < 3; i++)
		kin_once(lose_parent);
	verify("grandparent");
	scribble(0x7000);
	for (int i = 0; i < 3; i++) {
		EXPECT_EQ(write(orphan_pipe[1], &byte, 1), 1);
		EXPECT_EQ(read(news[0], &byte, 1), 1);
		EXPECT_EQ(byte, '0');
	}
	verify("grandparent, in the end");
	close(orphan_pipe[0]), close(orphan_pipe[1]), close(news[0]), close(news[1]);
}

/* Children that are killed where they stand, having written some. */
static void killed(void)
{
	int status;

	build();
	for (int i = 0; i < 20; i++) {
		pid_t pid = fork();

		REQUIRE(pid >= 0);
		if (pid == 0) {
			for (int n = 0; n < i && n < probe_count; n++)
				put_stamp(probes[n].at, 0xdead);
			raise(SIGKILL);
		}
		EXPECT(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status));
		verify("parent of the killed");
		scribble(0x100 * (uint32_t)i);
	}
}

/* The last user of a page or table writes without a copy, again and again. */
static void over_and_over(void)
{
	build();
	for (int i = 0; i < 60; i++) {
		int status;
		pid_t pid = fork();

		REQUIRE(pid >= 0);
		if (pid == 0) {
			verify("one of sixty");
			if (i % 3)
				scribble(0xbad0);
			_exit(test_failures != 0);
		}
		if (i % 2)
			scribble(0x1000 + (uint32_t)i);
		EXPECT(waitpid(pid, &status, 0) == pid && status == 0);
		verify("parent of sixty");
		scribble(0x2000 + (uint32_t)i);
	}
}

/* Threads write while another forks: the child sees what was still, and no later write. */
#define WRITERS 3
static volatile bool stop;

static void *write_on(void *arg)
{
	char *at = SPACE + 3 * GIB + (uintptr_t)arg * 100 * PAGE;

	for (uint32_t n = 1; !stop; n++)
		for (size_t p = 0; p < 64; p++)
			put_stamp(at + p * PAGE, n);
	return NULL;
}

static bool changes(void)
{
	uint64_t sum[2] = { 0, 0 };

	for (int pass = 0; pass < 2; pass++) {
		for (size_t w = 0; w < WRITERS; w++)
			for (size_t p = 0; p < 64; p++)
				sum[pass] = sum[pass] * 31 +
					    *word(SPACE + 3 * GIB + (w * 100 + p) * PAGE, true);
		sleep_ms(1);
	}
	return sum[0] != sum[1];
}

static void threads_write(void)
{
	pthread_t threads[WRITERS];

	build();
	map_at(SPACE + 3 * GIB, TABLE, PROT_READ | PROT_WRITE);
	stop = false;
	for (size_t w = 0; w < WRITERS; w++)
		REQUIRE(pthread_create(&threads[w], NULL, write_on, (void *)w) == 0);
	for (int i = 0; i < 20; i++) {
		int status;
		pid_t pid = fork();

		REQUIRE(pid >= 0);
		if (pid == 0) {
			verify("child of a thread");
			EXPECT(!changes());
			scribble(0xbad0);
			for (size_t p = 0; p < 512; p++)
				put_stamp(SPACE + 3 * GIB + p * PAGE, 0);
			EXPECT(!changes());
			_exit(test_failures != 0);
		}
		sleep_ms(1);
		scribble(0x1000 * (uint32_t)i);
		EXPECT(waitpid(pid, &status, 0) == pid && status == 0);
		verify("forking thread");
	}
	bool seen = false;
	for (int i = 0; i < 2000 && !seen; i++) /* the writers may have to wait for a CPU */
		seen = changes();
	EXPECT(seen);
	stop = true;
	for (size_t w = 0; w < WRITERS; w++)
		pthread_join(threads[w], NULL);
}

/* exec lets go of all that was shared; the relatives keep it. */
static void executed(void)
{
	int status;

	build();
	for (int i = 0; i < 8; i++) {
		pid_t pid = fork();

		REQUIRE(pid >= 0);
		if (pid == 0) {
			if (i % 2)
				scribble(0xbad0);
			execl(self, self, "--leaf", (char *)NULL);
			_exit(1);
		}
		EXPECT(waitpid(pid, &status, 0) == pid && status == 0);
		verify("parent of the executed");
		EXPECT(posix_spawn(&pid, self, NULL, NULL,
				   (char *[]){ self, (char[]){ "--leaf" }, NULL }, environ) == 0);
		EXPECT(waitpid(pid, &status, 0) == pid && status == 0);
		scribble(0x100 * (uint32_t)i);
	}
}

/* A vforked child writes its parent's memory, and nobody else's. */
static void parent_of_vforked(void)
{
	int status;
	volatile int mine = 1;
	pid_t pid = vfork();

	if (pid == 0) {
		mine = 2;
		scribble(0x9000);
		_exit(0);
	}
	REQUIRE(pid > 0);
	EXPECT(waitpid(pid, &status, 0) == pid && status == 0);
	EXPECT_EQ(mine, 2);
	EXPECT_EQ(*word(probes[0].at, false), 0x9000);
	verify("parent of the vforked");
}

static void vforked(void)
{
	build();
	kin_once(parent_of_vforked);
	verify("grandparent of the vforked");
	scribble(0x8000);
	parent_of_vforked();
}

static void cases(void)
{
	RUN(generations);
	RUN(siblings);
	RUN(orphans);
	RUN(killed);
	RUN(over_and_over);
	RUN(threads_write);
	RUN(executed);
	RUN(vforked);
	start_afresh();
}

int main(int argc, char **argv)
{
	static char exe[256];
	ssize_t len = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

	if (argc == 2 && !strcmp(argv[1], "--leaf"))
		return 0;
	self = len > 0 ? exe : argv[0];
	return share_main(argc, argv, cases);
}
