/* SPDX-License-Identifier: MIT */
/*
 * Owns: waiting for children (wait4, waitid), and the accounts of resources that it passes on.
 *
 * Children are looked at, and zombies taken off the tree, under process_lock, under which each change of a
 * child's state is also made and its parent's child_wait woken. Children belong to the process: any thread
 * may wait for them.
 */
#include "arch/user.h"
#include "kernel/syscalls.h"
#include "kernel/thread.h"

enum {
	WNOHANG = 1, WSTOPPED = 2, WEXITED = 4, WCONTINUED = 8, WNOWAIT = 0x01000000, WNOTHREAD = 0x20000000,
	WALL = 0x40000000,
};
#define WCLONE 0x80000000U
enum { P_ALL, P_PID, P_PGID };
#define CONTINUED_STATUS 0xffff

struct wait_args { int kind; pid_t id; u32 options; };

/* What was found: pid 0: nothing, with WNOHANG. */
struct wait_result {
	pid_t pid;
	u32 uid;
	int status;			/* as wait4 reports it */
	struct rusage_times usage;
};

struct rusage { struct { s64 sec, usec; } user, kernel; s64 maxrss, unused_sizes[3], minflt, majflt, other[8]; };
_Static_assert(sizeof(struct rusage) == 144, "struct rusage");

void process_usage(struct process *p, enum rusage_whose whose, struct rusage_times *u)
{
	*u = (struct rusage_times){ 0 };
	if (whose != USAGE_CHILDREN) {
		process_times(p, &u->user_ns, &u->kernel_ns);
		u->max_rss_pages = p->max_rss_pages;
		u->min_faults = process_min_faults(p);
		u->maj_faults = p->maj_faults;
	}
	if (whose != USAGE_SELF) {
		u->user_ns += p->child_user_ns;
		u->kernel_ns += p->child_kernel_ns;
		u->max_rss_pages = MAX(u->max_rss_pages, p->child_max_rss_pages);
		u->min_faults += p->child_min_faults;
		u->maj_faults += p->child_maj_faults;
	}
}

int rusage_put(vaddr_t va, const struct rusage_times *u)
{
	struct rusage r = {
		.user = { u->user_ns / 1000000000, u->user_ns % 1000000000 / 1000 },
		.kernel = { u->kernel_ns / 1000000000, u->kernel_ns % 1000000000 / 1000 },
		.maxrss = u->max_rss_pages * (PAGE_SIZE / 1024), .minflt = u->min_faults, .majflt = u->maj_faults,
	};

	return user_put(va, &r);
}

static bool is_asked_for(const struct process *c, const struct wait_args *a)
{
	if ((a->kind == P_PID && c->pid != a->id) || (a->kind == P_PGID && c->pgid != a->id))
		return false;
	return a->options & WALL || (c->exit_signal != SIGCHLD) == !!(a->options & WCLONE);
}

/* Is there news of C? Takes it, unless WNOWAIT. */
static bool take_news(struct process *c, u32 options, struct wait_result *r)
{
	bool take = !(options & WNOWAIT);

	if (c->zombie) {
		if (!(options & WEXITED))
			return false;
		r->status = c->exit_code;
	} else if (c->stopped && !c->stop_reported && options & WSTOPPED) {
		r->status = c->exit_code;
		c->stop_reported = take;
	} else if (c->continued && options & WCONTINUED) {
		r->status = CONTINUED_STATUS;
		c->continued = !take;
	} else {
		return false;
	}
	r->pid = c->pid;
	r->uid = c->cred.uid;
	process_usage(c, USAGE_BOTH, &r->usage);
	return true;
}

/* The zombie C has been waited for: its account goes to its parent. */
static void reap(struct process *c, const struct rusage_times *u)
{
	struct process *p = c->parent;

	p->child_user_ns += u->user_ns;
	p->child_kernel_ns += u->kernel_ns;
	p->child_min_faults += u->min_faults;
	p->child_maj_faults += u->maj_faults;
	p->child_max_rss_pages = MAX(p->child_max_rss_pages, u->max_rss_pages);
	process_unlink(c);
	process_free(c);
}

static long wait_for_child(const struct wait_args *a, struct wait_result *r)
{
	struct process *p = current_process, *c;
	bool broken = false;
	long err;

	spin_lock(&process_lock);
	for (;;) {
		err = -ECHILD;
		LIST_FOREACH(c, &p->children, sibling) {
			if (!is_asked_for(c, a))
				continue;
			err = 0;
			if (take_news(c, a->options, r)) {
				if (c->zombie && !(a->options & WNOWAIT))
					reap(c, &r->usage);
				goto out;
			}
		}
		if (err || a->options & WNOHANG)
			break;
		if (broken) {
			err = -ERESTART;
			break;
		}
		/* Then once more: the signal may be that of the very child, which has gone or has news. */
		broken = waitq_sleep(&p->child_wait, &process_lock, SLEEP_FOREVER, SLEEP_INTERRUPTIBLE);
	}
	r->pid = 0;
out:
	spin_unlock(&process_lock);
	return err;
}

long sys_wait4(u64 pid, u64 status, u64 options, u64 usage, u64 a4 __unused, u64 a5 __unused)
{
	struct wait_args a = { .options = (u32)options | WEXITED };
	struct wait_result r;
	pid_t id = (pid_t)pid;
	long err;

	if (options & ~(u64)(WNOHANG | WSTOPPED | WCONTINUED | WNOTHREAD | WALL | WCLONE))
		return -EINVAL;
	if (id == (pid_t)0x80000000)
		return -ESRCH;
	a.kind = id > 0 ? P_PID : id == -1 ? P_ALL : P_PGID;
	a.id = id > 0 ? id : id == 0 ? current_process->pgid : -id;
	err = wait_for_child(&a, &r);
	if (err || !r.pid)
		return err;
	if ((status && user_put(status, &r.status)) || (usage && rusage_put(usage, &r.usage)))
		return -EFAULT;
	return r.pid;
}

/* R as SIGCHLD would have told it. */
static void fill_siginfo(const struct wait_result *r, struct siginfo *info)
{
	int signo = r->status & 0x7f;

	*info = (struct siginfo){ .signo = SIGCHLD, .by = { .pid = r->pid, .uid = r->uid, .status = signo } };
	if (r->status == CONTINUED_STATUS) {
		info->code = CLD_CONTINUED;
		info->by.status = SIGCONT;
	} else if (signo == 0x7f) {
		info->code = CLD_STOPPED;
		info->by.status = r->status >> 8 & 0xff;
	} else if (signo) {
		info->code = CLD_KILLED;
	} else {
		info->code = CLD_EXITED;
		info->by.status = r->status >> 8 & 0xff;
	}
}

long sys_waitid(u64 kind, u64 id, u64 infop, u64 options, u64 usage, u64 a5 __unused)
{
	struct wait_args a = { .kind = (int)kind, .id = (pid_t)id, .options = (u32)options };
	struct siginfo info = { 0 };
	struct wait_result r;
	long err;

	if (options & ~(u64)(WNOHANG | WSTOPPED | WEXITED | WCONTINUED | WNOWAIT | WNOTHREAD | WALL | WCLONE) ||
	    !(options & (WSTOPPED | WEXITED | WCONTINUED)))
		return -EINVAL;
	if (kind > P_PGID || (kind == P_PID && a.id <= 0) || (kind == P_PGID && a.id < 0))
		return -EINVAL;
	if (kind == P_PGID && !a.id)
		a.id = current_process->pgid;
	err = wait_for_child(&a, &r);
	if (err)
		return err;
	if (r.pid)
		fill_siginfo(&r, &info);
	if (infop && user_copy_out(infop, &info, 40))	/* what Linux writes of it ends with si_status */
		return -EFAULT;
	return r.pid && usage ? rusage_put(usage, &r.usage) : 0;
}
