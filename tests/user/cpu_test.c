/* SPDX-License-Identifier: MIT */
/*
 * cpu_test - what a program sees of the ways into the kernel and out: registers and flags
 * come back as they were, whatever interrupted; each exception becomes its signal; frames
 * that the CPU would refuse end in a signal; vector registers and FS, GS belong to a thread.
 */
#include "tests/user/test.h"
#include <sched.h>
#include <sys/time.h>
#include <ucontext.h>

enum { ARCH_SET_GS = 0x1001, ARCH_SET_FS, ARCH_GET_FS, ARCH_GET_GS };

static volatile int steps, timer_ticks;

static void on_step(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)info;
	(void)context;
	steps++;
}

/* One SIGTRAP after each of the instructions that run with TF set, the system call included. */
static void single_step(void)
{
	struct sigaction action = { .sa_sigaction = on_step, .sa_flags = SA_SIGINFO };
	long result = SYS_getpid;

	sigaction(SIGTRAP, &action, NULL);
	__asm__ volatile("lea -128(%%rsp), %%rsp\n\t"
			 "pushfq\n\torq $0x100, (%%rsp)\n\tpopfq\n\t"
			 "nop\n\tnop\n\tsyscall\n\tnop\n\t"
			 "pushfq\n\tandq $~0x100, (%%rsp)\n\tpopfq\n\t"
			 "lea 128(%%rsp), %%rsp"
			 : "+a"(result)::"rcx", "r11", "memory", "cc");
	EXPECT(result == getpid());
	EXPECT(steps >= 6 && steps <= 7);
}

static void exceptions(void)
{
	unsigned long zero = 0;
	char gdt[10];

	catch_faults(0);
	EXPECT_EQ(TRY(__asm__ volatile("int3")), SIGTRAP);
	EXPECT_EQ(TRY(__asm__ volatile("ud2")), SIGILL);
	EXPECT_EQ(fault_code, ILL_ILLOPN);
	EXPECT_EQ(TRY(__asm__ volatile("xor %%edx, %%edx\n\tdivq %0" ::"r"(zero)
				       : "rax", "rdx")),
		  SIGFPE);
	EXPECT_EQ(fault_code, FPE_INTDIV);
	EXPECT_EQ(TRY(__asm__ volatile("hlt")), SIGSEGV);
	EXPECT_EQ(TRY(__asm__ volatile("cli")), SIGSEGV);
	EXPECT_EQ(TRY(__asm__ volatile("inb $0x60, %%al" ::: "rax")), SIGSEGV);
	EXPECT_EQ(TRY(__asm__ volatile("outb %%al, $0xe9" ::"a"(0))), SIGSEGV);
	EXPECT_EQ(TRY(__asm__ volatile("mov %%cr3, %%rax" ::: "rax")), SIGSEGV);
	EXPECT_EQ(TRY(__asm__ volatile("mov %0, %%cr0" ::"r"(zero))), SIGSEGV);
	EXPECT_EQ(TRY(__asm__ volatile("rdmsr" ::"c"(0x10) : "rax", "rdx")), SIGSEGV);
	EXPECT_EQ(TRY(__asm__ volatile("wrmsr" ::"c"(0xc0000101), "a"(0), "d"(0))), SIGSEGV);
	EXPECT_EQ(TRY(__asm__ volatile("invlpg (%0)" ::"r"(gdt))), SIGSEGV);
	EXPECT_EQ(TRY(__asm__ volatile("swapgs")), SIGSEGV);
	EXPECT_EQ(TRY(__asm__ volatile("int $13")), SIGSEGV);
	EXPECT_EQ(TRY(__asm__ volatile("int $14")), SIGSEGV);
	EXPECT_EQ(TRY(__asm__ volatile("int $32")), SIGSEGV);
	EXPECT_EQ(TRY(__asm__ volatile("int $240")), SIGSEGV);
	EXPECT_EQ(TRY(__asm__ volatile("movl $0x13, %%eax\n\tmov %%eax, %%ds" ::: "rax")), SIGSEGV);
	EXPECT_EQ(TRY(__asm__ volatile("ljmp *%0" ::"m"(gdt))), SIGSEGV);
	/* An address that is not canonical: #GP, and #SS by way of the stack pointer. */
	EXPECT_EQ(try_read((void *)0x8000000000000000), SIGSEGV);
	EXPECT_EQ(try_read((void *)0xffff800000000000), SIGSEGV);
	EXPECT_EQ(try_read((void *)0xffffffff80100000), SIGSEGV);
	EXPECT_EQ(try_write((void *)0xffffffffff600000), SIGSEGV);
	EXPECT_EQ(try_execute((void *)0xffffffff80100000), SIGSEGV);
	EXPECT_EQ(try_execute((void *)0x0000900000000000), SIGSEGV);
	if (on_quire()) /* Linux answers in the CPU's place */
		EXPECT_EQ(TRY(__asm__ volatile("sgdt %0" : "=m"(gdt))), SIGSEGV);
}

/* All registers but those that the ABI names (RAX, RCX, R11) survive a system call, the flags too. */
static void registers_across_calls(void)
{
	unsigned long bad, rax, rcx, r11;

	__asm__ volatile(
		"mov $0x1111, %%rbx\n\tmov $0x2222, %%rdx\n\tmov $0x3333, %%rsi\n\t"
		"mov $0x4444, %%rdi\n\tmov $0x5555, %%r8\n\tmov $0x6666, %%r9\n\t"
		"mov $0x7777, %%r10\n\tmov $0x8888, %%r12\n\tmov $0x9999, %%r13\n\t"
		"mov $0xaaaa, %%r14\n\tmov $0xbbbb, %%r15\n\t"
		"mov %4, %%eax\n\tstd\n\tstc\n\tsyscall\n\t"
		"lahf\n\tmov %%rax, %1\n\tcld\n\t"
		"xor $0x1111, %%rbx\n\txor $0x2222, %%rdx\n\txor $0x3333, %%rsi\n\t"
		"xor $0x4444, %%rdi\n\txor $0x5555, %%r8\n\txor $0x6666, %%r9\n\t"
		"xor $0x7777, %%r10\n\txor $0x8888, %%r12\n\txor $0x9999, %%r13\n\t"
		"xor $0xaaaa, %%r14\n\txor $0xbbbb, %%r15\n\t"
		"or %%rdx, %%rbx\n\tor %%rsi, %%rbx\n\tor %%rdi, %%rbx\n\tor %%r8, %%rbx\n\t"
		"or %%r9, %%rbx\n\tor %%r10, %%rbx\n\tor %%r12, %%rbx\n\tor %%r13, %%rbx\n\t"
		"or %%r14, %%rbx\n\tor %%r15, %%rbx\n\tmov %%rbx, %0\n\t"
		"mov %%rcx, %2\n\tmov %%r11, %3"
		: "=m"(bad), "=m"(rax), "=m"(rcx), "=m"(r11)
		: "i"(SYS_getppid)
		: "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13",
		  "r14", "r15", "memory", "cc");
	EXPECT_EQ(bad, 0);
	EXPECT(rax >> 8 & 1);	       /* CF */
	EXPECT_EQ(r11 & 0x401, 0x401); /* DF and CF, as they were */
	EXPECT(rcx > 0x1000 && rcx < 1UL << 47);
}

static void on_alarm(int sig)
{
	(void)sig;
	timer_ticks++;
}

/* Registers, flags and both halves of the vector registers through interrupts, signals and switches. */
static void spin_with_registers(int ticks)
{
	unsigned long bad = 0, rounds = 0, pattern = 0x0123456789abcdefUL * (unsigned long)getpid();

	while (!bad && timer_ticks < ticks) {
		__asm__ volatile(
			"movq %2, %%xmm0\n\tmovq %2, %%xmm15\n\tmovq %2, %%mm3\n\t"
			"mov %2, %%r8\n\tmov %2, %%r12\n\tmov %2, %%rbx\n\tstc\n\t"
			"mov $20000, %%ecx\n"
			"1:\tjnc 2f\n\tdec %%ecx\n\tjnz 1b\n\t"
			"xor %%eax, %%eax\n\tmovq %%xmm0, %%rdx\n\txor %2, %%rdx\n\tor %%rdx, "
			"%%rax\n\t"
			"movq %%xmm15, %%rdx\n\txor %2, %%rdx\n\tor %%rdx, %%rax\n\t"
			"movq %%mm3, %%rdx\n\txor %2, %%rdx\n\tor %%rdx, %%rax\n\t"
			"xor %2, %%r8\n\tor %%r8, %%rax\n\txor %2, %%r12\n\tor %%r12, %%rax\n\t"
			"xor %2, %%rbx\n\tor %%rbx, %%rax\n\tjmp 3f\n"
			"2:\tmov $1, %%eax\n"
			"3:\tmov %%rax, %0\n\temms"
			: "=m"(bad), "+m"(rounds)
			: "r"(pattern)
			: "rax", "rbx", "rcx", "rdx", "r8", "r12", "xmm0", "xmm15", "mm3", "cc");
		rounds++;
	}
	EXPECT_EQ(bad, 0);
	EXPECT(rounds > 0);
}

static void registers_across_interrupts(void)
{
	struct itimerval often = { .it_interval.tv_usec = 3000, .it_value.tv_usec = 3000 };
	struct itimerval never = { 0 };
	struct sigaction action = { .sa_handler = on_alarm }, old;
	pid_t children[3];
	int status;

	for (int i = 0; i < 3; i++) {
		children[i] = fork();
		if (!children[i]) {
			sigaction(SIGALRM, &action, NULL);
			setitimer(ITIMER_REAL, &often, NULL);
			spin_with_registers(40);
			_exit(test_failures != 0);
		}
	}
	for (int i = 0; i < 3; i++)
		EXPECT(waitpid(children[i], &status, 0) == children[i] && status == 0);
	sigaction(SIGALRM, NULL, &old);
	setitimer(ITIMER_REAL, &never, NULL);
	alarm(TEST_SECONDS);
}

/* Flags that the kernel must not run with: it faults in a page and makes calls under each. */
static void odd_flags(void)
{
	static const unsigned long flags[] = { 0x400, 0x4000, 0x40000, 0x44400, 0x200000 };
	char *page = anon_pages(sizeof(flags) / sizeof(flags[0]));

	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		long result = SYS_getppid;

		__asm__ volatile(
			"lea -128(%%rsp), %%rsp\n\tpushfq\n\torq %1, (%%rsp)\n\tpopfq\n\t"
			"syscall\n\tmovb $1, (%2)\n\tmov $39, %%eax\n\tsyscall\n\t"
			"pushfq\n\tandq $~0x244400, (%%rsp)\n\tpopfq\n\tlea 128(%%rsp), %%rsp"
			: "+a"(result)
			: "r"(flags[i]), "r"(page + i * PAGE)
			: "rcx", "r11", "memory", "cc");
		EXPECT(result == getpid());
		EXPECT(page[i * PAGE] == 1);
	}
}

enum { BAD_RIP, BAD_CS, BAD_SS, BAD_FLAGS, BAD_RSP, BAD_KERNEL_RIP };
static int bad_kind;

static void spoil(int sig, siginfo_t *info, void *context)
{
	greg_t *r = ((ucontext_t *)context)->uc_mcontext.gregs;

	(void)sig;
	(void)info;
	switch (bad_kind) {
	case BAD_RIP: r[REG_RIP] = 0x0000900000000000; break;
	case BAD_CS: r[REG_CSGSFS] = (r[REG_CSGSFS] & ~0xffffL) | 0x10; break;
	case BAD_SS: r[REG_CSGSFS] = (r[REG_CSGSFS] & ~(0xffffL << 48)) | 0x18L << 48; break;
	case BAD_FLAGS: r[REG_EFL] = ~0x100L; break; /* IOPL, VM, NT and all */
	case BAD_RSP: r[REG_RSP] = 0x0000900000000000; break;
	case BAD_KERNEL_RIP: r[REG_RIP] = (greg_t)0xffffffff80100000; break;
	}
}

static void sigreturn_to_nonsense(void)
{
	struct sigaction action = { .sa_sigaction = spoil, .sa_flags = SA_SIGINFO };

	sigaction(SIGUSR1, &action, NULL);
	for (bad_kind = BAD_RIP; bad_kind <= BAD_KERNEL_RIP; bad_kind++) {
		pid_t pid = fork();
		int status = -1;

		if (!pid) {
			catch_faults(0);
			signal(SIGSEGV, SIG_DFL);
			signal(SIGBUS, SIG_DFL);
			raise(SIGUSR1);
			/* If it went on, ports must be closed and interrupts on all the same. */
			signal(SIGSEGV, SIG_DFL);
			__asm__ volatile("cli");
			_exit(0);
		}
		EXPECT(waitpid(pid, &status, 0) == pid);
		EXPECT(WIFSIGNALED(status) &&
		       (WTERMSIG(status) == SIGSEGV || WTERMSIG(status) == SIGBUS));
	}
	signal(SIGUSR1, SIG_DFL);
}

/* A system call as the last instruction below the hole of addresses: the next one is not canonical. */
static void call_at_the_edge(void)
{
	char *page = mmap((void *)0x7ffffffff000, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

	if (page == MAP_FAILED)
		return; /* nobody can get there */
	page[PAGE - 2] = 0x0f;
	page[PAGE - 1] = 0x05;
	catch_faults(0);
	EXPECT_EQ(TRY(__asm__ volatile("jmp *%0" ::"r"(page + PAGE - 2), "a"(SYS_getpid)
				       : "rcx", "r11")),
		  SIGSEGV);
	munmap(page, PAGE);
}

static unsigned long gs_word(void)
{
	unsigned long v;

	__asm__ volatile("mov %%gs:0, %0" : "=r"(v));
	return v;
}

static void segment_bases(void)
{
	static unsigned long words[2] = { 0x1234, 0x5678 };
	unsigned long base = 0, fs = 0;
	int status;
	pid_t pid;

	EXPECT_EQ(syscall(SYS_arch_prctl, ARCH_GET_FS, &fs), 0);
	EXPECT(fs != 0);
	EXPECT_EQ(syscall(SYS_arch_prctl, ARCH_SET_GS, &words[0]), 0);
	EXPECT_EQ(gs_word(), 0x1234);
	EXPECT_EQ(syscall(SYS_arch_prctl, ARCH_GET_GS, &base), 0);
	EXPECT_EQ(base, &words[0]);
	pid = fork();
	if (!pid) {
		bool same = gs_word() == 0x1234;

		syscall(SYS_arch_prctl, ARCH_SET_GS, &words[1]);
		for (int i = 0; i < 20; i++) {
			sleep_ms(1);
			same &= gs_word() == 0x5678;
		}
		_exit(!same);
	}
	for (int i = 0; i < 20; i++) {
		sleep_ms(1);
		EXPECT_EQ(gs_word(), 0x1234);
	}
	EXPECT(waitpid(pid, &status, 0) == pid && status == 0);
	EXPECT_ERRNO(syscall(SYS_arch_prctl, ARCH_SET_GS, 0xffffffff80000000), EPERM);
	EXPECT_ERRNO(syscall(SYS_arch_prctl, ARCH_SET_FS, 0x0000800000000000), EPERM);
	EXPECT_ERRNO(syscall(SYS_arch_prctl, ARCH_GET_FS, 0xffffffff80000000), EFAULT);
	/* A null selector takes the base away, which is the program's own affair. */
	__asm__ volatile("mov %0, %%gs" ::"r"(0));
	EXPECT(getppid() >= 0);
	EXPECT_EQ(syscall(SYS_arch_prctl, ARCH_SET_GS, 0), 0);
	for (int i = 0; i < 5; i++)
		sleep_ms(1);
	free(malloc(100000));
}

/* A selector takes the base away; no other process must notice. */
static void selectors_of_another(void)
{
	static __thread volatile int mine = 5;
	pid_t child = fork();

	if (child == 0) {
		for (int i = 0; i < 200; i++) {
			long result = SYS_sched_yield;

			__asm__ volatile("mov %1, %%fs\n\tmov %1, %%gs\n\tsyscall"
					 : "+a"(result) : "r"(0) : "rcx", "r11", "memory");
		}
		__asm__ volatile("syscall" ::"a"(SYS_exit_group), "D"(0));
	}
	REQUIRE(child > 0);
	for (int i = 0; i < 200; i++) {
		sched_yield();
		if (!EXPECT_EQ(mine, 5))
			break;
	}
	EXPECT(waitpid(child, NULL, 0) == child);
}

int main(void)
{
	RUN(single_step);
	RUN(exceptions);
	RUN(registers_across_calls);
	RUN(registers_across_interrupts);
	RUN(odd_flags);
	RUN(sigreturn_to_nonsense);
	RUN(call_at_the_edge);
	RUN(segment_bases);
	RUN(selectors_of_another);
	return test_end();
}
