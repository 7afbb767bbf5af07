/* SPDX-License-Identifier: MIT */
/*
 * Owns: the terminal on the first serial line: /dev/console, /dev/ttyS0, and /dev/tty for those whose
 * controlling terminal it is. tty.c is the line discipline (input, echo, output), tty_file.c the file
 * operations on it, tty_job.c sessions and groups, console.c the devices and the boot.
 *
 * Lock: tty->lock (RANK_PIPE); pgid and sid are written under process_lock too. It is taken by the receive
 * interrupt as well: interrupts only come when this CPU holds no lock at all (arch/cpu.h), so that
 * the interrupt may take any lock in order, process_lock included, once it holds none of its own.
 */
#pragma once
#include "kernel/process.h"

struct file_ops;

/* Linux's struct termios (kernel's: 36 bytes). */
#define NCCS 19
struct termios {
	u32 iflag, oflag, cflag, lflag;
	u8 line, cc[NCCS];
};
_Static_assert(sizeof(struct termios) == 36, "struct termios");
enum { VINTR, VQUIT, VERASE, VKILL, VEOF, VTIME, VMIN, VSWTC, VSTART, VSTOP, VSUSP, VEOL, VREPRINT, VDISCARD, VWERASE,
       VLNEXT, VEOL2 };
enum { INLCR = 0100, IGNCR = 0200, ICRNL = 0400, IXON = 02000, IMAXBEL = 020000, IUTF8 = 040000,	/* iflag */
       OPOST = 1, ONLCR = 4,					/* oflag */
       B115200 = 010002, CS8 = 060, CREAD = 0200, CLOCAL = 04000,	/* cflag */
       ISIG = 1, ICANON = 2, ECHO = 010, ECHOE = 020, ECHOK = 040, ECHONL = 0100, NOFLSH = 0200, TOSTOP = 0400,
       ECHOCTL = 01000, ECHOKE = 04000, IEXTEN = 0100000 };	/* lflag */

struct winsize { u16 rows, cols, xpixel, ypixel; };

#define TTY_INPUT 65536		/* bytes of input kept: a script pasted at once; a power of two */

struct tty {
	struct spinlock lock;
	unsigned port;			/* of kernel/dev/uart.h */
	struct termios termios;
	struct winsize winsize;
	pid_t pgid, sid;		/* foreground group; session; 0: none */
	/* Input: [tail, ready) may be read; [ready, head) is the line being typed. Positions only grow. */
	u32 tail, ready, head;
	u8 *input;			/* TTY_INPUT bytes */
	u8 *line_end;			/* bit per byte: ends a line; if the byte is 0, it is an end of file */
	bool literal;			/* the next byte loses its meaning (^V) */
	bool stopped;			/* output waits for ^Q */
	u32 column;			/* of the cursor */
	u32 line_column;		/* where the line being typed began */
	struct waitq readers, writers;
};
extern struct tty console_tty;

/* tty.c. input: from the receive interrupt; the others under tty->lock. */
void tty_receive(struct tty *t, u8 c);
void tty_output(struct tty *t, const u8 *data, size_t n);	/* processed as oflag says */
bool tty_input_ready(const struct tty *t, bool poll);
size_t tty_take(struct tty *t, u8 *buf, size_t n, bool *end);	/* what may be read; *END: a line ended */
void tty_flush_input(struct tty *t);
void tty_set_termios(struct tty *t, const struct termios *new);

/* May the running process do what only the foreground group may? 0, -EIO, -ERESTART (SIGNO was sent). */
int tty_check_background(struct tty *t, int signo);

/* The running process, leader of a session without a terminal, takes T (STEAL: even from another session);
 * gives it up; makes the group at user address FROM the foreground one. As the ioctls; no lock. */
long tty_take_control(struct tty *t, bool steal);
long tty_give_up_control(struct tty *t);
long tty_set_foreground(struct tty *t, u64 from);

/* Under process_lock: session leader P gives up its terminal; its jobs there get SIGHUP and SIGCONT. */
void tty_session_end(struct process *p);

extern const struct file_ops tty_file_ops, tty_serial_ops, tty_own_ops;

/* Boot: registers the devices, starts input, reads winsize=. After the UARTs are up. */
void console_init(void);
