/* SPDX-License-Identifier: MIT */
/*
 * Owns: the line discipline: what becomes of a byte that comes in (edited, echoed, a signal, flow control)
 * and of text that goes out. As Linux's N_TTY behaves, but for what only real terminals wanted (parity, delays,
 * tabs as blanks, a carriage that returns otherwise): those flags are kept and change nothing.
 *
 * Output goes to the wire at once, so there is nothing to drain. Everything but tty_receive is called under
 * tty->lock; tty_receive takes it, in the receive interrupt (see tty.h why that is safe), and sends
 * its signal after letting it go.
 */
#include "kernel/base/string.h"
#include "kernel/dev/tty.h"
#include "kernel/dev/uart.h"
#include "kernel/sysrq.h"

#define CTRL_P 0x10

static bool has(const struct tty *t, u32 lflag)
{
	return (t->termios.lflag & lflag) == lflag;
}

/* Is C the control character number WHICH? 0 disables one. */
static bool is(const struct tty *t, unsigned which, u8 c)
{
	return c && t->termios.cc[which] == c;
}

/* Output --------------------------------------------------------------------- */

struct out {
	u8 buf[128];
	size_t n;
};

static void out_flush(struct tty *t, struct out *o)
{
	uart_write(t->port, o->buf, o->n);
	o->n = 0;
}

static void out_put(struct tty *t, struct out *o, u8 c)
{
	if (o->n == sizeof(o->buf))
		out_flush(t, o);
	o->buf[o->n++] = c;
}

/* Where the cursor is after C at COLUMN. */
static u32 advance(const struct tty *t, u32 column, u8 c)
{
	switch (c) {
	case '\n':
	case '\r':
		return 0;
	case '\b':
		return column ? column - 1 : 0;
	case '\t':
		return (column | 7) + 1;
	}
	return column + (c >= 0x20 && c != 0x7f && !(t->termios.iflag & IUTF8 && (c & 0xc0) == 0x80));
}

void tty_output(struct tty *t, const u8 *data, size_t n)
{
	bool crlf = (t->termios.oflag & (OPOST | ONLCR)) == (OPOST | ONLCR);
	struct out o = { .n = 0 };

	for (size_t i = 0; i < n; i++) {
		if (data[i] == '\n' && crlf)
			out_put(t, &o, '\r');
		out_put(t, &o, data[i]);
		t->column = advance(t, t->column, data[i]);
	}
	out_flush(t, &o);
}

static void put(struct tty *t, const char *text)
{
	tty_output(t, (const u8 *)text, strlen(text));
}

/* Echo and editing ------------------------------------------------------------ */

static bool shown_as_caret(const struct tty *t, u8 c)
{
	return has(t, ECHOCTL) && (c < 0x20 || c == 0x7f) && c != '\t' && c != '\n';
}

static void echo(struct tty *t, u8 c)
{
	u8 caret[2] = { '^', c ^ 0x40 };

	if (!has(t, ECHO))
		return;
	if (shown_as_caret(t, c))
		tty_output(t, caret, 2);
	else
		tty_output(t, &c, 1);
}

static u8 *input_at(struct tty *t, u32 position)
{
	return &t->input[position % TTY_INPUT];
}

/* The column that the line being typed ends at. */
static u32 line_end_column(struct tty *t)
{
	u32 column = t->line_column;

	for (u32 i = t->ready; i != t->head; i++)
		column = shown_as_caret(t, *input_at(t, i)) ? column + 2 : advance(t, column, *input_at(t, i));
	return column;
}

/* Where the character that ends at AT begins. */
static u32 char_before(struct tty *t, u32 at)
{
	do
		at--;
	while (at != t->ready && t->termios.iflag & IUTF8 && (*input_at(t, at) & 0xc0) == 0x80);
	return at;
}

/* Takes what was typed from TO on off the line, and off the screen. */
static void erase_to(struct tty *t, u32 to)
{
	u32 before = line_end_column(t), after;

	t->head = to;
	after = line_end_column(t);
	for (; has(t, ECHO) && before > after; before--)
		put(t, "\b \b");
}

static void erase_one(struct tty *t)
{
	if (has(t, ECHO | ECHOE)) {
		erase_to(t, char_before(t, t->head));
	} else {
		t->head = char_before(t, t->head);
		echo(t, t->termios.cc[VERASE]);
	}
}

static void erase_line(struct tty *t)
{
	if (has(t, ECHO | ECHOE | ECHOK | ECHOKE)) {
		erase_to(t, t->ready);
		return;
	}
	t->head = t->ready;
	echo(t, t->termios.cc[VKILL]);
	if (has(t, ECHO | ECHOK))
		put(t, "\n");
}

static bool is_word(u8 c)
{
	return c == '_' || c >= 0x80 || (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

static void erase_word(struct tty *t)
{
	u32 at = t->head;
	bool seen = false;

	while (at != t->ready) {
		bool word = is_word(*input_at(t, at - 1));

		if (seen && !word)
			break;
		seen |= word;
		at = char_before(t, at);
	}
	erase_to(t, at);
}

static void reprint(struct tty *t)
{
	echo(t, t->termios.cc[VREPRINT]);
	put(t, "\n");
	t->line_column = t->column;
	for (u32 i = t->ready; i != t->head; i++)
		echo(t, *input_at(t, i));
}

/* Adds C; END: it ends a line, and may take the last place, which is kept for that. */
static void add(struct tty *t, u8 c, bool end)
{
	u32 used = t->head - t->tail, i = t->head % TTY_INPUT;

	if (used >= TTY_INPUT - (end ? 0 : 1)) {
		if (t->termios.iflag & IMAXBEL)
			put(t, "\a");
		return;
	}
	if (end && !c)
		;		/* an end of file is not shown */
	else if (c == '\n' && has(t, ICANON | ECHONL) && !has(t, ECHO))
		put(t, "\n");
	else {
		if (t->head == t->ready)
			t->line_column = t->column;
		echo(t, c);
	}
	t->input[i] = c;
	t->line_end[i / 8] = (u8)((t->line_end[i / 8] & ~(1 << i % 8)) | end << i % 8);
	t->head++;
	if (end || !has(t, ICANON))
		t->ready = t->head;
}

/* Input ----------------------------------------------------------------------- */

static void start_output(struct tty *t)
{
	t->stopped = false;
	waitq_wake_all(&t->writers);
}

static int signal_for(const struct tty *t, u8 c)
{
	if (!has(t, ISIG))
		return 0;
	return is(t, VINTR, c) ? SIGINT : is(t, VQUIT, c) ? SIGQUIT : is(t, VSUSP, c) ? SIGTSTP : 0;
}

/* An editing character of canonical mode? Then it has been obeyed. */
static bool edit(struct tty *t, u8 c)
{
	bool empty = t->head == t->ready, more = has(t, IEXTEN);
	u8 erase = t->termios.cc[VERASE];

	if (is(t, VERASE, c) || ((erase == 0x7f || erase == '\b') && (c == 0x7f || c == '\b'))) {
		if (!empty)
			erase_one(t);
	} else if (is(t, VKILL, c)) {
		erase_line(t);
	} else if (more && is(t, VWERASE, c)) {
		erase_word(t);
	} else if (more && is(t, VREPRINT, c) && has(t, ECHO)) {
		reprint(t);
	} else if (is(t, VEOF, c)) {
		add(t, 0, true);
	} else {
		return false;
	}
	return true;
}

/* Under the lock. The signal that C asks for, or 0. */
static int receive(struct tty *t, u8 c)
{
	u32 iflag = t->termios.iflag;
	int signo;

	if (t->literal) {
		t->literal = false;
		add(t, c, false);
		return 0;
	}
	if (iflag & IXON && (is(t, VSTART, c) || is(t, VSTOP, c))) {
		if (is(t, VSTART, c))
			start_output(t);
		else
			t->stopped = true;
		return 0;
	}
	signo = signal_for(t, c);
	if (t->stopped && signo)
		start_output(t);
	if (signo) {
		if (!has(t, NOFLSH))
			tty_flush_input(t);
		echo(t, c);
		return signo;
	}
	if (c == '\r' && iflag & IGNCR)
		return 0;
	if (c == '\r' && iflag & ICRNL)
		c = '\n';
	else if (c == '\n' && iflag & INLCR)
		c = '\r';
	if (has(t, IEXTEN | ICANON) && is(t, VLNEXT, c)) {
		t->literal = true;
		if (has(t, ECHO | ECHOCTL))
			put(t, "^\b");
	} else if (!has(t, ICANON)) {
		add(t, c, false);
	} else if (!edit(t, c)) {
		add(t, c, c == '\n' || is(t, VEOL, c) || (has(t, IEXTEN) && is(t, VEOL2, c)));
	}
	return 0;
}

void tty_receive(struct tty *t, u8 c)
{
	bool ready;
	pid_t pgid;
	int signo;

	if (c == CTRL_P && !t->literal) {
		sysrq('t');
		sysrq('m');
		return;
	}
	spin_lock(&t->lock);
	signo = receive(t, c);
	ready = t->ready != t->tail;
	pgid = t->pgid;
	spin_unlock(&t->lock);
	if (ready)
		waitq_wake_all(&t->readers);
	if (signo && pgid)
		signal_send_group(pgid, signo);
}

/* Enough to read now? POLL: as poll(2) sees it, which VMIN without VTIME makes wait for more. */
bool tty_input_ready(const struct tty *t, bool poll)
{
	const u8 *cc = t->termios.cc;
	u32 wanted = poll && !has(t, ICANON) && !cc[VTIME] && cc[VMIN] ? cc[VMIN] : 1;

	return t->ready - t->tail >= wanted;
}

size_t tty_take(struct tty *t, u8 *buf, size_t n, bool *end)
{
	size_t got = 0;

	for (*end = false; got < n && t->tail != t->ready && !*end; t->tail++) {
		u32 i = t->tail % TTY_INPUT;
		u8 bit = (u8)(1 << i % 8);

		*end = has(t, ICANON) && t->line_end[i / 8] & bit;
		if (!*end || t->input[i])
			buf[got++] = t->input[i];
	}
	return got;
}

void tty_flush_input(struct tty *t)
{
	t->tail = t->ready = t->head;
	t->literal = false;
}

void tty_set_termios(struct tty *t, const struct termios *new)
{
	if ((t->termios.lflag ^ new->lflag) & ICANON) {		/* what was typed so far is readable as it is */
		memset(t->line_end, 0, TTY_INPUT / 8);
		t->ready = t->head;
	}
	t->termios = *new;
	if (!(new->iflag & IXON) && t->stopped)
		start_output(t);
}
