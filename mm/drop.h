/* SPDX-License-Identifier: MIT */
/* Owns: tables that B's space has unlinked, for the files of mm/ that unlink some (share.c, drop.c, move.c). */
#pragma once
#include "mm/pgtable.h"

/* Tables no longer used by B's space, which loses its use only after a flush: its CPUs may walk them until then,
 * and nobody else's flush tells them. */
struct unlinked {
	unsigned n;
	struct frame *table[32];
};

/* Flushes; then each table loses one user, and is emptied and freed if that was the last. */
void drop_unlinked(struct tlb_batch *b, struct unlinked *u);
