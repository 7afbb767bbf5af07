/* SPDX-License-Identifier: MIT */
/*
 * Owns: single instructions that C lacks, and the few decisions about interrupts.
 *
 * The kernel runs with interrupts off. They are on in user mode, in the idle loop and inside
 * cpu_irq_window(), nowhere else; nothing is therefore locked against interrupts.
 */
#pragma once
#include "kernel/base/types.h"

static inline void outb(u16 port, u8 v) { __asm__ volatile("outb %0, %1" ::"a"(v), "Nd"(port)); }
static inline void outw(u16 port, u16 v) { __asm__ volatile("outw %0, %1" ::"a"(v), "Nd"(port)); }
static inline void outl(u16 port, u32 v) { __asm__ volatile("outl %0, %1" ::"a"(v), "Nd"(port)); }
static inline u8 inb(u16 port) { u8 v; __asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port)); return v; }
static inline u32 inl(u16 port) { u32 v; __asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(port)); return v; }

static inline u64 rdmsr(u32 msr)
{
	u32 lo, hi;
	__asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr));
	return (u64)hi << 32 | lo;
}

static inline void wrmsr(u32 msr, u64 v)
{
	__asm__ volatile("wrmsr" ::"c"(msr), "a"((u32)v), "d"((u32)(v >> 32)) : "memory");
}

static inline u64 rdtsc(void)
{
	u32 lo, hi;
	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return (u64)hi << 32 | lo;
}

static inline u64 read_cr2(void) { u64 v; __asm__ volatile("mov %%cr2, %0" : "=r"(v)); return v; }
static inline u64 read_cr3(void) { u64 v; __asm__ volatile("mov %%cr3, %0" : "=r"(v)); return v; }
static inline void write_cr3(u64 v) { __asm__ volatile("mov %0, %%cr3" ::"r"(v) : "memory"); }
static inline void cpu_invlpg(vaddr_t va) { __asm__ volatile("invlpg (%0)" ::"r"(va) : "memory"); }
static inline void cpu_pause(void) { __asm__ volatile("pause"); }

/* Once per turn of a loop that waits for another CPU: pauses, and answers TLB shootdowns. */
void arch_spin_wait(void);

/* Until arch_thaw_others() every other CPU waits outside the kernel (or where it lets interrupts in), answering
 * shootdowns: for the checker, which compares sums over all CPUs. The caller holds no lock. Unless one MUST, the others
 * go on for as long as they stood last: false, nothing is frozen. One CPU alone never says so. */
bool arch_freeze_others(bool must);
void arch_thaw_others(void);

/* Lets pending interrupts in, for a long operation that holds no lock. */
static inline void cpu_irq_window(void) { __asm__ volatile("sti\n\tnop\n\tcli" ::: "memory"); }

/* What the idle loop does until an interrupt has been served, and what that does first. */
void arch_idle(void);
void arch_idle_over(void);

/* Sleeps until an interrupt has been served. */
static inline void cpu_idle(void) { __asm__ volatile("sti\n\thlt\n\tcli" ::: "memory"); }

/* Clears, copies, one page; rep stosq and rep movsq, 512 steps each (see DESIGN: unit of cost). */
static inline void cpu_clear_page(void *page)
{
	u64 n = PAGE_SIZE / 8;
	__asm__ volatile("rep stosq" : "+D"(page), "+c"(n) : "a"(0UL) : "memory");
}

static inline void cpu_copy_page(void *dst, const void *src)
{
	u64 n = PAGE_SIZE / 8;
	__asm__ volatile("rep movsq" : "+D"(dst), "+S"(src), "+c"(n)::"memory");
}
