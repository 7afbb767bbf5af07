/* SPDX-License-Identifier: MIT */
/*
 * Owns: what a CPU's TLB can be told to do. mm/tlb.c decides what to tell it; the host tests replace
 * this file by a model that remembers stale entries.
 */
#pragma once
#include "arch/cpu.h"

struct space;

extern bool arch_pcids;			/* the CPUs have PCIDs, and they are on */

/* Forgets VA, or everything but global entries, on this CPU: what is cached under the current PCID. */
static inline void arch_tlb_flush_page(vaddr_t va) { cpu_invlpg(va); }
static inline void arch_tlb_flush_all(void) { write_cr3(read_cr3()); }

/* Makes the tables under ROOT the current ones on this CPU, and PCID (where there are any). Flushes what is
 * cached under it and not global, unless KEEP (where there are PCIDs). */
static inline void arch_load_root(paddr_t root, u64 pcid, bool keep)
{
	write_cr3(arch_pcids ? root | pcid | (u64)keep << 63 : root);
}

/* What a CPU asks of others: forget COUNT pages at VA, or all when COUNT is 0. The rest is mm/tlb.c's. */
struct tlb_request {
	struct space *space;		/* NULL: whatever space they are on */
	u64 number;			/* which of the space's flushes it is */
	const vaddr_t *va;
	unsigned count;
	bool upper;
};

/* Has the CPUs of MASK (bit per CPU; not this one) do what R says; returns when every one has. Answers
 * others' requests while it waits. */
void arch_tlb_shootdown(u64 mask, const struct tlb_request *r);

/* mm/tlb.c: does what another CPU asks of this one. Called where interrupts are let in, or in a spin. */
void tlb_answer(const struct tlb_request *r);
