/* SPDX-License-Identifier: MIT */
/*
 * Short of memory: a program that maps and drops without end, over far more addresses than there is memory for their
 * tables. What policies keep and tables of the zero page are given up before anything fails.
 * tests/run: limit=120 mem=64M smp=2 nocheck
 */
#include "tests/user/reclaim.h"

#define TURNS 40000UL /* 160 MB of tables */

static long long failed;

static void must_not_fail(void)
{
	failed = proc_value("/proc/vmstat", "fault_oom");
	base = tables();
	map_at(SPACE, TURNS * TABLE, PROT_READ | PROT_WRITE);
}

static void nothing_failed(void)
{
	EXPECT_EQ(proc_value("/proc/vmstat", "fault_oom"), failed);
	munmap(SPACE, TURNS * TABLE);
	EXPECT_EQ(tables(), base);
}

/* Written and dropped; nothing is ever freed but when memory is short. */
static void kept_empty(void)
{
	set("pt_reclaim", "never");
	must_not_fail();
	for (size_t i = 0; i < TURNS; i++) {
		put_stamp(SPACE + i * TABLE, (uint32_t)i);
		EXPECT(*word(SPACE + i * TABLE, true) == (uint32_t)i);
		drop(SPACE + i * TABLE, PAGE);
	}
	nothing_failed();
	set("pt_reclaim", "always");
}

/* Only read: each table maps one zero page and nobody drops it. */
static void zero_pages(void)
{
	must_not_fail();
	for (size_t i = 0; i < TURNS; i++)
		EXPECT(*(volatile char *)(SPACE + i * TABLE) == 0);
	nothing_failed();
}

static void child_reads(void)
{
	for (size_t i = TURNS / 2; i < TURNS; i++)
		EXPECT(*(volatile char *)(SPACE + i * TABLE) == 0);
}

/* The same with relatives, who share what was read before and go on reading. */
static void shared_zero_pages(void)
{
	struct kin k;

	must_not_fail();
	for (size_t i = 0; i < TURNS / 4; i++)
		EXPECT(*(volatile char *)(SPACE + i * TABLE) == 0);
	put_stamp(SPACE + 3 * TABLE, 3);
	k = kin_start(child_reads);
	kin_turn(&k);
	for (size_t i = TURNS / 4; i < TURNS; i++)
		EXPECT(*(volatile char *)(SPACE + i * TABLE) == 0);
	EXPECT_EQ(*word(SPACE + 3 * TABLE, true), 3);
	kin_end(&k);
	nothing_failed();
}

/* Every so many-th allocation fails: there is always an empty table to give up for it. */
static void some_fail(const char *policy)
{
	must_not_fail();
	set("pt_reclaim", policy);
	put_stamp(SPACE, 1);
	put_stamp(SPACE + TABLE, 1);
	drop(SPACE, 2 * TABLE);
	set("fail_alloc", "37");
	for (size_t i = 2; i < TURNS / 8; i++) {
		char *at = mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (!EXPECT(at != MAP_FAILED))
			break;
		put_stamp(SPACE + i * TABLE, (uint32_t)i);
		put_stamp(at, (uint32_t)i);
		drop(SPACE + i * TABLE, PAGE);
		EXPECT(*word(at, true) == (uint32_t)i);
		if (!EXPECT(munmap(at, 16 * PAGE) == 0))
			break;
	}
	set("fail_alloc", "0");
	set("pt_reclaim", "always");
	nothing_failed();
}

static void some_fail_deferred(void)
{
	some_fail("deferred");
}

static void some_fail_never(void)
{
	some_fail("never");
}

int main(void)
{
	signal(SIGPIPE, SIG_IGN);
	if (!on_quire())
		test_skip("Quire's policies");
	tables();
	RUN(kept_empty);
	RUN(zero_pages);
	RUN(shared_zero_pages);
	RUN(some_fail_deferred);
	RUN(some_fail_never);
	return test_end();
}
