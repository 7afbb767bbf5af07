/* SPDX-License-Identifier: MIT */
/*
 * share_file_test.c - mappings of files, private and shared, beside ordinary memory in
 * tables that relatives share: who sees whose writes, and what truncation and holes in the
 * file do to each of them.
 */
#include "tests/user/share.h"

#define PAGES 4 /* of each kind of memory */

/* In one leaf table: private memory, shared memory, the file privately, the file shared. */
enum { PRIVATE, SHARED, COPY, FILE_SHARED, KINDS };

static int file = -1;

static char *page(int kind, int i)
{
	return SPACE + (size_t)(kind * PAGES + i) * PAGE;
}

static uint32_t initial(int kind, int i)
{
	return kind == PRIVATE ? 0x100 + (uint32_t)i : kind == SHARED ? 0x200 + (uint32_t)i :
								      0x300 + (uint32_t)i;
}

static void map_file(int kind, int flags)
{
	REQUIRE(mmap(page(kind, 0), PAGES * PAGE, PROT_READ | PROT_WRITE, flags | MAP_FIXED, file,
		     0) == page(kind, 0));
}

/* A file whose pages are stamped, mapped both ways beside memory. TOUCH: all pages present. */
static void build(bool touch)
{
	static char block[PAGE];

	start_afresh();
	if (file >= 0)
		close(file);
	file = temp_file(0);
	for (int i = 0; i < PAGES; i++) {
		put_stamp(block, 0x300 + (uint32_t)i);
		REQUIRE(pwrite(file, block, PAGE, (off_t)((size_t)i * PAGE)) == (ssize_t)PAGE);
	}
	map_at(SPACE, PAGES * PAGE, PROT_READ | PROT_WRITE);
	REQUIRE(mmap(page(SHARED, 0), PAGES * PAGE, PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == page(SHARED, 0));
	map_file(COPY, MAP_PRIVATE);
	map_file(FILE_SHARED, MAP_SHARED);
	for (int kind = 0; kind < KINDS; kind++)
		for (int i = 0; i < PAGES; i++) {
			if (touch && kind < COPY)
				put_stamp(page(kind, i), initial(kind, i));
			probe_set(page(kind, i), OPEN, kind >= COPY || touch ? initial(kind, i) : 0);
		}
	if (touch)
		verify("builder");
}

/* All of a kind are to hold this stamp. */
static void expect(int kind, uint32_t stamp)
{
	for (int i = 0; i < PAGES; i++)
		probe_set(page(kind, i), OPEN, stamp);
}

static void write_kind(int kind, uint32_t stamp)
{
	for (int i = 0; i < PAGES; i++)
		put_stamp(page(kind, i), stamp);
	expect(kind, stamp);
}

static void write_kinds(uint32_t stamp)
{
	for (int kind = 0; kind < KINDS; kind++)
		write_kind(kind, stamp + (uint32_t)kind);
}

static void expect_shared(uint32_t stamp)
{
	expect(SHARED, stamp + SHARED);
	expect(FILE_SHARED, stamp + FILE_SHARED);
}

/* A private page of a file that nobody has written shows the file. */
static void expect_clean_copy(uint32_t stamp)
{
	expect(COPY, stamp + FILE_SHARED);
}

static void grandchild(void)
{
	verify("grandchild");
	write_kinds(0x3000);
	verify("grandchild, after its writes");
}

static void child(void)
{
	write_kinds(0x1000);
	verify("child");
	turn_over();
	expect_shared(0x2000);
	verify("child, after the parent's writes");
	kin_once(grandchild);
	expect_shared(0x3000);
	verify("child, after the grandchild's writes");
}

static void sibling(void)
{
	expect_shared(0x3000);
	expect_clean_copy(0x3000);
	verify("sibling");
}

static void kinds_side_by_side(bool touch)
{
	struct kin first, other;
	char block[PAGE];

	build(touch);
	first = kin_start(child);
	other = kin_start(sibling);
	kin_turn(&first);
	expect_shared(0x1000);
	expect_clean_copy(0x1000);
	verify("parent, after the child's writes");
	EXPECT(pread(file, block, PAGE, PAGE) == (ssize_t)PAGE);
	EXPECT_EQ(*word(block, true), 0x1000 + FILE_SHARED);
	write_kinds(0x2000);
	verify("parent");
	kin_turn(&first);
	kin_end(&first);
	expect_shared(0x3000);
	verify("parent, after the grandchild's writes");
	kin_turn(&other);
	kin_end(&other);
	verify("parent, in the end");
}

static void touched_before(void)
{
	kinds_side_by_side(true);
}

static void touched_after(void)
{
	kinds_side_by_side(false);
}

/* Truncation by one relative, seen by all; private copies go with the file's pages. */
static void expect_cut(void)
{
	for (int kind = COPY; kind < KINDS; kind++)
		for (int i = 2; i < PAGES; i++)
			probe_set(page(kind, i), CUT, 0);
}

static void expect_grown(void)
{
	for (int kind = COPY; kind < KINDS; kind++)
		for (int i = 2; i < PAGES; i++)
			probe_set(page(kind, i), OPEN, 0);
}

static void truncater(void)
{
	put_stamp(page(COPY, 1), 0x111);
	put_stamp(page(COPY, 3), 0x333);
	probe_set(page(COPY, 1), OPEN, 0x111);
	probe_set(page(COPY, 3), OPEN, 0x333);
	verify("truncater");
	turn_over();
	EXPECT(ftruncate(file, 2 * PAGE) == 0);
	expect_cut();
	verify("truncater, after");
	turn_over();
	expect_grown();
	verify("truncater, file grown");
}

static void watcher(void)
{
	verify("watcher");
	turn_over();
	expect_cut();
	verify("watcher, file cut");
	turn_over();
	expect_grown();
	verify("watcher, file grown");
	put_stamp(page(COPY, 2), 0x222);
	probe_set(page(COPY, 2), OPEN, 0x222);
	verify("watcher, after a write");
}

static void truncation(void)
{
	struct kin a, b, c;

	build(true);
	put_stamp(page(COPY, 2), 0x2222);
	probe_set(page(COPY, 2), OPEN, 0x2222);
	a = kin_start(watcher);
	b = kin_start(truncater);
	c = kin_start(watcher);
	kin_turn(&a), kin_turn(&b), kin_turn(&c);
	kin_turn(&b);
	expect_cut();
	verify("parent, file cut");
	kin_turn(&a), kin_turn(&c);
	EXPECT(ftruncate(file, PAGES * PAGE) == 0);
	expect_grown();
	verify("parent, file grown");
	kin_turn(&a), kin_turn(&b), kin_turn(&c);
	kin_end(&a), kin_end(&b), kin_end(&c);
	verify("parent, in the end");
}

/* A tail cut off is zero in the file and in clean private pages, not in written copies. */
static void tail_watcher(void)
{
	EXPECT_EQ(*word(page(FILE_SHARED, 1), false), 0x301);
	EXPECT_EQ(*word(page(FILE_SHARED, 1), true), 0);
	EXPECT_EQ(*word(page(COPY, 1), true), 0);
	EXPECT_EQ(try_read(page(FILE_SHARED, 2)), SIGBUS);
}

static void truncated_tail(void)
{
	struct kin k;

	build(true);
	k = kin_start(tail_watcher);
	put_stamp(page(COPY, 1), 0x999);
	EXPECT(ftruncate(file, PAGE + 100) == 0);
	EXPECT_EQ(*word(page(COPY, 1), true), 0x999);
	EXPECT_EQ(*word(page(FILE_SHARED, 1), true), 0);
	kin_turn(&k);
	kin_end(&k);
}

/* A hole punched: the file reads zero, written private copies stay. */
static void hole_watcher(void)
{
	verify("watcher");
	turn_over();
	probe_set(page(FILE_SHARED, 1), OPEN, 0);
	probe_set(page(COPY, 1), OPEN, 0);
	verify("watcher, hole punched");
}

static void hole_punched(void)
{
	struct kin k;

	build(true);
	k = kin_start(hole_watcher);
	kin_turn(&k);
	put_stamp(page(COPY, 1), 0x999);
	probe_set(page(COPY, 1), OPEN, 0x999);
	if (fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, PAGE, PAGE)) {
		printf("# no holes in files of /tmp: %s\n", strerror(errno));
		REQUIRE(errno == EOPNOTSUPP && !on_quire());
		start_afresh();
		exit(test_end());
	}
	probe_set(page(FILE_SHARED, 1), OPEN, 0);
	verify("parent");
	kin_turn(&k);
	kin_end(&k);
	verify("parent, in the end");
}

/* write(2) to the file shows in everybody's shared mapping and clean private pages. */
static void write_watcher(void)
{
	probe_set(page(FILE_SHARED, 0), OPEN, 0x4444);
	probe_set(page(COPY, 0), OPEN, 0x4444);
	verify("watcher");
}

static void file_written(void)
{
	struct kin k;
	char block[PAGE];

	build(true);
	k = kin_start(write_watcher);
	put_stamp(block, 0x4444);
	EXPECT(pwrite(file, block, PAGE, 0) == (ssize_t)PAGE);
	kin_turn(&k);
	kin_end(&k);
	write_watcher();
}

/* One drops, protects or unmaps its mapping of the file: nothing is lost for the others. */
static void dropper(void)
{
	EXPECT(madvise(page(COPY, 0), 2 * PAGES * PAGE, MADV_DONTNEED) == 0);
	for (int i = 0; i < PAGES; i++)
		probe_set(page(COPY, i), OPEN, i == 3 ? 0x888 : 0x300 + (uint32_t)i);
	verify("dropper");
	EXPECT(mprotect(page(FILE_SHARED, 0), PAGE, PROT_READ) == 0);
	EXPECT(mprotect(page(SHARED, 2), PAGE, PROT_NONE) == 0);
	EXPECT(munmap(page(FILE_SHARED, 2), PAGE) == 0);
	EXPECT(madvise(page(SHARED, 0), PAGE, MADV_DONTNEED) == 0);
	probe_set(page(FILE_SHARED, 0), READONLY, 0x300);
	probe_set(page(SHARED, 2), BARRED, 0);
	probe_set(page(FILE_SHARED, 2), GONE, 0);
	verify("dropper, after all");
	turn_over();
	probe_set(page(FILE_SHARED, 0), READONLY, 0x555);
	probe_set(page(COPY, 0), OPEN, 0x555); /* clean: it shows the file */
	verify("dropper, in the end");
}

static void dropped_by_one(void)
{
	struct kin k;

	build(true);
	put_stamp(page(COPY, 1), 0x777);
	probe_set(page(COPY, 1), OPEN, 0x777);
	put_stamp(page(FILE_SHARED, 3), 0x888);
	probe_set(page(FILE_SHARED, 3), OPEN, 0x888);
	probe_set(page(COPY, 3), OPEN, 0x888);
	k = kin_start(dropper);
	kin_turn(&k);
	verify("parent");
	put_stamp(page(FILE_SHARED, 0), 0x555);
	probe_set(page(FILE_SHARED, 0), OPEN, 0x555);
	probe_set(page(COPY, 0), OPEN, 0x555);
	verify("parent, after a write");
	EXPECT(munmap(page(COPY, 0), PAGE) == 0);
	probe_set(page(COPY, 0), GONE, 0);
	EXPECT_EQ(*word(page(FILE_SHARED, 0), true), 0x555);
	kin_turn(&k);
	kin_end(&k);
	verify("parent, in the end");
}

static void cases(void)
{
	RUN(touched_before);
	RUN(touched_after);
	RUN(truncation);
	RUN(truncated_tail);
	RUN(file_written);
	RUN(dropped_by_one);
	RUN(hole_punched);
	start_afresh();
}

int main(int argc, char **argv)
{
	return share_main(argc, argv, cases);
}
