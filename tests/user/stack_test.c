/* SPDX-License-Identifier: MIT */
/* stack_test.c - the stack grows as it is used, up to its limit, and then says SIGSEGV. */
#include "tests/user/test.h"

static char alternate[64 * 1024];

/* Use about `kib` KiB of stack, one page per step. Returns a checksum so that it is real. */
static __attribute__((noinline)) unsigned use_stack(unsigned kib)
{
	volatile char frame[3500];

	frame[0] = (char)kib;
	frame[3499] = 1;
	return (kib > 4 ? use_stack(kib - 4) : 0) + (unsigned)(frame[0] == (char)kib) +
	       (unsigned)frame[3499];
}

static __attribute__((noinline)) unsigned use_stack_forever(unsigned depth)
{
	volatile char frame[512];

	frame[0] = (char)depth;
	if (depth == (unsigned)-1)
		return 0;
	return use_stack_forever(depth + 1) + (unsigned)frame[0];
}

static void grows(void)
{
	long long before = proc_value("/proc/self/status", "VmStk");

	EXPECT(use_stack(1024) > 0);
	EXPECT(proc_value("/proc/self/status", "VmStk") >= before);
	EXPECT(!strcmp(map_perms(&before, NULL, NULL), "rw-p"));
}

static void grows_over_a_gap(void)
{
	char *low = (char *)__builtin_frame_address(0) - 300 * 1024;

	EXPECT_EQ(try_write(low), 0);
	EXPECT_EQ(try_read(low + PAGE), 0);
}

static void no_execution(void)
{
	volatile unsigned char code[16] = { 0xc3 };

	EXPECT_EQ(try_execute((void *)code), SIGSEGV);
	EXPECT_EQ(fault_code, SEGV_ACCERR);
}

static void overflow_child(void)
{
	stack_t stack = { .ss_sp = alternate, .ss_size = sizeof(alternate) };

	REQUIRE(sigaltstack(&stack, NULL) == 0);
	catch_faults(SA_ONSTACK);
	EXPECT_EQ(TRY(use_stack_forever(0)), SIGSEGV);
	EXPECT(fault_address != NULL);
	EXPECT(use_stack(64) > 0);
}

static void overflow_on_alternate_stack(void)
{
	IN_CHILD(overflow_child);
}

static void overflow_without_stack_child(void)
{
	use_stack_forever(0);
}

static void overflow_without_alternate_stack(void)
{
	int status = in_child(overflow_without_stack_child);

	EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
}

static void limit_child(void)
{
	struct rlimit limit = { 2 * MIB, 2 * MIB }; /* more than is grown already */
	stack_t stack = { .ss_sp = alternate, .ss_size = sizeof(alternate) };

	REQUIRE(setrlimit(RLIMIT_STACK, &limit) == 0);
	REQUIRE(sigaltstack(&stack, NULL) == 0);
	catch_faults(SA_ONSTACK);
	EXPECT_EQ(TRY(use_stack(4096)), SIGSEGV);
	EXPECT_EQ(TRY(use_stack(64)), 0);
}

static void limit(void)
{
	IN_CHILD(limit_child);
}

static void after_fork_child(void)
{
	EXPECT(use_stack(512) > 0);
}

static void after_fork(void)
{
	volatile char mark[3 * PAGE];

	memset((void *)mark, 3, sizeof(mark));
	IN_CHILD(after_fork_child);
	EXPECT_EQ(mark[2 * PAGE], 3);
}

static void red_zone_below_rsp(void)
{
	/* the 128 bytes below the stack pointer survive a signal */
	static struct sigaction action;
	long found;

	action.sa_handler = SIG_DFL;
	signal(SIGUSR1, (void (*)(int))(uintptr_t)abs);
	__asm__ volatile("movq $0x1234567, -64(%%rsp)\n\t"
			 "syscall\n\t"
			 "movq -64(%%rsp), %0"
			 : "=r"(found)
			 : "a"((long)SYS_tgkill), "D"((long)getpid()), "S"((long)gettid()),
			   "d"((long)SIGUSR1)
			 : "rcx", "r11", "memory");
	EXPECT_EQ(found, 0x1234567);
	sigaction(SIGUSR1, &action, NULL);
}

int main(void)
{
	catch_faults(0);
	RUN(grows);
	RUN(grows_over_a_gap);
	RUN(no_execution);
	RUN(overflow_on_alternate_stack);
	RUN(overflow_without_alternate_stack);
	RUN(limit);
	RUN(after_fork);
	RUN(red_zone_below_rsp);
	return test_end();
}
