/* SPDX-License-Identifier: MIT */
/*
 * Host shadow of kernel/base/types.h: the real one, after libc's macros of the same names have been put
 * away. READ_ONCE and WRITE_ONCE become atomic, with the order that x86 gives any load and store, so
 * that ThreadSanitizer takes them for what they are: accesses meant to race.
 */
#pragma once
#include <stdint.h>
#undef __always_inline
#include_next "kernel/base/types.h"

#undef READ_ONCE
#undef WRITE_ONCE
#define READ_ONCE(x) __atomic_load_n(&(x), __ATOMIC_ACQUIRE)
#define WRITE_ONCE(x, v) __atomic_store_n(&(x), (v), __ATOMIC_RELEASE)
