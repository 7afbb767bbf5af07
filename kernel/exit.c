/* SPDX-License-Identifier: MIT */
/*
 * Owns: the end of threads and processes.
 *
 * A thread ends by thread_exit on its own stack. The last one of a process lets go of files and memory
 * first, in that order, so that a parent which is told finds everything freed; then the process becomes a
 * zombie, its children get another parent, and its parent is told, all under process_lock. From then
 * on the process may be gone: the thread belongs to the kernel for its last steps. Others are told
 * to end by `exiting`, and do so on their way to user mode.
 */
#include "arch/machine.h"
#include "arch/user.h"
#include "kernel/base/print.h"
#include "kernel/fs/file.h"
#include "kernel/job.h"
#include "kernel/syscalls.h"
#include "kernel/thread.h"
#include "mm/check.h"

void thread_release_user(struct thread *t)
{
	u32 zero = 0;

	if (t->robust_list)
		futex_exit_robust(t);
	t->robust_list = 0;
	if (t->clear_child_tid && (t->space->refs > 1 || t->process->nr_threads > 1)) {
		user_put(t->clear_child_tid, &zero);
		futex_wake(t->clear_child_tid, 1, ~0U, false);
	}
	t->clear_child_tid = 0;
}

void thread_release_vfork(struct thread *t)
{
	if (!t->vfork)
		return;
	spin_lock(&process_lock);
	if (t->vfork) {			/* its parent may have stopped waiting */
		t->vfork->done = true;
		waitq_wake_all(&t->vfork->queue);
		t->vfork = NULL;
	}
	spin_unlock(&process_lock);
}

void process_kill(struct process *p, int exit_code)
{
	struct thread *t;

	if (!p->group_exit) {
		p->group_exit = true;
		p->exit_code = exit_code;
	}
	TAILQ_FOREACH(t, &p->threads, sibling) {
		t->exiting = true;
		signal_update(t);
	}
}

/* Tells P's parent that P has ended. True: nobody will wait for P. Under process_lock. */
static bool notify_parent(struct process *p)
{
	int code = p->exit_code, signo = code & 0x7f;
	struct siginfo info = {
		.code = signo ? CLD_KILLED : CLD_EXITED,
		.by = { .pid = p->pid, .uid = p->cred.uid, .status = signo ? signo : code >> 8 & 0xff },
	};
	bool unwanted = p->exit_signal == SIGCHLD && p->parent->sig && signal_reaps_children(p->parent);

	if (p->exit_signal)
		signal_send_process(p->parent, p->exit_signal, &info);
	waitq_wake_all(&p->parent->child_wait);
	return unwanted;
}

static void bury(struct process *p)
{
	process_unlink(p);
	process_free(p);
}

/* P's children become those of the nearest ancestor that asked for orphans, or of init. */
static void give_children_away(struct process *p)
{
	struct process *heir = p->parent, *c;

	while (heir != init_process && !(heir->subreaper && heir->nr_threads))
		heir = heir->parent;
	while ((c = LIST_FIRST(&p->children)) != NULL) {
		LIST_REMOVE(c, sibling);
		LIST_INSERT_HEAD(&heir->children, c, sibling);
		c->parent = heir;
		c->ppid = heir->pid;
		c->exit_signal = SIGCHLD;
		if (c->parent_death_signal)
			signal_send_process(c, c->parent_death_signal, NULL);
		if (c->zombie && notify_parent(c))
			bury(c);
	}
}

static void __noreturn machine_ends(struct process *p)
{
	int code = p->exit_code, signo = code & 0x7f;

	if (signo)
		printk(LOG_ERR, "init was killed by signal %d: leaving", signo);
	else
		printk(LOG_INFO, "init ended with status %d: leaving", code >> 8 & 0xff);
	machine_exit(signo ? 128 + signo : code >> 8 & 0xff);
}

/* P's last thread is gone from its list: lets go of all that P has but its place in the tree. */
static void release_process(struct process *p)
{
	struct signal_process *sig = p->sig;

	itimer_exit(p);
	check_after(p->space, true);
	if (p == init_process)
		machine_ends(p);
	files_put(p->files);
	fs_context_put(p->fs);
	p->files = NULL;
	p->fs = NULL;
	struct space *space = p->space;
	spin_lock(&process_lock);	/* who looks at another's space or signals holds it */
	p->space = NULL;
	p->sig = NULL;
	spin_unlock(&process_lock);
	p->max_rss_pages = MAX(p->max_rss_pages, space_put(space));
	signal_process_put(sig);
}

/* The running thread leaves its process; true if it was the last one. */
static bool leave_process(struct thread *t, struct process *p, int exit_code)
{
	struct thread *other;
	bool last;

	spin_lock(&process_lock);
	signal_thread_destroy(t);
	p->user_ns += thread_cpu_ns(t) - t->kernel_ns;
	p->kernel_ns += t->kernel_ns;
	p->min_faults += t->min_faults;
	thread_unlink(t);
	if (!p->group_exit && p->sig && p->sig->pending.set)
		TAILQ_FOREACH(other, &p->threads, sibling)	/* a signal may have counted on T to take it */
			signal_update(other);
	if (t->tid == p->pid)
		p->leader_exit_code = exit_code;
	last = !p->nr_threads;
	if (last && !p->group_exit)
		p->exit_code = p->leader_exit_code;
	if (p->exec_thread)
		waitq_wake_all(&p->thread_wait);
	spin_unlock(&process_lock);
	return last;
}

void thread_exit(int exit_code)
{
	struct thread *t = current;
	struct process *p = t->process;
	bool user = t->space != NULL, last, unwanted;

	if (user) {
		thread_release_user(t);
		t->space = NULL;
		tlb_switch_space(NULL);
	}
	last = leave_process(t, p, exit_code);
	if (last && user)
		release_process(p);
	thread_release_vfork(t);
	spin_lock(&process_lock);
	t->process = &kernel_process;
	if (last && user) {
		job_exit(p);
		give_children_away(p);
		p->zombie = true;
		p->stopped = p->continued = false;
		unwanted = notify_parent(p);
		if (unwanted)
			bury(p);
	}
	spin_unlock(&process_lock);
	sched_exit();
}

void process_exit_group(int exit_code)
{
	spin_lock(&process_lock);
	process_kill(current_process, exit_code);
	exit_code = current_process->exit_code;
	spin_unlock(&process_lock);
	thread_exit(exit_code);
}

long sys_exit(u64 status, u64 a1 __unused, u64 a2 __unused, u64 a3 __unused, u64 a4 __unused, u64 a5 __unused)
{
	thread_exit((status & 0xff) << 8);
}

long sys_exit_group(u64 status, u64 a1 __unused, u64 a2 __unused, u64 a3 __unused, u64 a4 __unused, u64 a5 __unused)
{
	process_exit_group((status & 0xff) << 8);
}
