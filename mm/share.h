/* SPDX-License-Identifier: MIT */
/*
 * Owns: page tables with several users.
 *
 * The rule: a table whose use count is above 1 is pointed to only by entries without the write bit. The CPU
 * ANDs the write bits along its walk, so nobody can write through it, and no leaf entry need be
 * touched to share it. A path is *own* when every entry on it has the write bit.
 *
 * Whoever shares a table has the very same regions over all that it spans, if perhaps at another address (mm/move.h).
 * That is kept so: before a space changes regions of [start, end) it owns the tables that the range covers in part
 * and drops those that it covers whole. Hence a read fault may fill a shared table, once for all its users.
 *
 * Locks: a table's use rises only while a table that points to it is locked, and falls under its own lock when
 * its user looks at it no more. So who holds the lock of its parent and sees a use of 1 is the only user, and
 * stays it. Copies are made under the lock of the space, which fork holds too.
 */
#pragma once
#include "kernel/base/tunables.h"
#include "mm/space.h"

/* The leaf table of VA, made if need be, on a path that is own. *TOOK: a table had to be copied or taken
 * over. NULL: no memory. Flushes what it changes. No lock held. */
struct frame *share_make_own(struct space *s, vaddr_t va, bool *took);

/* Owns the tables that [start, end) of B's space covers in part; or every table there, but for those that it covers
 * whole and that span MOST bytes at most. -ENOMEM: some may have been, which is harmless. Space locked. */
int share_own_edges(struct tlb_batch *b, vaddr_t start, vaddr_t end);
int share_own_range(struct tlb_batch *b, vaddr_t start, vaddr_t end, u64 most);

/* Room for a region in [start, end), where none is: as above, and no shared table is left in it. */
int share_clear_hole(struct tlb_batch *b, vaddr_t start, vaddr_t end);

/* Empties [start, end) of B's space; tables that others use as well are only let go of. Edges are own. Cannot
 * fail. Tables of one's own that become empty are treated as POLICY says (mm/ptreclaim.h). PEAK: the
 * space's is looked for before (mm/peak.c). The pages that were in own ones. */
u64 share_zap(struct tlb_batch *b, vaddr_t start, vaddr_t end, enum pt_reclaim policy, bool peak);

/* Lets go of CHILD, which T's entry for VA points to, if it is empty (SURE: whatever is in it); others use it as well.
 * T is own and B's space locked; or CUT, which every user maps there, is being cut (its map_lock is held). Flushes. */
void share_let_go(struct tlb_batch *b, struct frame *t, vaddr_t va, struct frame *child, bool sure, struct pcache *cut);

/* Fork: lets CHILD, which has no tables, use PARENT's from the level on that fork_share names. -ENOMEM. */
int share_fork(struct tlb_batch *b, struct space *parent, struct space *child);

/* Lets go of all tables of S below the root, which no CPU has loaded. The number of pages in those that had no
 * other user. */
u64 share_drop_all(struct tlb_batch *b, struct space *s);
