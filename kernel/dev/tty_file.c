/* SPDX-License-Identifier: MIT */
/*
 * Owns: the terminal as a file: read, write, poll, ioctl. The line discipline is tty.c; who may is tty_job.c.
 *
 * Lock: tty->lock, never across a copy to or from the program.
 */
#include "arch/cpu.h"
#include "arch/machine.h"
#include "arch/user.h"
#include "kernel/base/errno.h"
#include "kernel/dev/tty.h"
#include "kernel/fs/file.h"

#define CHUNK 256UL
#define VTIME_UNIT 100000000UL		/* ns */

enum { TCGETS = 0x5401, TCSETS, TCSETSW, TCSETSF, TCSBRK = 0x5409, TCXONC, TCFLSH, TIOCSCTTY = 0x540e, TIOCGPGRP, TIOCSPGRP,
       TIOCOUTQ, TIOCGWINSZ = 0x5413, TIOCSWINSZ, FIONREAD = 0x541b, TIOCNOTTY = 0x5422, TIOCGETD = 0x5424, TCSBRKP,
       TIOCGSID = 0x5429 };

/* Waits, under the lock, until there is input for a read that has DONE bytes. 0; 1: return what there is; -errno. */
static int wait_for_input(struct tty *t, const struct file *f, size_t done, u64 start)
{
	const u8 *cc = t->termios.cc;
	bool raw = !(t->termios.lflag & ICANON);
	unsigned least = raw && cc[VMIN] ? cc[VMIN] : 1;
	u64 deadline = SLEEP_FOREVER;
	int err;

	if (tty_input_ready(t, false))
		return 0;
	if (done >= least)
		return 1;
	if (raw && !cc[VMIN])
		deadline = start + cc[VTIME] * VTIME_UNIT;
	else if (raw && cc[VTIME] && done)
		deadline = clock_ns() + cc[VTIME] * VTIME_UNIT;
	if (clock_ns() >= deadline)
		return 1;
	if (f->flags & O_NONBLOCK)
		return done ? 1 : -EAGAIN;
	while (!tty_input_ready(t, false)) {
		err = waitq_sleep(&t->readers, &t->lock, deadline, SLEEP_INTERRUPTIBLE);
		if (err)
			return err == -ETIMEDOUT || done ? 1 : -ERESTART;
	}
	return 0;
}

static ssize_t tty_read(struct file *f, vaddr_t buf, size_t n, u64 *pos __unused)
{
	struct tty *t = f->data;
	int state = tty_check_background(t, SIGTTIN);
	u64 start = clock_ns();
	u8 chunk[CHUNK];
	size_t done = 0, got;
	bool end = false;

	if (state)
		return state;
	while (done < n && !end) {
		spin_lock(&t->lock);
		state = wait_for_input(t, f, done, start);
		got = state ? 0 : tty_take(t, chunk, MIN(CHUNK, n - done), &end);
		spin_unlock(&t->lock);
		if (state < 0)
			return state;
		if (state)
			break;
		if (user_copy_out(buf + done, chunk, got))
			return done ? (ssize_t)done : -EFAULT;
		done += got;
	}
	return (ssize_t)done;
}

/* Waits, under the lock, while output is held by ^S. */
static int wait_for_output(struct tty *t, const struct file *f)
{
	while (t->stopped) {
		if (f->flags & O_NONBLOCK)
			return -EAGAIN;
		if (waitq_sleep(&t->writers, &t->lock, SLEEP_FOREVER, SLEEP_INTERRUPTIBLE))
			return -ERESTART;
	}
	return 0;
}

static ssize_t tty_write(struct file *f, vaddr_t buf, size_t n, u64 *pos __unused)
{
	struct tty *t = f->data;
	int err = t->termios.lflag & TOSTOP ? tty_check_background(t, SIGTTOU) : 0;
	u8 chunk[CHUNK];
	size_t done = 0, part;

	while (!err && done < n) {
		part = MIN(CHUNK, n - done);
		part -= user_copy_in(chunk, buf + done, part);
		if (!part) {
			err = -EFAULT;
			break;
		}
		spin_lock(&t->lock);
		err = wait_for_output(t, f);
		if (!err)
			tty_output(t, chunk, part);
		spin_unlock(&t->lock);
		if (err)
			break;
		done += part;
		if (done < n && signal_pause())
			break;
	}
	return done ? (ssize_t)done : err;
}

static unsigned tty_poll(struct file *f, struct poll_table *pt)
{
	struct tty *t = f->data;

	poll_wait(pt, &t->readers);
	poll_wait(pt, &t->writers);
	GUARD(t->lock);
	return (tty_input_ready(t, true) ? POLL_IN : 0) | (t->stopped ? 0 : POLL_OUT);
}

static long set_termios(struct tty *t, u64 from, bool flush)
{
	struct termios new;
	long err = tty_check_background(t, SIGTTOU) ?: user_get(&new, from);

	if (err)
		return err;
	spin_lock(&t->lock);
	if (flush)
		tty_flush_input(t);
	tty_set_termios(t, &new);
	spin_unlock(&t->lock);
	waitq_wake_all(&t->readers);
	return 0;
}

static long set_winsize(struct tty *t, u64 from)
{
	struct winsize new;
	bool changed;
	pid_t pgid;

	if (user_get(&new, from))
		return -EFAULT;
	spin_lock(&t->lock);
	changed = new.rows != t->winsize.rows || new.cols != t->winsize.cols;
	t->winsize = new;
	pgid = t->pgid;
	spin_unlock(&t->lock);
	if (changed && pgid)
		signal_send_group(pgid, SIGWINCH);
	return 0;
}

static long flow(struct tty *t, u64 what)
{
	long err = tty_check_background(t, SIGTTOU);

	if (err || what > 3)
		return err ? err : -EINVAL;
	spin_lock(&t->lock);
	if (what < 2)			/* TCOOFF, TCOON; the other two are about the other side */
		t->stopped = !what;
	spin_unlock(&t->lock);
	waitq_wake_all(&t->writers);
	return 0;
}

static long flush(struct tty *t, u64 what)
{
	long err = tty_check_background(t, SIGTTOU);

	if (err || what > 2)
		return err ? err : -EINVAL;
	GUARD(t->lock);
	if (what != 1)
		tty_flush_input(t);
	return 0;
}

static long tty_ioctl(struct file *f, unsigned cmd, u64 arg)
{
	struct tty *t = f->data;
	bool ours = current_process->tty == t;
	struct termios termios;
	int value;

	switch (cmd) {
	case TCGETS:
		spin_lock(&t->lock);
		termios = t->termios;
		spin_unlock(&t->lock);
		return user_put(arg, &termios);
	case TCSETS:
	case TCSETSW:
	case TCSETSF:
		return set_termios(t, arg, cmd == TCSETSF);
	case TIOCGWINSZ:
		return user_put(arg, &t->winsize);
	case TIOCSWINSZ:
		return set_winsize(t, arg);
	case TIOCSCTTY:
		return tty_take_control(t, arg == 1);
	case TIOCNOTTY:
		return tty_give_up_control(t);
	case TIOCSPGRP:
		return tty_set_foreground(t, arg);
	case TIOCGPGRP:
		return ours ? user_put(arg, &t->pgid) : -ENOTTY;
	case TIOCGSID:
		return ours && t->sid ? user_put(arg, &t->sid) : -ENOTTY;
	case TCXONC:
		return flow(t, arg);
	case TCFLSH:
		return flush(t, arg);
	case TCSBRK:			/* what is written is out: nothing to drain */
	case TCSBRKP:
		return tty_check_background(t, SIGTTOU);
	case FIONREAD:
		value = (int)(t->ready - t->tail);
		return user_put(arg, &value);
	case TIOCOUTQ:
	case TIOCGETD:
		value = 0;
		return user_put(arg, &value);
	}
	return -ENOTTY;
}

/* /dev/ttyS0: a session leader without a terminal gets it by opening it. */
static int serial_open(struct file *f)
{
	if (!(f->flags & O_NOCTTY))
		tty_take_control(f->data, false);
	return 0;
}

/* /dev/tty: whatever is the controlling terminal. */
static int own_open(struct file *f)
{
	f->data = current_process->tty;
	return f->data ? 0 : -ENXIO;
}

#define TTY_OPS .read = tty_read, .write = tty_write, .poll = tty_poll, .ioctl = tty_ioctl
const struct file_ops tty_file_ops = { TTY_OPS };
const struct file_ops tty_serial_ops = { .open = serial_open, TTY_OPS };
const struct file_ops tty_own_ops = { .open = own_open, TTY_OPS };
