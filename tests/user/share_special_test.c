/* SPDX-License-Identifier: MIT */
/*
 * share_special_test.c - regions that fork treats specially (DONTFORK, WIPEONFORK) beside
 * ordinary ones, in one table and in tables of their own, after one fork and after many.
 *
 * tests/run: limit=90
 */
#include "tests/user/share.h"

#define STRIP 8 /* pages of one kind */

static char *base;
static size_t strip; /* bytes of one kind */

/* Five strips: plain, DONTFORK, plain, WIPEONFORK, plain. Pages probed: ends and middle. */
static char *part(int i)
{
	return base + (size_t)i * strip;
}

static void build(void)
{
	start_afresh();
	map_at(base, 5 * strip, PROT_READ | PROT_WRITE);
	for (int i = 0; i < 5; i++) {
		char *const at[] = { part(i), part(i) + strip / 2, part(i + 1) - PAGE };

		for (int n = 0; n < 3; n++) {
			put_stamp(at[n], 0x100 + (uint32_t)(i * 3 + n));
			probe_set(at[n], OPEN, 0x100 + (uint32_t)(i * 3 + n));
		}
	}
}

static void special(void)
{
	EXPECT(madvise(part(1), strip, MADV_DONTFORK) == 0);
	EXPECT(madvise(part(3), strip, MADV_WIPEONFORK) == 0);
}

/* What a child of a process with special strips sees. */
static void forked(void)
{
	model_kind(part(1), strip, GONE);
	model_zero(part(3), strip);
}

static void fourth_generation(void)
{
	forked();
	verify("great-grandchild");
	scribble(0x800);
	verify("great-grandchild, after its writes");
}

static void grandchild(void)
{
	forked();
	verify("grandchild");
	scribble(0x700);
	kin_once(fourth_generation);
	verify("grandchild, after its child");
}

static void child(void)
{
	forked();
	verify("child");
	turn_over();
	verify("child, after the parent's writes");
	scribble(0x600);
	verify("child, after its writes");
	kin_once(grandchild);
	verify("child, after the grandchild");
	map_at(part(1), strip, PROT_READ | PROT_WRITE);
	model_fresh(part(1), strip);
	verify("child, strip mapped anew");
	scribble(0x900);
	turn_over();
	verify("child, in the end");
}

static void both_kinds(void)
{
	struct kin k;

	build();
	special();
	k = kin_start(child);
	kin_turn(&k);
	verify("parent");
	scribble(0x200);
	verify("parent, after its writes");
	kin_turn(&k);
	verify("parent, after the child's writes");
	scribble(0x300);
	kin_turn(&k);
	kin_end(&k);
	verify("parent, after the child's end");
	scribble(0x400);
}

/* Where the strips lie: in one table; each one table; over the borders of upper tables. */
static void in_one_table(void)
{
	base = SPACE + GIB + TABLE + 3 * PAGE, strip = STRIP * PAGE;
	both_kinds();
}

static void of_whole_tables(void)
{
	base = SPACE + GIB + TABLE, strip = TABLE;
	both_kinds();
}

static void across_tables(void)
{
	base = SPACE + 2 * GIB - 4 * TABLE + 5 * PAGE, strip = 2 * TABLE - 3 * PAGE;
	both_kinds();
}

static void of_whole_gib(void)
{
	base = SPACE + 2 * GIB, strip = GIB;
	both_kinds();
}

static void across_512_gib(void)
{
	base = SPACE + TOP - 3 * GIB - 2 * TABLE, strip = GIB + TABLE + PAGE;
	both_kinds();
}

/* Advice given only after a child shares the tables: that child keeps what it has. */
static void early_child(void)
{
	verify("early child");
	scribble(0x500);
	verify("early child, after its writes");
	turn_over();
	verify("early child, in the end");
}

static void late_child(void)
{
	forked();
	verify("late child");
	scribble(0x600);
	verify("late child, after its writes");
}

static void plain_child(void)
{
	verify("plain child");
	scribble(0x700);
	verify("plain child, after its writes");
}

static void after_a_fork(void)
{
	struct kin early, last;

	build();
	early = kin_start(early_child);
	special();
	verify("parent");
	kin_once(late_child);
	verify("parent, after the late child");
	kin_turn(&early);
	verify("parent, after the early child's writes");
	kin_once(late_child);
	EXPECT(madvise(part(1), strip, MADV_DOFORK) == 0);
	EXPECT(madvise(part(3), strip, MADV_KEEPONFORK) == 0);
	kin_once(plain_child);
	last = kin_start(plain_child);
	scribble(0x800);
	kin_turn(&last);
	kin_end(&last);
	verify("parent, advice taken back");
	kin_turn(&early);
	kin_end(&early);
	verify("parent, in the end");
}

/* The child's advice is the child's alone. */
static void advising_child(void)
{
	special();
	verify("advising child");
	kin_once(late_child);
	verify("advising child, after its child");
	turn_over();
	verify("advising child, in the end");
}

static void of_the_child(void)
{
	struct kin k;

	build();
	k = kin_start(advising_child);
	kin_turn(&k);
	kin_once(plain_child);
	verify("parent");
	scribble(0x300);
	kin_turn(&k);
	kin_end(&k);
	verify("parent, in the end");
}

/* Fork upon fork, advice changing in between, older children staying. */
static void waiting_child(void)
{
	verify("waiting child");
	scribble(0x2000);
	verify("waiting child, after its writes");
}

static void waiting_special_child(void)
{
	forked();
	waiting_child();
}

static void many_forks(void)
{
	struct kin kin[12];

	build();
	for (int i = 0; i < 12; i++) {
		if (i % 3 == 0) {
			special();
		} else if (i % 3 == 2) {
			EXPECT(madvise(part(1), strip, MADV_DOFORK) == 0);
			EXPECT(madvise(part(3), strip, MADV_KEEPONFORK) == 0);
		}
		kin[i] = kin_start(i % 3 == 2 ? waiting_child : waiting_special_child);
		verify("parent of many");
		if (i % 2)
			scribble(0x1000 + 0x100 * (uint32_t)i);
	}
	for (int i = 0; i < 12; i += 2) {
		kin_turn(&kin[i]);
		kin_end(&kin[i]);
	}
	for (int i = 11; i > 0; i -= 2) {
		kin_turn(&kin[i]);
		kin_end(&kin[i]);
	}
	verify("parent of many, in the end");
}

static void timing_one_table(void)
{
	base = SPACE + GIB + TABLE + 3 * PAGE, strip = STRIP * PAGE;
	after_a_fork();
	of_the_child();
	many_forks();
}

static void timing_many_tables(void)
{
	base = SPACE + TOP - TABLE - 3 * PAGE, strip = TABLE;
	after_a_fork();
	of_the_child();
	many_forks();
}

/* Changes within a special region, by relatives that have it differently. */
static void wiped_child(void)
{
	forked();
	verify("wiped child");
	EXPECT(madvise(part(3), PAGE, MADV_DONTNEED) == 0);
	EXPECT(munmap(part(3) + strip / 2, PAGE) == 0);
	model_kind(part(3) + strip / 2, PAGE, GONE);
	EXPECT(mprotect(part(4), PAGE, PROT_READ) == 0);
	model_kind(part(4), PAGE, READONLY);
	verify("wiped child, changed");
	kin_once(late_child);
}

static void changed_inside(void)
{
	base = SPACE + TABLE, strip = STRIP * PAGE;
	build();
	special();
	kin_once(wiped_child);
	verify("parent");
	EXPECT(munmap(part(1) + strip / 2, PAGE) == 0);
	model_kind(part(1) + strip / 2, PAGE, GONE);
	kin_once(late_child);
	verify("parent, holes in a region");
}

/* WIPEONFORK is for private memory without a file; a shared one is shared though advised. */
static void refused(void)
{
	char *shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	REQUIRE(shared != MAP_FAILED);
	EXPECT_ERRNO(madvise(shared, PAGE, MADV_WIPEONFORK), EINVAL);
	EXPECT(madvise(shared, PAGE, MADV_DONTFORK) == 0);
	base = shared;
	start_afresh();
	put_stamp(shared, 1);
	probe_set(shared, OPEN, 1);
	strip = 0;
	fflush(stdout);
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(try_read(shared) != SIGSEGV);
	EXPECT(waitpid(pid, &status, 0) == pid && status == 0);
	verify("parent");
	munmap(shared, PAGE);
}

static void cases(void)
{
	RUN(in_one_table);
	RUN(of_whole_tables);
	RUN(across_tables);
	RUN(of_whole_gib);
	RUN(across_512_gib);
	RUN(timing_one_table);
	RUN(timing_many_tables);
	RUN(changed_inside);
	RUN(refused);
	start_afresh();
}

int main(int argc, char **argv)
{
	return share_main(argc, argv, cases);
}
