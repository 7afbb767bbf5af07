/* SPDX-License-Identifier: MIT */
/*
 * Owns: the batch: what must be forgotten by TLBs, and what may be freed only after they have.
 *
 * An operation that takes rights away opens a batch, hands it to the page-table gate for every store,
 * and finishes it before it returns. Invariant: a frame or table handed to a batch is freed after every
 * CPU that could use a translation to it has answered (mm/tlb.c says which those are). A batch lives on the stack of one thread; it
 * needs no lock. When it is full it finishes by itself and goes on.
 */
#pragma once
#include "mm/frame.h"

struct space;

#define TLB_BATCH_PAGES 16	/* pages flushed one by one; more: everything */
#define TLB_BATCH_FRAMES 252

struct tlb_batch {
	struct space *space;	/* NULL: the kernel's part, on every CPU */
	u16 nr_pages;		/* TLB_BATCH_PAGES + 1: flush all */
	u16 nr_frames;
	bool upper;		/* an entry above the leaves loses something */
	bool everyone;		/* an entry changed in a table of several spaces: flush on every CPU */
	struct frame *tables;	/* unlinked tables, by doomed.next */
	vaddr_t page[TLB_BATCH_PAGES];
	struct frame *frame[TLB_BATCH_FRAMES];
};

static inline void tlb_batch_begin(struct tlb_batch *b, struct space *s)
{
	b->space = s;
	b->nr_pages = 0;
	b->nr_frames = 0;
	b->upper = false;
	b->everyone = false;
	b->tables = NULL;
}

/* The translation of VA may be cached, and is no longer right. */
static inline void tlb_batch_page(struct tlb_batch *b, vaddr_t va)
{
	if (likely(b->nr_pages < TLB_BATCH_PAGES))
		b->page[b->nr_pages++] = va;
	else
		b->nr_pages = TLB_BATCH_PAGES + 1;
}

/* The same for N pages from VA on. */
static inline void tlb_batch_pages(struct tlb_batch *b, vaddr_t va, unsigned n)
{
	if (b->nr_pages + n > TLB_BATCH_PAGES) {
		b->nr_pages = TLB_BATCH_PAGES + 1;
		return;
	}
	for (unsigned i = 0; i < n; i++)
		b->page[b->nr_pages++] = va + (u64)i * PAGE_SIZE;
}

/* As if every page had been named; what CPUs cached of upper tables goes too, on idle ones as well. Whoever
 * takes something from an entry above the leaves calls this. */
static inline void tlb_batch_all(struct tlb_batch *b)
{
	b->upper = true;
	b->nr_pages = TLB_BATCH_PAGES + 1;
}

void tlb_batch_flush(struct tlb_batch *b);	/* do it all now; the batch is empty then */

/* One hold on F is dropped, and F freed if it was the last, after the flush. */
static inline void tlb_batch_frame(struct tlb_batch *b, struct frame *f)
{
	if (unlikely(b->nr_frames == TLB_BATCH_FRAMES))
		tlb_batch_flush(b);
	b->frame[b->nr_frames++] = f;
}

/* TABLE, unlinked and without entries, is freed after the flush. */
static inline void tlb_batch_table(struct tlb_batch *b, struct frame *table)
{
	tlb_batch_all(b);
	table->doomed.next = b->tables;
	b->tables = table;
}

static inline void tlb_batch_finish(struct tlb_batch *b)
{
	if (b->nr_pages || b->nr_frames || b->tables)
		tlb_batch_flush(b);
}

/* Makes S the address space of this CPU (NULL: the kernel's own). */
void tlb_switch_space(struct space *s);
/* This CPU uses no user address until it switches: it may stay on the tables that it has. */
void tlb_idle(void);
bool tlb_is_idle(u32 cpu);

/* S is new; S ends: it is held by nobody, and when this returns, on no CPU. */
void tlb_begin_space(struct space *s);
void tlb_end_space(struct space *s);
