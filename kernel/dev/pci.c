/* SPDX-License-Identifier: MIT */
/*
 * Owns: PCI by configuration mechanism 1: an address at port 0xcf8, the word there at 0xcfc. Registers of
 * devices are mapped one after another in the second half of the kernel's area for mappings at run time, whose
 * first half is for stacks. Never unmapped.
 */
#include "kernel/dev/pci.h"
#include "arch/cpu.h"
#include "arch/machine.h"
#include "kernel/base/errno.h"
#include "mm/pgtable.h"

enum { CONFIG_ADDRESS = 0xcf8, CONFIG_DATA = 0xcfc };
enum { VENDOR = 0, DEVICE = 2, COMMAND = 4, STATUS = 6, HEADER_TYPE = 14, BAR0 = 16, CAPABILITIES = 0x34 };
enum { COMMAND_MEMORY = 2, COMMAND_MASTER = 4, COMMAND_NO_LINE = 1 << 10, STATUS_CAPABILITIES = 16 };
enum { BAR_IO = 1, BAR_TYPE = 6, BAR_64 = 4, NR_BARS = 6 };
enum { MSIX_CONTROL = 2, MSIX_TABLE = 4, MSIX_ENABLE = 1 << 15, MSIX_MASKED = 1 };
enum { NR_FUNCTIONS = 256 };

static vaddr_t next_va = KVA_BASE + KVA_SIZE / 2;

static void select(pci_t d, u8 at)
{
	outl(CONFIG_ADDRESS, 1U << 31 | (u32)d << 8 | (at & 0xfc));
}

u32 pci_read32(pci_t d, u8 at)
{
	select(d, at);
	return inl(CONFIG_DATA);
}

u16 pci_read16(pci_t d, u8 at)
{
	return (u16)(pci_read32(d, at) >> (at & 2) * 8);
}

u8 pci_read8(pci_t d, u8 at)
{
	return (u8)(pci_read32(d, at) >> (at & 3) * 8);
}

static void write16(pci_t d, u8 at, u16 value)
{
	select(d, at);
	outw(CONFIG_DATA + (at & 2), value);
}

u16 pci_next(pci_t *at, u16 vendor, pci_t *found)
{
	while (*at < NR_FUNCTIONS) {
		pci_t d = *at;
		bool single = d % 8 == 0 && !(pci_read8(d, HEADER_TYPE) & 0x80);

		*at += single ? 8 : 1;
		if (pci_read16(d, VENDOR) == vendor) {
			*found = d;
			return pci_read16(d, DEVICE);
		}
	}
	return 0;
}

u8 pci_capability(pci_t d, u8 id, u8 from)
{
	u8 at = from ? pci_read8(d, from + 1) : pci_read16(d, STATUS) & STATUS_CAPABILITIES ? pci_read8(d, CAPABILITIES) : 0;

	for (unsigned i = 0; i < PCI_MOST_CAPABILITIES && at >= 0x40; i++, at = pci_read8(d, at + 1))
		if (pci_read8(d, at) == id)
			return at;
	return 0;
}

void pci_enable(pci_t d)
{
	write16(d, COMMAND, pci_read16(d, COMMAND) | COMMAND_MEMORY | COMMAND_MASTER | COMMAND_NO_LINE);
}

volatile void *pci_map(pci_t d, unsigned bar, u32 offset, u32 size)
{
	u32 low = bar < NR_BARS ? pci_read32(d, BAR0 + 4 * bar) : BAR_IO;
	paddr_t pa = low & ~0xfU;

	if ((low & BAR_TYPE) == BAR_64 && bar + 1 < NR_BARS)
		pa |= (u64)pci_read32(d, BAR0 + 4 * bar + 4) << 32;
	if (low & BAR_IO || !pa || !size)
		return NULL;
	pa += offset;
	unsigned n = ((pa & ~PAGE_MASK) + size + PAGE_SIZE - 1) >> PAGE_SHIFT;
	vaddr_t va = next_va;
	if (n > 256 || pt_map_device(va, pa & PAGE_MASK, n))
		return NULL;
	next_va += n * PAGE_SIZE;
	return (volatile void *)(va + (pa & ~PAGE_MASK));
}

int pci_attach_message(pci_t d, void (*fn)(void *arg), void *arg)
{
	u8 cap = pci_capability(d, PCI_CAP_MSIX, 0);
	u32 table = cap ? pci_read32(d, cap + MSIX_TABLE) : 0;
	u16 control = cap ? pci_read16(d, cap + MSIX_CONTROL) : 0;
	struct message m;

	if (!cap)
		return -ENODEV;
	volatile u32 *entry = pci_map(d, table & 7, table & ~7U, 16 * ((control & 0x7ff) + 1U));
	if (!entry || !irq_attach_message(&m, fn, arg))
		return -ENOMEM;
	for (unsigned i = 0; i <= (control & 0x7ff); i++)
		entry[4 * i + 3] = MSIX_MASKED;
	entry[0] = (u32)m.address;
	entry[1] = (u32)(m.address >> 32);
	entry[2] = m.data;
	entry[3] = 0;
	write16(d, cap + MSIX_CONTROL, MSIX_ENABLE);
	return 0;
}
