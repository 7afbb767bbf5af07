/* SPDX-License-Identifier: MIT */
/*
 * context_switch and the first instructions of a new thread (arch/context.h, arch/context.c). Between the
 * two stacks nothing may fault and interrupts are off. EDX:EAX is all ones for xsave and xrstor: all that
 * XCR0 enables.
 */
#define MSR_FS_BASE 0xc0000100
#define MSR_KERNEL_GS_BASE 0xc0000102

/* Offsets in struct context (checked in arch/context.c). */
#define RSP 0
#define STACK_TOP 8
#define FS_BASE 16
#define GS_BASE 24
#define FPU 32

	.text
	.balign 64
	.globl context_switch, save_site, load_site
context_switch:
	push	%rbp
	push	%rbx
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	mov	%rsp, RSP(%rdi)
	mov	RSP(%rsi), %rsp
	mov	STACK_TOP(%rsi), %rax
	mov	%rax, %gs:kernel_stack_top
	mov	%rax, %gs:cpu_tss + 4		/* rsp0 */

	mov	FPU(%rdi), %rcx
	test	%rcx, %rcx
	jz	1f
	mov	$-1, %eax
	mov	$-1, %edx
save_site:
	xsave64	(%rcx)
1:	mov	FPU(%rsi), %rcx
	test	%rcx, %rcx
	jz	2f
	mov	$-1, %eax
	mov	$-1, %edx
load_site:
	xrstor64 (%rcx)
2:
	/* Always: a program that loads a selector changes its base, and nobody hears of it. */
	mov	FS_BASE(%rsi), %eax
	mov	FS_BASE+4(%rsi), %edx
	mov	$MSR_FS_BASE, %ecx
	wrmsr
	mov	GS_BASE(%rsi), %eax
	mov	GS_BASE+4(%rsi), %edx
	mov	$MSR_KERNEL_GS_BASE, %ecx
	wrmsr
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbx
	pop	%rbp
	ret

/* A new thread: context_init has left the function in RBX, its argument in R12. */
	.balign 16
	.globl context_start
context_start:
	mov	%r12, %rdi
	call	*%rbx
	ud2

	.section .note.GNU-stack, "", @progbits
