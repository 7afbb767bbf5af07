/* SPDX-License-Identifier: MIT */
/*
 * leak_test.c - a thousand rounds of everything, and as many free frames and tables as before.
 *
 * One process at a time does each kind of thing, first some rounds that may fill the kernel's
 * caches, then many that must not take any more. On Linux, whose other tenants move the
 * figures, only the rounds are run.
 *
 * tests/run: limit=90
 */
#include "tests/user/test.h"
#include <pthread.h>

static void do_fork(void)
{
	char *at = anon_pages(40);
	pid_t pid;

	memset(at, 1, 40 * PAGE);
	pid = fork();
	if (pid == 0) {
		memset(at + 10 * PAGE, 2, 10 * PAGE);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	munmap(at, 40 * PAGE);
}

static void do_exec(void)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		execl("/proc/self/exe", "leak_test", "--leaf", (char *)NULL);
		_exit(1);
	}
	EXPECT(waitpid(pid, &status, 0) == pid && status == 0);
}

static void do_killed(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		char *at = anon_pages(30);

		memset(at, 1, 30 * PAGE);
		raise(SIGKILL);
	}
	waitpid(pid, NULL, 0);
}

static void do_map(void)
{
	char *at = mmap(NULL, 64 * MIB, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	char *moved;

	REQUIRE(at != MAP_FAILED);
	for (size_t i = 0; i < 64 * MIB; i += 4 * MIB)
		at[i] = 1;
	madvise(at, 32 * MIB, MADV_DONTNEED);
	mprotect(at + 40 * MIB, 4 * MIB, PROT_READ);
	munmap(at + 41 * MIB, PAGE);
	moved = mremap(at, 8 * MIB, 16 * MIB, MREMAP_MAYMOVE);
	REQUIRE(moved != MAP_FAILED);
	munmap(moved, 16 * MIB);
	munmap(at, 64 * MIB);
}

static void do_file(void)
{
	int fd = temp_file(20 * PAGE);
	char *at = mmap(NULL, 20 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	char *copy = mmap(NULL, 20 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);

	REQUIRE(at != MAP_FAILED && copy != MAP_FAILED);
	memset(at, 1, 20 * PAGE);
	memset(copy, 2, 10 * PAGE);
	ftruncate(fd, 5 * PAGE);
	close(fd);
	munmap(at, 20 * PAGE);
	munmap(copy, 20 * PAGE);
}

static void do_pipe(void)
{
	static char block[60000];
	int fds[2];

	REQUIRE(pipe(fds) == 0);
	EXPECT_EQ(write(fds[1], block, sizeof(block)), sizeof(block));
	close(fds[0]), close(fds[1]);
}

static void *nothing(void *arg)
{
	return arg;
}

static void do_thread(void)
{
	pthread_t thread;

	REQUIRE(pthread_create(&thread, NULL, nothing, NULL) == 0);
	pthread_join(thread, NULL);
}

static void do_folder(void)
{
	EXPECT(mkdir("/tmp/leak_test.d", 0700) == 0);
	EXPECT(symlink("x", "/tmp/leak_test.d/link") == 0);
	EXPECT(unlink("/tmp/leak_test.d/link") == 0);
	EXPECT(rmdir("/tmp/leak_test.d") == 0);
}

static void do_failures(void)
{
	EXPECT_ERRNO(execl("/proc/self/status", "x", (char *)NULL), EACCES);
	EXPECT_ERRNO((long)mmap(NULL, 1UL << 47, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
		     ENOMEM);
	EXPECT_ERRNO(open("/tmp/nowhere/x", O_RDWR | O_CREAT, 0600), ENOENT);
}

static const struct {
	const char *name;
	void (*act)(void);
	int rounds;
} acts[] = {
	{ "fork", do_fork, 300 },	  { "exec", do_exec, 200 },
	{ "killed", do_killed, 100 },	  { "map", do_map, 300 },
	{ "file", do_file, 200 },	  { "pipe", do_pipe, 200 },
	{ "thread", do_thread, 300 },	  { "folder", do_folder, 200 },
	{ "failures", do_failures, 200 },
};

/* Wait until dead threads' remains are gone, then say how many pages a counter has. */
static long settled(const char *name)
{
	long last = -1, now;

	for (int i = 0; i < 20; i++) {
		sleep_ms(5);
		now = (long)proc_value("/proc/vmstat", name);
		if (now == last)
			break;
		last = now;
	}
	return now;
}

static void nothing_is_lost(void)
{
	for (size_t a = 0; a < sizeof(acts) / sizeof(acts[0]); a++) {
		long free_before, free_after, tables_before, tables_after;

		for (int i = 0; i < 50; i++)
			acts[a].act();
		free_before = settled("nr_free_pages");
		tables_before = settled("nr_page_table_pages");
		for (int i = 0; i < acts[a].rounds; i++)
			acts[a].act();
		free_after = settled("nr_free_pages");
		tables_after = settled("nr_page_table_pages");
		if (!on_quire())
			continue;
		if (free_after < free_before - 8)
			printf("# %s: %ld free pages, after %d rounds %ld\n", acts[a].name,
			       free_before, acts[a].rounds, free_after);
		EXPECT(free_after >= free_before - 8);
		EXPECT_EQ(tables_after, tables_before);
	}
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "--leaf"))
		return 0;
	RUN(nothing_is_lost);
	return test_end();
}
