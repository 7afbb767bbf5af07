/* SPDX-License-Identifier: MIT */
/*
 * Owns: calls that ask a process about itself or set its small properties: ids, limits, prctl, the thread
 * area, resource accounts, the machine's name, memory and end.
 *
 * Locks: process_lock for what is another process's, and for limits and the host name; nothing else is shared.
 */
#include "arch/machine.h"
#include "arch/user.h"
#include "kernel/base/guard.h"
#include "kernel/base/print.h"
#include "kernel/base/string.h"
#include "kernel/fs/proc.h"
#include "kernel/syscalls.h"
#include "kernel/thread.h"
#include "kernel/version.h"
#include "mm/report.h"
#include "mm/frame.h"
#include "mm/pcache.h"

long sys_getpid(ARGS) { return current_process->pid; }
long sys_gettid(ARGS) { return current->tid; }
long sys_getppid(ARGS) { return READ_ONCE(current_process->ppid); }

long sys_set_tid_address(u64 va, REST1)
{
	current->clear_child_tid = va;
	return current->tid;
}

enum { ARCH_SET_GS = 0x1001, ARCH_SET_FS, ARCH_GET_FS, ARCH_GET_GS };

long sys_arch_prctl(u64 code, u64 va, REST2)
{
	struct context *c = &current->context;
	u64 base;

	switch (code) {
	case ARCH_SET_FS:
	case ARCH_SET_GS:
		if (va >= USER_END)
			return -EPERM;
		if (code == ARCH_SET_FS)
			context_set_fs(c, va);
		else
			context_set_gs(c, va);
		return 0;
	case ARCH_GET_FS:
	case ARCH_GET_GS:
		base = code == ARCH_GET_FS ? context_get_fs(c) : context_get_gs(c);
		return user_put(va, &base);
	default:
		return -EINVAL;
	}
}

enum { PR_SET_PDEATHSIG = 1, PR_GET_PDEATHSIG, PR_GET_DUMPABLE, PR_SET_DUMPABLE, PR_SET_NAME = 15, PR_GET_NAME,
       PR_CAPBSET_READ = 23, PR_SET_CHILD_SUBREAPER = 36, PR_GET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS,
       PR_GET_NO_NEW_PRIVS, PR_GET_TID_ADDRESS };

static long set_name(vaddr_t va)
{
	char name[16] = "";
	ssize_t n = user_copy_string(name, va, sizeof(name));

	if (n < 0 && n != -ENAMETOOLONG)
		return n;
	name[15] = 0;
	memcpy(current->comm, name, sizeof(name));
	if (current->tid == current_process->pid)
		memcpy(current_process->comm, name, sizeof(name));
	return 0;
}

long sys_prctl(u64 option, u64 a, u64 b, u64 c, u64 d, REST5)
{
	struct process *p = current_process;

	switch ((int)option) {
	case PR_SET_PDEATHSIG:
		if (a > NSIG)
			return -EINVAL;
		p->parent_death_signal = (u8)a;
		return 0;
	case PR_GET_PDEATHSIG:
		return user_put(a, &(int){ p->parent_death_signal });
	case PR_GET_DUMPABLE:
		return p->dumpable;
	case PR_SET_DUMPABLE:
		if (a > 1)
			return -EINVAL;
		p->dumpable = a;
		return 0;
	case PR_SET_NAME:
		return set_name(a);
	case PR_GET_NAME:
		return user_put(a, &current->comm);
	case PR_CAPBSET_READ:
		return a <= 40 ? 1 : -EINVAL;
	case PR_SET_CHILD_SUBREAPER:
		p->subreaper = a;
		return 0;
	case PR_GET_CHILD_SUBREAPER:
		return user_put(a, &(int){ p->subreaper });
	case PR_SET_NO_NEW_PRIVS:
		if (a != 1 || b || c || d)
			return -EINVAL;
		p->cred.no_new_privs = true;
		return 0;
	case PR_GET_NO_NEW_PRIVS:
		return a || b || c || d ? -EINVAL : p->cred.no_new_privs;
	case PR_GET_TID_ADDRESS:
		return user_put(a, &current->clear_child_tid);
	default:
		return -EINVAL;
	}
}

#define MOST_FILES 65536

static long change_limit(pid_t pid, unsigned which, const struct rlimit *new, struct rlimit *old)
{
	GUARD(process_lock);
	struct process *p = pid ? process_find(pid) : current_process;

	if (!p)
		return -ESRCH;
	if (which >= NR_RLIMITS || (new && new->cur > new->max))
		return -EINVAL;
	if (new && which == RLIM_NOFILE && new->max > MOST_FILES)
		return -EPERM;
	*old = p->limits[which];
	if (new) {
		p->limits[which] = *new;
		if (p->space)
			process_apply_limits(p, p->space);
	}
	return 0;
}

long sys_prlimit64(u64 pid, u64 which, u64 new_va, u64 old_va, REST4)
{
	struct rlimit new, old;
	long err;

	if (new_va && user_get(&new, new_va))
		return -EFAULT;
	err = change_limit((pid_t)pid, (unsigned)which, new_va ? &new : NULL, &old);
	return err ? err : old_va ? user_put(old_va, &old) : 0;
}

long sys_getrlimit(u64 which, u64 va, REST2) { return va ? sys_prlimit64(0, which, 0, va, 0, 0) : -EFAULT; }
long sys_setrlimit(u64 which, u64 va, REST2) { return va ? sys_prlimit64(0, which, va, 0, 0, 0) : -EFAULT; }

enum { RUSAGE_CHILDREN = -1, RUSAGE_SELF, RUSAGE_THREAD };

/* Faults are counted for the process: RUSAGE_THREAD has them of all its threads. */
long sys_getrusage(u64 who, u64 va, REST2)
{
	struct process *p = current_process;
	struct space_usage now;
	struct rusage_times u;

	if ((int)who < RUSAGE_CHILDREN || (int)who > RUSAGE_THREAD)
		return -EINVAL;
	space_usage(p->space, &now);
	p->max_rss_pages = MAX(p->max_rss_pages, now.peak_rss);
	spin_lock(&process_lock);
	process_usage(p, (int)who == RUSAGE_CHILDREN ? USAGE_CHILDREN : USAGE_SELF, &u);
	spin_unlock(&process_lock);
	if ((int)who == RUSAGE_THREAD) {
		u.kernel_ns = current->kernel_ns;
		u.user_ns = thread_cpu_ns(current) - u.kernel_ns;
	}
	return rusage_put(va, &u);
}

static char host_name[65] = "quire", domain_name[65] = "(none)";

long sys_uname(u64 va, REST1)
{
	struct { char sysname[65], nodename[65], release[65], version[65], machine[65], domain[65]; } u = {
		.sysname = "Linux", .release = VERSION_RELEASE, .version = VERSION_VERSION, .machine = "x86_64",
	};

	spin_lock(&process_lock);
	memcpy(u.nodename, host_name, sizeof(host_name));
	memcpy(u.domain, domain_name, sizeof(domain_name));
	spin_unlock(&process_lock);
	return user_put(va, &u);
}

static long set_machine_name(char name[65], vaddr_t va, u64 n)
{
	char new[65] = "";

	if ((s64)n < 0 || n > 64)
		return -EINVAL;
	if (user_copy_in(new, va, n))
		return -EFAULT;
	GUARD(process_lock);
	memcpy(name, new, sizeof(new));
	return 0;
}

long sys_sethostname(u64 va, u64 n, REST2) { return set_machine_name(host_name, va, n); }
long sys_setdomainname(u64 va, u64 n, REST2) { return set_machine_name(domain_name, va, n); }

long sys_sysinfo(u64 va, REST1)
{
	struct {
		s64 uptime;
		u64 loads[3], total, free, shared, buffers, total_swap, free_swap;
		u16 procs, pad;
		u64 total_high, free_high;
		u32 unit;
	} s = {
		.uptime = (s64)(clock_ns() / 1000000000), .total = frame_nr_total() << PAGE_SHIFT,
		.free = frame_nr_free() << PAGE_SHIFT, .shared = pcache_total_pages(true) << PAGE_SHIFT, .unit = 1,
	};

	_Static_assert(sizeof(s) == 112, "struct sysinfo");
	s.procs = (u16)nr_threads;
	proc_load(s.loads);
	return user_put(va, &s);
}

#define REBOOT_MAGIC 0xfee1deadU
enum { REBOOT_CAD_OFF = 0, REBOOT_RESTART = 0x01234567, REBOOT_POWER_OFF = 0x4321fedc };
#define REBOOT_CAD_ON 0x89abcdefU
#define REBOOT_HALT 0xcdef0123U
#define REBOOT_RESTART2 0xa1b2c3d4U

/* However it is asked for, the machine ends: there is nothing to come back to. */
long sys_reboot(u64 magic, u64 magic2, u64 command, REST3)
{
	u32 m = (u32)magic2;	/* four birthdays */

	if ((u32)magic != REBOOT_MAGIC || (m != 672274793 && m != 85072278 && m != 369367448 && m != 537993216))
		return -EINVAL;
	switch ((u32)command) {
	case REBOOT_CAD_OFF:
	case REBOOT_CAD_ON:
		return 0;
	case REBOOT_RESTART:
	case REBOOT_RESTART2:
	case REBOOT_HALT:
	case REBOOT_POWER_OFF:
		printk(LOG_INFO, "%s[%d] asked for the end: leaving", current->comm, current_process->pid);
		machine_exit(0);
	default:
		return -EINVAL;
	}
}

/* Optional, as its users know; they ask at each start, so it is not worth a line on the console. */
long sys_rseq(ARGS) { return -ENOSYS; }

/* Only the ordinary one is there. */
long sys_personality(u64 persona, REST1)
{
	return (u32)persona == 0 || (u32)persona == 0xffffffff ? 0 : -EINVAL;
}
