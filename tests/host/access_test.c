/* SPDX-License-Identifier: MIT */
/* Tests of mm/access.c: the kernel's reads and writes of a space's memory obey the regions' rights; futex keys. */
#include "kit.h"

#define AREA 0x40000000UL

static void across_pages(void **state)
{
	struct space *s = kit_space();
	vaddr_t va = kit_anon(s, AREA, 4, RW);
	static u8 out[3 * PAGE_SIZE], in[3 * PAGE_SIZE];

	(void)state;
	for (unsigned i = 0; i < sizeof(out); i++)
		out[i] = (u8)(i * 7);
	assert_int_equal(space_write(s, va + 100, out, sizeof(out)), sizeof(out));
	assert_int_equal(kit_usage(s).anon, 4);
	assert_int_equal(space_read(s, va + 100, in, sizeof(in)), sizeof(in));
	assert_memory_equal(in, out, sizeof(in));
	want_load(s, va, 0);
	u64 first;
	memcpy(&first, out + 4, 8);
	want_load(s, va + 104, first);
	assert_int_equal(space_read(s, va, in, 0), 0);
	kit_space_end(s);
}

static void refusals(void **state)
{
	struct space *s = kit_space();
	vaddr_t va = kit_anon(s, AREA, 2, RW);
	u64 buf[2 * PAGE_SIZE / 8] = { 0 };

	(void)state;
	vm_protect(s, va + PAGE_SIZE, PAGE_SIZE, R_READ);
	assert_int_equal(space_write(s, va + PAGE_SIZE, buf, 8), -EFAULT);
	assert_int_equal(space_write(s, va + PAGE_SIZE - 16, buf, 64), 16);	/* as far as it goes */
	assert_int_equal(space_read(s, va + PAGE_SIZE - 16, buf, 64), 64);
	assert_int_equal(space_read(s, va + PAGES(2) - 8, buf, 64), 8);
	assert_int_equal(space_read(s, va + PAGES(2), buf, 8), -EFAULT);
	assert_int_equal(space_read(s, 0, buf, 8), -EFAULT);
	assert_int_equal(space_read(s, USER_END, buf, 8), -EFAULT);
	assert_int_equal(space_read(s, USER_END - 8, buf, 64), -EFAULT);
	assert_int_equal(space_write(s, ~0UL - 7, buf, 64), -EFAULT);
	assert_int_equal(space_read(s, 1UL << 63, buf, 8), -EFAULT);
	vm_protect(s, va, PAGE_SIZE, 0);
	assert_int_equal(space_read(s, va, buf, 8), -EFAULT);
	kit_anon(s, va + GiB(1), 1, RW);
	kit_fail_from(1);
	assert_int_equal(space_read(s, va + PAGE_SIZE, buf, 8), 8);	/* is there already */
	assert_int_equal(space_read(s, va + GiB(1), buf, 8), -EFAULT);
	kit_fail_none();
	kit_space_end(s);
}

static void through_copy_on_write(void **state)
{
	struct space *s = kit_space(), *child;
	vaddr_t va = kit_anon(s, AREA, 1, RW);
	struct kit_file *f = kit_file(2, false);
	vaddr_t private = kit_map_file(s, f, AREA + PAGES(8), 0, 2, RW);
	vaddr_t shared = kit_map_file(s, f, AREA + PAGES(16), 0, 2, RW | R_SHARED);
	u64 v = 5, got;

	(void)state;
	kit_store(s, va, 1);
	child = space_fork(s);
	assert_int_equal(space_write(child, va, &v, 8), 8);
	want_load(s, va, 1);
	assert_int_equal(space_read(child, va, &got, 8), 8);
	assert_int_equal(got, 5);
	kit_space_end(child);
	space_write(s, private, &v, 8);
	want_load(s, shared, kit_file_word(0, 0));
	space_write(s, shared, &v, 8);
	want_load(s, shared, 5);
	want_load(s, private, 5);
	pcache_resize(&f->cache, PAGES(1));
	assert_int_equal(space_read(s, shared + PAGE_SIZE, &got, 8), -EFAULT);
	kit_space_end(s);
	kit_file_close(f);
}

static void futex_keys(void **state)
{
	struct space *a = kit_space(), *b;
	struct kit_file *f = kit_file(8, true);
	vaddr_t anon = kit_anon(a, AREA, 1, RW), one = kit_map_file(a, f, AREA + PAGES(8), 1, 4, RW | R_SHARED);
	vaddr_t two = kit_map_file(a, f, AREA + PAGES(16), 3, 4, RW | R_SHARED);
	vaddr_t private = kit_map_file(a, f, AREA + PAGES(32), 0, 4, RW);
	struct futex_key k, l;

	(void)state;
	b = space_fork(a);
#define key(s, va, hint, out) assert_int_equal(space_futex_key(s, va, hint, out), 0)
#define same(x, y) ((x).object == (y).object && (x).offset == (y).offset)
	key(a, anon + 4, false, &k);
	key(a, anon + 4, true, &l);
	assert_true(same(k, l));
	key(a, anon + 8, false, &l);
	assert_false(same(k, l));
	key(b, anon + 4, false, &l);
	assert_false(same(k, l));
	key(a, one + PAGES(2) + 12, false, &k);
	key(a, two + 12, false, &l);
	assert_true(same(k, l));
	key(b, two + 12, false, &l);
	assert_true(same(k, l));
	key(a, private + PAGES(3) + 12, false, &l);
	assert_false(same(k, l));
	assert_int_equal(space_futex_key(a, anon + 2, false, &k), -EINVAL);
	assert_int_equal(space_futex_key(a, 0x1000, false, &k), -EFAULT);
	assert_int_equal(space_futex_key(a, USER_END, true, &k), -EFAULT);
	kit_space_end(a);
	kit_space_end(b);
	kit_file_close(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		KIT_TEST(across_pages), KIT_TEST(refusals), KIT_TEST(through_copy_on_write), KIT_TEST(futex_keys),
	};

	return KIT_RUN_EACH_FORK(tests);
}
