/* SPDX-License-Identifier: MIT */
/* What queue.h and tree.h want of their system's <sys/cdefs.h>. Ours; the rest of this folder is not. */
#pragma once
#include <stddef.h>
#ifndef __unused
#define __unused __attribute__((unused))
#endif
#define __containerof(ptr, type, member) ((type *)((char *)(ptr) - offsetof(type, member)))
