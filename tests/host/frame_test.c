/* SPDX-License-Identifier: MIT */
/* Tests of mm/frame.c: blocks and single frames, counts, exhaustion, planned failure, misuse. */
#include "kit.h"

/* How many blocks of the highest order there are; they are taken and given back. */
static unsigned count_largest(void)
{
	struct frame *block[64];
	unsigned n = 0;

	kit_free_frames();
	while (n < 64 && (block[n] = frame_alloc_order(FRAME_MAX_ORDER, FRAME_KERNEL)))
		n++;
	for (unsigned i = 0; i < n; i++)
		frame_free_order(block[i], FRAME_MAX_ORDER);
	return n;
}

static void single_frames(void **state)
{
	struct frame *f[200];
	u64 before = frame_nr_free(), kernel = frame_nr_kind(FRAME_KERNEL);

	(void)state;
	for (unsigned i = 0; i < 200; i++) {
		f[i] = frame_alloc(FRAME_KERNEL);
		assert_non_null(f[i]);
		assert_int_equal(f[i]->kind, FRAME_KERNEL);
		assert_int_equal(f[i]->refs, 1);
		memset(frame_ptr(f[i]), (int)i, PAGE_SIZE);
		assert_ptr_equal(frame_of_ptr((char *)frame_ptr(f[i]) + 17), f[i]);
		assert_ptr_equal(frame_of_pa(frame_pa(f[i])), f[i]);
	}
	assert_int_equal(frame_nr_free(), before - 200);
	assert_int_equal(frame_nr_kind(FRAME_KERNEL), kernel + 200);
	for (unsigned i = 0; i < 200; i++) {
		assert_int_equal(*(u8 *)frame_ptr(f[i]), i);	/* nobody else was given it */
		frame_free(f[i]);
	}
	assert_int_equal(frame_nr_free(), before);
	assert_int_equal(frame_nr_kind(FRAME_KERNEL), kernel);
}

static void zeroed(void **state)
{
	static const u8 zeroes[PAGE_SIZE];
	struct frame *f;

	(void)state;
	for (unsigned i = 0; i < 100; i++) {
		f = frame_alloc_zeroed(i & 1 ? FRAME_TABLE : FRAME_ANON);
		assert_memory_equal(frame_ptr(f), zeroes, PAGE_SIZE);
		if (i % 3) {
			frame_free_zeroed(f);
		} else {
			memset(frame_ptr(f), 0xaa, PAGE_SIZE);
			frame_free(f);
		}
	}
}

static void holds(void **state)
{
	struct frame *f = frame_alloc(FRAME_ANON);
	u64 before = frame_nr_free();

	(void)state;
	frame_get(f);
	frame_put(f);
	assert_int_equal(frame_nr_free(), before);
	frame_get(f);
	assert_false(frame_drop(f));
	frame_put(f);
	assert_int_equal(frame_nr_free(), before + 1);
}

static void orders(void **state)
{
	(void)state;
	for (unsigned order = 0; order <= FRAME_MAX_ORDER; order++) {
		u64 before = frame_nr_free();
		struct frame *f = frame_alloc_order(order, FRAME_KERNEL);

		assert_non_null(f);
		assert_int_equal(frame_number(f) & ((1UL << order) - 1), 0);
		assert_int_equal(frame_nr_free(), before - (1UL << order));
		for (unsigned i = 0; i < 1U << order; i++)
			assert_int_equal(f[i].kind, FRAME_KERNEL);
		memset(frame_ptr(f), 0x11, PAGE_SIZE << order);
		frame_free_order(f, order);
		assert_int_equal(frame_nr_free(), before);
	}
	assert_null(frame_alloc_order(FRAME_MAX_ORDER + 1, FRAME_KERNEL));
}

static void exhaustion(void **state)
{
	struct frame *list = NULL, *f;
	u64 had = kit_free_frames(), n = 0;
	unsigned largest = count_largest();

	(void)state;
	while ((f = frame_alloc(FRAME_KERNEL))) {
		*(struct frame **)frame_ptr(f) = list;
		list = f;
		n++;
	}
	assert_int_equal(n, had);
	assert_int_equal(frame_nr_free(), 0);
	assert_null(frame_alloc_zeroed(FRAME_TABLE));
	assert_null(frame_alloc_order(3, FRAME_KERNEL));
	check_frames();
	while ((f = list)) {
		list = *(struct frame **)frame_ptr(f);
		frame_free(f);
	}
	assert_int_equal(kit_free_frames(), had);
	assert_int_equal(count_largest(), largest);	/* all has been merged again */
}

/* An order-n block must be had even if its parts lie on this CPU's stack. */
static void stack_gives_way(void **state)
{
	struct frame *block[64], *f[32];
	unsigned n = 0, orders_of[64];

	(void)state;
	for (unsigned order = FRAME_MAX_ORDER + 1; order--;)
		while (n < 64 && (block[n] = frame_alloc_order(order, FRAME_KERNEL)))
			orders_of[n++] = order;
	assert_in_range(n, 1, 63);
	assert_int_equal(frame_nr_free(), 0);
	frame_free_order(block[0], FRAME_MAX_ORDER);
	for (unsigned i = 0; i < 32; i++)
		assert_non_null(f[i] = frame_alloc(FRAME_ANON));
	for (unsigned i = 0; i < 32; i++)
		frame_free(f[i]);
	block[0] = frame_alloc_order(FRAME_MAX_ORDER, FRAME_KERNEL);
	assert_non_null(block[0]);
	for (unsigned i = 0; i < n; i++)
		frame_free_order(block[i], orders_of[i]);
}

static void random_blocks(void **state)
{
	static struct { struct frame *f; unsigned order; u64 mark; } held[512];
	unsigned largest = count_largest();
	u64 seed = 7;

	(void)state;
	for (unsigned turn = 0; turn < 20000; turn++) {
		unsigned i = fake_random(&seed) % 512;
		u64 *word;

		fake_cpu_set(fake_random(&seed) % 4);
		if (held[i].f) {
			word = frame_ptr(held[i].f);
			assert_int_equal(word[0], held[i].mark);
			assert_int_equal(word[(512UL << held[i].order) - 1], held[i].mark);
			frame_free_order(held[i].f, held[i].order);
			held[i].f = NULL;
			continue;
		}
		held[i].order = (unsigned)__builtin_ctzl(fake_random(&seed) | 1UL << 8);
		held[i].f = frame_alloc_order(held[i].order, FRAME_KERNEL);
		if (!held[i].f)
			continue;
		word = frame_ptr(held[i].f);
		held[i].mark = word[0] = word[(512UL << held[i].order) - 1] = fake_random(&seed);
		if (turn % 1000 == 0)
			check_frames();
	}
	for (unsigned i = 0; i < 512; i++)
		if (held[i].f)
			frame_free_order(held[i].f, held[i].order);
	fake_cpu_set(0);
	assert_int_equal(count_largest(), largest);
}

static void planned_failure(void **state)
{
	(void)state;
	kit_fail_nth(3);
	for (unsigned i = 1; i <= 12; i++) {
		struct frame *f = i & 1 ? frame_alloc(FRAME_ANON) : frame_alloc_order(i / 4, FRAME_ANON);

		assert_int_equal(f == NULL, i % 3 == 0);
		if (f)
			frame_free_order(f, i & 1 ? 0 : i / 4);
	}
	kit_fail_from(5);
	for (unsigned i = 1; i <= 12; i++) {
		struct frame *f = frame_alloc_zeroed(FRAME_TABLE);

		assert_int_equal(f == NULL, i >= 5);
		if (f)
			frame_free_zeroed(f);
	}
}

static void free_twice(void *f)
{
	frame_free(f);
	frame_free(f);
}

static void touch_free(void *f)
{
	u64 *word = frame_ptr(f);

	frame_free(f);
	word[5] = 1;
	while (frame_alloc(FRAME_ANON))
		;
}

static void misuse_is_found(void **state)
{
	struct frame *f = frame_alloc(FRAME_ANON);

	(void)state;
	assert_non_null(fake_last_words(free_twice, f));
	assert_non_null(fake_last_words(touch_free, f));
	frame_free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		KIT_TEST(single_frames), KIT_TEST(zeroed), KIT_TEST(holds), KIT_TEST(orders), KIT_TEST(exhaustion),
		KIT_TEST(stack_gives_way), KIT_TEST(random_blocks), KIT_TEST(planned_failure), KIT_TEST(misuse_is_found),
	};

	return KIT_RUN(tests);
}
