/* SPDX-License-Identifier: MIT */
/*
 * linux-init.c - the first program when tools/compare boots a Linux.
 *
 * It makes Linux look to tools/run as Quire does, so that both are started by the same
 * tool with the same machine: the words of /etc/command run with nothing to read,
 * standard output on the second serial line, standard error on the console; the status
 * goes to port 0xe9 as `exit N`, then port 0xf4 ends QEMU. The rest of the first file
 * system is Quire's own.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#define VERDICT_PORT 0xe9
#define EXIT_PORT    0xf4
#define CANNOT_RUN   126
#define SETTLE	     10 /* seconds of the guest's clock, short ones where it counts instructions */

static char bytes[128 << 10];
static char *words[1024];

static char *const environment[] = { "HOME=/root", "PATH=/bin:/usr/bin:/sbin", "TERM=vt102",
				     "SHELL=/bin/sh", NULL };

/* Say how it ended, where tools/run listens, and end the machine. */
static _Noreturn void leave(int status)
{
	char text[32];

	snprintf(text, sizeof(text), "exit %d\n", status);
	if (!ioperm(VERDICT_PORT, 1, 1))
		for (char *c = text; *c; c++)
			outb((unsigned char)*c, VERDICT_PORT);
	if (!ioperm(EXIT_PORT, 1, 1))
		outb(0, EXIT_PORT);
	for (;;)
		pause();
}

static void need(int failed, const char *what)
{
	if (!failed)
		return;
	dprintf(2, "linux-init: %s: %s\n", what, strerror(errno));
	leave(CANNOT_RUN);
}

static void put_on(int fd, const char *path, int flags)
{
	int opened = open(path, flags | O_NOCTTY);

	need(opened < 0, path);
	if (opened != fd) {
		dup2(opened, fd);
		close(opened);
	}
}

/* The words of /etc/command; exits where there is none. */
static void read_command(void)
{
	size_t have = 0, count = 0;
	ssize_t got;
	int fd = open("/etc/command", O_RDONLY | O_CLOEXEC);

	need(fd < 0, "/etc/command");
	while ((got = read(fd, bytes + have, sizeof(bytes) - 1 - have)) > 0)
		have += (size_t)got;
	close(fd);
	for (size_t at = 0; at < have && count < 1023; at += strlen(bytes + at) + 1)
		words[count++] = bytes + at;
}

static void run_command(void)
{
	static char *argv[1024 + 4] = { "sh", "-c", "exec \"$@\"", "sh" };
	struct termios raw;

	setsid();
	put_on(0, "/dev/null", O_RDONLY);
	put_on(1, "/dev/ttyS1", O_WRONLY);
	if (!tcgetattr(1, &raw)) {
		cfmakeraw(&raw);
		tcsetattr(1, TCSANOW, &raw);
	}
	if (words[1])
		memcpy(argv + 4, words, sizeof(words));
	else
		argv[2] = words[0];
	execve("/bin/sh", argv, environment);
	dprintf(2, "linux-init: /bin/sh: %s\n", strerror(errno));
	_exit(CANNOT_RUN);
}

int main(void)
{
	int status;
	pid_t child;

	mkdir("/sys", 0755);
	need(mount("dev", "/dev", "devtmpfs", 0, NULL), "/dev");
	for (int fd = 0; fd < 3; fd++)
		put_on(fd, "/dev/console", O_RDWR);
	need(mount("proc", "/proc", "proc", 0, NULL), "/proc");
	need(mount("sys", "/sys", "sysfs", 0, NULL), "/sys");
	need(mount("tmp", "/tmp", "tmpfs", 0, NULL), "/tmp");
	mkdir("/dev/shm", 01777);
	need(mount("shm", "/dev/shm", "tmpfs", 0, NULL), "/dev/shm");
	read_command();
	dprintf(2, "linux-init: waiting %d s for what the kernel still does behind a boot\n", SETTLE);
	sleep(SETTLE);
	child = fork();
	need(child < 0, "fork");
	if (child == 0)
		run_command();
	while (waitpid(-1, &status, 0) != child)
		;
	status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
	need(open("/dev/ttyS1", O_WRONLY | O_NOCTTY) < 0 || tcdrain(3), "/dev/ttyS1");
	leave(status);
}
