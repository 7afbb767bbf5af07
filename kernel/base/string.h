/* SPDX-License-Identifier: MIT */
/* Owns: the mem* and str* functions that a freestanding compiler and the kernel need; C's meaning. */
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
