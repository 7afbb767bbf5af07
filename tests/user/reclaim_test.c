/* SPDX-License-Identifier: MIT */
/*
 * Empty page tables, counted: five ways of emptying one (madvise, munmap, mremap, truncation, exit of a sharer), under
 * each policy of pt_reclaim, alone and shared by each setting of fork_share. After each the process, its relative and
 * the machine have exactly the tables that the policy says. reclaim_smp_test.c is the same on four CPUs.
 * tests/run: limit=120 checkmem=512M
 */
#include "tests/user/reclaim.h"

#define PAGES 8
#define FAR   (SPACE + 4 * TOP) /* as SPACE: tables of three levels that nobody else uses */

enum way { BY_MADVISE, BY_MUNMAP, BY_MREMAP, BY_TRUNCATION, BY_EXIT, WAYS };
static const char *const ways[] = { "madvise", "munmap", "mremap", "truncation", "exit" };
enum { ALONE, NONE, LEAF, ALL, SHARINGS }; /* how fork shares, after ALONE */
static const char *const sharings[] = { "alone", "none", "leaf", "all" };

/* Tables left to who emptied; of its relative, and of all, it is said below. */
static const int left_to[WAYS][POLICIES] = {
	[BY_MADVISE] = { 0, 3, 3, 3 },
	[BY_MUNMAP] = { 0, 3, 0, 0 },	  /* the last region has gone */
	[BY_MREMAP] = { 0, 0, 0, 0 },	  /* at the old place: the table itself has moved */
	[BY_TRUNCATION] = { 0, 0, 3, 3 }, /* what a file's end takes is not kept for a refill */
	[BY_EXIT] = { 0, 0, 0, 0 },	  /* dropped by one call: shared, its use is let go of */
};

static volatile long *relative_has; /* in shared memory: its tables, and whether its pages are right */
static volatile long *relative_ok;
static bool relative_reads;
static long all_base;

static void fill(void)
{
	for (int i = 0; i < PAGES; i++)
		*(volatile int *)(void *)(SPACE + (size_t)i * 60 * PAGE) = i + 1;
}

static bool filled(char *at)
{
	bool good = true;

	for (int i = 0; i < PAGES; i++)
		good &= *(volatile int *)(void *)(at + (size_t)i * 60 * PAGE) == i + 1;
	return good;
}

static void relative_body(void)
{
	*relative_has = tables();
	turn_over(); /* what looking and waiting need is there */
	*relative_has = tables();
	turn_over();
	*relative_has = tables();
	*relative_ok = !relative_reads || filled(SPACE);
}

/* Empty the table at SPACE. */
static void empty(enum way way, int fd)
{
	switch (way) {
	case BY_MADVISE: /* odd, then even */
		for (int odd = 1; odd >= 0; odd--)
			for (int i = odd; i < PAGES; i += 2)
				drop(SPACE + (size_t)i * 60 * PAGE, PAGE);
		break;
	case BY_MUNMAP:
		EXPECT(munmap(SPACE, TABLE / 2) == 0);
		EXPECT(munmap(SPACE + TABLE / 2, TABLE / 2) == 0);
		break;
	case BY_MREMAP:
		EXPECT(mremap(SPACE, TABLE, TABLE, MREMAP_MAYMOVE | MREMAP_FIXED, FAR) == FAR);
		EXPECT(filled(FAR));
		break;
	case BY_TRUNCATION: EXPECT(ftruncate(fd, 0) == 0); break;
	default: drop(SPACE, TABLE);
	}
}

/* Whoever had shared them goes; then what was kept. Nothing is left of anything. */
static void end(enum way way, struct kin *k, int sharing)
{
	if (sharing != ALONE)
		kin_end(k);
	EXPECT(madvise(SPACE, TABLE, MADV_CLEANUP_PGTABLE) == 0);
	munmap(way == BY_MREMAP ? FAR : SPACE, TABLE);
	EXPECT(madvise(FAR, TABLE, MADV_CLEANUP_PGTABLE) == 0);
	EXPECT_EQ(tables(), base);
	EXPECT_EQ(all_tables(all_base), all_base);
}

static void cell(enum way way, int policy, int sharing)
{
	int fd = memfd_create("cut", 0), before = test_failures, want = left_to[way][policy];
	struct kin k = { 0 };
	long relative;

	REQUIRE(fd >= 0 && ftruncate(fd, (off_t)TABLE) == 0);
	base = tables();
	all_base = all_tables(all_base);
	REQUIRE(mmap(SPACE, TABLE, PROT_READ | PROT_WRITE,
		     MAP_FIXED | (way == BY_TRUNCATION ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS),
		     way == BY_TRUNCATION ? fd : -1, 0) == SPACE);
	fill();
	EXPECT_EQ(tables(), base + 3);
	if (sharing != ALONE) {
		set("fork_share", sharings[sharing]);
		relative_reads = way != BY_TRUNCATION;
		k = kin_start(relative_body);
		kin_turn(&k);
		kin_turn(&k);
	}
	relative = *relative_has;
	empty(way, fd);
	if (way == BY_EXIT && sharing <= NONE)
		want = policy == ALWAYS ? 0 : 3; /* as by madvise */
	EXPECT_EQ(tables(), base + want + (way == BY_MREMAP ? 3 : 0));
	if (sharing != ALONE) {
		kin_turn(&k);
		EXPECT(*relative_ok);
		if (way != BY_TRUNCATION)
			EXPECT_EQ(*relative_has, relative);
		else if (sharing != NONE) /* then it never had any */
			EXPECT_EQ(*relative_has, relative - 3 + want);
	}
	end(way, &k, sharing);
	close(fd);
	if (test_failures != before)
		printf("# in %s, pt_reclaim=%s, shared %s\n", ways[way], policies[policy], sharings[sharing]);
}

static void matrix(void)
{
	for (int policy = 0; policy < POLICIES; policy++) {
		set("pt_reclaim", policies[policy]);
		for (int sharing = 0; sharing < SHARINGS; sharing++)
			for (int way = 0; way < WAYS; way++)
				cell((enum way)way, policy, sharing);
	}
	set("pt_reclaim", "always");
}

/* A fault that fails takes back the tables that were made for it. */
static void failed_fault(void)
{
	int fd = memfd_create("short", 0);

	REQUIRE(fd >= 0 && ftruncate(fd, (off_t)PAGE) == 0);
	REQUIRE(mmap(SPACE, TABLE, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_PRIVATE, fd, 0) == SPACE);
	for (int policy = 0; policy < POLICIES; policy++) {
		set("pt_reclaim", policies[policy]);
		base = tables();
		EXPECT_EQ(try_read(SPACE + PAGE), SIGBUS);
		EXPECT_EQ(try_write(SPACE + PAGE), SIGBUS);
		EXPECT_EQ(tables(), base);
	}
	set("pt_reclaim", "always");
	munmap(SPACE, TABLE);
	close(fd);
}

static void read_pages(void)
{
	for (int i = 0; i < PAGES; i++)
		EXPECT(*(volatile char *)(SPACE + (size_t)i * 60 * PAGE) == 0);
}

/* Tables that map only the zero page: dropped on request; by pt_reclaim_zero with the last other page. */
static void zero_pages(void)
{
	base = tables();
	map_at(SPACE, TABLE, PROT_READ | PROT_WRITE);
	read_pages();
	EXPECT_EQ(tables(), base + 3);
	drop(SPACE + 60 * PAGE, PAGE);
	EXPECT_EQ(tables(), base + 3);
	EXPECT(madvise(SPACE + TABLE / 2, PAGE, MADV_CLEANUP_PGTABLE) == 0);
	EXPECT_EQ(tables(), base);
	set("pt_reclaim_zero", "1");
	read_pages();
	put_stamp(SPACE + PAGE, 1);
	EXPECT_EQ(tables(), base + 3);
	EXPECT(madvise(SPACE, TABLE, MADV_CLEANUP_PGTABLE) == 0); /* a written page: it stays */
	EXPECT_EQ(tables(), base + 3);
	drop(SPACE + PAGE, PAGE);
	EXPECT_EQ(tables(), base);
	read_pages();
	set("pt_reclaim_zero", "0");
	munmap(SPACE, TABLE);
	EXPECT_EQ(tables(), base);
}

/* Three tables under one are emptied; two may be kept: the oldest has gone, the others serve a refill. */
static void oldest_first(void)
{
	set("pt_reclaim", "deferred");
	set("pt_reclaim_keep", "2");
	base = tables();
	map_at(SPACE, 4 * TABLE, PROT_READ | PROT_WRITE);
	for (int i = 0; i < 3; i++)
		put_stamp(SPACE + i * TABLE, 1);
	EXPECT_EQ(tables(), base + 5);
	for (int i = 0; i < 3; i++)
		drop(SPACE + i * TABLE, PAGE);
	EXPECT_EQ(tables(), base + 4);
	put_stamp(SPACE + 2 * TABLE, 2);
	EXPECT_EQ(tables(), base + 4);
	put_stamp(SPACE + TABLE, 2);
	EXPECT_EQ(tables(), base + 4);
	put_stamp(SPACE, 2);
	EXPECT_EQ(tables(), base + 5);
	drop(SPACE, 4 * TABLE);
	EXPECT_EQ(tables(), base + 4);
	put_stamp(SPACE + 3 * TABLE, 1); /* many turns later nothing is kept any more */
	for (int i = 0; i < 100; i++)
		drop(SPACE + 3 * TABLE + PAGE, PAGE);
	EXPECT_EQ(tables(), base + 3);
	drop(SPACE + 3 * TABLE, PAGE);
	EXPECT_EQ(tables(), base + 3);
	set("pt_reclaim", "always"); /* and what is kept goes with the next drop */
	drop(SPACE, PAGE);
	EXPECT_EQ(tables(), base);
	munmap(SPACE, 4 * TABLE);
	set("pt_reclaim_keep", "4");
}

static void clean_parent(void)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/cleanup_pgtables", getppid());
	EXPECT(write_text(path, "1"));
}

/* What `never` leaves, given up for all, and for one process by another. */
static void on_request(void)
{
	struct kin cleaner = kin_start(clean_parent);

	set("pt_reclaim", "never");
	base = tables();
	map_at(SPACE, 2 * TABLE, PROT_READ | PROT_WRITE);
	for (int one = 0; one < 2; one++) {
		put_stamp(SPACE, 1);
		put_stamp(SPACE + TABLE, 1);
		drop(SPACE, PAGE);
		EXPECT_EQ(tables(), base + 4);
		if (one)
			kin_turn(&cleaner);
		else
			set("cleanup_pgtables", "1");
		EXPECT_EQ(tables(), base + 3);
		EXPECT_EQ(*word(SPACE + TABLE, true), 1);
		drop(SPACE + TABLE, PAGE);
		EXPECT(madvise(SPACE, 2 * TABLE, MADV_CLEANUP_PGTABLE) == 0);
		EXPECT_EQ(tables(), base);
	}
	kin_end(&cleaner);
	munmap(SPACE, 2 * TABLE);
	set("pt_reclaim", "always");
}

int main(void)
{
	signal(SIGPIPE, SIG_IGN);
	catch_faults(0);
	if (!on_quire())
		test_skip("Quire's policies");
	relative_has = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	REQUIRE(relative_has != MAP_FAILED);
	relative_ok = relative_has + 1;
	*relative_ok = 0;
	all_base = all_tables(0);
	tables();
	RUN(matrix);
	RUN(failed_fault);
	RUN(zero_pages);
	RUN(oldest_first);
	RUN(on_request);
	return test_end();
}
