/* SPDX-License-Identifier: MIT */
/*
 * Owns: the way from the loader to lasting page tables. Called once each by kernel/main.c, in this
 * order. Physical memory is reached at DIRECT_BASE all along: its first 4 GiB until boot_map() has
 * run, all of RAM afterwards.
 */
#pragma once
#include "arch/machine.h"

/* Fills boot_info from what the loader left at INFO (MAGIC says who it was). NULL, or why not. */
const char *boot_read(u32 magic, paddr_t info);

/* Finds CPUs and interrupt controllers in the ACPI tables: fills `platform` (arch/platform.h). */
void boot_read_acpi(void);

/* Makes the lasting tables of the kernel's half out of boot_info.ram, and leaves the early ones. The
 * root's address goes to *ROOT. NULL, or why not. */
const char *boot_map(paddr_t *root);

/* boot/ranges.c: adds whole pages of [START, END) to boot_info.ram; takes every page of it out. False
 * when the table is full and something had to be left out. */
bool ram_add(paddr_t start, paddr_t end);
bool ram_remove(paddr_t start, paddr_t end);
