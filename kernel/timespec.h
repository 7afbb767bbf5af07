/* SPDX-License-Identifier: MIT */
/* Owns: the times of system calls (seconds and a rest) as nanoseconds since boot, saturating. */
#pragma once
#include "arch/machine.h"
#include "kernel/sched.h"

#define NSEC_PER_SEC 1000000000UL
struct timespec { s64 sec, nsec; };
struct timeval { s64 sec, usec; };

static inline bool timespec_valid(const struct timespec *ts)
{
	return ts->sec >= 0 && (u64)ts->nsec < NSEC_PER_SEC;
}

/* Nanoseconds of a valid time; of what is too long, the most. */
static inline u64 timespec_ns(const struct timespec *ts)
{
	if ((u64)ts->sec >= SLEEP_FOREVER / NSEC_PER_SEC)
		return SLEEP_FOREVER;
	return (u64)ts->sec * NSEC_PER_SEC + (u64)ts->nsec;
}

static inline struct timespec timespec_of(u64 ns)
{
	return (struct timespec){ (s64)(ns / NSEC_PER_SEC), (s64)(ns % NSEC_PER_SEC) };
}

static inline bool timeval_valid(const struct timeval *tv)
{
	return tv->sec >= 0 && (u64)tv->usec < 1000000;
}

static inline u64 timeval_ns(const struct timeval *tv)
{
	return timespec_ns(&(struct timespec){ tv->sec, tv->usec * 1000 });
}

static inline struct timeval timeval_of(u64 ns)
{
	return (struct timeval){ (s64)(ns / NSEC_PER_SEC), (s64)(ns % NSEC_PER_SEC / 1000) };
}

/* When NS from now will have passed. */
static inline u64 deadline_in(u64 ns)
{
	u64 now = clock_ns();

	return ns > SLEEP_FOREVER - now ? SLEEP_FOREVER : now + ns;
}

/* What is left until DEADLINE; of SLEEP_FOREVER, the most. */
static inline u64 deadline_left(u64 deadline)
{
	u64 now = clock_ns();

	return deadline == SLEEP_FOREVER ? deadline : deadline > now ? deadline - now : 0;
}
