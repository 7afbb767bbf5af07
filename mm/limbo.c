/* SPDX-License-Identifier: MIT */
/* Owns: the waiting lists of mm/limbo.h: two per CPU, without a lock; and a third of regions that CPUs have handed over for another
 * to free, with one. Each is in the order of its tags, but for what was taken over, which waits for what it came behind. */
#include "mm/limbo.h"
#include "arch/cpu.h"
#include "kernel/base/counters.h"
#include "kernel/base/epoch.h"
#include "mm/space.h"

#define SETTLE_TRIES 10000

struct table_queue { struct frame *first, *last; };
struct region_queue { struct region *first, *last; };
static DEFINE_PERCPU(struct table_queue, tables);
static DEFINE_PERCPU(struct region_queue, regions);
static struct { struct spinlock lock; struct region *first; } handed = { .lock = SPINLOCK(RANK_NONE) };

static void reap_tables(struct table_queue *q)
{
	while (q->first && epoch_passed(q->first->doomed.tag)) {
		struct frame *t = q->first;

		q->first = t->doomed.next;
		count(pt_free);
		frame_free_zeroed(t);
	}
}

void limbo_table(struct frame *table)
{
	struct table_queue *q = this_cpu_ptr(tables);

	table->doomed.tag = epoch_retire();
	table->doomed.next = NULL;
	if (q->first)
		q->last->doomed.next = table;
	else
		q->first = table;
	q->last = table;
	reap_tables(q);
}

static struct region *take_region(struct region_queue *q)
{
	struct region *r = q->first;

	if (!r || !epoch_passed(r->tag))
		return NULL;
	q->first = r->next_free;
	return r;
}

static void add_regions(struct region *list)
{
	struct region_queue *q = this_cpu_ptr(regions);

	while (list) {
		struct region *r = list;

		list = r->next_free;
		r->next_free = NULL;
		if (q->first)
			q->last->next_free = r;
		else
			q->first = r;
		q->last = r;
	}
}

void limbo_regions(struct region *list)
{
	u64 tag = epoch_retire();

	for (struct region *r = list; r; r = r->next_free)
		r->tag = tag;
	add_regions(list);
	limbo_reap();
}

void limbo_hand_over(void)
{
	struct region_queue *q = this_cpu_ptr(regions);

	if (!q->first)
		return;
	spin_lock(&handed.lock);
	q->last->next_free = handed.first;
	handed.first = q->first;
	q->first = NULL;
	spin_unlock(&handed.lock);
}

void limbo_take_over(void)
{
	spin_lock(&handed.lock);
	struct region *list = handed.first;
	handed.first = NULL;
	spin_unlock(&handed.lock);
	add_regions(list);
	limbo_reap();
}

void limbo_reap_tables(void)
{
	reap_tables(this_cpu_ptr(tables));
}

/* Who holds up our grace period may be waiting here as well: so we let go first. */
void limbo_settle(void)
{
	struct table_queue *q = this_cpu_ptr(tables);

	epoch_enter();
	for (unsigned tries = 0; q->first && tries < SETTLE_TRIES; tries++) {
		arch_spin_wait();
		reap_tables(q);
	}
}

void limbo_reap(void)
{
	struct region *r;

	reap_tables(this_cpu_ptr(tables));
	while ((r = take_region(this_cpu_ptr(regions))) != NULL)	/* freeing may sleep, and wake on another CPU */
		region_free(r);
}
