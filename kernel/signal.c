/* SPDX-License-Identifier: MIT */
/*
 * Owns: what processes and threads know of signals: actions, masks, and whether there is something to look
 * at. Sending and the queues are signal_send.c, what a signal does signal_deliver.c.
 *
 * Actions are shared by a process and what it forked until one of them changes any: then that one gets a
 * table of its own. Locks: signal_process.lock (RANK_SIGNAL); sig.work of a thread is set by anybody,
 * and taken back only by the thread itself.
 */
#include "arch/user.h"
#include "kernel/base/errno.h"
#include "kernel/base/guard.h"
#include "kernel/base/string.h"
#include "kernel/process.h"
#include "mm/kmem.h"

enum { SS_DISABLE = 2 };

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
	t->sig.alt_flags = SS_DISABLE;
}

void signal_thread_destroy(struct thread *t)
{
	struct signal_process *s = t->process->sig;

	if (!t->sig.pending.set)
		return;
	GUARD(s->lock);
	signal_discard(s, &t->sig.pending, ~0UL);
}

void signal_move_count(const struct thread *t, struct signal_process *from, struct signal_process *to)
{
	const struct pending_signal *s;
	GUARD(from->lock);

	TAILQ_FOREACH(s, &t->sig.pending.queue, link) {
		from->nr_queued--;
		to->nr_queued++;
	}
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
	current->sig.alt_flags = SS_DISABLE;
}

bool signal_is_ignored(int signo)
{
	return (current->sig.blocked | current_process->sig->ignored) & SIGBIT(signo);
}

bool signal_reaps_children(const struct process *p)
{
	GUARD(p->sig->lock);

	return p->sig->ignored & SIGBIT(SIGCHLD) || signal_action(p->sig, SIGCHLD).flags & SA_NOCLDWAIT;
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

bool signal_pause(void)
{
	return sched_pause() || signal_is_pending(current);
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
	GUARD(process_lock);	/* what was ours to take is another thread's now */
	TAILQ_FOREACH(t, &p->threads, sibling)
		if (t != current)
			signal_update(t);
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
	return size == sizeof(*set) ? user_get(set, va) : -EINVAL;
}
