/* SPDX-License-Identifier: MIT */
/*
 * job_test.c - process groups and sessions: who may move whom, who gets a signal to a group, what
 * becomes of orphaned groups; stopping and going on, and what the parent is told.
 */
#include "tests/user/test.h"
#include <sched.h>

static void idle_forever(void)
{
	for (;;)
		pause();
}

static pid_t idle_child(void)
{
	pid_t pid = fork();

	if (pid == 0)
		idle_forever();
	return pid;
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void groups_child(void)
{
	pid_t a = idle_child(), b = idle_child(), c;
	int fds[2];
	char byte;

	EXPECT_EQ(getpgid(a), getpgrp());
	EXPECT_EQ(getsid(a), getsid(0));
	EXPECT(setpgid(a, a) == 0);
	EXPECT_EQ(getpgid(a), a);
	EXPECT(setpgid(b, a) == 0);
	EXPECT_EQ(getpgid(b), a);
	EXPECT(setpgid(b, 0) == 0);
	EXPECT_EQ(getpgid(b), b);
	EXPECT_ERRNO(setpgid(a, 999999), EPERM);
	EXPECT_ERRNO(setpgid(999999, a), ESRCH);
	EXPECT_ERRNO(setpgid(getppid(), 0), ESRCH);
	EXPECT_ERRNO(setpgid(a, -1), EINVAL);
	EXPECT_ERRNO(getpgid(999999), ESRCH);
	EXPECT_ERRNO(getsid(999999), ESRCH);
	end(a), end(b);
	/* a session leader stays in its group; another session's is out of reach */
	REQUIRE(pipe(fds) == 0);
	c = fork();
	if (c == 0) {
		EXPECT(setsid() == getpid());
		EXPECT_EQ(getpgrp(), getpid());
		EXPECT_EQ(getsid(0), getpid());
		EXPECT_ERRNO(setpgid(0, 0), EPERM);
		EXPECT_ERRNO(setsid(), EPERM);
		EXPECT_ERRNO(open("/dev/tty", O_RDWR), ENXIO);
		write(fds[1], test_failures ? "n" : "y", 1);
		idle_forever();
	}
	EXPECT(read(fds[0], &byte, 1) == 1 && byte == 'y');
	EXPECT_ERRNO(setpgid(c, c), EPERM);
	end(c);
	/* once it has run another program, a child moves only itself */
	c = fork();
	if (c == 0) {
		fcntl(fds[1], F_SETFD, FD_CLOEXEC);
		execl("/proc/self/exe", "job_test", "idle", NULL);
		_exit(1);
	}
	close(fds[1]);
	EXPECT_EQ(read(fds[0], &byte, 1), 0);
	EXPECT_ERRNO(setpgid(c, c), EACCES);
	end(c);
	close(fds[0]);
}

static void groups(void)
{
	IN_CHILD(groups_child);
}

static void signals_to_groups_child(void)
{
	pid_t leader, others[3];
	int status;

	setpgid(0, 0);
	leader = idle_child();
	setpgid(leader, leader);
	for (int i = 0; i < 3; i++) {
		others[i] = idle_child();
		setpgid(others[i], leader);
	}
	EXPECT(kill(-leader, 0) == 0);
	EXPECT(kill(-leader, SIGTERM) == 0);
	for (int i = 0; i < 4; i++) {
		pid_t pid = waitpid(-leader, &status, 0);

		EXPECT(pid > 0 && WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
	}
	EXPECT_ERRNO(kill(-leader, 0), ESRCH);
	EXPECT_ERRNO(waitpid(-leader, &status, 0), ECHILD);
	/* 0 is one's own group */
	signal(SIGUSR1, SIG_IGN);
	others[0] = fork();
	if (others[0] == 0) {
		signal(SIGUSR1, SIG_DFL);
		kill(0, SIGUSR1);
		_exit(0);
	}
	EXPECT(waitpid(0, &status, 0) == others[0] && WIFSIGNALED(status));
}

static void signals_to_groups(void)
{
	IN_CHILD(signals_to_groups_child);
}

static void stop_and_go(void)
{
	pid_t pid = idle_child();
	siginfo_t info;
	int status;

	setpgid(pid, pid); /* a job: SIGTSTP does not stop an orphaned group */
	EXPECT_EQ(waitpid(pid, &status, WNOHANG | WUNTRACED | WCONTINUED), 0);
	for (int i = 0; i < 3; i++) {
		kill(pid, i ? SIGSTOP : SIGTSTP);
		EXPECT(waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status));
		EXPECT_EQ(WSTOPSIG(status), i ? SIGSTOP : SIGTSTP);
		EXPECT_EQ(waitpid(pid, &status, WUNTRACED | WNOHANG), 0); /* told once */
		kill(pid, SIGCONT);
		EXPECT(waitpid(pid, &status, WCONTINUED) == pid && WIFCONTINUED(status));
		EXPECT_EQ(waitpid(pid, &status, WCONTINUED | WNOHANG), 0);
	}
	kill(pid, SIGSTOP);
	EXPECT(waitid(P_PID, (id_t)pid, &info, WSTOPPED | WNOWAIT) == 0);
	EXPECT(info.si_pid == pid && info.si_code == CLD_STOPPED && info.si_status == SIGSTOP);
	EXPECT(waitid(P_PID, (id_t)pid, &info, WSTOPPED | WNOHANG) == 0 && info.si_pid == pid);
	/* what is sent to a stopped process waits, but for SIGKILL */
	kill(pid, SIGTERM);
	sleep_ms(10);
	EXPECT_EQ(waitpid(pid, &status, WNOHANG), 0);
	kill(pid, SIGCONT);
	EXPECT(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) &&
	       WTERMSIG(status) == SIGTERM);
	pid = idle_child();
	kill(pid, SIGSTOP);
	EXPECT_EQ(waitpid(pid, &status, WUNTRACED), pid);
	kill(pid, SIGKILL);
	EXPECT(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) &&
	       WTERMSIG(status) == SIGKILL);
}

static volatile int continued;

static void on_continue(int sig)
{
	(void)sig;
	continued++;
}

/* SIGCONT takes back stop signals that have not been obeyed yet, and the other way round. */
static void pending_stops(void)
{
	sigset_t set;
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		setpgid(0, 0);
		sigfillset(&set);
		signal(SIGCONT, on_continue);
		sigprocmask(SIG_SETMASK, &set, NULL);
		kill(getpid(), SIGTSTP);
		kill(getpid(), SIGCONT);
		sigpending(&set);
		EXPECT(!sigismember(&set, SIGTSTP) && sigismember(&set, SIGCONT));
		kill(getpid(), SIGTTIN);
		sigpending(&set);
		EXPECT(sigismember(&set, SIGTTIN) && !sigismember(&set, SIGCONT));
		kill(getpid(), SIGCONT);
		sigemptyset(&set);
		sigprocmask(SIG_SETMASK, &set, NULL);
		EXPECT_EQ(continued, 1);
		_exit(test_failures != 0);
	}
	EXPECT(waitpid(pid, &status, WUNTRACED) == pid && status == 0);
}

/* A stopped thread group stops whole, and all of it goes on. */
static volatile int turns[2];

static int spin(void *which)
{
	for (;;) {
		turns[*(int *)which]++;
		sched_yield();
	}
	return 0;
}

static void threads_stop_too(void)
{
	static char stack[16384];
	static int other = 1, self;
	int *shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int before, status;
	pid_t pid = fork();

	if (pid == 0) {
		clone(spin, stack + sizeof(stack),
		      CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD, &other);
		(void)self;
		for (;;) {
			*(volatile int *)shared = turns[1];
			sched_yield();
		}
	}
	sleep_ms(20);
	kill(pid, SIGSTOP);
	EXPECT_EQ(waitpid(pid, &status, WUNTRACED), pid);
	sleep_ms(5);
	before = *(volatile int *)shared;
	EXPECT(before > 0);
	sleep_ms(20);
	EXPECT_EQ(*(volatile int *)shared, before);
	kill(pid, SIGCONT);
	sleep_ms(50);
	EXPECT(*(volatile int *)shared > before);
	end(pid);
	munmap(shared, PAGE);
}

static void orphan_session(void)
{
	int fds[2];
	char got[8] = { 0 };
	pid_t middle;

	setsid();
	REQUIRE(pipe(fds) == 0);
	middle = fork();
	if (middle == 0) { /* the only tie between the job and the session */
		pid_t job = fork();

		if (job == 0) {
			sigset_t set;
			siginfo_t info;

			setpgid(0, 0);
			sigemptyset(&set);
			sigaddset(&set, SIGHUP), sigaddset(&set, SIGCONT);
			sigprocmask(SIG_BLOCK, &set, NULL);
			kill(getpid(), SIGSTOP);
			if (sigwaitinfo(&set, &info) == SIGHUP)
				write(fds[1], "h", 1);
			/* orphaned now: these do not stop any more */
			kill(getpid(), SIGTSTP);
			kill(getpid(), SIGTTIN);
			write(fds[1], "t", 1);
			_exit(0);
		}
		waitpid(job, NULL, WUNTRACED);
		_exit(0);
	}
	close(fds[1]);
	EXPECT_EQ(waitpid(middle, NULL, 0), middle);
	EXPECT_EQ(read(fds[0], got, 1), 1);
	EXPECT_EQ(read(fds[0], got + 1, 1), 1);
	EXPECT(!strcmp(got, "ht"));
	EXPECT_EQ(read(fds[0], got, 1), 0);
}

static void orphans(void)
{
	IN_CHILD(orphan_session);
}

static void no_stop_notice(void)
{
	struct sigaction action = { .sa_handler = on_continue, .sa_flags = SA_NOCLDSTOP };
	pid_t pid;
	int status;

	continued = 0;
	sigaction(SIGCHLD, &action, NULL);
	pid = idle_child();
	kill(pid, SIGSTOP);
	EXPECT_EQ(waitpid(pid, &status, WUNTRACED), pid);
	kill(pid, SIGCONT);
	EXPECT_EQ(waitpid(pid, &status, WCONTINUED), pid);
	EXPECT_EQ(continued, 0);
	end(pid);
	EXPECT_EQ(continued, 1);
	action.sa_flags = SA_NOCLDWAIT;
	sigaction(SIGCHLD, &action, NULL);
	pid = idle_child();
	kill(pid, SIGKILL);
	EXPECT_ERRNO(waitpid(pid, &status, 0), ECHILD);
	EXPECT_EQ(continued, 2);
	signal(SIGCHLD, SIG_DFL);
}

/* A group that has long been an orphan, one of its members stopped: another's end is no news to it. */
static void orphans_stay_as_they_are(void)
{
	pid_t leader = fork(), stopped, brief;
	int status;

	if (leader == 0) {
		setsid();
		stopped = fork();
		if (stopped == 0) {
			raise(SIGSTOP);
			_exit(0);
		}
		if (waitpid(stopped, &status, WUNTRACED) != stopped || !WIFSTOPPED(status))
			_exit(1);
		brief = fork();
		if (brief == 0)
			_exit(0);
		if (waitpid(brief, &status, 0) != brief || waitpid(stopped, &status, WNOHANG))
			_exit(2);
		kill(stopped, SIGKILL);
		_exit(waitpid(stopped, &status, 0) == stopped && WTERMSIG(status) == SIGKILL ? 0 : 3);
	}
	EXPECT(waitpid(leader, &status, 0) == leader);
	EXPECT_EQ(status, 0);
}

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "idle"))
		idle_forever();
	RUN(groups);
	RUN(signals_to_groups);
	RUN(stop_and_go);
	RUN(pending_stops);
	RUN(threads_stop_too);
	RUN(orphans);
	RUN(no_stop_notice);
	RUN(orphans_stay_as_they_are);
	return test_end();
}
