/* SPDX-License-Identifier: MIT */
/*
 * exec_data_test.c - data is not code, the kernel is not readable, and odd states of the CPU at
 * a system call hurt nobody but their owner.
 */
#include "tests/user/test.h"

static unsigned char data[64] = { 0xc3 };
static unsigned char bss[64];
static const unsigned char constant[64] = { 0xc3 };

static void data_is_not_code(void)
{
	unsigned char on_stack[64] = { 0xc3 }, *heap = malloc(64),
		      *pages = (unsigned char *)anon_pages(1);
	int fd = temp_file(PAGE);
	unsigned char *file;

	REQUIRE(heap);
	heap[0] = bss[0] = pages[0] = 0xc3;
	EXPECT(pwrite(fd, "\xc3", 1, 0) == 1);
	file = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
	const void *places[] = { data, bss, constant, on_stack, heap, pages, file };

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		EXPECT_EQ(try_execute(places[i]), SIGSEGV);
		EXPECT_EQ(fault_code, SEGV_ACCERR);
		EXPECT(fault_address == places[i]);
	}
	EXPECT_EQ(try_execute((void *)0x10), SIGSEGV);
	EXPECT_EQ(fault_code, SEGV_MAPERR);
	free(heap);
	munmap(pages, PAGE), munmap(file, PAGE);
	close(fd);
}

static void code_is_not_data(void)
{
	EXPECT_EQ(try_write((void *)(uintptr_t)data_is_not_code), SIGSEGV);
	EXPECT_EQ(fault_code, SEGV_ACCERR);
	EXPECT_EQ(try_write((void *)constant), SIGSEGV);
}

static void kernel_is_out_of_reach(void)
{
	static const uintptr_t places[] = {
		0xffffffff80000000UL, 0xffffffff80100000UL, 0xffffffff81000000UL,
		0xffff800000000000UL, 0xffff880000000000UL, 0xffff888000000000UL,
		0xffffc90000000000UL, 0xfffffffffffff000UL, 0x8000000000000000UL,
		0x0000800000000000UL, 0xffff7fffffffffffUL,
	};

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		EXPECT_EQ(try_read((void *)places[i]), SIGSEGV);
		EXPECT_EQ(try_write((void *)places[i]), SIGSEGV);
		EXPECT_EQ(try_execute((void *)places[i]), SIGSEGV);
	}
	EXPECT_EQ(try_read((void *)0x00007ffffffff000UL), SIGSEGV);
	EXPECT_EQ(try_execute((void *)0x00007fffffffffffUL), SIGSEGV);
}

/* A system call as the last instruction of user memory: its return address is no user's. */
static void call_at_the_edge(void)
{
	for (uintptr_t at = 0x00007fffffffe000UL; at <= 0x00007ffffffff000UL; at += PAGE) {
		unsigned char *page = mmap((void *)at, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC,
					   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1,
					   0);

		if (page != (void *)at) {
			if ((void *)page != MAP_FAILED)
				munmap(page, PAGE);
			continue;
		}
		page[PAGE - 2] = 0x0f;
		page[PAGE - 1] = 0x05;
		EXPECT_EQ(TRY(__asm__ volatile("call *%1"
					       :
					       : "a"((long)SYS_getpid), "r"(page + PAGE - 2)
					       : "rcx", "r11", "memory")),
			  SIGSEGV);
		munmap(page, PAGE);
	}
}

static void odd_flags(void)
{
	long result, expected = getpid();
	char from[64], to[64];

	/* direction flag set at a call: the kernel's string instructions must not run backwards */
	memset(from, 'f', sizeof(from));
	__asm__ volatile("std\n\tsyscall\n\tcld"
			 : "=a"(result)
			 : "a"((long)SYS_write), "D"((long)open("/dev/null", O_WRONLY)), "S"(from),
			   "d"(64L)
			 : "rcx", "r11", "memory");
	EXPECT_EQ(result, 64);
	memcpy(to, from, sizeof(to));
	EXPECT(!memcmp(to, from, sizeof(to)));
	/* nested-task and alignment-check flags */
	__asm__ volatile("pushfq\n\torq $0x44000, (%%rsp)\n\tpopfq\n\tsyscall\n\t"
			 "pushfq\n\tandq $~0x44000, (%%rsp)\n\tpopfq"
			 : "=a"(result)
			 : "a"((long)SYS_getpid)
			 : "rcx", "r11", "memory");
	EXPECT_EQ(result, expected);
	/* with the direction flag set, a fault */
	EXPECT_EQ(TRY(__asm__ volatile("std\n\tmovb $1, 16\n\tcld" : : : "memory")), SIGSEGV);
	__asm__ volatile("cld");
}

static void single_step(void)
{
	EXPECT_EQ(TRY(__asm__ volatile("pushfq\n\torq $0x100, (%%rsp)\n\tpopfq\n\tnop\n\tnop"
				       :
				       :
				       : "memory")),
		  SIGTRAP);
}

static void odd_child_segments(void)
{
	__asm__ volatile("mov %0, %%ds\n\tmov %0, %%es\n\tmov %0, %%ss" : : "r"(0x10));
}

static void odd_child_far_return(void)
{
	__asm__ volatile("pushq $0x08\n\tpushq $0x1000\n\tlretq");
}

static void odd_child_iret(void)
{
	__asm__ volatile("pushq $0x10\n\tpushq $0x1000\n\tpushq $0x202\n\tpushq $0x08\n\tpushq "
			 "$0x1000\n\tiretq");
}

static void odd_child_stack(void)
{
	__asm__ volatile("mov $0xffff800000000000, %%rsp\n\tmov $39, %%eax\n\tsyscall\n\tpush %%rax"
			 :
			 :
			 : "rax", "rcx", "r11", "memory");
}

static void odd_child_fs(void)
{
	syscall(SYS_arch_prctl, 0x1002, 0xffffffff80000000UL); /* refused */
	syscall(SYS_arch_prctl, 0x1002, 0x8000000000000000UL); /* refused */
	syscall(SYS_arch_prctl, 0x1002, 0x1000UL);	       /* allowed: and the end of errno */
	__asm__ volatile("mov %%fs:0, %%rax" : : : "rax");
}

static void odd_states_kill_only_their_owner(void)
{
	static void (*const children[])(void) = { odd_child_segments, odd_child_far_return,
						  odd_child_iret, odd_child_stack, odd_child_fs };

	for (size_t i = 0; i < sizeof(children) / sizeof(children[0]); i++) {
		for (int sig = SIGILL; sig <= SIGSEGV; sig++)
			signal(sig, SIG_DFL);

		int status = in_child(children[i]);

		EXPECT(WIFSIGNALED(status) &&
		       (WTERMSIG(status) == SIGSEGV || WTERMSIG(status) == SIGBUS ||
			WTERMSIG(status) == SIGILL));
	}
	catch_faults(0);
}

static void privileged_instructions(void)
{
	EXPECT_EQ(TRY(__asm__ volatile("wrmsr" : : "a"(0), "d"(0), "c"(0xc0000082))), SIGSEGV);
	EXPECT_EQ(TRY(__asm__ volatile("rdmsr" : : "c"(0xc0000080) : "rax", "rdx")), SIGSEGV);
	EXPECT_EQ(TRY(__asm__ volatile("invlpg (%0)" : : "r"(data) : "memory")), SIGSEGV);
	EXPECT_EQ(TRY(__asm__ volatile("mov %0, %%cr0" : : "r"(0L))), SIGSEGV);
	EXPECT_EQ(TRY(__asm__ volatile("outb %%al, $0xf4" : : "a"(0x10))), SIGSEGV);
	EXPECT_EQ(TRY(__asm__ volatile("lgdt (%0)" : : "r"(data))), SIGSEGV);
	EXPECT_EQ(TRY(__asm__ volatile("swapgs")), SIGSEGV);
	EXPECT_EQ(TRY(__asm__ volatile("sysretq")), SIGSEGV);
}

int main(void)
{
	catch_faults(0);
	RUN(data_is_not_code);
	RUN(code_is_not_data);
	RUN(kernel_is_out_of_reach);
	RUN(call_at_the_edge);
	RUN(odd_flags);
	RUN(single_step);
	RUN(odd_states_kill_only_their_owner);
	RUN(privileged_instructions);
	return test_end();
}
