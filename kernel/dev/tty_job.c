/* SPDX-License-Identifier: MIT */
/*
 * Owns: whose terminal it is: session, foreground group, and the signals to those in the background.
 *
 * Locks: pgid and sid are written under process_lock and tty->lock, in this order, and may be read under
 * either; a reader that holds none (tty_check_background) decides for this very moment only.
 */
#include "arch/user.h"
#include "kernel/base/errno.h"
#include "kernel/dev/tty.h"
#include "kernel/job.h"

int tty_check_background(struct tty *t, int signo)
{
	struct process *p = current_process;
	bool orphaned;

	if (p->tty != t || !t->pgid || t->pgid == p->pgid)
		return 0;
	if (signal_is_ignored(signo))
		return signo == SIGTTIN ? -EIO : 0;
	spin_lock(&process_lock);
	orphaned = job_is_orphaned(p->pgid, NULL);
	if (!orphaned)
		signal_send_group(p->pgid, signo);
	spin_unlock(&process_lock);
	return orphaned ? -EIO : -ERESTART;
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
	long err = 0;

	spin_lock(&process_lock);
	if (p->tty == t && t->sid == p->sid && p->sid == p->pid) {
		err = 0;
	} else if (p->sid != p->pid || p->tty || (t->sid && !steal)) {
		err = -EPERM;
	} else {
		forget(t);
		spin_lock(&t->lock);
		t->sid = p->sid;
		t->pgid = p->pgid;
		spin_unlock(&t->lock);
		p->tty = t;
	}
	spin_unlock(&process_lock);
	return err;
}

long tty_give_up_control(struct tty *t)
{
	struct process *p = current_process;
	long err = -ENOTTY;

	spin_lock(&process_lock);
	if (p->tty == t) {
		err = 0;
		if (p->sid == p->pid)
			tty_session_end(p);
		else
			p->tty = NULL;
	}
	spin_unlock(&process_lock);
	return err;
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
	spin_lock(&process_lock);
	if (p->tty != t || t->sid != p->sid)
		err = -ENOTTY;
	else if (!job_group_exists(pgid, p->sid))
		err = job_group_exists(pgid, 0) ? -EPERM : -ESRCH;
	if (!err) {
		spin_lock(&t->lock);
		t->pgid = pgid;
		spin_unlock(&t->lock);
	}
	spin_unlock(&process_lock);
	return err;
}
