/* SPDX-License-Identifier: MIT */
/* mremap_test.c - mappings grow, shrink and move with their contents. */
#include "tests/user/test.h"

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

static void mark(char *at, size_t pages)
{
	for (size_t i = 0; i < pages; i++)
		at[i * PAGE] = (char)(i % 120 + 1);
}

static bool marked(const char *at, size_t pages)
{
	for (size_t i = 0; i < pages; i++)
		if (at[i * PAGE] != (char)(i % 120 + 1))
			return false;
	return true;
}

static void shrink(void)
{
	char *at = anon_pages(8);

	mark(at, 8);
	EXPECT(mremap(at, 8 * PAGE, 3 * PAGE, 0) == at);
	EXPECT(marked(at, 3));
	EXPECT_EQ(try_read(at + 3 * PAGE), SIGSEGV);
	munmap(at, 3 * PAGE);
}

static void grow_in_place(void)
{
	char *at = anon_pages(8);

	munmap(at + 4 * PAGE, 4 * PAGE);
	mark(at, 4);
	EXPECT(mremap(at, 4 * PAGE, 8 * PAGE, 0) == at);
	EXPECT(marked(at, 4));
	EXPECT_EQ(at[4 * PAGE], 0);
	EXPECT_EQ(try_write(at + 8 * PAGE - 1), 0);
	munmap(at, 8 * PAGE);
}

static void must_move(void)
{
	char *at = anon_pages(600), *to;

	mark(at, 300);
	EXPECT_ERRNO((long)mremap(at, 300 * PAGE, 400 * PAGE, 0), ENOMEM);
	EXPECT(marked(at, 300));
	to = mremap(at, 300 * PAGE, 400 * PAGE, MREMAP_MAYMOVE);
	REQUIRE(to != MAP_FAILED);
	EXPECT(to != at);
	EXPECT(marked(to, 300));
	EXPECT_EQ(to[399 * PAGE], 0);
	EXPECT_EQ(try_read(at), SIGSEGV);
	EXPECT_EQ(try_read(at + 300 * PAGE), 0);
	munmap(to, 400 * PAGE);
	munmap(at, 600 * PAGE);
}

/* What grows away from its place keeps its place within tables, which so move whole; a child that shares them stays. */
static void large_moves_by_tables(void)
{
	size_t pages = 3 * 512 + 7;
	char *at = anon_pages(2 * pages), *to;
	pid_t child;
	int status, go[2];
	char c;

	mark(at, pages);
	REQUIRE(pipe(go) == 0);
	child = fork();
	if (child == 0) {
		close(go[1]);
		_exit(read(go[0], &c, 1) != 0 || !marked(at, pages));
	}
	to = mremap(at, pages * PAGE, (pages + 600) * PAGE, MREMAP_MAYMOVE);
	REQUIRE(to != MAP_FAILED);
	if (on_quire())
		EXPECT_EQ(((uintptr_t)to ^ (uintptr_t)at) % (512 * PAGE), 0);
	EXPECT(marked(to, pages));
	mark(to + pages * PAGE, 600);
	memset(to, 77, pages * PAGE);
	close(go[0]);
	close(go[1]);
	EXPECT(waitpid(child, &status, 0) == child);
	EXPECT_EQ(status, 0);
	munmap(to, (pages + 600) * PAGE);
	munmap(at + pages * PAGE, pages * PAGE);
}

static void to_fixed(void)
{
	char *from = anon_pages(4), *to = anon_pages(6);

	mark(from, 4);
	memset(to, 99, 6 * PAGE);
	EXPECT(mremap(from, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to + PAGE) ==
	       to + PAGE);
	EXPECT(marked(to + PAGE, 4));
	EXPECT_EQ(to[0], 99);
	EXPECT_EQ(to[5 * PAGE], 99);
	EXPECT_EQ(try_read(from), SIGSEGV);
	from = anon_pages(4);
	mark(from, 4);
	EXPECT(mremap(from, 4 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to);
	EXPECT(marked(to, 2));
	EXPECT_EQ(try_read(from + 3 * PAGE), SIGSEGV);
	munmap(to, 6 * PAGE);
}

static void part_of_a_region(void)
{
	char *at = anon_pages(8), *to;

	mark(at, 8);
	to = mremap(at + 2 * PAGE, 3 * PAGE, 3 * PAGE, MREMAP_MAYMOVE);
	EXPECT(to == at + 2 * PAGE);
	to = anon_pages(16);
	EXPECT(mremap(at + 2 * PAGE, 3 * PAGE, 5 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to);
	EXPECT_EQ(to[0], 3);
	EXPECT_EQ(to[2 * PAGE], 5);
	EXPECT_EQ(to[3 * PAGE], 0);
	EXPECT_EQ(at[PAGE], 2);
	EXPECT_EQ(at[5 * PAGE], 6);
	EXPECT_EQ(try_read(at + 2 * PAGE), SIGSEGV);
	EXPECT_EQ(try_read(at + 4 * PAGE), SIGSEGV);
	munmap(at, 8 * PAGE), munmap(to, 16 * PAGE);
}

static void keeps_holes_and_rights(void)
{
	char *at = anon_pages(8), *to = anon_pages(8);

	at[3 * PAGE] = 7;
	EXPECT(mprotect(at, 8 * PAGE, PROT_READ) == 0);
	EXPECT(mremap(at, 8 * PAGE, 8 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to);
	EXPECT_EQ(to[3 * PAGE], 7);
	EXPECT_EQ(to[0], 0);
	EXPECT_EQ(try_write(to), SIGSEGV);
	EXPECT_EQ(fault_code, SEGV_ACCERR);
	munmap(to, 8 * PAGE);
}

static void after_fork_private(void)
{
	char *at = anon_pages(4), *to = anon_pages(4);
	int status;
	pid_t pid;

	mark(at, 4);
	pid = fork();
	if (pid == 0) {
		if (mremap(at, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to) != to)
			_exit(1);
		if (!marked(to, 4))
			_exit(2);
		memset(to, 0, 4 * PAGE);
		_exit(0);
	}
	EXPECT(waitpid(pid, &status, 0) == pid && status == 0);
	EXPECT(marked(at, 4));
	munmap(at, 4 * PAGE), munmap(to, 4 * PAGE);
}

static void file_mapping(void)
{
	int fd = temp_file(8 * PAGE);
	char *at = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), *to, byte;

	REQUIRE(at != MAP_FAILED);
	at[PAGE] = 4;
	EXPECT(pwrite(fd, "x", 1, 5 * PAGE) == 1);
	to = mremap(at, 2 * PAGE, 6 * PAGE, MREMAP_MAYMOVE);
	REQUIRE(to != MAP_FAILED);
	EXPECT_EQ(to[PAGE], 4);
	EXPECT_EQ(to[5 * PAGE], 'x');
	to[5 * PAGE] = 'y';
	EXPECT(pread(fd, &byte, 1, 5 * PAGE) == 1 && byte == 'y');
	munmap(to, 6 * PAGE);
	close(fd);
}

static void duplicate_shared(void)
{
	char *at = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0),
	     *to;

	REQUIRE(at != MAP_FAILED);
	at[0] = 1;
	to = mremap(at, 0, 2 * PAGE, MREMAP_MAYMOVE);
	REQUIRE(to != MAP_FAILED);
	EXPECT(to != at);
	to[PAGE] = 9;
	EXPECT_EQ(at[PAGE], 9);
	EXPECT_EQ(to[0], 1);
	munmap(at, 2 * PAGE), munmap(to, 2 * PAGE);
}

static void dontunmap(void)
{
	char *at = anon_pages(4), *to;

	mark(at, 4);
	to = mremap(at, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);
	if (to == MAP_FAILED) {
		EXPECT_EQ(errno, EINVAL);
		munmap(at, 4 * PAGE);
		return;
	}
	EXPECT(to != at && marked(to, 4));
	EXPECT_EQ(at[0], 0);
	EXPECT_EQ(try_write(at), 0);
	munmap(at, 4 * PAGE), munmap(to, 4 * PAGE);
}

static void errors(void)
{
	char *at = anon_pages(8);

	EXPECT_ERRNO((long)mremap(at + 1, PAGE, 2 * PAGE, MREMAP_MAYMOVE), EINVAL);
	EXPECT_ERRNO((long)mremap(at, PAGE, 0, MREMAP_MAYMOVE), EINVAL);
	EXPECT_ERRNO(syscall(SYS_mremap, at, PAGE, PAGE, 0x80, 0), EINVAL);
	EXPECT_ERRNO(syscall(SYS_mremap, at, PAGE, PAGE, MREMAP_FIXED, at), EINVAL);
	EXPECT_ERRNO(syscall(SYS_mremap, at, 4 * PAGE, 4 * PAGE, MREMAP_FIXED | MREMAP_MAYMOVE,
			     at + PAGE),
		     EINVAL);
	EXPECT_ERRNO(syscall(SYS_mremap, at, PAGE, PAGE, MREMAP_FIXED | MREMAP_MAYMOVE,
			     at + 4 * PAGE + 1),
		     EINVAL);
	EXPECT_ERRNO(syscall(SYS_mremap, at, PAGE, PAGE, MREMAP_FIXED | MREMAP_MAYMOVE, -PAGE),
		     EINVAL);
	EXPECT((long)mremap(at, PAGE, 1UL << 47, MREMAP_MAYMOVE) == -1 &&
	       (errno == ENOMEM || errno == EINVAL)); /* newer Linux: EINVAL */
	munmap(at + 4 * PAGE, PAGE);
	EXPECT_ERRNO((long)mremap(at + 4 * PAGE, PAGE, 2 * PAGE, MREMAP_MAYMOVE), EFAULT);
	EXPECT_ERRNO((long)mremap(at, 8 * PAGE, 9 * PAGE, MREMAP_MAYMOVE), EFAULT);
	EXPECT_ERRNO((long)mremap(at, 0, PAGE, MREMAP_MAYMOVE), EINVAL);
	munmap(at, 8 * PAGE);
}

int main(void)
{
	catch_faults(0);
	RUN(shrink);
	RUN(grow_in_place);
	RUN(must_move);
	RUN(large_moves_by_tables);
	RUN(to_fixed);
	RUN(part_of_a_region);
	RUN(keeps_holes_and_rights);
	RUN(after_fork_private);
	RUN(file_mapping);
	RUN(duplicate_shared);
	RUN(dontunmap);
	RUN(errors);
	return test_end();
}
