/* SPDX-License-Identifier: MIT */
/*
 * test.h - what the test programs share: cases, expectations, trapped faults, children.
 *
 * A test is one static program that runs on Quire and on Linux alike, which is how it is
 * shown to ask for the right thing. main() calls RUN(case) for each case and returns
 * test_end(): 0 all passed, 1 something failed (each failure was printed with its line),
 * 77 skipped. A test that hangs is ended by its alarm. One thread makes expectations.
 */
#ifndef TESTS_USER_TEST_H
#define TESTS_USER_TEST_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE	     4096UL
#define MIB	     (1UL << 20)
#define TEST_SECONDS 100

static int test_failures;
static const char *test_case = "start";

/* A condition that must hold; the test goes on either way. Evaluates to the condition. */
#define EXPECT(cond) test_expect(!!(cond), #cond, __FILE__, __LINE__)

/* A call that must fail, returning -1, with this errno. */
#define EXPECT_ERRNO(call, error) test_expect_errno((long)(call), error, #call, __FILE__, __LINE__)

/* Two whole numbers that must be equal. */
#define EXPECT_EQ(a, b) \
	test_expect_eq((long long)(a), (long long)(b), #a " == " #b, __FILE__, __LINE__)

/* The same, and without it the test cannot go on. */
#define REQUIRE(cond)              \
	do {                       \
		if (!EXPECT(cond)) \
			exit(1);   \
	} while (0)

/* Run one case and say so. */
#define RUN(function) test_run(#function, function)

static inline bool test_expect(bool ok, const char *what, const char *file, int line)
{
	int err = errno;

	if (ok)
		return true;
	test_failures++;
	printf("# %s:%d: %s: expected %s (errno %d %s)\n", file, line, test_case, what, err,
	       strerror(err));
	fflush(stdout);
	return false;
}

static inline bool test_expect_errno(long result, int error, const char *what, const char *file,
				     int line)
{
	int err = errno;

	if (result == -1 && err == error)
		return true;
	test_failures++;
	printf("# %s:%d: %s: %s gave %ld, errno %d (%s), expected -1, errno %d (%s)\n", file, line,
	       test_case, what, result, result == -1 ? err : 0,
	       result == -1 ? strerror(err) : "none", error, strerror(error));
	fflush(stdout);
	return false;
}

static inline bool test_expect_eq(long long a, long long b, const char *what, const char *file,
				  int line)
{
	if (a == b)
		return true;
	test_failures++;
	printf("# %s:%d: %s: expected %s, found %lld (%#llx) and %lld (%#llx)\n", file, line,
	       test_case, what, a, a, b, b);
	fflush(stdout);
	return false;
}

static inline void test_run(const char *name, void (*function)(void))
{
	int before = test_failures;

	test_case = name;
	alarm(TEST_SECONDS);
	function();
	alarm(0);
	printf("%s %s\n", test_failures == before ? "ok" : "not ok", name);
	fflush(stdout);
}

static inline int test_end(void)
{
	if (test_failures)
		printf("# %d expectations failed\n", test_failures);
	return test_failures ? 1 : 0;
}

/* Leave with "skipped". */
static inline __attribute__((noreturn)) void test_skip(const char *why)
{
	printf("# skipped: %s\n", why);
	exit(77);
}

/* Whether this is Quire (its list of tunables exists). */
static inline bool on_quire(void)
{
	return access("/proc/tunables", F_OK) == 0;
}

/* Faults: try_* do one access and say which signal came of it (0: none). */
static sigjmp_buf fault_jump;
static volatile int fault_signal, fault_code;
static void *volatile fault_address;

static inline void fault_handler(int sig, siginfo_t *info, void *context)
{
	(void)context;
	fault_signal = sig;
	fault_code = info->si_code;
	fault_address = info->si_addr;
	siglongjmp(fault_jump, 1);
}

/* Catch the signals of faults in fault_handler; flags are of sigaction (SA_ONSTACK). */
static inline void catch_faults(int flags)
{
	static const int signals[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP };
	struct sigaction action = { .sa_sigaction = fault_handler, .sa_flags = SA_SIGINFO | flags };

	sigemptyset(&action.sa_mask);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaction(signals[i], &action, NULL);
}

/* Evaluate a statement, trapping its fault. */
#define TRY(statement)                           \
	({                                       \
		fault_signal = fault_code = 0;   \
		fault_address = NULL;            \
		if (!sigsetjmp(fault_jump, 1)) { \
			statement;               \
		}                                \
		fault_signal;                    \
	})

static inline int try_read(const void *at)
{
	__asm__("" : "+r"(at)); /* the compiler must not reason about the address */
	return TRY((void)*(const volatile char *)at);
}

static inline int try_write(void *at)
{
	__asm__("" : "+r"(at));
	return TRY(*(volatile char *)at = 1);
}

static inline int try_execute(const void *at)
{
	void (*function)(void);

	memcpy(&function, &at, sizeof(function));
	return TRY(function());
}

/* Run function in a child; returns the wait status. Its expectations fail the child. */
static inline int in_child(void (*function)(void))
{
	int status = -1;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		alarm(TEST_SECONDS);
		test_failures = 0;
		function();
		fflush(stdout);
		_exit(test_failures ? 1 : 0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -1;
	return status;
}

/* Expect that a child runs function to its end without a failure. */
#define IN_CHILD(function) EXPECT_EQ(in_child(function), 0)

/* Fresh private anonymous pages, readable and writable; the test ends if there are none. */
static inline char *anon_pages(size_t count)
{
	char *at = mmap(NULL, count * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			0);

	REQUIRE(at != MAP_FAILED);
	madvise(at, count * PAGE, MADV_NOHUGEPAGE);
	return at;
}

/* An unnamed file in /tmp of `bytes` zero bytes. */
static inline int temp_file(size_t bytes)
{
	char path[] = "/tmp/test.XXXXXX";
	int fd = mkstemp(path);

	REQUIRE(fd >= 0);
	unlink(path);
	REQUIRE(ftruncate(fd, (off_t)bytes) == 0);
	return fd;
}

/*
 * A file as a string in static memory, until the next call: looking at /proc must not allocate, or
 * it would change what it looks at. NULL when it cannot be read.
 */
static inline char *test_slurp(const char *path)
{
	static char text[1 << 17];
	size_t have = 0;
	ssize_t got;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return NULL;
	while ((got = read(fd, text + have, sizeof(text) - 1 - have)) > 0)
		have += (size_t)got;
	close(fd);
	text[have] = 0;
	return text;
}

/* The number after `name` at the start of a line of a /proc file; -1 when absent. */
static inline long long proc_value(const char *path, const char *name)
{
	size_t len = strlen(name);

	for (char *line = test_slurp(path); line && *line; line += *line == '\n') {
		if (!strncmp(line, name, len) && line[len] && strchr(": \t", line[len]))
			return strtoll(line + len + (line[len] == ':'), NULL, 10);
		line += strcspn(line, "\n");
	}
	return -1;
}

/* The permissions in /proc/self/maps of the region at this address; "none" when there is none. */
static inline const char *map_perms(const void *at, uintptr_t *from, uintptr_t *to)
{
	static char perms[8];
	unsigned long start, end;
	char found[8];

	strcpy(perms, "none");
	if (from)
		*from = 0;
	if (to)
		*to = 0;
	for (char *line = test_slurp("/proc/self/maps"); line && *line; line += *line == '\n') {
		if (sscanf(line, "%lx-%lx %4s", &start, &end, found) == 3 &&
		    (uintptr_t)at >= start && (uintptr_t)at < end) {
			strcpy(perms, found);
			if (from)
				*from = start;
			if (to)
				*to = end;
		}
		line += strcspn(line, "\n");
	}
	return perms;
}

/* Let other threads and processes run for a while. */
static inline void sleep_ms(long ms)
{
	struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

	while (nanosleep(&t, &t) && errno == EINTR)
		;
}

#endif
