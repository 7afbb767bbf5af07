/* SPDX-License-Identifier: MIT */
/*
 * Owns: waiting for any of several files. A poll_table is one call's set of places on wait queues: file
 * hooks add to it by poll_wait, the caller sleeps, empties it and asks again.
 * Lives on the caller's stack; only the calling thread touches it. No lock.
 */
#pragma once
#include "kernel/fs/file.h"

#define POLL_INLINE 6
struct poll_entry {
	struct waiter waiter;
	struct file *file;		/* held: the queue is in it */
};
struct poll_chunk;
struct poll_table {
	struct file *file;		/* whose hook is being asked */
	unsigned used;			/* of inlined, then of the first chunk */
	bool failed;			/* no memory for a waiter: the wait must not sleep for long */
	bool only_count;		/* nobody will sleep: add up `wakes` alone */
	u32 wakes;			/* of the queues that hooks have named; whoever cares sets it to 0 first */
	struct poll_entry inlined[POLL_INLINE];
	struct poll_chunk *chunks;
};

/* What F, held, can do now; files without a hook never make anyone wait. */
unsigned poll_file(struct file *f, struct poll_table *pt);

/* The same as poll(2) shows it: with POLLRDNORM and POLLWRNORM. */
#define POLL_RDNORM 0x40
#define POLL_WRNORM 0x100
unsigned poll_file_bits(struct file *f, struct poll_table *pt);

/*
 * Asks SCAN(arg, pt) until it returns not 0, DEADLINE passes (then 0), or a signal comes (-EINTR). PT is
 * NULL when nothing need be queued. No lock held.
 */
long poll_loop(long (*scan)(void *arg, struct poll_table *pt), void *arg, u64 deadline);
