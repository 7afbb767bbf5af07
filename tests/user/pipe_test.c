/* SPDX-License-Identifier: MIT */
/*
 * pipe_test.c - pipes, poll, eventfd: order, blocking, both ends' deaths, atomic writes.
 */
#include "tests/user/test.h"
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/uio.h>

static int fds[2];

static void open_pipe(int flags)
{
	REQUIRE(pipe2(fds, flags) == 0);
}

static void close_pipe(void)
{
	close(fds[0]), close(fds[1]);
}

static void bytes_in_order(void)
{
	char buffer[16];

	open_pipe(0);
	EXPECT_EQ(write(fds[1], "hello", 5), 5);
	EXPECT_EQ(write(fds[1], "world", 5), 5);
	EXPECT_EQ(read(fds[0], buffer, 3), 3);
	EXPECT_EQ(read(fds[0], buffer + 3, 13), 7);
	EXPECT(!memcmp(buffer, "helloworld", 10));
	EXPECT_ERRNO(write(fds[0], "x", 1), EBADF);
	EXPECT_ERRNO(read(fds[1], buffer, 1), EBADF);
	EXPECT_ERRNO(lseek(fds[0], 0, SEEK_SET), ESPIPE);
	EXPECT_ERRNO(pread(fds[0], buffer, 1, 0), ESPIPE);
	EXPECT_EQ(write(fds[1], "", 0), 0);
	EXPECT_EQ(write(fds[1], "abc", 3), 3);
	int ready = 0;

	EXPECT(ioctl(fds[0], FIONREAD, &ready) == 0 && ready == 3);
	close(fds[1]);
	EXPECT_EQ(read(fds[0], buffer, 16), 3);
	EXPECT_EQ(read(fds[0], buffer, 16), 0);
	close(fds[0]);
}

static void a_lot_of_bytes(void)
{
	const size_t total = 3 * MIB;
	unsigned char block[7001];
	size_t have = 0;
	int status;
	pid_t pid;

	open_pipe(0);
	pid = fork();
	if (pid == 0) {
		size_t sent = 0;

		while (sent < total) {
			size_t part = sent % 5000 + 1;

			part = part < total - sent ? part : total - sent;
			for (size_t i = 0; i < part; i++)
				block[i] = (unsigned char)((sent + i) % 251);
			if (write(fds[1], block, part) != (ssize_t)part)
				_exit(1);
			sent += part;
		}
		_exit(0);
	}
	close(fds[1]);
	for (;;) {
		ssize_t got = read(fds[0], block, sizeof(block));

		if (got <= 0)
			break;
		for (ssize_t i = 0; i < got; i++)
			if (block[i] != (have + (size_t)i) % 251) {
				EXPECT(!"bytes in order");
				got = -1;
			}
		if (got < 0)
			break;
		have += (size_t)got;
	}
	EXPECT_EQ(have, total);
	EXPECT(waitpid(pid, &status, 0) == pid && status == 0);
	close(fds[0]);
}

static void nobody_reads(void)
{
	open_pipe(0);
	signal(SIGPIPE, SIG_IGN);
	close(fds[0]);
	EXPECT_ERRNO(write(fds[1], "x", 1), EPIPE);
	signal(SIGPIPE, SIG_DFL);
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		if (write(fds[1], "x", 1))
			_exit(1);
		_exit(2);
	}
	EXPECT(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) &&
	       WTERMSIG(status) == SIGPIPE);
	close(fds[1]);
}

static void without_blocking(void)
{
	char block[4096], byte;
	size_t filled = 0;
	ssize_t put;

	open_pipe(O_NONBLOCK);
	EXPECT(fcntl(fds[0], F_GETFL) & O_NONBLOCK);
	EXPECT_ERRNO(read(fds[0], &byte, 1), EAGAIN);
	memset(block, 1, sizeof(block));
	while ((put = write(fds[1], block, sizeof(block))) > 0)
		filled += (size_t)put;
	EXPECT_EQ(errno, EAGAIN);
	EXPECT_EQ(filled, 65536);
	EXPECT_EQ(read(fds[0], &byte, 1), 1);
	/* at most PIPE_BUF bytes go all or not at all */
	EXPECT_ERRNO(write(fds[1], block, 4096), EAGAIN);
	EXPECT(fcntl(fds[0], F_SETFL, 0) == 0);
	EXPECT(!(fcntl(fds[0], F_GETFL) & O_NONBLOCK));
	while (filled > 1) {
		put = read(fds[0], block, sizeof(block));
		if (!EXPECT(put > 0))
			break;
		filled -= (size_t)put;
	}
	close_pipe();
}

static void atomic_writes(void)
{
	char block[512];
	int counts[4] = { 0 };
	pid_t pids[4];

	open_pipe(0);
	for (int w = 0; w < 4; w++) {
		pids[w] = fork();
		if (pids[w] == 0) {
			memset(block, 'a' + w, sizeof(block));
			for (int i = 0; i < 300; i++)
				if (write(fds[1], block, sizeof(block)) != sizeof(block))
					_exit(1);
			_exit(0);
		}
	}
	close(fds[1]);
	for (;;) {
		size_t have = 0;
		ssize_t got;

		while (have < sizeof(block) &&
		       (got = read(fds[0], block + have, sizeof(block) - have)) > 0)
			have += (size_t)got;
		if (have < sizeof(block))
			break;
		for (size_t i = 1; i < sizeof(block); i++)
			if (!EXPECT_EQ(block[i], block[0]))
				break;
		counts[(block[0] - 'a') & 3]++;
	}
	for (int w = 0; w < 4; w++) {
		int status;

		EXPECT_EQ(counts[w], 300);
		EXPECT(waitpid(pids[w], &status, 0) == pids[w] && status == 0);
	}
	close(fds[0]);
}

static void one_end_sleeps(void)
{
	char byte;
	int status;
	pid_t pid;

	open_pipe(0);
	pid = fork();
	if (pid == 0) {
		sleep_ms(30);
		_exit(write(fds[1], "z", 1) != 1);
	}
	EXPECT_EQ(read(fds[0], &byte, 1), 1);
	EXPECT_EQ(byte, 'z');
	EXPECT(waitpid(pid, &status, 0) == pid && status == 0);
	close_pipe();
}

static void polling(void)
{
	struct pollfd watched[2];
	struct timespec before, after;
	int status;
	char byte;
	pid_t pid;

	open_pipe(0);
	watched[0] = (struct pollfd){ .fd = fds[0], .events = POLLIN };
	watched[1] = (struct pollfd){ .fd = fds[1], .events = POLLOUT };
	EXPECT_EQ(poll(watched, 2, 0), 1);
	EXPECT(watched[0].revents == 0 && watched[1].revents == POLLOUT);
	clock_gettime(CLOCK_MONOTONIC, &before);
	EXPECT_EQ(poll(watched, 1, 30), 0);
	clock_gettime(CLOCK_MONOTONIC, &after);
	EXPECT((after.tv_sec - before.tv_sec) * 1000 + (after.tv_nsec - before.tv_nsec) / 1000000 >=
	       29);
	pid = fork();
	if (pid == 0) {
		sleep_ms(30);
		_exit(write(fds[1], "z", 1) != 1);
	}
	EXPECT_EQ(poll(watched, 1, 5000), 1);
	EXPECT_EQ(watched[0].revents, POLLIN);
	EXPECT_EQ(read(fds[0], &byte, 1), 1);
	waitpid(pid, &status, 0);
	close(fds[1]);
	EXPECT_EQ(poll(watched, 1, 1000), 1);
	EXPECT_EQ(watched[0].revents, POLLHUP);
	watched[0].fd = -1;
	watched[1] = (struct pollfd){ .fd = 99, .events = POLLIN };
	EXPECT_EQ(poll(watched, 2, 0), 1);
	EXPECT(watched[0].revents == 0 && watched[1].revents == POLLNVAL);
	close(fds[0]);
	open_pipe(0);
	close(fds[0]);
	watched[0] = (struct pollfd){ .fd = fds[1], .events = POLLOUT };
	EXPECT_EQ(poll(watched, 1, 0), 1);
	EXPECT(watched[0].revents & POLLERR);
	close(fds[1]);
	watched[0] = (struct pollfd){ .fd = temp_file(10), .events = POLLIN | POLLOUT };
	EXPECT_EQ(poll(watched, 1, 0), 1);
	EXPECT_EQ(watched[0].revents, POLLIN | POLLOUT);
	close(watched[0].fd);
	EXPECT_ERRNO(syscall(SYS_poll, (void *)8, 1, 0), EFAULT);
}

static void eventfds(void)
{
	int fd = eventfd(3, EFD_NONBLOCK), status;
	struct pollfd watched = { .fd = fd, .events = POLLIN | POLLOUT };
	uint64_t value = 4;
	pid_t pid;

	REQUIRE(fd >= 0);
	EXPECT_EQ(write(fd, &value, 8), 8);
	EXPECT_EQ(poll(&watched, 1, 0), 1);
	EXPECT_EQ(watched.revents, POLLIN | POLLOUT);
	EXPECT_EQ(read(fd, &value, 8), 8);
	EXPECT_EQ(value, 7);
	EXPECT_ERRNO(read(fd, &value, 8), EAGAIN);
	EXPECT_ERRNO(read(fd, &value, 4), EINVAL);
	value = UINT64_MAX;
	EXPECT_ERRNO(write(fd, &value, 8), EINVAL);
	value = UINT64_MAX - 1;
	EXPECT_EQ(write(fd, &value, 8), 8);
	value = 1;
	EXPECT_ERRNO(write(fd, &value, 8), EAGAIN);
	close(fd);
	fd = eventfd(2, EFD_SEMAPHORE);
	EXPECT(read(fd, &value, 8) == 8 && value == 1);
	EXPECT(read(fd, &value, 8) == 8 && value == 1);
	pid = fork();
	if (pid == 0) {
		sleep_ms(20);
		value = 1;
		_exit(write(fd, &value, 8) != 8);
	}
	EXPECT(read(fd, &value, 8) == 8 && value == 1);
	EXPECT(waitpid(pid, &status, 0) == pid && status == 0);
	close(fd);
	EXPECT_ERRNO(eventfd(0, 0x1000000), EINVAL);
}

static void limits_and_errors(void)
{
	char *readable = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	EXPECT_ERRNO(pipe2(fds, 0x1000000), EINVAL);
	EXPECT_ERRNO(syscall(SYS_pipe, NULL), EFAULT);
	EXPECT_ERRNO(syscall(SYS_pipe2, readable, 0), EFAULT);
	open_pipe(0);
	EXPECT_ERRNO(write(fds[1], (void *)8, 10), EFAULT);
	EXPECT_EQ(write(fds[1], "abc", 3), 3);
	EXPECT_ERRNO(read(fds[0], readable, 3), EFAULT);
	EXPECT_ERRNO((long)mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fds[0], 0), ENODEV);
	struct stat st;

	EXPECT(fstat(fds[0], &st) == 0 && S_ISFIFO(st.st_mode));
	close_pipe();
	open_pipe(O_CLOEXEC);
	EXPECT_EQ(fcntl(fds[0], F_GETFD), FD_CLOEXEC);
	close_pipe();
	munmap(readable, PAGE);
}

static void opened_by_descriptor(void)
{
	char path[64], byte = 0;
	int again;

	alarm(10);	/* opening must not wait for another end, as that of a fifo does */
	open_pipe(0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fds[0]);
	EXPECT_EQ(write(fds[1], "x", 1), 1);
	close(fds[1]);
	again = open(path, O_RDONLY);
	EXPECT(again >= 0);
	EXPECT(read(again, &byte, 1) == 1 && byte == 'x');
	EXPECT_EQ(read(again, &byte, 1), 0);
	fds[1] = open(path, O_WRONLY);
	EXPECT(fds[1] >= 0);
	EXPECT_EQ(write(fds[1], "y", 1), 1);
	EXPECT(read(again, &byte, 1) == 1 && byte == 'y');
	close(again);
	close_pipe();
}

int main(void)
{
	RUN(bytes_in_order);
	RUN(a_lot_of_bytes);
	RUN(nobody_reads);
	RUN(without_blocking);
	RUN(atomic_writes);
	RUN(one_end_sleeps);
	RUN(polling);
	RUN(eventfds);
	RUN(opened_by_descriptor);
	RUN(limits_and_errors);
	return test_end();
}
