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

/*
 * boot/cpus.c: other CPUs. boot_reserve_low() takes the pages that a CPU needs to start in out of
 * boot_info.ram, after boot_read_acpi and before mm/ gets it; boot_low_pages() says which, to be given
 * back in the end (false: none were found).
 */
void boot_reserve_low(void);
bool boot_low_pages(paddr_t *start, paddr_t *end);
/* All CPUs in the list IDS are to wait for boot_start_cpu. Interrupts come in meanwhile. */
void boot_reset_cpus(const u8 *ids, unsigned n);
/* Starts the CPU with APIC_ID on STACK with GS_BASE: it calls ENTRY(ARG) on the tables in force here, and
 * *UP is not 0 in the end. START_NEVER: it did not answer and will not; START_LOST: it began and did not end. */
enum start_result { START_UP, START_NEVER, START_LOST };
enum start_result boot_start_cpu(u8 apic_id, u64 stack_top, u64 gs_base, void (*entry)(void *), void *arg,
				 const u32 *up);

/* boot/ranges.c: adds whole pages of [START, END) to boot_info.ram; takes every page of it out. False
 * when the table is full and something had to be left out. */
bool ram_add(paddr_t start, paddr_t end);
bool ram_remove(paddr_t start, paddr_t end);
