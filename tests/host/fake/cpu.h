/* SPDX-License-Identifier: MIT */
/*
 * Owns: what the two halves of the fake CPU share: fake/tlb.c (what is remembered, how it is forgotten) and
 * fake/access.c (walks and accesses). A CPU's state is under its mutex, held over one whole access, as
 * an interrupt cannot split an instruction. Nobody else includes this.
 */
#pragma once
#include <pthread.h>
#include "fake.h"

#define TLB_SETS 1024
#define TLB_WAYS 8
#define UPPER 64

struct cached {				/* a page; or, as an upper entry, the leaf table of 2 MiB */
	u64 tag;			/* number of the page, or of the 2 MiB, + 1; 0: nothing */
	struct frame *frame;
	u32 generation;
	u64 pcid;
	bool write, exec, dirty;
};

struct request;

struct fake_cpu {
	pthread_mutex_t mutex;
	bool in_kernel;			/* interrupts off: answers only where it would */
	bool resting;			/* uses no user address until it has come back by tlb_switch_space */
	struct frame *root;
	u64 pcid;
	unsigned turn;			/* for eviction */
	struct request *requests;
	struct cached tlb[TLB_SETS][TLB_WAYS], upper[UPPER];
	u32 filled[TLB_SETS * TLB_WAYS], nr_filled;	/* entries of tlb that may be in use, by index */
};

extern struct fake_cpu fake_cpus[MAX_CPUS];

/* All: the CPU's mutex is held. What is cached under another PCID than the current one is not found. */
struct cached *tlb_find(struct fake_cpu *c, vaddr_t va);
struct cached *tlb_insert(struct fake_cpu *c, vaddr_t va, struct cached what);	/* what.tag is set here */
struct cached *upper_find(struct fake_cpu *c, vaddr_t va);
void upper_insert(struct fake_cpu *c, vaddr_t va, struct cached what);
void cached_drop(struct cached *e);
bool tlb_answer_all(u32 cpu);		/* does what others asked of CPU; did any? */
void tlb_start(void);
