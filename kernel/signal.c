/* SPDX-License-Identifier: MIT */
/*
 * Owns: sending signals: queues, masks, who is woken; stops and continues of whole processes.
 *
 * Senders hold process_lock (taken here unless the caller has it), which keeps the process, its threads and
 * its parent; then the receiver's signal lock. The receive interrupt of the console and timers send
 * too: they run when this CPU holds no lock. A stopped process has p->stopped set: its threads
 * find out before they return to user mode, and sleep there until SIGCONT or death.
 */
#include "arch/user.h"
#include "kernel/base/errno.h"
#include "kernel/base/string.h"
#include "kernel/job.h"
#include "mm/kmem.h"

#define RLIMIT_SIGPENDING 11
#define FIRST_REALTIME 32

static KMEM_CACHE(pending_cache, "pending_signal", struct pending_signal);
static KMEM_CACHE(signal_cache, "signal_process", struct signal_process);
static KMEM_CACHE(actions_cache, "signal_actions", struct signal_actions);

struct signal_process *signal_process_create(void)
{
	struct signal_process *s = kmem_cache_alloc(&signal_cache);

	if (!s)
		return NULL;
	s->refs = 1;
	spin_init(&s->lock, RANK_SIGNAL);
	TAILQ_INIT(&s->pending.queue);
	LIST_INIT(&s->timers);
	mutex_init(&s->timer_mutex);
	return s;
}

struct signal_process *signal_process_copy(struct signal_process *from)
{
	struct signal_process *s = signal_process_create();

	if (!s)
		return NULL;
	spin_lock(&from->lock);
	s->ignored = from->ignored;
	s->caught = from->caught;
	s->actions = from->actions;
	if (s->actions)
		__atomic_fetch_add(&s->actions->refs, 1, __ATOMIC_RELAXED);
	spin_unlock(&from->lock);
	return s;
}

static void drop_actions(struct signal_process *s)
{
	if (s->actions && !__atomic_sub_fetch(&s->actions->refs, 1, __ATOMIC_ACQ_REL))
		kmem_cache_free(&actions_cache, s->actions);
	s->actions = NULL;
}

struct sigaction_ signal_action(const struct signal_process *s, int signo)
{
	struct sigaction_ act = { 0 };

	if (s->actions)
		act = s->actions->of[signo - 1];
	if (!(s->caught & SIGBIT(signo)))
		act.handler = s->ignored & SIGBIT(signo) ? SIG_IGN : SIG_DFL;
	return act;
}

/* Makes the table of actions S's own. */
static bool own_actions(struct signal_process *s)
{
	struct signal_actions *own;

	if (s->actions && __atomic_load_n(&s->actions->refs, __ATOMIC_ACQUIRE) == 1)
		return true;
	own = kmem_cache_alloc(&actions_cache);
	if (!own)
		return false;
	if (s->actions)
		memcpy(own->of, s->actions->of, sizeof(own->of));
	own->refs = 1;
	drop_actions(s);
	s->actions = own;
	return true;
}

bool signal_set_action(struct signal_process *s, int signo, const struct sigaction_ *act)
{
	struct sigaction_ was = signal_action(s, signo);
	sigset_t_ bit = SIGBIT(signo);

	if (act->handler > SIG_IGN || act->flags != was.flags || act->mask != was.mask || act->restorer != was.restorer) {
		if (!own_actions(s))
			return false;
		s->actions->of[signo - 1] = *act;
	}
	s->ignored = (s->ignored & ~bit) | (act->handler == SIG_IGN ? bit : 0);
	s->caught = (s->caught & ~bit) | (act->handler > SIG_IGN ? bit : 0);
	return true;
}

void signal_process_put(struct signal_process *s)
{
	if (__atomic_sub_fetch(&s->refs, 1, __ATOMIC_ACQ_REL))
		return;
	itimer_destroy(s);
	signal_discard(s, &s->pending, ~0UL);
	drop_actions(s);
	kmem_cache_free(&signal_cache, s);
}

void signal_thread_init(struct thread *t, const struct thread *parent)
{
	TAILQ_INIT(&t->sig.pending.queue);
	t->sig.blocked = parent ? parent->sig.blocked : 0;
	t->sig.alt_flags = 2;	/* SS_DISABLE */
}

void signal_thread_destroy(struct thread *t)
{
	struct signal_process *s = t->process->sig;

	if (!t->sig.pending.set)
		return;
	spin_lock(&s->lock);
	signal_discard(s, &t->sig.pending, ~0UL);
	spin_unlock(&s->lock);
}

/* exec(2): what was caught is at its default again; what was ignored stays so. */
void signal_exec(struct process *p)
{
	struct signal_process *s = p->sig;

	itimer_exec(s);
	spin_lock(&s->lock);
	s->caught = 0;
	drop_actions(s);
	spin_unlock(&s->lock);
	current->sig.alt_sp = current->sig.alt_size = 0;
	current->sig.alt_flags = 2;
}

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
	bool held = spin_held(&process_lock);
	int err;

	if (!held)
		spin_lock(&process_lock);
	err = send(p, NULL, signo, info);
	if (!held)
		spin_unlock(&process_lock);
	return err;
}

int signal_send_thread(struct thread *t, int signo, const struct siginfo *info)
{
	bool held = spin_held(&process_lock);
	int err;

	if (!held)
		spin_lock(&process_lock);
	err = send(t->process, t, signo, info);
	if (!held)
		spin_unlock(&process_lock);
	return err;
}

void signal_send_group(pid_t pgid, int signo)
{
	bool held = spin_held(&process_lock);
	struct process *p;

	if (!held)
		spin_lock(&process_lock);
	LIST_FOREACH(p, &all_processes, all)
		if (p->pgid == pgid)
			send(p, NULL, signo, NULL);
	if (!held)
		spin_unlock(&process_lock);
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

static bool deliverable(const struct thread *t)
{
	const struct signal_process *s = t->process->sig;

	return t->sig.fault.signo || (t->sig.pending.set | s->pending.set) & ~t->sig.blocked;
}

bool signal_is_pending(const struct thread *t)
{
	if (!READ_ONCE(t->sig.work) && !READ_ONCE(t->exiting))
		return false;
	/* Who sent it from another CPU has set `work` alone; the call that now breaks off must meet it. */
	if (t == current)
		this_cpu(thread_work) |= WORK_SIGNAL;
	return true;
}

void signal_update(struct thread *t)
{
	if (!t->exiting && !t->process->stopped && !deliverable(t))
		return;
	t->sig.work = true;
	if (t == current)
		this_cpu(thread_work) |= WORK_SIGNAL;
	else if (t->exiting)
		thread_continue(t);
	thread_interrupt(t);
}

void signal_recalculate(void)
{
	struct thread *t = current;

	/* Whoever sends sets first what is looked at here, then `work`: off before the look, none is lost. */
	t->sig.work = false;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (t->exiting || t->process->stopped || deliverable(t))
		WRITE_ONCE(t->sig.work, true);
	if (READ_ONCE(t->sig.work))
		this_cpu(thread_work) |= WORK_SIGNAL;
	else
		this_cpu(thread_work) &= ~WORK_SIGNAL;
}

static void force(int signo, int code, u64 addr, bool no_handler)
{
	struct thread *t = current;
	struct signal_process *s = t->process->sig;

	spin_lock(&s->lock);
	if (no_handler || (t->sig.blocked | s->ignored) & SIGBIT(signo)) {
		s->ignored &= ~SIGBIT(signo);
		s->caught &= ~SIGBIT(signo);
	}
	t->sig.fault = (struct siginfo){ .signo = signo, .code = code, .fault = { .addr = addr } };
	spin_unlock(&s->lock);
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

bool signal_is_ignored(int signo)
{
	return (current->sig.blocked | current_process->sig->ignored) & SIGBIT(signo);
}

bool signal_reaps_children(const struct process *p)
{
	bool reaps;

	spin_lock(&p->sig->lock);
	reaps = p->sig->ignored & SIGBIT(SIGCHLD) || signal_action(p->sig, SIGCHLD).flags & SA_NOCLDWAIT;
	spin_unlock(&p->sig->lock);
	return reaps;
}

void signal_set_mask(sigset_t_ set)
{
	struct process *p = current_process;
	struct signal_process *s = p->sig;
	sigset_t_ orphaned;
	struct thread *t;

	spin_lock(&s->lock);
	orphaned = s->pending.set & set & ~current->sig.blocked;
	current->sig.blocked = set & ~SIG_UNMASKABLE;
	spin_unlock(&s->lock);
	signal_recalculate();
	if (!orphaned || p->nr_threads == 1)
		return;
	spin_lock(&process_lock);	/* what was ours to take is another thread's now */
	TAILQ_FOREACH(t, &p->threads, sibling)
		if (t != current)
			signal_update(t);
	spin_unlock(&process_lock);
}

void signal_mask_enter(sigset_t_ set)
{
	current->sig.saved = current->sig.blocked;
	signal_set_mask(set);
}

void signal_mask_leave(bool interrupted)
{
	if (interrupted)
		current->sig.restore_saved = true;
	else
		signal_set_mask(current->sig.saved);
}

int signal_get_set(vaddr_t va, u64 size, sigset_t_ *set)
{
	if (size != sizeof(*set))
		return -EINVAL;
	return user_get(set, va);
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
