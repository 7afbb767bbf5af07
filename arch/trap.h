/* SPDX-License-Identifier: MIT */
/*
 * Owns: the frame that entry code leaves on the kernel stack, and the way into and out of the kernel.
 * The same frame serves traps, interrupts and system calls.
 */
#pragma once
#include "kernel/base/types.h"

struct trapframe {
	u64 r15, r14, r13, r12, rbp, rbx;
	u64 r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi;
	u64 orig_rax;		/* number of the system call, or -1 - vector */
	u64 error;
	u64 rip, cs, rflags, rsp, ss;
};

enum { TRAP_DE = 0, TRAP_DB = 1, TRAP_NMI = 2, TRAP_BP = 3, TRAP_OF = 4, TRAP_BR = 5, TRAP_UD = 6, TRAP_NM = 7,
       TRAP_DF = 8, TRAP_TS = 10, TRAP_NP = 11, TRAP_SS = 12, TRAP_GP = 13, TRAP_PF = 14, TRAP_MF = 16, TRAP_AC = 17,
       TRAP_MC = 18, TRAP_XM = 19, TRAP_CP = 21,
       IRQ_BASE = 32, IRQ_UART1 = 36, IRQ_UART2 = 35, IRQ_TIMER = 0xf0, IRQ_IPI_RESCHED = 0xf1, IRQ_IPI_TLB = 0xf2,
       IRQ_IPI_FREEZE = 0xf3, IRQ_SPURIOUS = 0xff };

/* Selectors, the same as Linux's, and the flags that a program may choose (by sigreturn). */
enum { KERNEL_CS = 0x10, KERNEL_SS = 0x18, USER_SS = 0x2b, USER_CS = 0x33 };
enum { RFLAGS_ALWAYS = 0x2, RFLAGS_TF = 0x100, RFLAGS_IF = 0x200, RFLAGS_DF = 0x400, RFLAGS_RF = 0x10000,
       RFLAGS_AC = 0x40000, RFLAGS_PROGRAM = 0x50dd5 };

static inline bool trap_from_user(const struct trapframe *f)
{
	return f->cs & 3;
}

/* Called by the entry code (arch/entry.S) with interrupts off; implemented by kernel/trap.c. */
void trap_exception(struct trapframe *f, unsigned vector);
void trap_interrupt(struct trapframe *f, unsigned vector);

/* Serves and acknowledges VECTOR, which is neither the timer's nor spurious: a legacy line's handler
 * (irq_attach), a request of another CPU. In arch/apic.c; trap_interrupt hands on to it. */
void arch_interrupt(struct trapframe *f, unsigned vector);

/* System call: implemented by kernel/syscall.c; the result goes to f->rax there. */
void trap_syscall(struct trapframe *f);

/* Last thing before each return to user mode, if thread_work (per CPU) is not 0: signals, preemption.
 * Implemented by kernel/trap.c; the entry code calls it again until the word is 0. */
void trap_user_work(struct trapframe *f);

/* If the faulting instruction of a kernel-mode trap is one that may fault (user copies), sets f->rip to
 * its way out and returns true. */
bool trap_fixup(struct trapframe *f);

/* panic() with the registers of F, the decoded error code and the walk of CR2. */
void panic_trap(const struct trapframe *f, const char *reason) __noreturn __cold;

/* Entry.S: leaves to user mode with frame F, which is at the top of the current kernel stack. */
void trap_return(struct trapframe *f) __noreturn;
