/* SPDX-License-Identifier: MIT */
/*
 * Owns: what CPUs ask of each other. One CPU runs now: nobody can be asked, and a request is a bug. When
 * others come, requests go out by apic_send_ipi() and are answered from their interrupts and from
 * arch_spin_wait(), so that a CPU that waits for a lock still flushes.
 */
#include "arch/cpu.h"
#include "arch/machine.h"
#include "arch/tlb.h"
#include "kernel/base/percpu.h"
#include "kernel/base/print.h"

void arch_spin_wait(void)
{
	cpu_pause();
}

void arch_tlb_shootdown(u64 mask, const vaddr_t *va, unsigned count)
{
	(void)va;
	(void)count;
	BUG_ON(mask);
}

void ipi_resched(u32 cpu)
{
	BUG_ON(cpu != this_cpu(cpu_number));
}
