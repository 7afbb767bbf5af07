/* SPDX-License-Identifier: MIT */
/*
 * Owns: the plain reference of model_test.c: per space and page what is mapped, with what rights, and what
 * it contains; behind it objects (files, shared memory). No tables, no frames, no sharing: fork copies.
 */
#pragma once
#include <stdlib.h>
#include "kit.h"

#define SPACES 8
#define ZONES 5
#define ZONE_PAGES 100
#define NPAGES (ZONES * ZONE_PAGES)
#define BLOCKS 9			/* see model_blocks.h */
#define SAMPLES 8			/* pages of each that are looked at */
#define ALL_PAGES (NPAGES + BLOCKS * SAMPLES)
#define OBJECT_PAGES 64
#define FILES 3

/* Each lies across a border between tables: of level 3, 4 and 1; the last two in upper tables of the first two. */
static const vaddr_t zone[ZONES] = {
	GiB(1) - PAGES(50), (1UL << 39) - PAGES(40), 0x7f0000200000UL - PAGES(60), GiB(1) + MiB(64) - PAGES(30),
	(1UL << 39) + GiB(3) + MiB(2) - PAGES(70),
};

/* Neighbours; across a border of level 3; one at an odd place; and those that span a table of level 2. */
static const struct { vaddr_t start; u64 length; } block[BLOCKS] = {
	{ GiB(5), MiB(2) }, { GiB(5) + MiB(2), MiB(2) }, { GiB(5) + MiB(4), MiB(2) }, { GiB(9) - MiB(2), MiB(2) }, { GiB(9), MiB(2) },
	{ GiB(11) + MiB(1), MiB(2) }, { GiB(16), GiB(1) }, { GiB(17), GiB(1) }, { (3UL << 39), GiB(1) },
};

struct object {				/* what lies behind a page cache */
	struct kit_file *file;		/* NULL: shared anonymous memory, gone with its last user */
	bool plain;			/* read from below, not zero, where nothing was written */
	u64 size, users;		/* pages; pages that map it */
	u64 value[OBJECT_PAGES];
};

struct page {
	bool mapped, shared, own, locked, dontfork, wipe;	/* own: has an anonymous page */
	u8 prot;
	struct object *object;
	u64 pgoff, value;		/* value: if own */
};

static struct process {
	struct space *s;
	unsigned brk;			/* pages of zone 1 */
	struct page page[ALL_PAGES];
} process[SPACES];
static struct object files[FILES];
static u64 seed = 1, step;

static u64 rnd(u64 n) { return fake_random(&seed) % n; }

/* Sample I of block B, in pages from its start. */
static u64 block_offset(unsigned b, unsigned i)
{
	static const u16 offset[SAMPLES] = { 0, 1, 20, 63, 64, 300, 510, 511 };

	return offset[i] + (i < 5 ? 0 : (block[b].length / MiB(2) - 1) * PT_ENTRIES / (8 - i));
}

static vaddr_t va_of(unsigned p)
{
	unsigned k = p - NPAGES;

	if (p < NPAGES)
		return zone[p / ZONE_PAGES] + PAGES(p % ZONE_PAGES);
	return block[k / SAMPLES].start + PAGES(block_offset(k / SAMPLES, k % SAMPLES));
}

/* How many pages page P of the reference stands for, if it is mapped. */
static u64 weight_of(unsigned p)
{
	return p < NPAGES ? 1 : block[(p - NPAGES) / SAMPLES].length / PAGE_SIZE / SAMPLES;
}

static vaddr_t word_of(unsigned p) { return va_of(p) + 40; }

static int page_of(vaddr_t va)
{
	for (unsigned z = 0; z < ZONES; z++)
		if (va >= zone[z] && va < zone[z] + PAGES(ZONE_PAGES))
			return (int)(z * ZONE_PAGES + ((va - zone[z]) >> PAGE_SHIFT));
	return -1;
}

static u64 initial(const struct object *o, u64 pgoff)
{
	return o->plain ? kit_file_word(pgoff, 5) : 0;
}

static u64 value_of(const struct page *p)
{
	return p->own ? p->value : p->object ? p->object->value[p->pgoff] : 0;
}

static enum fault_result verdict(const struct page *p, bool write, bool exec)
{
	if (!p->mapped)
		return FAULT_MAPERR;
	if (!(p->prot & (write ? R_WRITE : exec ? R_EXEC : R_READ | R_WRITE)))
		return FAULT_ACCERR;
	return p->object && !p->own && p->pgoff >= p->object->size ? FAULT_BUS : FAULT_OK;
}

static void written(struct page *p, u64 value)
{
	if (p->shared) {
		p->object->value[p->pgoff] = value;
	} else {
		p->own = true;
		p->value = value;
	}
}

static void unmap(struct page *p, u64 n)
{
	for (; n--; p++) {
		if (p->mapped && p->object && --p->object->users == 0 && !p->object->file)
			free(p->object);
		*p = (struct page){ 0 };
	}
}

static void map(struct page *p, u64 n, struct page like)
{
	unmap(p, n);
	for (; n--; p++, like.pgoff++) {
		*p = like;
		if (p->object)
			p->object->users++;
	}
}

static bool any_mapped(const struct page *p, u64 n)
{
	while (n--)
		if (p[n].mapped)
			return true;
	return false;
}

static bool any_hole(const struct page *p, u64 n)
{
	while (n--)
		if (!p[n].mapped)
			return true;
	return false;
}

static long populate(struct page *p, u64 n, bool write)
{
	for (; n--; p++) {
		switch (verdict(p, write, false)) {
		case FAULT_MAPERR: return -ENOMEM;
		case FAULT_ACCERR: return -EINVAL;
		case FAULT_BUS: return -EFAULT;
		default: break;
		}
		if (write)
			written(p, value_of(p));
	}
	return 0;
}
