/* SPDX-License-Identifier: MIT */
/*
 * Owns: poll_table (kernel/fs/poll.h): places on many wait queues at once, and the loop of asking and
 * sleeping that poll, select and epoll share.
 *
 * Queued before asked: a wake-up between the question and the sleep ends the sleep at once. After each sleep
 * all places are given up and taken anew, as the files' hooks say. Places beyond the first few are
 * allocated; without memory the loop looks again every RETRY_NS instead.
 */
#include "arch/machine.h"
#include "kernel/base/errno.h"
#include "kernel/fs/poll.h"
#include "mm/kmem.h"

#define RETRY_NS 10000000UL
#define CHUNK_ENTRIES 64

struct poll_chunk {
	struct poll_chunk *next;
	struct poll_entry entry[CHUNK_ENTRIES];
};

static struct poll_entry *new_entry(struct poll_table *pt)
{
	struct poll_chunk *c;

	if (!pt->chunks && pt->used < POLL_INLINE)
		return &pt->inlined[pt->used++];
	if (!pt->chunks || pt->used == CHUNK_ENTRIES) {
		c = kmem_alloc(sizeof(*c));
		if (!c)
			return NULL;
		c->next = pt->chunks;
		pt->chunks = c;
		pt->used = 0;
	}
	return &pt->chunks->entry[pt->used++];
}

void poll_wait(struct poll_table *pt, struct waitq *q)
{
	struct poll_entry *e;

	if (!pt)
		return;
	pt->wakes += READ_ONCE(q->wakes);
	if (pt->only_count)
		return;
	e = new_entry(pt);
	if (!e) {
		pt->failed = true;
		return;
	}
	e->file = pt->file;
	file_get(e->file);
	waitq_add(q, &e->waiter);
}

static void remove_entries(struct poll_entry *e, unsigned n)
{
	for (; n--; e++) {
		waitq_remove(&e->waiter);
		file_put(e->file);
	}
}

static void empty(struct poll_table *pt)
{
	struct poll_chunk *c;

	while ((c = pt->chunks)) {
		remove_entries(c->entry, pt->used);
		pt->chunks = c->next;
		pt->used = pt->chunks ? CHUNK_ENTRIES : POLL_INLINE;
		kmem_free(c);
	}
	remove_entries(pt->inlined, pt->used);
	pt->used = 0;
	pt->failed = false;
}

unsigned poll_file(struct file *f, struct poll_table *pt)
{
	struct file *outer;
	unsigned ready;

	if (!f->ops->poll)
		return POLL_IN | POLL_OUT;
	if (!pt)
		return f->ops->poll(f, NULL);
	outer = pt->file;
	pt->file = f;
	ready = f->ops->poll(f, pt);
	pt->file = outer;
	return ready;
}

unsigned poll_file_bits(struct file *f, struct poll_table *pt)
{
	unsigned ready = poll_file(f, pt);

	return ready | (ready & POLL_IN ? POLL_RDNORM : 0) | (ready & POLL_OUT ? POLL_WRNORM : 0);
}

long poll_loop(long (*scan)(void *arg, struct poll_table *pt), void *arg, u64 deadline)
{
	struct poll_table pt = { .used = 0 };
	int slept = 0;
	long result;

	if (clock_ns() >= deadline)
		return scan(arg, NULL);
	for (;;) {
		u64 until = deadline;

		result = scan(arg, &pt);
		if (result || clock_ns() >= deadline)
			break;
		if (slept == -EINTR) {
			result = -EINTR;
			break;
		}
		if (pt.failed)
			until = MIN(deadline, clock_ns() + RETRY_NS);
		slept = thread_sleep(until, SLEEP_INTERRUPTIBLE);
		empty(&pt);
	}
	empty(&pt);
	return result;
}
