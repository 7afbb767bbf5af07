/* SPDX-License-Identifier: MIT */
/*
 * shells.c - storms of fork and exec, as a shell script or a build makes them.
 *
 * Starts N children, P at a time, each of which executes a small program (this one, with
 * the argument --leaf, or the same linked otherwise: -x) or /bin/sh, and collects their
 * exit statuses, each of which must be the one that was asked for. Reported: ticks and
 * faults per child.
 */
#include "user/quire.h"

#define MAX_PARALLEL 64

static const char *const modes[] = { "exec", "vfork", "fork", "sh", NULL };

static void usage(void)
{
	fputs("usage: shells [-j] [-n N] [-p PARALLEL] [-m MODE] [-x FILE]\n"
	      "  N children (100), PARALLEL (1) at a time, at most 64.\n"
	      "  exec   fork, exec of a small static program (default)\n"
	      "  vfork  vfork, exec of it\n"
	      "  fork   fork, exit\n"
	      "  sh     fork, exec of /bin/sh -c 'exit STATUS'\n"
	      "  -x: what exec and vfork execute: this program, if dynamically linked: /disk/bin/shells\n",
	      stdout);
}

/* In the child: run the program that exits with status. */
static void become(int mode, const char *self, int status)
{
	char word[32];

	if (mode == 2)
		_exit(status);
	snprintf(word, sizeof(word), mode == 3 ? "exit %d" : "%d", status);
	if (mode == 3)
		execl("/bin/sh", "sh", "-c", word, (char *)NULL);
	else
		execl(self, self, "--leaf", word, (char *)NULL);
	_exit(127);
}

static pid_t start_child(int mode, const char *self, int status)
{
	pid_t pid = mode == 1 ? vfork() : fork();

	if (pid < 0)
		die(errno, "fork");
	if (pid == 0)
		become(mode, self, status);
	return pid;
}

int main(int argc, char **argv)
{
	static struct {
		pid_t pid;
		int status;
	} running[MAX_PARALLEL];
	static const struct option options[] = {
		{ "mode", required_argument, NULL, 'm' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	uint64_t n = 100, parallel = 1, started = 0, ended = 0, ticks;
	struct rusage ru;
	int option, mode = 0;
	const char *file = NULL;
	char self[512];
	ssize_t len;

	prog = "shells";
	if (argc == 3 && !strcmp(argv[1], "--leaf"))
		return atoi(argv[2]);
	while ((option = long_option(argc, argv, "jn:p:m:x:h", options)) != -1) {
		switch (option) {
		case 'j': rows_json = true; break;
		case 'n': n = parse_number("count", optarg, 1, 10000000); break;
		case 'p': parallel = parse_number("parallel", optarg, 1, MAX_PARALLEL); break;
		case 'x': file = optarg; break;
		case 'm': mode = parse_choice("mode", optarg, modes); break;
		case 'h': usage(); return 0;
		}
	}
	no_more_words(optind, argc, argv);
	len = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (len > 0)
		self[len] = 0;
	else
		snprintf(self, sizeof(self), "%s", strchr(argv[0], '/') ? argv[0] : "/bin/shells");
	ticks = cycles();
	while (ended < n) {
		int status;
		pid_t pid;

		for (size_t i = 0; i < parallel && started < n; i++) {
			if (running[i].pid)
				continue;
			running[i].status = (int)(started % 100);
			running[i].pid = start_child(mode, file ? file : self, running[i].status);
			started++;
		}
		pid = wait(&status);
		if (pid < 0)
			die(errno, "wait");
		for (size_t i = 0; i < parallel; i++) {
			if (running[i].pid != pid)
				continue;
			check(WIFEXITED(status) && WEXITSTATUS(status) == running[i].status,
			      "a child ended with %#x, not %d", status, running[i].status);
			running[i].pid = 0;
			ended++;
		}
	}
	ticks = cycles() - ticks;
	getrusage(RUSAGE_CHILDREN, &ru);
	row_word("mode", modes[mode]);
	row("children", n);
	row_ratio("ticks_per_child", ticks, n);
	row_ratio("faults_per_child", (uint64_t)ru.ru_minflt, n);
	rows_end();
	return 0;
}
