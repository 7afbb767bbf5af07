/* SPDX-License-Identifier: MIT */
/*
 * sigframe_test.c - what lies on the stack when a handler runs, and what sigreturn does with what it finds
 * there: the layout, the FPU image, alternate stacks, garbage; the order and the limits of queues.
 */
#include "tests/user/test.h"
#include <ucontext.h>

#define MAGIC1 0x46505853u
#define MAGIC2 0x46505845u

static volatile int calls, order[16];
static volatile uintptr_t entry_sp, red_zone_end;
static volatile unsigned long entry_flags;
static volatile bool xsave_ok, xsave;

static void handle(int sig, void (*handler)(int, siginfo_t *, void *), int flags)
{
	struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO | flags };

	sigemptyset(&action.sa_mask);
	REQUIRE(sigaction(sig, &action, NULL) == 0);
	calls = 0;
}

static void note_frame(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	uintptr_t fp = (uintptr_t)uc->uc_mcontext.fpregs;
	uint32_t words[12];

	(void)sig, (void)info;
	entry_sp = (uintptr_t)__builtin_frame_address(0) + 8;
	__asm__ volatile("pushfq\n\tpop %0" : "=r"(entry_flags));
	calls++;
	red_zone_end = (uintptr_t)uc->uc_mcontext.gregs[REG_RSP] - 128;
	memcpy(words, (char *)fp + 464, sizeof(words));
	xsave_ok = fp % 64 == 0 && fp + 512 <= red_zone_end;
	xsave = words[0] == MAGIC1;
	if (xsave) {
		uint32_t magic2;

		memcpy(&magic2, (char *)fp + words[4], 4);
		xsave_ok = xsave_ok && words[1] == words[4] + 4 && magic2 == MAGIC2 &&
			   (words[2] & 3) == 3;
	}
}

static void layout(void)
{
	handle(SIGUSR1, note_frame, 0);
	__asm__ volatile("std");
	syscall(SYS_tgkill, getpid(), gettid(), SIGUSR1);
	__asm__ volatile("cld");
	EXPECT_EQ(calls, 1);
	EXPECT_EQ(entry_sp % 16, 8);
	EXPECT(!(entry_flags & 0x400));
	EXPECT(entry_sp < red_zone_end);
	EXPECT(xsave_ok);
}

static void clobber_fpu(int sig, siginfo_t *info, void *context)
{
	double x = 1.5;

	(void)sig, (void)info, (void)context;
	__asm__ volatile("pcmpeqd %%xmm7, %%xmm7\n\tmovsd %0, %%xmm8\n\tfninit\n\tfldpi"
			 :
			 : "m"(x)
			 : "xmm7", "xmm8");
	calls++;
}

/* Raise SIGUSR1 between setting and reading registers of the FPU, with nothing of libc's between. */
static void fpu_is_kept(void)
{
	uint64_t in[2] = { 0x1122334455667788, 0x99aabbccddeeff00 }, out[2] = { 0, 0 };
	uint32_t mxcsr = 0x1f80 | 0x6000, mxcsr_after;
	double st = 2.25, st_after = 0;

	handle(SIGUSR1, clobber_fpu, 0);
	__asm__ volatile(
		"movdqu %4, %%xmm7\n\tldmxcsr %5\n\tfldl %6\n\tsyscall\n\tmovdqu %%xmm7, %0\n\t"
		"stmxcsr %1\n\tfstpl %2"
		: "=m"(out), "=m"(mxcsr_after), "=m"(st_after)
		: "a"((long)SYS_tgkill), "m"(in), "m"(mxcsr), "m"(st), "D"((long)getpid()),
		  "S"((long)gettid()), "d"((long)SIGUSR1)
		: "rcx", "r11", "xmm7", "xmm8", "memory");
	EXPECT_EQ(calls, 1);
	EXPECT(out[0] == in[0] && out[1] == in[1]);
	EXPECT_EQ(mxcsr_after, mxcsr);
	EXPECT(st_after == 2.25);
	mxcsr = 0x1f80;
	__asm__ volatile("ldmxcsr %0" : : "m"(mxcsr));
}

/* Ways to spoil a frame: none may do more than kill this process. */
static volatile int spoil;

static void spoil_frame(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	greg_t *g = uc->uc_mcontext.gregs;
	char *fp = (char *)uc->uc_mcontext.fpregs;
	uint64_t all = ~0ULL;
	uint32_t size;

	(void)sig, (void)info;
	calls++;
	memcpy(&size, fp + 480, 4);
	switch (spoil) {
	case 0: memcpy(fp + 24, &all, 4); break;   /* mxcsr */
	case 1: memcpy(fp + 512, &all, 8); break;  /* xstate_bv */
	case 2: memset(fp + 520, 0xff, 56); break; /* rest of the header */
	case 3: memset(fp + 464, 0, 4); break;	   /* magic1 */
	case 4: memset(fp + size, 0, 4); break;	   /* magic2 */
	case 5: memset(fp + 468, 0xff, 4); break;  /* extended size */
	case 6: uc->uc_mcontext.fpregs = NULL; break;
	case 7: /* all flags but TF */ g[REG_EFL] |= (greg_t)0xffffffffffffffff & ~0x100; break;
	case 8: g[REG_CSGSFS] = 0x1234567812345678; break;
	case 9: uc->uc_mcontext.fpregs = (void *)8; break;
	case 10: uc->uc_mcontext.fpregs = (void *)0xffffffff80000000; break;
	case 11: g[REG_RIP] = (greg_t)0x8000000000000000; break;
	case 12: g[REG_RIP] = (greg_t)0xffffffff80000000; break;
	case 13: g[REG_RSP] = (greg_t)0x8000000000000001; break;
	case 14: g[REG_RIP] = 0x00007fffffffffff; break;
	}
}

static void spoiled_child(void)
{
	handle(SIGUSR1, spoil_frame, 0);
	raise(SIGUSR1);
	EXPECT_EQ(calls, 1);
	__asm__ volatile("cld\n\tpushfq\n\tandq $~0x44000, (%%rsp)\n\tpopfq" : : : "memory", "cc");
	_exit(test_failures != 0);
}

static void spoiled_frames(void)
{
	for (spoil = 0; spoil < 15; spoil++) {
		int status = in_child(spoiled_child);

		bool killed = WIFSIGNALED(status) &&
			      (WTERMSIG(status) == SIGSEGV || WTERMSIG(status) == SIGBUS);

		EXPECT(spoil < (xsave ? 3 : 1) || spoil > 8 ?
			       killed :
			       status == 0 || (spoil == 8 && killed));
	}
}

/* sigreturn on random bytes. */
static char garbage[8192] __attribute__((aligned(64)));

static void garbage_child(void)
{
	__asm__ volatile("mov %0, %%rsp\n\tsyscall"
			 :
			 : "r"(garbage + 8), "a"((long)SYS_rt_sigreturn)
			 : "memory");
	_exit(0);
}

static void random_frames(void)
{
	uint64_t seed = 88172645463325252ULL;

	for (int turn = 0; turn < 24; turn++) {
		for (size_t i = 0; i < sizeof(garbage); i++) {
			seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
			garbage[i] = (char)seed;
		}
		if (turn & 1) { /* a frame that gets further */
			*(uint64_t *)(garbage + 8 + 40 + 16 * 8) =
				turn & 2 ? 0x1000 : (uint64_t)(garbage + 4096);
			*(uint64_t *)(garbage + 8 + 40 + 184) = (uint64_t)garbage + 1024;
		}
		EXPECT(WIFSIGNALED(in_child(garbage_child)));
	}
}

static char alternate[32 * 1024] __attribute__((aligned(16)));
static volatile int alternate_flags, depth;

static void on_alternate(int sig, siginfo_t *info, void *context)
{
	stack_t now;
	char here;

	(void)info, (void)context;
	calls++;
	sigaltstack(NULL, &now);
	alternate_flags = now.ss_flags;
	if (&here < alternate || &here >= alternate + sizeof(alternate))
		alternate_flags = -1;
	if (depth++ == 0) {
		now.ss_flags = 0;
		EXPECT_ERRNO(syscall(SYS_sigaltstack, &now, NULL), EPERM);
		raise(sig == SIGUSR1 ? SIGUSR2 : SIGUSR1);
		EXPECT(&here >= alternate && &here < alternate + sizeof(alternate));
	}
}

static void self_disarming(int sig, siginfo_t *info, void *context)
{
	stack_t now;

	(void)sig, (void)info, (void)context;
	sigaltstack(NULL, &now);
	alternate_flags = now.ss_flags;
	calls++;
}

static void alternate_stacks(void)
{
	stack_t stack = { .ss_sp = alternate, .ss_size = sizeof(alternate) }, now;

	REQUIRE(sigaltstack(&stack, NULL) == 0);
	handle(SIGUSR1, on_alternate, SA_ONSTACK);
	handle(SIGUSR2, on_alternate, SA_ONSTACK);
	raise(SIGUSR1);
	EXPECT_EQ(calls, 2);
	EXPECT_EQ(alternate_flags, SS_ONSTACK);
	stack.ss_flags = (int)(1U << 31); /* SS_AUTODISARM */
	EXPECT(syscall(SYS_sigaltstack, &stack, NULL) == 0);
	handle(SIGUSR1, self_disarming, SA_ONSTACK);
	raise(SIGUSR1);
	EXPECT_EQ(alternate_flags, SS_DISABLE);
	EXPECT(syscall(SYS_sigaltstack, NULL, &now) == 0);
	EXPECT_EQ(now.ss_flags, (int)(1U << 31));
	EXPECT(now.ss_sp == alternate);
	stack.ss_flags = 64;
	EXPECT_ERRNO(syscall(SYS_sigaltstack, &stack, NULL), EINVAL);
	EXPECT_ERRNO(syscall(SYS_sigaltstack, (void *)8, NULL), EFAULT);
	stack = (stack_t){ .ss_flags = SS_DISABLE };
	EXPECT(sigaltstack(&stack, NULL) == 0);
}

static void note_order(int sig, siginfo_t *info, void *context)
{
	(void)info, (void)context;
	if (calls < 16)
		order[calls] = sig;
	calls++;
}

static void order_of_delivery(void)
{
	const int sent[] = { SIGRTMIN + 3, SIGUSR2, SIGRTMIN, SIGHUP, SIGTERM };
	sigset_t all, old;

	for (size_t i = 0; i < 5; i++)
		handle(sent[i], note_order, 0);
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &old);
	for (size_t i = 0; i < 5; i++)
		raise(sent[i]);
	sigprocmask(SIG_SETMASK, &old, NULL);
	EXPECT_EQ(calls, 5);
	/* each handler breaks into the one before it: the lowest number began first, so it ends last */
	EXPECT_EQ(order[4], SIGHUP);
	EXPECT_EQ(order[3], SIGUSR2);
	EXPECT_EQ(order[2], SIGTERM);
	EXPECT_EQ(order[1], SIGRTMIN);
	EXPECT_EQ(order[0], SIGRTMIN + 3);
}

static void limits_child(void)
{
	struct rlimit few = { 10, 10 };
	union sigval value = { .sival_int = 1 };
	sigset_t set;
	int sent = 0;

	REQUIRE(setrlimit(RLIMIT_SIGPENDING, &few) == 0);
	sigfillset(&set);
	sigprocmask(SIG_SETMASK, &set, NULL);
	while (sent < 100 && sigqueue(getpid(), SIGRTMIN, value) == 0)
		sent++;
	EXPECT(sent <= 10);
	EXPECT_ERRNO(sigqueue(getpid(), SIGRTMIN, value), EAGAIN);
	EXPECT_EQ(kill(getpid(), SIGUSR1), 0); /* needs no room */
	siginfo_t info;

	for (int i = 0; i < sent; i++) {
		sigemptyset(&set), sigaddset(&set, SIGRTMIN);
		EXPECT_EQ(sigwaitinfo(&set, &info), SIGRTMIN);
	}
	EXPECT_EQ(sigqueue(getpid(), SIGRTMIN, value), sent ? 0 : -1);
}

static void limits(void)
{
	EXPECT_EQ(in_child(limits_child), 0);
}

static void rules_of_sigqueueinfo(void)
{
	siginfo_t info = { .si_code = SI_USER };
	pid_t pid = fork();

	if (pid == 0)
		for (;;)
			pause();
	EXPECT_ERRNO(syscall(SYS_rt_sigqueueinfo, pid, SIGUSR1, &info), EPERM);
	info.si_code = SI_TKILL;
	EXPECT_ERRNO(syscall(SYS_rt_sigqueueinfo, pid, SIGUSR1, &info), EPERM);
	EXPECT_ERRNO(syscall(SYS_rt_tgsigqueueinfo, pid, pid, SIGUSR1, &info), EPERM);
	info.si_code = SI_QUEUE;
	EXPECT_ERRNO(syscall(SYS_rt_sigqueueinfo, pid, 65, &info), EINVAL);
	EXPECT_ERRNO(syscall(SYS_rt_sigqueueinfo, 999999, SIGUSR1, &info), ESRCH);
	EXPECT_ERRNO(syscall(SYS_rt_sigqueueinfo, pid, SIGUSR1, (void *)8), EFAULT);
	EXPECT(syscall(SYS_rt_tgsigqueueinfo, pid, pid, SIGKILL, &info) == 0);
	EXPECT_EQ(waitpid(pid, NULL, 0), pid);
}

int main(void)
{
	RUN(layout);
	RUN(fpu_is_kept);
	RUN(spoiled_frames);
	RUN(random_frames);
	RUN(alternate_stacks);
	RUN(order_of_delivery);
	RUN(limits);
	RUN(rules_of_sigqueueinfo);
	return test_end();
}
