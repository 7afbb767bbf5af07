/* SPDX-License-Identifier: MIT */
/* Host shadow of arch/tlb.h: the same contract, kept by the model of fake/tlb.c. */
#pragma once
#include "arch/cpu.h"

struct space;

extern bool arch_pcids;

void arch_tlb_flush_page(vaddr_t va);
void arch_tlb_flush_all(void);
void arch_load_root(paddr_t root, u64 pcid, bool keep);

struct tlb_request {
	struct space *space;
	u64 number;
	const vaddr_t *va;
	unsigned count;
	bool upper;
};
void arch_tlb_shootdown(u64 mask, const struct tlb_request *r);
void tlb_answer(const struct tlb_request *r);
