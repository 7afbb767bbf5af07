/* SPDX-License-Identifier: MIT */
/*
 * Owns: what the tables of a range map, moved to another range of the same space, for mremap.
 *
 * A table that the range covers whole, and whose place in the new range is aligned to what it spans, is moved by the
 * entry that points to it, at the highest level where that is so, shared or own, unread. Of the others, which are
 * own by then, the entries are moved. So spaces may share a table at different addresses: their regions are the
 * very same still, seen from the table's first page, and so it is filled in place as before.
 *
 * Locks: the space's, its seq odd; where the range maps a file, that one's map_lock from move_prepare() until all is done.
 */
#pragma once
#include "mm/space.h"

struct move {
	struct tlb_batch *batch;	/* of the space */
	vaddr_t from, end;		/* the old range; one region */
	u64 by;				/* what is added to an address, modulo 2^64 */
};

/* What a table may span to be moved whole. */
static inline u64 move_most(const struct move *m)
{
	return m->by & -m->by;
}

/* Tables for the new range, where nothing is mapped; those of the old one are own but for what is moved whole, and none
 * is kept back. -ENOMEM: some may have been made. */
int move_prepare(const struct move *m);

/* The old range is empty after that, but for tables. Cannot fail. */
void move_commit(const struct move *m);
