/* SPDX-License-Identifier: MIT */
/*
 * perf.c - `perf stat PROG ARG...`: what the kernel's counters moved by while PROG
 * and its children ran.
 *
 * The child enters a fresh counter domain (writes "new" to /proc/self/counters);
 * the parent opens /proc/CHILD/counters, lets the child execute PROG, waits for it,
 * and reads the file, which stays readable after the process has gone. The table
 * goes to standard output after the program's own output; -j gives one JSON object
 * on one line, -x a CSV with the given separator, both with every counter, the
 * table only those that moved. On a kernel without the file, getrusage is all
 * there is. Exit status: the program's; 128 + signal; 126, 127 when it cannot run.
 */
#include "user/quire.h"
#include "user/counters.h"
#include <signal.h>

enum format { TABLE,
	      JSON,
	      CSV };

/* Figures worth having per something: shown when both counters exist and moved. */
static const struct {
	const char *label, *of, *per;
} derived[] = {
	{ "ticks per fault", "ticks", "pgfault" },
	{ "page-table entries set per fault", "pt_set", "pgfault" },
	{ "walks per fault", "pt_walk", "pgfault" },
	{ "entries given ahead per window", "around_mapped", "around_windows" },
	{ "entries copied per fork", "fork_ptes", "fork_spaces" },
	{ "single-page flushes per batch", "nr_tlb_local_flush_one", "tlb_batches" },
};

static void usage(void)
{
	fputs("usage: perf stat [-j | -x,] [-o FILE] PROG [ARG...]\n"
	      "  Run PROG and print what the kernel's counters moved by.\n"
	      "  -j      one JSON object on one line\n"
	      "  -x SEP  one line per counter: value SEP name\n"
	      "  -o FILE write there instead of to standard output\n",
	      stdout);
}

/* In the child: enter a new domain, tell the parent, wait for its word, become PROG. */
static void run_program(char **argv, int say, int hear)
{
	int fd = open("/proc/self/counters", O_WRONLY | O_CLOEXEC);
	char ok = fd >= 0 && write(fd, "new", 3) == 3;

	if (write(say, &ok, 1) != 1 || read(hear, &ok, 1) != 1)
		_exit(126);
	if (fd >= 0)
		close(fd);
	signal(SIGINT, SIG_DFL);
	signal(SIGQUIT, SIG_DFL);
	execvp(argv[0], argv);
	fprintf(stderr, "perf: %s: %s\n", argv[0], strerror(errno));
	_exit(errno == ENOENT ? 127 : 126);
}

/* What Linux can say: the rows of getrusage, under the kernel's own names. */
static char *rusage_text(const struct rusage *ru, uint64_t ticks)
{
	char *text;
	int len = asprintf(&text,
			   "ticks %llu # of the time-stamp counter: with --icount, instructions\n"
			   "pgfault %ld # page faults\n"
			   "pgmajfault %ld # page faults that waited for a device\n",
			   (unsigned long long)ticks, ru->ru_minflt + ru->ru_majflt, ru->ru_majflt);

	if (len < 0)
		die(0, "out of memory");
	return text;
}

/* Everything readable from fd, from its start, as a string. */
static char *read_open_file(int fd)
{
	size_t room = 64 * KIB, have = 0;
	char *text = malloc(room);
	ssize_t got;

	if (!text)
		die(0, "out of memory");
	while (have + 1 < room && (got = pread(fd, text + have, room - 1 - have, (off_t)have)) > 0)
		have += (size_t)got;
	text[have] = 0;
	return text;
}

static void print_table(FILE *to, const struct counters *all, char **argv, int status)
{
	fputs("\n Counters moved by '", to);
	for (int i = 0; argv[i]; i++)
		fprintf(to, "%s%s", i ? " " : "", argv[i]);
	fprintf(to, "' (exit status %d):\n", status);
	for (size_t g = 0; g < COUNTER_GROUPS; g++) {
		bool titled = false;

		for (size_t i = 0; i < all->count; i++) {
			const struct counter *c = &all->list[i];

			if (!c->value || counter_group(c->name) != g)
				continue;
			if (!titled)
				fprintf(to, "\n %s\n", counter_groups[g].title);
			titled = true;
			fprintf(to, " %16llu  %-26s %s%s\n", (unsigned long long)c->value, c->name,
				*c->meaning ? "# " : "", c->meaning);
		}
	}
	bool titled = false;

	for (size_t i = 0; i < sizeof(derived) / sizeof(derived[0]); i++) {
		uint64_t of = counter_value(all, derived[i].of);
		uint64_t per = counter_value(all, derived[i].per);

		if (!of || !per)
			continue;
		if (!titled)
			fputs("\n derived\n", to);
		titled = true;
		fprintf(to, " %14llu.%llu  %s\n", (unsigned long long)(of / per),
			(unsigned long long)(of % per * 10 / per), derived[i].label);
	}
	fputc('\n', to);
}

static void put_json_string(FILE *to, const char *text)
{
	fputc('"', to);
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			fprintf(to, "\\%c", *text);
		else if ((unsigned char)*text < 0x20)
			fprintf(to, "\\u%04x", *text);
		else
			fputc(*text, to);
	}
	fputc('"', to);
}

static void print_json(FILE *to, const struct counters *all, char **argv, int status)
{
	fputs("{\"command\":[", to);
	for (int i = 0; argv[i]; i++) {
		if (i)
			fputc(',', to);
		put_json_string(to, argv[i]);
	}
	fprintf(to, "],\"status\":%d", status);
	for (size_t i = 0; i < all->count; i++) {
		fputc(',', to);
		put_json_string(to, all->list[i].name);
		fprintf(to, ":%llu", (unsigned long long)all->list[i].value);
	}
	fputs("}\n", to);
}

int main(int argc, char **argv)
{
	enum format format = TABLE;
	const char *separator = ",";
	FILE *to = stdout;
	int option, say[2], hear[2], fd, status, code;
	char own_domain = 0, path[64];

	prog = "perf";
	if (argc > 1 && (!strcmp(argv[1], "-h") || !strcmp(argv[1], "--help"))) {
		usage();
		return 0;
	}
	if (argc < 2)
		refuse("no command:", "perf stat PROG");
	if (strcmp(argv[1], "stat"))
		refuse("only `stat` is here, not", argv[1]);
	argc--, argv++;
	while ((option = next_option(argc, argv, "+jx:o:h")) != -1) {
		switch (option) {
		case 'j': format = JSON; break;
		case 'x':
			format = CSV;
			separator = optarg;
			break;
		case 'o':
			to = fopen(optarg, "we");
			if (!to)
				die(errno, "%s", optarg);
			break;
		case 'h': usage(); return 0;
		}
	}
	if (optind == argc)
		refuse("no program", "to run");
	argv += optind;
	if (pipe2(say, O_CLOEXEC) || pipe2(hear, O_CLOEXEC))
		die(errno, "pipe");
	signal(SIGINT, SIG_IGN);
	signal(SIGQUIT, SIG_IGN);

	pid_t child = fork();

	if (child < 0)
		die(errno, "fork");
	if (child == 0)
		run_program(argv, say[1], hear[0]);
	close(say[1]);
	if (read(say[0], &own_domain, 1) != 1)
		die(0, "the child died before it began");
	snprintf(path, sizeof(path), "/proc/%d/counters", child);
	fd = own_domain ? open(path, O_RDONLY | O_CLOEXEC) : -1;

	uint64_t start = cycles();
	struct rusage ru;

	if (write(hear[1], "g", 1) != 1)
		die(errno, "pipe");
	while (wait4(child, &status, 0, &ru) < 0)
		if (errno != EINTR)
			die(errno, "wait");
	start = cycles() - start;
	code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);

	struct counters all =
		counters_parse(fd >= 0 ? read_open_file(fd) : rusage_text(&ru, start));

	if (format == TABLE)
		print_table(to, &all, argv, code);
	else if (format == JSON)
		print_json(to, &all, argv, code);
	else
		for (size_t i = 0; i < all.count; i++)
			fprintf(to, "%llu%s%s\n", (unsigned long long)all.list[i].value, separator,
				all.list[i].name);
	if (fd < 0 && format == TABLE)
		fputs(" (no /proc/PID/counters on this kernel: getrusage only)\n", to);
	fclose(to);
	return code;
}
