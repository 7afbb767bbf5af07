/* SPDX-License-Identifier: MIT */
/*
 * Owns: printk and formatted text; the ring of the last messages.
 *
 * A message is formatted on the caller's stack, without a lock, then goes to the ring and, by level, to the
 * console, in one piece, under print_lock (RANK_PRINT, the innermost). Works before anything is
 * initialised: what is printed before the console exists stays in the ring, and is shown when it does by
 * the next printk. A message broken into by an NMI or a panic on the same CPU does not wait for itself.
 * Numbers are formatted once here, for every text of the kernel.
 */
#include "kernel/base/lock.h"
#include "kernel/base/print.h"
#include "kernel/base/string.h"

int console_loglevel = LOG_INFO;
void (*console_write)(const char *data, size_t n);
u64 (*console_clock)(void);

static struct spinlock print_lock = SPINLOCK(RANK_PRINT);
static bool panicking;
static char ring[LOG_SIZE];		/* print_lock */
static u64 ring_end, ring_shown;	/* bytes ever written, seen by the console: print_lock */

struct out {
	char *buf;
	size_t size, len;	/* len goes on counting past size */
};

static void put(struct out *o, char c)
{
	if (o->len < o->size)
		o->buf[o->len] = c;
	o->len++;
}

static void put_fill(struct out *o, char c, int n)
{
	for (; n > 0; n--)
		put(o, c);
}

struct spec {
	bool left, plus, space, alt, zero;
	int width, precision;	/* precision -1: none */
};

/* PREFIX (sign or 0x), then DIGITS to the precision, padded to the width. */
static void put_field(struct out *o, const struct spec *s, const char *prefix, int zeros, const char *body, int len)
{
	int pad = s->width - zeros - len - (int)strlen(prefix);

	if (!s->left)
		put_fill(o, ' ', pad);
	for (; *prefix; prefix++)
		put(o, *prefix);
	put_fill(o, '0', zeros);
	while (len--)
		put(o, *body++);
	if (s->left)
		put_fill(o, ' ', pad);
}

static void put_number(struct out *o, const struct spec *s, u64 v, unsigned base, bool upper, const char *prefix)
{
	const char *digits = upper ? "0123456789ABCDEF" : "0123456789abcdef";
	char text[24], *p = text + sizeof(text);
	int len, zeros;

	for (u64 rest = v; rest; rest /= base)
		*--p = digits[rest % base];
	if (!v && s->precision)
		*--p = '0';
	len = (int)(text + sizeof(text) - p);
	zeros = s->precision - len;
	if (base == 8 && s->alt && zeros < 1 && (!len || *p != '0'))
		zeros = 1;
	if (s->precision < 0 && s->zero && !s->left)
		zeros = MAX(zeros, s->width - len - (int)strlen(prefix));
	put_field(o, s, prefix, MAX(zeros, 0), p, len);
}

static int parse_int(const char **fmt)
{
	int n = 0;

	while (**fmt >= '0' && **fmt <= '9')
		n = n * 10 + *(*fmt)++ - '0';
	return n;
}

enum length { LEN_CHAR = -2, LEN_SHORT, LEN_INT, LEN_LONG };

static s64 cut_signed(s64 v, int length)
{
	return length == LEN_CHAR ? (signed char)v : length == LEN_SHORT ? (short)v : length == LEN_INT ? (int)v : v;
}

static u64 cut_unsigned(u64 v, int length)
{
	return length == LEN_CHAR ? (u8)v : length == LEN_SHORT ? (u16)v : length == LEN_INT ? (u32)v : v;
}

int vsnprintf(char *buf, size_t size, const char *fmt, va_list ap)
{
	struct out o = { .buf = buf, .size = size ? size - 1 : 0 };
	va_list args;

	va_copy(args, ap);
	for (; *fmt; fmt++) {
		struct spec s = { .precision = -1 };
		const char *start = fmt, *str;
		int length = LEN_INT;
		u64 v;
		s64 d;
		char c;

		if (*fmt != '%') {
			put(&o, *fmt);
			continue;
		}
		for (fmt++;; fmt++) {
			if (*fmt == '-')
				s.left = true;
			else if (*fmt == '+')
				s.plus = true;
			else if (*fmt == ' ')
				s.space = true;
			else if (*fmt == '#')
				s.alt = true;
			else if (*fmt == '0')
				s.zero = true;
			else
				break;
		}
		if (*fmt == '*') {
			s.width = va_arg(args, int);
			fmt++;
			if (s.width < 0) {
				s.left = true;
				s.width = -s.width;
			}
		} else {
			s.width = parse_int(&fmt);
		}
		if (*fmt == '.') {
			fmt++;
			if (*fmt == '*') {
				s.precision = va_arg(args, int);
				fmt++;
			} else {
				s.precision = parse_int(&fmt);
			}
		}
		for (;; fmt++) {
			if (*fmt == 'h')
				length--;
			else if (*fmt == 'l' || *fmt == 'z')
				length = LEN_LONG;
			else
				break;
		}
		switch (*fmt) {
		case 'd':
		case 'i':
			d = length == LEN_LONG ? va_arg(args, s64) : va_arg(args, int);
			d = cut_signed(d, length);
			v = d < 0 ? -(u64)d : (u64)d;
			put_number(&o, &s, v, 10, false, d < 0 ? "-" : s.plus ? "+" : s.space ? " " : "");
			break;
		case 'u':
		case 'x':
		case 'X':
		case 'o':
			v = length == LEN_LONG ? va_arg(args, u64) : va_arg(args, unsigned);
			v = cut_unsigned(v, length);
			put_number(&o, &s, v, *fmt == 'u' ? 10 : *fmt == 'o' ? 8 : 16, *fmt == 'X',
				   !s.alt || !v || (*fmt != 'x' && *fmt != 'X') ? "" : *fmt == 'x' ? "0x" : "0X");
			break;
		case 'p':
			put_number(&o, &s, (u64)va_arg(args, void *), 16, false, "0x");
			break;
		case 'c':
			c = (char)va_arg(args, int);
			put_field(&o, &s, "", 0, &c, 1);
			break;
		case 's':
			str = va_arg(args, const char *);
			if (!str)
				str = "(null)";
			put_field(&o, &s, "", 0, str,
				  (int)(s.precision < 0 ? strlen(str) : strnlen(str, (size_t)s.precision)));
			break;
		case '%':
			put(&o, '%');
			break;
		default:	/* not a conversion: shown as it stands */
			for (; start < fmt; start++)
				put(&o, *start);
			fmt--;
		}
	}
	va_end(args);
	if (size)
		buf[MIN(o.len, o.size)] = 0;
	return (int)o.len;
}

int snprintf(char *buf, size_t size, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(buf, size, fmt, ap);
	va_end(ap);
	return n;
}

bool bprintf(char *buf, size_t size, size_t *pos, const char *fmt, ...)
{
	va_list ap;
	int n;

	if (*pos >= size)
		return false;
	va_start(ap, fmt);
	n = vsnprintf(buf + *pos, size - *pos, fmt, ap);
	va_end(ap);
	if ((size_t)n >= size - *pos) {
		*pos = size;
		return false;
	}
	*pos += (size_t)n;
	return true;
}

/* Shows the console what it has missed of the ring, in at most two pieces. */
static void show_missed(void)
{
	if (ring_end - ring_shown > LOG_SIZE)
		ring_shown = ring_end - LOG_SIZE;
	while (ring_shown < ring_end) {
		size_t at = ring_shown % LOG_SIZE, n = MIN(ring_end - ring_shown, LOG_SIZE - at);

		console_write(ring + at, n);
		ring_shown += n;
	}
}

static void log_write(const char *data, size_t n, bool show)
{
	if (console_write)
		show_missed();
	for (size_t i = 0; i < n; i++)
		ring[ring_end++ % LOG_SIZE] = data[i];
	if (!console_write)
		return;		/* shown once it is there */
	if (show)
		console_write(data, n);
	ring_shown = ring_end;
}

void printk(enum loglevel level, const char *fmt, ...)
{
	char line[512];
	u64 us = console_clock ? console_clock() / 1000 : 0;
	bool locked = !panicking && !spin_held(&print_lock);
	va_list ap;
	size_t n;

	n = (size_t)snprintf(line, sizeof(line), "[%5lu.%06lu] ", us / 1000000, us % 1000000);
	va_start(ap, fmt);
	n += (size_t)vsnprintf(line + n, sizeof(line) - n, fmt, ap);
	va_end(ap);
	n = MIN(n, sizeof(line) - 1);
	if (line[n - 1] != '\n') {
		n = MIN(n, sizeof(line) - 2);
		line[n++] = '\n';
	}
	if (locked)
		spin_lock(&print_lock);
	log_write(line, n, (int)level <= console_loglevel);
	if (locked)
		spin_unlock(&print_lock);
}

size_t log_read(u64 *pos, char *buf, size_t n)
{
	spin_lock(&print_lock);
	if (*pos > ring_end)
		*pos = ring_end;
	if (ring_end - *pos > LOG_SIZE)
		*pos = ring_end - LOG_SIZE;
	n = MIN(n, ring_end - *pos);
	for (size_t i = 0; i < n; i++)
		buf[i] = ring[(*pos)++ % LOG_SIZE];
	spin_unlock(&print_lock);
	return n;
}

void print_panic(void)
{
	panicking = true;
}
