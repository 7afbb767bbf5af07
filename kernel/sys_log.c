/* SPDX-License-Identifier: MIT */
/*
 * Owns: syslog(2), which dmesg calls: reading the kernel's last messages (kernel/base/print.c), the level from
 * which on they are shown. "Clearing" only remembers from where on to read. No lock: `cleared` is one word.
 */
#include "kernel/base/print.h"
#include "kernel/syscalls.h"

enum { LOG_CLOSE, LOG_OPEN, LOG_READ, LOG_READ_ALL, LOG_READ_CLEAR, LOG_CLEAR, LOG_CONSOLE_OFF, LOG_CONSOLE_ON,
       LOG_CONSOLE_LEVEL, LOG_SIZE_UNREAD, LOG_SIZE_BUFFER };

static u64 cleared;

static u64 log_end(void)
{
	u64 pos = ~0UL;

	log_read(&pos, NULL, 0);
	return pos;
}

/* The last N bytes at most; how many. */
static long read_all(vaddr_t to, u64 n)
{
	u64 end = log_end(), pos = MAX(cleared, end - MIN(end, MIN(n, (u64)LOG_SIZE)));
	char piece[256];
	size_t got, done = 0;

	while (pos < end && (got = log_read(&pos, piece, MIN(sizeof(piece), end - pos)))) {
		if (user_copy_out(to + done, piece, got))
			return -EFAULT;
		done += got;
	}
	return (long)done;
}

long sys_syslog(u64 type, u64 buf, u64 len, REST3)
{
	static int level_before_off = LOG_INFO;
	long n;

	switch ((int)type) {
	case LOG_CLOSE:
	case LOG_OPEN:
		return 0;
	case LOG_READ_ALL:
	case LOG_READ_CLEAR:
		if (!buf || (int)len < 0)
			return -EINVAL;
		n = read_all(buf, len);
		if (n >= 0 && (int)type == LOG_READ_CLEAR)
			cleared = log_end();
		return n;
	case LOG_CLEAR:
		cleared = log_end();
		return 0;
	case LOG_CONSOLE_OFF:
		level_before_off = console_loglevel;
		console_loglevel = LOG_ALERT;
		return 0;
	case LOG_CONSOLE_ON:
		console_loglevel = level_before_off;
		return 0;
	case LOG_CONSOLE_LEVEL:
		if ((int)len < 1 || len > 8)
			return -EINVAL;
		console_loglevel = (int)len - 1;
		return 0;
	case LOG_SIZE_UNREAD:
		return (long)(log_end() - MIN(log_end(), cleared));
	case LOG_SIZE_BUFFER:
		return LOG_SIZE;
	default:	/* LOG_READ waits for messages: nobody does who reads /dev/kmsg */
		return -EINVAL;
	}
}
