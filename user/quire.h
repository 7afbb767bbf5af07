/* SPDX-License-Identifier: MIT */
/*
 * quire.h - what the tools and workloads of /bin share: time, faults, sizes,
 * reading /proc, and the two ways of printing results.
 *
 * Everything is static inline, so that each program stays one plain file that
 * also builds and runs on Linux: nothing here needs Quire. Include it first (it
 * defines _GNU_SOURCE). Time is in ticks of the TSC, which under `--icount`
 * are guest instructions. Rows are printed as `name=value` lines, or with
 * rows_json set, as one flat JSON object on one line; one thread prints.
 */
#ifndef USER_QUIRE_H
#define USER_QUIRE_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096UL
#define KIB (1UL << 10)
#define MIB (1UL << 20)
#define GIB (1UL << 30)

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif
#define MADV_POPULATE_PGTABLE 0x5100 /* Quire's own: EINVAL elsewhere */
#define MADV_POPULATE_WRITE_ON_FAULT 0x5101

/* The program's name for messages; main() sets it from argv[0]. */
static const char *prog __attribute__((unused)) = "?";

/* The time-stamp counter. The compiler moves no memory access across it. */
static inline uint64_t cycles(void)
{
	uint32_t lo, hi;

	__asm__ volatile("rdtsc"
			 : "=a"(lo), "=d"(hi)
			 :
			 : "memory");
	return (uint64_t)hi << 32 | lo;
}

/* Store or load one byte that the compiler must not drop, merge or move. */
static inline void poke(void *at, uint8_t value)
{
	*(volatile uint8_t *)at = value;
}

static inline uint8_t peek(const void *at)
{
	return *(const volatile uint8_t *)at;
}

/* Print `prog: message`, with errno's text when err is not 0, and exit 1. */
static inline __attribute__((noreturn, format(printf, 2, 3))) void die(int err, const char *fmt,
								       ...)
{
	va_list ap;

	fflush(stdout);
	fprintf(stderr, "%s: ", prog);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	if (err)
		fprintf(stderr, ": %s", strerror(err));
	fputc('\n', stderr);
	exit(1);
}

/* A self-check of a workload: what it claims about its memory must hold. */
#define check(cond, ...)                     \
	do {                                 \
		if (!(cond))                 \
			die(0, __VA_ARGS__); \
	} while (0)

/* Faults of this process so far, all threads: those for which a disk was read, and all. */
static inline uint64_t major_faults(void)
{
	struct rusage ru;

	if (getrusage(RUSAGE_SELF, &ru))
		die(errno, "getrusage");
	return (uint64_t)ru.ru_majflt;
}

static inline uint64_t faults(void)
{
	struct rusage ru;

	if (getrusage(RUSAGE_SELF, &ru))
		die(errno, "getrusage");
	return (uint64_t)ru.ru_minflt + (uint64_t)ru.ru_majflt;
}

/* A byte count with an optional suffix K, M, G or T; exits 2 on anything else. */
static inline uint64_t parse_size(const char *text)
{
	char *end;
	uint64_t value, unit = 1;

	errno = 0;
	value = strtoull(text, &end, 0);
	if (*text < '0' || *text > '9')
		errno = EINVAL;
	switch (*end) {
	case 'T':
	case 't': unit <<= 10; /* fall through */
	case 'G':
	case 'g': unit <<= 10; /* fall through */
	case 'M':
	case 'm': unit <<= 10; /* fall through */
	case 'K':
	case 'k': unit <<= 10; end++;
	}
	if (*end == 'B' || *end == 'b')
		end++;
	if (errno || *end || value > UINT64_MAX / unit) {
		fprintf(stderr, "%s: bad size '%s': a number with K, M, G or T\n", prog, text);
		exit(2);
	}
	return value * unit;
}

/* A whole number between min and max, named for the message; exits 2 otherwise. */
static inline uint64_t parse_number(const char *what, const char *text, uint64_t min, uint64_t max)
{
	char *end;
	uint64_t value;

	errno = 0;
	value = strtoull(text, &end, 0);
	if (errno || *text < '0' || *text > '9' || *end || value < min || value > max) {
		fprintf(stderr, "%s: bad %s '%s': %llu to %llu\n", prog, what, text,
			(unsigned long long)min, (unsigned long long)max);
		exit(2);
	}
	return value;
}

/* Index of text in the list of names (ends with NULL); exits 2 naming the choices. */
static inline int parse_choice(const char *what, const char *text, const char *const *names)
{
	for (int i = 0; names[i]; i++)
		if (!strcmp(names[i], text))
			return i;
	fprintf(stderr, "%s: bad %s '%s': one of", prog, what, text);
	for (int i = 0; names[i]; i++)
		fprintf(stderr, " %s", names[i]);
	fputc('\n', stderr);
	exit(2);
}

/*
 * A whole small file as a string, to be freed by the caller; NULL and errno when
 * it cannot be read. Works for /proc files, whose size is not known beforehand.
 */
static inline char *read_text(const char *path)
{
	size_t room = 4096, have = 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char *text;

	if (fd < 0)
		return NULL;
	text = malloc(room);
	while (text) {
		ssize_t got = read(fd, text + have, room - have - 1);

		if (got <= 0) {
			text[have] = 0;
			if (got < 0) {
				free(text);
				text = NULL;
			}
			break;
		}
		have += (size_t)got;
		if (room - have < 2) {
			char *more = realloc(text, room *= 2);

			if (!more)
				free(text);
			text = more;
		}
	}
	close(fd);
	return text;
}

/* The number after `name` at the start of a line of a /proc file; missing gives `absent`. */
static inline uint64_t proc_number(const char *path, const char *name, uint64_t absent)
{
	char *text = read_text(path), *line = text;
	size_t len = strlen(name);
	uint64_t value = absent;

	for (; line && *line; line = strchr(line, '\n'), line = line ? line + 1 : NULL) {
		if (strncmp(line, name, len) || !strchr(": \t", line[len]))
			continue;
		value = strtoull(line + len + (line[len] == ':'), NULL, 10);
		break;
	}
	free(text);
	return value;
}

/* A field of /proc/self/status in kB, such as "VmPTE"; 0 when absent. */
static inline uint64_t status_kb(const char *field)
{
	return proc_number("/proc/self/status", field, 0);
}

/* A numeric tunable of Quire; `absent` on Linux. */
static inline uint64_t tunable(const char *name, uint64_t absent)
{
	char path[96], *text;

	snprintf(path, sizeof(path), "/proc/sys/vm/%s", name);
	text = read_text(path);
	if (text) {
		absent = strtoull(text, NULL, 10);
		free(text);
	}
	return absent;
}

/*
 * Fresh private anonymous memory of 4 KiB pages, aligned to align (a power of
 * two of at least a page). Exits when there is none. Nothing is reserved.
 */
static inline char *map_anon(size_t bytes, size_t align)
{
	size_t slack = align > PAGE ? align : 0;
	char *at = mmap(NULL, bytes + slack, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	char *from;

	if (at == MAP_FAILED)
		die(errno, "mmap of %zu bytes", bytes);
	from = slack ? (char *)(((uintptr_t)at + slack - 1) & ~(slack - 1)) : at;
	if (from > at)
		munmap(at, (size_t)(from - at));
	if (slack && from - at < (long)slack)
		munmap(from + bytes, slack - (size_t)(from - at));
	madvise(from, bytes, MADV_NOHUGEPAGE);
	return from;
}

/* A reproducible pseudo-random number (xorshift64*); *state must not be 0. */
static inline uint64_t next_random(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1dULL;
}

static bool rows_json __attribute__((unused));
static unsigned rows_printed __attribute__((unused));

static inline void row_name(const char *name)
{
	if (rows_json)
		printf("%s\"%s\":", rows_printed ? "," : "{", name);
	else
		printf("%s=", name);
	rows_printed++;
}

static inline void row_close(void)
{
	if (!rows_json) {
		putchar('\n');
		fflush(stdout);
	}
}

/* One result: name=value. */
static inline void row(const char *name, uint64_t value)
{
	row_name(name);
	printf("%llu", (unsigned long long)value);
	row_close();
}

/* One result num/den with one decimal; `skip` when den is 0. */
static inline void row_ratio(const char *name, uint64_t num, uint64_t den)
{
	row_name(name);
	if (den)
		printf("%llu.%llu", (unsigned long long)(num / den),
		       (unsigned long long)(num % den * 10 / den));
	else
		fputs(rows_json ? "null" : "skip", stdout);
	row_close();
}

/* One result that is a word. */
static inline void row_word(const char *name, const char *word)
{
	row_name(name);
	printf(rows_json ? "\"%s\"" : "%s", word);
	row_close();
}

/* After the last row. */
static inline void rows_end(void)
{
	if (rows_json)
		puts(rows_printed ? "}" : "{}");
	fflush(stdout);
}

/* Words that make no sense: one line that says which, and exit 2. */
static inline __attribute__((noreturn)) void refuse(const char *what, const char *word)
{
	fprintf(stderr, "%s: %s %s (see %s -h)\n", prog, what, word, prog);
	exit(2);
}

/* From argv[from] on there must be nothing more. */
static inline void no_more_words(int from, int argc, char **argv)
{
	if (from < argc)
		refuse("unexpected argument", argv[from]);
}

/* getopt_long, for options that may stand after the words too; refuses what it does not know. */
static inline int long_option(int argc, char **argv, const char *shorts,
			      const struct option *options)
{
	char all[64], letter[] = "-?";
	int option;

	snprintf(all, sizeof(all), *shorts == '+' ? "+:%s" : ":%s", shorts + (*shorts == '+'));
	opterr = 0;
	option = getopt_long(argc, argv, all, options, NULL);
	letter[1] = (char)optopt;
	if (option == ':')
		refuse("no value for option", argv[optind - 1]);
	if (option == '?')
		refuse("unknown option", optopt ? letter : argv[optind - 1]);
	return option;
}

/* The same for programs with short options only. */
static inline int next_option(int argc, char **argv, const char *shorts)
{
	static const struct option help[] = { { "help", no_argument, NULL, 'h' }, { 0 } };

	return long_option(argc, argv, shorts, help);
}

/* The name a program was called by, without its folder. */
static inline const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

#endif
