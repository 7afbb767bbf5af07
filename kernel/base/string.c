/* SPDX-License-Identifier: MIT */
/*
 * Owns: C's mem* and str* functions. Not part of host builds, which use the C library's.
 *
 * The unit of cost is the instruction, and each step of a rep string instruction is one: blocks go by
 * 8 bytes a step, what is left over by one more, overlapping, 8-byte access at the end. No vector
 * registers. Invariant: what an overlapping access needs is loaded before the first store, so the same
 * code serves memmove. Needs no lock; called from everywhere, by the compiler too.
 */
#include "kernel/base/string.h"

#undef memcpy
#undef memmove
#undef memset
#undef memcmp

/* The compiler must not turn these loops into calls of the functions that they make up. */
#ifndef __clang__
#pragma GCC optimize("no-tree-loop-distribute-patterns")
#endif

#define AT(type, p) (*(struct { type v; } __attribute__((packed, may_alias)) *)(p)).v

/* Fewer than 8 bytes: two accesses that may overlap. */
static __always_inline void copy_few(char *d, const char *s, size_t n)
{
	if (n >= 4) {
		u32 first = AT(u32, s), last = AT(u32, s + n - 4);
		AT(u32, d) = first;
		AT(u32, d + n - 4) = last;
	} else if (n >= 2) {
		u16 first = AT(u16, s), last = AT(u16, s + n - 2);
		AT(u16, d) = first;
		AT(u16, d + n - 2) = last;
	} else if (n) {
		*d = *s;
	}
}

/* Also right when DST lies below SRC and overlaps it. */
static __always_inline void copy_up(char *d, const char *s, size_t n)
{
	if (n < 8) {
		copy_few(d, s, n);
		return;
	}
	u64 last = AT(u64, s + n - 8), words = n / 8;
	char *end = d + n - 8;
	__asm__ volatile("rep movsq" : "+D"(d), "+S"(s), "+c"(words)::"memory");
	AT(u64, end) = last;
}

static void copy_down(char *d, const char *s, size_t n)
{
	if (n < 8) {
		copy_few(d, s, n);
		return;
	}
	u64 first = AT(u64, s), words = n / 8;
	char *to = d + n - 8;
	const char *from = s + n - 8;
	__asm__ volatile("std\n\trep movsq\n\tcld" : "+D"(to), "+S"(from), "+c"(words)::"memory");
	AT(u64, d) = first;
}

void *memcpy(void *restrict dst, const void *restrict src, size_t n)
{
	copy_up(dst, src, n);
	return dst;
}

void *memmove(void *dst, const void *src, size_t n)
{
	if ((uintptr_t)dst - (uintptr_t)src >= n)
		copy_up(dst, src, n);
	else
		copy_down(dst, src, n);
	return dst;
}

void *memset(void *dst, int c, size_t n)
{
	char *d = dst;
	u64 v = (u8)c * 0x0101010101010101UL;

	if (n >= 8) {
		u64 words = n / 8;
		char *end = d + n - 8;
		__asm__ volatile("rep stosq" : "+D"(d), "+c"(words) : "a"(v) : "memory");
		AT(u64, end) = v;
	} else if (n >= 4) {
		AT(u32, d) = (u32)v;
		AT(u32, d + n - 4) = (u32)v;
	} else if (n) {
		d[0] = (char)v;
		d[n / 2] = (char)v;
		d[n - 1] = (char)v;
	}
	return dst;
}

int memcmp(const void *a, const void *b, size_t n)
{
	const u8 *x = a, *y = b;

	for (; n >= 8 && AT(u64, x) == AT(u64, y); n -= 8)
		x += 8, y += 8;
	for (; n; n--, x++, y++)
		if (*x != *y)
			return *x - *y;
	return 0;
}

size_t strlen(const char *s)
{
	const char *p = s;

	while (*p)
		p++;
	return (size_t)(p - s);
}

size_t strnlen(const char *s, size_t max)
{
	size_t n = 0;

	while (n < max && s[n])
		n++;
	return n;
}

int strcmp(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	return (u8)*a - (u8)*b;
}

int strncmp(const char *a, const char *b, size_t n)
{
	for (; n && *a && *a == *b; n--)
		a++, b++;
	return n ? (u8)*a - (u8)*b : 0;
}

char *strchr(const char *s, int c)
{
	for (; *s != (char)c; s++)
		if (!*s)
			return NULL;
	return (char *)s;
}

char *strrchr(const char *s, int c)
{
	const char *found = NULL;

	do
		if (*s == (char)c)
			found = s;
	while (*s++);
	return (char *)found;
}

char *strstr(const char *s, const char *word)
{
	size_t n = strlen(word);

	for (; strncmp(s, word, n); s++)
		if (!*s)
			return NULL;
	return (char *)s;
}
