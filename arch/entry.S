/* SPDX-License-Identifier: MIT */
/*
 * The ways into the kernel and out. All build the same struct trapframe (arch/trap.h).
 *
 *	system call	on the thread's kernel stack; leaves by sysretq where that is exact, else iretq
 *	exception, interrupt	from user mode on the thread's kernel stack; from the kernel on the running one
 *	NMI, #DF, #MC	on stacks of their own, at any instruction: they trust no GS base but the one
 *			stored at the top of their stack, and put back what they found
 *	#DB		like these from the kernel; from user mode it moves to the thread's stack
 *
 * GS: swapgs is the first instruction after user mode and the last before it; interrupts are off
 * between. The one fault that can come with the user's GS base in kernel mode is that of the last iretq,
 * and is told by its address: it becomes a fault of the user's. CLAC and STAC sites are no-ops until
 * arch/cpu.c writes the instructions there, if the CPU has them.
 */
#define USER_CS 0x33
#define USER_SS 0x2b
#define MSR_GS_BASE 0xc0000101

/* Offsets in struct trapframe (checked in arch/desc.c). */
#define R11 48
#define RCX 88
#define ORIG_RAX 120
#define RIP 136
#define CS 144
#define RFLAGS 152
#define FRAME_SIZE 176

.macro CLAC
771:	.byte 0x0f, 0x1f, 0x00
	.pushsection .smap_sites, "a"
	.quad 771b, 0xca010f
	.popsection
.endm

/* The kernel's look at shared memory begins and ends (kernel/base/epoch.h). */
.macro EPOCH_ENTER
	mov	epoch_now, %rax
	xchg	%rax, %gs:epoch_here
.endm

.macro EPOCH_LEAVE
	movq	$0, %gs:epoch_here
.endm

.macro SAVE_BUT_RDI
	push	%rsi
	push	%rdx
	push	%rcx
	push	%rax
	push	%r8
	push	%r9
	push	%r10
	push	%r11
	push	%rbx
	push	%rbp
	push	%r12
	push	%r13
	push	%r14
	push	%r15
.endm

.macro RESTORE
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbp
	pop	%rbx
	pop	%r11
	pop	%r10
	pop	%r9
	pop	%r8
	pop	%rax
	pop	%rcx
	pop	%rdx
	pop	%rsi
	pop	%rdi
.endm

/* The vector, of the -1 - vector in orig_rax, is the second argument; the frame the first. */
.macro CALL_WITH_VECTOR function
	mov	ORIG_RAX(%rsp), %esi
	not	%esi
	mov	%rsp, %rdi
	call	\function
.endm

	.text
	.balign 64
	.globl entry_syscall
entry_syscall:
	swapgs
	mov	%rsp, %gs:user_rsp
	mov	%gs:kernel_stack_top, %rsp
	push	$USER_SS
	push	%gs:user_rsp
	push	%r11
	push	$USER_CS
	push	%rcx
	push	$0
	push	%rax
	push	%rdi
	SAVE_BUT_RDI
	EPOCH_ENTER
	mov	%rsp, %rdi
	call	trap_syscall
	cmpl	$0, %gs:thread_work
	jne	work
	/* sysretq loads RIP from RCX and RFLAGS from R11, and must not see a RIP that is not canonical. */
	mov	RCX(%rsp), %rcx
	cmp	%rcx, RIP(%rsp)
	jne	leave_by_iretq
	mov	R11(%rsp), %r11
	cmp	%r11, RFLAGS(%rsp)
	jne	leave_by_iretq
	mov	%rcx, %rdx
	shr	$47, %rdx
	jnz	leave_by_iretq
	test	$0x10100, %r11d			/* RF, TF */
	jnz	leave_by_iretq
	EPOCH_LEAVE
	RESTORE
	mov	40(%rsp), %rsp
	swapgs
	sysretq

/* void trap_return(struct trapframe *f) */
	.globl trap_return
trap_return:
	mov	%rdi, %rsp
to_user:
	cmpl	$0, %gs:thread_work
	jne	work
leave_by_iretq:
	EPOCH_LEAVE
	RESTORE
	add	$16, %rsp			/* orig_rax, error */
	swapgs
user_iretq:
	iretq
work:
	mov	%rsp, %rdi
	call	trap_user_work
	jmp	to_user

/* On the stack: orig_rax, error, rip, cs, rflags, rsp, ss. */
.macro ENTRY_FOR function
	cld
	CLAC
	testb	$3, 24(%rsp)
	jz	1f
	swapgs
	push	%rdi
	SAVE_BUT_RDI
	EPOCH_ENTER
	CALL_WITH_VECTOR \function
	jmp	to_user
1:
.endm

.macro FROM_KERNEL function
	push	%rdi
	SAVE_BUT_RDI
	CALL_WITH_VECTOR \function
	RESTORE
	add	$16, %rsp
	iretq
.endm

	.balign 64
exception:
	ENTRY_FOR trap_exception
	cmpq	$user_iretq, 16(%rsp)
	je	bad_iretq
	FROM_KERNEL trap_exception

	.balign 64
interrupt:
	ENTRY_FOR trap_interrupt
	FROM_KERNEL trap_interrupt

/*
 * The iretq to user mode faulted: the frame it was to load is not one that the CPU takes. Its five words
 * are still at the saved RSP, at the top of the kernel stack, and all other registers are the user's:
 * error and vector are moved below the five words, as if the fault had come from user mode.
 */
bad_iretq:
	swapgs
	push	%rax
	mov	48(%rsp), %rax			/* the saved RSP */
	pushq	16(%rsp)
	popq	-8(%rax)			/* error */
	pushq	8(%rsp)
	popq	-16(%rax)			/* orig_rax */
	pushq	(%rsp)
	popq	-24(%rax)
	lea	-24(%rax), %rsp
	pop	%rax
	push	%rdi
	SAVE_BUT_RDI
	EPOCH_ENTER
	CALL_WITH_VECTOR trap_exception
	jmp	to_user

/* NMI, #DF, #MC, and #DB from the kernel: GS base as the stack says, then as it was. */
	.balign 64
paranoid:
	cld
	CLAC
	push	%rdi
	SAVE_BUT_RDI
	mov	$MSR_GS_BASE, %ecx
	rdmsr
	mov	%eax, %r12d
	mov	%edx, %r13d
	mov	FRAME_SIZE(%rsp), %eax
	mov	FRAME_SIZE + 4(%rsp), %edx
	wrmsr
	CALL_WITH_VECTOR trap_paranoid
	mov	$MSR_GS_BASE, %ecx
	mov	%r12d, %eax
	mov	%r13d, %edx
	wrmsr
	RESTORE
	add	$16, %rsp
	iretq

	.balign 64
debug:
	testb	$3, 24(%rsp)
	jz	paranoid
	cld
	CLAC
	swapgs
	push	%rdi
	mov	%rsp, %rdi
	mov	%gs:kernel_stack_top, %rsp
	push	56(%rdi)
	push	48(%rdi)
	push	40(%rdi)
	push	32(%rdi)
	push	24(%rdi)
	push	16(%rdi)
	push	8(%rdi)
	push	(%rdi)
	SAVE_BUT_RDI
	EPOCH_ENTER
	CALL_WITH_VECTOR trap_exception
	jmp	to_user

/* 256 stubs of 16 bytes: an error code where the CPU pushes none, -1 - vector, and on. */
	.balign 16
	.globl trap_stubs
trap_stubs:
	vector = 0
	.rept 256
	.balign 16
	.if (0x60227d00 >> (vector & 31) & 1) == 0 || vector > 31	/* 8, 10..14, 17, 21, 29, 30 push one */
	push	$0
	.endif
	push	$(-1 - vector)
	.if vector == 2 || vector == 8 || vector == 18
	jmp	paranoid
	.elseif vector == 1
	jmp	debug
	.elseif vector < 32
	jmp	exception
	.else
	jmp	interrupt
	.endif
	vector = vector + 1
	.endr

	.section .note.GNU-stack, "", @progbits
