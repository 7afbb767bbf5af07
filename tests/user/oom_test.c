/* SPDX-License-Identifier: MIT */
/*
 * oom_test.c - when memory ends: ENOMEM where a call can say it, else the process that asked is
 * killed; the rest lives, and what it had comes back. On Linux everything happens under a limit
 * on addresses, so that only ENOMEM is seen.
 *
 * tests/run: limit=60 mem=64M checkmem=24M
 */
#include "tests/user/test.h"

static void limit_on_linux(void)
{
	struct rlimit limit = { 200 * MIB, 200 * MIB };

	if (!on_quire())
		REQUIRE(setrlimit(RLIMIT_AS, &limit) == 0);
}

static long free_pages(void)
{
	return (long)proc_value("/proc/vmstat", "nr_free_pages");
}

/* Free memory must come back to within a few pages; death takes a moment. */
static void expect_back(long before)
{
	long now = 0;

	if (!on_quire())
		return;
	for (int i = 0; i < 100; i++) {
		now = free_pages();
		if (now >= before - 32)
			return;
		sleep_ms(10);
	}
	printf("# free pages: %ld, then %ld\n", before, now);
	EXPECT(!"memory comes back");
}

static void touch_until_the_end(void)
{
	limit_on_linux();
	for (;;) {
		char *at =
			mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (at == MAP_FAILED) {
			EXPECT_EQ(errno, ENOMEM);
			return;
		}
		for (size_t i = 0; i < MIB; i += PAGE)
			at[i] = 1;
	}
}

static void expect_end(int status)
{
	if (!EXPECT(status == 0 || (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)))
		printf("# status %#x\n", status);
}

static void touching(void)
{
	long before = free_pages();

	for (int i = 0; i < 3; i++) {
		expect_end(in_child(touch_until_the_end));
		expect_back(before);
	}
}

static void populate_child(void)
{
	char *at;

	limit_on_linux();
	at = mmap(NULL, 1UL << 36, PROT_READ | PROT_WRITE,
		  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (at == MAP_FAILED) {
		EXPECT_EQ(errno, ENOMEM);
		return;
	}
	EXPECT_ERRNO(madvise(at, 1UL << 36, 23 /* MADV_POPULATE_WRITE */), ENOMEM);
	munmap(at, 1UL << 36);
	EXPECT(malloc(1000) != NULL);
}

static void populating(void)
{
	long before = free_pages();

	expect_end(in_child(populate_child));
	expect_back(before);
}

static void heap_child(void)
{
	static void *blocks[100000];
	size_t count = 0;

	limit_on_linux();
	while (count < 100000 && (blocks[count] = malloc(20000))) {
		memset(blocks[count], 1, 20000);
		count++;
	}
	EXPECT(count > 100);
	while (count)
		free(blocks[--count]);
}

static void heap(void)
{
	long before = free_pages();

	expect_end(in_child(heap_child));
	expect_back(before);
}

static void fork_child(void)
{
	static pid_t pids[1000];
	int children = 0, status;

	while (children < (on_quire() ? 1000 : 20)) {
		pid_t pid;

		pid = fork();
		if (pid == 0) {
			char *at = mmap(NULL, 4 * MIB, PROT_READ | PROT_WRITE,
					MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

			for (size_t i = 0; at != MAP_FAILED && i < 4 * MIB; i += PAGE)
				at[i] = 1;
			for (;;)
				pause();
		}
		if (pid < 0) {
			EXPECT(errno == ENOMEM || errno == EAGAIN);
			break;
		}
		pids[children++] = pid;
		sleep_ms(2);
		if (waitpid(-1, &status, WNOHANG) > 0) {
			EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
			break;
		}
	}
	EXPECT(children > 2);
	while (children)
		kill(pids[--children], SIGTERM);
	while (wait(NULL) > 0)
		;
}

static pid_t *fork_group; /* shared with the child, which may be killed before it has ended its own */

static void fork_group_child(void)
{
	setpgid(0, 0);
	*fork_group = getpid();
	fork_child();
}

static void forking(void)
{
	long before = free_pages();

	fork_group = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	REQUIRE(fork_group != MAP_FAILED);
	expect_end(in_child(fork_group_child));
	if (*fork_group)
		kill(-*fork_group, SIGKILL);
	munmap(fork_group, PAGE);
	expect_back(before);
}

static void filling_the_file_system(void)
{
	static char block[65536];
	long before = free_pages();
	int fd;

	if (!on_quire())
		return;
	fd = open("/tmp/oom_test.full", O_RDWR | O_CREAT | O_TRUNC, 0600);
	REQUIRE(fd >= 0);
	memset(block, 'f', sizeof(block));
	for (;;) {
		ssize_t put = write(fd, block, sizeof(block));

		if (put < 0) {
			EXPECT(errno == ENOSPC || errno == ENOMEM);
			break;
		}
		if (!EXPECT(put > 0))
			break;
	}
	EXPECT(lseek(fd, 0, SEEK_END) > (off_t)MIB);
	EXPECT(ftruncate(fd, 0) == 0);
	EXPECT_EQ(write(fd, block, sizeof(block)), sizeof(block));
	close(fd);
	unlink("/tmp/oom_test.full");
	expect_back(before);
}

static void health_child(void)
{
	char *at = anon_pages(256);

	memset(at, 1, 256 * PAGE);
	EXPECT_EQ(at[255 * PAGE], 1);
}

static void still_well(void)
{
	IN_CHILD(health_child);
}

int main(void)
{
	RUN(still_well);
	RUN(touching);
	RUN(populating);
	RUN(heap);
	RUN(forking);
	RUN(filling_the_file_system);
	RUN(still_well);
	return test_end();
}
