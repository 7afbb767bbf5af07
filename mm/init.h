/* SPDX-License-Identifier: MIT */
/* Owns: the order in which mm/ starts (mm/init.c). */
#pragma once
#include "kernel/base/types.h"

struct boot_info;
/* Frames from BI's map, the kernel's root from the boot tables (CR3 = ROOT), the small-object caches.
 * NULL, or why memory cannot be used. */
const char *mm_init(const struct boot_info *bi, paddr_t root);
