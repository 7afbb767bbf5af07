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

/*
 * Some CPUs use what others change: `while (crowd_use())` and `while (crowd_change(n))`. A change waits until
 * some more uses are done (a random number, often none): or else one thread would be done before the others
 * have begun. After N changes in all, or when the crowd is late, both are false.
 */
bool crowd_use(void);
bool crowd_change(unsigned n);

/* Has the crowd worked for longer than a test should take, on a slow or busy host? */
bool crowd_late(void);

#define crowd_want(c) do { \
	if (!(c)) \
		fake_fail("%s:%d: CPU %u: not so: %s", __FILE__, __LINE__, fake_cpu, #c); \
} while (0)
