/* SPDX-License-Identifier: MIT */
/*
 * brk_test.c - the program break, by the raw call: musl's brk() and sbrk() refuse on
 * purpose, and its malloc may move the break itself, so nothing here allocates between.
 */
#include "tests/user/test.h"

static char *brk_raw(void *to)
{
	return (char *)syscall(SYS_brk, to);
}

static void grow_and_shrink(void)
{
	char *start = brk_raw(NULL), *end = start + 64 * PAGE + 100;

	REQUIRE(start != NULL);
	EXPECT(brk_raw(end) == end);
	EXPECT(brk_raw(NULL) == end);
	char *page = (char *)(((uintptr_t)start + PAGE - 1) & ~(PAGE - 1));

	EXPECT_EQ(page[63 * PAGE], 0);
	memset(page, 5, 60 * PAGE);
	EXPECT(brk_raw(start) == start);
	EXPECT_EQ(try_read(page + 2 * PAGE), SIGSEGV);
	EXPECT(brk_raw(end) == end);
	for (size_t i = 0; i < 60; i++)
		if (!EXPECT_EQ(page[i * PAGE + PAGE - 1], 0))
			break;
	EXPECT(brk_raw(start) == start);
}

static void within_a_page(void)
{
	char *start = brk_raw(NULL);

	for (size_t i = 1; i <= 3 * PAGE; i += 333)
		if (!EXPECT(brk_raw(start + i) == start + i))
			break;
	EXPECT(brk_raw(start) == start);
}

static void refused(void)
{
	char *start = brk_raw(NULL), *block;

	EXPECT(brk_raw((void *)1) == start);
	EXPECT(brk_raw((void *)-1) == start);
	EXPECT(brk_raw((void *)(1UL << 47)) == start);
	/* a mapping in the way */
	block = (char *)(((uintptr_t)start + 32 * PAGE - 1) & ~(PAGE - 1));
	if (mmap(block, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1,
		 0) == block) {
		EXPECT(brk_raw(block + 2 * PAGE) == start);
		munmap(block, PAGE);
	}
	EXPECT(brk_raw(NULL) == start);
}

static void in_maps(void)
{
	char *start = brk_raw(NULL), line[512];
	bool heap = false;
	FILE *maps;

	EXPECT(brk_raw(start + 8 * PAGE) == start + 8 * PAGE);
	start[4 * PAGE] = 1;
	maps = fopen("/proc/self/maps", "r");
	while (maps && fgets(line, sizeof(line), maps))
		heap |= strstr(line, "[heap]") != NULL;
	if (maps)
		fclose(maps);
	EXPECT(heap);
}

static void inherited_by_fork(void)
{
	char *start = brk_raw(NULL);
	int status;
	pid_t pid;

	EXPECT(brk_raw(start + 4 * PAGE) == start + 4 * PAGE);
	start[2 * PAGE] = 7;
	pid = fork();
	if (pid == 0) {
		if (brk_raw(NULL) != start + 4 * PAGE || start[2 * PAGE] != 7)
			_exit(1);
		if (brk_raw(start) != start)
			_exit(2);
		_exit(0);
	}
	EXPECT(waitpid(pid, &status, 0) == pid && status == 0);
	EXPECT(brk_raw(NULL) == start + 4 * PAGE);
	EXPECT_EQ(start[2 * PAGE], 7);
}

static void limited(void)
{
	struct rlimit old, low = { 0, 0 };
	char *start = brk_raw(NULL);

	REQUIRE(getrlimit(RLIMIT_DATA, &old) == 0);
	low.rlim_max = old.rlim_max;
	if (setrlimit(RLIMIT_DATA, &low) == 0) {
		EXPECT(brk_raw(start + 16 * MIB) == start);
		setrlimit(RLIMIT_DATA, &old);
	}
}

int main(void)
{
	catch_faults(0);
	RUN(grow_and_shrink);
	RUN(within_a_page);
	RUN(refused);
	RUN(in_maps);
	RUN(inherited_by_fork);
	RUN(limited);
	return test_end();
}
