/* SPDX-License-Identifier: MIT */
/*
 * efault_test.c - every system call that follows a pointer answers EFAULT to one that leads
 * nowhere, to the kernel, to no address at all, or, where it writes, to what is read-only.
 */
#include "tests/user/test.h"
#include <poll.h>
#include <sys/uio.h>

#define P	 0xbadc0de0badc0deUL /* stands for the pointer in the table */
#define FD	 100		     /* an open file */
#define PIPE_IN	 101
#define PIPE_OUT 102

static char good[2 * PAGE];
#define G    ((unsigned long)good)
#define PATH ((unsigned long)"/tmp")

static const struct call {
	const char *name;
	long number;
	unsigned long args[6];
	bool writes; /* the kernel writes through the pointer: read-only memory is wrong too */
} calls[] = {
	{ "read", SYS_read, { FD, P, 8 }, true },
	{ "read pipe", SYS_read, { PIPE_IN, P, 8 }, true },
	{ "write", SYS_write, { FD, P, 8 }, false },
	{ "write pipe", SYS_write, { PIPE_OUT, P, 8 }, false },
	{ "pread64", SYS_pread64, { FD, P, 8, 0 }, true },
	{ "pwrite64", SYS_pwrite64, { FD, P, 8, 0 }, false },
	{ "readv", SYS_readv, { FD, P, 1 }, false },
	{ "writev", SYS_writev, { FD, P, 1 }, false },
	{ "open", SYS_open, { P, O_RDONLY }, false },
	{ "openat", SYS_openat, { (unsigned long)AT_FDCWD, P, O_RDONLY }, false },
	{ "creat", SYS_creat, { P, 0600 }, false },
	{ "stat path", SYS_stat, { P, G }, false },
	{ "stat", SYS_stat, { PATH, P }, true },
	{ "lstat", SYS_lstat, { PATH, P }, true },
	{ "fstat", SYS_fstat, { FD, P }, true },
	{ "newfstatat", SYS_newfstatat, { (unsigned long)AT_FDCWD, PATH, P, 0 }, true },
	{ "access", SYS_access, { P, 0 }, false },
	{ "chdir", SYS_chdir, { P }, false },
	{ "mkdir", SYS_mkdir, { P, 0700 }, false },
	{ "rmdir", SYS_rmdir, { P }, false },
	{ "unlink", SYS_unlink, { P }, false },
	{ "unlinkat", SYS_unlinkat, { (unsigned long)AT_FDCWD, P, 0 }, false },
	{ "rename from", SYS_rename, { P, PATH }, false },
	{ "rename to", SYS_rename, { PATH, P }, false },
	{ "chmod", SYS_chmod, { P, 0700 }, false },
	{ "truncate", SYS_truncate, { P, 0 }, false },
	{ "readlink path", SYS_readlink, { P, G, 10 }, false },
	{ "readlink", SYS_readlink, { (unsigned long)"/proc/self", P, 10 }, true },
	{ "getcwd", SYS_getcwd, { P, PAGE }, true },
	{ "getdents64", SYS_getdents64, { 103, P, 4096 }, true },
	{ "statfs", SYS_statfs, { PATH, P }, true },
	{ "poll", SYS_poll, { P, 1, 0 }, false },
	{ "pipe", SYS_pipe, { P }, true },
	{ "pipe2", SYS_pipe2, { P, 0 }, true },
	{ "rt_sigaction", SYS_rt_sigaction, { SIGUSR1, P, 0, 8 }, false },
	{ "rt_sigaction old", SYS_rt_sigaction, { SIGUSR1, 0, P, 8 }, true },
	{ "rt_sigprocmask", SYS_rt_sigprocmask, { SIG_BLOCK, P, 0, 8 }, false },
	{ "rt_sigprocmask old", SYS_rt_sigprocmask, { SIG_BLOCK, 0, P, 8 }, true },
	{ "rt_sigpending", SYS_rt_sigpending, { P, 8 }, true },
	{ "rt_sigtimedwait", SYS_rt_sigtimedwait, { P, 0, 0, 8 }, false },
	{ "rt_sigsuspend", SYS_rt_sigsuspend, { P, 8 }, false },
	{ "sigaltstack", SYS_sigaltstack, { P, 0 }, false },
	{ "sigaltstack old", SYS_sigaltstack, { 0, P }, true },
	{ "nanosleep", SYS_nanosleep, { P, 0 }, false },
	{ "clock_nanosleep", SYS_clock_nanosleep, { CLOCK_MONOTONIC, 0, P, 0 }, false },
	{ "clock_gettime", SYS_clock_gettime, { CLOCK_MONOTONIC, P }, true },
	{ "clock_getres", SYS_clock_getres, { CLOCK_MONOTONIC, P }, true },
	{ "gettimeofday", SYS_gettimeofday, { P, 0 }, true },
	{ "time", SYS_time, { P }, true },
	{ "getitimer", SYS_getitimer, { 0, P }, true },
	{ "setitimer", SYS_setitimer, { 0, P, 0 }, false },
	{ "getrlimit", SYS_getrlimit, { RLIMIT_STACK, P }, true },
	{ "setrlimit", SYS_setrlimit, { RLIMIT_STACK, P }, false },
	{ "prlimit64", SYS_prlimit64, { 0, RLIMIT_STACK, P, 0 }, false },
	{ "prlimit64 old", SYS_prlimit64, { 0, RLIMIT_STACK, 0, P }, true },
	{ "getrusage", SYS_getrusage, { 0, P }, true },
	{ "sysinfo", SYS_sysinfo, { P }, true },
	{ "times", SYS_times, { P }, true },
	{ "uname", SYS_uname, { P }, true },
	{ "futex", SYS_futex, { P, 0, 1, 0, 0, 0 }, false },
	{ "execve", SYS_execve, { P, 0, 0 }, false },
	{ "execve argv", SYS_execve, { (unsigned long)"/proc/self/exe", P, 0 }, false },
	{ "sched_getaffinity", SYS_sched_getaffinity, { 0, 128, P }, true },
	{ "sched_setaffinity", SYS_sched_setaffinity, { 0, 128, P }, false },
	{ "mincore", SYS_mincore, { 0, PAGE, P }, true }, /* args[0] is set to good memory */
	{ "getrandom", SYS_getrandom, { P, 8, 0 }, true },
	{ "prctl get name", SYS_prctl, { 16, P }, true },
	{ "prctl set name", SYS_prctl, { 15, P }, false },
	{ "arch_prctl get fs", SYS_arch_prctl, { 0x1003, P }, true },
};
#define CALLS (sizeof(calls) / sizeof(calls[0]))

static struct iovec vector = { .iov_len = 8 };

/* The pointers: all bad for everything but the last, which may be read. */
static struct {
	const char *name;
	unsigned long at;
} pointers[] = {
	{ "page 0", 16 },
	{ "kernel text", 0xffffffff80100000UL },
	{ "kernel half", 0xffff800000000000UL },
	{ "kernel map", 0xffff888000000000UL },
	{ "top of memory", 0xfffffffffffff000UL },
	{ "last byte", 0xffffffffffffffffUL },
	{ "no address", 0x8000000000000000UL },
	{ "just over the edge", 0x0000800000000000UL },
	{ "the last page", 0x00007ffffffff000UL },
	{ "unmapped", 0 },
	{ "no access", 0 },
	{ "read only", 0 },
};
#define POINTERS (sizeof(pointers) / sizeof(pointers[0]))

static void bad_pointers(void)
{
	for (size_t c = 0; c < CALLS; c++) {
		for (size_t p = 0; p < POINTERS; p++) {
			unsigned long args[6];

			if (p == POINTERS - 1 && !calls[c].writes)
				continue;
			if (calls[c].number == SYS_futex && pointers[p].at % 4)
				continue;
			for (int i = 0; i < 6; i++)
				args[i] = calls[c].args[i] == P ? pointers[p].at : calls[c].args[i];
			if (calls[c].number == SYS_mincore)
				args[0] = G & ~(PAGE - 1);
			errno = 0;
			long result = syscall(calls[c].number, args[0], args[1], args[2], args[3],
					      args[4], args[5]);

			if (result == -1 && errno == EFAULT)
				continue;
			printf("# %s with %s: %ld, %s\n", calls[c].name, pointers[p].name, result,
			       result == -1 ? strerror(errno) : "no error");
			EXPECT(!"EFAULT");
		}
	}
}

static void bad_vectors(void)
{
	for (size_t p = 0; p < POINTERS; p++) {
		vector.iov_base = (void *)pointers[p].at;
		EXPECT_ERRNO(readv(FD, &vector, 1), EFAULT);
		if (p < POINTERS - 1)
			EXPECT_ERRNO(writev(FD, &vector, 1), EFAULT);
	}
	vector.iov_base = good;
	vector.iov_len = (size_t)-1;
	EXPECT_ERRNO(writev(FD, &vector, 1), EINVAL);
	vector.iov_len = 8;
}

static void lengths_that_wrap(void)
{
	EXPECT_ERRNO(syscall(SYS_write, FD, good, -1L), EFAULT);
	EXPECT_ERRNO(syscall(SYS_read, PIPE_IN, 0xffffffffffffff00UL, 0x1000UL), EFAULT);
	EXPECT_ERRNO(syscall(SYS_write, FD, 0x7fffffffff00UL, 0x1000UL), EFAULT);
}

/* Half of the memory is there: as much as fits may be done, the rest may not. */
static void over_the_edge(void)
{
	char *at = anon_pages(2);

	munmap(at + PAGE, PAGE);
	memset(at, 'e', PAGE);
	long put = pwrite(FD, at + PAGE - 10, 20, 4000);

	EXPECT(put == 10 || (put == -1 && errno == EFAULT));
	long got = pread(FD, at + PAGE - 10, 20, 0);

	EXPECT(got == 10 || (got == -1 && errno == EFAULT));
	EXPECT_ERRNO(syscall(SYS_stat, "/tmp", at + PAGE - 8), EFAULT);
	memset(at, 'e', PAGE);
	EXPECT_ERRNO(open(at + PAGE - 4, O_RDONLY), EFAULT);
	strcpy(at + PAGE - 5, "/tmp");
	int fd = open(at + PAGE - 5, O_RDONLY);

	EXPECT(fd >= 0);
	close(fd);
	munmap(at, PAGE);
}

int main(void)
{
	char *unmapped = anon_pages(1), *none = anon_pages(1), *read_only = anon_pages(1);
	int fds[2], file = temp_file(64 * 1024);

	memset(read_only, 'r', PAGE - 1);
	mprotect(none, PAGE, PROT_NONE);
	mprotect(read_only, PAGE, PROT_READ);
	munmap(unmapped, PAGE);
	pointers[POINTERS - 3].at = (unsigned long)unmapped;
	pointers[POINTERS - 2].at = (unsigned long)none;
	pointers[POINTERS - 1].at = (unsigned long)read_only;
	REQUIRE(pipe(fds) == 0);
	REQUIRE(write(fds[1], good, 100) == 100);
	REQUIRE(dup2(file, FD) == FD && dup2(fds[0], PIPE_IN) == PIPE_IN &&
		dup2(fds[1], PIPE_OUT) == PIPE_OUT);
	REQUIRE(dup2(open("/", O_RDONLY), 103) == 103);
	good[0] = good[PAGE] = 1;
	RUN(bad_pointers);
	RUN(bad_vectors);
	RUN(lengths_that_wrap);
	RUN(over_the_edge);
	return test_end();
}
