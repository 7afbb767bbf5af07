/* SPDX-License-Identifier: MIT */
/*
 * switch_test.c - policies are switched under load: while four threads fault, drop, unmap, map
 * and fork, another sets pt_reclaim, pt_reclaim_keep, fork_share and the like to whatever they
 * take. Every page holds what its owner wrote, in children too, and no table stays behind.
 *
 * Thread T owns each fourth page of the first tables, so that all meet in the same ones; behind
 * them a slot of its own, which it empties as a whole; and all read one file.
 * tests/run: smp=4 icount limit=100 append=debug_check=1
 */
#include "tests/user/reclaim.h"
#include <pthread.h>
#include <stdatomic.h>

#define THREADS 4
#define MEET 6			   /* tables that all threads use */
#define SLOT (2 * 512)		   /* pages that one has for itself */
#define OWN  (MEET * 128 + SLOT)   /* pages of a thread */
#define FILE_PAGES 300
#define ANON ((MEET * 512 + THREADS * SLOT) * PAGE)

static const struct { const char *name, *values[5]; } switches[] = {
	{ "pt_reclaim", { "always", "deferred", "on_request", "never" } },
	{ "pt_reclaim", { "always", "deferred", "on_request", "never" } },
	{ "pt_reclaim_keep", { "1", "2", "4", "32" } },
	{ "pt_reclaim_zero", { "0", "1" } },
	{ "fork_share", { "all", "leaf", "none" } },
	{ "fault_around_bytes", { "4096", "16384", "65536", "2097152" } },
	{ "anon_prefault_order", { "0", "3", "9" } },
	{ "zero_page", { "0", "1" } },
	{ "read_then_write", { "predict", "hint", "off" } },
};
#define SWITCHES (sizeof(switches) / sizeof(switches[0]))

static char *const filemap = SPACE + 2 * GIB;
static atomic_bool over;
static atomic_uint steps, forks;

static struct owner {
	char *at[OWN];
	uint32_t stamp[OWN]; /* 0: nothing written since it was empty */
	unsigned seed, next;
} owners[THREADS];

static unsigned pick(struct owner *o, unsigned n)
{
	o->seed = o->seed * 1103515245 + 12345;
	return (o->seed >> 8) % n;
}

/* Threads tell by this, as only one may expect. */
static atomic_int wrong;

static void look(const struct owner *o, unsigned i)
{
	if (*word(o->at[i], false) == o->stamp[i] && *word(o->at[i], true) == o->stamp[i])
		return;
	if (!atomic_fetch_add(&wrong, 1))
		printf("# %p holds %#x %#x, not %#x\n", (void *)o->at[i], *word(o->at[i], false),
		       *word(o->at[i], true), o->stamp[i]);
}

static void write_one(struct owner *o, unsigned i)
{
	put_stamp(o->at[i], o->stamp[i] = ++o->next);
}

static void must(bool ok)
{
	wrong += !ok;
}

/* The pages of the slot from I on, or one page where all meet, become empty in one of three ways. */
static void empty(struct owner *o, unsigned i, unsigned n)
{
	unsigned way = pick(o, 3);

	n = i < MEET * 128 ? 1 : n < OWN - i ? n : OWN - i;
	if (way == 0)
		must(!madvise(o->at[i], n * PAGE, MADV_DONTNEED));
	if (way == 1)
		must(!munmap(o->at[i], n * PAGE));
	if (way)
		must(mmap(o->at[i], n * PAGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == o->at[i]);
	memset(&o->stamp[i], 0, n * sizeof(o->stamp[0]));
}

static void fork_one(struct owner *o)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		for (unsigned i = pick(o, 8); i < OWN; i += 8)
			look(o, i);
		for (unsigned i = pick(o, 64); i < OWN; i += 64) {
			write_one(o, i);
			empty(o, pick(o, OWN), 1 + pick(o, SLOT));
		}
		for (unsigned i = 0; i < OWN; i += 4)
			look(o, i);
		fflush(stdout);
		_exit(wrong != 0);
	}
	must(pid > 0 && waitpid(pid, &status, 0) == pid && status == 0);
	forks++;
}

static void step(struct owner *o)
{
	unsigned what = pick(o, 100), i = pick(o, OWN), n = 1 + pick(o, 40);

	steps++;
	if (what < 40) {
		for (; n-- && i < OWN; i++)
			write_one(o, i);
	} else if (what < 65) {
		for (; n-- && i < OWN; i++)
			look(o, i);
	} else if (what < 85) {
		empty(o, i, n);
	} else if (what < 95) {
		empty(o, MEET * 128, SLOT);
	} else if (what < 98) {
		i = pick(o, FILE_PAGES);
		must(*word(filemap + i * PAGE, false) == i + 1);
		if (pick(o, 8) == 0)
			must(!madvise(filemap, FILE_PAGES * PAGE, MADV_DONTNEED));
	} else {
		fork_one(o);
	}
}

static void *work(void *arg)
{
	struct owner *o = arg;

	while (!over && !wrong)
		step(o);
	return NULL;
}

static void map_all(void)
{
	int fd = temp_file(FILE_PAGES * PAGE);

	for (uint32_t i = 0; i < FILE_PAGES; i++)
		REQUIRE(pwrite(fd, &(uint32_t){ i + 1 }, 4, (off_t)(i * PAGE)) == 4);
	map_at(SPACE, ANON, PROT_READ | PROT_WRITE);
	REQUIRE(mmap(filemap, FILE_PAGES * PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED, fd, 0) == filemap);
	close(fd);
	for (unsigned t = 0; t < THREADS; t++) {
		struct owner *o = &owners[t];

		for (unsigned i = 0; i < OWN; i++)
			o->at[i] = SPACE + (i < MEET * 128 ? i * THREADS + t : MEET * 512 + t * SLOT + i - MEET * 128) * PAGE;
		memset(o->stamp, 0, sizeof(o->stamp));
		o->seed = t + 1;
		o->next = t << 24;
	}
}

static unsigned switched;

static long now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Something is set every few milliseconds, for MS. */
static void load(long ms)
{
	pthread_t thread[THREADS];
	struct owner main_owner = { .seed = 99 };

	map_all();
	over = false;
	for (unsigned t = 0; t < THREADS; t++)
		REQUIRE(pthread_create(&thread[t], NULL, work, &owners[t]) == 0);
	for (long begun = now(); now() < begun + ms && !wrong; switched++) {
		unsigned s = pick(&main_owner, SWITCHES), n = 0;

		while (n < 5 && switches[s].values[n])
			n++;
		set(switches[s].name, switches[s].values[pick(&main_owner, n)]);
		if (pick(&main_owner, 16) == 0)
			set("cleanup_pgtables", "1");
		sleep_ms(1 + (long)pick(&main_owner, 8));
	}
	over = true;
	for (unsigned t = 0; t < THREADS; t++)
		pthread_join(thread[t], NULL);
	EXPECT_EQ(wrong, 0);
	for (unsigned t = 0; t < THREADS; t++)
		for (unsigned i = 0; i < OWN; i++)
			look(&owners[t], i);
	EXPECT_EQ(wrong, 0);
}

/* What is left when all is dropped but stays mapped, and when it goes. */
static void clean_up(long *dropped, long *gone)
{
	for (unsigned s = 0; s < SWITCHES; s++)
		set(switches[s].name, switches[s].values[s == 0 || s == 1 ? NEVER : 0]);
	drop(SPACE, ANON);
	drop(filemap, FILE_PAGES * PAGE);
	set("cleanup_pgtables", "1");
	*dropped = tables();
	EXPECT(munmap(SPACE, 4 * GIB) == 0);
	*gone = tables();
}

static void switched_under_load(void)
{
	long dropped, gone;
	long all, dropped_now;

	load(100);
	clean_up(&dropped, &base);
	EXPECT_EQ(dropped, base);
	all = (long)proc_value("/proc/vmstat", "nr_page_table_pages");
	load(1500);
	clean_up(&dropped_now, &gone);
	EXPECT_EQ(dropped_now, dropped);
	EXPECT_EQ(gone, base);
	EXPECT_EQ(all_tables(all), all);
	EXPECT(switched > 100 && forks > 100);
	printf("# %u times switched, %u steps, %u forks\n", switched, steps, forks);
}

int main(void)
{
	if (!on_quire())
		test_skip("Quire's policies");
	RUN(switched_under_load);
	return test_end();
}
