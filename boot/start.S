/* SPDX-License-Identifier: MIT */
/*
 * The first instructions. A loader enters in 32-bit protected mode, paging off, by one of two doors:
 * GRUB by the multiboot2 header, QEMU's -kernel by the PVH note. Says a word on COM1, makes tables
 * that map the first 4 GiB at 0 and at DIRECT_BASE and the first 1 GiB at KERNEL_BASE (all of it
 * writable and executable: boot/map.c makes the lasting ones), enters long mode in the upper half and
 * calls kernel_main(magic, address of the loader's information).
 */
#include "boot/long_mode.inc"

#define KERNEL_BASE 0xffffffff80000000
#define BOOT_STACK_TOP (guarded_stacks + 0x4000)	/* GUARDED_STACK of arch/platform.h */
#define PHYS(symbol) ((symbol) - KERNEL_BASE)
#define MULTIBOOT2_MAGIC 0x36d76289
#define PVH_MAGIC 0x336ec578

	.section .boot.header, "a"
	.balign 8
multiboot2:
	.long 0xe85250d6, 0, multiboot2_end - multiboot2
	.long -(0xe85250d6 + 0 + (multiboot2_end - multiboot2))
	.short 1, 0			/* wanted: command line, modules, memory map */
	.long 24, 1, 3, 6, 0
	.short 6, 0			/* modules at page boundaries */
	.long 8
	.short 0, 0
	.long 8
multiboot2_end:

	.section .note.pvh, "a", @note
	.balign 4
	.long 4, 8, 18			/* XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz "Xen"
	.quad PHYS(boot_pvh)

	.section .boot.text, "ax"
	.code32
	.globl boot_multiboot2, boot_pvh
boot_pvh:
	mov	$PVH_MAGIC, %eax
boot_multiboot2:
	cli
	cld
	mov	$PHYS(BOOT_STACK_TOP), %esp
	push	$0
	push	%eax
	push	$0
	push	%ebx
	mov	$0x3fa, %edx			/* FIFO on now: input that follows the first word is kept */
	mov	$7, %eax
	out	%al, %dx
	mov	$PHYS(hello), %esi
	mov	$0x3f8, %edx
	call	say

	mov	$PHYS(bad_loader), %esi
	cmpl	$MULTIBOOT2_MAGIC, 8(%esp)
	je	1f
	cmpl	$PVH_MAGIC, 8(%esp)
	jne	fail
	/* QEMU puts the module at the end of memory, were it over the kernel. */
	mov	$PHYS(overlap), %esi
	cmpl	$0, 12(%ebx)			/* nr_modules */
	je	1f
	mov	16(%ebx), %edi			/* modules: start, size */
	mov	(%edi), %eax
	mov	8(%edi), %ecx
	add	%eax, %ecx
	cmp	$PHYS(__scratch_end), %eax
	jae	1f
	cmp	$PHYS(__kernel_start), %ecx
	ja	fail
1:	mov	$PHYS(bad_cpu), %esi
	mov	$0x80000000, %eax
	cpuid
	cmp	$0x80000001, %eax
	jb	fail
	mov	$0x80000001, %eax
	cpuid
	and	$(1 << 29 | 1 << 20), %edx	/* long mode, NX */
	cmp	$(1 << 29 | 1 << 20), %edx
	jne	fail

	/* 2048 pages of 2 MiB; the loader has zeroed the tables. */
	mov	$PHYS(early_directories), %edi
	mov	$0x83, %eax
	mov	$2048, %ecx
1:	mov	%eax, (%edi)
	add	$8, %edi
	add	$0x200000, %eax
	loop	1b
	mov	$PHYS(early_low) + 3, %eax
	mov	%eax, PHYS(early_root)
	mov	%eax, PHYS(early_root) + 256 * 8
	movl	$PHYS(early_high) + 3, PHYS(early_root) + 511 * 8
	mov	$PHYS(early_directories) + 3, %eax
	mov	%eax, PHYS(early_high) + 510 * 8
	mov	$PHYS(early_low), %edi
	mov	$4, %ecx
1:	mov	%eax, (%edi)
	add	$8, %edi
	add	$0x1000, %eax
	loop	1b

	PAGING_ON $PHYS(early_root)
	lgdt	PHYS(early_gdt_pointer)
	ljmp	$0x10, $PHYS(long_mode)

/* Says the string at ESI on port DX. */
say:	lodsb
	test	%al, %al
	jz	1f
	out	%al, %dx
	jmp	say
1:	ret

/* The reason at ESI: to COM1 and as the verdict, then out. */
fail:	push	%esi
	mov	$0x3f8, %edx
	call	say
	mov	$PHYS(verdict), %esi
	mov	$0xe9, %edx
	call	say
	pop	%esi
	call	say
	mov	$0xf4, %edx
	mov	$0x30, %eax
	out	%eax, %dx
1:	hlt
	jmp	1b

	.code64
long_mode:
	movabs	$upper_half, %rax
	jmp	*%rax
upper_half:
	NO_SEGMENTS
	mov	$(BOOT_STACK_TOP - 16), %rsp
	mov	8(%rsp), %edi
	mov	(%rsp), %esi
	xor	%ebp, %ebp
	call	kernel_main
	ud2

	.balign 8
early_gdt:
	.quad 0, 0
	.quad 0x00af9b000000ffff		/* 0x10: KERNEL_CS */
	.quad 0x00cf93000000ffff
early_gdt_pointer:
	.short . - early_gdt - 1
	.quad PHYS(early_gdt)
hello:	.asciz "quire\r\n"
verdict: .asciz "boot-failed "
bad_loader: .asciz "neither multiboot2 nor PVH\n"
overlap: .asciz "too little memory for the kernel and its first file system\n"
bad_cpu: .asciz "the CPU has no long mode or no NX\n"

	.section .boot_scratch, "aw", @nobits
	.balign 4096
early_root: .skip 4096
early_low: .skip 4096
early_high: .skip 4096
early_directories: .skip 4 * 4096

	.section .note.GNU-stack, "", @progbits
