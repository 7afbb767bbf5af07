/* SPDX-License-Identifier: MIT */
/*
 * filemap_test.c - mapped files: what is written by one way is seen by the others, what is
 * private stays private, and what is cut off gives SIGBUS.
 */
#include "tests/user/test.h"

static char *map_fd(int fd, size_t pages, int prot, int flags)
{
	char *at = mmap(NULL, pages * PAGE, prot, flags, fd, 0);

	REQUIRE(at != MAP_FAILED);
	return at;
}

static void shared_is_the_file(void)
{
	int fd = temp_file(4 * PAGE);
	char *at = map_fd(fd, 4, PROT_READ | PROT_WRITE, MAP_SHARED);
	char *second = map_fd(fd, 4, PROT_READ, MAP_SHARED), text[8] = { 0 };

	EXPECT_EQ(at[0], 0);
	EXPECT_EQ(pwrite(fd, "write", 5, PAGE + 3), 5);
	EXPECT(!memcmp(at + PAGE + 3, "write", 5));
	memcpy(at + 2 * PAGE - 2, "edge", 4);
	EXPECT_EQ(pread(fd, text, 4, 2 * PAGE - 2), 4);
	EXPECT(!memcmp(text, "edge", 4));
	EXPECT(!memcmp(second + 2 * PAGE - 2, "edge", 4));
	EXPECT(msync(at, 4 * PAGE, MS_SYNC) == 0);
	close(fd);
	at[3 * PAGE] = 'k';
	EXPECT_EQ(second[3 * PAGE], 'k');
	EXPECT_EQ(try_write(second), SIGSEGV);
	EXPECT_EQ(fault_code, SEGV_ACCERR);
	munmap(at, 4 * PAGE);
	EXPECT_EQ(second[3 * PAGE], 'k');
	munmap(second, 4 * PAGE);
}

static void private_is_a_copy(void)
{
	int fd = temp_file(4 * PAGE);
	char *at, byte;

	EXPECT_EQ(pwrite(fd, "file", 4, 0), 4);
	at = map_fd(fd, 4, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	EXPECT(!memcmp(at, "file", 4));
	at[0] = 'm';
	EXPECT(!memcmp(at, "mile", 4));
	EXPECT(pread(fd, &byte, 1, 0) == 1 && byte == 'f');
	EXPECT_EQ(pwrite(fd, "FILE", 4, 0), 4);
	EXPECT(!memcmp(at, "mile", 4));
	at[PAGE] = 1;
	EXPECT(pread(fd, &byte, 1, PAGE) == 1 && byte == 0);
	munmap(at, 4 * PAGE);
	close(fd);
}

static void offsets(void)
{
	int fd = temp_file(0);
	char *at, page[PAGE];

	for (int i = 0; i < 64; i++) {
		memset(page, i, PAGE);
		EXPECT_EQ(write(fd, page, PAGE), PAGE);
	}
	at = mmap(NULL, 8 * PAGE, PROT_READ, MAP_PRIVATE, fd, 40 * PAGE);
	REQUIRE(at != MAP_FAILED);
	for (int i = 7; i >= 0; i--)
		EXPECT(at[(size_t)i * PAGE] == 40 + i && at[(size_t)i * PAGE + PAGE - 1] == 40 + i);
	EXPECT(munmap(at + 2 * PAGE, 3 * PAGE) == 0);
	EXPECT_EQ(at[5 * PAGE], 45);
	EXPECT_EQ(at[PAGE], 41);
	EXPECT_EQ(try_read(at + 4 * PAGE), SIGSEGV);
	munmap(at, 8 * PAGE);
	close(fd);
}

static void end_of_file(void)
{
	int fd = temp_file(PAGE + 100);
	char *at = map_fd(fd, 4, PROT_READ | PROT_WRITE, MAP_SHARED), byte;

	EXPECT_EQ(try_write(at + PAGE + 99), 0);
	EXPECT_EQ(at[PAGE + 200], 0);
	EXPECT_EQ(try_write(at + PAGE + 200), 0);
	EXPECT_EQ(try_read(at + 2 * PAGE), SIGBUS);
	EXPECT_EQ(fault_code, BUS_ADRERR);
	EXPECT(fault_address == at + 2 * PAGE);
	EXPECT_EQ(try_write(at + 3 * PAGE + 5), SIGBUS);
	EXPECT(fault_address == at + 3 * PAGE + 5);
	EXPECT(ftruncate(fd, 4 * PAGE) == 0);
	EXPECT_EQ(try_read(at + 2 * PAGE), 0);
	EXPECT_EQ(try_write(at + 3 * PAGE + 5), 0);
	EXPECT(pread(fd, &byte, 1, 3 * PAGE + 5) == 1 && byte == 1);
	munmap(at, 4 * PAGE);
	close(fd);
}

/* Room that the file has behind its end is not seen, whoever maps the pages before it. */
static void room_behind_the_end(void)
{
	for (int populate = 0; populate < 2; populate++) {
		int fd = temp_file(PAGE);

		EXPECT(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 16 * PAGE) == 0);
		char *at = map_fd(fd, 16, PROT_READ, MAP_SHARED | (populate ? MAP_POPULATE : 0));
		EXPECT_EQ(at[0], 0);
		EXPECT_EQ(try_read(at + 5 * PAGE), SIGBUS);
		EXPECT_EQ(ftruncate(fd, 8 * PAGE), 0);
		EXPECT_EQ(try_read(at + 5 * PAGE), 0);
		EXPECT_EQ(try_read(at + 8 * PAGE), SIGBUS);
		munmap(at, 16 * PAGE);
		close(fd);
	}
}

static void truncated_under_mappings(void)
{
	int fd = temp_file(8 * PAGE);
	char *shared = map_fd(fd, 8, PROT_READ | PROT_WRITE, MAP_SHARED);
	char *private = map_fd(fd, 8, PROT_READ | PROT_WRITE, MAP_PRIVATE);

	memset(shared, 5, 8 * PAGE);
	EXPECT_EQ(private[6 * PAGE], 5);
	private[7 * PAGE] = 6;
	EXPECT(ftruncate(fd, PAGE / 2) == 0);
	EXPECT_EQ(shared[0], 5);
	EXPECT_EQ(shared[PAGE / 2], 0);
	EXPECT_EQ(try_read(shared + PAGE), SIGBUS);
	EXPECT_EQ(try_write(shared + 7 * PAGE), SIGBUS);
	EXPECT_EQ(try_read(private + 6 * PAGE), SIGBUS);
	EXPECT_EQ(try_read(private + 7 * PAGE), SIGBUS);
	EXPECT(ftruncate(fd, 8 * PAGE) == 0);
	EXPECT_EQ(shared[6 * PAGE], 0);
	EXPECT_EQ(private[7 * PAGE], 0);
	EXPECT_EQ(shared[100], 5);
	munmap(shared, 8 * PAGE), munmap(private, 8 * PAGE);
	close(fd);
}

static void fork_shares(void)
{
	int fd = temp_file(600 * PAGE), status;
	char *shared = map_fd(fd, 600, PROT_READ | PROT_WRITE, MAP_SHARED);
	char *private = map_fd(fd, 600, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	pid_t pid;

	for (size_t i = 0; i < 600; i++)
		shared[i * PAGE] = 1;
	private[0] = 2;
	pid = fork();
	if (pid == 0) {
		if (private[0] != 2 || private[500 * PAGE] != 1)
			_exit(1);
		private[0] = 3;
		private[500 * PAGE] = 3;
		for (size_t i = 0; i < 600; i++)
			shared[i * PAGE] = 4;
		_exit(private[500 * PAGE] != 3 || private[400 * PAGE] != 4);
	}
	EXPECT(waitpid(pid, &status, 0) == pid && status == 0);
	EXPECT_EQ(private[0], 2);
	EXPECT_EQ(private[500 * PAGE], 4);
	for (size_t i = 0; i < 600; i++)
		if (!EXPECT_EQ(shared[i * PAGE], 4))
			break;
	munmap(shared, 600 * PAGE), munmap(private, 600 * PAGE);
	close(fd);
}

static void read_into_its_own_mapping(void)
{
	int fd = temp_file(4 * PAGE);
	char *at = map_fd(fd, 4, PROT_READ | PROT_WRITE, MAP_SHARED);

	memcpy(at, "abcdef", 6);
	EXPECT_EQ(pread(fd, at + 2 * PAGE, PAGE, 0), PAGE);
	EXPECT(!memcmp(at + 2 * PAGE, "abcdef", 6));
	EXPECT_EQ(pwrite(fd, at, PAGE, 3 * PAGE), PAGE);
	EXPECT(!memcmp(at + 3 * PAGE, "abcdef", 6));
	/* a buffer past the end of its own file: EFAULT (or a short count), never a hang */
	EXPECT(ftruncate(fd, PAGE) == 0);
	EXPECT_ERRNO(pread(fd, at + 2 * PAGE, 100, 0), EFAULT);
	munmap(at, 4 * PAGE);
	close(fd);
}

static void unlinked_and_closed(void)
{
	char path[] = "/tmp/filemap_test.x";
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	char *at;

	REQUIRE(fd >= 0 && ftruncate(fd, 2 * PAGE) == 0);
	at = map_fd(fd, 2, PROT_READ | PROT_WRITE, MAP_SHARED);
	unlink(path);
	close(fd);
	at[PAGE] = 9;
	EXPECT_EQ(at[PAGE], 9);
	munmap(at, 2 * PAGE);
}

static void msync_errors(void)
{
	char *at = anon_pages(3);

	EXPECT(msync(at, PAGE, MS_ASYNC) == 0);
	EXPECT_ERRNO(syscall(SYS_msync, at + 1, PAGE, MS_SYNC), EINVAL);
	EXPECT_ERRNO(syscall(SYS_msync, at, PAGE, MS_SYNC | MS_ASYNC), EINVAL);
	EXPECT_ERRNO(syscall(SYS_msync, at, PAGE, 0x80), EINVAL);
	munmap(at + PAGE, PAGE);
	EXPECT_ERRNO(msync(at, 3 * PAGE, MS_SYNC), ENOMEM);
	munmap(at, 3 * PAGE);
}

static void in_maps(void)
{
	char path[] = "/tmp/filemap_test.maps", line[512];
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	bool found = false;
	FILE *maps;
	char *at;

	REQUIRE(fd >= 0 && ftruncate(fd, 8 * PAGE) == 0);
	at = mmap(NULL, 2 * PAGE, PROT_READ, MAP_SHARED, fd, 3 * PAGE);
	maps = fopen("/proc/self/maps", "r");
	while (maps && fgets(line, sizeof(line), maps)) {
		unsigned long from, to, offset;
		char perms[8];

		if (sscanf(line, "%lx-%lx %4s %lx", &from, &to, perms, &offset) == 4 &&
		    from == (uintptr_t)at)
			found = to == from + 2 * PAGE && !strcmp(perms, "r--s") &&
				offset == 3 * PAGE && strstr(line, path);
	}
	if (maps)
		fclose(maps);
	EXPECT(found);
	munmap(at, 2 * PAGE);
	close(fd);
	unlink(path);
}

static void random_pages_are_right(void)
{
	const size_t pages = 1200;
	int fd = temp_file(pages * PAGE);
	char *at = map_fd(fd, pages, PROT_READ, MAP_PRIVATE);
	uint64_t seed = 88172645463325252ULL;

	for (size_t i = 0; i < pages; i++) {
		uint64_t number = i * 2654435761u;

		EXPECT_EQ(pwrite(fd, &number, 8, (off_t)(i * PAGE + i % 500 * 8)), 8);
	}
	for (int turn = 0; turn < 3000; turn++) {
		seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
		size_t i = seed % pages;

		if (!EXPECT_EQ(*(uint64_t *)(at + i * PAGE + i % 500 * 8), i * 2654435761u))
			break;
		if (turn % 100 == 0)
			madvise(at + i * PAGE, PAGE, MADV_DONTNEED);
	}
	munmap(at, pages * PAGE);
	close(fd);
}

int main(void)
{
	catch_faults(0);
	RUN(shared_is_the_file);
	RUN(private_is_a_copy);
	RUN(offsets);
	RUN(end_of_file);
	RUN(room_behind_the_end);
	RUN(truncated_under_mappings);
	RUN(fork_shares);
	RUN(read_into_its_own_mapping);
	RUN(unlinked_and_closed);
	RUN(msync_errors);
	RUN(in_maps);
	RUN(random_pages_are_right);
	return test_end();
}
