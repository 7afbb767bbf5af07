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

/* One message; a newline is added when it lacks one. Prefixed by the time since boot. */
void printk(enum loglevel level, const char *fmt, ...) __printf(2, 3);

/* C99's meaning, for: % c s d i u x X p o with flags 0 - + # space, width, precision, hh h l ll z. */
int snprintf(char *buf, size_t size, const char *fmt, ...) __printf(3, 4);
int vsnprintf(char *buf, size_t size, const char *fmt, va_list ap);

/* Like snprintf at *POS of BUF, moving *POS; stops at SIZE. Returns false once it is full. */
bool bprintf(char *buf, size_t size, size_t *pos, const char *fmt, ...) __printf(4, 5);

/* The full report (arch/panic.c), verdict "panic", exit device. */
void panic(const char *fmt, ...) __printf(1, 2) __noreturn __cold;

#define BUG_ON(c) do { if (unlikely(c)) panic("%s:%d: %s", __FILE__, __LINE__, #c); } while (0)
#define ASSERT(c) BUG_ON(!(c))
