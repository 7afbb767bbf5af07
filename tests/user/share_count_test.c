/* SPDX-License-Identifier: MIT */
/*
 * share_count_test.c - what the kernel says of memory that relatives share: resident set,
 * size of tables and proportional set are exact at the fork and after each change; a child
 * that only reads copies nothing; forks lose no frame.
 *
 * Linux keeps resident sets by approximation and copies no tables of files, so there only
 * what it promises is asked for.
 *
 * tests/run: limit=120
 */
#include "tests/user/share.h"

#define PAGES 1500

static bool sharing, all_shared; /* the setting */
static char *const base = SPACE + GIB - TABLE;

static void know_setting(void)
{
	char *text = test_slurp("/proc/sys/vm/fork_share");

	sharing = text && strncmp(text, "none", 4);
	all_shared = text && !strncmp(text, "all", 3);
}

/* What /proc says of a process, in kB. */
struct account {
	long rss, anon, file, shmem, pte, pss;
};

static struct account account(pid_t pid)
{
	char status[64], smaps[64];
	struct account a;

	snprintf(status, sizeof(status), "/proc/%d/status", pid);
	snprintf(smaps, sizeof(smaps), "/proc/%d/smaps_rollup", pid);
	a.rss = (long)proc_value(status, "VmRSS");
	a.anon = (long)proc_value(status, "RssAnon");
	a.file = (long)proc_value(status, "RssFile");
	a.shmem = (long)proc_value(status, "RssShmem");
	a.pte = (long)proc_value(status, "VmPTE");
	a.pss = (long)proc_value(smaps, "Pss");
	return a;
}

/* Figures that must be equal; on Linux, whose counters are per task or CPU, nearly. */
#define EXPECT_KB(a, b) (on_quire() ? EXPECT_EQ(a, b) : EXPECT(labs((a) - (b)) <= 1200))

/* Pss, Rss or the like of the region at BASE, of a process. */
static long of_region(pid_t pid, const char *name)
{
	char path[64], *line;
	bool here = false;

	snprintf(path, sizeof(path), "/proc/%d/smaps", pid);
	for (line = test_slurp(path); line && *line; line += *line == '\n') {
		unsigned long from, to;
		char perms[5];

		if (sscanf(line, "%lx-%lx %4s", &from, &to, perms) == 3)
			here = from == (uintptr_t)base;
		else if (here && !strncmp(line, name, strlen(name)) && line[strlen(name)] == ':')
			return strtol(line + strlen(name) + 1, NULL, 10);
		line += strcspn(line, "\n");
	}
	return -1;
}

static void write_pages(size_t first, size_t count, uint32_t stamp)
{
	for (size_t i = first; i < first + count; i++)
		put_stamp(base + i * PAGE, stamp);
}

static void build(void)
{
	start_afresh();
	map_at(base, PAGES * PAGE, PROT_READ | PROT_WRITE);
	write_pages(0, PAGES, 1);
}

/* A child does one of these when it has the turn. */
static void idle(void)
{
}

static void changes(void)
{
	turn_over();
	EXPECT(madvise(base + 100 * PAGE, 10 * PAGE, MADV_DONTNEED) == 0);
	turn_over();
	write_pages(0, 50, 2);
	turn_over();
	EXPECT(munmap(base + 512 * PAGE, TABLE) == 0);
	turn_over();
	write_pages(0, 100, 3);
	turn_over();
	EXPECT(munmap(base, PAGES * PAGE) == 0);
	turn_over();
}

static void same_after_fork(const struct account *parent, const struct account *child)
{
	EXPECT_KB(child->anon, parent->anon);
	EXPECT_KB(child->shmem, parent->shmem);
	if (!sharing)
		return; /* a fault finds pages of files again */
	EXPECT_EQ(child->file, parent->file);
	EXPECT_EQ(child->rss, parent->rss);
	EXPECT_EQ(child->pte, parent->pte);
}

static void resident_sets(void)
{
	struct account before, parent, child, then;
	struct kin k;

	build();
	k = kin_start(changes);
	kin_turn(&k); /* all that a turn needs has been touched once */
	kin_turn(&k), kin_turn(&k), kin_turn(&k), kin_turn(&k), kin_turn(&k), kin_turn(&k);
	kin_end(&k);
	build();
	account(getpid());
	before = account(getpid());
	k = kin_start(changes);
	parent = account(getpid());
	child = account(k.pid);
	EXPECT_KB(parent.anon, before.anon);
	EXPECT_KB(parent.rss, before.rss);
	EXPECT_EQ(parent.pte, before.pte);
	same_after_fork(&parent, &child);
	kin_turn(&k);

	child = account(k.pid);
	kin_turn(&k); /* drops 10 pages */
	then = account(k.pid);
	EXPECT_KB(then.anon, child.anon - 40);
	EXPECT_EQ(then.pte, child.pte);
	EXPECT_KB(account(getpid()).anon, parent.anon);

	kin_turn(&k); /* writes 50 pages that it has */
	child = then, then = account(k.pid);
	EXPECT_KB(then.anon, child.anon);
	EXPECT_EQ(then.pte, child.pte);
	EXPECT_KB(account(getpid()).rss, parent.rss);

	kin_turn(&k); /* unmaps the pages of a table */
	child = then, then = account(k.pid);
	EXPECT_KB(then.anon, child.anon - 2048);
	EXPECT_EQ(then.pte, child.pte - 4);
	EXPECT_EQ(account(getpid()).pte, parent.pte);

	write_pages(0, PAGES, 4);
	then = account(getpid());
	EXPECT_KB(then.anon, parent.anon);
	EXPECT_EQ(then.pte, parent.pte);
	EXPECT(munmap(base + 512 * PAGE, TABLE) == 0);
	then = account(getpid());
	EXPECT_KB(then.anon, parent.anon - 2048);
	EXPECT_EQ(then.pte, parent.pte - 4);

	kin_turn(&k); /* writes 90 that it has and 10 that it had dropped */
	kin_turn(&k); /* unmaps all */
	child = account(k.pid);
	EXPECT_KB(child.anon, parent.anon - PAGES * 4);
	EXPECT(child.pte <= parent.pte - 12);
	kin_turn(&k);
	kin_end(&k);
	EXPECT_KB(account(getpid()).anon, parent.anon - 2048);
}

/* Shared and file pages are counted where they belong, for all relatives alike. */
static void kinds_of_pages(void)
{
	struct account parent, child, before;
	char *shared = SPACE, *mapped = SPACE + 64 * PAGE;
	int fd = temp_file(64 * PAGE);
	struct kin k;

	start_afresh();
	account(getpid());
	before = account(getpid());
	REQUIRE(mmap(shared, 64 * PAGE, PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == shared);
	REQUIRE(mmap(mapped, 64 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, fd, 0) ==
		mapped);
	for (size_t i = 0; i < 64; i++)
		put_stamp(shared + i * PAGE, 1);
	for (size_t i = 0; i < 16; i++)
		put_stamp(mapped + i * PAGE, 1);
	parent = account(getpid());
	EXPECT_KB(parent.shmem, before.shmem + 256);
	EXPECT_KB(parent.anon, before.anon + 64);
	k = kin_start(idle);
	child = account(k.pid);
	if (sharing)
		same_after_fork(&parent, &child);
	kin_turn(&k);
	kin_end(&k);
	EXPECT_KB(account(getpid()).shmem, parent.shmem);
	close(fd);
}

/* Pss: a page counts by its share. */
static void one_writer(void)
{
	write_pages(0, 100, 2);
	turn_over();
}

static void proportional_sets(void)
{
	const long all = PAGES * 4;
	struct kin a, b;

	build();
	EXPECT_EQ(of_region(getpid(), "Rss"), all);
	EXPECT_EQ(of_region(getpid(), "Pss"), all);
	a = kin_start(one_writer);
	EXPECT_EQ(of_region(getpid(), "Rss"), all);
	EXPECT_EQ(of_region(getpid(), "Pss"), all / 2);
	EXPECT_EQ(of_region(a.pid, "Pss"), all / 2);
	kin_turn(&a);
	EXPECT_EQ(of_region(getpid(), "Pss"), all / 2 + 200);
	EXPECT_EQ(of_region(a.pid, "Pss"), all / 2 + 200);
	EXPECT_EQ(of_region(getpid(), "Private_Dirty"), 400);
	EXPECT_EQ(of_region(a.pid, "Private_Dirty"), 400);
	b = kin_start(idle);
	EXPECT_EQ(of_region(a.pid, "Pss"), (PAGES - 100) * 4 / 3 + 400);
	EXPECT_EQ(of_region(getpid(), "Pss"), (PAGES - 100) * 4 / 3 + 200);
	EXPECT_EQ(of_region(b.pid, "Pss"), (PAGES - 100) * 4 / 3 + 200);
	kin_turn(&a);
	kin_end(&a);
	EXPECT_EQ(of_region(getpid(), "Pss"), all / 2);
	kin_turn(&b);
	kin_end(&b);
	EXPECT_EQ(of_region(getpid(), "Pss"), all);
	EXPECT_EQ(of_region(getpid(), "Private_Dirty"), all);
}

/* Tables that the machine has: a fork that shares all adds a handful at any size. */
static void tables_of_the_machine(void)
{
	long before, after, wanted = all_shared ? 8 : sharing ? 16 : 24;
	struct kin k;

	build();
	for (size_t i = 0; i < 64; i++) {
		char *at = map_at(SPACE + TOP + i * TABLE, PAGE, PROT_READ | PROT_WRITE);

		put_stamp(at, 1);
	}
	before = (long)proc_value("/proc/vmstat", "nr_page_table_pages");
	k = kin_start(idle);
	after = (long)proc_value("/proc/vmstat", "nr_page_table_pages");
	if (on_quire() && sharing)
		EXPECT(after - before <= wanted);
	if (on_quire() && !sharing)
		EXPECT(after - before >= 64);
	if (on_quire())
		printf("# a fork of %d tables adds %ld\n", 64 + 3, after - before);
	kin_turn(&k);
	kin_end(&k);
	if (on_quire())
		EXPECT_EQ(proc_value("/proc/vmstat", "nr_page_table_pages"), before);
}

/* A child that reads everything, written or not, copies no page and no table. */
static void reading_child(void)
{
	static const char path[] = "/proc/self/counters";
	static const char *const names[] = { "pt_unshared", "pt_reowned", "pt_alloc",
					     "page_copied", "fault_cow" };
	static long before[5], sum;

	for (int pass = 0; pass < 2; pass++) /* the first pass owns what counting needs */
		for (int i = 0; i < 5; i++)
			before[i] = (long)proc_value(path, names[i]);
	for (size_t i = 0; i < PAGES; i++)
		sum += *word(base + i * PAGE, true);
	for (int i = 0; i < 5; i++)
		EXPECT_EQ(proc_value(path, names[i]), before[i]);
	EXPECT_EQ(sum, PAGES);
}

static void readers_copy_nothing(void)
{
	if (!on_quire() || !sharing)
		return;
	build();
	kin_once(reading_child);
	kin_once(reading_child);
}

/* A thousand forks whose children write, drop and unmap: every frame comes back. */
static void short_child(int i)
{
	size_t n = (size_t)i % 700;

	if (i % 5 != 4)
		write_pages(n, 3, 9);
	if (i % 3 == 0)
		madvise(base + n * PAGE, 600 * PAGE, MADV_DONTNEED);
	if (i % 4 == 0)
		munmap(base + (n + 5) * PAGE, PAGE);
	if (i % 7 == 0)
		mremap(base, 10 * PAGE, 10 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, SPACE + 2 * TOP);
	if (i % 6 == 0 && fork() == 0)
		write_pages(n + 20, 2, 8);
	_exit(0);
}

static void forks(int count)
{
	for (int i = 0; i < count; i++) {
		int status;
		pid_t pid = fork();

		REQUIRE(pid >= 0);
		if (pid == 0)
			short_child(i);
		if (i % 10 == 0)
			write_pages((size_t)i, 1, 1);
		EXPECT(waitpid(pid, &status, 0) == pid && status == 0);
	}
}

/* Free pages when orphans have ended. */
static long free_pages(void)
{
	long last = -1, now = 0;

	for (int i = 0; i < 50 && now != last; i++) {
		last = now;
		sleep_ms(10);
		now = (long)proc_value("/proc/vmstat", "nr_free_pages");
	}
	return now;
}

static void a_thousand_forks(void)
{
	struct account before, after;
	long free_before, tables;

	build();
	forks(100);
	write_pages(0, PAGES, 1);
	free_before = free_pages();
	tables = (long)proc_value("/proc/vmstat", "nr_page_table_pages");
	before = account(getpid());
	forks(1000);
	write_pages(0, PAGES, 1);
	after = account(getpid());
	EXPECT_EQ(after.pte, before.pte);
	EXPECT_KB(after.anon, before.anon);
	if (on_quire()) {
		long free_after = free_pages();

		if (free_after < free_before)
			printf("# %ld pages free, then %ld\n", free_before, free_after);
		EXPECT(free_after >= free_before - 4 * sysconf(_SC_NPROCESSORS_ONLN)); /* the kernel's own caches */
		EXPECT_EQ(proc_value("/proc/vmstat", "nr_page_table_pages"), tables);
	}
}

static void cases(void)
{
	know_setting();
	RUN(resident_sets);
	RUN(kinds_of_pages);
	RUN(proportional_sets);
	RUN(tables_of_the_machine);
	RUN(readers_copy_nothing);
	RUN(a_thousand_forks);
	start_afresh();
}

int main(int argc, char **argv)
{
	return share_main(argc, argv, cases);
}
