/* SPDX-License-Identifier: MIT */
/* Tests of mm/kmem.c: sizes, alignment, zeroing, reuse, frames given back, failure. */
#include "kit.h"
#include "mm/kmem.h"

#define SLOTS 700

struct thing {
	u64 word[9];
};
static KMEM_CACHE(things, "thing", struct thing);

static bool all_are(u8 value, const void *p, size_t n)
{
	const u8 *byte = p;

	while (n)
		if (byte[--n] != value)
			return false;
	return true;
}

static void cache_objects(void **state)
{
	static struct thing *t[SLOTS];
	u64 seed = 1;

	(void)state;
	for (unsigned turn = 0; turn < 30000; turn++) {
		unsigned i = fake_random(&seed) % SLOTS;

		if (t[i]) {
			assert_true(all_are((u8)i, t[i], sizeof(*t[i])));
			kmem_cache_free(&things, t[i]);
			t[i] = NULL;
		} else {
			t[i] = kmem_cache_alloc(&things);
			assert_non_null(t[i]);
			assert_int_equal((uintptr_t)t[i] & 15, 0);
			assert_true(all_are(0, t[i], sizeof(*t[i])));
			memset(t[i], (u8)i, sizeof(*t[i]));
		}
	}
	for (unsigned i = 0; i < SLOTS; i++)
		if (t[i])
			kmem_cache_free(&things, t[i]);
	kit_free_frames();
	assert_int_equal(things.nr_frames, 0);
	assert_null(things.partial);
}

/* Objects made on one CPU and freed on another still find their frames. */
static void across_cpus(void **state)
{
	static struct thing *t[SLOTS];

	(void)state;
	for (unsigned i = 0; i < SLOTS; i++) {
		fake_cpu_set(i % 3);
		t[i] = kmem_cache_alloc(&things);
		memset(t[i], (u8)i, sizeof(*t[i]));
	}
	for (unsigned i = 0; i < SLOTS; i++) {
		fake_cpu_set(3 + i % 2);
		assert_true(all_are((u8)i, t[i], sizeof(*t[i])));
		kmem_cache_free(&things, t[i]);
	}
	fake_cpu_set(0);
	kit_free_frames();
	assert_int_equal(things.nr_frames, 0);
}

static void sizes(void **state)
{
	static const size_t size[] = {
		1, 8, 16, 17, 48, 64, 65, 96, 100, 128, 129, 192, 200, 256,
		500, 512, 1000, 2048, 2049, 4096, 4097, 10000, 1 << 20, 4 << 20,
	};
	u64 before = kit_free_frames();

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(size); i++) {
		u8 *p[3];

		for (unsigned k = 0; k < 3; k++) {
			p[k] = kmem_alloc(size[i]);
			assert_non_null(p[k]);
			assert_int_equal((uintptr_t)p[k] & (size[i] >= 512 ? 63 : 15), 0);
			assert_true(all_are(0, p[k], size[i]));
			memset(p[k], (u8)(k + 1), size[i]);
		}
		for (unsigned k = 0; k < 3; k++) {
			assert_true(all_are((u8)(k + 1), p[k], size[i]));
			kmem_free(p[k]);
		}
		assert_int_equal(kit_free_frames(), before);
	}
	assert_null(kmem_alloc((4 << 20) + 1));
	kmem_free(NULL);
}

static void strings(void **state)
{
	char *copy = kmem_strdup("a quire of leaves");

	(void)state;
	assert_string_equal(copy, "a quire of leaves");
	kmem_free(copy);
	copy = kmem_strdup("");
	assert_string_equal(copy, "");
	kmem_free(copy);
}

static void exhaustion(void **state)
{
	void **list = NULL, **p;
	u64 had = kit_free_frames(), n = 0;

	(void)state;
	while ((p = kmem_alloc(1024))) {
		*p = list;
		list = p;
		n++;
	}
	assert_in_range(n, (had - 8) * 4, had * 4);
	assert_null(kmem_alloc(4096));
	while ((p = list)) {
		list = *p;
		kmem_free(p);
	}
	assert_int_equal(kit_free_frames(), had);
}

static void planned_failure(void **state)
{
	(void)state;
	kit_fail_from(1);
	assert_null(kmem_alloc(16));
	assert_null(kmem_alloc(100000));
	assert_null(kmem_strdup("x"));
	assert_null(kmem_cache_alloc(&things));
}

static void free_twice(void *p)
{
	for (unsigned i = 0; i < 2 * KMEM_MAGAZINE; i++)
		kmem_cache_free(&things, p);
}

static void wild_free(void *p)
{
	struct frame *f = frame_alloc(FRAME_ANON);

	(void)p;
	kmem_free(frame_ptr(f));
}

static void misuse_is_found(void **state)
{
	struct thing *t = kmem_cache_alloc(&things);

	(void)state;
	assert_non_null(fake_last_words(free_twice, t));
	assert_non_null(fake_last_words(wild_free, NULL));
	kmem_cache_free(&things, t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		KIT_TEST(cache_objects), KIT_TEST(across_cpus), KIT_TEST(sizes), KIT_TEST(strings),
		KIT_TEST(exhaustion), KIT_TEST(planned_failure), KIT_TEST(misuse_is_found),
	};

	return KIT_RUN(tests);
}
