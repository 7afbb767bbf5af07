/* SPDX-License-Identifier: MIT */
/*
 * poll_test.c - waiting for several files at once: select, ppoll with its mask, epoll by levels
 * and by edges. poll itself is in pipe_test.c.
 */
#include "tests/user/test.h"
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>

static int fds[2];

static void write_soon(int fd, long ms)
{
	if (fork() == 0) {
		uint64_t one = 1;

		sleep_ms(ms);
		_exit(write(fd, &one, 8) != 8);
	}
}

static void selecting(void)
{
	struct timeval soon = { 0, 20000 }, none = { 0, 0 };
	fd_set in, out;
	char bytes[8];

	REQUIRE(pipe(fds) == 0);
	FD_ZERO(&in);
	FD_ZERO(&out);
	FD_SET(fds[0], &in);
	FD_SET(fds[1], &out);
	EXPECT_EQ(select(fds[1] + 1, &in, &out, NULL, &none), 1);
	EXPECT(!FD_ISSET(fds[0], &in) && FD_ISSET(fds[1], &out));
	FD_SET(fds[0], &in);
	EXPECT_EQ(select(fds[0] + 1, &in, NULL, NULL, &soon), 0);
	write_soon(fds[1], 20);
	FD_SET(fds[0], &in);
	EXPECT_EQ(select(fds[0] + 1, &in, NULL, NULL, NULL), 1);
	EXPECT(FD_ISSET(fds[0], &in));
	EXPECT_EQ(read(fds[0], bytes, 8), 8);
	wait(NULL);
	FD_ZERO(&in);
	FD_SET(200, &in);
	EXPECT_ERRNO(select(201, &in, NULL, NULL, &none), EBADF);
	EXPECT_ERRNO(select(-1, NULL, NULL, NULL, &none), EINVAL);
	close(fds[0]), close(fds[1]);
}

static volatile int signals;

static void count_signal(int sig)
{
	(void)sig;
	signals++;
}

static void ppoll_opens_its_mask(void)
{
	struct pollfd watched = { .events = POLLIN };
	struct timespec long_time = { 5, 0 };
	sigset_t blocked, open_mask;

	REQUIRE(pipe(fds) == 0);
	watched.fd = fds[0];
	signal(SIGUSR1, count_signal);
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGUSR1);
	sigprocmask(SIG_BLOCK, &blocked, &open_mask);
	raise(SIGUSR1);
	EXPECT_EQ(signals, 0);
	EXPECT_ERRNO(ppoll(&watched, 1, &long_time, &open_mask), EINTR);
	EXPECT_EQ(signals, 1);
	sigprocmask(SIG_SETMASK, NULL, &open_mask);
	EXPECT(sigismember(&open_mask, SIGUSR1));
	sigprocmask(SIG_UNBLOCK, &blocked, NULL);
	close(fds[0]), close(fds[1]);
}

static void epoll_levels_and_edges(void)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = 77 }, got[4];
	int set = epoll_create1(EPOLL_CLOEXEC), fd = eventfd(0, EFD_NONBLOCK);
	uint64_t value = 1;

	if (set < 0 && errno == ENOSYS && on_quire()) {
		printf("# no epoll\n");
		return;
	}
	REQUIRE(set >= 0 && fd >= 0);
	EXPECT(epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) == 0);
	EXPECT_ERRNO(epoll_ctl(set, EPOLL_CTL_ADD, fd, &event), EEXIST);
	EXPECT_EQ(epoll_wait(set, got, 4, 0), 0);
	EXPECT_EQ(write(fd, &value, 8), 8);
	EXPECT_EQ(epoll_wait(set, got, 4, 1000), 1);
	EXPECT(got[0].events == EPOLLIN && got[0].data.u64 == 77);
	EXPECT_EQ(epoll_wait(set, got, 4, 0), 1);
	event.events = EPOLLIN | EPOLLET;
	EXPECT(epoll_ctl(set, EPOLL_CTL_MOD, fd, &event) == 0);
	EXPECT_EQ(epoll_wait(set, got, 4, 0), 1);
	EXPECT_EQ(epoll_wait(set, got, 4, 0), 0); /* nothing has happened since */
	EXPECT_EQ(write(fd, &value, 8), 8);
	EXPECT_EQ(epoll_wait(set, got, 4, 0), 1);
	EXPECT_EQ(read(fd, &value, 8), 8);
	write_soon(fd, 20);
	EXPECT_EQ(epoll_wait(set, got, 4, -1), 1);
	wait(NULL);
	EXPECT(epoll_ctl(set, EPOLL_CTL_DEL, fd, NULL) == 0);
	EXPECT_ERRNO(epoll_ctl(set, EPOLL_CTL_DEL, fd, NULL), ENOENT);
	EXPECT_EQ(epoll_wait(set, got, 4, 10), 0);
	EXPECT_ERRNO(epoll_ctl(set, EPOLL_CTL_ADD, set, &event), EINVAL);
	EXPECT_ERRNO(epoll_ctl(set, EPOLL_CTL_ADD, 99, &event), EBADF);
	EXPECT_ERRNO(epoll_wait(set, got, 0, 0), EINVAL);
	event.events = EPOLLIN;
	EXPECT(epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) == 0);
	close(fd); /* leaves the set by itself */
	EXPECT_EQ(epoll_wait(set, got, 4, 0), 0);
	close(set);
}

/* What an edge is at a pipe: each write is one, even if nothing was read; room is told of once, and again
 * when a read has made some. */
static void epoll_edges_of_a_pipe(void)
{
	struct epoll_event in = { EPOLLIN | EPOLLET, { .u64 = 1 } }, out = { EPOLLOUT | EPOLLET, { .u64 = 2 } };
	struct epoll_event got[4];
	int set = epoll_create1(0);
	char page[4096] = "";

	REQUIRE(set >= 0 && pipe2(fds, O_NONBLOCK) == 0);
	EXPECT(epoll_ctl(set, EPOLL_CTL_ADD, fds[0], &in) == 0);
	EXPECT(epoll_ctl(set, EPOLL_CTL_ADD, fds[1], &out) == 0);
	EXPECT(epoll_wait(set, got, 4, 0) == 1 && got[0].data.u64 == 2);
	EXPECT_EQ(epoll_wait(set, got, 4, 10), 0);
	for (int i = 0; i < 3; i++) {
		EXPECT_EQ(write(fds[1], page, 1), 1);
		EXPECT(epoll_wait(set, got, 1, 0) == 1 && got[0].data.u64 == 1);
		EXPECT_EQ(epoll_wait(set, got, 4, 0), 0);
	}
	while (write(fds[1], page, sizeof(page)) > 0)
		;
	EXPECT(epoll_wait(set, got, 4, 0) == 1 && got[0].data.u64 == 1);
	while (read(fds[0], page, sizeof(page)) > 0)
		;
	EXPECT(epoll_wait(set, got, 4, 0) == 1 && got[0].data.u64 == 2);
	close(fds[1]);
	EXPECT(epoll_wait(set, got, 4, 0) == 1 && got[0].events & EPOLLHUP);
	EXPECT_EQ(epoll_wait(set, got, 4, 0), 0);
	close(fds[0]), close(set);
}

/* A descriptor that is closed and used again is another file, which nobody has asked about. */
static void epoll_knows_files_apart(void)
{
	struct epoll_event event = { EPOLLIN, { .u64 = 1 } }, got[4];
	int set = epoll_create1(0);

	REQUIRE(set >= 0);
	for (int i = 0; i < 3; i++) {
		int fd = eventfd(1, 0);

		EXPECT_EQ(epoll_wait(set, got, 4, 0), 0);
		EXPECT(epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) == 0);
		EXPECT_EQ(epoll_wait(set, got, 4, 0), 1);
		close(fd);
	}
	close(set);
}

/* A child that closes its descriptor and looks takes nothing from its parent. */
static void epoll_shared_with_a_child(void)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u32 = 7 }, got[4];
	int set = epoll_create1(0), fd = eventfd(0, 0);
	uint64_t one = 1;
	pid_t child;

	REQUIRE(set >= 0 && fd >= 0);
	EXPECT(epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) == 0);
	child = fork();
	if (child == 0) {
		close(fd);
		epoll_wait(set, got, 4, 0);
		_exit(0);
	}
	waitpid(child, NULL, 0);
	EXPECT(write(fd, &one, 8) == 8);
	EXPECT_EQ(epoll_wait(set, got, 4, 0), 1);
	EXPECT_EQ(got[0].data.u32, 7);
	close(fd);
	EXPECT_EQ(epoll_wait(set, got, 4, 0), 0);
	close(set);
}

/* poll's time-out is an int: what else is in the register does not count. */
static void upper_half_of_a_timeout(void)
{
	EXPECT_EQ(syscall(SYS_poll, NULL, 0, 0x700000001L), 0);
}

int main(void)
{
	RUN(selecting);
	RUN(ppoll_opens_its_mask);
	RUN(epoll_levels_and_edges);
	RUN(epoll_edges_of_a_pipe);
	RUN(epoll_knows_files_apart);
	RUN(epoll_shared_with_a_child);
	RUN(upper_half_of_a_timeout);
	return test_end();
}
