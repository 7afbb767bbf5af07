/* SPDX-License-Identifier: MIT */
/*
 * Owns: whose terminal it is: session, foreground group, and the signals to those in the background.
 *
 * Locks: pgid and sid are written under process_lock and tty->lock, in this order, and may be read under
 * either; a reader that holds none (tty_check_background) decides for this very moment only.
 */
#include "arch/user.h"
#include "kernel/base/errno.h"
#include "kernel/base/guard.h"
#include "kernel/dev/tty.h"
#include "kernel/job.h"

int tty_check_background(struct tty *t, int signo)
{
	struct process *p = current_process;
	if (p->tty != t || !t->pgid || t->pgid == p->pgid)
		return 0;
	if (signal_is_ignored(signo))
		return signo == SIGTTIN ? -EIO : 0;
	GUARD(process_lock);
	if (job_is_orphaned(p->pgid, NULL))
		return -EIO;
	signal_send_group(p->pgid, signo);
	return -ERESTART;
}

/* Under process_lock: nobody's controlling terminal is T any more. */
static void forget(struct tty *t)
{
	struct process *p;

	spin_lock(&t->lock);
	t->pgid = t->sid = 0;
	spin_unlock(&t->lock);
	LIST_FOREACH(p, &all_processes, all)
		if (p->tty == t)
			p->tty = NULL;
}

void tty_session_end(struct process *p)
{
	struct tty *t = p->tty;
	pid_t pgid = t->pgid;

	forget(t);
	if (!pgid)
		return;
	signal_send_group(pgid, SIGHUP);
	signal_send_group(pgid, SIGCONT);
}

/* The running process, leader of a session without a terminal, takes T. STEAL: even from another session. */
long tty_take_control(struct tty *t, bool steal)
{
	struct process *p = current_process;
	GUARD(process_lock);

	if (p->tty == t && t->sid == p->sid && p->sid == p->pid)
		return 0;
	if (p->sid != p->pid || p->tty || (t->sid && !steal))
		return -EPERM;
	forget(t);
	p->tty = t;
	GUARD(t->lock);
	t->sid = p->sid;
	t->pgid = p->pgid;
	return 0;
}

long tty_give_up_control(struct tty *t)
{
	struct process *p = current_process;
	GUARD(process_lock);

	if (p->tty != t)
		return -ENOTTY;
	if (p->sid == p->pid)
		tty_session_end(p);
	else
		p->tty = NULL;
	return 0;
}

long tty_set_foreground(struct tty *t, u64 from)
{
	struct process *p = current_process;
	long err = tty_check_background(t, SIGTTOU);
	pid_t pgid;

	if (err)
		return err;
	if (user_get(&pgid, from))
		return -EFAULT;
	if (pgid < 0)
		return -EINVAL;
	GUARD(process_lock);
	if (p->tty != t || t->sid != p->sid)
		return -ENOTTY;
	if (!job_group_exists(pgid, p->sid))
		return job_group_exists(pgid, 0) ? -EPERM : -ESRCH;
	GUARD(t->lock);
	t->pgid = pgid;
	return 0;
}
