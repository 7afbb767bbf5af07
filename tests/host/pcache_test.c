/* SPDX-License-Identifier: MIT */
/* Tests of mm/pcache.c and mm/shm.c: the tree of pages, sizes, holes, and mappings cut off with them. */
#include "kit.h"

static void put_page(struct kit_file *file, u64 index, u64 mark)
{
	struct frame *f;

	assert_int_equal(pcache_get(&file->cache, index, &f), 0);
	*(u64 *)frame_ptr(f) = mark;
	frame_put(f);
}

/* The first word of page INDEX, or 0 if it is not cached. */
static u64 look(struct kit_file *file, u64 index)
{
	struct frame *f = pcache_find(&file->cache, index);
	u64 mark;

	if (!f)
		return 0;
	assert_int_equal(f->kind, FRAME_CACHE);
	assert_ptr_equal(f->cached.cache, &file->cache);
	assert_int_equal(f->cached.index, index);
	mark = *(u64 *)frame_ptr(f);
	frame_put(f);
	return mark;
}

static void sparse(void **state)
{
	static const u64 index[] = { 0, 2, 63, 65, 70, 4094, 4096, 1 << 20, (1UL << 36) + 5, (1UL << 51) - 1 };
	struct kit_file *file = kit_file(1UL << 51, true);
	u64 shmem = pcache_total_pages(true), plain = pcache_total_pages(false);

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(index); i++) {
		assert_int_equal(look(file, index[i]), 0);
		put_page(file, index[i], index[i] + 77);
		for (unsigned k = 0; k <= i; k++)
			assert_int_equal(look(file, index[k]), index[k] + 77);
		assert_null(pcache_find(&file->cache, index[i] + 1));
	}
	assert_int_equal(file->cache.nr_pages, ARRAY_SIZE(index));
	assert_int_equal(pcache_total_pages(true) - shmem, ARRAY_SIZE(index));
	assert_int_equal(pcache_total_pages(false), plain);
	for (unsigned i = ARRAY_SIZE(index); i--;) {
		pcache_resize(&file->cache, PAGES(index[i]));
		assert_int_equal(file->cache.nr_pages, i);
		assert_int_equal(look(file, index[i]), 0);
		for (unsigned k = 0; k < i; k++)
			assert_int_equal(look(file, index[k]), index[k] + 77);
	}
	kit_file_close(file);
}

static void same_page_again(void **state)
{
	struct kit_file *file = kit_file(10, false);
	struct frame *a, *b;

	(void)state;
	assert_int_equal(pcache_get(&file->cache, 3, &a), 0);
	assert_int_equal(pcache_get(&file->cache, 3, &b), 0);
	assert_ptr_equal(a, b);
	assert_int_equal(a->refs, 3);
	assert_int_equal(file->reads, 1);
	assert_int_equal(*(u64 *)frame_ptr(a), kit_file_word(3, 0));
	frame_put(a);
	frame_put(b);
	file->broken = true;
	assert_int_equal(pcache_get(&file->cache, 4, &a), -EIO);
	assert_int_equal(look(file, 4), 0);
	file->broken = false;
	assert_int_equal(pcache_get(&file->cache, 4, &a), 0);
	frame_put(a);
	kit_file_close(file);
}

static void random_against_reference(void **state)
{
	enum { N = 5000 };
	static u64 mark[N];
	struct kit_file *file = kit_file(N, true);
	struct frame *out[100];
	u64 seed = 5, held = 0;

	(void)state;
	for (unsigned turn = 0; turn < 3000; turn++) {
		u64 i = fake_random(&seed) % N, n = fake_random(&seed) % 100;

		if (turn % 50 == 0) {			/* punch a hole, pages and edges */
			u64 from = PAGES(i) + fake_random(&seed) % PAGE_SIZE, to = from + fake_random(&seed) % MiB(2);

			pcache_punch(&file->cache, from, to);
			for (u64 p = (from + PAGE_SIZE - 1) >> PAGE_SHIFT; p < N && p < to >> PAGE_SHIFT; p++) {
				held -= mark[p] != 0;
				mark[p] = 0;
			}
			if (to >> PAGE_SHIFT < N && to & ~PAGE_MASK && from <= PAGES(to >> PAGE_SHIFT) && mark[to >> PAGE_SHIFT]) {
				assert_int_equal(look(file, to >> PAGE_SHIFT), 0);	/* there, and its first word zero */
				put_page(file, to >> PAGE_SHIFT, mark[to >> PAGE_SHIFT]);
			}
		} else if (!mark[i]) {
			put_page(file, i, mark[i] = turn + 1);
			held++;
		}
		n = MIN(n, N - i);
		spin_lock(&file->cache.lock);
		unsigned found = pcache_gather(&file->cache, i, (unsigned)n, out);
		spin_unlock(&file->cache.lock);
		for (u64 k = 0; k < n; k++) {
			assert_int_equal(out[k] ? *(u64 *)frame_ptr(out[k]) : 0, mark[i + k]);
			found -= out[k] != NULL;
		}
		assert_int_equal(found, 0);
		assert_int_equal(file->cache.nr_pages, held);
	}
	kit_file_close(file);
}

static void resize_zeroes_the_tail(void **state)
{
	struct kit_file *file = kit_file(2, false);
	struct frame *f;

	(void)state;
	assert_int_equal(pcache_get(&file->cache, 0, &f), 0);
	pcache_resize(&file->cache, 100);
	pcache_resize(&file->cache, PAGES(1));
	u8 *byte = frame_ptr(f);
	assert_int_equal(((u64 *)byte)[11], kit_file_word(0, 11));
	for (unsigned i = 100; i < PAGE_SIZE; i++)
		assert_int_equal(byte[i], 0);
	memset(byte, 0x33, PAGE_SIZE);
	pcache_punch(&file->cache, 10, 20);		/* within one page */
	for (unsigned i = 0; i < PAGE_SIZE; i++)
		assert_int_equal(byte[i], i >= 10 && i < 20 ? 0 : 0x33);
	frame_put(f);
	kit_file_close(file);
}

static void truncation_unmaps(void **state)
{
	struct kit_file *file = kit_file(8, false);
	struct space *a = kit_space(), *b = kit_space();
	vaddr_t shared = kit_map_file(a, file, 0x400000, 0, 8, RW | R_SHARED);
	vaddr_t private = kit_map_file(b, file, 0x7fffff000, 2, 6, RW);

	(void)state;
	for (u64 p = 0; p < 8; p++)
		want_load(a, shared + PAGES(p) + 8, kit_file_word(p, 1));
	fake_cpu_set(1);
	kit_store(b, private + PAGES(3), 99);			/* a copy of page 5 */
	want_load(b, private + PAGES(2), kit_file_word(4, 0));
	fake_cpu_set(2);
	pcache_resize(&file->cache, PAGES(4) + 16);
	fake_cpu_set(0);
	want_load(a, shared + PAGES(4), kit_file_word(4, 0));
	want_load(a, shared + PAGES(4) + 16, 0);
	want_no_load(a, shared + PAGES(5), FAULT_BUS);
	want_no_store(a, shared + PAGES(7), FAULT_BUS);
	fake_cpu_set(1);
	want_no_load(b, private + PAGES(3), FAULT_BUS);	/* Linux drops private copies too */
	want_no_store(b, private + PAGES(3), FAULT_BUS);
	pcache_resize(&file->cache, PAGES(8));
	want_load(b, private + PAGES(3), kit_file_word(5, 0));
	kit_space_end(a);
	kit_space_end(b);
	kit_file_close(file);
}

/* A hole is dropped from shared mappings; private copies stay, as with fallocate on Linux. */
static void punching_unmaps(void **state)
{
	struct kit_file *file = kit_file(8, true);
	struct space *s = kit_space();
	vaddr_t shared = kit_map_file(s, file, 0, 0, 8, RW | R_SHARED), private = kit_map_file(s, file, 0, 0, 8, RW);

	(void)state;
	for (u64 p = 0; p < 8; p++)
		kit_store(s, shared + PAGES(p), p + 1);
	kit_store(s, private + PAGES(3), 300);
	want_load(s, private + PAGES(4), 5);
	pcache_punch(&file->cache, PAGES(3), PAGES(5));
	want_load(s, shared + PAGES(2), 3);
	want_load(s, shared + PAGES(3), 0);
	want_load(s, shared + PAGES(4), 0);
	want_load(s, shared + PAGES(5), 6);
	want_load(s, private + PAGES(4), 0);
	want_load(s, private + PAGES(3), 300);
	kit_space_end(s);
	kit_file_close(file);
}

static void shared_anonymous(void **state)
{
	u64 pages = pcache_total_pages(true);
	struct pcache *c = shm_create(PAGES(3));
	struct frame *f;

	(void)state;
	assert_non_null(c);
	assert_true(c->shmem);
	assert_int_equal(c->size, PAGES(3));
	assert_int_equal(pcache_get(c, 2, &f), 0);
	frame_put(f);
	assert_int_equal(pcache_total_pages(true), pages + 1);
	c->ops->put(c);
	assert_int_equal(pcache_total_pages(true), pages);
	kit_fail_from(1);
	assert_null(shm_create(PAGES(3)));
}

static void no_memory(void **state)
{
	struct kit_file *file = kit_file(1UL << 40, true);
	struct frame *f;
	u32 n = 0;
	int err;

	(void)state;
	do {
		kit_fail_from(++n);
		err = pcache_get(&file->cache, 1UL << 39, &f);
		kit_fail_none();
		assert_true(err == 0 || err == -ENOMEM);
		assert_int_equal(look(file, 1UL << 39), 0);
		assert_int_equal(file->cache.nr_pages, err ? 0 : 1);
	} while (err);
	assert_in_range(n, 4, 20);
	frame_put(f);
	kit_file_close(file);
}

static void dropping(void **state)
{
	struct kit_file *a = kit_disk_file(200), *b = kit_disk_file(1 << 20), *kept = kit_file(10, false);
	struct space *s = kit_space();
	vaddr_t va = kit_map_file(s, a, 0, 0, 200, R_READ), fixed;
	struct frame *f;

	(void)state;
	pcache_willneed(&a->cache, 0, 199);
	pcache_willneed(&b->cache, 1000, 1099);
	put_page(kept, 3, 33);
	fixed = kit_map_file(s, b, 0, 0, 4, R_READ | R_LOCKED);	/* and its pages with it */
	tune.fault_around_bytes = 4096;
	want_load(s, va + PAGES(7), kit_file_word(7, 0));
	assert_int_equal(pcache_get(&a->cache, 9, &f), 0);
	assert_int_equal(pcache_shrink(50, true), 50);
	assert_int_equal(a->cache.nr_pages + b->cache.nr_pages, 254);
	assert_int_equal(pcache_shrink(1000, true), 248);	/* but what is mapped, or held */
	assert_int_equal(look(a, 7), kit_file_word(7, 0));
	assert_int_equal(look(a, 9), kit_file_word(9, 0));
	assert_int_equal(look(kept, 3), 33);
	assert_int_equal(pcache_total_pages(false) - pcache_kept_pages(false), 6);
	want_load(s, va + PAGES(8), kit_file_word(8, 0));
	want_load(s, fixed, kit_file_word(0, 0));
	assert_int_equal(pcache_evict(100), 3);			/* mapped ones too, not those locked in */
	assert_int_equal(a->cache.nr_pages, 0);
	assert_int_equal(kit_usage(s).file, 4);
	assert_ptr_equal(f->cached.cache, NULL);
	frame_put(f);
	assert_int_equal(moved(readahead_reads, want_load(s, va + PAGES(7), kit_file_word(7, 0))), 1);
	tune.fault_around_bytes = 65536;
	kit_space_end(s);
	kit_file_close(a);
	assert_int_equal(pcache_evict(100), 4);
	kit_file_close(b);
	assert_int_equal(pcache_evict(100), 0);
	kit_file_close(kept);
}

/* Memory full of clean pages is as good as free, for every allocator. */
static void memory_short(void **state)
{
	struct kit_file *file = kit_disk_file(1 << 20);
	struct space *s = kit_space();
	struct frame *list = NULL, *f;
	u64 n = 0, nodes = 0, i = 0;

	(void)state;
	for (u64 page = 0; page < 3 * frame_nr_total(); page++) {
		assert_int_equal(pcache_get(&file->cache, page, &f), 0);
		frame_put(f);
	}
	assert_in_range(frame_nr_free(), 1, frame_nr_total() / 16);
	n = file->cache.nr_pages;
	while ((f = frame_alloc(FRAME_KERNEL)) != NULL) {
		f->free.next = list;
		list = f;
		i++;
	}
	assert_int_equal(file->cache.nr_pages, 0);
	assert_true(i > n);
	for (; list; list = f) {
		f = list->free.next;
		frame_put(list);
	}
	vaddr_t va = kit_map_file(s, file, 0, 0, 1 << 20, R_READ), anon = kit_anon(s, 0, frame_nr_total(), RW);
	tune.readahead_kb = 128;
	for (u64 page = 0; page < 2 * frame_nr_total(); page++)		/* and mapped, too */
		want_load(s, va + PAGES(page), kit_file_word(page, 0));
	nodes = frame_nr_total() / 8 * 7;
	for (u64 page = 0; page < nodes; page++)
		kit_store(s, anon + PAGES(page), page + 1);
	kit_space_end(s);
	kit_file_close(file);
}

/* An allocator that drops pages may hold locks: of the very cache, of the cache that its nodes come from. */
static void short_under_locks(void **state)
{
	struct kit_file *file = kit_disk_file(1 << 20), *other = kit_file(1 << 20, true);
	struct frame *list = NULL, *f;

	(void)state;
	for (u64 i = 0; i < 2000; i++) {			/* each page with a node of its own */
		assert_int_equal(pcache_get(&file->cache, i * 64, &f), 0);
		frame_put(f);
	}
	while (frame_nr_free()) {
		f = frame_alloc(FRAME_KERNEL);
		f->free.next = list;
		list = f;
	}
	assert_int_equal(file->cache.nr_pages, 2000);
	spin_lock(&file->cache.lock);
	assert_null(frame_alloc(FRAME_KERNEL));
	spin_unlock(&file->cache.lock);
	assert_int_equal(file->cache.nr_pages, 2000);
	for (u64 i = 0; i < 1600; i++)
		put_page(other, i * 64, i);
	assert_in_range(file->cache.nr_pages, 1, 399);
	for (; list; list = f) {
		f = list->free.next;
		frame_put(list);
	}
	kit_file_close(file);
	kit_file_close(other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		KIT_TEST(sparse), KIT_TEST(same_page_again), KIT_TEST(random_against_reference),
		KIT_TEST(resize_zeroes_the_tail), KIT_TEST(truncation_unmaps), KIT_TEST(punching_unmaps),
		KIT_TEST(shared_anonymous), KIT_TEST(no_memory), KIT_TEST(dropping),
		KIT_TEST(memory_short), KIT_TEST(short_under_locks),
	};

	return KIT_RUN(tests);
}
