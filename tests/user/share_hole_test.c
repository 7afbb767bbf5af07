/* SPDX-License-Identifier: MIT */
/*
 * share_hole_test.c - what a relative maps into a hole of tables that others use, at each
 * level, nobody else may see; what all had mapped at the fork, each fills for himself.
 *
 * tests/run: limit=90
 */
#include "tests/user/share.h"

/* Distances from a page that is there: the same leaf table, the same tables above, none. */
static const size_t distances[] = { PAGE, 511 * PAGE, TABLE, 300 * TABLE, GIB, 300 * GIB,
				    TOP, 3 * TOP };
#define DISTANCES (sizeof(distances) / sizeof(distances[0]))

static int file = -1;
static int how; /* what is mapped into the holes */
enum { WRITTEN, READ, FILE_READ, SHARED_ANON, HOWS };

static char *hole(size_t i)
{
	return SPACE + distances[i];
}

static void fill(uint32_t mark)
{
	for (size_t i = 0; i < DISTANCES; i++) {
		uint32_t stamp = how == WRITTEN || how == SHARED_ANON ? mark + (uint32_t)i :
				 how == FILE_READ			? 0x777 :
									  0;

		int flags = how == SHARED_ANON ? MAP_SHARED : MAP_PRIVATE;
		bool of_file = how == FILE_READ;

		/* by turns as a hint, and fixed, which unmaps (and so owns tables) first */
		flags |= (of_file ? 0 : MAP_ANONYMOUS) | (mark / 0x100 % 2 ? MAP_FIXED : 0);
		REQUIRE(mmap(hole(i), PAGE, PROT_READ | PROT_WRITE, flags, of_file ? file : -1,
			     0) == hole(i));
		if (how == WRITTEN || how == SHARED_ANON)
			put_stamp(hole(i), stamp);
		probe_set(hole(i), OPEN, stamp);
	}
	verify("who filled holes");
}

static void unfill(void)
{
	for (size_t i = 0; i < DISTANCES; i++) {
		EXPECT(munmap(hole(i), PAGE) == 0);
		probe_set(hole(i), GONE, 0);
	}
	verify("who emptied holes");
}

static void begin(void)
{
	start_afresh();
	map_stamped(SPACE, 1, 0x100);
	for (size_t i = 0; i < DISTANCES; i++)
		probe_set(hole(i), GONE, 0);
}

static void child_of_filler(void)
{
	verify("grandchild");
	if (how != SHARED_ANON)
		scribble(0x900);
	unfill();
	fill(0xa00);
}

static void filling_child(void)
{
	fill(0x200);
	turn_over();
	verify("child");
	kin_once(child_of_filler);
	if (how == SHARED_ANON)
		scribble(0x300);
	verify("child, after the grandchild");
	turn_over();
	unfill();
}

static void by_child(void)
{
	for (how = 0; how < HOWS; how++) {
		struct kin child;

		begin();
		child = kin_start(filling_child);
		kin_turn(&child);
		verify("parent");
		kin_turn(&child);
		fill(0x400);
		kin_turn(&child);
		kin_end(&child);
		verify("parent, after the child's end");
		unfill();
	}
}

static void watching_child(void)
{
	verify("child");
	turn_over();
	verify("child, after the second child");
	fill(0x500);
	turn_over();
	verify("child, after the parent emptied");
}

static void by_parent(void)
{
	for (how = 0; how < HOWS; how++) {
		struct kin child;

		begin();
		child = kin_start(watching_child);
		fill(0x200);
		kin_turn(&child);
		kin_once(child_of_filler);
		if (how == SHARED_ANON)
			scribble(0x300);
		verify("parent, after the second child");
		kin_turn(&child);
		verify("parent, after the child filled");
		unfill();
		kin_turn(&child);
		kin_end(&child);
	}
}

/* Mapped by all, touched by none: each gets his own, though a read may have come first. */
static size_t first_reader; /* 0 nobody, 1 child, 2 parent */

static void map_untouched(void)
{
	start_afresh();
	map_stamped(SPACE, 1, 0x100);
	for (size_t i = 0; i < DISTANCES; i++) {
		map_at(hole(i), PAGE, PROT_READ | PROT_WRITE);
		probe_set(hole(i), OPEN, 0);
	}
}

static void filler(void)
{
	if (first_reader == 1)
		verify("child, reading first");
	turn_over();
	scribble(0x200);
	verify("child");
	turn_over();
	verify("child, after the parent's writes");
}

static void untouched(void)
{
	for (first_reader = 0; first_reader < 3; first_reader++) {
		struct kin child, second;

		map_untouched();
		child = kin_start(filler);
		second = kin_start(filler);
		kin_turn(&child);
		if (first_reader == 2)
			verify("parent, reading first");
		kin_turn(&child);
		if (first_reader)
			verify("parent, after the child's writes");
		scribble(0x300);
		kin_turn(&second);
		kin_turn(&second);
		kin_turn(&child);
		kin_turn(&second);
		kin_end(&child);
		kin_end(&second);
		verify("parent");
	}
}

/* A file read through a shared table: filled once for all, then written by each alone. */
static void file_filled_in_place(void)
{
	struct kin child;

	start_afresh();
	map_stamped(SPACE, 1, 0x100);
	for (size_t i = 0; i < DISTANCES; i++) {
		REQUIRE(mmap(hole(i), PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, file,
			     0) == hole(i));
		probe_set(hole(i), OPEN, 0x777);
	}
	first_reader = 1;
	child = kin_start(filler);
	kin_turn(&child);
	verify("parent");
	kin_turn(&child);
	verify("parent, after the child's writes");
	scribble(0x300);
	kin_turn(&child);
	kin_end(&child);
}

/* Growth of a region into a hole, by one side, is not the other's. */
static void growing(void)
{
	EXPECT(mremap(SPACE, PAGE, 2 * TABLE, 0) == SPACE);
	probe_set(SPACE + PAGE, OPEN, 0);
	probe_set(SPACE + TABLE, OPEN, 0);
	scribble(0x200);
	verify("who grew");
	turn_over();
	EXPECT(mremap(SPACE, 2 * TABLE, PAGE, 0) == SPACE);
	model_kind(SPACE + PAGE, 2 * TABLE, GONE);
	verify("who shrank");
}

static void begin_growing(void)
{
	start_afresh();
	map_stamped(SPACE, 1, 0x100);
	probe_set(SPACE + PAGE, GONE, 0);
	probe_set(SPACE + TABLE, GONE, 0);
}

static void region_growth(void)
{
	struct kin child, second;

	begin_growing();
	child = kin_start(growing);
	second = kin_start(growing);
	kin_turn(&child);
	verify("parent");
	kin_turn(&second);
	kin_turn(&child);
	verify("parent, after the child shrank");
	kin_turn(&second);
	kin_end(&child);
	kin_end(&second);
	EXPECT(mremap(SPACE, PAGE, 2 * TABLE, 0) == SPACE);
	probe_set(SPACE + PAGE, OPEN, 0);
	probe_set(SPACE + TABLE, OPEN, 0);
	verify("parent, grown");
}

/* Holes at every level that many relatives fill and empty by turns. */
static void many_turns(void)
{
	how = WRITTEN;
	for (int i = 0; i < 6; i++) {
		fill(0x1100 * (uint32_t)i);
		turn_over();
		verify("one of many");
		unfill();
	}
}

static void by_turns(void)
{
	struct kin kin[4];

	begin();
	for (int k = 0; k < 4; k++)
		kin[k] = kin_start(many_turns);
	for (int i = 0; i < 7; i++)
		for (int k = 0; k < 4; k++) {
			kin_turn(&kin[k]);
			verify("parent of many");
		}
	for (int k = 0; k < 4; k++)
		kin_end(&kin[k]);
}

static void cases(void)
{
	uint32_t *page = (uint32_t *)(void *)anon_pages(1);

	if (file < 0)
		file = temp_file(PAGE);
	put_stamp((char *)page, 0x777);
	REQUIRE(pwrite(file, page, PAGE, 0) == (ssize_t)PAGE);
	munmap(page, PAGE);
	RUN(by_child);
	RUN(by_parent);
	RUN(untouched);
	RUN(file_filled_in_place);
	RUN(region_growth);
	RUN(by_turns);
	start_afresh();
}

int main(int argc, char **argv)
{
	return share_main(argc, argv, cases);
}
