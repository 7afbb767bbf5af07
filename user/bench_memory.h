/* SPDX-License-Identifier: MIT */
/*
 * bench_memory.h - the part of bench.c that times calls and faults of anonymous memory.
 *
 * Included by bench.c alone, after the functions that it uses.
 */
#ifndef USER_BENCH_MEMORY_H
#define USER_BENCH_MEMORY_H

static inline long null_call(void)
{
	long result;

	__asm__ volatile("syscall" : "=a"(result) : "a"(110L) : "rcx", "r11", "memory");
	return result;
}

#define NULL_CALLS 10000

static uint64_t null_syscall(const struct section *s)
{
	uint64_t start, ticks;

	check(null_call() == getppid(), "%s: getppid is wrong", s->name);
	start = cycles();
	for (int i = 0; i < NULL_CALLS; i++)
		null_call();
	ticks = cycles() - start;
	start = cycles();
	for (int i = 0; i < NULL_CALLS; i++)
		__asm__ volatile("" : : "a"(110L) : "rcx", "r11", "memory");
	return net(ticks, cycles() - start);
}

/* Write to the pages of a region, EACH of which must fault, then unmap it; ticks of the faults. */
static uint64_t write_faults(const struct section *s, char *at, bool each)
{
	uint64_t before = faults(), ticks = write_pages(at, REGION, 1);

	if (each)
		expect_faults(s->name, before, REGION_PAGES);
	ticks = net(ticks, write_pages(at, REGION, 1));
	munmap(at, REGION);
	return ticks;
}

static uint64_t anon_write_fault(const struct section *s)
{
	return write_faults(s, map_anon(REGION, 2 * MIB), true);
}

static uint64_t zero_read_fault(const struct section *s)
{
	char *at = map_anon(REGION, 2 * MIB);
	uint64_t before = faults(), ticks = read_pages(at, REGION);

	check(!sink, "%s: fresh memory is not zero", s->name);
	expect_faults(s->name, before, REGION_PAGES);
	ticks = net(ticks, read_pages(at, REGION));
	munmap(at, REGION);
	return ticks;
}

static uint64_t write_after_zero_read(const struct section *s)
{
	char *at = map_anon(REGION, 2 * MIB);

	read_pages(at, REGION);
	return write_faults(s, at, tunable("zero_page", 1));
}

static uint64_t populate_write_page(const struct section *s)
{
	char *at = map_anon(REGION, 2 * MIB);
	uint64_t before, ticks = cycles();
	int failed = madvise(at, REGION, MADV_POPULATE_WRITE);

	ticks = cycles() - ticks;
	before = faults();
	if (!failed)
		write_pages(at, REGION, 1);
	check(failed || faults() - before < 8, "%s: writes fault after populating", s->name);
	munmap(at, REGION);
	return failed ? SKIP : ticks;
}

static uint64_t munmap_page(const struct section *s)
{
	char *at = map_anon(REGION, 2 * MIB);
	unsigned char resident;
	uint64_t ticks;

	write_pages(at, REGION, 1);
	ticks = cycles();
	munmap(at, REGION);
	ticks = cycles() - ticks;
	check(mincore(at, PAGE, &resident) && errno == ENOMEM, "%s: still mapped", s->name);
	return ticks;
}

static uint64_t mprotect_page(const struct section *s)
{
	char *at = map_anon(REGION, 2 * MIB);
	uint64_t before, ticks;

	write_pages(at, REGION, 1);
	ticks = cycles();
	if (mprotect(at, REGION, PROT_READ))
		die(errno, "%s", s->name);
	ticks = cycles() - ticks;
	before = faults();
	read_pages(at, REGION);
	check(faults() - before < 8 && sink == REGION_PAGES, "%s: contents or pages are lost",
	      s->name);
	munmap(at, REGION);
	return ticks;
}

#define MAPS 200

/* mmap and munmap of 128 KiB, touching the first page of each for TOUCH. */
static uint64_t map_unmap(const struct section *s)
{
	uint64_t before = faults(), ticks = cycles();

	for (int i = 0; i < MAPS; i++) {
		char *at = mmap(NULL, 128 * KIB, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (at == MAP_FAILED)
			die(errno, "%s", s->name);
		if (s->arg == TOUCH)
			poke(at, 1);
		munmap(at, 128 * KIB);
	}
	ticks = cycles() - ticks;
	expect_faults(s->name, before, s->arg == TOUCH ? MAPS : 0);
	return ticks;
}

static const struct section memory_sections[] = {
	ROW("null_syscall", null_syscall, NULL_CALLS, 0, 0),
	ROW("anon_write_fault", anon_write_fault, REGION_PAGES, REGION, 0),
	ROW("zero_read_fault", zero_read_fault, REGION_PAGES, MIB, 0),
	ROW("write_after_zero_read", write_after_zero_read, REGION_PAGES, REGION, 0),
	ROW("populate_write_page", populate_write_page, REGION_PAGES, REGION, 0),
	ROW("munmap_page", munmap_page, REGION_PAGES, REGION, 0),
	ROW("mprotect_page", mprotect_page, REGION_PAGES, REGION, 0),
	ROW("mmap_munmap_128k", map_unmap, MAPS, 0, 0),
	ROW("mmap_touch_munmap_128k", map_unmap, MAPS, MIB, TOUCH),
};

#endif
