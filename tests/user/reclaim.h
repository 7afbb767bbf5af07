/* SPDX-License-Identifier: MIT */
/*
 * reclaim.h - what the reclaim_* tests have in common: how many page tables a process has, and there are.
 */
#ifndef TESTS_USER_RECLAIM_H
#define TESTS_USER_RECLAIM_H

#include "tests/user/share.h"

#ifndef MADV_CLEANUP_PGTABLE
#define MADV_CLEANUP_PGTABLE 0x5102
#endif

static const char *const policies[] = { "always", "deferred", "on_request", "never" };
enum { ALWAYS, DEFERRED, ON_REQUEST, NEVER, POLICIES };

static inline void set(const char *name, const char *value)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/sys/vm/%s", name);
	REQUIRE(write_text(path, value));
}

static long base; /* what a case began with */

/* Page tables of this process, the root with them. */
static inline long tables(void)
{
	return (long)(proc_value("/proc/self/status", "VmPTE") / 4);
}

/* Page tables of all, once they are as many as is said; freed ones may wait for other CPUs a little. */
static inline long all_tables(long want)
{
	long now = 0;

	for (int i = 0; i < 200; i++) {
		now = (long)proc_value("/proc/vmstat", "nr_page_table_pages");
		if (now == want)
			break;
		sleep_ms(5);
	}
	return now;
}

static inline void drop(char *at, size_t bytes)
{
	EXPECT(madvise(at, bytes, MADV_DONTNEED) == 0);
}

#endif
