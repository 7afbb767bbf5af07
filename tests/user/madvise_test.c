/* SPDX-License-Identifier: MIT */
/* madvise_test.c - advice that drops, keeps, or makes memory, and advice that is refused. */
#include "tests/user/test.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ  22
#define MADV_POPULATE_WRITE 23
#endif

static size_t resident(char *at, size_t pages)
{
	static unsigned char vector[4096];
	size_t count = 0;

	if (mincore(at, pages * PAGE, vector))
		return (size_t)-1;
	for (size_t i = 0; i < pages; i++)
		count += vector[i] & 1;
	return count;
}

static void dontneed(void)
{
	char *at = anon_pages(1024);

	memset(at, 5, 1024 * PAGE);
	EXPECT(madvise(at + 3 * PAGE, 2 * PAGE, MADV_DONTNEED) == 0);
	EXPECT_EQ(at[3 * PAGE - 1], 5);
	EXPECT_EQ(at[3 * PAGE], 0);
	EXPECT_EQ(at[5 * PAGE - 1], 0);
	EXPECT_EQ(at[5 * PAGE], 5);
	EXPECT(madvise(at, 1024 * PAGE, MADV_DONTNEED) == 0);
	EXPECT_EQ(resident(at, 1024), 0);
	for (size_t i = 0; i < 1024; i++)
		if (!EXPECT_EQ(at[i * PAGE + 11], 0))
			break;
	EXPECT_EQ(try_write(at), 0);
	munmap(at, 1024 * PAGE);
}

static void dontneed_piecemeal(void)
{
	char *at = anon_pages(1024);

	for (int round = 0; round < 3; round++) {
		memset(at, round + 1, 1024 * PAGE);
		for (size_t i = 1; i < 1024; i += 2)
			EXPECT(madvise(at + i * PAGE, PAGE, MADV_DONTNEED) == 0);
		for (size_t i = 0; i < 1024; i++)
			if (!EXPECT_EQ(at[i * PAGE], i % 2 ? 0 : round + 1))
				break;
		for (size_t i = 0; i < 1024; i += 2)
			EXPECT(madvise(at + i * PAGE, PAGE, MADV_DONTNEED) == 0);
	}
	EXPECT_EQ(at[512 * PAGE], 0);
	munmap(at, 1024 * PAGE);
}

static void dontneed_of_files(void)
{
	int fd = temp_file(4 * PAGE);
	char *shared = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	char *private = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);

	REQUIRE(shared != MAP_FAILED && private != MAP_FAILED);
	shared[PAGE] = 3;
	private[PAGE] = 4;
	EXPECT(madvise(shared, 4 * PAGE, MADV_DONTNEED) == 0);
	EXPECT_EQ(shared[PAGE], 3);
	EXPECT_EQ(private[PAGE], 4);
	EXPECT(madvise(private, 4 * PAGE, MADV_DONTNEED) == 0);
	EXPECT_EQ(private[PAGE], 3);
	munmap(shared, 4 * PAGE), munmap(private, 4 * PAGE);
	close(fd);
}

static void dontneed_after_fork(void)
{
	char *at = anon_pages(600);
	int status;
	pid_t pid;

	memset(at, 8, 600 * PAGE);
	pid = fork();
	if (pid == 0) {
		/* one page of a table that the parent uses too */
		madvise(at + 7 * PAGE, PAGE, MADV_DONTNEED);
		if (at[7 * PAGE] != 0 || at[6 * PAGE] != 8 || at[8 * PAGE] != 8)
			_exit(1);
		madvise(at, 600 * PAGE, MADV_DONTNEED);
		_exit(at[0] != 0);
	}
	EXPECT(waitpid(pid, &status, 0) == pid && status == 0);
	for (size_t i = 0; i < 600; i++)
		if (!EXPECT_EQ(at[i * PAGE], 8))
			break;
	munmap(at, 600 * PAGE);
}

static void free_advice(void)
{
	char *at = anon_pages(16);

	memset(at, 2, 16 * PAGE);
	EXPECT(madvise(at, 16 * PAGE, MADV_FREE) == 0);
	EXPECT(at[0] == 2 || at[0] == 0);
	at[PAGE] = 6;
	EXPECT_EQ(at[PAGE], 6);
	munmap(at, 16 * PAGE);
}

static void hints_change_nothing(void)
{
	static const int hints[] = { MADV_NORMAL, MADV_RANDOM, MADV_SEQUENTIAL, MADV_WILLNEED };
	int fd = temp_file(4 * PAGE);
	char *at = anon_pages(4), *file = mmap(NULL, 4 * PAGE, PROT_READ, MAP_SHARED, fd, 0);

	memset(at, 1, 4 * PAGE);
	for (size_t i = 0; i < sizeof(hints) / sizeof(hints[0]); i++) {
		EXPECT(madvise(file, 4 * PAGE, hints[i]) == 0);
		if (hints[i] != MADV_WILLNEED)
			EXPECT(madvise(at + PAGE, PAGE, hints[i]) == 0);
	}
	EXPECT_EQ(at[PAGE], 1);
	EXPECT_EQ(file[PAGE], 0);
	munmap(at, 4 * PAGE), munmap(file, 4 * PAGE);
	close(fd);
}

static void populate(void)
{
	char *at = anon_pages(256);

	EXPECT(madvise(at, 128 * PAGE, MADV_POPULATE_WRITE) == 0);
	EXPECT_EQ(resident(at, 128), 128);
	EXPECT_EQ(at[0], 0);
	EXPECT(madvise(at, 256 * PAGE, MADV_POPULATE_READ) == 0);
	EXPECT_EQ(at[255 * PAGE], 0);
	at[255 * PAGE] = 1;
	EXPECT_EQ(at[254 * PAGE], 0);
	EXPECT(mprotect(at, PAGE, PROT_READ) == 0);
	EXPECT_ERRNO(madvise(at, 2 * PAGE, MADV_POPULATE_WRITE), EINVAL);
	EXPECT(mprotect(at, PAGE, PROT_NONE) == 0);
	EXPECT_ERRNO(madvise(at, 2 * PAGE, MADV_POPULATE_READ), EINVAL);
	munmap(at, 256 * PAGE);
	EXPECT_ERRNO(madvise(at, 2 * PAGE, MADV_POPULATE_WRITE), ENOMEM);
}

static void populate_file(void)
{
	int fd = temp_file(8 * PAGE);
	char *at = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);

	REQUIRE(at != MAP_FAILED);
	EXPECT(pwrite(fd, "abc", 3, 2 * PAGE) == 3);
	EXPECT(madvise(at, 8 * PAGE, MADV_POPULATE_WRITE) == 0);
	EXPECT(!memcmp(at + 2 * PAGE, "abc", 3));
	EXPECT(pwrite(fd, "xyz", 3, 2 * PAGE) == 3);
	EXPECT(!memcmp(at + 2 * PAGE, "abc", 3));
	munmap(at, 8 * PAGE);
	close(fd);
}

static void wipe_and_dont_fork(void)
{
	char *at = anon_pages(6);
	int status;
	pid_t pid;

	memset(at, 9, 6 * PAGE);
	if (madvise(at + PAGE, PAGE, MADV_WIPEONFORK) && errno == EINVAL && on_quire()) {
		printf("# MADV_WIPEONFORK is not there\n");
		return;
	}
	EXPECT(madvise(at + 3 * PAGE, PAGE, MADV_DONTFORK) == 0);
	pid = fork();
	if (pid == 0) {
		if (at[0] != 9 || at[PAGE] != 0 || at[2 * PAGE] != 9 || at[4 * PAGE] != 9)
			_exit(1);
		_exit(try_read(at + 3 * PAGE) != SIGSEGV);
	}
	EXPECT(waitpid(pid, &status, 0) == pid && status == 0);
	EXPECT_EQ(at[PAGE], 9);
	EXPECT_EQ(at[3 * PAGE], 9);
	munmap(at, 6 * PAGE);
}

static void errors(void)
{
	char *at = anon_pages(4);

	EXPECT_ERRNO(madvise(at + 1, PAGE, MADV_DONTNEED), EINVAL);
	EXPECT_ERRNO(madvise(at, PAGE, 12345), EINVAL);
	EXPECT_ERRNO(madvise(at, -PAGE, MADV_DONTNEED), EINVAL);
	EXPECT(madvise(at, 0, MADV_DONTNEED) == 0);
	at[0] = at[2 * PAGE] = 1;
	munmap(at + PAGE, PAGE);
	EXPECT_ERRNO(madvise(at, 3 * PAGE, MADV_DONTNEED), ENOMEM);
	EXPECT_EQ(at[0], 0);
	EXPECT_EQ(at[2 * PAGE], 0);
	munmap(at, 4 * PAGE);
	EXPECT_ERRNO(madvise(at, PAGE, MADV_DONTNEED), ENOMEM);
}

int main(void)
{
	catch_faults(0);
	RUN(dontneed);
	RUN(dontneed_piecemeal);
	RUN(dontneed_of_files);
	RUN(dontneed_after_fork);
	RUN(free_advice);
	RUN(hints_change_nothing);
	RUN(populate);
	RUN(populate_file);
	RUN(wipe_and_dont_fork);
	RUN(errors);
	return test_end();
}
