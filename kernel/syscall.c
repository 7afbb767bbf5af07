/* SPDX-License-Identifier: MIT */
/*
 * Owns: the dispatch of system calls (kernel/syscall.h), the one message about each missing one, and the
 * lines of strace=1. The way of a call that is there is a bounds check, a load and an indirect call.
 */
#include "kernel/base/print.h"
#include "kernel/base/tunables.h"
#include "kernel/syscalls.h"
#include "kernel/thread.h"

#define NR_SYSCALLS 512		/* more than Linux has */

static long missing(u64 a0, u64 a1, u64 a2, u64 a3, u64 a4, u64 a5);

#pragma GCC diagnostic push
#ifdef __clang__
#pragma clang diagnostic ignored "-Winitializer-overrides"
#else
#pragma GCC diagnostic ignored "-Woverride-init"
#endif
static const syscall_fn calls[NR_SYSCALLS] = {
	[0 ... NR_SYSCALLS - 1] = missing,
#define SYSCALL(number, name, nargs) [number] = sys_##name,
#include "kernel/syscalls.def"
#undef SYSCALL
};
#pragma GCC diagnostic pop

struct trapframe *syscall_frame(void)
{
	return context_frame(&current->context);
}

/* Number NR has no call here: says so once. */
static __cold long missing_number(u64 nr)
{
	static u64 said[NR_SYSCALLS / 64];
	const char *name = syscall_name(nr);
	u64 bit = 1UL << nr % 64;

	if (nr >= NR_SYSCALLS)
		return -ENOSYS;
	if (!(__atomic_fetch_or(&said[nr / 64], bit, __ATOMIC_RELAXED) & bit))
		printk(LOG_NOTICE, "%s[%d]: missing system call %lu %s", current->comm, current->tid, nr, name ? name : "?");
	return -ENOSYS;
}

static long missing(u64 a0 __unused, u64 a1 __unused, u64 a2 __unused, u64 a3 __unused, u64 a4 __unused,
		    u64 a5 __unused)
{
	return missing_number(syscall_frame()->orig_rax);
}

static __cold __noinline void call_slowly(struct trapframe *f)
{
	u64 nr = f->orig_rax, arg[6] = { f->rdi, f->rsi, f->rdx, f->r10, f->r8, f->r9 };
	char line[200];

	if (tune.strace)
		strace_begin(line, sizeof(line), nr, arg);
	if (nr < NR_SYSCALLS)
		f->rax = calls[nr](arg[0], arg[1], arg[2], arg[3], arg[4], arg[5]);
	else
		f->rax = missing_number(nr);
	if (tune.strace)
		strace_end(line, f->rax);
}

void trap_syscall(struct trapframe *f)
{
	u64 nr = f->orig_rax;

	count(syscalls);
	if (unlikely(nr >= NR_SYSCALLS || tune.strace))
		call_slowly(f);
	else
		f->rax = calls[nr](f->rdi, f->rsi, f->rdx, f->r10, f->r8, f->r9);
}
