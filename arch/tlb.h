/* SPDX-License-Identifier: MIT */
/*
 * Owns: what a CPU's TLB can be told to do. mm/tlb.c decides what to tell it; the host tests replace
 * this file by a model that remembers stale entries.
 */
#pragma once
#include "arch/cpu.h"

/* Forgets VA, or everything but global entries, on this CPU. */
static inline void arch_tlb_flush_page(vaddr_t va) { cpu_invlpg(va); }
static inline void arch_tlb_flush_all(void) { write_cr3(read_cr3()); }

/* Makes the tables under ROOT the current ones on this CPU; flushes all that is not global. */
static inline void arch_load_root(paddr_t root) { write_cr3(root); }

/* Has the CPUs of MASK (bit per CPU; not this one) forget COUNT pages at VA, or all when COUNT is 0;
 * returns when every one has. Answers others' requests while it waits. */
void arch_tlb_shootdown(u64 mask, const vaddr_t *va, unsigned count);
