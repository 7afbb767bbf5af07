/* SPDX-License-Identifier: MIT */
/* rlimit_test.c - limits are told, set, inherited and kept to. */
#include "tests/user/test.h"

static void told(void)
{
	struct rlimit a, b;

	EXPECT(getrlimit(RLIMIT_STACK, &a) == 0 && a.rlim_cur >= 64 * 1024 &&
	       a.rlim_cur <= a.rlim_max);
	EXPECT(getrlimit(RLIMIT_NOFILE, &a) == 0 && a.rlim_cur >= 64);
	EXPECT(syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, &b) == 0);
	EXPECT(a.rlim_cur == b.rlim_cur && a.rlim_max == b.rlim_max);
	EXPECT_ERRNO(syscall(SYS_prlimit64, 0, 99, NULL, &b), EINVAL);
	EXPECT_ERRNO(syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, (void *)8), EFAULT);
	EXPECT_ERRNO(syscall(SYS_prlimit64, 999999, RLIMIT_NOFILE, NULL, &b), ESRCH);
	a.rlim_cur = a.rlim_max;
	a.rlim_max = 10;
	EXPECT_ERRNO(setrlimit(RLIMIT_NOFILE, &a), EINVAL);
}

static void files_child(void)
{
	struct rlimit limit = { 20, 20 };
	int count = 0, fd;

	REQUIRE(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	while ((fd = open("/dev/null", O_RDONLY)) >= 0)
		if (!EXPECT(fd < 20 && ++count < 20))
			break;
	EXPECT_EQ(errno, EMFILE);
	int fds[2];

	EXPECT_ERRNO(pipe(fds), EMFILE);
	EXPECT_ERRNO(dup(0), EMFILE);
	EXPECT_ERRNO(dup2(0, 20), EBADF);
	EXPECT_ERRNO(fcntl(0, F_DUPFD, 20), EINVAL);
	close(19);
	EXPECT_EQ(dup(0), 19);
}

static void open_files(void)
{
	IN_CHILD(files_child);
}

static void addresses_child(void)
{
	struct rlimit limit = { 64 * MIB, 64 * MIB };
	char *at;

	REQUIRE(setrlimit(RLIMIT_AS, &limit) == 0);
	at = mmap(NULL, 128 * MIB, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	EXPECT_ERRNO((long)at, ENOMEM);
	at = mmap(NULL, 16 * MIB, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	EXPECT(at != MAP_FAILED);
	EXPECT_ERRNO((long)mremap(at, 16 * MIB, 128 * MIB, MREMAP_MAYMOVE), ENOMEM);
	EXPECT(malloc(100 * MIB) == NULL);
	int pages = 0;

	while ((at = mmap(NULL, MIB, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)) != MAP_FAILED)
		if (!EXPECT(++pages < 64))
			break;
	EXPECT_EQ(errno, ENOMEM);
}

static void addresses(void)
{
	IN_CHILD(addresses_child);
}

static void inherited_child(void)
{
	struct rlimit limit = { 123, 456 };

	REQUIRE(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	execl("/proc/self/exe", "rlimit_test", "--inherited", (char *)NULL);
	EXPECT(!"exec");
}

static void inherited(void)
{
	IN_CHILD(inherited_child);
}

static void core_and_others(void)
{
	struct rlimit limit, none = { 0, RLIM_INFINITY };
	static const int kinds[] = { RLIMIT_CPU, RLIMIT_FSIZE, RLIMIT_DATA,    RLIMIT_CORE,
				     RLIMIT_RSS, RLIMIT_NPROC, RLIMIT_MEMLOCK, RLIMIT_AS };

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		EXPECT(getrlimit(kinds[i], &limit) == 0);
	getrlimit(RLIMIT_CORE, &limit);
	none.rlim_max = limit.rlim_max;
	EXPECT(setrlimit(RLIMIT_CORE, &none) == 0);
	EXPECT(getrlimit(RLIMIT_CORE, &limit) == 0 && limit.rlim_cur == 0);
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "--inherited")) {
		struct rlimit limit;

		getrlimit(RLIMIT_NOFILE, &limit);
		return limit.rlim_cur != 123 || limit.rlim_max != 456;
	}
	RUN(told);
	RUN(open_files);
	RUN(addresses);
	RUN(inherited);
	RUN(core_and_others);
	return test_end();
}
