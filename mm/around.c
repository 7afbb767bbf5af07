/* SPDX-License-Identifier: MIT */
/*
 * Owns: how much one fault does, from what its region has shown so far (struct ahead):
 *
 *   around    the window of neighbours that a read fault on a file maps. It is fault_around_bytes, and from there
 *             each region widens or closes its own by the accessed bits of what it was given last.
 *             A closed one opens when faults come side by side, or to a table that is filling up.
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
#define OPENED (PAGE_SHIFT + 2)		/* that of one that was closed, on trial */
#define DENSE_WINDOW 16
#define LEARNING 4			/* windows measured whole before a region is known */
#define PIECE (MiB(1) / 4)		/* then one piece in four is */
#define RUN_MAX 9
#define GUESS_ENOUGH 6
#define GUESS_SAMPLE 16
#define POPULATE_BYTES KiB(64)		/* given by a fault in a region that was advised POPULATE_WRITE_ON_FAULT */

static unsigned base_order(void)
{
	return (unsigned)__builtin_ctz(tune.fault_around_bytes);
}

static __racy unsigned order_of(const struct ahead *a)
{
	int order = (int)base_order() + a->shift;

	return (unsigned)MAX(MIN(order, WIDEST), PAGE_SHIFT);
}

static __racy void set_order(struct ahead *a, unsigned from, int to)
{
	to = MAX(MIN(to, WIDEST), PAGE_SHIFT);
	a->shift = (signed char)(to - (int)base_order());
	a->closed = to == PAGE_SHIFT;
	if (to > (int)from)
		count(around_wider);
	else if (to < (int)from)
		count(around_closer);
}

/* How much of the piece measured last has been accessed since it was given? */
static __noinline __racy void judge(struct fault *f, struct ahead *a)
{
	vaddr_t last = a->last;
	unsigned n = last & ~PAGE_MASK, order = order_of(a), step = n / 16 | 1, seen = 0, hit = 0;
	bool own;
	pte_t *slot = pt_find_slot(f->space->root, last & PAGE_MASK, &own);

	a->last = 0;
	for (unsigned i = 0; slot && i < n; i += step) {
		pte_t e = READ_ONCE(slot[i]);

		seen += pte_marked(e) != 0;
		hit += pte_marked(e) && pte_young(e);
	}
	if (hit * 8 < seen)
		set_order(a, order, (int)order - (order > DENSE_WINDOW ? 4 : 2));
	else if (seen && hit * 2 >= seen)
		set_order(a, order, (int)order + 2);
}

static __racy unsigned adapted_order(struct fault *f, struct ahead *a)
{
	if (a->last)
		judge(f, a);
	unsigned order = order_of(a);
	if (order == PAGE_SHIFT && around_beside(f)) {
		order = OPENED;
		set_order(a, PAGE_SHIFT, OPENED);
	}
	return order < DENSE_WINDOW && pt_live(f->table) >= AROUND_DENSE ? DENSE_WINDOW : order;
}

__racy struct window around_window(struct fault *f)
{
	struct ahead *a = &f->region->ahead;
	unsigned order = tune.fault_around_adapt ? adapted_order(f, a) : base_order();

	if (f->flags & R_SEQUENTIAL)
		order = MIN(order + 2, (unsigned)WIDEST);
	vaddr_t from = f->va >> order << order;
	return (struct window){ .from = MAX(from, f->start), .to = MIN(from + (1UL << order), f->end) };
}

__racy bool around_measured(struct fault *f, vaddr_t va, unsigned n)
{
	struct ahead *a = &f->region->ahead;
	bool measured = !tune.fault_around_young ||
			(tune.fault_around_adapt && (a->turn < LEARNING || !((va / PIECE + a->turn) & 3)));

	if (measured)
		a->last = va | n;
	return measured;
}

__racy void around_given(struct fault *f)
{
	struct ahead *a = &f->region->ahead;

	if (++a->turn == 0)
		a->turn = LEARNING;
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
