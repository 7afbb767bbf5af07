/* SPDX-License-Identifier: MIT */
/*
 * uaccess_test.c - every system-call number with hostile values in every argument. What may
 * come of it is an error, a signal to the caller, or nothing; never harm to the machine.
 *
 * Each number is tried in a child of its own, in a process group of its own, under a watchdog; a
 * timer interrupts calls that wait. Numbers whose success would harm other processes by right
 * (kill, reboot, ...) are left out. Afterwards the machine must still do all that it could. On
 * Linux the children give up root first.
 *
 * tests/run: limit=200 nocheck
 */
#include "tests/user/test.h"
#include <sys/time.h>

#define NUMBERS	 461
#define CHILD_MS 4000

static const short left_out[] = {
	SYS_exit,
	SYS_exit_group,
	SYS_kill,
	SYS_tkill,
	SYS_tgkill,
	SYS_rt_sigqueueinfo,
	SYS_rt_tgsigqueueinfo,
	SYS_reboot,
	SYS_vhangup,
	SYS_rt_sigreturn,
	SYS_sync,
	SYS_syncfs,
	SYS_syslog,
	424 /* pidfd_send_signal */,
	SYS_umount2,
	SYS_mount,
	SYS_chroot,
	SYS_pivot_root,
	SYS_kexec_load,
	SYS_setrlimit,
	SYS_prlimit64,
	SYS_seccomp,
	SYS_ptrace,
};

static char page[PAGE] __attribute__((aligned(4096)));
static unsigned long hostile[] = {
	0,
	1,
	16,
	0xffffffff80000000UL,
	0xffffffff80100000UL,
	0xffff800000000000UL,
	0xffff888000000000UL,
	0x8000000000000000UL,
	0x00007ffffffff000UL,
	0x00007fffffffffffUL,
	0x0000800000000000UL,
	0xffffffffffffffffUL,
	0xfffffffffffff001UL,
	0 /* read-only */,
	0 /* unmapped */,
	0 /* its end */,
};
#define HOSTILE (sizeof(hostile) / sizeof(hostile[0]))

static int pipe_in;
static pid_t self;

static void on_alarm(int sig)
{
	(void)sig;
}

/* One call. A new process or thread that comes of it ends at once. */
static void attempt(long number, const unsigned long *a)
{
	syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
	if (syscall(SYS_getpid) != self || syscall(SYS_gettid) != self)
		syscall(SYS_exit_group, 0);
}

static void child(long number)
{
	const unsigned long plain[3][6] = {
		{ 0, 0, 0, 0, 0, 0 },
		{ (unsigned long)pipe_in, (unsigned long)page, 64, 8, 8, 8 },
		{ (unsigned long)page, (unsigned long)page + 256, 64, (unsigned long)page, 0, 0 },
	};
	struct itimerval timer = { { 0, 3000 }, { 0, 3000 } };
	struct sigaction action = { .sa_handler = on_alarm };

	int null = open("/dev/null", O_RDWR);

	/* or ftruncate, fcntl and the like would be let loose on the output of the test */
	for (int fd = 0; fd < 3; fd++)
		dup2(null, fd);
	setpgid(0, 0);
	self = getpid();
	if (!on_quire() && (setgid(65534) || setuid(65534)))
		_exit(1);
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
	for (size_t base = 0; base < 3; base++) {
		for (int position = 0; position < 6; position++) {
			for (size_t h = 0; h < HOSTILE; h++) {
				unsigned long a[6];

				memcpy(a, plain[base], sizeof(a));
				a[position] = hostile[h];
				attempt(number, a);
			}
		}
	}
	for (size_t h = 0; h < HOSTILE; h++) {
		unsigned long a[6];

		for (int i = 0; i < 6; i++)
			a[i] = hostile[h];
		attempt(number, a);
	}
	_exit(0);
}

/* Wait for a child up to CHILD_MS; one that is still there is killed, and must go. */
static void reap(pid_t pid, long number)
{
	int status;

	for (int waited = 0; waited < CHILD_MS; waited += waited < 100 ? 1 : 10) {
		pid_t got = waitpid(pid, &status, WNOHANG);

		if (got == pid)
			return;
		if (got < 0) {
			printf("# call %ld: its child cannot be waited for: %s\n", number,
			       strerror(errno));
			EXPECT(!"the child is there");
			return;
		}
		sleep_ms(waited < 100 ? 1 : 10);
	}
	kill(pid, SIGKILL);
	kill(pid, SIGCONT);
	EXPECT_EQ(waitpid(pid, &status, 0), pid);
}

static void every_call(void)
{
	for (long number = 0; number < NUMBERS; number++) {
		bool skip = false;
		pid_t pid;

		for (size_t i = 0; i < sizeof(left_out) / sizeof(left_out[0]); i++)
			skip |= left_out[i] == number;
		if (skip)
			continue;
		alarm(TEST_SECONDS);
		fflush(stdout);
		pid = fork();
		if (pid == 0)
			child(number);
		if (!EXPECT(pid > 0))
			return;
		reap(pid, number);
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
	}
}

static void numbers_that_are_none(void)
{
	EXPECT_ERRNO(syscall(5000), ENOSYS);
	EXPECT_ERRNO(syscall(-1), ENOSYS);
	EXPECT_ERRNO(syscall(0x7fffffffffffffffL), ENOSYS);
}

static void health_child(void)
{
	char *at = anon_pages(100);
	int fd = temp_file(0), fds[2];
	char byte = 'h';

	memset(at, 1, 100 * PAGE);
	EXPECT_EQ(write(fd, at, 100 * PAGE), 100 * (long)PAGE);
	EXPECT(pipe(fds) == 0 && write(fds[1], &byte, 1) == 1 && read(fds[0], &byte, 1) == 1);
	pid_t pid = fork();

	if (pid == 0) {
		execl("/proc/self/exe", "uaccess_test", "--exit-5", (char *)NULL);
		_exit(1);
	}
	int status;

	EXPECT(waitpid(pid, &status, 0) == pid && status == 5 << 8);
	EXPECT(proc_value("/proc/meminfo", "MemFree") > 0);
	sleep_ms(5);
}

static void health(void)
{
	IN_CHILD(health_child);
	EXPECT_EQ(page[0], 0);
}

int main(int argc, char **argv)
{
	char *read_only = anon_pages(1), *unmapped = anon_pages(2);
	int fds[2];

	if (argc == 2 && !strcmp(argv[1], "--exit-5"))
		return 5;
	mprotect(read_only, PAGE, PROT_READ);
	munmap(unmapped + PAGE, PAGE);
	hostile[HOSTILE - 3] = (unsigned long)read_only;
	hostile[HOSTILE - 2] = (unsigned long)unmapped + PAGE;
	hostile[HOSTILE - 1] = (unsigned long)unmapped + PAGE - 1;
	REQUIRE(mkdir("/tmp/uaccess_test", 0777) == 0 || errno == EEXIST);
	REQUIRE(chdir("/tmp/uaccess_test") == 0);
	REQUIRE(pipe(fds) == 0);
	pipe_in = fds[0];
	EXPECT(write(fds[1], page, 64) == 64);
	RUN(every_call);
	RUN(numbers_that_are_none);
	RUN(health);
	return test_end();
}
