/* SPDX-License-Identifier: MIT */
/*
 * Host shadow of arch/cpu.h: what mm/ asks of a CPU. A waiting CPU and one that opens its interrupt
 * window answer the TLB requests of others, as the real ones do; nowhere else in kernel mode.
 */
#pragma once
#include <string.h>
#include "kernel/base/types.h"

void arch_spin_wait(void);
void cpu_irq_window(void);
void fake_jitter(void);		/* with threads: lets another one run, now and then */
static inline void cpu_pause(void) {}
bool arch_freeze_others(bool must);	/* as if always MUST */
void arch_thaw_others(void);

static inline void cpu_clear_page(void *page)
{
	fake_jitter();
	memset(page, 0, PAGE_SIZE);
}

/* Word by word: a program may write the source meanwhile, and that race is the program's. */
static inline void cpu_copy_page(void *dst, const void *src)
{
	fake_jitter();
	for (unsigned i = 0; i < PAGE_SIZE / 8; i++)
		((u64 *)dst)[i] = __atomic_load_n((const u64 *)src + i, __ATOMIC_RELAXED);
}
