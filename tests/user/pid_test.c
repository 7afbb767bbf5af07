/* SPDX-License-Identifier: MIT */
/*
 * pid_test.c - process ids: the numbers begin again and pass over what is in use; who is not waited
 * for counts against the limit of processes, and fork says so.
 *
 * tests/run: nocheck mem=128M
 */
#include "tests/user/test.h"

#define MOST 40000

static pid_t start(void)
{
	pid_t child = vfork();

	if (child == 0)
		_exit(0);
	return child;
}

/* One that is not waited for, one whose id lives on as a group, while all the numbers are used once. */
static void numbers_begin_again(void)
{
	long most = atol(test_slurp("/proc/sys/kernel/pid_max"));
	pid_t zombie, group, member, last = 0;
	int again = 0, go[2];
	char c;

	if (most > MOST) {
		printf("# pid_max is %ld: not tried\n", most);
		return;
	}
	REQUIRE(pipe(go) == 0);
	zombie = start();
	group = fork();
	if (group == 0) {
		setpgid(0, 0);
		member = fork();
		if (member == 0)
			_exit(close(go[1]) || read(go[0], &c, 1) != 0);
		_exit(0);
	}
	waitpid(group, NULL, 0);
	for (int i = 0; i < MOST && again < 2; i++) {
		pid_t child = start();

		if (!EXPECT(child > 0 && child != zombie && child != group && child != getpid()))
			break;
		again += child < last;
		last = child;
		waitpid(child, NULL, 0);
		again += again == 1 && child > group;
	}
	EXPECT_EQ(again, 2);
	close(go[0]);
	close(go[1]);
	EXPECT(waitpid(zombie, NULL, 0) == zombie);
}

static void nothing(void) { }

static void all_zombies(void)
{
	struct timespec from, to;
	int children = 0;
	pid_t child;

	clock_gettime(CLOCK_MONOTONIC, &from);
	while (children < MOST && (child = start()) > 0)
		children++;
	EXPECT_ERRNO(child, EAGAIN);
	clock_gettime(CLOCK_MONOTONIC, &to);
	printf("# %d children not waited for, in %ld s\n", children, (long)(to.tv_sec - from.tv_sec));
	while (waitpid(-1, NULL, 0) > 0)
		children--;
	EXPECT_EQ(children, 0);
	EXPECT_EQ(in_child(nothing), 0);
}

int main(void)
{
	RUN(numbers_begin_again);
	if (on_quire()) /* on Linux the limit may be everybody's */
		RUN(all_zombies);
	return test_end();
}
