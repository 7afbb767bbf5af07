/* SPDX-License-Identifier: MIT */
/*
 * failalloc_test.c - every n-th allocation of the kernel fails, n from 1 to 400, under a load of
 * fork, mmap, exec, files, pipes and threads: each failure is an errno or a clean kill, and in the
 * end no frame is lost. Quire only.
 *
 * The runner, a child, turns the failures on for itself and does the load; this process sleeps
 * meanwhile, having touched beforehand all that it needs to turn them off again.
 *
 * tests/run: limit=120
 */
#include "tests/user/test.h"
#include <pthread.h>

static int knob = -1;
static int start[2];

static void set_failures(const char *text, size_t len)
{
	if (pwrite(knob, text, len, 0) != (ssize_t)len)
		_exit(3);
}

static void *touch_stack(void *arg)
{
	volatile char here[8192];

	here[0] = here[8191] = 1;
	return arg;
}

/* As much of the kernel as fits into a moment. Whatever fails, goes on. */
static void load(void)
{
	char *at = mmap(NULL, 8 * MIB, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0),
	     *moved;
	int fds[2], fd, status;
	pthread_t thread;
	pid_t pid;

	if (at != MAP_FAILED) {
		for (size_t i = 0; i < 8 * MIB; i += MIB / 2)
			at[i] = 1;
		mprotect(at + MIB, PAGE, PROT_READ);
		madvise(at, 2 * MIB, 23 /* MADV_POPULATE_WRITE */);
		moved = mremap(at, 4 * MIB, 12 * MIB, MREMAP_MAYMOVE);
		if (moved != MAP_FAILED)
			munmap(moved, 12 * MIB);
	}
	fd = open("/tmp/failalloc_test.x", O_RDWR | O_CREAT | O_TRUNC, 0600);
	if (fd >= 0) {
		if (write(fd, "text", 4) == 4) {
			char *file = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

			if (file != MAP_FAILED)
				*(volatile char *)file = 1;
		}
		unlink("/tmp/failalloc_test.x");
		close(fd);
	}
	if (pipe(fds) == 0) {
		if (write(fds[1], "x", 1) < 0)
			errno = 0;
		close(fds[0]), close(fds[1]);
	}
	if (pthread_create(&thread, NULL, touch_stack, NULL) == 0)
		pthread_join(thread, NULL);
	for (int i = 0; i < 2; i++) {
		pid = fork();
		if (pid == 0) {
			alarm(5);
			*(volatile char *)&status = 1;
			if (i == 0)
				execl("/proc/self/exe", "failalloc_test", "--leaf", (char *)NULL);
			_exit(0);
		}
		if (pid > 0)
			waitpid(pid, &status, 0);
	}
	free(malloc(300000));
	fd = open("/proc/self/smaps", O_RDONLY);
	if (fd >= 0) {
		char text[512];

		while (read(fd, text, sizeof(text)) > 0)
			;
		close(fd);
	}
}

/* One run with every n-th allocation failing. Returns the runner's wait status. */
static int run(int n)
{
	char text[16], go = 1;
	int len = snprintf(text, sizeof(text), "%d", n), status = -1;
	pid_t pid;

	pid = fork();
	if (pid == 0) {
		alarm(10);
		if (read(start[0], &go, 1) != 1)
			_exit(3);
		set_failures(text, (size_t)len);
		load();
		_exit(0);
	}
	if (pid < 0)
		return -1;
	/* our own pages again, while memory can still be had */
	touch_stack(NULL);
	knob = *(volatile int *)&knob;
	test_failures = *(volatile int *)&test_failures;
	if (write(start[1], &go, 1) != 1)
		return -1;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	set_failures("0", 1);
	return status;
}

static long free_pages(void)
{
	long last = -1, now = -1;

	for (int i = 0; i < 50; i++) {
		now = (long)proc_value("/proc/vmstat", "nr_free_pages");
		if (now == last)
			break;
		last = now;
		sleep_ms(10);
	}
	return now;
}

static void every_nth(void)
{
	int killed = 0, ended = 0;
	long before, after;

	for (int n = 390; n < 400; n++)
		run(n);
	before = free_pages();
	for (int n = 1; n <= 400; n++) {
		int status = run(n);

		if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
			killed++;
		else if (WIFSIGNALED(status) &&
			 (WTERMSIG(status) == SIGSEGV || WTERMSIG(status) == SIGBUS))
			killed++; /* a signal frame that could not be written, a stack that could not grow */
		else if (status == 0)
			ended++;
		else if (!EXPECT_EQ(status, 0))
			printf("# with every %d-th allocation failing\n", n);
		if (n % 50 == 0)
			alarm(TEST_SECONDS);
	}
	after = free_pages();
	printf("# %d runs to the end, %d killed; free pages %ld, then %ld\n", ended, killed, before,
	       after);
	EXPECT(after >= before - 8 * sysconf(_SC_NPROCESSORS_ONLN));
	EXPECT(ended > 0);
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "--leaf"))
		return 0;
	if (!on_quire())
		test_skip("not Quire");
	knob = open("/proc/sys/vm/fail_alloc", O_RDWR | O_CLOEXEC);
	REQUIRE(knob >= 0);
	REQUIRE(pipe(start) == 0);
	RUN(every_nth);
	return test_end();
}
