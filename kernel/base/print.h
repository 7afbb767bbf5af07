/* SPDX-License-Identifier: MIT */
/*
 * Owns: formatted text to the console and to buffers, assertions, panic. printk may be called from
 * anywhere, with any lock but the console's own held; it never allocates.
 */
#pragma once
#include <stdarg.h>
#include "kernel/base/types.h"

enum loglevel { LOG_EMERG, LOG_ALERT, LOG_CRIT, LOG_ERR, LOG_WARN, LOG_NOTICE, LOG_INFO, LOG_DEBUG };
extern int console_loglevel;	/* messages up to this one are shown: default LOG_INFO */

/* Where text goes and what time it is, set by arch/ as soon as there is a serial line and a clock; until
 * then messages are only kept, and their time is 0. console_write waits until the line has taken all. */
extern void (*console_write)(const char *data, size_t n);
extern u64 (*console_clock)(void);	/* ns since boot */

/* One message; a newline is added when it lacks one. Prefixed by the time since boot. */
void printk(enum loglevel level, const char *fmt, ...) __printf(2, 3);

/* The last LOG_SIZE bytes of messages are kept, whatever their level. Copies up to N of them from *POS (bytes
 * ever logged; moved, past what is lost too) into BUF; bytes copied, 0 at the end. */
#define LOG_SIZE 16384
size_t log_read(u64 *pos, char *buf, size_t n);

/* From now on printk takes no lock: the machine is dying, and its holder may be stopped. */
void print_panic(void);

/* C99's meaning, for: % c s d i u x X p o with flags 0 - + # space, width, precision, hh h l ll z. */
int snprintf(char *buf, size_t size, const char *fmt, ...) __printf(3, 4);
int vsnprintf(char *buf, size_t size, const char *fmt, va_list ap);

/* Like snprintf at *POS of BUF, moving *POS; stops at SIZE. Returns false once it is full. */
bool bprintf(char *buf, size_t size, size_t *pos, const char *fmt, ...) __printf(4, 5);

/* The full report (arch/panic.c), verdict "panic", exit device. */
void panic(const char *fmt, ...) __printf(1, 2) __noreturn __cold;

#define BUG_ON(c) do { if (unlikely(c)) panic("%s:%d: %s", __FILE__, __LINE__, #c); } while (0)
#define ASSERT(c) BUG_ON(!(c))
