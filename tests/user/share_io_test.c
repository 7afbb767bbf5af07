/* SPDX-License-Identifier: MIT */
/*
 * share_io_test.c - the kernel as the writer of memory that relatives share: read and write
 * across pages and tables, results of calls, futexes, signal frames.
 */
#include "tests/user/share.h"
#include <sys/uio.h>

#define FUTEX_WAIT 0
#define FUTEX_WAKE 1

/* Six stamped pages on both sides of the border between two tables. */
static char *const edge = SPACE + TABLE;

static void build(void)
{
	start_afresh();
	map_stamped(edge - 3 * PAGE, 6, 0x100);
}

static int pipe_fds[2];

/* Fill what AT holds by read(2) from a pipe. */
static ssize_t read_into(char *at, size_t len)
{
	static char bytes[3 * PAGE];

	memset(bytes, 0x5a, sizeof(bytes));
	REQUIRE(write(pipe_fds[1], bytes, len) == (ssize_t)len);
	return read(pipe_fds[0], at, len);
}

static void reader(void)
{
	REQUIRE(pipe(pipe_fds) == 0);
	EXPECT_EQ(read_into(edge - PAGE, 2 * PAGE), 2 * PAGE);
	probe_set(edge - PAGE, OPEN, 0x5a5a5a5a);
	probe_set(edge, OPEN, 0x5a5a5a5a);
	verify("reader");
	EXPECT_EQ(read_into(edge + 2 * PAGE - 2, 4), 4);
	EXPECT_EQ(*word(edge + PAGE, true) >> 16, 0x5a5a);
	EXPECT_EQ(*word(edge + 2 * PAGE, false) & 0xffff, 0x5a5a);
	put_stamp(edge + PAGE, 0x11);
	put_stamp(edge + 2 * PAGE, 0x12);
	probe_set(edge + PAGE, OPEN, 0x11);
	probe_set(edge + 2 * PAGE, OPEN, 0x12);
	verify("reader, page edge");
	close(pipe_fds[0]), close(pipe_fds[1]);
	turn_over();
	verify("reader, in the end");
}

/* read(2) across a page and table edge, by child, then by parent. */
static void read_across(void)
{
	struct kin k;

	build();
	k = kin_start(reader);
	kin_turn(&k);
	verify("parent");
	kin_turn(&k);
	kin_end(&k);
	build();
	k = kin_start(reader);
	REQUIRE(pipe(pipe_fds) == 0);
	EXPECT_EQ(read_into(edge - PAGE, 2 * PAGE), 2 * PAGE);
	probe_set(edge - PAGE, OPEN, 0x5a5a5a5a);
	probe_set(edge, OPEN, 0x5a5a5a5a);
	close(pipe_fds[0]), close(pipe_fds[1]);
	verify("reading parent");
	kin_turn(&k);
	verify("reading parent, after the child's reads");
	kin_turn(&k);
	kin_end(&k);
}

/* readv into scattered shared pages; write(2) from them, which must copy nothing wrong. */
static void scatterer(void)
{
	struct iovec to[3] = { { edge - 3 * PAGE, PAGE }, { edge + PAGE, PAGE },
			       { edge - PAGE, PAGE } };
	struct iovec from[3] = { { edge, PAGE }, { edge - 2 * PAGE, PAGE },
				 { edge + 2 * PAGE, PAGE } };

	REQUIRE(pipe(pipe_fds) == 0);
	EXPECT_EQ(writev(pipe_fds[1], from, 3), 3 * PAGE);
	EXPECT_EQ(readv(pipe_fds[0], to, 3), 3 * PAGE);
	close(pipe_fds[0]), close(pipe_fds[1]);
	probe_set(edge - 3 * PAGE, OPEN, 0x103);
	probe_set(edge + PAGE, OPEN, 0x101);
	probe_set(edge - PAGE, OPEN, 0x105);
	verify("scatterer");
}

static void scatter(void)
{
	build();
	kin_once(scatterer);
	verify("parent");
	scatterer();
	kin_once(scatterer);
	verify("parent, in the end");
}

/* A hole in one relative's memory is a bad address for that one alone. */
static void holed(void)
{
	ssize_t got;

	REQUIRE(pipe(pipe_fds) == 0);
	EXPECT(munmap(edge, PAGE) == 0);
	probe_set(edge, GONE, 0);
	got = read_into(edge - 2, 4);
	EXPECT(got == 2 || (got == -1 && errno == EFAULT));
	EXPECT_ERRNO(write(pipe_fds[1], edge, 4), EFAULT);
	put_stamp(edge - PAGE, 0x102);
	EXPECT(mprotect(edge + PAGE, PAGE, PROT_READ) == 0);
	probe_set(edge + PAGE, READONLY, 0x104);
	EXPECT_ERRNO(read_into(edge + PAGE, 4), EFAULT);
	probe_set(edge - PAGE, OPEN, 0x102);
	verify("holed");
	close(pipe_fds[0]), close(pipe_fds[1]);
}

static void bad_for_one(void)
{
	build();
	kin_once(holed);
	verify("parent");
	REQUIRE(pipe(pipe_fds) == 0);
	EXPECT_EQ(read_into(edge - 2, 4), 4);
	EXPECT_EQ(read_into(edge + PAGE, 4), 4);
	close(pipe_fds[0]), close(pipe_fds[1]);
}

/* Calls that store results: each into a page of its own that nobody has written since. */
static void results(void)
{
	int status;
	pid_t pid;

	EXPECT(clock_gettime(CLOCK_MONOTONIC, (void *)(edge - 3 * PAGE + 8)) == 0);
	EXPECT(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, edge - 3 * PAGE + 8) == 0);
	EXPECT(syscall(SYS_pipe2, edge - 2 * PAGE + 8, 0) == 0);
	EXPECT(close(*(int *)(void *)(edge - 2 * PAGE + 8)) == 0);
	EXPECT(close(*(int *)(void *)(edge - 2 * PAGE + 12)) == 0);
	EXPECT(syscall(SYS_stat, "/proc", edge - 60) == 0); /* over the edge of the tables */
	put_stamp(edge - PAGE, 0x102);
	put_stamp(edge, 0x103);
	EXPECT_EQ(syscall(SYS_getrandom, edge + PAGE + 8, 16, 0), 16);
	pid = fork();
	if (pid == 0)
		_exit(9);
	EXPECT_EQ(wait4(pid, (int *)(void *)(edge + 2 * PAGE + 8), 0, NULL), pid);
	status = *(int *)(void *)(edge + 2 * PAGE + 8);
	EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 9);
	verify("who called");
}

static bool untouched_between_stamps(void)
{
	for (int i = -3; i < 3; i++)
		for (size_t b = 4; b < 32; b++)
			if (edge[i * (long)PAGE + (long)b])
				return false;
	return true;
}

static void results_stored(void)
{
	build();
	kin_once(results);
	verify("parent");
	EXPECT(untouched_between_stamps());
	results();
}

/* Futexes: in a shared page they join relatives; in private memory, split by fork, not. */
static long futex(uint32_t *at, int op, uint32_t value, long ms)
{
	struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

	return syscall(SYS_futex, at, op, value, ms ? &t : NULL, NULL, 0);
}

static uint32_t *shared_word, *private_word;

static void waiter(void)
{
	put_stamp(edge, 1); /* owns the table beside */
	*shared_word = 1;
	while (*(volatile uint32_t *)shared_word == 1)
		if (futex(shared_word, FUTEX_WAIT, 1, 20000) && errno != EAGAIN && errno != EINTR)
			break;
	EXPECT_EQ(*shared_word, 2);
	*private_word = 7;
	EXPECT_ERRNO(futex(private_word, FUTEX_WAIT, 0, 50), EAGAIN);
	EXPECT_ERRNO(futex(private_word, FUTEX_WAIT, 7, 50), ETIMEDOUT);
	*shared_word = 3;
	futex(shared_word, FUTEX_WAKE, 1, 0);
}

static void futexes(void)
{
	int status;
	pid_t pid;

	build();
	shared_word = mmap(edge + 3 * PAGE, PAGE, PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	REQUIRE(shared_word == (void *)(edge + 3 * PAGE));
	private_word = (uint32_t *)(void *)(edge + PAGE + 64);
	*shared_word = *private_word = 0;
	fflush(stdout);
	pid = fork();
	REQUIRE(pid >= 0);
	if (pid == 0) {
		test_failures = 0;
		waiter();
		fflush(stdout);
		_exit(test_failures != 0);
	}
	while (*(volatile uint32_t *)shared_word != 1)
		sleep_ms(1);
	sleep_ms(5);
	put_stamp(edge - PAGE, 2);
	*shared_word = 2;
	EXPECT(futex(shared_word, FUTEX_WAKE, 1, 0) >= 0);
	EXPECT_EQ(futex(private_word, FUTEX_WAKE, 10, 0), 0);
	while (*(volatile uint32_t *)shared_word != 3)
		futex(shared_word, FUTEX_WAIT, 2, 100);
	EXPECT_EQ(futex(private_word, FUTEX_WAKE, 10, 0), 0);
	EXPECT_EQ(*private_word, 0);
	EXPECT(waitpid(pid, &status, 0) == pid && status == 0);
}

/* Signal frames go to stacks just forked: the ordinary one, and one on shared pages. */
static volatile int caught;

static void catcher(int sig, siginfo_t *info, void *context)
{
	volatile char room[3000];

	(void)info, (void)context;
	memset((char *)room, sig, sizeof(room));
	caught += room[100] == sig;
	if (caught < 4)
		raise(SIGUSR1);
}

static void signalled(void)
{
	caught = 0;
	raise(SIGUSR1);
	EXPECT_EQ(caught, 4);
}

static void signals_at(int flags)
{
	struct sigaction action = { .sa_sigaction = catcher,
				    .sa_flags = SA_SIGINFO | SA_NODEFER | flags };
	struct kin k;

	REQUIRE(sigaction(SIGUSR1, &action, NULL) == 0);
	k = kin_start(signalled);
	signalled();
	kin_turn(&k);
	kin_end(&k);
	kin_once(signalled);
	signalled();
	for (int i = 0; i < 5; i++) {
		int status;
		pid_t pid = fork();

		if (pid == 0)
			for (;;)
				pause();
		kill(pid, i % 2 ? SIGUSR1 : SIGTERM); /* at once, perhaps before it ran */
		if (i % 2)
			kill(pid, SIGTERM);
		EXPECT(waitpid(pid, &status, 0) == pid && WTERMSIG(status) == SIGTERM);
	}
	signal(SIGUSR1, SIG_DFL);
}

static void signals(void)
{
	stack_t stack = { .ss_size = 3 * TABLE }, none = { .ss_flags = SS_DISABLE };

	signals_at(0);
	start_afresh();
	stack.ss_sp = map_at(SPACE, 3 * TABLE, PROT_READ | PROT_WRITE);
	EXPECT(sigaltstack(&stack, NULL) == 0);
	signals_at(SA_ONSTACK);
	EXPECT(sigaltstack(&none, NULL) == 0);
}

static void cases(void)
{
	RUN(read_across);
	RUN(scatter);
	RUN(bad_for_one);
	RUN(results_stored);
	RUN(futexes);
	RUN(signals);
	start_afresh();
}

int main(int argc, char **argv)
{
	return share_main(argc, argv, cases);
}
