/* SPDX-License-Identifier: MIT */
/*
 * process_test.c - processes begin, wait for each other, form groups and sessions, and end.
 * What exec does is in exec_test.c.
 */
#include "tests/user/test.h"
#include <sched.h>
#include <sys/prctl.h>

static pid_t child_that_exits(int code)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(code);
	REQUIRE(pid > 0);
	return pid;
}

static pid_t child_that_waits(void)
{
	pid_t pid = fork();

	if (pid == 0)
		for (;;)
			pause();
	REQUIRE(pid > 0);
	return pid;
}

static void exit_codes(void)
{
	static const int codes[] = { 0, 1, 77, 127, 255, 256, 511, -1 };
	int status;

	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		pid_t pid = child_that_exits(codes[i]);

		EXPECT_EQ(waitpid(pid, &status, 0), pid);
		EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == (codes[i] & 255));
	}
}

static void identities(void)
{
	pid_t me = getpid(), pid = fork();
	int status;

	if (pid == 0)
		_exit(getppid() != me || getpid() == me || getpid() != syscall(SYS_gettid));
	EXPECT(waitpid(pid, &status, 0) == pid && status == 0);
	EXPECT_EQ(getuid(), geteuid());
	EXPECT_EQ(getgid(), getegid());
}

static void zombies(void)
{
	pid_t pid = child_that_exits(5);
	siginfo_t info;
	int status;

	info.si_pid = 0;
	EXPECT(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) == 0);
	EXPECT_EQ(info.si_pid, pid);
	EXPECT_EQ(info.si_status, 5);
	EXPECT_EQ(info.si_code, CLD_EXITED);
	EXPECT(kill(pid, 0) == 0);
	EXPECT(kill(pid, SIGKILL) == 0);
	EXPECT_EQ(waitpid(pid, &status, 0), pid);
	EXPECT_EQ(status, 5 << 8);
	EXPECT_ERRNO(kill(pid, 0), ESRCH);
	EXPECT_ERRNO(waitpid(pid, &status, 0), ECHILD);
}

static void waiting_options(void)
{
	struct rusage ru;
	siginfo_t info;
	int status;
	pid_t pid;

	EXPECT_ERRNO(wait(&status), ECHILD);
	pid = child_that_waits();
	sleep_ms(20); /* it has run, and so has faulted */
	EXPECT_EQ(waitpid(pid, &status, WNOHANG), 0);
	EXPECT_EQ(waitpid(-1, &status, WNOHANG), 0);
	EXPECT_EQ(waitpid(0, &status, WNOHANG), 0);
	EXPECT_ERRNO(waitpid(-pid, &status, WNOHANG), ECHILD);
	EXPECT_ERRNO(waitpid(getppid(), &status, WNOHANG), ECHILD);
	kill(pid, SIGSTOP);
	EXPECT_EQ(waitpid(pid, &status, WUNTRACED), pid);
	EXPECT(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
	EXPECT_EQ(waitpid(pid, &status, WUNTRACED | WNOHANG), 0);
	kill(pid, SIGCONT);
	EXPECT_EQ(waitpid(pid, &status, WCONTINUED), pid);
	EXPECT(WIFCONTINUED(status));
	kill(pid, SIGSTOP);
	memset(&info, 0, sizeof(info));
	EXPECT(waitid(P_ALL, 0, &info, WSTOPPED) == 0);
	EXPECT(info.si_pid == pid && info.si_code == CLD_STOPPED && info.si_status == SIGSTOP);
	kill(pid, SIGKILL);
	EXPECT_EQ(wait4(pid, &status, 0, &ru), pid);
	EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	EXPECT(ru.ru_minflt > 0);
	EXPECT_ERRNO(syscall(SYS_wait4, -1, &status, 0x40000000 | 0x10, NULL), EINVAL);
	EXPECT_ERRNO(waitid(P_PID, 1, &info, 0), EINVAL);
	pid = child_that_waits();
	memset(&info, 1, sizeof(info));
	EXPECT(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG) == 0 && info.si_pid == 0);
	kill(pid, SIGTERM);
	EXPECT(waitid(P_PGID, (id_t)getpgrp(), &info, WEXITED) == 0);
	EXPECT(info.si_pid == pid && info.si_code == CLD_KILLED && info.si_status == SIGTERM);
}

static void many_children(void)
{
	bool seen[64] = { false };
	pid_t pids[64];
	int status;

	for (int i = 0; i < 64; i++)
		pids[i] = child_that_exits(i);
	for (int i = 0; i < 64; i++) {
		pid_t pid = wait(&status);
		int which = WEXITSTATUS(status);

		EXPECT(which < 64 && pids[which] == pid && !seen[which]);
		seen[which] = true;
	}
	EXPECT_ERRNO(wait(&status), ECHILD);
}

static void orphans(void)
{
	pid_t pid, parent_of_orphan[2] = { 0, 0 };
	int fds[2], status;

	REQUIRE(pipe(fds) == 0);
	pid = fork();
	if (pid == 0) {
		pid_t me = getpid();

		if (fork())
			_exit(0);
		for (int i = 0; i < 400 && getppid() == me; i++)
			sleep_ms(5);
		parent_of_orphan[0] = me;
		parent_of_orphan[1] = getppid();
		_exit(write(fds[1], parent_of_orphan, sizeof(parent_of_orphan)) < 0);
	}
	EXPECT_EQ(waitpid(pid, &status, 0), pid);
	EXPECT_EQ(read(fds[0], parent_of_orphan, sizeof(parent_of_orphan)),
		  sizeof(parent_of_orphan));
	EXPECT(parent_of_orphan[1] != parent_of_orphan[0]);
	if (on_quire())
		EXPECT_EQ(parent_of_orphan[1], 1);
	EXPECT_ERRNO(wait(&status), ECHILD);
	close(fds[0]), close(fds[1]);
}

static volatile int vfork_shared;

static void vfork_shares_memory(void)
{
	pid_t pid;
	int status;

	vfork_shared = 1;
	pid = vfork();
	if (pid == 0) {
		vfork_shared = 2;
		sleep_ms(20);
		vfork_shared = 3;
		_exit(4);
	}
	EXPECT_EQ(vfork_shared, 3);
	EXPECT(waitpid(pid, &status, 0) == pid && status == 4 << 8);
	pid = vfork();
	if (pid == 0) {
		execl("/proc/self/exe", "process_test", "--exit-9", (char *)NULL);
		_exit(1);
	}
	EXPECT(waitpid(pid, &status, 0) == pid && status == 9 << 8);
	pid = vfork();
	if (pid == 0) {
		execl("/nowhere", "x", (char *)NULL);
		_exit(errno == ENOENT ? 6 : 7);
	}
	EXPECT(waitpid(pid, &status, 0) == pid && status == 6 << 8);
}

static void groups(void)
{
	int status;
	pid_t a = child_that_waits(), b = child_that_waits();

	EXPECT(setpgid(a, a) == 0);
	EXPECT(setpgid(b, a) == 0);
	EXPECT_EQ(getpgid(b), a);
	EXPECT_EQ(getpgid(a), a);
	EXPECT_EQ(getpgid(0), getpgrp());
	EXPECT_ERRNO(setpgid(a, -1), EINVAL);
	EXPECT_ERRNO(setpgid(999999, 0), ESRCH);
	EXPECT_ERRNO(getpgid(999999), ESRCH);
	EXPECT_ERRNO(setpgid(a, 999999), EPERM);
	EXPECT_EQ(waitpid(-a, &status, WNOHANG), 0);
	EXPECT(killpg(a, SIGTERM) == 0);
	EXPECT(waitpid(-a, &status, 0) > 0 && WIFSIGNALED(status));
	EXPECT(waitpid(-a, &status, 0) > 0 && WTERMSIG(status) == SIGTERM);
	EXPECT_ERRNO(killpg(a, 0), ESRCH);
}

static void sessions_child(void)
{
	pid_t pid = getpid();

	EXPECT_EQ(setsid(), pid);
	EXPECT_EQ(getsid(0), pid);
	EXPECT_EQ(getpgrp(), pid);
	EXPECT_ERRNO(setsid(), EPERM);
	EXPECT_ERRNO(setpgid(0, 0), EPERM);
	EXPECT_ERRNO(open("/dev/tty", O_RDWR), ENXIO);
}

static void sessions(void)
{
	IN_CHILD(sessions_child);
	EXPECT(getsid(0) >= 0); /* 0: its leader is in another PID namespace */
}

static void names_and_masks(void)
{
	char name[32] = { 0 };
	struct sched_param parameter = { 0 };
	cpu_set_t cpus;

	EXPECT(prctl(PR_SET_NAME, "a-name-that-is-too-long") == 0);
	EXPECT(prctl(PR_GET_NAME, name) == 0);
	EXPECT(!strcmp(name, "a-name-that-is-"));
	CPU_ZERO(&cpus);
	EXPECT(sched_getaffinity(0, sizeof(cpus), &cpus) == 0 && CPU_COUNT(&cpus) >= 1);
	EXPECT(sched_setaffinity(0, sizeof(cpus), &cpus) == 0);
	CPU_ZERO(&cpus);
	EXPECT_ERRNO(sched_setaffinity(0, sizeof(cpus), &cpus), EINVAL);
	EXPECT_ERRNO(syscall(SYS_sched_getaffinity, 0, 1, &cpus), EINVAL);
	EXPECT(syscall(SYS_sched_getparam, 0, &parameter) == 0 || errno == ENOSYS);
	EXPECT_EQ(sched_yield(), 0);
	umask(027);
	EXPECT_EQ(umask(022), 027);
}

static void file_positions_are_shared(void)
{
	int fd = temp_file(100), status;
	pid_t pid;

	pid = fork();
	if (pid == 0)
		_exit(lseek(fd, 42, SEEK_SET) != 42 || close(fd) != 0);
	EXPECT(waitpid(pid, &status, 0) == pid && status == 0);
	EXPECT_EQ(lseek(fd, 0, SEEK_CUR), 42);
	close(fd);
}

static void children_pay_their_own_time(void)
{
	struct rusage before, after;

	getrusage(RUSAGE_CHILDREN, &before);
	pid_t pid = fork();

	if (pid == 0) {
		char *at = anon_pages(100);

		for (size_t i = 0; i < 100; i++)
			at[i * PAGE] = 1;
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	getrusage(RUSAGE_CHILDREN, &after);
	EXPECT(after.ru_minflt - before.ru_minflt >= 100 || on_quire());
	EXPECT(after.ru_minflt > before.ru_minflt);
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "--exit-9"))
		return 9;
	RUN(exit_codes);
	RUN(identities);
	RUN(zombies);
	RUN(waiting_options);
	RUN(many_children);
	RUN(orphans);
	RUN(vfork_shares_memory);
	RUN(groups);
	RUN(sessions);
	RUN(names_and_masks);
	RUN(file_positions_are_shared);
	RUN(children_pay_their_own_time);
	return test_end();
}
