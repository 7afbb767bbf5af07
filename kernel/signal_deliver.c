/* SPDX-License-Identifier: MIT */
/*
 * Owns: what a signal does to the thread that takes it, on its way to user mode: handler, stop, end; and
 * what becomes of the system call that it broke into.
 *
 * Called by trap_user_work with no lock held; runs on the thread's own stack and may sleep or not return.
 */
#include "kernel/base/errno.h"
#include "kernel/base/print.h"
#include "kernel/job.h"

static const char *trap_name(u64 trapno)
{
	switch (trapno) {
	case TRAP_DE: return "divide error";
	case TRAP_DB: return "debug trap";
	case TRAP_BP: return "breakpoint";
	case TRAP_OF: return "overflow";
	case TRAP_BR: return "bound check";
	case TRAP_UD: return "invalid opcode";
	case TRAP_NP: return "segment not present";
	case TRAP_SS: return "stack segment fault";
	case TRAP_GP: return "general protection";
	case TRAP_MF: return "floating-point error";
	case TRAP_AC: return "alignment check";
	case TRAP_XM: return "SIMD error";
	case SIGNAL_NO_TRAP: return "bad signal frame";
	default: return "fault";
	}
}

/* One line on the console about a program that dies by its own doing. */
static void report_fault(const struct siginfo *info, const struct trapframe *f)
{
	struct thread *t = current;
	struct space *s = t->space;
	char what[48], where[64] = "not mapped";
	struct region *r;

	if (t->sig.trapno == TRAP_PF)
		snprintf(what, sizeof(what), "%s at %lx", info->signo == SIGBUS ? "bus error" : "segfault",
			 info->fault.addr);
	else
		snprintf(what, sizeof(what), "%s", trap_name(t->sig.trapno));
	spin_lock(&s->lock);
	r = region_at(s, f->rip);
	if (r)
		snprintf(where, sizeof(where), "in %lx-%lx %c%c%c", r->start, r->end, r->flags & R_READ ? 'r' : '-',
			 r->flags & R_WRITE ? 'w' : '-', r->flags & R_EXEC ? 'x' : '-');
	spin_unlock(&s->lock);
	printk(LOG_INFO, "%s[%d]: %s ip %lx sp %lx error %lx (%s)", t->comm, t->process->pid, what, f->rip, f->rsp,
	       t->sig.error, where);
}

static void default_action(const struct siginfo *info, bool forced, const struct trapframe *f)
{
	struct process *p = current_process;
	int signo = info->signo;

	if ((p == init_process && !forced) || SIGBIT(signo) & SIG_DEFAULT_IGNORED)
		return;
	if (!(SIGBIT(signo) & SIG_STOPS)) {
		if (forced && signo != SIGKILL)
			report_fault(info, f);
		process_exit_group(signo);
	}
	spin_lock(&process_lock);
	if (p->sig->stop_dequeued && !p->stopped && !p->group_exit && (signo == SIGSTOP || !job_is_orphaned(p->pgid, NULL)))
		signal_stop(p, signo);
	spin_unlock(&process_lock);
}

/* A call that a signal broke into: begun again, or EINTR. ACT: the handler about to run; NULL: none does. */
static void finish_call(struct trapframe *f, const struct sigaction_ *act)
{
	bool again;

	if ((s64)f->orig_rax < 0)
		return;
	switch (-(s64)f->rax) {
	case ERESTART:
		again = !act || act->flags & SA_RESTART;
		break;
	case ERESTART_NOHAND:
	case ERESTART_BLOCK:
		again = !act;
		break;
	default:
		return;
	}
	if (again) {
		f->rax = f->orig_rax;
		f->rip -= 2;
	} else {
		f->rax = (u64)-EINTR;
	}
	f->orig_rax = (u64)-1;
}

/* The next signal to act on; its number and what is to be done. 0: none. */
static int take(struct siginfo *info, struct sigaction_ *act, bool *forced)
{
	struct thread *t = current;
	struct signal_process *s = t->process->sig;
	int signo;

	spin_lock(&s->lock);
	*forced = t->sig.fault.signo;
	if (*forced) {
		*info = t->sig.fault;
		t->sig.fault.signo = 0;
		signo = info->signo;
	} else {
		signo = signal_dequeue(t, ~t->sig.blocked, info);
	}
	if (signo) {
		*act = signal_action(s, signo);
		if (act->flags & SA_RESETHAND)
			s->caught &= ~SIGBIT(signo);
	}
	spin_unlock(&s->lock);
	if (signo == SIGALRM || (signo && info->code == SI_TIMER))
		itimer_dequeued(info);
	return signo;
}

static void run_handler(struct trapframe *f, const struct siginfo *info, const struct sigaction_ *act)
{
	struct signal_thread *ts = &current->sig;
	sigset_t_ mask = ts->restore_saved ? ts->saved : ts->blocked;

	finish_call(f, act);
	current->restart_deadline = 0;		/* of a call that begins again after the handler, if at all */
	if (!signal_frame_push(f, info, act, mask)) {
		signal_bad_frame(info->signo);
		return;
	}
	ts->restore_saved = false;
	signal_set_mask(ts->blocked | act->mask | (act->flags & SA_NODEFER ? 0 : SIGBIT(info->signo)));
}

void signal_deliver(struct trapframe *f)
{
	struct signal_thread *ts = &current->sig;
	struct sigaction_ act;
	struct siginfo info;
	bool forced;

	for (;;) {
		if (thread_must_exit())
			thread_exit(current_process->exit_code);
		if (READ_ONCE(current_process->stopped)) {
			sched_stop_self();
		} else if (!take(&info, &act, &forced)) {
			break;
		} else if (act.handler == SIG_DFL) {
			default_action(&info, forced, f);
		} else if (act.handler != SIG_IGN) {
			run_handler(f, &info, &act);
			signal_recalculate();
			return;
		}
	}
	finish_call(f, NULL);
	if (ts->restore_saved) {
		ts->restore_saved = false;
		signal_set_mask(ts->saved);
	}
	signal_recalculate();
}
