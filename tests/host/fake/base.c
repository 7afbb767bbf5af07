/* SPDX-License-Identifier: MIT */
/*
 * Owns: the host's stand-ins for kernel/base: printk and
 * panic on stderr. A panic ends the process; in a child
 * made by fake_last_words its text goes to the parent, so that a test can want it.
 */
#include "fake.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include "arch/cpu.h"
#include "kernel/base/counters.h"
#include "kernel/base/print.h"
#include "kernel/base/string.h"

#define DIED 77				/* exit status of a child that said its last words */

int console_loglevel = LOG_WARN;
static int words_fd = -1;		/* in a child: where last words go */

void __sanitizer_print_stack_trace(void) __attribute__((weak));

static void __noreturn die(const char *what, const char *fmt, va_list ap)
{
	char text[512];
	size_t n = (size_t)snprintf(text, sizeof(text), "%s: ", what);

	n += (size_t)vsnprintf(text + n, sizeof(text) - n, fmt, ap);
	if (words_fd >= 0) {
		ssize_t done = write(words_fd, text, MIN(n, sizeof(text) - 1));
		_exit(done > 0 ? DIED : 1);
	}
	fprintf(stderr, "%s\n", text);
	if (__sanitizer_print_stack_trace)
		__sanitizer_print_stack_trace();
	abort();
}

void panic(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	die("panic", fmt, ap);
}

void fake_fail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	die("fake machine", fmt, ap);
}

const char *fake_last_words(void (*fn)(void *arg), void *arg)
{
	static char words[512];
	int fd[2], status;
	size_t n = 0;
	ssize_t got;
	pid_t child;

	fflush(NULL);
	if (pipe(fd) || (child = fork()) < 0)
		abort();
	if (!child) {
		close(fd[0]);
		words_fd = fd[1];
		if (!getenv("QUIRE_VERBOSE") && !freopen("/dev/null", "w", stderr))
			abort();
		fn(arg);
		_exit(0);
	}
	close(fd[1]);
	while (n < sizeof(words) - 1 && (got = read(fd[0], words + n, sizeof(words) - 1 - n)) > 0)
		n += (size_t)got;
	words[n] = 0;
	close(fd[0]);
	if (waitpid(child, &status, 0) != child)
		abort();
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return NULL;
	if (!WIFEXITED(status) || WEXITSTATUS(status) != DIED)
		snprintf(words, sizeof(words), "died without words, status %#x", status);
	return words;
}

bool fake_in_child(void)
{
	return words_fd >= 0;
}

void printk(enum loglevel level, const char *fmt, ...)
{
	va_list ap;

	if ((int)level > console_loglevel)
		return;
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	if (!*fmt || fmt[strlen(fmt) - 1] != '\n')
		fputc('\n', stderr);
}

bool bprintf(char *buf, size_t size, size_t *pos, const char *fmt, ...)
{
	va_list ap;
	int n;

	if (*pos >= size)
		return false;
	va_start(ap, fmt);
	n = vsnprintf(buf + *pos, size - *pos, fmt, ap);
	va_end(ap);
	*pos = MIN(*pos + (size_t)n, size);
	return *pos < size;
}

u64 fake_random(u64 *state)
{
	u64 x = *state ? *state : 88172645463325252UL;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return *state = x;
}
