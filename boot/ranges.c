/* SPDX-License-Identifier: MIT */
/*
 * Owns: the arithmetic of boot_info.ram: ascending, disjoint, page-aligned ranges, neighbours merged.
 * When the table is full, memory is left out, never claimed. One CPU, before mm/ starts: no lock.
 */
#include "boot/boot.h"

struct boot_info boot_info;

static void take_out(unsigned i, unsigned n)
{
	struct memory_range *r = boot_info.ram;

	for (; i + n < boot_info.nr_ram; i++)
		r[i] = r[i + n];
	boot_info.nr_ram -= n;
}

static bool put_in(unsigned at, paddr_t start, paddr_t end)
{
	struct memory_range *r = boot_info.ram;

	if (boot_info.nr_ram == ARRAY_SIZE(boot_info.ram))
		return false;
	for (unsigned i = boot_info.nr_ram++; i > at; i--)
		r[i] = r[i - 1];
	r[at] = (struct memory_range){ start, end };
	return true;
}

bool ram_add(paddr_t start, paddr_t end)
{
	struct memory_range *r = boot_info.ram;
	unsigned i = 0, n = 0;

	start = ALIGN_UP(start, PAGE_SIZE);
	end = ALIGN_DOWN(end, PAGE_SIZE);
	if (start >= end)
		return true;
	while (i < boot_info.nr_ram && r[i].end < start)
		i++;
	for (; i + n < boot_info.nr_ram && r[i + n].start <= end; n++) {
		start = MIN(start, r[i + n].start);
		end = MAX(end, r[i + n].end);
	}
	take_out(i, n);
	return put_in(i, start, end);
}

bool ram_remove(paddr_t start, paddr_t end)
{
	struct memory_range *r = boot_info.ram;
	bool all = true;

	start = ALIGN_DOWN(start, PAGE_SIZE);
	end = ALIGN_UP(end, PAGE_SIZE);
	for (unsigned i = 0; i < boot_info.nr_ram && start < end;) {
		paddr_t above = r[i].end;

		if (r[i].end <= start || r[i].start >= end) {
			i++;
			continue;
		}
		if (r[i].start < start) {
			r[i++].end = start;
			if (above > end)
				all = put_in(i, end, above);
		} else if (above > end) {
			r[i].start = end;
		} else {
			take_out(i, 1);
		}
	}
	return all;
}
