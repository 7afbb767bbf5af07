/* SPDX-License-Identifier: MIT */
/*
 * Owns: how much one fault does, from what its region has shown so far (struct ahead):
 *
 *   around    the window of neighbours that a read fault on a file maps. A region that one table holds begins with
 *             fault_around_bytes; a larger one closed, with nothing, so that who touches it here and there pays for
 *             nothing. It opens when a page beside the fault has been accessed, widens while half of what it gave
 *             last is accessed by the next fault, narrows where not an eighth is; each time in vain it takes a longer run.
 *             Where no run shows, a table that has taken DENSE faults is filled: to hire no longer than to buy costs (the
 *             ski rental of Karlin, Manasse, Rudolph and Sleator). Whether that was right shows late: it is judged when
 *             the region has seen as many faults again, and then tables are filled sooner, or later, or never.
 *   run       how many anonymous pages a fault gives: twice the last time's while each begins where the
 *             one before ended, one after a miss.
 *   guess     whether who reads fresh anonymous memory will write to it: 6 of 8 zero pages replaced while
 *             those were given. Every sixteenth read is not guessed, so as to see; one that stays unwritten ends it.
 *
 * What is given unasked bears a mark, and is counted as a hit or as wasted when it goes (mm/gate.h).
 * Locks: none. struct ahead is hints, and racing faults may lose one; the region itself stays: see struct fault.
 */
#include "kernel/base/counters.h"
#include "mm/fault_case.h"

#define WIDEST 21			/* log2 of the largest window */
#define DOUBT_MAX 4			/* 16 pages in a row */
#define DENSE 6				/* 48 pages: for these a table has cost as many faults as all its pages would */
#define PROBE 16UL			/* pages of a window by which it is judged */
#define RUN_MAX 9
#define GUESS_ENOUGH 6
#define GUESS_SAMPLE 16
#define POPULATE_BYTES KiB(64)		/* given by a fault in a region that was advised POPULATE_WRITE_ON_FAULT */

static unsigned base_order(void)
{
	return (unsigned)__builtin_ctz(tune.fault_around_bytes);
}

/* How much of what was given last has been accessed? Of what filled a table, until it is due, only hits tell. */
static __noinline __racy void judge(struct fault *f, struct ahead *a)
{
	unsigned n = a->last & ~PAGE_MASK, seen = 0, hit = 0;
	bool own;
	pte_t *slot = pt_find_slot(f->space->root, a->last & PAGE_MASK, &own);

	for (unsigned i = 0; slot && i < n; i++) {
		pte_t e = READ_ONCE(slot[i]);

		seen += pte_marked(e) != 0;
		hit += pte_marked(e) && pte_young(e);
	}
	bool good = seen && hit * 2 >= seen, bad = hit * 8 < seen;
	if (!good && a->due && !(a->faults >> a->due))
		return;
	a->last = 0;
	if (good)
		count(around_wider);
	else if (bad)
		count(around_closer);
	if (a->due) {
		a->dense = (u8)(good ? MAX(a->dense / 2, 1) : bad ? MIN(a->dense * 2, PT_ENTRIES / 8) : a->dense);
	} else if (good) {
		a->order = (u8)MIN(a->order + 3, WIDEST);
		a->doubt = 0;
	} else if (bad) {
		a->order = (u8)MAX(a->order - (a->order > 16 ? 4 : 2), PAGE_SHIFT);
		a->doubt = (u8)MIN(a->doubt + 1, DOUBT_MAX);
	}
}

static __racy unsigned adapted_order(struct fault *f, struct ahead *a)
{
	if (!a->order) {
		a->order = (u8)(f->end - f->start > pt_span(2) ? PAGE_SHIFT : base_order());
		a->dense = DENSE;
	}
	if (a->last)
		judge(f, a);
	if (a->order == PAGE_SHIFT && around_beside(f, 1) && around_beside(f, 1 << a->doubt))
		a->order = (u8)base_order();
	if (around_dense(f)) {
		if (!a->last)
			a->due = (u8)MIN(33 - __builtin_clz(a->faults | 1U), 31);	/* twice to four times as many */
		return WIDEST;
	}
	if (a->order > PAGE_SHIFT) {
		a->due = 0;
		a->last = 0;
	}
	return a->order;
}

__racy struct window around_window(struct fault *f)
{
	struct ahead *a = &f->region->ahead;
	unsigned order = tune.fault_around_adapt ? adapted_order(f, a) : base_order();

	if (f->flags & R_SEQUENTIAL)
		order = MIN(MAX(order, base_order()) + 2, (unsigned)WIDEST);
	vaddr_t from = f->va >> order << order;
	return (struct window){ .from = MAX(from, f->start), .to = MIN(from + (1UL << order), f->end) };
}

/* The middle of a window tells of all of it, from whichever end a scan comes. */
__racy struct window around_probe(struct fault *f, struct window w)
{
	struct ahead *a = &f->region->ahead;
	u64 pages = (w.to - w.from) >> PAGE_SHIFT, n = MIN(pages, PROBE);
	vaddr_t from = w.from + (pages - n) / 2 * PAGE_SIZE;

	if (!a->last)
		a->last = from | n;
	return tune.fault_around_young ? (struct window){ .from = from, .to = from + n * PAGE_SIZE } : w;
}

__racy struct window around_run(struct fault *f)
{
	struct ahead *a = &f->region->ahead;
	unsigned limit = tune.anon_prefault_order, run = 0;
	vaddr_t from = f->va, to;

	if (f->flags & R_POPULATE) {
		from = MAX(ALIGN_DOWN(f->va, POPULATE_BYTES), f->start);
		return (struct window){ .from = from, .to = MIN(ALIGN_DOWN(f->va, POPULATE_BYTES) + POPULATE_BYTES, f->end) };
	}
	if (limit && f->flags & R_SEQUENTIAL)
		run = MIN(limit + 1, (unsigned)RUN_MAX);
	else if (limit && !(f->flags & R_RANDOM) && f->va == a->next)
		run = MIN(a->run + 1U, limit);
	to = MIN(from + (PAGE_SIZE << run), ALIGN_DOWN(from, pt_span(2)) + pt_span(2));
	a->run = (u8)run;
	a->next = MIN(to, f->end);
	return (struct window){ .from = from, .to = a->next };
}

__racy bool around_guess(struct fault *f)
{
	struct ahead *a = &f->region->ahead;

	if (f->flags & R_POPULATE && f->flags & R_WRITE && !f->exec && tune.read_then_write != RTW_OFF)
		return true;
	if (tune.read_then_write != RTW_PREDICT || !(f->flags & R_WRITE)) {
		a->guessing = false;
		a->reads = a->writes = 0;
		return false;
	}
	if (!a->guessing) {
		a->guessing = a->writes >= GUESS_ENOUGH;
		a->writes = a->guessing;		/* the first look shall find something */
		a->reads = 0;
		return false;
	}
	if (a->reads++ % GUESS_SAMPLE)
		return f->own && !f->exec;
	if (!a->writes) {				/* the last one left to itself has not been written to */
		a->guessing = false;
		a->reads = 1;
	}
	a->writes = 0;
	return false;
}
