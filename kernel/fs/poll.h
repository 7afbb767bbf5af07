/* SPDX-License-Identifier: MIT */
/*
 * Owns: waiting for any of several files. A poll_table is one call's set of places on wait queues: file
 * hooks add to it by poll_wait, the caller sleeps, empties it and asks again.
 * Lives on the caller's stack; only the calling thread touches it. No lock.
 */
#pragma once
#include "kernel/fs/file.h"

#define POLL_INLINE 8
struct poll_chunk;
struct poll_table {
	unsigned used;
	bool failed;			/* no memory for a waiter: the wait must not sleep for long */
	struct waiter inlined[POLL_INLINE];
	struct poll_chunk *more;
};
void poll_table_init(struct poll_table *pt);
void poll_table_empty(struct poll_table *pt);	/* off all queues; frees */

/* What FILE can do now; always with POLL_IN | POLL_OUT for files that never wait. */
unsigned poll_file(struct file *f, struct poll_table *pt);

/*
 * Asks SCAN(arg, pt) until it returns not 0, DEADLINE passes (then 0), or a signal comes (-EINTR). PT is
 * NULL when nothing need be queued.
 */
long poll_loop(long (*scan)(void *arg, struct poll_table *pt), void *arg, u64 deadline);
