/* SPDX-License-Identifier: MIT */
/* Owns: random numbers for programs and for /dev/random (kernel/random.c). */
#pragma once
#include "kernel/base/types.h"

/* Fills N bytes at BUF. From anywhere but the console's own code; never fails, never waits. */
void random_bytes(void *buf, size_t n);
