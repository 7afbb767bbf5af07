/* SPDX-License-Identifier: MIT */
/*
 * Owns: the tunables (tunables.def) and their texts. Values are plain 32-bit words, read without a
 * lock at the point of use; a change takes effect from the next operation on.
 */
#pragma once
#include "kernel/base/types.h"

struct tunables {
#define TUNABLE(name, def, min, max, help) u32 name;
#define CHOICE(name, words, help) u32 name;
#include "kernel/base/tunables.def"
#undef TUNABLE
#undef CHOICE
};
extern struct tunables tune;

/* Indices into the word lists of the CHOICE tunables. */
enum fork_share { FORK_SHARE_ALL, FORK_SHARE_LEAF, FORK_SHARE_NONE };
enum read_then_write { RTW_PREDICT, RTW_HINT, RTW_OFF };
enum pt_reclaim { PT_RECLAIM_ALWAYS, PT_RECLAIM_DEFERRED, PT_RECLAIM_ON_REQUEST, PT_RECLAIM_NEVER };

/* Sets NAME from TEXT. 0, -ENOENT (no such tunable), -EINVAL (not in its range: nothing changed). */
int tunable_set(const char *name, const char *text);

/* Number of tunables, and the name of the I-th. */
unsigned tunable_count(void);
const char *tunable_name(unsigned i);

/* Writes the value, or the range, of tunable I as text; the length without the NUL. */
int tunable_format(unsigned i, char *buf, size_t size);
int tunable_range(unsigned i, char *buf, size_t size);
const char *tunable_help(unsigned i);
bool tunable_is_default(unsigned i);

/* Called after a tunable has changed; NULL, or set once by the kernel that wants to know. */
extern void (*tunable_changed)(void);
