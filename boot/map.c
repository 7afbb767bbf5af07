/* SPDX-License-Identifier: MIT */
/*
 * Owns: the lasting tables of the kernel's half: the kernel's image by 4 KiB pages, each with the rights
 * of its section and none for the guards under stacks; all of RAM at DIRECT_BASE, never executable, by
 * the largest pages that fit, the kernel's text and constants read-only there too; interrupt
 * controllers, uncached, at their place in the direct map. Nothing is mapped below. Tables come from the
 * top of RAM below 4 GiB, which the early tables reach, and are taken out of boot_info.ram.
 */
#include "arch/cpu.h"
#include "arch/platform.h"
#include "arch/pte.h"
#include "boot/boot.h"
#include "kernel/base/string.h"

enum { PERMANENT = PTE_GLOBAL | PTE_YOUNG | PTE_DIRTY };

extern char __stacks_start[], __stacks_end[], __scratch_end[];

static pte_t *root;
static paddr_t bump, bump_floor;	/* tables are taken from below BUMP, not beyond FLOOR */

static paddr_t kernel_pa(const char *symbol)
{
	return (paddr_t)symbol - KERNEL_BASE;
}

static void *at_pa(paddr_t pa)
{
	return (void *)(DIRECT_BASE + pa);
}

/* A zeroed page; NULL when there is none left. */
static void *bump_page(void)
{
	if (bump == bump_floor)
		return NULL;
	bump -= PAGE_SIZE;
	return memset(at_pa(bump), 0, PAGE_SIZE);
}

/* Looks for room of at least 512 KiB below 4 GiB, from the top, beside kernel and initrd. */
static bool find_room(void)
{
	for (unsigned i = boot_info.nr_ram; i-- > 0;) {
		paddr_t start = boot_info.ram[i].start, end = MIN(boot_info.ram[i].end, GiB(4));
		paddr_t file = ALIGN_DOWN(boot_info.initrd_start, PAGE_SIZE), kernel = kernel_pa(__scratch_end);

		if (start < kernel)
			start = ALIGN_UP(kernel, PAGE_SIZE);
		if (file >= start && file < end) {
			if (boot_info.initrd_end + KiB(512) <= end)
				start = ALIGN_UP(boot_info.initrd_end, PAGE_SIZE);
			else
				end = file;
		}
		if (end > start && end - start >= KiB(512)) {
			bump = end;
			bump_floor = start;
			return true;
		}
	}
	return false;
}

/* Maps [PA, END) at VA by the largest pages allowed; false when out of memory. */
static bool map(vaddr_t va, paddr_t pa, paddr_t end, unsigned flags, unsigned largest)
{
	while (pa < end) {
		pte_t *table = root;
		unsigned level = largest;

		while (((va | pa) & (pt_span(level) - 1)) || end - pa < pt_span(level))
			level--;
		for (unsigned l = PT_LEVELS; l > level; l--) {
			pte_t *slot = &table[pt_index(va, l)];

			if (!*slot) {
				void *page = bump_page();

				if (!page)
					return false;
				*slot = pte_kernel_table((paddr_t)page - DIRECT_BASE);
			}
			table = at_pa(pte_pa(*slot));
		}
		table[pt_index(va, level)] = level > 1 ? pte_leaf_large(pa, flags) : pte_leaf(pa, PTE_CLASS_NONE, flags);
		va += pt_span(level);
		pa += pt_span(level);
	}
	return true;
}

static bool map_image(const char *from, const char *to, unsigned flags)
{
	return map((vaddr_t)from, kernel_pa(from), kernel_pa(to), flags | PERMANENT, 1);
}

static bool map_stacks(void)
{
	for (unsigned i = 0; i < NR_GUARDED_STACKS; i++)
		if (!map_image((char *)guarded_stacks[i] + PAGE_SIZE, (char *)guarded_stacks[i + 1], PTE_WRITE))
			return false;
	return true;
}

static bool map_ram(unsigned largest)
{
	paddr_t text = kernel_pa(__kernel_start), data = kernel_pa(__rodata_end);

	for (unsigned i = 0; i < boot_info.nr_ram; i++) {
		paddr_t pa = boot_info.ram[i].start, end = boot_info.ram[i].end;

		while (pa < end) {
			bool constant = pa >= text && pa < data;
			paddr_t stop = constant ? MIN(end, data) : pa < text ? MIN(end, text) : end;

			if (!map(DIRECT_BASE + pa, pa, stop, PERMANENT | (constant ? 0 : PTE_WRITE), largest))
				return false;
			pa = stop;
		}
	}
	return true;
}

static bool map_devices(void)
{
	unsigned flags = PERMANENT | PTE_WRITE | PTE_NOCACHE;
	paddr_t pa = ALIGN_DOWN(platform.lapic, PAGE_SIZE);

	if (!map(DIRECT_BASE + pa, pa, pa + PAGE_SIZE, flags, 1))
		return false;
	for (unsigned i = 0; i < platform.nr_ioapics; i++) {
		pa = ALIGN_DOWN(platform.ioapic[i].pa, PAGE_SIZE);
		if (!map(DIRECT_BASE + pa, pa, pa + PAGE_SIZE, flags, 1))
			return false;
	}
	return true;
}

const char *boot_map(paddr_t *root_pa)
{
	paddr_t top;

	if (!find_room())
		return "too little memory";
	top = bump;
	root = bump_page();
	if (!map_image(__kernel_start, __text_end, PTE_EXEC) || !map_image(__text_end, __rodata_end, 0) ||
	    !map_image(__rodata_end, __stacks_start, PTE_WRITE) || !map_stacks() ||
	    !map_image(__stacks_end, __kernel_end, PTE_WRITE) || !map_ram(cpu_features.gib_pages ? 3 : 2) ||
	    !map_devices())
		return "too little memory for page tables";
	*root_pa = (paddr_t)root - DIRECT_BASE;
	write_cr3(*root_pa);
	ram_remove(bump, top);
	ram_remove(kernel_pa(__kernel_start), kernel_pa(__kernel_end));
	ram_remove(boot_info.initrd_start, boot_info.initrd_end);
	return NULL;
}
