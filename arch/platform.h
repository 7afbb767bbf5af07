/* SPDX-License-Identifier: MIT */
/*
 * Owns: what the firmware's tables say of CPUs and interrupt controllers, and the order in which arch/
 * starts. Filled by boot/acpi.c before the lasting tables are made; constant afterwards.
 */
#pragma once
#include "arch/machine.h"

#define MAX_IOAPICS 4

struct platform {
	bool madt;			/* a usable MADT was found */
	paddr_t lapic;
	unsigned nr_ioapics, nr_cpus;	/* nr_cpus: enabled ones */
	struct { paddr_t pa; u32 gsi_base; } ioapic[MAX_IOAPICS];
	struct { u32 gsi; bool level, low; } line[16];	/* where each legacy line arrives */
	u8 apic_id[64];			/* of the enabled ones, the boot CPU's among them */
	unsigned nr_beyond;		/* more than there is room for, or whose id needs x2APIC */
};
extern struct platform platform;

/* Stacks of the boot CPU, each above a guard page that boot/map.c leaves unmapped. Those of IST_* serve
 * what may come at any instruction; their topmost word holds the CPU's GS base (arch/entry.S). */
#define GUARDED_STACK 0x4000
enum { STACK_BOOT, IST_NMI, IST_DF, IST_MC, IST_DB, NR_GUARDED_STACKS };
extern u8 guarded_stacks[NR_GUARDED_STACKS][GUARDED_STACK];

/* What panics and ^P say of the running thread: set by kernel/main.c. NULL: nothing yet. */
extern void (*panic_describe)(char *buf, size_t size);

/* Descriptor tables and trap stubs of the boot CPU; nothing may fault before. */
void traps_init(void);
/* The same for the running CPU, another than the boot CPU: its own stacks by their ends. */
void traps_init_cpu(const u64 stack_top[NR_GUARDED_STACKS]);
/* CR0, CR4, EFER, FPU, system-call entry, the user-access instructions: from what the CPU has. Before
 * text is mapped read-only. */
void cpu_init(void);
void cpu_registers(void);		/* again, on another CPU */
/* What the machine-check banks hold, for a panic. */
void machine_check_print(void);
/* Interrupt controllers; lines stay masked. NULL, or why not. */
const char *apic_init(void);
void apic_init_cpu(void);		/* another CPU's own */
u8 apic_own_id(void);
/* The clock and this CPU's timer, calibrated. */
void clock_init(void);
/* This CPU's timer counts down from all ones between begin and end, which returns how far it came; start
 * has it interrupt after TICKS (0: never), deadline when the TSC reaches a value (0: never). */
void apic_timer_begin(void);
u32 apic_timer_end(void);
void apic_timer_start(u32 ticks);
void apic_timer_deadline(u64 tsc);

/* Interrupts the CPU with APIC_ID: COMMAND is a vector, or one of these. */
enum { IPI_NMI = 0x400, IPI_INIT = 0x4500, IPI_STARTUP = 0x4600 };	/* STARTUP: | page number of the code */
void apic_send(u8 apic_id, u32 command);

/* Other CPUs: arch/smp.c. */
extern u8 cpu_apic_id[];		/* by CPU number; set before the CPU starts */
/* What a CPU that is not the boot CPU does first, on its own GS base and the lasting tables. */
void cpu_start_here(const u64 stack_top[NR_GUARDED_STACKS]);
void ipi_stop_others(void);		/* they halt for good; from panics, any state */
void arch_ipi(unsigned vector);		/* IRQ_IPI_TLB has come */

/* The CPU features that arch/ decides by. */
struct cpu_features {
	bool smep, smap, umip, xsave, gib_pages, tsc_deadline, mca, pcid, rdrand, rdseed;
};
extern struct cpu_features cpu_features;

static inline void cpuid(u32 leaf, u32 sub, u32 r[4])
{
	__asm__ volatile("cpuid" : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3]) : "a"(leaf), "c"(sub));
}
