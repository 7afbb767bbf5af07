/* SPDX-License-Identifier: MIT */
/* Owns: the order in which mm/ starts. */
#pragma once
#include "kernel/base/types.h"

struct boot_info;

/* Frames from BI's map, the kernel's root from the boot tables (CR3 = ROOT), then mm_start(). NULL, or why
 * memory cannot be used. The array of frames is taken out of BI's largest range. */
const char *mm_init(const struct boot_info *bi, paddr_t root);

/* The zero page and the like; the frame allocator and pt_init come before. false: no memory. */
bool mm_start(void);
