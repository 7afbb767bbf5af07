/* SPDX-License-Identifier: MIT */
/*
 * Owns: what the rest of the kernel asks of the machine at large: where memory is, what was booted
 * with it, the time, timers, other CPUs, the way out.
 */
#pragma once
#include "arch/layout.h"
#include "kernel/base/types.h"

extern char __kernel_start[], __text_end[], __rodata_end[], __kernel_end[];

struct memory_range { paddr_t start, end; };

/* Filled by boot/ from multiboot2 or PVH, before mm starts. */
struct boot_info {
	struct memory_range ram[64];	/* usable, page-aligned, ascending, disjoint; without kernel and initrd */
	unsigned nr_ram;
	paddr_t ram_end;		/* end of the highest usable byte */
	paddr_t initrd_start, initrd_end;	/* 0, 0: none; not page-aligned */
	paddr_t rsdp;			/* ACPI root pointer, 0: look for it */
	const char *loader;		/* "pvh", "multiboot2" */
	char cmdline[2048];
};
extern struct boot_info boot_info;

/* Nanoseconds since boot, monotonic; seconds since 1970 at boot. */
u64 clock_ns(void);
u64 clock_boot_epoch(void);
u64 clock_tsc_khz(void);

/* The next IRQ_TIMER on this CPU comes at DEADLINE (ns since boot); replaces the one set before.
 * U64 max: none. */
void timer_arm(u64 deadline_ns);

/* Entropy from the CPU if it has any, else from time: for the seed of the random generator. */
u64 arch_random_seed(void);

/* Interrupt controller. Legacy line N (0..15) arrives as vector IRQ_BASE + N on the boot CPU and calls FN(ARG) from
 * now on; it is acknowledged before. */
void irq_attach(unsigned line, void (*fn)(void *arg), void *arg);
/* FN(ARG) is called, on the boot CPU, whenever a device writes the message *M. False: no vector is left. */
struct message { paddr_t address; u32 data; };
bool irq_attach_message(struct message *m, void (*fn)(void *arg), void *arg);
void irq_ack(void);
void ipi_resched(u32 cpu);

/* Leaves the machine. The verdict goes out by the debug console, then the exit device; halts if there
 * is neither. */
void machine_exit(unsigned status) __noreturn;		/* orderly: "exit N" */
void machine_panic_exit(void) __noreturn;		/* "panic" */
void machine_boot_failed(const char *why) __noreturn;	/* one line, "boot-failed WHY" */

/* For /proc/cpuinfo: writes the text of CPU into BUF; its length. */
size_t arch_cpuinfo(u32 cpu, char *buf, size_t size);

/* Function name and offset of a kernel text address; NULL when unknown. */
const char *ksym_lookup(u64 addr, u64 *offset);
