/* SPDX-License-Identifier: MIT */
/* Tests of mm/report.c: sums equal a recount, entry by entry; the texts say what the tables hold. */
#include <stdio.h>
#include <stdlib.h>
#include "kit.h"

#define AREA 0x40000000UL

static char buf[65536];

static struct text new_text(void)
{
	memset(buf, 0, sizeof(buf));
	return (struct text){ .buf = buf, .size = sizeof(buf) };
}

static void want_text(const char *what)
{
	if (!strstr(buf, what))
		fail_msg("no \"%s\" in:\n%s", what, buf);
}

/* A space with something of everything: 5 private pages, 3 of a file, 2 of shared memory, 1 zero page. */
static struct space *furnish(struct kit_file *f)
{
	struct space *s = kit_space();
	vaddr_t va = kit_anon(s, AREA, 512, RW);

	tune.fault_around_bytes = 4096;
	for (u64 p = 0; p < 5; p++)
		kit_store(s, va + PAGES(100 * p), p);
	kit_load(s, va + PAGES(7));
	kit_map_file(s, f, AREA + GiB(1), 2, 6, R_READ | R_EXEC);
	for (u64 p = 0; p < 3; p++)
		kit_load(s, AREA + GiB(1) + PAGES(p));
	kit_anon(s, AREA + GiB(600), 4, RW | R_SHARED);
	kit_store(s, AREA + GiB(600), 1);
	kit_store(s, AREA + GiB(600) + PAGES(3), 1);
	assert_int_equal(vm_map_stack(s, USER_END - MiB(1), PAGES(3)), 0);
	return s;
}

static void finish(struct space *s, struct kit_file *f)
{
	kit_space_end(s);
	kit_file_close(f);
	tune.fault_around_bytes = 65536;
}

static void sums(void **state)
{
	struct kit_file *f = kit_file(8, false);
	struct space *s = furnish(f);
	struct space_usage u = kit_usage(s);
	struct kit_count c = kit_recount(s);

	(void)state;
	vm_lock(s, AREA, PAGES(2), true);
	u = kit_usage(s);
	c = kit_recount(s);
	assert_int_equal(u.anon, 6);			/* one more by mlock */
	assert_int_equal(u.file, 3);
	assert_int_equal(u.shmem, 2);
	assert_int_equal(c.n[PTE_CLASS_ZERO], 1);
	assert_int_equal(u.tables, 1 + 3 + 2 + 3);
	assert_int_equal(u.anon, c.n[PTE_CLASS_ANON]);
	assert_int_equal(u.file, c.n[PTE_CLASS_FILE]);
	assert_int_equal(u.shmem, c.n[PTE_CLASS_SHMEM]);
	assert_int_equal(u.tables, c.n[PTE_CLASS_NONE]);
	assert_int_equal(u.size, 512 + 6 + 4 + 3);
	assert_int_equal(u.stack, 3);
	assert_int_equal(u.exec, 6);
	assert_int_equal(u.data, 512);
	assert_int_equal(u.locked, 2);
	finish(s, f);
}

/* Random work, and after each piece the sums equal the recount, for parent and child. */
static void sums_follow(void **state)
{
	struct space *s = kit_space(), *child = NULL;
	u64 seed = 9;

	(void)state;
	kit_anon(s, AREA, 2000, RW);
	for (unsigned turn = 0; turn < 1000; turn++) {
		u64 p = fake_random(&seed) % 2000, n = 1 + fake_random(&seed) % 50;
		struct space *who = child && turn & 1 ? child : s;
		u64 v;

		fake_cpu_set(who == child);
		switch (fake_random(&seed) % 8) {
		case 0: vm_advise(who, AREA + PAGES(p), PAGES(n), MADV_DONTNEED); break;
		case 1: vm_protect(who, AREA + PAGES(p), PAGES(n), turn & 2 ? RW : R_READ); break;
		case 2: fake_load(who, AREA + PAGES(p), &v); break;
		case 3:
			if (child && turn % 20 == 0)
				kit_space_end(child), child = NULL, who = s;
			else if (!child)
				child = space_fork(s);
			break;
		default: fake_store(who, AREA + PAGES(p), turn);
		}
		struct space_usage u = kit_usage(who);
		struct kit_count c = kit_recount(who);
		assert_int_equal(u.anon, c.n[PTE_CLASS_ANON]);
		assert_int_equal(u.tables, c.n[PTE_CLASS_NONE]);
		assert_int_equal(u.file + u.shmem, 0);
	}
	if (child)
		kit_space_end(child);
	kit_space_end(s);
}

/* The highest sizes of the past, exactly, whichever way pages came and went; not looked for where it cannot matter. */
static void peaks(void **state)
{
	struct space *s = kit_space(), *child;
	vaddr_t va = kit_anon(s, AREA, 2048, RW);

	(void)state;
	for (u64 p = 0; p < 40; p++)
		kit_store(s, va + PAGES(13 * p), p);
	assert_int_equal(kit_usage(s).peak_rss, 40);
	vm_advise(s, va, PAGES(13 * 10), MADV_DONTNEED);
	assert_int_equal(kit_usage(s).peak_rss, 40);
	assert_int_equal(kit_usage(s).anon, 30);
	for (u64 p = 0; p < 100; p++) {			/* never more than 35 */
		kit_store(s, va + PAGES(1024 + p % 5), p);
		if (p % 5 == 4)
			vm_advise(s, va + PAGES(1024), PAGES(5), MADV_DONTNEED);
	}
	assert_int_equal(kit_usage(s).peak_rss, 40);
	kit_load(s, va + PAGES(1500));			/* the zero page is none */
	for (u64 p = 0; p < 11; p++)
		kit_store(s, va + PAGES(1024 + p), p);
	child = space_fork(s);
	vm_unmap(s, va, PAGES(2048));
	assert_int_equal(kit_usage(s).anon, 0);
	assert_int_equal(kit_usage(s).peak_rss, 41);
	assert_int_equal(kit_usage(s).peak_size, 2048);
	assert_int_equal(kit_usage(s).size, 0);
	vm_advise(child, va + PAGES(1024), PAGES(1), MADV_DONTNEED);
	assert_int_equal(kit_usage(child).anon, 40);
	assert_int_equal(kit_usage(child).peak_rss, 41);
	kit_space_end(child);
	kit_space_end(s);
}

static void maps(void **state)
{
	struct kit_file *f = kit_file(8, false);
	struct space *s = furnish(f);
	struct text t = new_text();
	size_t whole;

	(void)state;
	report_maps(s, &t);
	want_text("40000000-40200000 rw-p 00000000 00:00 0 \n");
	want_text("80000000-80006000 r-xp 00002000 00:07 42 ");
	want_text(" /kit/file\n");
	want_text("rw-s 00000000 ");
	want_text("[stack]\n");
	whole = t.len;
	t.size = 10;				/* too small: counts on, writes no further */
	t.len = 0;
	memset(buf, 'x', sizeof(buf));
	report_maps(s, &t);
	assert_int_equal(t.len, whole);
	assert_int_equal(buf[10], 'x');
	finish(s, f);
}

static u64 number_after(const char *name)
{
	const char *at = strstr(buf, name);

	if (!at)
		fail_msg("no %s in:\n%s", name, buf);
	return strtoull(at + strlen(name), NULL, 10);
}

static void smaps(void **state)
{
	struct kit_file *f = kit_file(8, false);
	struct space *s = furnish(f), *child;
	struct text t = new_text();

	(void)state;
	report_smaps(s, &t, false);
	assert_int_equal(number_after("Size:"), 2048);		/* of the first region */
	assert_int_equal(number_after("Rss:"), 20);
	assert_int_equal(number_after("Pss:"), 20);
	assert_int_equal(number_after("Private_Dirty:"), 20);
	assert_int_equal(number_after("Anonymous:"), 20);
	t = new_text();
	static struct frame *taken[1 << 15];
	u64 n = 0, i;
	while ((taken[n] = frame_alloc(FRAME_KERNEL)))		/* no two free frames side by side */
		n++;
	for (i = 0; i < n; i++)
		if (frame_number(taken[i]) % 2)
			frame_put(taken[i]);
	report_smaps(s, &t, true);
	assert_int_equal(number_after("Rss:"), (5 + 3 + 2) * 4);
	for (i = 0; i < n; i++)
		if (!(frame_number(taken[i]) % 2))
			frame_put(taken[i]);
	child = space_fork(s);
	t = new_text();
	report_smaps(s, &t, true);
	assert_int_equal(number_after("Rss:"), (5 + 3 + 2) * 4);
	/* a child that uses its parent's tables maps the pages of files too; a classic one does not yet */
	assert_int_equal(number_after("Pss:"), kit_fork_share == FORK_SHARE_NONE ? 5 * 2 + (3 + 2) * 4 : (5 + 3 + 2) * 2);
	assert_int_equal(number_after("Shared_Dirty:"), kit_fork_share == FORK_SHARE_NONE ? 20 : 20 + 8);
	kit_space_end(child);
	finish(s, f);
}

static void tables_and_walks(void **state)
{
	struct kit_file *f = kit_file(8, false);
	struct space *s = furnish(f);
	struct text t = new_text();
	char line[200];

	(void)state;
	report_pagetable(s, &t);
	want_text("L4 0x000000000000-0x800000000000 live=2 use=1 own frame=0x");
	want_text("\n      L1 0x000040000000-0x000040200000 live=6 use=1 own frame=0x");
	want_text(" anon=5 file=0 shmem=0 zero=1\n");
	want_text(" anon=0 file=3 shmem=0 zero=0\n");
	want_text(" anon=0 file=0 shmem=2 zero=0\n");
	t = new_text();
	report_ptwalk(s, AREA + PAGES(100), &t);
	snprintf(line, sizeof(line), "L4[%u] ", pt_index(AREA, 4));
	want_text(line);
	snprintf(line, sizeof(line), "L1[100] 0x%lx page frame=0x%lx anon refs=1 P W U A D NX\n", AREA + PAGES(100),
		 frame_number(fake_look(s, AREA + PAGES(100)).frame));
	want_text(line);
	t = new_text();
	report_ptwalk(s, AREA + PAGES(101), &t);
	want_text("empty\n");
	t = new_text();
	report_ptwalk(s, GiB(400), &t);
	want_text("empty\n");
	t = new_text();
	report_ptwalk(s, ~0UL, &t);
	want_text("not a user address");
	finish(s, f);
}

static void pagemap(void **state)
{
	struct kit_file *f = kit_file(8, false);
	struct space *s = furnish(f);
	u64 word[512];

	(void)state;
	report_pagemap(s, AREA, 512, word);
	for (u64 p = 0; p < 512; p++) {
		bool there = p == 7 || (p % 100 == 0 && p < 500);

		assert_int_equal(word[p] >> 63, there);
		if (there)
			assert_int_equal(word[p] & ((1UL << 55) - 1), frame_number(fake_look(s, AREA + PAGES(p)).frame));
		else
			assert_int_equal(word[p], 0);
	}
	report_pagemap(s, AREA + GiB(1), 1, word);
	assert_int_equal(word[0] >> 61 & 1, 1);			/* file or shared */
	report_pagemap(s, USER_END - PAGES(1), 2, word);
	assert_int_equal(word[0] | word[1], 0);
	finish(s, f);
}

static void whole_machine(void **state)
{
	struct memory_usage before, now;
	struct kit_file *f = kit_file(8, false);
	struct space *s;

	(void)state;
	memory_usage(&before);
	s = furnish(f);
	memory_usage(&now);
	assert_int_equal(now.anon - before.anon, 5);
	assert_int_equal(now.file - before.file, 3);
	assert_int_equal(now.shmem - before.shmem, 2);
	assert_int_equal(now.tables - before.tables, 9);
	assert_int_equal(now.total, before.total);
	assert_int_equal(now.free + now.anon + now.file + now.shmem + now.tables + now.slab + now.kernel, now.total);
	finish(s, f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		KIT_TEST(sums), KIT_TEST(sums_follow), KIT_TEST(peaks), KIT_TEST(maps), KIT_TEST(smaps), KIT_TEST(tables_and_walks),
		KIT_TEST(pagemap), KIT_TEST(whole_machine),
	};

	return KIT_RUN_EACH_FORK(tests);
}
