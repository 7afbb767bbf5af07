/* SPDX-License-Identifier: MIT */
/*
 * bench_around.h - the part of bench.c that times faults on files, and what is given ahead of a fault.
 *
 * Included by bench.c alone, after the functions that it uses.
 */
#ifndef USER_BENCH_AROUND_H
#define USER_BENCH_AROUND_H

enum { WINDOW_64K, WINDOW_OFF, SPARSE, LINEAR };

/* Set a tunable of Quire to a number or a word; nothing happens elsewhere. */
static void set_tunable(const char *name, const char *value)
{
	char path[96];
	int fd;

	snprintf(path, sizeof(path), "/proc/sys/vm/%s", name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	if (write(fd, value, strlen(value)) < 0)
		die(errno, "%s=%s", name, value);
	close(fd);
}

/* A file of REGION bytes in /tmp, whose pages start with the low byte of their number plus 1. */
static int pattern_file(void)
{
	static const char path[] = "/tmp/bench.tmp";
	static char page[PAGE];
	static int fd = -1;

	if (fd >= 0)
		return fd;
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		die(errno, "%s", path);
	unlink(path);
	for (size_t p = 0; p < REGION_PAGES; p++) {
		page[0] = (char)(p + 1);
		if (write(fd, page, PAGE) != (ssize_t)PAGE)
			die(errno, "%s", path);
	}
	return fd;
}

static char *map_file(int prot)
{
	char *at = mmap(NULL, REGION, prot, MAP_PRIVATE, pattern_file(), 0);

	if (at == MAP_FAILED)
		die(errno, "mmap of a file");
	return at;
}

static uint64_t file_read_page(const struct section *s)
{
	char *at = map_file(PROT_READ);
	uint64_t before, ticks, moved;

	set_tunable("fault_around_adapt", "0");
	set_tunable("fault_around_bytes", s->arg == WINDOW_OFF ? "4096" : "65536");
	before = faults();
	ticks = read_pages(at, REGION);
	moved = faults() - before;
	set_tunable("fault_around_adapt", "1");
	set_tunable("fault_around_bytes", "65536");
	check(moved >= REGION / (2 * MIB) && moved <= REGION_PAGES + 8,
	      "%s: %llu faults for %llu pages", s->name, (unsigned long long)moved,
	      (unsigned long long)REGION_PAGES);
	ticks = net(ticks, read_pages(at, REGION));
	for (size_t p = 0; p < REGION_PAGES; p++)
		check(peek(at + p * PAGE) == (uint8_t)(p + 1), "%s: page %zu is wrong", s->name, p);
	munmap(at, REGION);
	return ticks;
}

static uint64_t private_file_write_fault(const struct section *s)
{
	char *at = map_file(PROT_READ | PROT_WRITE), byte;
	uint64_t before = faults(), ticks = write_pages(at, REGION, 0);

	expect_faults(s->name, before, REGION_PAGES);
	ticks = net(ticks, write_pages(at, REGION, 0));
	for (size_t p = 0; p < REGION_PAGES; p += 61)
		check(pread(pattern_file(), &byte, 1, (off_t)(p * PAGE)) == 1 &&
			      byte == (char)(p + 1),
		      "%s: a private write reached the file", s->name);
	munmap(at, REGION);
	return ticks;
}

/* The ticks of reading every step-th byte of a mapping, without those of the loop. */
static uint64_t first_read(char *at, size_t bytes, size_t step)
{
	uint64_t ticks[2], sum = 0;

	for (int again = 0; again < 2; again++) {
		ticks[again] = cycles();
		for (char *p = at; p < at + bytes; p += step)
			sum += peek(p);
		ticks[again] = cycles() - ticks[again];
	}
	check(sum == 2 * (bytes / step) * 'x', "what was read of a file is wrong");
	return net(ticks[0], ticks[1]);
}

/* What the first reading of a file costs where windows adapt over what it costs with the best fixed one, per cent: a page
 * per 2 MiB over no window, all pages over 2 MiB. */
static uint64_t adapted_over_best(const struct section *s)
{
	uint64_t best[2] = { UINT64_MAX, UINT64_MAX }; /* fixed, adapted */
	int fd = open("/tmp/adapted.tmp", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	unlink("/tmp/adapted.tmp");
	for (size_t at = 0; at < s->memory; at += PAGE)
		check(pwrite(fd, "x", 1, (off_t)at) == 1, "%s: the file is not written", s->name);
	for (int turn = 0; turn < 4; turn++) {
		char *at = mmap(NULL, s->memory, PROT_READ, MAP_PRIVATE, fd, 0);
		bool adapts = turn & 1;
		uint64_t ticks;

		if (at == MAP_FAILED)
			die(errno, "mmap of a file");
		set_tunable("fault_around_adapt", adapts ? "1" : "0");
		set_tunable("fault_around_bytes", adapts ? "65536" : s->arg == SPARSE ? "4096" : "2097152");
		ticks = first_read(at, s->memory, s->arg == SPARSE ? 2 * MIB : PAGE);
		best[adapts] = ticks < best[adapts] ? ticks : best[adapts];
		munmap(at, s->memory);
	}
	set_tunable("fault_around_bytes", "65536");
	close(fd);
	return (best[1] * 1000 / best[0] + 5) / 10;
}

/* A linear run of writes, up to 16 pages a fault. */
static uint64_t anon_write_run(const struct section *s)
{
	char *at = map_anon(REGION, 2 * MIB);
	uint64_t before = faults(), ticks;

	set_tunable("anon_prefault_order", "4");
	ticks = write_pages(at, REGION, 1);
	check(faults() - before <= REGION_PAGES + 8, "%s: too many faults", s->name);
	ticks = net(ticks, write_pages(at, REGION, 1));
	set_tunable("anon_prefault_order", "0");
	munmap(at, REGION);
	return ticks;
}

/* Each page is read, then written, before the next. */
static uint64_t read_then_write_page(const struct section *s)
{
	char *at = map_anon(REGION, 2 * MIB);
	uint64_t ticks[2];

	for (int again = 0; again < 2; again++) {	/* the second time: the loop alone */
		ticks[again] = cycles();
		for (char *p = at; p < at + REGION; p += PAGE) {
			check(peek(p) == again, "%s: memory is not as it was", s->name);
			poke(p, 1);
		}
		ticks[again] = cycles() - ticks[again];
	}
	munmap(at, REGION);
	return net(ticks[0], ticks[1]);
}

static const struct section around_sections[] = {
	ROW("file_read_page", file_read_page, REGION_PAGES, REGION, 0),
	ROW("file_fault_window_off", file_read_page, REGION_PAGES, REGION, WINDOW_OFF),
	ROW("around_sparse_16_percent", adapted_over_best, 0, 32 * MIB, SPARSE),
	ROW("around_sparse_128_percent", adapted_over_best, 0, 256 * MIB, SPARSE),
	ROW("around_linear_percent", adapted_over_best, 0, 32 * MIB, LINEAR),
	ROW("anon_write_run", anon_write_run, REGION_PAGES, REGION, 0),
	ROW("read_then_write_page", read_then_write_page, REGION_PAGES, REGION, 0),
	ROW("private_file_write_fault", private_file_write_fault, REGION_PAGES, 2 * REGION, 0),
};

#endif
