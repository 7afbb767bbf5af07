/* SPDX-License-Identifier: MIT */
/*
 * Owns: a text that is being written into a buffer of given size, as /proc files are. Writing past the
 * end keeps counting, so the writer's caller can learn the size wanted and begin again; or take a long text
 * in pieces, by beginning again with another start.
 */
#pragma once
#include "kernel/base/print.h"

struct text {
	char *buf;
	size_t size;	/* bytes at buf, one of which may become a NUL */
	size_t len;	/* bytes written so far, stored or not */
	size_t start;	/* the first one that is stored: buf has [start, start + size - 1) */
};

void text_printf(struct text *t, const char *fmt, ...) __printf(2, 3);
void text_write(struct text *t, const void *data, size_t n);

/* Bytes of the text at buf. */
static inline size_t text_stored(const struct text *t)
{
	return t->len > t->start ? MIN(t->len - t->start, t->size - 1) : 0;
}
