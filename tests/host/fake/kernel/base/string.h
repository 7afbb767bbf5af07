/* SPDX-License-Identifier: MIT */
/* Host shadow of kernel/base/string.h: libc's functions, and the two that libc lacks (kernel/base/text.c). */
#pragma once
#include <string.h>
#include "kernel/base/types.h"

size_t strlcpy(char *dst, const char *src, size_t size);
int parse_u64(const char *text, u64 *value);
