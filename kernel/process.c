/* SPDX-License-Identifier: MIT */
/*
 * Owns: the memory of threads and processes, their ids and the tables that find them by id, the family tree
 * as lists, and the first process. Birth is clone.c's, death exit.c's.
 *
 * process_lock guards all lists and ids here. A struct process lives from process_alloc until whoever takes
 * it off the tree (wait, or the end of a child that nobody waits for) frees it; a struct thread until
 * the thread that runs after its last act has freed it. Ids are reused only once no thread, process, group
 * or session bears them.
 */
#include "kernel/process.h"
#include "arch/machine.h"
#include "kernel/base/errno.h"
#include "kernel/base/print.h"
#include "kernel/base/string.h"
#include "kernel/fs/file.h"
#include "kernel/thread.h"
#include "mm/kmem.h"

#define BUCKETS 256

struct spinlock process_lock = SPINLOCK(RANK_PROCESS);
struct process_list all_processes = LIST_HEAD_INITIALIZER(all_processes);
struct process *init_process;
u64 nr_processes_started;
u32 nr_threads, nr_processes, max_threads;

struct process kernel_process = {
	.children = LIST_HEAD_INITIALIZER(kernel_process.children),
	.threads = TAILQ_HEAD_INITIALIZER(kernel_process.threads),
	.child_wait = WAITQ(kernel_process.child_wait), .comm = "kernel",
};

static KMEM_CACHE(thread_cache, "thread", struct thread);
static KMEM_CACHE(process_cache, "process", struct process);

LIST_HEAD(tid_bucket, thread);
static struct process_list by_pid[BUCKETS];
static struct tid_bucket by_tid[BUCKETS];
static struct process *youngest;	/* of all_processes: the one linked last, or one before it */
static pid_t next_pid = 1;
static bool pids_wrapped;		/* from now on an id may be in use: */
static u64 pids_used[PID_MAX / 64];	/* those that were when next_pid began again */

struct process *process_find(pid_t pid)
{
	struct process *p;

	LIST_FOREACH(p, &by_pid[(u32)pid % BUCKETS], by_pid)
		if (p->pid == pid)
			break;
	return p;
}

struct thread *thread_find(pid_t tid)
{
	struct thread *t;

	LIST_FOREACH(t, &by_tid[(u32)tid % BUCKETS], by_tid)
		if (t->tid == tid)
			break;
	return t;
}

/* Ids begin again: whatever is in use now is passed over until the next time. */
static void pids_begin_again(void)
{
	struct process *p;
	struct thread *t;

	memset(pids_used, 0, sizeof(pids_used));
	LIST_FOREACH(p, &all_processes, all) {
		const pid_t used[] = { p->pid, p->pgid, p->sid };

		for (unsigned i = 0; i < ARRAY_SIZE(used); i++)
			pids_used[used[i] / 64] |= 1UL << used[i] % 64;
		TAILQ_FOREACH(t, &p->threads, sibling)
			pids_used[t->tid / 64] |= 1UL << t->tid % 64;
	}
	next_pid = 2;
	pids_wrapped = true;
}

pid_t pid_alloc(void)
{
	for (int begun = 0; begun < 2;) {
		pid_t id = next_pid++;

		if (id >= PID_MAX) {
			pids_begin_again();
			begun++;
		} else if (!pids_wrapped || !(pids_used[id / 64] >> id % 64 & 1)) {
			return id;
		}
	}
	return -EAGAIN;
}

void thread_link(struct thread *t, struct process *p, pid_t tid)
{
	t->tid = tid;
	LIST_INSERT_HEAD(&by_tid[(u32)tid % BUCKETS], t, by_tid);
	TAILQ_INSERT_TAIL(&p->threads, t, sibling);
	p->nr_threads++;
	nr_threads++;
}

void thread_unlink(struct thread *t)
{
	struct process *p = t->process;

	LIST_REMOVE(t, by_tid);
	TAILQ_REMOVE(&p->threads, t, sibling);
	p->nr_threads--;
	nr_threads--;
}

void thread_renumber(struct thread *t, pid_t tid)
{
	LIST_REMOVE(t, by_tid);
	t->tid = tid;
	LIST_INSERT_HEAD(&by_tid[(u32)tid % BUCKETS], t, by_tid);
}

void process_link(struct process *p, struct process *parent)
{
	struct process *before = youngest, *next;

	p->parent = parent;
	p->ppid = parent->pid;
	LIST_INSERT_HEAD(&parent->children, p, sibling);
	LIST_INSERT_HEAD(&by_pid[(u32)p->pid % BUCKETS], p, by_pid);
	if (before && before->pid > p->pid)	/* numbers have begun again */
		before = NULL;
	next = before ? LIST_NEXT(before, all) : LIST_FIRST(&all_processes);
	for (; unlikely(next && next->pid < p->pid); next = LIST_NEXT(next, all))
		before = next;
	if (before)
		LIST_INSERT_AFTER(before, p, all);
	else
		LIST_INSERT_HEAD(&all_processes, p, all);
	youngest = p;
	nr_processes++;
	nr_processes_started++;
}

void process_unlink(struct process *p)
{
	if (youngest == p)
		youngest = LIST_PREV(p, &all_processes, process, all);
	nr_processes--;
	LIST_REMOVE(p, all);
	LIST_REMOVE(p, by_pid);
	LIST_REMOVE(p, sibling);
}

/* ENTRY of every thread: what the switch leaves to the new one, then the real one. */
static void thread_begin(void *arg)
{
	struct thread *t = arg;

	sched_switched();
	t->entry(t->entry_arg);
	thread_exit(0);
}

struct thread *thread_alloc(struct process *p, bool user, void (*entry)(void *), void *arg)
{
	struct thread *t = kmem_cache_alloc(&thread_cache);
	u64 stack;

	if (!t)
		return NULL;
	t->process = p;
	t->state = THREAD_NEW;
	t->entry = entry;
	t->entry_arg = arg;
	t->affinity = ~0UL;
	spin_init(&t->sleep_lock, RANK_SCHED);
	signal_thread_init(t, user && current->space ? current : NULL);
	stack = kstack_alloc();
	if (stack)
		context_init(&t->context, stack, thread_begin, t);
	if (user)
		t->context.fpu = kmem_take(fpu_size);
	if (!stack || (user && !t->context.fpu)) {
		thread_free(t);
		return NULL;
	}
	return t;
}

void thread_free(struct thread *t)
{
	if (t->context.stack_top)
		kstack_free(t->context.stack_top);
	kmem_free(t->context.fpu);
	domain_put(t->domain);
	kmem_cache_free(&thread_cache, t);
}

struct process *process_alloc(struct process *parent)
{
	struct process *p = kmem_cache_take(&process_cache);

	if (!p)
		return NULL;
	memset(p, 0, offsetof(struct process, exe));
	LIST_INIT(&p->children);
	TAILQ_INIT(&p->threads);
	waitq_init(&p->child_wait);
	waitq_init(&p->thread_wait);
	p->pgid = parent->pgid;
	p->sid = parent->sid;
	p->tty = parent->tty;
	p->dumpable = true;
	p->nice = parent->nice;
	p->cred = parent->cred;
	p->start_ns = clock_ns();
	memcpy(p->limits, parent->limits, sizeof(p->limits));
	memcpy(p->comm, parent->comm, sizeof(p->comm));
	memcpy(p->exe, parent->exe, sizeof(p->exe));
	return p;
}

void process_free(struct process *p)
{
	if (p->files)
		files_put(p->files);
	if (p->fs)
		fs_context_put(p->fs);
	if (p->sig)
		signal_process_put(p->sig);
	if (p->space)
		space_put(p->space);
	kmem_cache_free(&process_cache, p);
}

u64 process_min_faults(const struct process *p)
{
	u64 n = p->min_faults;
	const struct thread *t;

	TAILQ_FOREACH(t, &p->threads, sibling)
		n += READ_ONCE(t->min_faults);
	return n;
}

void process_apply_limits(struct process *p, struct space *s)
{
	s->limit_as = p->limits[RLIM_AS].cur;
	s->limit_data = p->limits[RLIM_DATA].cur;
	s->limit_stack = p->limits[RLIM_STACK].cur;
}
