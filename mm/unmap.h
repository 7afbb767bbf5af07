/* SPDX-License-Identifier: MIT */
/* Owns: unmapping as a step of other verbs (map, remap, brk), in the bracket that the caller has begun. */
#pragma once
#include "mm/space.h"

/* vm_unmap, and the heap ends at BRK then (0: where it did): no fork sees the one without the other. */
long unmap_brk(struct space *s, vaddr_t addr, u64 length, vaddr_t brk);

/* Owns the tables and splits the regions that START and END cut. -ENOMEM: no region is lost, nothing is unmapped. */
int unmap_prepare(struct space *s, struct tlb_batch *b, vaddr_t start, vaddr_t end);

/* Removes the regions and pages of [start, end), at whose edges regions are split; cannot fail. The regions go
 * to *DROPPED, the pages to B; the caller finishes B in the bracket, and frees the list after it. */
void unmap_commit(struct space *s, struct tlb_batch *b, vaddr_t start, vaddr_t end, struct region **dropped);
