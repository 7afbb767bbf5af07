/* SPDX-License-Identifier: MIT */
/*
 * init.c - the first program, /sbin/init.
 *
 * It finds /proc, /dev and /tmp ready, and mounts the first disk at /disk if it holds
 * an ext2 file system. When /etc/command exists (tools/run wrote
 * it: an argument vector, each word ended by a NUL), it runs that in the shell
 * with nothing to read, standard output on the second serial line and standard
 * error on the console. Otherwise it greets and starts an interactive shell that
 * owns the console. Orphans are reaped meanwhile. When the shell has ended, what
 * is left is killed and init exits with the shell's status (128 + signal), which
 * is how the kernel knows that the machine is done.
 */
#include "user/quire.h"
#include <dirent.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#define SHELL	   "/bin/sh"
#define SHELL_RC   "/etc/shrc"
#define CANNOT_RUN 126
#define DISK	   "/disk"

static char *const environment[] = {
	"HOME=/root",
	"PATH=/bin:/usr/bin:/sbin:" DISK "/bin",
	"TERM=vt102",
	"SHELL=" SHELL,
	"USER=root",
	"LOGNAME=root",
	"PS1=quire:\\w# ",
	"ENV=" SHELL_RC,
	NULL,
};

/* For these names busybox's shell has its own; ours must win, as everywhere in /bin. */
#define OUR_NAMES "sysctl() { /bin/sysctl \"$@\"; }; help() { /bin/help; }; "

/* Make fd refer to path. Returns whether it does. */
static bool put_on(int fd, const char *path, int flags)
{
	int opened = open(path, flags | O_NOCTTY);

	if (opened < 0)
		return false;
	if (opened != fd) {
		dup2(opened, fd);
		close(opened);
	}
	return true;
}

/* Link what folder has on the disk and lacks here. */
static void link_lacking(const char *folder)
{
	char there[512], here[512];
	struct dirent *e;
	DIR *dir;

	snprintf(there, sizeof(there), DISK "/%s", folder);
	dir = opendir(there);
	while (dir && (e = readdir(dir))) {
		snprintf(there, sizeof(there), DISK "/%s/%s", folder, e->d_name);
		snprintf(here, sizeof(here), "/%s/%s", folder, e->d_name);
		if (e->d_name[0] != '.' && symlink(there, here) && errno != EEXIST)
			dprintf(2, "init: %s: %s\n", here, strerror(errno));
	}
	if (dir)
		closedir(dir);
}

/*
 * Mount the disk; the kernel says what becomes of it. Programs on it look for their loader,
 * libraries and data where they were installed: these paths lead to the disk, unless there
 * is something here already.
 */
static void mount_disk(void)
{
	static const char *const folders[] = { "etc", "lib", "lib32", "lib64", "opt", "usr" };
	char there[64], here[64];

	if (access("/dev/vda", F_OK) || (mkdir(DISK, 0755) && errno != EEXIST) ||
	    mount("/dev/vda", DISK, "ext2", MS_RDONLY, NULL))
		return;
	for (size_t i = 0; i < sizeof(folders) / sizeof(*folders); i++) {
		snprintf(there, sizeof(there), DISK "/%s", folders[i]);
		snprintf(here, sizeof(here), "/%s", folders[i]);
		if (!access(there, F_OK) && symlink(there, here) && errno == EEXIST)
			link_lacking(folders[i]);
	}
}

/* The words of /etc/command, or NULL when there is no command. */
static char **read_command(void)
{
	static char *words[1024];
	static char bytes[128 * KIB];
	size_t have = 0, count = 0;
	ssize_t got;
	int fd = open("/etc/command", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return NULL;
	while ((got = read(fd, bytes + have, sizeof(bytes) - 1 - have)) > 0)
		have += (size_t)got;
	close(fd);
	bytes[have] = 0;
	for (size_t at = 0; at < have && count < 1023; at += strlen(bytes + at) + 1)
		words[count++] = bytes + at;
	return count ? words : NULL;
}

/* In the child: become the shell that runs the command. */
static void run_command(char **words)
{
	static char *argv[1024 + 4];
	size_t n = 0;

	setsid();
	put_on(0, "/dev/null", O_RDONLY);
	if (!put_on(1, "/dev/ttyS1", O_WRONLY))
		dprintf(2, "init: /dev/ttyS1: %s; output goes to the console\n", strerror(errno));
	argv[n++] = "sh";
	argv[n++] = "-c";
	if (words[1]) {
		argv[n++] = OUR_NAMES "\"$@\"";
		argv[n++] = "sh";
		for (size_t i = 0; words[i]; i++)
			argv[n++] = words[i];
	} else if (asprintf(&argv[n], "%s%s", OUR_NAMES, words[0]) < 0) {
		return;
	}
	execve(SHELL, argv, environment);
}

/* In the child: become the shell that talks to the person at the console. */
static void run_interactive(void)
{
	char *const argv[] = { "-sh", NULL };
	int rc;

	setsid();
	put_on(0, "/dev/console", O_RDWR);
	dup2(0, 1);
	dup2(0, 2);
	if (ioctl(0, TIOCSCTTY, 0))
		dprintf(2, "init: no job control: %s\n", strerror(errno));
	rc = open(SHELL_RC, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (rc >= 0)
		dprintf(rc, "%s\n", OUR_NAMES);
	mkdir("/root", 0700);
	if (chdir("/root"))
		dprintf(2, "init: /root: %s\n", strerror(errno));
	execve(SHELL, argv, environment);
}

/* All tunables as they are in force, in lines of at most 79 characters. */
static void show_tunables(void)
{
	char *text = read_text("/proc/tunables"), name[64], value[64];
	size_t column = 80;

	for (char *line = text; line && *line; line += strcspn(line, "\n"), line += *line == '\n') {
		size_t need;

		if (sscanf(line, "%63s %63s", name, value) != 2)
			continue;
		need = 2 + strlen(name) + strlen(value);
		if (column + need > 79)
			column = (size_t)printf("\n ") - 1;
		column += need;
		printf(" %s=%s", name, value);
	}
	free(text);
}

static void greet(void)
{
	char *version = read_text("/proc/version");
	cpu_set_t cpus;

	if (version)
		version[strcspn(version, "\n")] = 0;
	printf("\nQuire, a kernel for looking at page tables\n  %s\n", version ? version : "");
	free(version);
	CPU_ZERO(&cpus);
	sched_getaffinity(0, sizeof(cpus), &cpus);
	printf("  %llu KiB of memory, %llu KiB free, %d CPU%s",
	       (unsigned long long)proc_number("/proc/meminfo", "MemTotal", 0),
	       (unsigned long long)proc_number("/proc/meminfo", "MemFree", 0), CPU_COUNT(&cpus),
	       CPU_COUNT(&cpus) == 1 ? "" : "s");
	show_tunables();
	printf("\n\nType `help` for the workloads and tools, `exit` to leave.\n\n");
	fflush(stdout);
}

/* What busybox's halt, poweroff and reboot send to the first process: when it ends, so does the machine. */
static void leave(int sig)
{
	(void)sig;
	_exit(0);
}

/* Reap children until `main_child` ends. Returns its status as a shell would say it. */
static int wait_for(pid_t main_child)
{
	for (;;) {
		int status;
		pid_t pid = waitpid(-1, &status, 0);

		if (pid < 0 && errno == EINTR)
			continue;
		if (pid < 0)
			return CANNOT_RUN;
		if (pid == main_child)
			return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
	}
}

int main(void)
{
	char **words;
	pid_t child;
	int status;

	prog = "init";
	if (getpid() != 1)
		die(0, "only the first process can be init");
	for (int fd = 0; fd < 3; fd++)
		if (fcntl(fd, F_GETFD) < 0)
			put_on(fd, "/dev/console", O_RDWR);
	mount_disk();
	words = read_command();
	if (!words)
		greet();
	child = fork();
	if (child < 0) {
		dprintf(2, "init: fork: %s\n", strerror(errno));
		return CANNOT_RUN;
	}
	if (child == 0) {
		if (words)
			run_command(words);
		else
			run_interactive();
		dprintf(2, "init: %s: %s\n", SHELL, strerror(errno));
		_exit(CANNOT_RUN);
	}
	signal(SIGUSR1, leave);
	signal(SIGUSR2, leave);
	signal(SIGTERM, leave);
	status = wait_for(child);
	kill(-1, SIGKILL);
	while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
		;
	return status;
}
