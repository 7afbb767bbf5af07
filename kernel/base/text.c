/* SPDX-License-Identifier: MIT */
/*
 * Owns: struct text, and the functions on strings that C lacks. Invariant of a text: len counts every byte
 * written, those from start on are at buf as far as they fit, and nothing is ever stored beyond it. A text
 * belongs to its writer and has no lock. Called by all that makes files under /proc, and by tunables.
 */
#include "kernel/base/errno.h"
#include "kernel/base/string.h"
#include "kernel/base/text.h"

void text_printf(struct text *t, const char *fmt, ...)
{
	size_t skip = t->start > t->len ? t->start - t->len : 0;
	size_t at = t->len > t->start ? MIN(t->len - t->start, t->size) : 0;
	va_list ap;
	size_t n;

	va_start(ap, fmt);
	n = (size_t)vsnprintf(t->size ? t->buf + at : NULL, t->size - at, fmt, ap);
	va_end(ap);
	t->len += n;
	n = MIN(n, t->size ? t->size - 1 : 0);
	if (skip && n > skip)		/* what comes before start was stored, and goes */
		memmove(t->buf, t->buf + skip, n - skip);
}

void text_write(struct text *t, const void *data, size_t n)
{
	size_t skip = t->start > t->len ? MIN(t->start - t->len, n) : 0;
	size_t at = t->len + skip - t->start;

	if (n > skip && at < t->size)
		memcpy(t->buf + at, (const char *)data + skip, MIN(n - skip, t->size - at));
	t->len += n;
}

size_t strlcpy(char *dst, const char *src, size_t size)
{
	size_t len = strlen(src);

	if (size) {
		size_t n = MIN(len, size - 1);

		memcpy(dst, src, n);
		dst[n] = 0;
	}
	return len;
}

static int digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : 99;
}

int parse_u64(const char *text, u64 *value)
{
	bool hex = text[0] == '0' && (text[1] | 32) == 'x';
	u64 v = 0, base = hex ? 16 : 10;
	const char *p = hex ? text + 2 : text;
	unsigned shift = 0;

	if (digit(*p) >= (int)base)
		return -EINVAL;
	for (; digit(*p) < (int)base; p++)
		if (__builtin_mul_overflow(v, base, &v) || __builtin_add_overflow(v, (u64)digit(*p), &v))
			return -EINVAL;
	switch (*p | 32) {
	case 'g': shift += 10; /* fall through */
	case 'm': shift += 10; /* fall through */
	case 'k': shift += 10; p++;
	}
	if (*p || v > ~0UL >> shift)
		return -EINVAL;
	*value = v << shift;
	return 0;
}
