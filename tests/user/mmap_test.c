/* SPDX-License-Identifier: MIT */
/* mmap_test.c - mmap and munmap: flags, hints, splitting and merging, errors. */
#include "tests/user/test.h"

static void anonymous_is_zero(void)
{
	char *at = anon_pages(16);

	EXPECT_EQ((uintptr_t)at % PAGE, 0);
	for (size_t i = 0; i < 16 * PAGE; i++)
		if (!EXPECT(at[i] == 0))
			break;
	memset(at, 7, 16 * PAGE);
	EXPECT_EQ(at[16 * PAGE - 1], 7);
	EXPECT(munmap(at, 16 * PAGE) == 0);
	EXPECT_EQ(try_read(at), SIGSEGV);
	EXPECT_EQ(fault_code, SEGV_MAPERR);
	at = anon_pages(16);
	EXPECT_EQ(at[0], 0);
	munmap(at, 16 * PAGE);
}

static void split_and_merge(void)
{
	char *at = anon_pages(8);
	uintptr_t from, to;

	memset(at, 1, 8 * PAGE);
	EXPECT(munmap(at + 3 * PAGE, 2 * PAGE) == 0);
	EXPECT_EQ(try_read(at + 3 * PAGE), SIGSEGV);
	EXPECT_EQ(try_write(at + 5 * PAGE - 1), SIGSEGV);
	EXPECT_EQ(try_read(at + 3 * PAGE - 1), 0);
	EXPECT_EQ(at[5 * PAGE], 1);
	EXPECT(!strcmp(map_perms(at + 3 * PAGE, NULL, NULL), "none"));
	EXPECT(!strcmp(map_perms(at + 2 * PAGE, NULL, &to), "rw-p"));
	EXPECT_EQ(to, (uintptr_t)at + 3 * PAGE);
	EXPECT(!strcmp(map_perms(at + 5 * PAGE, &from, NULL), "rw-p"));
	EXPECT_EQ(from, (uintptr_t)at + 5 * PAGE);
	EXPECT(mmap(at + 3 * PAGE, 2 * PAGE, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == at + 3 * PAGE);
	EXPECT_EQ(at[3 * PAGE], 0);
	EXPECT(!strcmp(map_perms(at, &from, &to), "rw-p"));
	EXPECT(munmap(at, 8 * PAGE) == 0);
	EXPECT(munmap(at, 8 * PAGE) == 0);
}

static void fixed_replaces(void)
{
	char *at = anon_pages(4);

	memset(at, 9, 4 * PAGE);
	EXPECT(mmap(at + PAGE, 2 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
		    0) == at + PAGE);
	EXPECT_EQ(at[0], 9);
	EXPECT_EQ(at[PAGE], 0);
	EXPECT_EQ(at[2 * PAGE], 0);
	EXPECT_EQ(at[3 * PAGE], 9);
	EXPECT_EQ(try_write(at + PAGE), SIGSEGV);
	EXPECT_EQ(fault_code, SEGV_ACCERR);
	munmap(at, 4 * PAGE);
}

static void fixed_noreplace(void)
{
	char *at = anon_pages(4);
	void *got;

	got = mmap(at + PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE,
		   -1, 0);
	EXPECT_ERRNO((long)got, EEXIST);
	munmap(at + PAGE, PAGE);
	got = mmap(at + PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE,
		   -1, 0);
	EXPECT(got == at + PAGE);
	munmap(at, 4 * PAGE);
}

static void hints(void)
{
	char *at = anon_pages(8), *got;

	munmap(at, 8 * PAGE);
	got = mmap(at, 4 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	EXPECT(got == at);
	got = mmap(at, 4 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	EXPECT(got != MAP_FAILED && got != at);
	munmap(got, 4 * PAGE);
	got = mmap(at + 5 * PAGE + 123, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	EXPECT(got == at + 5 * PAGE || got == at + 6 * PAGE);
	munmap(got, PAGE);
	munmap(at, 8 * PAGE);
	got = mmap((void *)0x10000000, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	EXPECT(got == (void *)0x10000000);
	munmap(got, PAGE);
	got = mmap((void *)-PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	EXPECT(got != MAP_FAILED);
	munmap(got, PAGE);
}

static void protections(void)
{
	char *none = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *readable = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned char *code = mmap(NULL, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC,
				   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	EXPECT_EQ(try_read(none), SIGSEGV);
	EXPECT_EQ(fault_code, SEGV_ACCERR);
	EXPECT(fault_address == none);
	EXPECT_EQ(try_read(readable), 0);
	EXPECT_EQ(try_write(readable + 5), SIGSEGV);
	EXPECT_EQ(fault_code, SEGV_ACCERR);
	EXPECT(fault_address == readable + 5);
	EXPECT_EQ(try_execute(readable), SIGSEGV);
	REQUIRE((void *)code != MAP_FAILED);
	code[0] = 0xc3;
	EXPECT_EQ(try_execute(code), 0);
	EXPECT(!strcmp(map_perms(none, NULL, NULL), "---p"));
	EXPECT(!strcmp(map_perms(readable, NULL, NULL), "r--p"));
	EXPECT(!strcmp(map_perms(code, NULL, NULL), "rwxp"));
	munmap(none, PAGE), munmap(readable, PAGE), munmap(code, PAGE);
}

static void shared_anonymous(void)
{
	volatile int *at =
		mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status;
	pid_t pid;

	REQUIRE((void *)at != MAP_FAILED);
	*at = 1;
	EXPECT(!strcmp(map_perms((void *)at, NULL, NULL), "rw-s"));
	pid = fork();
	if (pid == 0) {
		*at = *at + 41;
		_exit(0);
	}
	waitpid(pid, &status, 0);
	EXPECT_EQ(*at, 42);
	munmap((void *)at, PAGE);
}

static void partial_pages(void)
{
	char *at = mmap(NULL, 100, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	REQUIRE(at != MAP_FAILED);
	at[PAGE - 1] = 1;
	EXPECT(munmap(at, 1) == 0);
	EXPECT_EQ(try_read(at + PAGE - 1), SIGSEGV);
}

static void populate_and_noreserve(void)
{
	struct rusage before, after;
	char *at = mmap(NULL, 64 * PAGE, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	REQUIRE(at != MAP_FAILED);
	getrusage(RUSAGE_SELF, &before);
	for (size_t i = 0; i < 64; i++)
		at[i * PAGE] = 1;
	getrusage(RUSAGE_SELF, &after);
	EXPECT(after.ru_minflt - before.ru_minflt <= 4);
	munmap(at, 64 * PAGE);
	at = mmap(NULL, 1UL << 40, PROT_READ | PROT_WRITE,
		  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	REQUIRE(at != MAP_FAILED);
	at[1UL << 39] = 5;
	EXPECT_EQ(at[1UL << 39], 5);
	EXPECT(munmap(at, 1UL << 40) == 0);
}

static void errors(void)
{
	const int rw = PROT_READ | PROT_WRITE, anon = MAP_PRIVATE | MAP_ANONYMOUS;
	int fd = temp_file(PAGE), dir = open("/", O_RDONLY), reading;
	char *at = anon_pages(2);

	EXPECT_ERRNO((long)mmap(NULL, 0, rw, anon, -1, 0), EINVAL);
	EXPECT_ERRNO((long)mmap(NULL, PAGE, rw, MAP_ANONYMOUS, -1, 0), EINVAL);
	EXPECT_ERRNO((long)mmap(at + 1, PAGE, rw, anon | MAP_FIXED, -1, 0), EINVAL);
	EXPECT_ERRNO((long)mmap(NULL, -PAGE, rw, anon | MAP_NORESERVE, -1, 0), ENOMEM);
	EXPECT_ERRNO((long)mmap(NULL, 1UL << 47, rw, anon | MAP_NORESERVE, -1, 0), ENOMEM);
	EXPECT_ERRNO((long)mmap((void *)(1UL << 47), PAGE, rw, anon | MAP_FIXED, -1, 0), ENOMEM);
	EXPECT_ERRNO((long)mmap((void *)-PAGE, PAGE, rw, anon | MAP_FIXED, -1, 0), ENOMEM);
	EXPECT_ERRNO((long)mmap(NULL, PAGE, rw, MAP_PRIVATE, -1, 0), EBADF);
	EXPECT_ERRNO((long)mmap(NULL, PAGE, rw, MAP_PRIVATE, 999, 0), EBADF);
	EXPECT_ERRNO(syscall(SYS_mmap, NULL, PAGE, rw, MAP_PRIVATE, fd, 123), EINVAL);
	EXPECT_ERRNO((long)mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, dir, 0), ENODEV);
	EXPECT_ERRNO(munmap(at + 1, PAGE), EINVAL);
	EXPECT_ERRNO(munmap(at, 0), EINVAL);
	EXPECT_ERRNO(munmap((void *)-PAGE, PAGE), EINVAL);
	EXPECT_ERRNO(munmap(at, -PAGE), EINVAL);
	close(fd);
	fd = open("/tmp/mmap_test.ro", O_RDWR | O_CREAT, 0600);
	reading = open("/tmp/mmap_test.ro", O_RDONLY);
	unlink("/tmp/mmap_test.ro");
	EXPECT_ERRNO((long)mmap(NULL, PAGE, rw, MAP_SHARED, reading, 0), EACCES);
	EXPECT((long)mmap(NULL, PAGE, rw, MAP_PRIVATE, reading, 0) != -1);
	close(reading), close(fd), close(dir);
	fd = open("/tmp", O_WRONLY | O_TMPFILE, 0600);
	if (fd >= 0) {
		EXPECT_ERRNO((long)mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0), EACCES);
		close(fd);
	}
	EXPECT_EQ(try_write(at), 0);
	munmap(at, 2 * PAGE);
}

static void device_of_zeroes(void)
{
	int fd = open("/dev/zero", O_RDWR), status;
	const int rw = PROT_READ | PROT_WRITE;

	REQUIRE(fd >= 0);
	for (int shared = 0; shared < 2; shared++) {
		char *at = mmap(NULL, 2 * PAGE, rw, shared ? MAP_SHARED : MAP_PRIVATE, fd, (off_t)PAGE);

		REQUIRE(at != MAP_FAILED);
		EXPECT(at[0] == 0 && at[PAGE] == 0);
		if (fork() == 0) {
			at[PAGE] = 7;
			_exit(0);
		}
		EXPECT(wait(&status) > 0 && status == 0);
		EXPECT_EQ(at[PAGE], shared ? 7 : 0);
		munmap(at, 2 * PAGE);
	}
	close(fd);
}

static void many_regions(void)
{
	char *at = anon_pages(512);

	for (size_t i = 0; i < 512; i++)
		at[i * PAGE] = (char)(i % 100);
	for (size_t i = 1; i < 512; i += 2)
		EXPECT(munmap(at + i * PAGE, PAGE) == 0);
	for (size_t i = 0; i < 512; i += 2)
		if (!EXPECT_EQ(at[i * PAGE], i % 100))
			break;
	for (size_t i = 1; i < 512; i += 2)
		if (!EXPECT_EQ(try_read(at + i * PAGE), SIGSEGV))
			break;
	EXPECT(munmap(at, 512 * PAGE) == 0);
	EXPECT_EQ(try_read(at + 510 * PAGE), SIGSEGV);
}

int main(void)
{
	catch_faults(0);
	RUN(anonymous_is_zero);
	RUN(split_and_merge);
	RUN(fixed_replaces);
	RUN(fixed_noreplace);
	RUN(hints);
	RUN(protections);
	RUN(shared_anonymous);
	RUN(device_of_zeroes);
	RUN(partial_pages);
	RUN(populate_and_noreserve);
	RUN(errors);
	RUN(many_regions);
	return test_end();
}
