/* SPDX-License-Identifier: MIT */
/*
 * Owns: threads as CPUs, for the race tests. crowd_run starts N threads; each plays CPU i of its own,
 * calls FN(i), leaves its space and ends. In them cmocka's assertions cannot be used: crowd_want.
 */
#pragma once
#include "fake.h"

void crowd_run(unsigned n, void (*fn)(unsigned cpu));

/* Waits until all threads of the crowd are here; meanwhile this CPU answers others. */
void crowd_meet(void);

/* Has the crowd worked for longer than a test should take, on a slow or busy host? */
bool crowd_late(void);

#define crowd_want(c) do { \
	if (!(c)) \
		fake_fail("%s:%d: CPU %u: not so: %s", __FILE__, __LINE__, fake_cpu, #c); \
} while (0)
