/* SPDX-License-Identifier: MIT */
/*
 * Owns: what becomes of a table that has no entry left: policy only; unlinking is pgtable.c's.
 *
 *   always      it goes in the batch that emptied it
 *   deferred    its space keeps it back, so that a refill finds it: the oldest goes when more than
 *               pt_reclaim_keep are kept, or after many turns, and all when memory is short
 *   on_request  it stays until madvise(CLEANUP_PGTABLE), /proc/sys/vm/cleanup_pgtables, or a shortage
 *   never       it stays until the process ends
 *
 * A parent that empties with its last child always goes with it. That a table is empty is known from its live
 * count: nothing is searched for.
 */
#pragma once
#include "kernel/base/tunables.h"
#include "mm/space.h"

/* CHILD, which PARENT's entry for VA points to, nobody else's, may have lost its last entry. */
void reclaim_leaf(struct tlb_batch *b, struct frame *parent, vaddr_t va, struct frame *child, enum pt_reclaim policy);

/* Pages of S have been dropped once more: lets tables go whose time is over. */
void reclaim_turn(struct space *s, struct tlb_batch *b);

/* Frees every empty table in [start, end) of S that is S's own, and with ZERO those that map only the zero page.
 * S locked. */
void reclaim_range(struct space *s, vaddr_t start, vaddr_t end, bool zero);

/* Memory is short: gives up what the policies keep, in every space. True if frames came free. No lock held. */
bool reclaim_all(void);
