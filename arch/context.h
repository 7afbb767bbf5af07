/* SPDX-License-Identifier: MIT */
/*
 * Owns: what of a thread the machine must keep while another runs: its kernel stack pointer, the FS and
 * GS bases, the FPU. The scheduler (kernel/sched.c) is the only caller of context_switch.
 */
#pragma once
#include "arch/trap.h"

struct context {
	u64 rsp;		/* kernel stack pointer while not running */
	u64 stack_top;		/* one past the kernel stack; the trapframe of user mode ends here */
	u64 fs_base, gs_base;	/* of user mode */
	void *fpu;		/* fpu_size bytes, 64-aligned; NULL for kernel threads */
};

extern size_t fpu_size;

/* A fresh FPU state (as at exec), or a copy. Both save areas belong to the caller. */
void fpu_init(void *fpu);
/* Writes the live FPU state of the running thread into its own save area (before fork, signals). */
void fpu_save(struct context *running);
void fpu_load(struct context *running);

/* Prepares C so that the first switch to it calls ENTRY(ARG), with interrupts off, on the stack that
 * ends at STACK_TOP. ENTRY must not return. */
void context_init(struct context *c, u64 stack_top, void (*entry)(void *), void *arg);

/* Saves the running context in FROM and continues TO: stack, FS/GS bases, FPU, TSS.rsp0. */
void context_switch(struct context *from, struct context *to);

/* Where the trapframe of the user mode of a thread with context C lies. */
static inline struct trapframe *context_frame(const struct context *c)
{
	return (struct trapframe *)c->stack_top - 1;
}

/* Set FS base or GS base of the running thread (user's), now and in C. */
void context_set_fs(struct context *c, u64 base);
void context_set_gs(struct context *c, u64 base);
u64 context_get_fs(const struct context *c);
u64 context_get_gs(const struct context *c);
