/* SPDX-License-Identifier: MIT */
/*
 * sysctl.c - read and set the kernel's tunables: /proc/sys/vm/NAME holds the
 * value, /proc/tunables the list of `name value range help` lines. A name may be
 * written with `vm.` before it. A value that the kernel refuses is answered with
 * the range, exit status 1.
 */
#include "user/quire.h"

static char *tunables; /* text of /proc/tunables, NULL on other kernels */
static bool value_only;

static void usage(void)
{
	fputs("usage: sysctl [-n] [NAME[=VALUE]...]\n"
	      "  Print all tunables, or read and set some. -n prints the value alone.\n",
	      stdout);
}

/* Cut one word off *rest. */
static char *word(char **rest)
{
	char *from = *rest + strspn(*rest, " \t"), *end = from + strcspn(from, " \t");

	*rest = *end ? end + 1 : end;
	*end = 0;
	return from;
}

/* Print `vm.NAME = VALUE   (RANGE) HELP` from a copy of a line of /proc/tunables. */
static void print_line(const char *line, size_t len)
{
	char copy[512], *rest = copy, *name, *value, *range;

	if (len >= sizeof(copy))
		len = sizeof(copy) - 1;
	memcpy(copy, line, len);
	copy[len] = 0;
	name = word(&rest);
	value = word(&rest);
	range = word(&rest);
	rest += strspn(rest, " \t");
	if (value_only)
		printf("%s\n", value);
	else
		printf("vm.%-22s = %-10s (%s) %s\n", name, value, range, rest);
}

/* Print the lines about name (NULL: all). Returns how many there were. */
static int print_tunables(const char *name)
{
	int printed = 0;
	size_t len = name ? strlen(name) : 0;

	for (const char *line = tunables; line && *line;) {
		size_t line_len = strcspn(line, "\n");

		if (!name || (!strncmp(line, name, len) && strchr(" \t", line[len]))) {
			print_line(line, line_len);
			printed++;
		}
		line += line_len + (line[line_len] == '\n');
	}
	return printed;
}

/* Tell in one line that the value was refused, and what the name takes instead. */
static void tell_refusal(const char *name, const char *value, int why)
{
	size_t len = strlen(name);

	fprintf(stderr, "sysctl: %s=%s: %s", name, value, strerror(why));
	for (const char *line = tunables; line && *line;) {
		size_t line_len = strcspn(line, "\n");

		if (!strncmp(line, name, len) && strchr(" \t", line[len])) {
			char copy[512], *rest = copy, *range;

			snprintf(copy, sizeof(copy), "%.*s", (int)line_len, line);
			word(&rest);
			word(&rest);
			range = word(&rest);
			fprintf(stderr, "; it takes %s: %s", range, rest + strspn(rest, " \t"));
		}
		line += line_len + (line[line_len] == '\n');
	}
	fputc('\n', stderr);
}

/* Read (value NULL) or set one tunable. Returns the exit status. */
static int one(const char *name, const char *value)
{
	char path[160], *text;
	int fd;

	if (!strncmp(name, "vm.", 3) || !strncmp(name, "vm/", 3))
		name += 3;
	if (strchr(name, '/') || strlen(name) > 100) {
		fprintf(stderr, "sysctl: no such tunable '%s'\n", name);
		return 1;
	}
	snprintf(path, sizeof(path), "/proc/sys/vm/%s", name);
	fd = open(path, (value ? O_WRONLY : O_RDONLY) | O_CLOEXEC);
	if (fd < 0) {
		if (errno == ENOENT)
			fprintf(stderr, "sysctl: no such tunable '%s'; `sysctl` lists them\n",
				name);
		else
			fprintf(stderr, "sysctl: %s: %s\n", name, strerror(errno));
		return 1;
	}
	if (value) {
		bool set = write(fd, value, strlen(value)) == (ssize_t)strlen(value);

		if (!set)
			tell_refusal(name, value, errno);
		close(fd);
		return !set;
	}
	close(fd);
	if (print_tunables(name))
		return 0;
	text = read_text(path);
	if (!text) {
		fprintf(stderr, "sysctl: %s: %s\n", name, strerror(errno));
		return 1;
	}
	if (value_only)
		fputs(text, stdout);
	else
		printf("vm.%s = %s", name, text);
	free(text);
	return 0;
}

int main(int argc, char **argv)
{
	int option, status = 0;

	prog = "sysctl";
	while ((option = next_option(argc, argv, "nwah")) != -1) {
		switch (option) {
		case 'n': value_only = true; break;
		case 'w':
		case 'a': break;
		case 'h': usage(); return 0;
		}
	}
	tunables = read_text("/proc/tunables");
	if (optind == argc && !print_tunables(NULL))
		die(0, "/proc/tunables: %s", tunables ? "empty" : strerror(errno));
	for (; optind < argc; optind++) {
		char *value = strchr(argv[optind], '=');

		if (value)
			*value++ = 0;
		status |= one(argv[optind], value);
	}
	return status;
}
