/* SPDX-License-Identifier: MIT */
/*
 * Owns: the terminal's place in the machine: its devices, its size, its line; and the second serial line
 * /dev/ttyS1, which is a sink of raw bytes and no terminal.
 *
 * Kernel messages and programs share the first line: a message that comes while the cursor is within a line
 * begins a new one. Called at boot; the hooks have no lock of their own.
 */
#include "arch/machine.h"
#include "arch/cpu.h"
#include "arch/user.h"
#include "kernel/base/errno.h"
#include "kernel/base/print.h"
#include "kernel/base/string.h"
#include "kernel/dev/tty.h"
#include "kernel/dev/uart.h"
#include "kernel/fs/dev.h"

#define CTRL(c) ((c) & 0x1f)
enum { CONSOLE_PORT = 0, SINK_PORT = 1 };

static u8 console_input[TTY_INPUT], console_line_end[TTY_INPUT / 8];

struct tty console_tty = {
	.lock = SPINLOCK(RANK_PIPE),
	.port = CONSOLE_PORT,
	.input = console_input,
	.line_end = console_line_end,
	.termios = {
		.iflag = ICRNL | IXON | IMAXBEL | IUTF8,
		.oflag = OPOST | ONLCR,
		.cflag = B115200 | CS8 | CREAD | CLOCAL,
		.lflag = ISIG | ICANON | ECHO | ECHOE | ECHOK | ECHOCTL | ECHOKE | IEXTEN,
		.cc = { [VINTR] = CTRL('C'), [VQUIT] = CTRL('\\'), [VERASE] = 0x7f, [VKILL] = CTRL('U'), [VEOF] = CTRL('D'),
			[VMIN] = 1, [VSTART] = CTRL('Q'), [VSTOP] = CTRL('S'), [VSUSP] = CTRL('Z'), [VREPRINT] = CTRL('R'),
			[VDISCARD] = CTRL('O'), [VWERASE] = CTRL('W'), [VLNEXT] = CTRL('V') },
	},
	.winsize = { .rows = 24, .cols = 80 },
	.readers = WAITQ(console_tty.readers),
	.writers = WAITQ(console_tty.writers),
};

static void (*serial_write)(const char *data, size_t n);

static void log_write(const char *data, size_t n)
{
	if (console_tty.column) {
		console_tty.column = 0;
		serial_write("\n", 1);
	}
	serial_write(data, n);
}

static void console_receive(u8 c)
{
	tty_receive(&console_tty, c);
}

static struct mutex sink_lock;		/* a write is one piece */

static ssize_t sink_read(struct file *f __unused, vaddr_t buf __unused, size_t n __unused, u64 *pos __unused)
{
	return 0;
}

static ssize_t sink_write(struct file *f __unused, vaddr_t buf, size_t n, u64 *pos __unused)
{
	char chunk[256];
	size_t done = 0, part;

	mutex_lock(&sink_lock);
	while (done < n) {
		part = MIN(sizeof(chunk), n - done);
		part -= user_copy_in(chunk, buf + done, part);
		if (!part)
			break;
		uart_write(SINK_PORT, chunk, part);
		done += part;
		if (done < n && signal_pause())
			break;
	}
	mutex_unlock(&sink_lock);
	return done || !n ? (ssize_t)done : -EFAULT;
}

static unsigned sink_poll(struct file *f __unused, struct poll_table *pt __unused)
{
	return POLL_IN | POLL_OUT;
}

static const struct file_ops sink_ops = { .read = sink_read, .write = sink_write, .poll = sink_poll };

/* A decimal number at *S, moved past it. */
static unsigned number(const char **s)
{
	unsigned n = 0;

	for (; **s >= '0' && **s <= '9' && n < 10000; (*s)++)
		n = n * 10 + (unsigned)(**s - '0');
	return n;
}

/* winsize=COLSxROWS */
static void read_winsize(const char *cmdline)
{
	const char *s = strstr(cmdline, "winsize=");
	unsigned cols, rows;

	if (!s)
		return;
	s += strlen("winsize=");
	cols = number(&s);
	rows = *s == 'x' ? (s++, number(&s)) : 0;
	if (!cols || !rows || (*s && *s != ' '))
		printk(LOG_WARN, "winsize= wants COLUMNSxROWS");
	else
		console_tty.winsize = (struct winsize){ .cols = (u16)cols, .rows = (u16)rows };
}

static void add_device(const char *name, u32 mode, u64 rdev, const struct file_ops *ops, void *data)
{
	int err = dev_register(name, mode, rdev, ops, data);

	if (err)
		printk(LOG_ERR, "/dev/%s: error %d", name, -err);
}

void console_init(void)
{
	mutex_init(&sink_lock);
	serial_write = console_write;
	if (serial_write)
		console_write = log_write;
	read_winsize(boot_info.cmdline);
	add_device("console", 0600, DEV(5, 1), &tty_file_ops, &console_tty);
	add_device("tty", 0666, DEV(5, 0), &tty_own_ops, NULL);
	add_device("ttyS0", 0600, DEV(4, 64), &tty_serial_ops, &console_tty);
	add_device("ttyS1", 0600, DEV(4, 65), &sink_ops, NULL);
	uart_set_rx(CONSOLE_PORT, console_receive);
}
