/* SPDX-License-Identifier: MIT */
/* Tests of mm/readahead.c: what is read together, what is begun before it is asked for, and what fails meanwhile. */
#include "kit.h"

/* The first word of page INDEX, or 0 if it is not cached. */
static u64 look(struct kit_file *file, u64 index)
{
	struct frame *f = pcache_find(&file->cache, index);
	u64 word = f ? *(u64 *)frame_ptr(f) : 0;

	if (f)
		frame_put(f);
	return word;
}

static void answer_all(void)
{
	while (kit_answer())
		;
}

/* Page INDEX is asked for, as FLAGS say. Pages that this brings in, once the disk has answered. */
static u64 brought(struct kit_file *file, u64 index, u32 flags)
{
	u64 before = file->cache.nr_pages;
	struct frame *f;

	assert_int_equal(pcache_get_as(&file->cache, index, flags, &f), 0);
	assert_int_equal(*(u64 *)frame_ptr(f), kit_file_word(index, 0));
	frame_put(f);
	answer_all();
	return file->cache.nr_pages - before;
}

static void reading_ahead(void **state)
{
	struct kit_file *file = kit_disk_file(5000);

	(void)state;
	tune.readahead_kb = 128;
	assert_int_equal(brought(file, 0, 0), 32);	/* a file's beginning begins a stream */
	assert_int_equal(file->reads, 1);
	for (u64 p = 1; p < 128; p++)			/* its middle starts the next run, and so does that one's first page */
		assert_int_equal(brought(file, p, 0), p == 16 || !(p % 32) ? 32 : 0);
	assert_int_equal(brought(file, 500, 0), 1);	/* a page out of the blue */
	assert_int_equal(brought(file, 501, 0), 4);	/* its neighbour: perhaps a stream */
	assert_int_equal(brought(file, 505, 0), 10);
	assert_int_equal(brought(file, 128, 0), 32);	/* the other stream goes on */
	assert_int_equal(brought(file, 510, 0), 30);
	assert_int_equal(brought(file, 511, 0), 0);
	assert_int_equal(brought(file, 515, 0), 32);
	assert_int_equal(brought(file, 250, R_RANDOM), 1);
	assert_int_equal(brought(file, 1000, R_SEQUENTIAL), 64);
	assert_int_equal(brought(file, 1040, R_RANDOM), 0);
	assert_int_equal(brought(file, 1032, R_SEQUENTIAL), 64);
	assert_int_equal(brought(file, 4990, R_SEQUENTIAL), 10);	/* up to the end */
	assert_int_equal(brought(file, 4995, 0), 0);
	tune.readahead_kb = 0;
	assert_int_equal(brought(file, 1128, 0), 1);
	tune.readahead_kb = 2048;
	u64 reads = file->reads;
	assert_int_equal(brought(file, 2000, R_SEQUENTIAL), 1024);
	assert_int_equal(file->reads - reads, 1024 / PCACHE_READ_MAX);
	pcache_willneed(&file->cache, 0, 10000);
	assert_int_equal(file->cache.nr_pages, 5000);
	assert_int_equal(file->pages_read, 5000);
	kit_file_close(file);
}

static void backwards(void **state)
{
	struct kit_file *file = kit_disk_file(5000);

	(void)state;
	tune.readahead_kb = 128;
	assert_int_equal(brought(file, 4999, 0), 1);
	assert_int_equal(brought(file, 4998, 0), 1);	/* perhaps by chance */
	assert_int_equal(brought(file, 4997, 0), 4);
	assert_int_equal(brought(file, 4993, 0), 12);
	for (u64 p = 4981; p >= 100; p -= 32)
		assert_int_equal(brought(file, p, 0), 32);
	assert_int_equal(brought(file, 60, R_RANDOM), 1);
	assert_int_equal(brought(file, 59, R_RANDOM), 1);
	assert_int_equal(brought(file, 58, R_RANDOM), 1);
	assert_int_equal(brought(file, 57, 0), 6);
	assert_int_equal(brought(file, 36, 0), 1);
	assert_int_equal(brought(file, 51, 0), 15);	/* down to what is there */
	assert_int_equal(brought(file, 4, 0), 1);
	assert_int_equal(brought(file, 3, 0), 1);
	assert_int_equal(brought(file, 2, 0), 3);	/* down to the beginning */
	kit_file_close(file);
}

/* What read-ahead brought is asked for, wasted, or still there. */
static void check_ahead(struct kit_file *file, u64 pages, u64 hit, u64 wasted)
{
	assert_int_equal(counter_sum(C_readahead_pages) - pages,
			 counter_sum(C_readahead_hit) - hit + counter_sum(C_readahead_wasted) - wasted + file->cache.nr_ahead);
}

static void ahead_in_flight(void **state)
{
	u64 pages = counter_sum(C_readahead_pages), hit = counter_sum(C_readahead_hit), wasted = counter_sum(C_readahead_wasted);
	struct kit_file *file = kit_disk_file(5000);
	struct space *s = kit_space();
	vaddr_t va = kit_map_file(s, file, 0x40000000, 0, 5000, R_READ);
	struct frame *f;

	(void)state;
	tune.readahead_kb = 128;
	tune.fault_around_adapt = 0;
	want_load(s, va, kit_file_word(0, 0));
	assert_int_equal(file->cache.nr_ahead, 16);		/* the others have been mapped */
	assert_int_equal(file->reads, 1);
	assert_int_equal(moved(readahead_begun, want_load(s, va + PAGES(16), kit_file_word(16, 0))), 1);
	assert_int_equal(file->cache.nr_pages, 32);		/* the next ones are being read */
	assert_int_equal(file->refs, 3);
	assert_int_equal(look(file, 32), 0);
	/* Who wants one waits, and has the next ones read before. */
	assert_int_equal(moved(readahead_begun, assert_int_equal(pcache_get(&file->cache, 40, &f), 0)), 1);
	frame_put(f);
	assert_int_equal(file->reads, 2);
	assert_int_equal(file->cache.nr_pages, 64);
	pcache_settle();
	assert_int_equal(file->refs, 2);
	assert_int_equal(file->cache.nr_pages, 96);
	assert_int_equal(file->pages_read, 96);
	check_ahead(file, pages, hit, wasted);
	/* They go while others come. */
	assert_int_equal(brought(file, 32, 0), 0);		/* who waited has begun it: mark taken */
	assert_int_equal(pcache_get(&file->cache, 64, &f), 0);
	frame_put(f);
	assert_true(moved(readahead_wasted, pcache_drop(&file->cache, 0, 5000)) >= 31);
	assert_int_equal(file->cache.nr_ahead, 0);
	assert_int_equal(file->cache.nr_pages, 32);		/* those mapped */
	answer_all();
	assert_int_equal(file->cache.nr_pages, 64);
	assert_int_equal(look(file, 100), kit_file_word(100, 0));
	check_ahead(file, pages, hit, wasted);
	tune.fault_around_adapt = 1;
	vm_unmap(s, 0, USER_END);
	kit_space_end(s);
	pcache_resize(&file->cache, 0);
	check_ahead(file, pages, hit, wasted);
	kit_file_close(file);
}

static void ahead_fails(void **state)
{
	struct kit_file *file = kit_disk_file(5000);
	struct frame *f;

	(void)state;
	tune.readahead_kb = 128;
	assert_int_equal(brought(file, 0, 0), 32);
	file->bad_page = 40;
	assert_int_equal(moved(readahead_errors, assert_int_equal(brought(file, 16, 0), 0)), 1);
	assert_int_equal(look(file, 32), 0);
	assert_int_equal(brought(file, 32, 0), 1);		/* alone */
	assert_int_equal(pcache_get(&file->cache, 40, &f), -EIO);
	file->bad_page = ~0UL;
	assert_int_equal(brought(file, 33, 0), 32);
	file->bad_page = 70;					/* who waits for it tries it himself */
	assert_int_equal(pcache_get(&file->cache, 49, &f), 0);
	frame_put(f);
	assert_int_equal(pcache_get(&file->cache, 70, &f), -EIO);
	assert_int_equal(brought(file, 69, 0), 1 + 32);		/* with what was begun before he waited */
	file->bad_page = ~0UL;
	assert_int_equal(brought(file, 70, 0), 4);
	/* The disk has too much to do already, or memory is short: the same as if nobody had tried. */
	file->busy = true;
	assert_int_equal(brought(file, 72, 0), 0);
	assert_int_equal(brought(file, 74, 0), 10);
	file->busy = false;
	assert_int_equal(brought(file, 79, 0), 13);		/* up to what is there */
	for (u32 n = 1; n < 40; n++) {
		pcache_drop(&file->cache, 0, 5000);
		assert_int_equal(brought(file, 0, 0), 32);
		kit_fail_from(n);
		assert_int_equal(pcache_get(&file->cache, 16, &f), 0);
		kit_fail_none();
		frame_put(f);
		answer_all();
		assert_int_equal(file->cache.nr_pages, n == 1 ? 32 : MIN(30 + n, 64U));
		assert_int_equal(look(file, file->cache.nr_pages - 1), kit_file_word(file->cache.nr_pages - 1, 0));
	}
	kit_file_close(file);
}

static void ahead_cut_off(void **state)
{
	struct kit_file *file = kit_disk_file(5000);
	struct frame *f;

	(void)state;
	tune.readahead_kb = 128;
	assert_int_equal(brought(file, 0, 0), 32);
	assert_int_equal(pcache_get(&file->cache, 16, &f), 0);
	frame_put(f);
	pcache_resize(&file->cache, PAGES(40) + 16);
	answer_all();
	assert_int_equal(file->cache.nr_pages, 41);
	f = pcache_find(&file->cache, 40);
	assert_int_equal(((u64 *)frame_ptr(f))[1], kit_file_word(40, 1));
	for (unsigned i = 2; i < 512; i++)
		assert_int_equal(((u64 *)frame_ptr(f))[i], 0);
	frame_put(f);
	assert_int_equal(pcache_get(&file->cache, 41, &f), -EIO);
	kit_file_close(file);
}

static void errors_are_not_cached(void **state)
{
	struct kit_file *file = kit_disk_file(64);
	struct space *s = kit_space();
	vaddr_t va = kit_map_file(s, file, 0, 0, 64, R_READ);
	struct frame *f;

	(void)state;
	tune.readahead_kb = 128;
	file->bad_page = 5;
	assert_int_equal(brought(file, 0, 0), 1);		/* the run fails, the page wanted does not */
	assert_int_equal(moved(readahead_errors, assert_int_equal(pcache_get(&file->cache, 5, &f), -EIO)), 1);
	assert_int_equal(look(file, 5), 0);
	want_no_load(s, va + PAGES(5), FAULT_BUS);
	want_load(s, va + PAGES(6), kit_file_word(6, 0));
	pcache_willneed(&file->cache, 0, 63);
	assert_int_equal(look(file, 5), 0);
	file->bad_page = ~0UL;
	want_load(s, va + PAGES(5), kit_file_word(5, 0));
	kit_space_end(s);
	kit_file_close(file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		KIT_TEST(reading_ahead), KIT_TEST(backwards), KIT_TEST(ahead_in_flight), KIT_TEST(ahead_fails),
		KIT_TEST(ahead_cut_off), KIT_TEST(errors_are_not_cached),
	};

	return KIT_RUN(tests);
}
