/* SPDX-License-Identifier: MIT */
/*
 * Owns: the birth of processes and threads by fork, vfork and clone.
 *
 * All that can fail is done while nobody knows the newborn; then, under process_lock, it gets its id and its
 * place in the tree, and only then may it run. A thread shares everything with its process: files and
 * current directory belong to the process here, so CLONE_THREAD without CLONE_FILES and CLONE_FS is refused.
 */
#include "arch/machine.h"
#include "arch/user.h"
#include "kernel/base/errno.h"
#include "kernel/base/string.h"
#include "kernel/fs/file.h"
#include "kernel/syscalls.h"
#include "kernel/thread.h"

enum {
	CLONE_VM = 0x100, CLONE_FS = 0x200, CLONE_FILES = 0x400, CLONE_SIGHAND = 0x800, CLONE_PIDFD = 0x1000,
	CLONE_VFORK = 0x4000, CLONE_PARENT = 0x8000, CLONE_THREAD = 0x10000, CLONE_SETTLS = 0x80000,
	CLONE_PARENT_SETTID = 0x100000, CLONE_CHILD_CLEARTID = 0x200000, CLONE_CHILD_SETTID = 0x1000000,
	/* of new name spaces: mount, cgroup, uts, ipc, user, pid, net */
	CLONE_NEW = 0x00020000 | 0x02000000 | 0x04000000 | 0x08000000 | 0x10000000 | 0x20000000 | 0x40000000,
};

static int check_flags(const struct clone_args *a)
{
	u64 f = a->flags;

	if (f & (CLONE_NEW | CLONE_PIDFD))
		return -EINVAL;
	if ((f & CLONE_SIGHAND && !(f & CLONE_VM)) || (f & CLONE_THREAD && !(f & CLONE_SIGHAND)))
		return -EINVAL;
	if (f & CLONE_THREAD && (f & (CLONE_FILES | CLONE_FS)) != (CLONE_FILES | CLONE_FS))
		return -EINVAL;
	if (f & CLONE_PARENT && current_process == init_process)
		return -EINVAL;
	if (f & CLONE_SETTLS && a->tls >= USER_END)
		return -EPERM;
	return a->exit_signal > NSIG ? -EINVAL : 0;
}

/* A process that shares or copies the running one's parts as FLAGS say. NULL: no memory. */
static struct process *copy_process(u64 flags)
{
	struct process *from = current_process, *p = process_alloc(from);

	if (!p)
		return NULL;
	if (flags & CLONE_FILES)
		files_get(p->files = from->files);
	else
		p->files = files_copy(from->files);
	if (flags & CLONE_FS)
		fs_context_get(p->fs = from->fs);
	else
		p->fs = fs_context_copy(from->fs);
	if (flags & CLONE_SIGHAND) {
		p->sig = from->sig;
		__atomic_fetch_add(&p->sig->refs, 1, __ATOMIC_RELAXED);
	} else {
		p->sig = signal_process_copy(from->sig);
	}
	if (flags & CLONE_VM)
		space_get(p->space = from->space);
	else if (p->files && p->fs && p->sig)
		p->space = space_fork(from->space);
	if (p->files && p->fs && p->sig && p->space)
		return p;
	process_free(p);
	return NULL;
}

/* What a newborn does first: it goes to user mode, where its parent was. */
static void return_from_clone(void *unused __unused)
{
	struct thread *t = current;

	if (t->set_child_tid)
		user_put(t->set_child_tid, &t->tid);
	trap_return(context_frame(&t->context));
}

/* The thread that goes on as F says, in P. NULL: no memory. */
static struct thread *copy_thread(const struct trapframe *f, const struct clone_args *a, struct process *p)
{
	struct thread *me = current, *t = thread_alloc(p, true, return_from_clone, NULL);
	struct trapframe *frame;

	if (!t)
		return NULL;
	t->space = p->space;
	t->affinity = me->affinity;
	memcpy(t->comm, me->comm, sizeof(t->comm));
	t->domain = me->domain;
	domain_get(t->domain);
	fpu_save(&me->context);
	memcpy(t->context.fpu, me->context.fpu, fpu_size);
	t->context.fs_base = a->flags & CLONE_SETTLS ? a->tls : context_get_fs(&me->context);
	t->context.gs_base = context_get_gs(&me->context);
	if ((a->flags & (CLONE_VM | CLONE_VFORK)) != CLONE_VM) {
		t->sig.alt_sp = me->sig.alt_sp;
		t->sig.alt_size = me->sig.alt_size;
		t->sig.alt_flags = me->sig.alt_flags;
	}
	if (a->flags & CLONE_CHILD_SETTID)
		t->set_child_tid = a->child_tid;
	if (a->flags & CLONE_CHILD_CLEARTID)
		t->clear_child_tid = a->child_tid;
	frame = context_frame(&t->context);
	*frame = *f;
	frame->rax = 0;
	if (a->stack)
		frame->rsp = a->stack;
	return t;
}

/* Gives T, and P if it is a new process, an id and a place. The id, or -EAGAIN. Under process_lock. */
static pid_t join(struct thread *t, struct process *p, const struct clone_args *a)
{
	struct process *me = current_process;
	pid_t tid;

	if (current->exiting || nr_threads >= max_threads || (p != me && nr_processes >= max_threads))
		return -EAGAIN;
	tid = pid_alloc();
	if (tid < 0)
		return tid;
	if (p != me) {
		p->pid = tid;
		p->pgid = me->pgid;	/* as it is now, under the lock */
		p->sid = me->sid;
		p->tty = me->tty;
		p->exit_signal = a->flags & CLONE_PARENT ? me->exit_signal : a->exit_signal;
		process_link(p, a->flags & CLONE_PARENT ? me->parent : me);
	}
	thread_link(t, p, tid);
	if (p->stopped)		/* it came too late to be told */
		t->sig.work = true;
	return tid;
}

static void wait_for_vfork(struct vfork_wait *w, pid_t tid)
{
	struct thread *child;

	spin_lock(&process_lock);
	while (!w->done && waitq_sleep(&w->queue, &process_lock, SLEEP_FOREVER, SLEEP_KILLABLE) == 0)
		;
	child = thread_find(tid);
	if (!w->done && child && child->vfork == w)
		child->vfork = NULL;
	spin_unlock(&process_lock);
}

long process_clone(struct trapframe *f, const struct clone_args *a)
{
	struct vfork_wait w = { .queue = WAITQ(w.queue) };
	struct process *p = current_process;
	struct thread *t = NULL;
	pid_t tid = check_flags(a);

	if (tid < 0)
		return tid;
	if (!(a->flags & CLONE_THREAD))
		p = copy_process(a->flags);
	if (p)
		t = copy_thread(f, a, p);
	tid = -ENOMEM;
	if (t) {
		if (a->flags & CLONE_VFORK)
			t->vfork = &w;
		spin_lock(&process_lock);
		tid = join(t, p, a);
		spin_unlock(&process_lock);
	}
	if (tid < 0) {
		if (t)
			thread_free(t);
		if (p && p != current_process)
			process_free(p);
		return tid;
	}
	count(forks);
	if (a->flags & CLONE_PARENT_SETTID)
		user_put(a->parent_tid, &tid);
	sched_ready(t);
	if (a->flags & CLONE_VFORK)
		wait_for_vfork(&w, tid);
	return tid;
}

long sys_fork(u64 a0 __unused, u64 a1 __unused, u64 a2 __unused, u64 a3 __unused, u64 a4 __unused, u64 a5 __unused)
{
	return process_clone(syscall_frame(), &(struct clone_args){ .exit_signal = SIGCHLD });
}

long sys_vfork(u64 a0 __unused, u64 a1 __unused, u64 a2 __unused, u64 a3 __unused, u64 a4 __unused, u64 a5 __unused)
{
	struct clone_args a = { .flags = CLONE_VFORK | CLONE_VM, .exit_signal = SIGCHLD };

	return process_clone(syscall_frame(), &a);
}

long sys_clone(u64 flags, u64 stack, u64 parent_tid, u64 child_tid, u64 tls, u64 a5 __unused)
{
	struct clone_args a = {
		.flags = flags & 0xffffff00, .exit_signal = flags & 0xff, .stack = stack,
		.parent_tid = parent_tid, .child_tid = child_tid, .tls = tls,
	};

	return process_clone(syscall_frame(), &a);
}
