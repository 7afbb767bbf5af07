/* SPDX-License-Identifier: MIT */
/*
 * Owns: turning the loader's memory map into frames. Runs once, on the boot CPU, before anything allocates.
 * The array of struct frame (32 bytes per 4 KiB up to the end of memory) is laid at the start of the
 * first range that can hold it.
 */
#include "mm/init.h"
#include "arch/machine.h"
#include "kernel/base/string.h"
#include "mm/pgtable.h"

const char *mm_init(const struct boot_info *bi, paddr_t root)
{
	u64 count = ALIGN_UP(bi->ram_end, PAGE_SIZE) >> PAGE_SHIFT;
	u64 bytes = ALIGN_UP(count * sizeof(struct frame), PAGE_SIZE);
	unsigned at = 0;

	direct_map = (char *)DIRECT_BASE;
	while (at < bi->nr_ram && bi->ram[at].end - bi->ram[at].start < bytes)
		at++;
	if (at == bi->nr_ram)
		return "too little memory for the table of frames";
	struct frame *array = ptr_of_pa(bi->ram[at].start);
	memset(array, 0, bytes);
	frame_init(array, count);
	for (unsigned i = 0; i < bi->nr_ram; i++)
		frame_add_range(bi->ram[i].start + (i == at ? bytes : 0), bi->ram[i].end);
	if (frame_nr_free() < MiB(6) / PAGE_SIZE)
		return "too little memory";
	pt_init(root);
	return mm_start() ? NULL : "too little memory";
}
