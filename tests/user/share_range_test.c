/* SPDX-License-Identifier: MIT */
/*
 * share_range_test.c - changes to parts of memory that relatives share, each by the child
 * and by the parent: dropping, unmapping, protecting, moving, mapping over.
 *
 * The memory is three leaf tables in a row, in one table above them, or lying over the
 * border of a GiB or of 512 GiB. A sibling is there all the while, and a grandchild comes
 * and goes: each must see what its own history says.
 *
 * tests/run: limit=120
 */
#include "tests/user/share.h"

#define BYTES (3 * TABLE)

static char *base;   /* the three tables */
static char *target; /* where moved memory goes */

static void drop(size_t first, size_t count)
{
	EXPECT(madvise(base + first * PAGE, count * PAGE, MADV_DONTNEED) == 0);
	model_zero(base + first * PAGE, count * PAGE);
}

static void drop_page(void)
{
	drop(101, 1);
}
static void drop_first_and_last(void)
{
	drop(0, 1);
	drop(511, 1);
}
static void drop_table(void)
{
	drop(512, 512);
}
static void drop_over_tables(void)
{
	drop(101, 1200);
}
static void drop_all(void)
{
	drop(0, 1536);
}

static void unmap(size_t first, size_t count)
{
	EXPECT(munmap(base + first * PAGE, count * PAGE) == 0);
	model_kind(base + first * PAGE, count * PAGE, GONE);
}

static void unmap_page(void)
{
	unmap(101, 1);
}
static void unmap_table(void)
{
	unmap(512, 512);
}
static void unmap_over_tables(void)
{
	unmap(101, 1200);
}
static void unmap_all(void)
{
	unmap(0, 1536);
}

static void protect(size_t first, size_t count, int prot)
{
	EXPECT(mprotect(base + first * PAGE, count * PAGE, prot) == 0);
	model_kind(base + first * PAGE, count * PAGE,
		   prot & PROT_WRITE ? OPEN : prot ? READONLY : BARRED);
}

static void protect_page(void)
{
	protect(101, 1, PROT_READ);
}
static void protect_table(void)
{
	protect(512, 512, PROT_READ);
}
static void protect_over_tables(void)
{
	protect(101, 1200, PROT_READ);
}
static void bar_page(void)
{
	protect(101, 1, PROT_NONE);
}
static void bar_all(void)
{
	protect(0, 1536, PROT_NONE);
}
static void protect_there_and_back(void)
{
	protect(0, 1536, PROT_READ);
	verify("read-only");
	protect(0, 1536, PROT_READ | PROT_WRITE);
}

static void map_over(size_t first, size_t count)
{
	map_at(base + first * PAGE, count * PAGE, PROT_READ | PROT_WRITE);
	model_fresh(base + first * PAGE, count * PAGE);
}

static void map_over_page(void)
{
	map_over(101, 1);
}
static void map_over_table(void)
{
	map_over(512, 512);
}
static void map_over_tables(void)
{
	map_over(101, 1200);
}

/* Move count pages to `to`, where new_count are to be. */
static void move(size_t first, size_t count, char *to, size_t new_count)
{
	char *from = base + first * PAGE;

	EXPECT(mremap(from, count * PAGE, new_count * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to) ==
	       to);
	model_move(from, count * PAGE, to, new_count * PAGE);
}

static void move_page_inside(void)
{
	move(101, 1, base + 1300 * PAGE, 1);
}
static void move_page_over_page(void)
{
	move(101, 1, base + 614 * PAGE, 1);
}
static void move_page_near(void)
{
	target = base + 8 * TABLE;
	move(101, 1, target, 1);
}
static void move_table_near(void)
{
	target = base + 8 * TABLE;
	move(512, 512, target, 512);
}
static void move_table_far(void)
{
	target = SPACE + 2 * TOP + 5 * TABLE;
	move(512, 512, target, 512);
}
static void move_all_far(void)
{
	target = SPACE + 2 * TOP + GIB - TABLE;
	move(0, 1536, target, 1536);
}
static void move_all_askew(void)
{
	target = SPACE + 2 * TOP + 7 * PAGE;
	move(0, 1536, target, 1536);
}
static void move_and_grow(void)
{
	target = SPACE + 2 * TOP + 7 * PAGE;
	move(101, 700, target, 1400);
}
static void move_and_shrink(void)
{
	target = SPACE + 2 * TOP;
	move(101, 1200, target, 101);
}

static void shrink_in_place(void)
{
	EXPECT(mremap(base, BYTES, BYTES - 700 * PAGE, 0) == base);
	model_kind(base + BYTES - 700 * PAGE, 700 * PAGE, GONE);
}

static void grow_in_place(void)
{
	EXPECT(mremap(base, BYTES, BYTES + TABLE + PAGE, 0) == base);
	probe_set(base + BYTES, OPEN, 0);
	probe_set(base + BYTES + TABLE, OPEN, 0);
	probe_set(base + BYTES + TABLE + PAGE, GONE, 0);
}

static void grow_where_it_can(void)
{
	char *to;

	unmap(1400, 1);
	to = mremap(base, 1400 * PAGE, 1700 * PAGE, MREMAP_MAYMOVE);
	REQUIRE(to != MAP_FAILED && to != base);
	model_move(base, 1400 * PAGE, to, 1700 * PAGE);
	probe_set(to + 1699 * PAGE, OPEN, 0);
}

static void lock_some(void)
{
	EXPECT(mlock(base + 101 * PAGE, 2 * PAGE) == 0);
	EXPECT(munlock(base + 101 * PAGE, PAGE) == 0);
}

static const struct {
	const char *name;
	void (*act)(void);
} acts[] = {
#define ACT(name) { #name, name }
	ACT(drop_page), ACT(drop_first_and_last), ACT(drop_table), ACT(drop_over_tables),
	ACT(drop_all), ACT(unmap_page), ACT(unmap_table), ACT(unmap_over_tables), ACT(unmap_all),
	ACT(protect_page), ACT(protect_table), ACT(protect_over_tables), ACT(bar_page),
	ACT(bar_all), ACT(protect_there_and_back), ACT(map_over_page), ACT(map_over_table),
	ACT(map_over_tables), ACT(move_page_inside), ACT(move_page_over_page),
	ACT(move_page_near), ACT(move_table_near), ACT(move_table_far), ACT(move_all_far),
	ACT(move_all_askew), ACT(move_and_grow), ACT(move_and_shrink), ACT(shrink_in_place),
	ACT(grow_in_place), ACT(grow_where_it_can), ACT(lock_some),
};

static void (*act)(void);

static void build(void)
{
	static const size_t pages[] = { 0, 1, 2, 100, 101, 102, 255, 256, 510, 511 };

	start_afresh();
	map_at(base, BYTES, PROT_READ | PROT_WRITE);
	for (size_t t = 0; t < 3; t++)
		for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
			char *at = base + t * TABLE + pages[i] * PAGE;
			uint32_t stamp = 0x10000 + (uint32_t)(t * 512 + pages[i]);

			put_stamp(at, stamp);
			probe_set(at, OPEN, stamp);
		}
	probe_set(base - PAGE, GONE, 0);
	probe_set(base + BYTES, GONE, 0);
}

static void grandchild(void)
{
	verify("grandchild");
	scribble(0x50000);
	verify("grandchild, after its writes");
}

static void sibling(void)
{
	verify("sibling");
	scribble(0x40000);
	verify("sibling, after its writes");
}

static void acting_child(void)
{
	act();
	verify("child, after its act");
	turn_over();
	scribble(0x20000);
	verify("child, after its writes");
	kin_once(grandchild);
	verify("child, after the grandchild");
	turn_over();
	verify("child, after the parent's writes");
}

static void child_acts(void)
{
	struct kin other, child;

	build();
	other = kin_start(sibling);
	child = kin_start(acting_child);
	kin_turn(&child);
	verify("parent, after the child's act");
	kin_turn(&child);
	verify("parent, after the child's writes");
	scribble(0x30000);
	kin_turn(&child);
	kin_end(&child);
	verify("parent, after the child's end");
	scribble(0x60000);
	kin_turn(&other);
	kin_end(&other);
	verify("parent, in the end");
}

static void watching_child(void)
{
	verify("child, after the parent's act");
	turn_over();
	verify("child, after the parent's writes");
	scribble(0x20000);
	verify("child, after its writes");
}

static void parent_acts(void)
{
	struct kin other, child;

	build();
	other = kin_start(sibling);
	child = kin_start(watching_child);
	act();
	verify("parent, after its act");
	kin_turn(&child);
	scribble(0x30000);
	verify("parent, after its writes");
	kin_once(grandchild);
	verify("parent, after the second child");
	kin_turn(&child);
	kin_end(&child);
	verify("parent, after the child's end");
	scribble(0x60000);
	kin_turn(&other);
	kin_end(&other);
	verify("parent, in the end");
}

/* All acts by both, with the three tables here. What may lie outside SPACE is unmapped too. */
static void acts_at(char *place)
{
	base = place;
	for (size_t i = 0; i < sizeof(acts) / sizeof(acts[0]); i++)
		for (int who = 0; who < 2; who++) {
			int before = test_failures;

			act = acts[i].act;
			who ? parent_acts() : child_acts();
			if (test_failures != before)
				printf("# so far %s by the %s at %p\n", acts[i].name,
				       who ? "parent" : "child", (void *)place);
			for (int p = 0; p < probe_count; p++)
				if (probes[p].kind != GONE)
					munmap(probes[p].at, PAGE);
			start_afresh();
		}
}

static void in_one_gib(void)
{
	acts_at(SPACE + GIB + 10 * TABLE);
}

static void over_a_gib(void)
{
	acts_at(SPACE + 2 * GIB - TABLE);
}

static void over_512_gib(void)
{
	acts_at(SPACE + TOP - TABLE);
}

static void cases(void)
{
	RUN(in_one_gib);
	RUN(over_a_gib);
	RUN(over_512_gib);
}

int main(int argc, char **argv)
{
	return share_main(argc, argv, cases);
}
