/* SPDX-License-Identifier: MIT */
/* Owns: what the two files of timers that end in a signal share: kernel/sys_itimer.c, kernel/sys_timer.c. */
#pragma once
#include "kernel/process.h"
#include "kernel/timespec.h"

#define MIN_INTERVAL 1000000UL	/* ns: between expiries that nobody takes */
#define FOREVER_NS (1UL << 62)	/* ns: two of them can be added */

/* The first time after NOW of a timer that was due at EXPIRES. */
static inline u64 next_expiry(u64 expires, u64 interval, u64 now)
{
	interval = MIN(interval, FOREVER_NS);
	return now < expires ? expires : expires + ((now - expires) / interval + 1) * interval;
}

void alarm_fire(struct timer *t);	/* of process->alarm */
