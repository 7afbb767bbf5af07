/* SPDX-License-Identifier: MIT */
/*
 * Owns: sending signals: the queues, who is woken or killed; stops and continues of whole processes.
 *
 * Senders hold process_lock (taken here unless the caller has it), which keeps the process, its threads and
 * its parent; then the receiver's signal lock. The receive interrupt of the console and timers send
 * too: they run when this CPU holds no lock. A stopped process has p->stopped set: its threads
 * find out before they return to user mode, and sleep there until SIGCONT or death.
 */
#include "kernel/base/errno.h"
#include "kernel/base/guard.h"
#include "kernel/job.h"
#include "mm/kmem.h"

#define RLIMIT_SIGPENDING 11
#define FIRST_REALTIME 32

static KMEM_CACHE(pending_cache, "pending_signal", struct pending_signal);

void signal_discard(struct signal_process *s, struct pending *p, sigset_t_ set)
{
	struct pending_signal *q, *next;

	if (!(p->set & set))
		return;
	p->set &= ~set;
	TAILQ_FOREACH_SAFE(q, &p->queue, link, next) {
		if (!(SIGBIT(q->info.signo) & set))
			continue;
		TAILQ_REMOVE(&p->queue, q, link);
		s->nr_queued--;
		kmem_cache_free(&pending_cache, q);
	}
}

static int first_signal(const struct pending *p, sigset_t_ set)
{
	set &= p->set;
	return set ? __builtin_ctzl(set) + 1 : 0;
}

int signal_dequeue(struct thread *t, sigset_t_ set, struct siginfo *info)
{
	struct signal_process *s = t->process->sig;
	struct pending *p = &t->sig.pending;
	struct pending_signal *q, *found = NULL;
	bool more = false;
	int signo = first_signal(p, set);

	if (!signo) {
		p = &s->pending;
		signo = first_signal(p, set);
	}
	if (!signo)
		return 0;
	TAILQ_FOREACH(q, &p->queue, link) {
		if (q->info.signo != signo)
			continue;
		more = found;
		if (more)
			break;
		found = q;
	}
	if (!more)
		p->set &= ~SIGBIT(signo);
	*info = found ? found->info : (struct siginfo){ .signo = signo };
	if (found) {
		TAILQ_REMOVE(&p->queue, found, link);
		s->nr_queued--;
		kmem_cache_free(&pending_cache, found);
	}
	if (SIGBIT(signo) & SIG_STOPS)
		s->stop_dequeued = true;
	return signo;
}

/* Puts SIGNO on queue Q. 0, or -EAGAIN when it counts on being queued and cannot be. */
static int enqueue(struct process *p, struct pending *q, int signo, const struct siginfo *info)
{
	struct pending_signal *entry = NULL;

	if (signo < FIRST_REALTIME && q->set & SIGBIT(signo))
		return 0;
	if (p->sig->nr_queued < p->limits[RLIMIT_SIGPENDING].cur)
		entry = kmem_cache_alloc(&pending_cache);
	if (!entry && signo >= FIRST_REALTIME && info && info->code != SI_USER)
		return -EAGAIN;
	q->set |= SIGBIT(signo);
	if (!entry)
		return 0;
	entry->info = info ? *info : (struct siginfo){ .code = SI_KERNEL };
	entry->info.signo = signo;
	TAILQ_INSERT_TAIL(&q->queue, entry, link);
	p->sig->nr_queued++;
	return 0;
}

/* Would SIGNO do nothing to T's process if it came now? Under the signal lock. */
static bool is_ignored(const struct thread *t, int signo)
{
	const struct signal_process *s = t->process->sig;

	if ((t->sig.blocked | t->sig.real_blocked | s->caught) & SIGBIT(signo))
		return false;
	return t->process == init_process || SIGBIT(signo) & (s->ignored | SIG_DEFAULT_IGNORED);
}

/* Is it the end of the process, certainly? Then nothing else that is pending matters. Under the signal lock. */
static bool is_fatal(const struct thread *t, int signo)
{
	const struct signal_process *s = t->process->sig;

	return !(SIGBIT(signo) & (s->caught | s->ignored | SIG_DEFAULT_IGNORED | SIG_STOPS | t->sig.real_blocked));
}

/* Would T act on SIGNO soon? */
static bool wants(const struct thread *t, int signo)
{
	return !t->exiting && !(t->sig.blocked & SIGBIT(signo)) && (signo == SIGKILL || !t->process->stopped);
}

static void notify_parent(struct process *p, int code, int status);

/* SIGCONT undoes stop signals that wait and the stop itself, a stop signal a SIGCONT that waits: at once,
 * and even if blocked or ignored. Under process_lock. */
static void send_stop_or_continue(struct process *p, int signo)
{
	sigset_t_ undone = signo == SIGCONT ? SIG_STOPS : SIGBIT(SIGCONT);
	struct thread *t;

	spin_lock(&p->sig->lock);
	signal_discard(p->sig, &p->sig->pending, undone);
	TAILQ_FOREACH(t, &p->threads, sibling)
		signal_discard(p->sig, &t->sig.pending, undone);
	if (signo == SIGCONT)
		p->sig->stop_dequeued = false;
	spin_unlock(&p->sig->lock);
	if (signo != SIGCONT || !p->stopped)
		return;
	p->stopped = false;
	p->continued = true;
	job_count_stopped(-1);
	TAILQ_FOREACH(t, &p->threads, sibling)
		thread_continue(t);
	notify_parent(p, CLD_CONTINUED, SIGCONT);
}

/* Under process_lock. ONLY: for this thread alone; NULL: for the process. */
static int send(struct process *p, struct thread *only, int signo, const struct siginfo *info)
{
	struct thread *t = only ? only : TAILQ_FIRST(&p->threads);
	struct pending *q;
	bool kills;
	int err;

	if (p->zombie || !p->sig || !t)
		return 0;
	if (SIGBIT(signo) & (SIG_STOPS | SIGBIT(SIGCONT)))
		send_stop_or_continue(p, signo);
	spin_lock(&p->sig->lock);
	q = only ? &only->sig.pending : &p->sig->pending;
	if (is_ignored(t, signo)) {
		spin_unlock(&p->sig->lock);
		return 0;
	}
	err = enqueue(p, q, signo, info);
	if (!only)
		TAILQ_FOREACH(t, &p->threads, sibling)
			if (wants(t, signo))
				break;
	kills = t && wants(t, signo) && is_fatal(t, signo);
	spin_unlock(&p->sig->lock);
	if (err || !t)
		return err;
	if (kills)
		process_kill(p, signo);
	else
		signal_update(t);
	return 0;
}

int signal_send_process(struct process *p, int signo, const struct siginfo *info)
{
	GUARD_UNLESS_HELD(process_lock);

	return send(p, NULL, signo, info);
}

int signal_send_thread(struct thread *t, int signo, const struct siginfo *info)
{
	GUARD_UNLESS_HELD(process_lock);

	return send(t->process, t, signo, info);
}

void signal_send_group(pid_t pgid, int signo)
{
	GUARD_UNLESS_HELD(process_lock);
	struct process *p;

	LIST_FOREACH(p, &all_processes, all)
		if (p->pgid == pgid)
			send(p, NULL, signo, NULL);
}

/* Tells the parent that P stopped or continued. Under process_lock. */
static void notify_parent(struct process *p, int code, int status)
{
	struct process *parent = p->parent;
	struct siginfo info = { .code = code, .by = { .pid = p->pid, .status = status } };
	u64 flags;

	if (!parent || !parent->sig)
		return;
	waitq_wake_all(&parent->child_wait);
	spin_lock(&parent->sig->lock);
	flags = signal_action(parent->sig, SIGCHLD).flags;
	spin_unlock(&parent->sig->lock);
	if (!(flags & SA_NOCLDSTOP))
		send(parent, NULL, SIGCHLD, &info);
}

void signal_stop(struct process *p, int signo)
{
	struct thread *t;

	p->stopped = true;
	job_count_stopped(1);
	p->continued = p->stop_reported = false;
	p->exit_code = signo << 8 | 0x7f;
	TAILQ_FOREACH(t, &p->threads, sibling)
		signal_update(t);
	notify_parent(p, CLD_STOPPED, signo);
}

static void force(int signo, int code, u64 addr, bool no_handler)
{
	struct thread *t = current;
	struct signal_process *s = t->process->sig;
	GUARD(s->lock);

	if (no_handler || (t->sig.blocked | s->ignored) & SIGBIT(signo)) {
		s->ignored &= ~SIGBIT(signo);
		s->caught &= ~SIGBIT(signo);
	}
	t->sig.fault = (struct siginfo){ .signo = signo, .code = code, .fault = { .addr = addr } };
	signal_update(t);
}

void signal_fault(int signo, int code, u64 addr)
{
	struct signal_thread *ts = &current->sig;
	const struct trapframe *f = context_frame(&current->context);

	ts->trapno = -1 - f->orig_rax;
	ts->error = f->error;
	if (ts->trapno == TRAP_PF)
		ts->cr2 = addr;
	force(signo, code, addr, false);
}

void signal_bad_frame(int signo)
{
	current->sig.trapno = SIGNAL_NO_TRAP;
	current->sig.error = 0;
	force(SIGSEGV, SI_KERNEL, 0, signo == SIGSEGV);
}
