/* SPDX-License-Identifier: MIT */
/*
 * tty_test.c - the terminal's calls. On Quire the console is the terminal; on Linux a
 * pseudo-terminal stands in for it, whose other end also types (line editing, ^C, ^Z).
 */
#include "tests/user/test.h"
#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>

static int tty = -1, keyboard = -1; /* keyboard: the pseudo-terminal's other end, or -1 */
static char tty_path[64] = "/dev/console";

static void open_terminal(void)
{
	if (!on_quire()) {
		keyboard = posix_openpt(O_RDWR | O_NOCTTY);
		if (keyboard < 0 || grantpt(keyboard) || unlockpt(keyboard) ||
		    ptsname_r(keyboard, tty_path, sizeof(tty_path)))
			test_skip("no pseudo-terminal");
	}
	tty = open(tty_path, O_RDWR | O_NOCTTY);
	if (tty < 0 || !isatty(tty))
		test_skip("no terminal");
}

static void attributes(void)
{
	struct termios before, now;

	REQUIRE(tcgetattr(tty, &before) == 0);
	EXPECT(before.c_lflag & ICANON);
	EXPECT(before.c_lflag & ISIG);
	EXPECT(before.c_lflag & ECHO);
	EXPECT_EQ(before.c_cc[VINTR], 3);
	EXPECT_EQ(before.c_cc[VSUSP], 26);
	EXPECT_EQ(before.c_cc[VEOF], 4);
	now = before;
	now.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	now.c_cc[VMIN] = 0;
	now.c_cc[VTIME] = 1;
	EXPECT(tcsetattr(tty, TCSANOW, &now) == 0);
	memset(&now, 0, sizeof(now));
	EXPECT(tcgetattr(tty, &now) == 0);
	EXPECT(!(now.c_lflag & ICANON) && now.c_cc[VMIN] == 0 && now.c_cc[VTIME] == 1);
	char byte;

	EXPECT_EQ(read(tty, &byte, 1), 0); /* a tenth of a second, nothing typed */
	EXPECT(tcsetattr(tty, TCSADRAIN, &before) == 0);
	EXPECT(tcgetattr(tty, &now) == 0 && now.c_lflag == before.c_lflag);
	EXPECT(tcflush(tty, TCIFLUSH) == 0);
	EXPECT_ERRNO(ioctl(tty, TCGETS, (void *)8), EFAULT);
	EXPECT_ERRNO(ioctl(tty, 0x5499, 0), ENOTTY);
	int fd = temp_file(1);

	EXPECT_ERRNO(tcgetattr(fd, &now), ENOTTY);
	EXPECT(!isatty(fd));
	close(fd);
}

static void window_size(void)
{
	struct winsize size = { 0 }, other = { .ws_row = 33, .ws_col = 99 };

	EXPECT(ioctl(tty, TIOCGWINSZ, &size) == 0);
	EXPECT(ioctl(tty, TIOCSWINSZ, &other) == 0);
	EXPECT(ioctl(tty, TIOCGWINSZ, &other) == 0);
	EXPECT(other.ws_row == 33 && other.ws_col == 99);
	EXPECT(ioctl(tty, TIOCSWINSZ, &size) == 0);
}

static void writing(void)
{
	struct stat st;

	EXPECT_EQ(write(tty, "# written to the terminal\n", 26), 26);
	EXPECT_EQ(write(tty, "", 0), 0);
	EXPECT(fstat(tty, &st) == 0 && S_ISCHR(st.st_mode));
	EXPECT_ERRNO(lseek(tty, 0, SEEK_SET), ESPIPE);
	EXPECT_ERRNO(write(tty, (void *)8, 5), EFAULT);
	struct pollfd watched = { .fd = tty, .events = POLLIN | POLLOUT };

	EXPECT_EQ(poll(&watched, 1, 0), 1);
	EXPECT_EQ(watched.revents, POLLOUT);
	char byte;

	EXPECT(fcntl(tty, F_SETFL, O_NONBLOCK) == 0);
	EXPECT_ERRNO(read(tty, &byte, 1), EAGAIN);
	EXPECT(fcntl(tty, F_SETFL, 0) == 0);
}

/* Job control, in a session of its own whose terminal this becomes. */
static void session_child(void)
{
	int status, fd;
	pid_t pid;

	EXPECT(setsid() > 0);
	EXPECT_ERRNO(tcgetpgrp(tty), ENOTTY);
	REQUIRE(ioctl(tty, TIOCSCTTY, 0) == 0);
	EXPECT_EQ(tcgetpgrp(tty), getpgrp());
	EXPECT_EQ(tcgetsid(tty), getsid(0));
	fd = open("/dev/tty", O_RDWR);
	EXPECT(fd >= 0 && isatty(fd));
	close(fd);
	pid = fork();
	if (pid == 0) {
		setpgid(0, 0);
		/* in the background now: reading stops it, and so does changing the terminal */
		char byte;

		read(tty, &byte, 1);
		_exit(1);
	}
	setpgid(pid, pid);
	EXPECT(waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status) &&
	       WSTOPSIG(status) == SIGTTIN);
	EXPECT(tcsetpgrp(tty, pid) == 0);
	EXPECT_EQ(tcgetpgrp(tty), pid);
	signal(SIGTTOU, SIG_IGN);
	EXPECT(tcsetpgrp(tty, getpgrp()) == 0);
	signal(SIGTTOU, SIG_DFL);
	EXPECT_ERRNO(tcsetpgrp(tty, 999999), ESRCH);
	kill(pid, SIGKILL);
	EXPECT_EQ(waitpid(pid, &status, 0), pid);
	pid = fork();
	if (pid == 0) {
		struct termios t;

		setpgid(0, 0);
		tcgetattr(tty, &t);
		tcsetattr(tty, TCSANOW, &t);
		_exit(1);
	}
	EXPECT(waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status) &&
	       WSTOPSIG(status) == SIGTTOU);
	kill(pid, SIGKILL);
	EXPECT_EQ(waitpid(pid, &status, 0), pid);
}

static void session(void)
{
	IN_CHILD(session_child);
}

static void type(const char *keys)
{
	REQUIRE(write(keyboard, keys, strlen(keys)) == (ssize_t)strlen(keys));
}

static void typing_child(void)
{
	char line[64] = { 0 };
	int status;
	pid_t pid;

	setsid();
	REQUIRE(ioctl(tty, TIOCSCTTY, 0) == 0);
	type("helloo\177 world\r");
	EXPECT_EQ(read(tty, line, sizeof(line)), 12);
	EXPECT(!memcmp(line, "hello world\n", 12));
	type("gone\025kept\n\004");
	EXPECT_EQ(read(tty, line, sizeof(line)), 5);
	EXPECT(!memcmp(line, "kept\n", 5));
	EXPECT_EQ(read(tty, line, sizeof(line)), 0);
	static const struct {
		const char *key;
		int sig;
	} keys[] = { { "\003", SIGINT }, { "\034", SIGQUIT }, { "\032", SIGTSTP } };

	for (size_t i = 0; i < 3; i++) {
		pid = fork();
		if (pid == 0) {
			setpgid(0, 0);
			signal(SIGTTOU, SIG_IGN);
			tcsetpgrp(tty, getpgrp());
			type(keys[i].key);
			for (;;)
				pause();
		}
		EXPECT_EQ(waitpid(pid, &status, WUNTRACED), pid);
		EXPECT((WIFSIGNALED(status) && WTERMSIG(status) == keys[i].sig) ||
		       (WIFSTOPPED(status) && WSTOPSIG(status) == keys[i].sig));
		if (WIFSTOPPED(status)) {
			kill(pid, SIGKILL);
			waitpid(pid, &status, 0);
		}
		signal(SIGTTOU, SIG_IGN);
		tcsetpgrp(tty, getpgrp());
	}
}

static void typing(void)
{
	if (keyboard < 0)
		printf("# nobody types here\n");
	else
		IN_CHILD(typing_child);
}

int main(void)
{
	open_terminal();
	RUN(attributes);
	RUN(window_size);
	RUN(writing);
	RUN(session);
	RUN(typing);
	return test_end();
}
