/* SPDX-License-Identifier: MIT */
/*
 * Owns: reading into the page cache: which pages are read together, and those in flight.
 *
 * How far to read is told by what the cache holds already (the idea is Wu Fengguang's "context" read-ahead
 * in Linux): pages just before the wanted one mean that somebody comes along in order, and the longer the run the
 * farther ahead; two pages just after it, that he comes backwards; none there means a random access, one page. So no
 * state is kept, and streams do not disturb each other. A file's first page begins a stream.
 *
 * Who wants a page waits for the run that it is in. What comes next is read meanwhile: a page in the middle of that
 * run, then the first one of each run read ahead, `starts` the next when it is touched, or waited for.
 *
 * Who reads puts a run of absent pages on c->readings, reads them without a lock into frames that nobody knows,
 * and puts frames into the tree and the run off the list at once; who wants one of them meanwhile waits and looks
 * again. A run that cannot be read is not cached: then the wanted page is tried alone, as the damage may be
 * another's. A run read ahead ends in the disk's interrupt; it holds the cache's owner until then.
 * Locks: c->lock; flights_lock for the list of all runs that are being read ahead.
 */
#include "kernel/base/counters.h"
#include "kernel/base/errno.h"
#include "kernel/base/string.h"
#include "kernel/base/tunables.h"
#include "mm/kmem.h"
#include "mm/pcache_tree.h"
#include "mm/vm.h"

#define FIRST_RUN 4U		/* pages read at the second of a run */
#define RESERVE 32		/* a 1/RESERVE of memory is not for pages read ahead or again */
#define EVICT 256U		/* pages dropped at a time when memory is short */
#define NO_PAGE PCACHE_READ_MAX	/* no page of a reading */

struct reading {
	LIST_ENTRY(reading) link;
	u64 first;
	unsigned n;			/* pages */
	unsigned mark;			/* the touch of this one of them starts the next reading; or NO_PAGE */
	unsigned got;			/* frames that there was memory for */
	struct frame *f[PCACHE_READ_MAX];
	/* Of one that is ahead: */
	struct pcache *cache;
	struct pcache_io io;
	TAILQ_ENTRY(reading) flight;
	u64 number;
};

static struct spinlock flights_lock = SPINLOCK(RANK_CACHE);
static TAILQ_HEAD(, reading) flights = TAILQ_HEAD_INITIALIZER(flights);	/* oldest first */
static u64 last_number;

static struct reading *in_flight(struct pcache *c, u64 index)
{
	struct reading *r;

	LIST_FOREACH(r, &c->readings, link)
		if (index - r->first < r->n)
			return r;
	return NULL;
}

/* Is INDEX there, or about to be? Locked. */
static bool known(struct pcache *c, u64 index)
{
	return pcache_look(c, index) || in_flight(c, index);
}

/* How many pages to read at an end of a run of known ones: those from INDEX on, in direction STEP. 1: there are none.
 * Locked. */
static u64 extend(struct pcache *c, u64 index, u64 step, u64 most)
{
	u64 run = 0;

	while (run < most / 2 && known(c, index + run * step))
		run++;
	return run ? MIN(MAX(2 * run, FIRST_RUN), most) : 1;
}

/* How many pages to read from INDEX on, by FLAGS and the run of pages before it. At least 1. Locked. */
static u64 suggest(struct pcache *c, u64 index, u32 flags)
{
	u64 most = (u64)tune.readahead_kb << 10 >> PAGE_SHIFT;

	if (flags & R_RANDOM || !most)
		return 1;
	if (flags & R_SEQUENTIAL)
		return 2 * most;
	return index == 0 ? most : extend(c, index - 1, -1UL, most);
}

/* How many of the N pages from INDEX on are absent, up to the first that is not. Locked. */
static unsigned absent(struct pcache *c, u64 index, u64 n)
{
	u64 end = MIN(index + MIN(n, (u64)PCACHE_READ_MAX), pcache_pages(c)), at = index;

	while (at < end && !known(c, at))
		at++;
	return (unsigned)(at - index);
}

/* What R is to read because INDEX, absent, is wanted; none: it is past the end. How many from there on are worth
 * having, even if R cannot take them all. Locked. */
static u64 plan(struct pcache *c, struct reading *r, u64 index, u32 flags)
{
	u64 want = suggest(c, index, flags), back = 1;

	r->first = index;
	r->n = absent(c, index, want);
	r->mark = r->n > FIRST_RUN ? r->n / 2 : NO_PAGE;	/* the first ones may be chance */
	if (want == 1 && r->n && !(flags & R_RANDOM) && known(c, index + 2))	/* two: he may have come by chance */
		back = MIN(extend(c, index + 1, 1, (u64)tune.readahead_kb << 10 >> PAGE_SHIFT), (u64)PCACHE_READ_MAX);
	for (; r->n < back && r->first && !known(c, r->first - 1); r->n++)
		r->first--;
	return want;
}

static bool low(void)
{
	return frame_nr_free() < frame_nr_total() / RESERVE;
}

/* Frames for R; fewer when memory is short. False: not one. */
static bool get_frames(struct reading *r)
{
	for (r->got = 0; r->got < r->n && (r->f[r->got] = frame_alloc_zeroed(FRAME_CACHE)); r->got++)
		;
	return r->got;
}

/* R is over; its first GOOD frames are what the disk has. They come into the tree, but for what has been cut off
 * meanwhile. Page ASKED of it, with a hold, in *OUT. 0, -ENOMEM, -EIO: that one did not come. */
static int finish(struct pcache *c, struct reading *r, unsigned good, unsigned asked, struct frame **out)
{
	unsigned done = 0;
	int err = 0;

	spin_lock(&c->lock);
	u64 pages = pcache_pages(c);
	for (; done < good && r->first + done < pages; done++) {
		struct frame *f = r->f[done];

		err = pcache_insert(c, r->first + done, f);
		if (err)
			break;
		if (r->first + done == c->size >> PAGE_SHIFT)
			memset((char *)frame_ptr(f) + (c->size & ~PAGE_MASK), 0, PAGE_SIZE - (c->size & ~PAGE_MASK));
		f->ahead = done != asked;
		f->starts = done == r->mark;
		WRITE_ONCE(c->nr_ahead, c->nr_ahead + f->ahead);
	}
	bool found = asked < done;
	if (found) {
		*out = r->f[asked];
		frame_get(*out);
	}
	LIST_REMOVE(r, link);
	spin_unlock(&c->lock);
	pcache_wake();
	frame_put_many(r->f + done, r->got - done);
	if (asked == NO_PAGE)		/* they have been counted, for who began it */
		count_add(readahead_wasted, r->got - done);
	else
		count_add(readahead_pages, done - found);
	return found ? 0 : err ?: -EIO;
}

/* Reads R, which is on the list, and waits for it. As finish. */
static int read_now(struct pcache *c, struct reading *r, unsigned asked, struct frame **out)
{
	int err, inserted;

	if (low())
		pcache_evict(EVICT);
	err = get_frames(r) || (pcache_evict(EVICT) && get_frames(r)) ? c->ops->read_many(c, r->first, r->f, r->got, NULL) : -ENOMEM;
	count(readahead_reads);
	count_add(readahead_errors, err != 0);
	inserted = finish(c, r, err ? 0 : r->got, asked, out);
	return err ?: inserted;
}

/* A part of a reading ahead has ended, and it was the last one. */
static void ahead_done(struct pcache_io *io)
{
	struct reading *r = container_of(io, struct reading, io);
	struct pcache *c = r->cache;

	count_add(readahead_errors, io->failed);
	finish(c, r, io->failed ? 0 : r->got, NO_PAGE, NULL);
	c->ops->put(c);
	spin_lock(&flights_lock);
	TAILQ_REMOVE(&flights, r, flight);
	spin_unlock(&flights_lock);
	pcache_wake();
	kmem_free(r);
}

/* Begins to read R, which is on the list. False: it is over, perhaps nothing has come. */
static bool read_later(struct pcache *c, struct reading *r)
{
	bool begun;

	c->ops->get(c);
	r->cache = c;
	r->io = (struct pcache_io){ .parts = 1, .done = ahead_done };
	spin_lock(&flights_lock);
	r->number = ++last_number;
	TAILQ_INSERT_TAIL(&flights, r, flight);
	spin_unlock(&flights_lock);
	get_frames(r);
	count_add(readahead_pages, r->got);
	begun = r->got && !c->ops->read_many(c, r->first, r->f, r->got, &r->io);
	if (begun) {
		count(readahead_reads);
		count(readahead_begun);
	}
	pcache_io_end(&r->io, !begun);
	return begun;
}

/* Begins to read what is absent of pages [from, to), up to the first that is not. */
static void read_ahead(struct pcache *c, u64 from, u64 to)
{
	struct reading *r;
	unsigned n;

	for (; from < to && (!low() || pcache_evict(EVICT)) && (r = kmem_alloc(sizeof(*r))); from += n) {
		spin_lock(&c->lock);
		r->first = from;
		r->mark = 0;
		n = r->n = absent(c, from, to - from);
		if (n)
			LIST_INSERT_HEAD(&c->readings, r, link);
		spin_unlock(&c->lock);
		if (!n)
			kmem_free(r);
		if (!n || !read_later(c, r))
			break;
	}
}

void pcache_ahead(struct pcache *c, u64 index, u32 flags)
{
	u64 from = index, want;

	spin_lock(&c->lock);
	while (known(c, from) && from - index < 4 * PCACHE_READ_MAX)
		from++;
	want = suggest(c, from, flags);
	spin_unlock(&c->lock);
	if (want > 1)
		read_ahead(c, from, MIN(from + want, index + 2 * want));
}

void pcache_settle(void)
{
	struct reading *r;

	spin_lock(&flights_lock);
	for (u64 last = last_number; (r = TAILQ_FIRST(&flights)) && r->number <= last;)
		pcache_wait(&flights_lock);
	spin_unlock(&flights_lock);
}

u64 pcache_touched(struct pcache *c, u64 index, u64 n)
{
	u64 marker = PCACHE_NONE, end = index + n;
	unsigned hit = 0, run;

	for (; index < end; index += run) {
		run = (unsigned)(end - index);
		struct frame *const *f = pcache_run(c, index, &run);

		for (unsigned i = 0; f && i < run; i++) {
			if (!f[i] || !f[i]->ahead)
				continue;
			if (f[i]->starts)
				marker = index + i;
			pcache_asked(c, f[i]);
			hit++;
		}
	}
	count_add(readahead_hit, hit);
	return marker;
}

/* Until page INDEX may be there, which is part of R. Locked. */
static void wait_for(struct pcache *c, struct reading *r, u64 index, u32 flags)
{
	if (index - r->first < r->mark) {
		count(readahead_waits);
		pcache_wait(&c->lock);
		return;
	}
	r->mark = NO_PAGE;
	spin_unlock(&c->lock);
	pcache_ahead(c, index, flags);
	spin_lock(&c->lock);
}

int pcache_read(struct pcache *c, u64 index, u32 flags, struct frame **out)
{
	u64 marker = PCACHE_NONE, want;
	struct reading r, *other;
	int err;

	for (;; flags |= R_RANDOM) {
		spin_lock(&c->lock);
		while (!(*out = pcache_look(c, index)) && (other = in_flight(c, index)))
			wait_for(c, other, index, flags);
		if (*out) {
			frame_get(*out);
			if (unlikely(c->nr_ahead))
				marker = pcache_touched(c, index, 1);
			spin_unlock(&c->lock);
			if (unlikely(marker != PCACHE_NONE))
				pcache_ahead(c, index, flags);
			return 0;
		}
		want = plan(c, &r, index, flags);
		if (r.n)
			LIST_INSERT_HEAD(&c->readings, &r, link);
		spin_unlock(&c->lock);
		if (!r.n)
			return -EIO;		/* past the end */
		err = read_now(c, &r, (unsigned)(index - r.first), out);
		if (err != -EIO || r.n == 1)
			break;
	}
	if (!err && want > r.n && r.n == PCACHE_READ_MAX)
		read_ahead(c, index + r.n, index + want);
	return err;
}

void pcache_willneed(struct pcache *c, u64 first, u64 last)
{
	int err = c->ops->read_many ? 0 : -EIO;

	while (first <= last && !err && !low() && !(vm_pause && vm_pause())) {
		struct reading r = { .first = first, .mark = NO_PAGE };
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
		err = read_now(c, &r, 0, &f);
		if (!err)
			frame_put(f);
		first = r.first + r.n;
	}
}
