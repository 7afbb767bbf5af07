/* SPDX-License-Identifier: MIT */
/*
 * Owns: reading into the page cache: which pages are read together, and those in flight.
 *
 * How far to read ahead is told by what the cache holds already (the idea is Wu Fengguang's "context" read-ahead
 * in Linux): pages just before the wanted one mean that somebody comes along in order, and the longer the run the
 * farther ahead; no page there means a random access, one page. So no state is kept, and streams do not disturb
 * each other. A file's first page begins a stream.
 *
 * Who reads puts a run of absent pages on c->readings, reads them without a lock into frames that nobody knows,
 * and puts frames into the tree and the run off the list at once; who wants one of them meanwhile waits and looks
 * again. A run that cannot be read is not cached: then the wanted page is tried alone, as the damage may be
 * another's. Lock: c->lock.
 */
#include "kernel/base/counters.h"
#include "kernel/base/errno.h"
#include "kernel/base/tunables.h"
#include "mm/pcache_tree.h"
#include "mm/vm.h"

#define FIRST_RUN 4U		/* pages read at the second of a run */
#define RESERVE 32		/* a 1/RESERVE of memory is not for pages read ahead or again */
#define EVICT 256U		/* pages dropped at a time when memory is short */

struct reading {
	LIST_ENTRY(reading) link;
	u64 first;
	unsigned n;
	bool awaited;
};

static bool in_flight(struct pcache *c, u64 index, bool wait)
{
	struct reading *r;

	LIST_FOREACH(r, &c->readings, link)
		if (index - r->first < r->n) {
			r->awaited |= wait;
			return true;
		}
	return false;
}

/* Is INDEX there, or about to be? Locked. */
static bool known(struct pcache *c, u64 index)
{
	return pcache_look(c, index) || in_flight(c, index, false);
}

/* How many pages to read from INDEX on, by FLAGS and the run of pages before it. At least 1. Locked. */
static u64 suggest(struct pcache *c, u64 index, u32 flags)
{
	u64 most = (u64)tune.readahead_kb << 10 >> PAGE_SHIFT, run = 0;

	if (flags & R_RANDOM || !most)
		return 1;
	if (flags & R_SEQUENTIAL)
		return 2 * most;
	if (index == 0)
		return most;
	while (run < most && run < index && known(c, index - run - 1))
		run++;
	return run ? MIN(MAX(2 * run, FIRST_RUN), most) : 1;
}

/* How many of the N pages from INDEX on are absent, up to the first that is not. Locked. */
static unsigned absent(struct pcache *c, u64 index, u64 n)
{
	u64 end = MIN(index + MIN(n, (u64)PCACHE_READ_MAX), pcache_pages(c)), at = index;

	while (at < end && !known(c, at))
		at++;
	return (unsigned)(at - index);
}

static bool low(void)
{
	return frame_nr_free() < frame_nr_total() / RESERVE;
}

/* N frames for a reading; fewer when memory is short. */
static unsigned get_frames(struct frame **f, unsigned n)
{
	unsigned got = 0;
	bool evicted = false;

	if (low())
		pcache_evict(EVICT);
	while (got < n) {
		f[got] = frame_alloc_zeroed(FRAME_CACHE);
		if (f[got])
			got++;
		else if (got || evicted || !(evicted = pcache_evict(EVICT)))
			break;
	}
	return got;
}

/* R, whose pages are read into the first N of F, is over: they come into the tree. The first one with a hold in
 * *OUT. 0 or -ENOMEM. */
static int finish(struct pcache *c, struct reading *r, struct frame **f, unsigned n, struct frame **out)
{
	unsigned done = 0;
	int err = 0;

	spin_lock(&c->lock);
	for (; done < n && r->first + done < pcache_pages(c) && !err; done += !err)
		err = pcache_insert(c, r->first + done, f[done]);
	if (done) {
		*out = f[0];
		frame_get(f[0]);
		err = 0;
	}
	LIST_REMOVE(r, link);
	bool awaited = r->awaited;
	spin_unlock(&c->lock);
	if (awaited)
		pcache_wake();
	frame_put_many(f + done, n - done);
	return done ? 0 : err ? err : -EIO;	/* -EIO: it was cut off meanwhile */
}

/* Reads R, which is on the list. As pcache_read. */
static int read_run(struct pcache *c, struct reading *r, struct frame **out)
{
	struct frame *f[PCACHE_READ_MAX];
	unsigned got = get_frames(f, r->n), good = got;
	int err = got ? c->ops->read_many(c, r->first, f, got) : -ENOMEM;

	if (err && got > 1) {
		err = c->ops->read_many(c, r->first, f, 1);
		good = 1;
	}
	count(readahead_reads);
	if (err) {
		count_add(readahead_errors, got != 0);
		good = 0;
	}
	frame_put_many(f + good, got - good);
	count_add(readahead_pages, good ? good - 1 : 0);
	int inserted = finish(c, r, f, good, out);
	return err ? err : inserted;
}

int pcache_read(struct pcache *c, u64 index, u32 flags, struct frame **out)
{
	struct reading r = { .first = index };

	spin_lock(&c->lock);
	while (in_flight(c, index, true)) {
		count(readahead_waits);
		pcache_wait(&c->lock);
	}
	*out = pcache_look(c, index);
	if (*out) {
		frame_get(*out);
		spin_unlock(&c->lock);
		return 0;
	}
	u64 want = suggest(c, index, flags);
	r.n = absent(c, index, want);
	if (!r.n) {
		spin_unlock(&c->lock);
		return -EIO;		/* past the end */
	}
	LIST_INSERT_HEAD(&c->readings, &r, link);
	spin_unlock(&c->lock);
	int err = read_run(c, &r, out);
	if (!err && want > PCACHE_READ_MAX && r.n == PCACHE_READ_MAX)
		pcache_willneed(c, index + r.n, index + want - 1);
	return err;
}

void pcache_willneed(struct pcache *c, u64 first, u64 last)
{
	int err = c->ops->read_many ? 0 : -EIO;

	while (first <= last && !err && !low() && !(vm_pause && vm_pause())) {
		struct reading r = { .first = first };
		struct frame *f;

		spin_lock(&c->lock);
		while (r.first <= last && r.first < pcache_pages(c) && known(c, r.first))
			r.first++;
		r.n = r.first <= last ? absent(c, r.first, last - r.first + 1) : 0;
		if (r.n)
			LIST_INSERT_HEAD(&c->readings, &r, link);
		spin_unlock(&c->lock);
		if (!r.n)
			break;
		err = read_run(c, &r, &f);
		if (!err)
			frame_put(f);
		first = r.first + r.n;
	}
}
