/* SPDX-License-Identifier: MIT */
/*
 * Owns: the mem* and str* functions that a freestanding compiler and the kernel need; C's meaning
 * (kernel/base/string.c; on the host the C library's). What C lacks is in kernel/base/text.c.
 */
#pragma once
#include "kernel/base/types.h"

void *memcpy(void *restrict dst, const void *restrict src, size_t n);
void *memmove(void *dst, const void *src, size_t n);
void *memset(void *dst, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);
size_t strlen(const char *s);
size_t strnlen(const char *s, size_t max);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t n);
char *strchr(const char *s, int c);
char *strrchr(const char *s, int c);
char *strstr(const char *s, const char *word);

/* Copies at most SIZE - 1 bytes and a NUL; returns strlen(SRC). */
size_t strlcpy(char *dst, const char *src, size_t size);

/* Digits in base 10, or 16 after 0x; an optional K, M or G. 0, or -EINVAL when TEXT is not just that. */
int parse_u64(const char *text, u64 *value);

/* Let the compiler do small constant sizes in line, as it would for a hosted program. */
#if !__STDC_HOSTED__
#define memcpy(d, s, n) __builtin_memcpy(d, s, n)
#define memmove(d, s, n) __builtin_memmove(d, s, n)
#define memset(d, c, n) __builtin_memset(d, c, n)
#define memcmp(a, b, n) __builtin_memcmp(a, b, n)
#endif
