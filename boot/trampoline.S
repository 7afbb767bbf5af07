/* SPDX-License-Identifier: MIT */
/*
 * Where a CPU that is not the boot CPU starts: in real mode, at the beginning of a page below 1 MiB that
 * boot/cpus.c has copied this to and filled in. It goes to long mode on tables that map that page
 * where it is and the kernel where it belongs, and calls entry(argument). It first claims the start: a
 * CPU that comes after nobody waits for it any more halts.
 */
#include "boot/long_mode.inc"

	.section .rodata
	.globl trampoline_start, trampoline_end, trampoline_data
	.balign 16
trampoline_start:
	.code16
	cli
	cld
	mov	%cs, %ax
	mov	%ax, %ds
	mov	$1, %eax			/* claimed with the own APIC id */
	cpuid
	mov	%ebx, %eax
	shr	$24, %eax
	or	$0x100, %eax
	mov	$2, %ecx
	lock cmpxchgl %ecx, (claim - trampoline_start)
	jne	2f
	xor	%ebx, %ebx
	mov	%cs, %bx
	shl	$4, %ebx			/* where this page is */
	lgdtl	(gdt_pointer - trampoline_start)
	mov	$0x11, %eax			/* ET PE */
	mov	%eax, %cr0
	ljmpl	*(far32 - trampoline_start)
2:	hlt
	jmp	2b

	.code32
mode32:
	mov	$0x10, %eax
	mov	%eax, %ds
	mov	%eax, %ss
	PAGING_ON "(root - trampoline_start)(%ebx)"
	ljmpl	*(far64 - trampoline_start)(%ebx)

	.code64
mode64:
	NO_SEGMENTS
	mov	(gs_base - trampoline_start)(%rbx), %eax
	mov	(gs_base - trampoline_start + 4)(%rbx), %edx
	mov	$0xc0000101, %ecx
	wrmsr
	mov	(stack - trampoline_start)(%rbx), %rsp
	mov	(argument - trampoline_start)(%rbx), %rdi
	mov	(entry - trampoline_start)(%rbx), %rax
	xor	%ebp, %ebp
	push	%rbp
	jmp	*%rax

	.balign 8
gdt:	.quad 0
	.quad 0x00cf9b000000ffff		/* 0x08: 32-bit code */
	.quad 0x00cf93000000ffff		/* 0x10: data */
	.quad 0x00af9b000000ffff		/* 0x18: 64-bit code */
gdt_pointer:
	.short . - gdt - 1
	.long gdt - trampoline_start		/* + the page, as all three: boot/cpus.c */
far32:	.long mode32 - trampoline_start
	.short 8
far64:	.long mode64 - trampoline_start
	.short 0x18

	/* struct start_data in boot/cpus.c */
	.balign 8
trampoline_data:
stack:	.quad 0
gs_base: .quad 0
entry:	.quad 0
argument: .quad 0
root:	.long 0
claim:	.long 0
	.short gdt_pointer - trampoline_start + 2, far32 - trampoline_start, far64 - trampoline_start
trampoline_end:

	.section .note.GNU-stack, "", @progbits
