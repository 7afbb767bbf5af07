/* SPDX-License-Identifier: MIT */
/*
 * Owns: finding devices on PCI bus 0, their capabilities, registers and message interrupts (MSI-X). What the
 * firmware has assigned is used as it is. Used at boot only, on one CPU: no lock.
 */
#pragma once
#include "kernel/base/types.h"

enum { PCI_CAP_VENDOR = 0x09, PCI_CAP_MSIX = 0x11, PCI_MOST_CAPABILITIES = 48 };

/* A function of a device: slot << 3 | function. */
typedef u16 pci_t;

/* The first function at or after *AT of vendor VENDOR; moves *AT past it. Its device number, or 0: no more. */
u16 pci_next(pci_t *at, u16 vendor, pci_t *found);

u8 pci_read8(pci_t d, u8 at);
u16 pci_read16(pci_t d, u8 at);
u32 pci_read32(pci_t d, u8 at);

/* Where capability ID begins in D's configuration space, after FROM (0: the first); 0: there is none. */
u8 pci_capability(pci_t d, u8 id, u8 from);

/* Lets D answer at its addresses and read memory itself; its line interrupt is off. */
void pci_enable(pci_t d);

/* SIZE bytes from OFFSET of D's base address register BAR on, mapped uncached for good. NULL: no such memory
 * register, or no memory for tables. */
volatile void *pci_map(pci_t d, unsigned bar, u32 offset, u32 size);

/* FN(ARG) is called, on the boot CPU, when D sends message 0; the others are masked. 0; -ENODEV: D has no MSI-X;
 * -ENOMEM. */
int pci_attach_message(pci_t d, void (*fn)(void *arg), void *arg);
