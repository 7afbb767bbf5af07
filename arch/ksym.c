/* SPDX-License-Identifier: MIT */
/*
 * Owns: names of functions by address, from the table that tools/ksyms.py makes of the linked kernel.
 * Constant; callers are reports.
 */
#include "arch/machine.h"

extern const u32 ksym_count, ksym_addr[], ksym_name_off[];
extern const char ksym_names[];

const char *ksym_lookup(u64 addr, u64 *offset)
{
	u64 at = addr - (u64)__kernel_start;
	u32 low = 0, high = ksym_count;

	if (addr < (u64)__kernel_start || addr >= (u64)__text_end || !high || at < ksym_addr[0])
		return NULL;
	while (high - low > 1) {
		u32 middle = low + (high - low) / 2;

		if (ksym_addr[middle] <= at)
			low = middle;
		else
			high = middle;
	}
	*offset = at - ksym_addr[low];
	return ksym_names + ksym_name_off[low];
}
