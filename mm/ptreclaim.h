/* SPDX-License-Identifier: MIT */
/*
 * Owns: what becomes of a table that has no entry left: policy only; unlinking is pgtable.c's.
 *
 *   always      it goes in the batch that emptied it
 *   deferred    its space keeps it back, so that a refill finds it: the oldest goes when more than
 *               pt_reclaim_keep are kept, or after many turns, and all when memory is short
 *   on_request  it stays until madvise(CLEANUP_PGTABLE), a write to /proc/sys/vm/cleanup_pgtables or to
 *               /proc/PID/cleanup_pgtables, or a shortage
 *   never       it stays, as on a classic kernel, until the process ends or memory is short
 *
 * Whatever the policy, a table that no region reaches into any more goes with the last one that did, and one that was
 * made for a fault that failed goes at once. A parent that empties with its last child always goes with it. That
 * a table is empty is known from its live count: nothing is searched for. What a file's truncation empties is not kept back.
 *
 * A table that others use as well: who empties it for itself has made it its own before, or lets go of it; a file that
 * shrinks empties it for all, and each lets go. The last one frees it.
 */
#pragma once
#include "kernel/base/tunables.h"
#include "mm/space.h"

/* CHILD, which SLOT points to for VA, nobody else's, may have lost its last entry. Unless POLICY is to free it at
 * once B's space is locked. */
void reclaim_leaf(struct tlb_batch *b, pte_t *slot, vaddr_t va, struct frame *child, enum pt_reclaim policy);

/* Pages of S, locked, have been dropped once more: lets tables go whose time is over under POLICY, now in force. */
void reclaim_turn(struct space *s, struct tlb_batch *b, enum pt_reclaim policy);

/* Keeps nothing back any more in S, locked: its tables are about to change their addresses. */
void reclaim_kept(struct space *s, struct tlb_batch *b);

/* Frees every empty table in [start, end) of B's space, which is locked, and with ZERO those that map only the zero
 * page; a shared one is let go of. */
void reclaim_range(struct tlb_batch *b, vaddr_t start, vaddr_t end, bool zero);

/* File C has been cut, and its pages are gone from [start, end) of B's space, which is locked: frees the tables that are
 * empty by that, lets go of those shared. C's map_lock is held, B for everyone. */
void reclaim_cut(struct tlb_batch *b, vaddr_t start, vaddr_t end, struct pcache *c);

/* Gives up what the policies keep in S, locked. ALL: not NULL if the other spaces have their turn as well. */
void reclaim_space(struct space *s, void *all);

/* The same in every space: the number of tables that came free, waiting for other CPUs a little. No lock held, nor
 * anything found without one. */
u64 reclaim_tables(void);

/* Memory is short: the same, and drops some clean pages of files. True if frames came free. */
bool reclaim_all(void);
