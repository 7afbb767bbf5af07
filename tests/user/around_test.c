/* SPDX-License-Identifier: MIT */
/*
 * around_test.c - data is right under every window, pattern and policy: threads map, read and
 * verify files by random access, while tunables change, a writer writes, and another file is
 * cut and grown. Faults are what arithmetic says for private, shared and executable mappings.
 *
 * tests/run: smp=4 limit=100
 */
#include <pthread.h>
#include "tests/user/test.h"

#define PAGES	512UL
#define FILES	3
#define THREADS 4

static int fds[FILES];
static volatile int stop;
static int rounds = 8;

/* A word says which file and page it is of, and carries a version that only grows. */
static uint64_t word(unsigned file, size_t page, uint64_t version)
{
	return ((uint64_t)(file + 1) << 56) | (page << 32) | version;
}

static uint64_t rnd(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1dULL >> 11;
}

static void tune(const char *name, const char *value)
{
	char path[80];
	int fd;

	snprintf(path, sizeof(path), "/proc/sys/vm/%s", name);
	fd = open(path, O_WRONLY);
	if (fd < 0)
		return;
	EXPECT(write(fd, value, strlen(value)) == (ssize_t)strlen(value));
	close(fd);
}

static void tune_number(const char *name, unsigned long value)
{
	char text[24];

	snprintf(text, sizeof(text), "%lu", value);
	tune(name, text);
}

static void defaults(void)
{
	tune("fault_around_bytes", "65536");
	tune("fault_around_adapt", "1");
	tune("fault_around_young", "1");
	tune("anon_prefault_order", "0");
	tune("read_then_write", "predict");
}

static long minor_faults(void)
{
	struct rusage ru;

	getrusage(RUSAGE_SELF, &ru);
	return ru.ru_minflt;
}

static void fill(unsigned file)
{
	for (size_t p = 0; p < PAGES; p++) {
		uint64_t w = word(file, p, 0);

		REQUIRE(pwrite(fds[file], &w, 8, (off_t)(p * PAGE)) == 8);
	}
}

/* Threads must not use expectations: they count what is wrong. */
static volatile int wrong;

static void *reader(void *arg)
{
	uint64_t seed = (uintptr_t)arg * 77 + 5;

	for (int round = 0; round < rounds; round++) {
		unsigned file = (unsigned)(rnd(&seed) % (FILES - 1));
		int shared = rnd(&seed) & 1, writable = rnd(&seed) & 1;
		size_t first = rnd(&seed) % (PAGES / 2), n = 1 + rnd(&seed) % (PAGES - first);
		char *at = mmap(NULL, n * PAGE, PROT_READ | (writable ? PROT_WRITE : 0),
				(shared ? MAP_SHARED : MAP_PRIVATE) | (rnd(&seed) % 8 ? 0 : MAP_POPULATE),
				fds[file], (off_t)(first * PAGE));

		if (at == MAP_FAILED) {
			wrong++;
			continue;
		}
		if (rnd(&seed) % 4 == 0)
			madvise(at, n * PAGE, rnd(&seed) & 1 ? MADV_RANDOM : MADV_SEQUENTIAL);
		for (size_t i = 0, linear = rnd(&seed) & 1; i < n; i++) {
			size_t p = linear ? i : rnd(&seed) % n;
			volatile uint64_t *w = (volatile uint64_t *)(at + p * PAGE);

			wrong += *w >> 32 != word(file, first + p, 0) >> 32;
			if (writable && !shared && rnd(&seed) % 16 == 0) {
				*w = word(file, first + p, 1 << 30);	/* nobody else may see it */
				wrong += *w != word(file, first + p, 1 << 30);
			}
		}
		munmap(at, n * PAGE);
	}
	return NULL;
}

static void *writer(void *arg)
{
	uint64_t seed = 9, version = 1;
	(void)arg;

	while (!stop) {
		unsigned file = (unsigned)(rnd(&seed) % (FILES - 1));
		size_t p = rnd(&seed) % PAGES;
		uint64_t w = word(file, p, version++), found;

		wrong += pwrite(fds[file], &w, 8, (off_t)(p * PAGE)) != 8;
		/* a private write of a reader must not show here */
		p = rnd(&seed) % PAGES;
		wrong += pread(fds[file], &found, 8, (off_t)(p * PAGE)) != 8 || (found & (1 << 30));
	}
	return NULL;
}

/* The last file is cut and grown; below its least size it is always there, and zero or as written. */
static void *cutter(void *arg)
{
	uint64_t seed = 3;
	(void)arg;

	while (!stop) {
		wrong += ftruncate(fds[FILES - 1], (off_t)((PAGES / 4 + rnd(&seed) % (PAGES / 2)) * PAGE)) != 0;
		usleep(500);
	}
	return NULL;
}

static void *cut_reader(void *arg)
{
	uint64_t seed = 11;
	(void)arg;

	while (!stop) {
		char *at = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE,
				rnd(&seed) & 1 ? MAP_SHARED : MAP_PRIVATE, fds[FILES - 1], 0);

		for (size_t i = 0; i < 200 && at != MAP_FAILED; i++) {
			size_t p = rnd(&seed) % (PAGES / 4);
			uint64_t w = *(volatile uint64_t *)(at + p * PAGE);

			wrong += w != word(FILES - 1, p, 0);
		}
		if (at == MAP_FAILED)
			wrong++;
		else
			munmap(at, PAGES * PAGE);
	}
	return NULL;
}

static void *tuner(void *arg)
{
	static const char *const words[] = { "predict", "hint", "off" };
	uint64_t seed = 21;
	(void)arg;

	while (!stop) {
		tune_number("fault_around_bytes", 4096UL << rnd(&seed) % 10);
		tune_number("fault_around_adapt", rnd(&seed) & 1);
		tune_number("fault_around_young", rnd(&seed) & 1);
		tune_number("anon_prefault_order", rnd(&seed) % 10);
		tune("read_then_write", words[rnd(&seed) % 3]);
		usleep(300);
	}
	return NULL;
}

static void files_under_all_policies(void)
{
	pthread_t readers[THREADS], others[4];
	void *(*const run[])(void *) = { writer, cutter, cut_reader, tuner };

	for (unsigned i = 0; i < FILES; i++)
		fill(i);
	for (unsigned i = 0; i < 4; i++)
		REQUIRE(pthread_create(&others[i], NULL, run[i], NULL) == 0);
	for (unsigned i = 0; i < THREADS; i++)
		REQUIRE(pthread_create(&readers[i], NULL, reader, (void *)(uintptr_t)(i + 1)) == 0);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(readers[i], NULL);
	stop = 1;
	for (unsigned i = 0; i < 4; i++)
		pthread_join(others[i], NULL);
	EXPECT_EQ(wrong, 0);
	defaults();
}

/* Past the end of a file that was cut: SIGBUS, for private copies too, whatever was given ahead. */
static void nothing_past_the_end(void)
{
	for (int shared = 0; shared < 2; shared++) {
		char *at = mmap(NULL, 64 * PAGE, PROT_READ | PROT_WRITE,
				shared ? MAP_SHARED : MAP_PRIVATE, fds[0], 0);

		REQUIRE(at != MAP_FAILED);
		EXPECT(ftruncate(fds[0], 40 * PAGE) == 0);
		EXPECT_EQ(try_read(at + 38 * PAGE), 0);
		EXPECT_EQ(try_write(at + 39 * PAGE), 0);
		EXPECT_EQ(try_read(at + 40 * PAGE), SIGBUS);
		EXPECT(ftruncate(fds[0], 20 * PAGE) == 0);
		EXPECT_EQ(try_read(at + 39 * PAGE), SIGBUS);
		EXPECT_EQ(try_write(at + 38 * PAGE), SIGBUS);
		EXPECT_EQ(try_read(at + 19 * PAGE), 0);
		munmap(at, 64 * PAGE);
		EXPECT(ftruncate(fds[0], PAGES * PAGE) == 0);
		fill(0);
	}
}

static void faults_by_arithmetic(void)
{
	static const int prots[] = { PROT_READ, PROT_READ, PROT_READ | PROT_EXEC };
	static const int kinds[] = { MAP_PRIVATE, MAP_SHARED, MAP_PRIVATE };

	if (!on_quire())
		return;
	tune("fault_around_adapt", "0");
	for (unsigned k = 0; k < 3; k++)
		for (unsigned long bytes = 4096; bytes <= 2 * MIB; bytes *= 4) {
			char *at = mmap((void *)(0x500000000UL + (k << 30)), PAGES * PAGE, prots[k],
					kinds[k] | MAP_FIXED, fds[1], 0);
			long before;

			REQUIRE(at != MAP_FAILED);
			tune_number("fault_around_bytes", bytes);
			before = minor_faults();
			for (size_t p = 0; p < PAGES; p++)
				*(volatile char *)(at + p * PAGE);
			EXPECT_EQ(minor_faults() - before, PAGES * PAGE / (bytes > 2 * MIB ? 2 * MIB : bytes));
			munmap(at, PAGES * PAGE);
		}
	defaults();
}

/* Where windows adapt, one touch per 2 MiB is given next to nothing, at any number of touches; reading on and on soon
 * takes one fault per table. */
static void adapts_by_counts(void)
{
	static const int prots[] = { PROT_READ, PROT_READ, PROT_READ | PROT_EXEC };
	static const int kinds[] = { MAP_PRIVATE, MAP_SHARED, MAP_PRIVATE };
	size_t tables = 32, linear = 4 * 2 * MIB;
	int fd = temp_file((off_t)(tables * 2 * MIB));

	if (!on_quire())
		return;
	for (size_t at = 0; at < tables * 2 * MIB; at += at % (2 * MIB) == 15 * PAGE && at > linear ? 2 * MIB - 15 * PAGE : PAGE)
		REQUIRE(pwrite(fd, "x", 1, (off_t)at) == 1);
	for (unsigned k = 0; k < 3; k++) {
		for (size_t n = 2; n <= tables; n *= 2) {
			char *at = mmap((void *)0x500000000UL, n * 2 * MIB, prots[k], kinds[k] | MAP_FIXED, fd, 0);
			long long given = proc_value("/proc/vmstat", "around_mapped");
			long before = minor_faults();

			REQUIRE(at != MAP_FAILED);
			for (size_t i = 0; i < n; i++)
				EXPECT_EQ(*(volatile char *)(at + i * 2 * MIB), 'x');
			EXPECT_EQ(minor_faults() - before, n);
			EXPECT(proc_value("/proc/vmstat", "around_mapped") - given < (long long)n);
			munmap(at, n * 2 * MIB);
		}
		char *at = mmap((void *)0x500000000UL, linear, prots[k], kinds[k] | MAP_FIXED, fd, 0);
		long before = minor_faults();

		REQUIRE(at != MAP_FAILED);
		for (size_t i = 0; i < linear; i += PAGE)
			EXPECT_EQ(*(volatile char *)(at + i), 'x');
		EXPECT(minor_faults() - before <= (long)(linear / (2 * MIB)) + 5);
		munmap(at, linear);
	}
	close(fd);
}

/* Bad values are refused, and change nothing. */
static void bad_windows(void)
{
	static const char *const bad[] = { "0", "4095", "2097153", "-1", "x", "" };
	int fd = open("/proc/sys/vm/fault_around_bytes", O_RDWR);
	char text[24] = "";

	if (fd < 0)
		return;
	for (size_t i = 0; i < 5; i++)
		EXPECT_ERRNO(write(fd, bad[i], strlen(bad[i])), EINVAL);
	EXPECT(write(fd, "70000", 5) == 5);
	EXPECT(pread(fd, text, sizeof(text) - 1, 0) > 0);
	EXPECT_EQ(atol(text), 65536);
	close(fd);
}

int main(void)
{
	catch_faults(0);
	for (unsigned i = 0; i < FILES; i++)
		fds[i] = temp_file(PAGES * PAGE);
	if (proc_value("/proc/tunables", "debug_check") > 0 && sysconf(_SC_NPROCESSORS_ONLN) > 1)
		rounds = 1;	/* each step is checked at length, and the CPUs wait for each other */
	fill(1);
	RUN(faults_by_arithmetic);
	RUN(adapts_by_counts);
	RUN(files_under_all_policies);
	RUN(nothing_past_the_end);
	RUN(bad_windows);
	return test_end();
}
