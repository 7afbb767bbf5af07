/* SPDX-License-Identifier: MIT */
/*
 * Owns: the free frames. A binary buddy system keeps blocks of 2^order frames; before it each CPU has two
 * stacks of single frames: `any`, and `zeroed`, where emptied page tables go (they are all zeroes, which
 * is what the next table wants). Between the two lies a depot of bundles, singles that went together from a
 * stack and will go together onto one (Bonwick's magazines, 2001): they are merged only when a block is wanted.
 *
 * Invariants: a free frame has kind FREE; only the first of a block in a buddy list has `listed`, its order
 * + 1, which nobody but the holder of buddy.lock touches: so a neighbour that merges may ask it. kinds[] counts frames by kind, so that "free" is known by subtraction, without a lock.
 * Locks: buddy.lock for the lists; a stack belongs to its CPU.
 */
#include "mm/frame.h"
#include "arch/cpu.h"
#include "kernel/base/counters.h"
#include "kernel/base/print.h"
#include "kernel/base/string.h"
#include "kernel/base/tunables.h"
#include "mm/pcache.h"

#define BUNDLE_ORDER 5
#define BUNDLE (1U << BUNDLE_ORDER)
#define STACK_FRAMES (2 * BUNDLE)
#define JUNK 0x5a

struct frame *frames;
u64 nr_frames;
char *direct_map;

static struct {
	struct spinlock lock;
	struct frame *head[FRAME_MAX_ORDER + 1];
	struct frame *bundles;		/* the first frame of each: .free.prev is the next bundle, .free.next its next frame */
} buddy = { .lock = SPINLOCK(RANK_FRAME) };

struct frame_stack {
	u32 n;
	struct frame *frame[STACK_FRAMES];
};
static DEFINE_PERCPU(struct frame_stack, any);
static DEFINE_PERCPU(struct frame_stack, zeroed);

typedef s64 kind_counts[NR_FRAME_KINDS];
static DEFINE_PERCPU(kind_counts, kinds);	/* of kinds in use; per CPU they may be negative */
static u64 total;				/* frames ever given to the allocator */

static void list_push(struct frame *f, unsigned order)
{
	f->kind = FRAME_FREE;
	f->listed = order + 1;
	f->free.prev = NULL;
	f->free.next = buddy.head[order];
	if (f->free.next)
		f->free.next->free.prev = f;
	buddy.head[order] = f;
}

static void list_remove(struct frame *f)
{
	if (f->free.prev)
		f->free.prev->free.next = f->free.next;
	else
		buddy.head[f->listed - 1] = f->free.next;
	if (f->free.next)
		f->free.next->free.prev = f->free.prev;
	f->listed = 0;
}

/* Puts a block into the lists, merged with its buddy as long as that is free and whole. */
static void buddy_free(struct frame *f, unsigned order)
{
	u64 n = frame_number(f);

	for (; order < FRAME_MAX_ORDER; order++) {
		u64 other = n ^ (1UL << order);

		if (other >= nr_frames || frames[other].listed != order + 1)
			break;
		list_remove(&frames[other]);
		n &= ~(1UL << order);
	}
	list_push(&frames[n], order);
}

static struct frame *buddy_alloc(unsigned order)
{
	unsigned have = order;

	while (have <= FRAME_MAX_ORDER && !buddy.head[have])
		have++;
	if (have > FRAME_MAX_ORDER)
		return NULL;
	struct frame *f = buddy.head[have];
	list_remove(f);
	while (have > order) {
		have--;
		list_push(f + (1UL << have), have);
	}
	return f;
}

void frame_init(struct frame *array, u64 count)
{
	frames = array;
	nr_frames = count;
}

void frame_add_range(paddr_t start, paddr_t end)
{
	u64 n = start >> PAGE_SHIFT, stop = MIN(end >> PAGE_SHIFT, nr_frames);

	spin_lock(&buddy.lock);
	total += stop - n;
	while (n < stop) {
		unsigned order = n ? MIN(__builtin_ctzl(n), FRAME_MAX_ORDER) : FRAME_MAX_ORDER;

		while (n + (1UL << order) > stop)
			order--;
		for (u64 i = n; i < n + (1UL << order); i++)
			frames[i].kind = FRAME_FREE;
		buddy_free(&frames[n], order);
		n += 1UL << order;
	}
	spin_unlock(&buddy.lock);
}

bool alloc_should_fail(void)
{
	static u64 allocations;
	static u32 armed_with, armed_after;

	if (!tune.fail_alloc)
		return false;
	if (armed_with != tune.fail_alloc || armed_after != tune.fail_alloc_after) {
		armed_with = tune.fail_alloc;
		armed_after = tune.fail_alloc_after;
		allocations = 0;
	}
	u64 n = __atomic_add_fetch(&allocations, 1, __ATOMIC_RELAXED);
	bool fail = n > armed_after && (n - armed_after) % armed_with == 0;
	if (fail)
		count(alloc_failed);
	return fail;
}

/* The top BUNDLE frames of S go to the depot. */
static __noinline void stack_spill(struct frame_stack *s)
{
	struct frame *first = NULL;

	for (unsigned i = 0; i < BUNDLE; i++) {
		struct frame *f = s->frame[--s->n];

		f->free.next = first;
		first = f;
	}
	spin_lock(&buddy.lock);
	first->free.prev = buddy.bundles;
	buddy.bundles = first;
	spin_unlock(&buddy.lock);
}

static void break_bundles(void)
{
	while (buddy.bundles) {
		struct frame *f = buddy.bundles, *next;

		buddy.bundles = f->free.prev;
		for (; f; f = next) {
			next = f->free.next;
			buddy_free(f, 0);
		}
	}
}

/* A bundle for the empty stack S: from the depot, or a fresh block, or what there is. */
static void stack_fill(struct frame_stack *s)
{
	struct frame *f = buddy.bundles;

	if (f) {
		buddy.bundles = f->free.prev;
		for (; f; f = f->free.next)
			s->frame[s->n++] = f;
	} else if ((f = buddy_alloc(BUNDLE_ORDER)) != NULL) {
		for (s->n = 0; s->n < BUNDLE; s->n++)
			s->frame[s->n] = &f[BUNDLE - 1 - s->n];
	} else {
		while (s->n < BUNDLE && (f = buddy_alloc(0)) != NULL)
			s->frame[s->n++] = f;
	}
}

static __noinline bool stack_refill(void)
{
	struct frame_stack *s = this_cpu_ptr(any), *z = this_cpu_ptr(zeroed);

	spin_lock(&buddy.lock);
	stack_fill(s);
	spin_unlock(&buddy.lock);
	while (!s->n && z->n)
		s->frame[s->n++] = z->frame[--z->n];
	if (!s->n)
		pcache_shrink(BUNDLE, false);
	if (!s->n)
		count(alloc_failed);
	return s->n != 0;
}

static __always_inline struct frame *take(struct frame *f, enum frame_kind kind)
{
	frame_hook_alloc(f, 0);
	f->kind = kind;
	f->refs = 1;
	this_cpu(kinds[kind])++;
	count(pgalloc);
	return f;
}

struct frame *frame_alloc(enum frame_kind kind)
{
	if (unlikely(tune.fail_alloc) && alloc_should_fail())
		return NULL;
	if (unlikely(!this_cpu(any.n)) && !stack_refill())
		return NULL;
	u32 n = --this_cpu(any.n);
	return take(this_cpu(any.frame[n]), kind);
}

unsigned frame_alloc_many(enum frame_kind kind, struct frame **f, unsigned n)
{
	unsigned got = 0;

	while (got < n) {
		if (unlikely(tune.fail_alloc) && alloc_should_fail())
			break;
		if (unlikely(!this_cpu(any.n)) && !stack_refill())
			break;
		unsigned have = this_cpu(any.n), some = tune.fail_alloc ? 1 : MIN(have, n - got);
		for (unsigned i = 0; i < some; i++) {
			struct frame *page = this_cpu(any.frame[--have]);

			frame_hook_alloc(page, 0);
			page->kind = kind;
			page->refs = 1;
			f[got++] = page;
		}
		this_cpu(any.n) = have;
		this_cpu(kinds[kind]) += some;
		count_add(pgalloc, some);
	}
	return got;
}

struct frame *frame_alloc_zeroed(enum frame_kind kind)
{
	u32 n = this_cpu(zeroed.n);

	if (kind == FRAME_TABLE && n) {
		if (unlikely(tune.fail_alloc) && alloc_should_fail())
			return NULL;
		this_cpu(zeroed.n) = n - 1;
		return take(this_cpu(zeroed.frame[n - 1]), kind);
	}
	struct frame *f = frame_alloc(kind);
	if (likely(f)) {
		cpu_clear_page(frame_ptr(f));
		count(page_zeroed);
	}
	return f;
}

static __always_inline void release(struct frame *f)
{
	BUG_ON(f->kind <= FRAME_FREE);
	this_cpu(kinds[f->kind])--;
	count(pgfree);
	f->kind = FRAME_FREE;
	f->listed = 0;		/* a table may have been marked as kept back */
}

void frame_free(struct frame *f)
{
	release(f);
	if (unlikely(tune.debug_check))
		memset(frame_ptr(f), JUNK, PAGE_SIZE);
	frame_hook_free(f, 0);
	u32 n = this_cpu(any.n);
	if (unlikely(n == STACK_FRAMES)) {
		stack_spill(this_cpu_ptr(any));
		n = STACK_FRAMES - BUNDLE;
	}
	this_cpu(any.frame[n]) = f;
	this_cpu(any.n) = n + 1;
}

void frame_free_zeroed(struct frame *f)
{
	u32 n = this_cpu(zeroed.n);

	if (n == BUNDLE) {
		frame_free(f);
		return;
	}
	release(f);
	frame_hook_free_zeroed(f);
	this_cpu(zeroed.frame[n]) = f;
	this_cpu(zeroed.n) = n + 1;
}

void frame_put_many(struct frame **f, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (frame_drop(f[i]))
			frame_free(f[i]);
}

void frame_put(struct frame *f)
{
	if (frame_drop(f))
		frame_free(f);
}

struct frame *frame_alloc_order(unsigned order, enum frame_kind kind)
{
	if (order == 0)
		return frame_alloc(kind);
	if (order > FRAME_MAX_ORDER || alloc_should_fail())
		return NULL;
	spin_lock(&buddy.lock);
	struct frame *f = buddy_alloc(order);
	spin_unlock(&buddy.lock);
	if (!f) {
		frame_drain();
		spin_lock(&buddy.lock);
		f = buddy_alloc(order);
		spin_unlock(&buddy.lock);
		if (!f) {
			count(alloc_failed);
			return NULL;
		}
	}
	frame_hook_alloc(f, order);
	for (u64 i = 0; i < 1UL << order; i++)
		f[i].kind = kind;
	f->level = order;
	f->refs = 1;
	this_cpu(kinds[kind]) += 1L << order;
	count_add(pgalloc, 1UL << order);
	return f;
}

void frame_free_order(struct frame *f, unsigned order)
{
	if (order == 0) {
		frame_free(f);
		return;
	}
	BUG_ON(f->kind <= FRAME_FREE);
	this_cpu(kinds[f->kind]) -= 1L << order;
	count_add(pgfree, 1UL << order);
	frame_hook_free(f, order);
	for (u64 i = 0; i < 1UL << order; i++)
		f[i].kind = FRAME_FREE;
	spin_lock(&buddy.lock);
	buddy_free(f, order);
	spin_unlock(&buddy.lock);
}

__racy u64 frame_nr_kind(enum frame_kind kind)
{
	s64 n = 0;

	for (u32 cpu = 0; cpu < nr_cpus; cpu++)
		n += (*cpu_ptr(kinds, cpu))[kind];
	return n;
}

u64 frame_nr_total(void)
{
	return total;
}

u64 frame_nr_free(void)
{
	u64 used = 0;

	for (unsigned kind = FRAME_FREE + 1; kind < NR_FRAME_KINDS; kind++)
		used += frame_nr_kind(kind);
	return total - used;
}

void frame_drain(void)
{
	struct frame_stack *s = this_cpu_ptr(any), *z = this_cpu_ptr(zeroed);

	spin_lock(&buddy.lock);
	while (s->n)
		buddy_free(s->frame[--s->n], 0);
	while (z->n)
		buddy_free(z->frame[--z->n], 0);
	break_bundles();
	spin_unlock(&buddy.lock);
}

static void check_single(const struct frame *f)
{
	if (f->kind != FRAME_FREE || f->listed)
		panic("check: frame %#lx, free on its own, is kind %u, listed %u", frame_number(f), f->kind, f->listed);
}

/* For the checker: frames in the buddy lists and on the stacks of all CPUs; panics on a wrong one. */
u64 frame_check_free(void)
{
	u64 n = 0;

	spin_lock(&buddy.lock);
	for (unsigned order = 0; order <= FRAME_MAX_ORDER; order++)
		for (struct frame *f = buddy.head[order]; f; f = f->free.next) {
			if (f->kind != FRAME_FREE || f->listed != order + 1 || frame_number(f) & ((1UL << order) - 1))
				panic("check: frame %#lx in free list %u is kind %u, listed %u", frame_number(f), order, f->kind,
				      f->listed);
			n += 1UL << order;
		}
	for (struct frame *bundle = buddy.bundles; bundle; bundle = bundle->free.prev)
		for (struct frame *f = bundle; f; f = f->free.next, n++)
			check_single(f);
	spin_unlock(&buddy.lock);
	for (u32 cpu = 0; cpu < nr_cpus; cpu++)
		for (int z = 0; z < 2; z++) {
			struct frame_stack *s = z ? cpu_ptr(zeroed, cpu) : cpu_ptr(any, cpu);

			for (u32 i = 0; i < s->n; i++)
				check_single(s->frame[i]);
			n += s->n;
		}
	return n;
}
