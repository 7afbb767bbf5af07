/* SPDX-License-Identifier: MIT */
/*
 * Copies to and from user memory (arch/user.h): by eight bytes while that goes, the rest by one. A fault
 * among the eights begins the rest there, one by one, so that the count of what is left is exact.
 * RAX is the number of bytes not done.
 */
.macro SITE code
771:	.byte 0x0f, 0x1f, 0x00
	.pushsection .smap_sites, "a"
	.quad 771b, \code
	.popsection
.endm

.macro MAY_FAULT at, out
	.pushsection __ex_table, "a"
	.quad \at, \out
	.popsection
.endm

/* Is [\from, +RDX) below USER_END? RAX and RCX are free. */
.macro CHECK from
	mov	%rdx, %rax
	mov	\from, %rcx
	add	%rdx, %rcx
	jc	9f
	shr	$47, %rcx
	jnz	8f
.endm

/* The end may be USER_END itself, whose bit 47 is set. */
.macro CHECK_END from
8:	mov	\from, %rcx
	add	%rdx, %rcx
	btc	$47, %rcx
	test	%rcx, %rcx
	jz	1b
9:	ret
.endm

	.text
	.balign 64
	.globl user_copy_in, user_copy_out, user_clear
user_copy_in:				/* RDI kernel, RSI user, RDX bytes */
	CHECK	%rsi
1:	SITE	0xcb010f		/* stac */
	mov	%edx, %eax
	mov	%rdx, %rcx
	and	$7, %eax
	shr	$3, %rcx
2:	rep movsq
3:	mov	%eax, %ecx
4:	rep movsb
5:	mov	%rcx, %rax
	SITE	0xca010f		/* clac */
	ret
6:	lea	(%rax, %rcx, 8), %rcx
	jmp	4b
	CHECK_END %rsi
	MAY_FAULT 2b, 6b
	MAY_FAULT 4b, 5b

	.balign 64
user_copy_out:				/* RDI user, RSI kernel, RDX bytes */
	CHECK	%rdi
1:	SITE	0xcb010f
	mov	%edx, %eax
	mov	%rdx, %rcx
	and	$7, %eax
	shr	$3, %rcx
2:	rep movsq
3:	mov	%eax, %ecx
4:	rep movsb
5:	mov	%rcx, %rax
	SITE	0xca010f
	ret
6:	lea	(%rax, %rcx, 8), %rcx
	jmp	4b
	CHECK_END %rdi
	MAY_FAULT 2b, 6b
	MAY_FAULT 4b, 5b

	.balign 64
user_clear:				/* RDI user, RSI bytes */
	mov	%rsi, %rdx
	CHECK	%rdi
1:	SITE	0xcb010f
	mov	%edx, %esi
	mov	%rdx, %rcx
	and	$7, %esi
	shr	$3, %rcx
	xor	%eax, %eax
2:	rep stosq
3:	mov	%esi, %ecx
4:	rep stosb
5:	mov	%rcx, %rax
	SITE	0xca010f
	ret
6:	lea	(%rsi, %rcx, 8), %rcx
	jmp	4b
	CHECK_END %rdi
	MAY_FAULT 2b, 6b
	MAY_FAULT 4b, 5b

	.section .note.GNU-stack, "", @progbits
