/* SPDX-License-Identifier: MIT */
/*
 * fsrace_test.c - names, descriptors, pipes, locks, epolls, timers and /proc, all at once.
 *
 * Threads of two processes do random things to the same few names, descriptors and children; none
 * of them may hang, get an answer that no order of events could give, or take memory that does not
 * come back. What is wrong shows as a panic, a time-out, or in the count of the kernel's pages.
 *
 * tests/run: smp=4 icount limit=100 nocheck append=debug_check=1
 */
#include "tests/user/test.h"
#include <dirent.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>

#define ROUNDS 800
#define NAMES 6
#define FIRST_FD 100 /* descriptors that all threads use at once */
#define FDS 8
#define CHILDREN 4

static _Atomic pid_t child[CHILDREN];

static unsigned next(unsigned *seed)
{
	*seed ^= *seed << 13, *seed ^= *seed >> 17, *seed ^= *seed << 5;
	return *seed;
}

/* One of a few paths, up to two directories deep. */
static const char *any_path(unsigned *seed, char path[64])
{
	unsigned a = next(seed) % NAMES, b = next(seed) % NAMES;

	if (next(seed) % 3)
		snprintf(path, 64, "/tmp/race/%u", a);
	else
		snprintf(path, 64, "/tmp/race/%u/%u", a, b);
	return path;
}

/* It worked, or failed for a reason that others can be. */
static void expect_usual(const char *what, long result)
{
	static const int usual[] = { ENOENT, EEXIST, ENOTDIR, EISDIR, ENOTEMPTY, EINVAL, ELOOP, EBUSY, EXDEV, ENXIO,
				     EPERM, EBADF, EAGAIN, EINTR, EPIPE, ESRCH, ECHILD, ESPIPE, EMFILE, ENODATA, EACCES };
	int err = errno;

	for (size_t i = 0; result < 0 && i < sizeof(usual) / sizeof(*usual); i++)
		if (err == usual[i])
			return;
	if (result < 0) {
		errno = err;
		printf("# %s\n", what);
		EXPECT(result >= 0);
	}
}
#define USUAL(call) expect_usual(#call, (long)(call))

static void names(unsigned *seed)
{
	char a[64], b[64], text[256];
	struct stat st;
	DIR *dir;
	int fd;

	any_path(seed, a), any_path(seed, b);
	switch (next(seed) % 12) {
	case 0: USUAL(mkdir(a, 0755)); break;
	case 1: USUAL(rmdir(a)); break;
	case 2: USUAL(rename(a, b)); break;
	case 3: USUAL(link(a, b)); break;
	case 4: USUAL(symlink(a, b)); break;
	case 5: USUAL(unlink(a)); break;
	case 6: USUAL(lstat(a, &st)); break;
	case 7: USUAL(readlink(a, text, sizeof(text))); break;
	case 8: USUAL(mkfifo(a, 0644)); break;
	case 9:
		USUAL(chdir(a));
		USUAL(getcwd(text, sizeof(text)) ? 0 : -1);
		break;
	case 10:
		fd = open(a, O_RDWR | O_CREAT | O_NONBLOCK | (next(seed) % 2 ? O_TRUNC : O_APPEND), 0644);
		USUAL(fd);
		if (fd < 0)
			break;
		USUAL(write(fd, text, sizeof(text)));
		USUAL(read(fd, text, sizeof(text)));
		USUAL(ftruncate(fd, (off_t)(next(seed) % 20000)));
		close(fd);
		break;
	default:
		dir = opendir(a);
		for (int i = 0; dir && i < 20 && readdir(dir); i++)
			;
		if (dir)
			closedir(dir);
	}
}

static void descriptors(unsigned *seed)
{
	int fd = FIRST_FD + (int)(next(seed) % FDS), other = FIRST_FD + (int)(next(seed) % FDS), made[2];
	struct flock range = { .l_type = (short)(next(seed) % 3), .l_start = next(seed) % 50, .l_len = 1 + next(seed) % 20 };
	struct epoll_event event = { EPOLLIN | EPOLLOUT | (next(seed) % 2 ? EPOLLET : 0), { .fd = other } }, got[4];
	struct pollfd both[2] = { { fd, POLLIN, 0 }, { other, POLLOUT, 0 } };
	char path[64], bytes[64] = "";

	switch (next(seed) % 11) {
	case 0:
		if (pipe2(made, O_NONBLOCK))
			break;
		USUAL(dup2(made[0], fd));
		USUAL(dup2(made[1], other));
		close(made[0]), close(made[1]);
		break;
	case 1:
		made[0] = next(seed) % 2 ? eventfd(0, EFD_NONBLOCK) : epoll_create1(0);
		USUAL(dup2(made[0], fd));
		close(made[0]);
		break;
	case 2:
		made[0] = open(any_path(seed, path), O_RDWR | O_NONBLOCK);
		USUAL(made[0]);
		if (made[0] >= 0) {
			USUAL(dup2(made[0], fd));
			close(made[0]);
		}
		break;
	case 3: close(fd); break;
	case 4: USUAL(write(fd, bytes, sizeof(bytes))); break;
	case 5: USUAL(read(fd, bytes, sizeof(bytes))); break;
	case 6: USUAL(epoll_ctl(fd, EPOLL_CTL_ADD + (int)(next(seed) % 3), other, &event)); break;
	case 7: USUAL(epoll_wait(fd, got, 4, (int)(next(seed) % 2))); break;
	case 8: USUAL(poll(both, 2, (int)(next(seed) % 2))); break;
	case 9: USUAL(fcntl(fd, next(seed) % 2 ? F_SETLK : F_OFD_SETLK, &range)); break;
	default: USUAL(flock(fd, LOCK_NB | (next(seed) % 2 ? LOCK_EX : LOCK_SH)));
	}
}

/* Texts about children that come and go, to their end. */
static void looking(unsigned *seed)
{
	static const char *const file[] = { "status", "stat", "statm", "maps", "smaps", "cmdline", "environ", "limits",
					    "fd", "task", "exe", "cwd", "pagetable", "comm", "counters", "fd/100" };
	char path[64], text[4096];
	DIR *dir;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)child[next(seed) % CHILDREN],
		 file[next(seed) % (sizeof(file) / sizeof(*file))]);
	USUAL(readlink(path, text, sizeof(text)));
	dir = opendir(path);
	for (int i = 0; dir && i < 20 && readdir(dir); i++)
		;
	if (dir)
		closedir(dir);
	fd = open(path, O_RDONLY | O_NONBLOCK);
	for (int i = 0; fd >= 0 && i < 10; i++)
		if (read(fd, text, sizeof(text)) <= 0)
			break;
	if (fd >= 0)
		close(fd);
}

static void children(unsigned *seed)
{
	unsigned i = next(seed) % CHILDREN, how = next(seed) % 4;
	pid_t pid = fork();

	if (pid == 0) {
		if (how == 0)
			execl("/proc/self/exe", "fsrace_test", "--leaf", (char *)NULL);
		if (how == 1)
			raise(SIGSTOP);
		if (how == 2)
			sleep_ms(2);
		_exit(0);
	}
	if (pid < 0)
		return;
	pid = atomic_exchange(&child[i], pid);
	if (!pid)
		return;
	kill(pid, SIGCONT);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void timers(unsigned *seed)
{
	struct itimerspec soon = { { 0, 100000 }, { 0, 1 + next(seed) % 100000 } };
	struct sigevent none = { .sigev_notify = SIGEV_NONE };
	timer_t id;

	if (timer_create(CLOCK_MONOTONIC, next(seed) % 2 ? &none : NULL, &id))
		return;
	USUAL(timer_settime(id, 0, &soon, NULL));
	USUAL(kill(getpid(), SIGUSR1));
	USUAL(timer_delete(id));
}

static void *run(void *arg)
{
	unsigned seed = (unsigned)(uintptr_t)arg * 2654435761U + 1;

	for (int i = 0; i < ROUNDS; i++) {
		names(&seed);
		descriptors(&seed);
		if (i % 4 == 0)
			looking(&seed);
		if (i % 8 == 0)
			timers(&seed);
		if (i % 16 == 0)
			children(&seed);
	}
	return NULL;
}

static void at_random(unsigned from)
{
	pthread_t thread[3];

	for (unsigned i = 0; i < 3; i++)
		REQUIRE(pthread_create(&thread[i], NULL, run, (void *)(uintptr_t)(from + i + 1)) == 0);
	for (unsigned i = 0; i < 3; i++)
		pthread_join(thread[i], NULL);
	for (unsigned i = 0; i < CHILDREN; i++) {
		if (!child[i])
			continue;
		kill(child[i], SIGKILL);
		waitpid(child[i], NULL, 0);
	}
}

/* In a process of its own beside another, so that both tables of descriptors meet the same files. */
static void everything_at_once(void)
{
	pid_t pid[2];
	int status;

	mkdir("/tmp/race", 0755);
	for (unsigned i = 0; i < 2; i++) {
		pid[i] = fork();
		if (pid[i] == 0) {
			signal(SIGPIPE, SIG_IGN);
			signal(SIGUSR1, SIG_IGN);
			signal(SIGALRM, SIG_IGN);
			at_random(i * 10);
			_exit(test_failures != 0);
		}
	}
	for (unsigned i = 0; i < 2; i++)
		EXPECT(waitpid(pid[i], &status, 0) == pid[i] && status == 0);
	if (system("rm -rf /tmp/race"))
		EXPECT(rmdir("/tmp/race") == 0);
}

int main(int argc, char **argv)
{
	long long before;

	if (argc > 1 && !strcmp(argv[1], "--leaf"))
		return 0;
	RUN(everything_at_once); /* and the caches have what they keep */
	before = proc_value("/proc/vmstat", "nr_slab_pages") + proc_value("/proc/vmstat", "nr_kernel_pages");
	RUN(everything_at_once);
	if (on_quire())
		EXPECT(proc_value("/proc/vmstat", "nr_slab_pages") + proc_value("/proc/vmstat", "nr_kernel_pages") <=
		       before + 64);
	return test_end();
}
