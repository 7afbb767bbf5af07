/* SPDX-License-Identifier: MIT */
/*
 * Races of the page cache: threads that want the same pages from a slow disk, while others drop them. Each page
 * is read by one at a time (kit_file.careful), and whoever gets one gets what the disk has.
 */
#include "kit.h"
#include "crowd.h"

#define CPUS 4
#define PAGES_OF_FILE 200
#define TURNS 400
#define AREA 0x40000000UL

static struct kit_file *file;
static struct space *s;

static void want_page(u64 p)
{
	struct frame *f;

	if (pcache_get(&file->cache, p, &f)) {
		crowd_want(READ_ONCE(file->bad_page) != ~0UL);
		return;
	}
	crowd_want(*(u64 *)frame_ptr(f) == kit_file_word(p, 0));
	frame_put(f);
}

static void read_all(unsigned cpu)
{
	crowd_meet();
	for (u64 p = cpu % 2; p < PAGES_OF_FILE; p++)
		want_page(p);
}

/* All at once through the whole file: each page is read once. */
static void one_read(void **state)
{
	(void)state;
	file = kit_disk_file(PAGES_OF_FILE);
	file->careful = true;
	tune.readahead_kb = 32;
	crowd_run(CPUS, read_all);
	assert_int_equal(file->pages_read, PAGES_OF_FILE);
	assert_true(counter_sum(C_readahead_begun));
	assert_int_equal(file->cache.nr_pages, PAGES_OF_FILE);
	kit_file_close(file);
}

static void use_or_drop(unsigned cpu)
{
	u64 seed = cpu + 1;

	if (cpu == 0) {
		for (unsigned turn = 0; crowd_change(TURNS); turn++) {
			if (turn % 3)
				pcache_shrink(1 + (unsigned)(fake_random(&seed) % 100), turn % 3 == 1);
			else
				pcache_evict(1 + (unsigned)(fake_random(&seed) % 100));
			if (turn % 4 == 3)
				WRITE_ONCE(file->bad_page, fake_random(&seed) % PAGES_OF_FILE);
		}
		return;
	}
	while (crowd_use()) {
		u64 p = fake_random(&seed) % PAGES_OF_FILE, v;

		if (fake_random(&seed) % 2) {
			want_page(p);
		} else {
			enum fault_result r = fake_load(s, AREA + PAGES(p), &v);

			crowd_want(r == FAULT_BUS || (r == FAULT_OK && v == kit_file_word(p, 0)));
		}
	}
}

static void reads_and_drops(void **state)
{
	(void)state;
	s = kit_space();
	file = kit_disk_file(PAGES_OF_FILE);
	file->careful = true;
	tune.readahead_kb = 32;
	kit_map_file(s, file, AREA, 0, PAGES_OF_FILE, R_READ);
	crowd_run(CPUS, use_or_drop);
	vm_unmap(s, 0, USER_END);
	kit_space_end(s);
	pcache_settle();
	pcache_drop(&file->cache, 0, PAGES_OF_FILE);
	assert_int_equal(file->cache.nr_ahead, 0);
	assert_int_equal(counter_sum(C_readahead_pages), counter_sum(C_readahead_hit) + counter_sum(C_readahead_wasted));
	assert_true(counter_sum(C_readahead_begun) && counter_sum(C_readahead_hit) && counter_sum(C_readahead_wasted));
	kit_file_close(file);
}

int main(void)
{
	const struct CMUnitTest tests[] = { KIT_TEST(one_read), KIT_TEST(reads_and_drops) };

	return KIT_RUN(tests);
}
