/* SPDX-License-Identifier: MIT */
/*
 * Maps, reads and waits for /dev/vda, beside the tools of a shell: for tests/boot/disk_map.py. The image is made
 * of words: word W of the disk is mix(W), so that every look can be checked. Prints name=value lines.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define CHECK(x) do { if (!(x)) { printf("line %d: %s (errno %d)\n", __LINE__, #x, errno); exit(1); } } while (0)
#define PAGE 4096UL

static int fd;
static volatile uint64_t *map;
static uint64_t pages;
static sigjmp_buf back;
static pthread_barrier_t barrier;

static uint64_t mix(uint64_t w) { return (w + 1) * 0x9e3779b97f4a7c15UL ^ w >> 7; }

static void on_bus(int sig, siginfo_t *info, void *context)
{
	(void)info, (void)context;
	siglongjmp(back, sig);
}

static uint64_t counter(const char *name)
{
	char line[128], key[128];
	unsigned long long value;
	FILE *f = fopen("/proc/vmstat", "r");

	CHECK(f);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "%127s %llu", key, &value) == 2 && !strcmp(key, name)) {
			fclose(f);
			return value;
		}
	CHECK(!"no such counter");
}

static uint64_t majors(void)
{
	struct rusage ru;

	getrusage(RUSAGE_SELF, &ru);
	return (uint64_t)ru.ru_majflt;
}

static void drop(void)
{
	int d = open("/proc/sys/vm/drop_caches", O_WRONLY);

	CHECK(d >= 0 && write(d, "3", 1) == 1);
	close(d);
}

static void look(uint64_t page)
{
	for (uint64_t w = page * 512; w < (page + 1) * 512; w += 73)
		CHECK(map[w] == mix(w));
}

/* One page touched: does it work? */
static int touch(uint64_t page)
{
	if (sigsetjmp(back, 1))
		return 0;
	(void)map[page * 512];
	look(page);
	return 1;
}

static void remap(void)
{
	munmap((void *)map, pages * PAGE);
	map = mmap(0, pages * PAGE, PROT_READ, MAP_SHARED, fd, 0);
	CHECK(map != MAP_FAILED);
}

/* Looks at pages [from, to), STEP being 1, or to (from, 0] backwards. Major faults of that. */
static uint64_t scan(uint64_t from, uint64_t to, int step)
{
	uint64_t before = majors();

	for (uint64_t i = from; i < to; i++)
		look(step > 0 ? i : to - 1 - (i - from));
	return majors() - before;
}

static void fresh(void)
{
	remap();
	usleep(50000);			/* nothing is in flight any more */
	drop();
}

static void linear(void)
{
	drop();				/* the boot has looked for a file system */
	printf("linear_majors=%lu\n", scan(0, pages, 1));
	remap();
	printf("again_majors=%lu\n", scan(0, pages, 1));
	drop();				/* all of it is mapped: nothing can be dropped */
	printf("mapped_majors=%lu\n", scan(0, pages, 1));
	fresh();
	printf("dropped_majors=%lu\n", scan(0, pages, 1));
	fresh();
	printf("backward_majors=%lu\n", scan(0, pages, -1));
	fresh();
	uint64_t before = majors(), counted = counter("pgmajfault");
	CHECK(madvise((void *)map, pages * PAGE, 22 /* POPULATE_READ */) == 0);
	printf("populate_majors=%lu\n", majors() - before);
	CHECK(counter("pgmajfault") - counted == majors() - before);
	CHECK(scan(0, pages, 1) == 0);
	fresh();
	scan(0, pages / 2, 1);		/* and what was read past it is wasted */
	fresh();
	printf("hit=%lu wasted=%lu ahead=%ld\n", counter("readahead_hit"), counter("readahead_wasted"),
	       (long)(counter("readahead_pages") - counter("readahead_hit") - counter("readahead_wasted")));
}

static uint64_t ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* A disk of zeroes that takes its time: 20 ms of work for each 128 KiB. By mapping, then by read. */
static void overlap(void)
{
	static char buf[128 << 10];

	for (int mapped = 1; mapped >= 0; mapped--) {
		uint64_t start, before = majors();

		fresh();
		start = ms();
		for (uint64_t p = 0; p < pages; p++) {
			if (mapped)
				CHECK(!map[p * 512]);
			else if (p % 32 == 0)
				CHECK(pread(fd, buf, sizeof(buf), (off_t)(p * PAGE)) == sizeof(buf));
			for (uint64_t until = ms() + 20; p % 32 == 31 && ms() < until;)
				;
		}
		printf("ms_%d=%lu majors_%d=%lu begun_%d=%lu\n", mapped, ms() - start, mapped, majors() - before, mapped,
		       counter("readahead_begun"));
	}
}

static void random_access(const char *how)
{
	uint64_t before, pages_before, seed = 99;

	fresh();
	if (!strcmp(how, "random"))
		CHECK(!madvise((void *)map, pages * PAGE, MADV_RANDOM));
	before = majors();
	pages_before = counter("readahead_pages");
	for (int i = 0; i < 200; i++) {
		seed = seed * 6364136223846793005UL + 1442695040888963407UL;
		look((seed >> 33) % pages);
	}
	printf("%s_majors=%lu %s_ahead=%lu\n", how, majors() - before, how, counter("readahead_pages") - pages_before);
}

static void advice(void)
{
	fresh();
	CHECK(!madvise((void *)map, pages * PAGE, MADV_SEQUENTIAL));
	printf("sequential_majors=%lu\n", scan(0, pages, 1));
	fresh();
	CHECK(!madvise((void *)map, pages * PAGE, MADV_WILLNEED));
	printf("willneed_majors=%lu\n", scan(0, pages, 1));
	CHECK(!madvise((void *)map, pages * PAGE, MADV_DONTNEED));
	printf("dontneed_majors=%lu\n", scan(0, pages, 1));
	remap();
	CHECK(!posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED));
	printf("fadvise_majors=%lu\n", scan(pages / 2, pages / 2 + 1, 1));
	CHECK(!posix_fadvise(fd, PAGE * 100, PAGE * 20, POSIX_FADV_WILLNEED) && !readahead(fd, PAGE * 120, PAGE * 20));
	printf("readahead_majors=%lu\n", scan(100, 140, 1));
	volatile uint64_t *mine = mmap(0, PAGE * 8, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, PAGE * 8);
	CHECK(mine != MAP_FAILED);
	mine[5] = 7;
	CHECK(mine[5] == 7 && mine[6] == mix(512 * 8 + 6));
	look(8);
	CHECK(mmap(0, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED && errno == EACCES);
	CHECK(lseek(fd, 0, SEEK_END) == (off_t)(pages * PAGE) && lseek(fd, 5, SEEK_HOLE) == (off_t)(pages * PAGE));
}

static void *toucher(void *arg)
{
	(void)arg;
	for (uint64_t p = 0; p < pages; p += 32) {
		pthread_barrier_wait(&barrier);
		look(p);
	}
	return 0;
}

/* Threads that touch the same uncached page at once: one read. */
static void together(void)
{
	enum { N = 6 };
	pthread_t t[N];
	uint64_t reads, wait;

	fresh();
	reads = counter("readahead_reads");
	wait = counter("readahead_waits");
	pthread_barrier_init(&barrier, 0, N);
	for (int i = 0; i < N; i++)
		CHECK(!pthread_create(&t[i], 0, toucher, 0));
	for (int i = 0; i < N; i++)
		pthread_join(t[i], 0);
	printf("together_reads=%lu together_waited=%d\n", counter("readahead_reads") - reads,
	       counter("readahead_waits") > wait);
}

/* Through the disk, by mapping and by read, again and again until all of it could be read. */
static void errors(void)
{
	static char buf[PAGE];
	struct sigaction act = { .sa_sigaction = on_bus, .sa_flags = SA_SIGINFO };
	uint64_t bus = 0, eio = 0, turns = 0, before;

	sigaction(SIGBUS, &act, 0);
	do {
		before = bus + eio;
		for (uint64_t p = 0; p < pages; p++) {
			bus += !touch(p);
			ssize_t n = pread(fd, buf, PAGE, (off_t)(p * PAGE));
			CHECK(n == (ssize_t)PAGE || (n < 0 && errno == EIO));
			eio += n < 0;
			CHECK(n < 0 || ((uint64_t *)(void *)buf)[9] == mix(p * 512 + 9));
		}
		turns++;
	} while (bus + eio > before);
	printf("turns=%lu bus=%lu eio=%lu\n", turns, bus, eio);
}

/* The whole disk, larger than memory, by mapping and by read. */
static void large(void)
{
	static uint64_t buf[8192];
	uint64_t w = 0;

	for (uint64_t p = 0; p < pages; p++)
		look(p);
	puts("mapped=ok");
	for (ssize_t n; (n = read(fd, buf, sizeof(buf))) > 0;)
		for (ssize_t i = 0; i < n / 8; i++, w++)
			CHECK(i % 73 || buf[i] == mix(w));
	CHECK(w == pages * 512);
	volatile char *anon = mmap(0, 24 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (uint64_t i = 0; i < 24 << 20; i += PAGE)
		anon[i] = 1;		/* the cache gives way */
	puts("read=ok");
}

static void set(const char *name, unsigned value)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/sys/vm/%s", name);
	FILE *f = fopen(path, "w");
	CHECK(f && fprintf(f, "%u", value) > 0 && !fclose(f));
}

static volatile int over;

static void *reader(void *arg)
{
	uint64_t seed = (uintptr_t)arg + 1;

	for (time_t end = time(0) + 4; time(0) < end;) {
		static __thread uint64_t buf[512];

		seed = seed * 6364136223846793005UL + 1442695040888963407UL;
		uint64_t p = (seed >> 33) % pages, run = seed >> 20 & 31;
		switch (seed >> 60 & 3) {
		case 0:
			CHECK(pread(fd, buf, PAGE, (off_t)(p * PAGE)) == (ssize_t)PAGE && buf[3] == mix(p * 512 + 3));
			break;
		case 1: {
			volatile uint64_t *mine = mmap(0, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, (off_t)(p * PAGE));
			CHECK(mine != MAP_FAILED);
			mine[7] = 1;
			CHECK(mine[7] == 1 && mine[8] == mix(p * 512 + 8));
			munmap((void *)mine, PAGE);
			break;
		}
		default:
			for (uint64_t i = p; i < pages && i < p + run; i++)
				look(i);
		}
	}
	return 0;
}

static void *disturber(void *arg)
{
	uint64_t seed = 5;

	(void)arg;
	while (!over) {
		seed = seed * 6364136223846793005UL + 1442695040888963407UL;
		set("readahead_kb", seed >> 40 & 1023);
		set("fault_around_bytes", 4096U << (seed >> 50 & 7));
		drop();
		char *p = mmap(0, 8 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
		CHECK(p != MAP_FAILED && !munmap(p, 8 << 20));
		usleep(5000);
	}
	return 0;
}

/* Readers of all kinds at random, while pages go and the tunables change. */
static void stress(void)
{
	pthread_t t[4], d;

	CHECK(!pthread_create(&d, 0, disturber, 0));
	for (uintptr_t i = 0; i < 4; i++)
		CHECK(!pthread_create(&t[i], 0, reader, (void *)i));
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], 0);
	over = 1;
	pthread_join(d, 0);
	printf("stress=ok\n");
}

int main(int argc, char **argv)
{
	fd = open("/dev/vda", O_RDONLY);
	CHECK(fd >= 0 && argc > 1);
	pages = (uint64_t)lseek(fd, 0, SEEK_END) / PAGE;
	lseek(fd, 0, SEEK_SET);
	map = mmap(0, pages * PAGE, PROT_READ, MAP_SHARED, fd, 0);
	CHECK(map != MAP_FAILED);
	if (!strcmp(argv[1], "linear"))
		linear();
	else if (!strcmp(argv[1], "overlap"))
		overlap();
	else if (!strcmp(argv[1], "errors"))
		errors();
	else if (!strcmp(argv[1], "large"))
		large();
	else if (!strcmp(argv[1], "stress"))
		stress();
	else if (!strcmp(argv[1], "advice"))
		advice(), random_access("plain"), random_access("random");
	else
		together();
	return 0;
}
