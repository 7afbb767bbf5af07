/* SPDX-License-Identifier: MIT */
/*
 * Owns: a text that is being written into a buffer of given size, as /proc files are. Writing past the
 * end keeps counting, so the writer's caller can learn the size wanted and begin again.
 */
#pragma once
#include "kernel/base/print.h"

struct text {
	char *buf;
	size_t size;	/* bytes at buf, one of which may become a NUL */
	size_t len;	/* bytes wanted so far; size or more: it did not fit */
};

void text_printf(struct text *t, const char *fmt, ...) __printf(2, 3);
void text_write(struct text *t, const void *data, size_t n);
