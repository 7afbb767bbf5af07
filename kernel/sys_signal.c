/* SPDX-License-Identifier: MIT */
/*
 * Owns: the system calls about signals: actions, masks, waiting for and sending them. Alternate stack and
 * return from handlers are in signal_frame.c, timers in sys_itimer.c and sys_timer.c.
 *
 * Everybody is root here: no one is refused for want of rights.
 */
#include "kernel/base/guard.h"
#include "kernel/process.h"
#include "kernel/syscalls.h"
#include "kernel/timespec.h"

/* The action of SIGNO as it was; NEW, unless NULL, takes its place. */
static long change_action(int signo, const struct sigaction_ *new, struct sigaction_ *was)
{
	struct process *p = current_process;
	struct signal_process *s = p->sig;
	struct thread *t;
	GUARD(process_lock);
	GUARD(s->lock);

	*was = signal_action(s, signo);
	if (!new)
		return 0;
	if (!signal_set_action(s, signo, new))
		return -ENOMEM;
	if (new->handler == SIG_IGN || (new->handler == SIG_DFL && SIGBIT(signo) & SIG_DEFAULT_IGNORED)) {
		signal_discard(s, &s->pending, SIGBIT(signo));
		TAILQ_FOREACH(t, &p->threads, sibling)
			signal_discard(s, &t->sig.pending, SIGBIT(signo));
	}
	return 0;
}

long sys_rt_sigaction(u64 signo, u64 new, u64 old, u64 size, REST4)
{
	struct sigaction_ act, was;
	long err;

	if (size != sizeof(sigset_t_) || signo < 1 || signo > NSIG || (new && SIGBIT(signo) & SIG_UNMASKABLE))
		return -EINVAL;
	if (new && user_get(&act, new))
		return -EFAULT;
	if (new)
		act.mask &= ~SIG_UNMASKABLE;
	err = change_action((int)signo, new ? &act : NULL, &was);
	return !err && old ? user_put(old, &was) : err;
}

long sys_rt_sigprocmask(u64 how, u64 new, u64 old, u64 size, REST4)
{
	sigset_t_ was = current->sig.blocked, set;

	if (size != sizeof(set))
		return -EINVAL;
	if (new) {
		if (user_get(&set, new))
			return -EFAULT;
		switch ((int)how) {
		case SIG_BLOCK:
			set |= was;
			break;
		case SIG_UNBLOCK:
			set = was & ~set;
			break;
		case SIG_SETMASK:
			break;
		default:
			return -EINVAL;
		}
		signal_set_mask(set);
	}
	return old ? user_put(old, &was) : 0;
}

long sys_rt_sigpending(u64 to, u64 size, REST2)
{
	sigset_t_ set = (current->sig.pending.set | current_process->sig->pending.set) & current->sig.blocked;

	if (size > sizeof(set))
		return -EINVAL;
	return user_copy_out(to, &set, size) ? -EFAULT : 0;
}

static long wait_for_signal(void)
{
	while (!signal_is_pending(current))
		thread_sleep(SLEEP_FOREVER, SLEEP_INTERRUPTIBLE);
	return -ERESTART_NOHAND;
}

long sys_rt_sigsuspend(u64 va, u64 size, REST2)
{
	sigset_t_ set;
	int err = signal_get_set(va, size, &set);

	if (err)
		return err;
	signal_mask_enter(set);
	wait_for_signal();
	signal_mask_leave(true);
	return -ERESTART_NOHAND;
}

long sys_pause(ARGS) { return wait_for_signal(); }

static int dequeue(sigset_t_ set, struct siginfo *info)
{
	struct signal_process *s = current_process->sig;
	int signo;

	spin_lock(&s->lock);
	signo = signal_dequeue(current, set, info);
	spin_unlock(&s->lock);
	if (signo == SIGALRM || (signo && info->code == SI_TIMER))
		itimer_dequeued(info);
	return signo;
}

long sys_rt_sigtimedwait(u64 va, u64 info_to, u64 timeout, u64 size, REST4)
{
	struct timespec ts = { -1, 0 };
	struct signal_thread *st = &current->sig;
	u64 deadline = SLEEP_FOREVER;
	struct siginfo info;
	sigset_t_ set;
	int signo, err = signal_get_set(va, size, &set);

	if (err)
		return err;
	if (timeout) {
		if (user_get(&ts, timeout))
			return -EFAULT;
		if (!timespec_valid(&ts))
			return -EINVAL;
		deadline = deadline_in(timespec_ns(&ts));
	}
	set &= ~SIG_UNMASKABLE;
	signo = dequeue(set, &info);
	if (!signo && timeout && !ts.sec && !ts.nsec)
		return -EAGAIN;
	if (!signo) {
		st->real_blocked = st->blocked;
		signal_set_mask(st->blocked & ~set);
		while (!err && !signal_is_pending(current))	/* a wake may be a stale one */
			err = thread_sleep(deadline, SLEEP_INTERRUPTIBLE);
		signal_set_mask(st->real_blocked);
		st->real_blocked = 0;
		signo = dequeue(set, &info);
		signal_recalculate();
	}
	if (!signo)
		return err == -ETIMEDOUT ? -EAGAIN : -EINTR;
	return info_to && user_put(info_to, &info) ? -EFAULT : signo;
}

static struct siginfo own_info(int code)
{
	return (struct siginfo){ .code = code, .by = { .pid = current_process->pid } };
}

long sys_kill(u64 a0, u64 a1, REST2)
{
	pid_t pid = (pid_t)a0;
	int signo = (int)a1;
	struct siginfo info = own_info(SI_USER);
	long err = -ESRCH;
	struct process *p;

	if (signo < 0 || signo > NSIG)
		return -EINVAL;
	if (pid == (pid_t)0x80000000)
		return -ESRCH;
	GUARD(process_lock);
	LIST_FOREACH(p, &all_processes, all) {
		if (pid > 0 ? p->pid != pid :
		    pid == -1 ? p == init_process || p == current_process :
				p->pgid != (pid ? -pid : current_process->pgid))
			continue;
		err = 0;
		if (signo)
			signal_send_process(p, signo, &info);
	}
	return err;
}

/* To thread TID, of process TGID unless that is 0. */
static long send_to_thread(pid_t tgid, pid_t tid, int signo, const struct siginfo *info)
{
	struct thread *t;

	if (signo < 0 || signo > NSIG || tid <= 0)
		return -EINVAL;
	GUARD(process_lock);
	t = thread_find(tid);
	if (!t || (tgid && t->process->pid != tgid))
		return -ESRCH;
	return signo ? signal_send_thread(t, signo, info) : 0;
}

long sys_tkill(u64 tid, u64 signo, REST2)
{
	struct siginfo info = own_info(SI_TKILL);

	return send_to_thread(0, (pid_t)tid, (int)signo, &info);
}

long sys_tgkill(u64 tgid, u64 tid, u64 signo, REST3)
{
	struct siginfo info = own_info(SI_TKILL);

	return (pid_t)tgid <= 0 ? -EINVAL : send_to_thread((pid_t)tgid, (pid_t)tid, (int)signo, &info);
}

/* A program's own siginfo: only to itself may it pretend to be the kernel. */
static int get_info(struct siginfo *info, u64 va, int signo, pid_t pid)
{
	if (user_get(info, va))
		return -EFAULT;
	info->signo = signo;
	return (info->code >= 0 || info->code == SI_TKILL) && pid != current_process->pid ? -EPERM : 0;
}

long sys_rt_sigqueueinfo(u64 a0, u64 a1, u64 va, REST3)
{
	pid_t pid = (pid_t)a0;
	int signo = (int)a1;
	struct siginfo info;
	struct process *p;
	long err = get_info(&info, va, signo, pid);

	if (err)
		return err;
	if (signo < 0 || signo > NSIG)
		return -EINVAL;
	GUARD(process_lock);
	p = process_find(pid);
	return !p ? -ESRCH : signo ? signal_send_process(p, signo, &info) : 0;
}

long sys_rt_tgsigqueueinfo(u64 tgid, u64 tid, u64 signo, u64 va, REST4)
{
	struct siginfo info;
	int err = get_info(&info, va, (int)signo, (pid_t)tgid);

	if (err)
		return err;
	return (pid_t)tgid <= 0 ? -EINVAL : send_to_thread((pid_t)tgid, (pid_t)tid, (int)signo, &info);
}
