/* SPDX-License-Identifier: MIT */
/*
 * share_grow_test.c - stacks, the break and locked memory of relatives: each grows and
 * shrinks his own.
 */
#include "tests/user/share.h"

/* Stacks grow after the fork, in each relative by itself. */
static uint32_t descend(int depth, uint32_t mark)
{
	volatile uint32_t room[4096];

	for (size_t i = 0; i < 4096; i += 512)
		room[i] = mark + (uint32_t)depth;
	uint32_t below = depth ? descend(depth - 1, mark) : mark;

	for (size_t i = 0; i < 4096; i += 512)
		if (room[i] != mark + (uint32_t)depth)
			return 0;
	return below;
}

static void grow_stack(void)
{
	uint32_t mark = (uint32_t)getpid() << 8;

	EXPECT_EQ(descend(180, mark), mark); /* 3 MiB: more than a table */
	turn_over();
	EXPECT_EQ(descend(100, mark), mark);
	EXPECT_EQ(descend(200, mark), mark);
}

static void stacks(void)
{
	struct kin k = kin_start(grow_stack), l;

	kin_turn(&k);
	EXPECT_EQ(descend(20, 0x77), 0x77);
	l = kin_start(grow_stack);
	EXPECT_EQ(descend(190, 0x77), 0x77);
	kin_turn(&l);
	kin_turn(&k);
	kin_turn(&l);
	kin_end(&k);
	kin_end(&l);
	EXPECT_EQ(descend(190, 0x78), 0x78);
}

/* The break: grown or shrunk by one, it stays where it was for the other. */
static char *heap;

static char *set_break(char *to)
{
	return (char *)syscall(SYS_brk, to);
}

static void break_mover(void)
{
	EXPECT(set_break(NULL) == heap + 4 * PAGE);
	EXPECT(set_break(heap + TABLE) == heap + TABLE);
	put_stamp(heap + 4 * PAGE, 1);
	put_stamp(heap + TABLE - PAGE, 1);
	probe_set(heap + 4 * PAGE, OPEN, 1);
	probe_set(heap + TABLE - PAGE, OPEN, 1);
	verify("break mover");
	turn_over();
	EXPECT(set_break(heap + 2 * PAGE) == heap + 2 * PAGE);
	model_kind(heap + 2 * PAGE, TABLE, GONE);
	verify("break mover, shrunk");
	EXPECT(set_break(heap + 4 * PAGE) == heap + 4 * PAGE);
	model_fresh(heap + 2 * PAGE, 2 * PAGE);
	verify("break mover, grown again");
}

static void breaks(void)
{
	struct kin k, l;
	char *before = set_break(NULL);

	probe_count = 0;
	heap = (char *)(((uintptr_t)before + PAGE - 1) & ~(PAGE - 1));
	REQUIRE(set_break(heap + 4 * PAGE) == heap + 4 * PAGE);
	for (size_t i = 0; i < 4; i++) {
		put_stamp(heap + i * PAGE, 0x40 + (uint32_t)i);
		probe_set(heap + i * PAGE, OPEN, 0x40 + (uint32_t)i);
	}
	probe_set(heap + 4 * PAGE, GONE, 0);
	probe_set(heap + TABLE - PAGE, GONE, 0);
	k = kin_start(break_mover);
	l = kin_start(break_mover);
	kin_turn(&k);
	verify("parent");
	kin_turn(&l);
	kin_turn(&k);
	verify("parent, after the child shrank");
	EXPECT(set_break(heap + 2 * PAGE) == heap + 2 * PAGE);
	model_kind(heap + 2 * PAGE, 2 * PAGE, GONE);
	verify("parent, shrunk");
	kin_turn(&l);
	kin_end(&k);
	kin_end(&l);
	set_break(before);
}

static char *const edge = SPACE + TABLE;

/* Locked memory: what is locked is not inherited; locking changes no contents. */
static void unlocked(void)
{
	EXPECT_EQ(proc_value("/proc/self/status", "VmLck"), 0);
	EXPECT(mlock(edge - PAGE, 2 * PAGE) == 0);
	EXPECT_EQ(proc_value("/proc/self/status", "VmLck"), 8);
	verify("child that locks");
	scribble(0x300);
	EXPECT(munlock(edge - PAGE, PAGE) == 0);
	EXPECT_EQ(proc_value("/proc/self/status", "VmLck"), 4);
	verify("child that locks, in the end");
}

static void locks(void)
{
	struct kin k;

	start_afresh();
	map_stamped(edge - 3 * PAGE, 6, 0x100);
	EXPECT(mlock(edge - 2 * PAGE, 4 * PAGE) == 0);
	EXPECT_EQ(proc_value("/proc/self/status", "VmLck"), 16);
	k = kin_start(unlocked);
	EXPECT(munlock(edge, PAGE) == 0);
	scribble(0x200);
	EXPECT_EQ(proc_value("/proc/self/status", "VmLck"), 12);
	kin_turn(&k);
	kin_end(&k);
	verify("parent");
	EXPECT_ERRNO(madvise(edge - PAGE, PAGE, MADV_DONTNEED), EINVAL);
	kin_once(unlocked);
	munlockall();
}

static void cases(void)
{
	RUN(stacks);
	RUN(breaks);
	RUN(locks);
	start_afresh();
}

int main(int argc, char **argv)
{
	return share_main(argc, argv, cases);
}
