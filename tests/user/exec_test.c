/* SPDX-License-Identifier: MIT */
/*
 * exec_test.c - a process becomes another program: what it is given, what it keeps, what it
 * loses, and every way of being refused. The program executed is this one, with an option.
 */
#include "tests/user/test.h"
#include <elf.h>
#include <sys/auxv.h>
#include <sys/prctl.h>

extern char **environ;
static char self[512];

/* What the new program finds; each returns its exit status. */
static int show_arguments(int argc, char **argv)
{
	if (argc != 5 || strcmp(argv[2], "one") || strcmp(argv[3], "") ||
	    strcmp(argv[4], "three words here"))
		return 1;
	if (!getenv("COLOUR") || strcmp(getenv("COLOUR"), "blue") || getenv("PATH"))
		return 2;
	if (!environ[0] || !environ[1] || environ[2])
		return 3;
	if (getauxval(AT_PAGESZ) != PAGE || !getauxval(AT_PHDR) || !getauxval(AT_PHNUM) ||
	    !getauxval(AT_ENTRY) || !getauxval(AT_RANDOM))
		return 4;
	if ((uintptr_t)__builtin_frame_address(0) % 16)
		return 5;
	const unsigned char *random = (const unsigned char *)getauxval(AT_RANDOM);
	unsigned sum = 0;

	for (int i = 0; i < 16; i++)
		sum += random[i];
	return sum ? 0 : 6;
}

static int show_big(int argc, char **argv)
{
	size_t total = 0;

	for (int i = 2; i < argc; i++)
		total += strlen(argv[i]);
	return total == 10 * 100000 ? 0 : 1;
}

static int show_kept(char **argv)
{
	sigset_t set;
	struct sigaction action;
	char name[32];

	if (fcntl(atoi(argv[2]), F_GETFD) != -1 || fcntl(atoi(argv[3]), F_GETFD) != 0)
		return 1;
	sigprocmask(SIG_BLOCK, NULL, &set);
	if (!sigismember(&set, SIGUSR2) || sigismember(&set, SIGTERM))
		return 2;
	sigaction(SIGUSR1, NULL, &action);
	if (action.sa_handler != SIG_DFL)
		return 3;
	sigaction(SIGHUP, NULL, &action);
	if (action.sa_handler != SIG_IGN)
		return 4;
	stack_t stack;

	sigaltstack(NULL, &stack);
	if (!(stack.ss_flags & SS_DISABLE))
		return 5;
	if (getpid() != atoi(argv[4]))
		return 6;
	prctl(PR_GET_NAME, name);
	return alarm(0) == 0 ? 7 : 0;
}

static int run(char *const argv[], char *const envp[])
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		execve(self, argv, envp);
		_exit(100);
	}
	return waitpid(pid, &status, 0) == pid ? status : -1;
}

static void arguments_and_environment(void)
{
	char *argv[] = { "exec_test", "--arguments", "one", "", "three words here", NULL };
	char *envp[] = { "COLOUR=blue", "EMPTY=", NULL };

	EXPECT_EQ(run(argv, envp), 0);
}

static void large_arguments(void)
{
	char *argv[13] = { "exec_test", "--big" }, *huge = malloc(200000), *block = malloc(100001);
	char *many[80];

	REQUIRE(huge && block);
	memset(block, 'b', 100000);
	block[100000] = 0;
	for (int i = 2; i < 12; i++)
		argv[i] = block;
	EXPECT_EQ(run(argv, environ), 0);
	memset(huge, 'h', 199999);
	huge[199999] = 0;
	argv[2] = huge;
	EXPECT_ERRNO(execve(self, argv, environ), E2BIG);
	many[0] = "exec_test";
	many[1] = "--big";
	for (int i = 2; i < 79; i++)
		many[i] = block;
	many[79] = NULL;
	EXPECT_ERRNO(execve(self, many, environ), E2BIG);
	free(huge), free(block);
}

static void noop(int sig)
{
	(void)sig;
}

static void kept_and_lost(void)
{
	int closed = open("/dev/null", O_RDONLY | O_CLOEXEC), kept = open("/dev/null", O_RDONLY),
	    status;
	char a[16], b[16], c[16], *argv[] = { "exec_test", "--kept", a, b, c, NULL };
	static char alternate[16384];
	pid_t pid;

	snprintf(a, sizeof(a), "%d", closed);
	snprintf(b, sizeof(b), "%d", kept);
	pid = fork();
	if (pid == 0) {
		stack_t stack = { .ss_sp = alternate, .ss_size = sizeof(alternate) };
		sigset_t set;

		sigemptyset(&set);
		sigaddset(&set, SIGUSR2);
		sigprocmask(SIG_SETMASK, &set, NULL);
		signal(SIGUSR1, noop);
		signal(SIGHUP, SIG_IGN);
		sigaltstack(&stack, NULL);
		alarm(50);
		snprintf(c, sizeof(c), "%d", getpid());
		execve(self, argv, environ);
		_exit(100);
	}
	EXPECT(waitpid(pid, &status, 0) == pid);
	EXPECT_EQ(status, 0);
	close(closed), close(kept);
}

static void make_file(const char *path, const char *text, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0700);

	REQUIRE(fd >= 0);
	REQUIRE(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
	REQUIRE(chmod(path, mode) == 0);
}

static void refusals(void)
{
	char *argv[] = { "x", NULL }, long_path[5000];

	make_file("/tmp/exec_test.txt", "just text\n", 0700);
	EXPECT_ERRNO(execve("/tmp/exec_test.txt", argv, environ), ENOEXEC);
	make_file("/tmp/exec_test.txt", "", 0700);
	EXPECT_ERRNO(execve("/tmp/exec_test.txt", argv, environ), ENOEXEC);
	make_file("/tmp/exec_test.txt", "#!/nowhere/at/all\n", 0700);
	EXPECT_ERRNO(execve("/tmp/exec_test.txt", argv, environ), ENOENT);
	make_file("/tmp/exec_test.txt", "#!\n", 0700);
	EXPECT_ERRNO(execve("/tmp/exec_test.txt", argv, environ), ENOEXEC);
	make_file("/tmp/exec_test.txt", "#!/bin/sh\n", 0600);
	EXPECT_ERRNO(execve("/tmp/exec_test.txt", argv, environ), EACCES);
	EXPECT_ERRNO(execve("/tmp", argv, environ), EACCES);
	EXPECT_ERRNO(execve("/nowhere", argv, environ), ENOENT);
	EXPECT_ERRNO(execve("", argv, environ), ENOENT);
	EXPECT_ERRNO(execve("/tmp/exec_test.txt/x", argv, environ), ENOTDIR);
	EXPECT_ERRNO(syscall(SYS_execve, NULL, argv, environ), EFAULT);
	EXPECT_ERRNO(syscall(SYS_execve, self, (char **)8, environ), EFAULT);
	EXPECT_ERRNO(syscall(SYS_execve, self, argv, (char **)0xffff800000000000UL), EFAULT);
	argv[0] = (char *)16;
	EXPECT_ERRNO(syscall(SYS_execve, self, argv, environ), EFAULT);
	memset(long_path, 'a', sizeof(long_path));
	long_path[4999] = 0;
	argv[0] = "x";
	EXPECT_ERRNO(execve(long_path, argv, environ), ENAMETOOLONG);
	unlink("/tmp/exec_test.txt");
}

static int script_status(const char *text, char *const argv[])
{
	int status;
	pid_t pid;

	make_file("/tmp/exec_test.script", text, 0700);
	pid = fork();
	if (pid == 0) {
		execve("/tmp/exec_test.script", argv, environ);
		_exit(errno == ELOOP ? 101 : 100);
	}
	waitpid(pid, &status, 0);
	unlink("/tmp/exec_test.script");
	return status;
}

static void scripts(void)
{
	char *argv[] = { "ignored", "first", "second", NULL }, text[700];

	snprintf(text, sizeof(text), "#!%s --script\nanything\n", self);
	EXPECT_EQ(script_status(text, argv), 0);
	snprintf(text, sizeof(text), "#! \t %s   --script  two \t\n", self);
	EXPECT_EQ(script_status(text, argv), 22 << 8);
	snprintf(text, sizeof(text), "#!%s", self);
	EXPECT_EQ(script_status(text, argv), 23 << 8);
	make_file("/tmp/exec_test.inner", text, 0700);
	EXPECT_EQ(script_status("#!/tmp/exec_test.inner --script\n", argv), 23 << 8);
	unlink("/tmp/exec_test.inner");
	EXPECT_EQ(script_status("#!/tmp/exec_test.script\n", argv), 101 << 8);
}

/* The interpreter's view of the calls above. */
static int be_script(int argc, char **argv)
{
	if (argc == 5 && !strcmp(argv[1], "--script"))
		return strcmp(argv[2], "/tmp/exec_test.script") || strcmp(argv[3], "first") ||
		       strcmp(argv[4], "second");
	return 99;
}

static void empty_argv_child(void)
{
	char *argv[] = { NULL };

	/* Linux since 5.18 gives such a program one empty argument; 44 says so */
	execve(self, argv, environ);
	EXPECT_EQ(errno, EINVAL);
	_exit(44);
}

static void empty_argv(void)
{
	EXPECT_EQ(in_child(empty_argv_child), 44 << 8);
}

static void many_times(void)
{
	char count[16] = "100", *argv[] = { "exec_test", "--again", count, NULL };

	EXPECT_EQ(run(argv, environ), 55 << 8);
}

static void deleted_program(void)
{
	char path[] = "/tmp/exec_test.copy", buffer[4096],
	     *argv[] = { "exec_test", "--again", "0", NULL };
	int from = open(self, O_RDONLY),
	    to = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0700), status;
	ssize_t got;
	pid_t pid;

	REQUIRE(from >= 0 && to >= 0);
	while ((got = read(from, buffer, sizeof(buffer))) > 0)
		REQUIRE(write(to, buffer, (size_t)got) == got);
	close(from), close(to);
	pid = vfork(); /* so that the program has begun when its file goes */
	if (pid == 0) {
		execve(path, argv, environ);
		_exit(100);
	}
	EXPECT(unlink(path) == 0);
	waitpid(pid, &status, 0);
	EXPECT_EQ(status, 55 << 8);
}

int main(int argc, char **argv)
{
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);

	REQUIRE(len > 0);
	if (argc <= 1 && argv[0] && !argv[0][0])
		return 44;
	if (argc > 1 && !strcmp(argv[1], "--arguments"))
		return show_arguments(argc, argv);
	if (argc > 1 && !strcmp(argv[1], "--big"))
		return show_big(argc, argv);
	if (argc == 5 && !strcmp(argv[1], "--kept"))
		return show_kept(argv);
	if (argc > 1 && !strcmp(argv[1], "--script"))
		return be_script(argc, argv);
	if (argc > 1 && !strcmp(argv[1], "--script  two"))
		return argc == 5 ? 22 : 98;
	if (argc > 1 &&
	    (!strcmp(argv[1], "/tmp/exec_test.script") || !strcmp(argv[1], "/tmp/exec_test.inner")))
		return 23;
	if (argc == 3 && !strcmp(argv[1], "--again")) {
		int left = atoi(argv[2]);
		char next[16], *again[] = { "exec_test", "--again", next, NULL };

		snprintf(next, sizeof(next), "%d", left - 1);
		if (left > 0)
			execve(self, again, environ);
		return 55;
	}
	RUN(arguments_and_environment);
	RUN(large_arguments);
	RUN(kept_and_lost);
	RUN(refusals);
	RUN(scripts);
	RUN(empty_argv);
	RUN(many_times);
	RUN(deleted_program);
	return test_end();
}
