/* SPDX-License-Identifier: MIT */
/*
 * Owns: the verbs of address spaces: map and brk, unmap, protect, remap, advise, lock, populate, each in its file of mm/;
 * lock.c has msync and mincore, too. Addresses and lengths in bytes. All check first and then commit; on an error nothing has
 * changed, unless the man page of the call says that part may have. No lock held by the caller.
 */
#pragma once
#include "mm/space.h"

#define MAX_FILE_PAGES (~0UL >> (PAGE_SHIFT + 1))	/* offsets in files are below 2^63 */

struct vm_map_args {
	vaddr_t addr;		/* hint, or the place with fixed */
	u64 length;
	u32 flags;		/* enum region_flag */
	bool fixed, noreplace, populate;
	struct pcache *cache;	/* a hold is taken for each region */
	u64 pgoff;
	vaddr_t brk;		/* then the heap ends there; 0: where it did */
};

long vm_map(struct space *s, const struct vm_map_args *a);		/* address or -errno */
long vm_unmap(struct space *s, vaddr_t addr, u64 length);
long vm_protect(struct space *s, vaddr_t addr, u64 length, u32 prot);	/* prot: R_READ|R_WRITE|R_EXEC */
long vm_remap(struct space *s, vaddr_t old, u64 old_len, u64 new_len, unsigned flags, vaddr_t new_addr);
long vm_advise(struct space *s, vaddr_t addr, u64 length, int advice);
long vm_brk(struct space *s, vaddr_t brk);				/* the new break, or the old one */
long vm_lock(struct space *s, vaddr_t addr, u64 length, bool lock);
long vm_lock_all(struct space *s, bool lock);				/* every region there is now */
long vm_sync(struct space *s, vaddr_t addr, u64 length, int flags);
/* Called now and then by what may take long, no lock held: lets interrupts and other threads in; true: the thread is
 * to die, stop. NULL: nobody to ask. Set once at boot. */
extern bool (*vm_pause)(void);
/* Called when populating has waited for a page: the caller's process counts a major fault. Set likewise. */
extern void (*vm_major)(void);

long vm_populate(struct space *s, vaddr_t addr, u64 length, bool write);	/* 0 or -errno of the first page that fails */
/* One byte per page into VEC (kernel memory): bit 0 = resident. -ENOMEM if a page is not mapped. */
long vm_mincore(struct space *s, vaddr_t addr, u64 pages, u8 *vec);

/* Drops the pages of [start, end) of S, locked, from the tables (not the regions). Tables at the edges are own (mm/share.h). */
void vm_zap(struct space *s, struct tlb_batch *b, vaddr_t start, vaddr_t end);

/* Drops the pages of file C, which shrinks, from S and, where a table has several users, for them all, who map the
 * same. COPIES: private copies as well. C's map_lock is held. */
void vm_zap_in_place(struct space *s, struct tlb_batch *b, vaddr_t start, vaddr_t end, struct pcache *c, bool copies);

/* A stack of the process: grows down to the limit; returns 0 or -errno. TOP is page-aligned. */
long vm_map_stack(struct space *s, vaddr_t top, u64 initial);
