/* SPDX-License-Identifier: MIT */
/* Host shadow of arch/tlb.h: the same contract, kept by the model of fake/tlb.c. */
#pragma once
#include "arch/cpu.h"

void arch_tlb_flush_page(vaddr_t va);
void arch_tlb_flush_all(void);
void arch_load_root(paddr_t root);
void arch_tlb_shootdown(u64 mask, const vaddr_t *va, unsigned count);
