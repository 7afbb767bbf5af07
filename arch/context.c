/* SPDX-License-Identifier: MIT */
/*
 * Owns: the state of a thread that the machine keeps: its first stack, FS and GS bases, FPU areas. The
 * switch itself is arch/switch.S. The kernel never touches the FPU, so what a program left in it is
 * live from its entry to the next switch. Callers: kernel/sched.c, clone, exec, signals, arch_prctl.
 */
#include "arch/context.h"
#include "arch/cpu.h"
#include "arch/fixup.h"
#include "kernel/base/print.h"
#include "kernel/base/string.h"

enum { MSR_FS_BASE = 0xc0000100, MSR_KERNEL_GS_BASE = 0xc0000102 };

_Static_assert(offsetof(struct context, rsp) == 0 && offsetof(struct context, stack_top) == 8 &&
	       offsetof(struct context, fs_base) == 16 && offsetof(struct context, gs_base) == 24 &&
	       offsetof(struct context, fpu) == 32, "switch.S");

size_t fpu_size = 512;
static bool have_xsave;

void fpu_setup(bool xsave, size_t size);
void context_start(void);	/* switch.S */

void fpu_setup(bool xsave, size_t size)
{
	have_xsave = xsave;
	fpu_size = ALIGN_UP(size, 64);
}

void fpu_init(void *fpu)
{
	memset(fpu, 0, fpu_size);
	((u16 *)fpu)[0] = 0x37f;	/* FCW: all exceptions masked, extended precision */
	((u32 *)fpu)[6] = 0x1f80;	/* MXCSR: all masked */
}

void fpu_save(struct context *running)
{
	if (!running->fpu)
		return;
	if (have_xsave)
		__asm__ volatile("xsave64 (%0)" :: "r"(running->fpu), "a"(-1), "d"(-1) : "memory");
	else
		__asm__ volatile("fxsave64 (%0)" :: "r"(running->fpu) : "memory");
}

void fpu_load(struct context *running)
{
	bool bad = true;

	if (!running->fpu)
		return;
	/* An image that the CPU refuses (#GP) is replaced by a fresh one. */
	if (have_xsave)
		__asm__ volatile("1:\txrstor64 (%1)\n\tmovb $0, %0\n2:" EX_TABLE(1b, 2b)
				 : "+m"(bad) : "r"(running->fpu), "a"(-1), "d"(-1) : "memory");
	else
		__asm__ volatile("1:\tfxrstor64 (%1)\n\tmovb $0, %0\n2:" EX_TABLE(1b, 2b)
				 : "+m"(bad) : "r"(running->fpu) : "memory");
	if (bad) {
		fpu_init(running->fpu);
		fpu_load(running);
	}
}

void context_init(struct context *c, u64 stack_top, void (*entry)(void *), void *arg)
{
	u64 *sp = (u64 *)(stack_top - sizeof(struct trapframe));

	ASSERT(!(stack_top & 15));
	*--sp = (u64)context_start;
	*--sp = 0;			/* rbp: an end for backtraces */
	*--sp = (u64)entry;		/* rbx */
	*--sp = (u64)arg;		/* r12 */
	*--sp = 0;
	*--sp = 0;
	*--sp = 0;
	c->rsp = (u64)sp;
	c->stack_top = stack_top;
}

void context_set_fs(struct context *c, u64 base)
{
	c->fs_base = base;
	wrmsr(MSR_FS_BASE, base);
}

void context_set_gs(struct context *c, u64 base)
{
	c->gs_base = base;
	wrmsr(MSR_KERNEL_GS_BASE, base);
}

u64 context_get_fs(const struct context *c)
{
	return c->fs_base;
}

u64 context_get_gs(const struct context *c)
{
	return c->gs_base;
}
