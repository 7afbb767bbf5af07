/* SPDX-License-Identifier: MIT */
/* Tests of mm/region.c against a plain array that says of each page what region it should be in. */
#include "kit.h"
#include "kernel/base/epoch.h"
#include "mm/limbo.h"

#define SPAN 256			/* pages under test, from BASE */
#define BASE 0x10000000UL

struct cell {
	bool used;
	u32 flags;
	u64 pgoff;
	struct pcache *cache;
};

static vaddr_t at(u64 page)
{
	return BASE + PAGES(page);
}

static void insert(struct space *s, u64 from, u64 to, u32 flags, struct pcache *cache, u64 pgoff)
{
	struct region *r = region_alloc(), *dropped = NULL;

	assert_non_null(r);
	r->start = at(from);
	r->end = at(to);
	r->flags = flags;
	r->cache = cache;
	r->pgoff = pgoff;
	if (cache)
		cache->ops->get(cache);
	space_change_begin(s);
	region_insert(s, r);
	r = region_try_merge(s, r, &dropped);
	assert_true(r->start <= at(from) && r->end >= at(to));
	space_change_end(s);
	region_free_list(dropped);
}

static void remove_range(struct space *s, u64 from, u64 to)
{
	struct region *r, *dropped = NULL;

	space_change_begin(s);
	if ((r = region_at(s, at(from))))
		assert_int_equal(region_split(s, r, at(from)), 0);
	if ((r = region_at(s, at(to))))
		assert_int_equal(region_split(s, r, at(to)), 0);
	while ((r = region_at_or_above(s, at(from))) && r->start < at(to)) {
		assert_true(r->end <= at(to));
		region_remove(s, r);
		r->next_free = dropped;
		dropped = r;
	}
	space_change_end(s);
	region_free_list(dropped);
}

/* Every way of asking must give what CELL says; neighbours that could be one must be one. */
static void compare(struct space *s, const struct cell *cell, u64 locked)
{
	struct region *r, *before = NULL;
	u64 pages = 0, n = 0;

	for (u64 p = SPAN; p--;) {
		r = region_at(s, at(p) + p % PAGE_SIZE);
		assert_int_equal(r != NULL, cell[p].used);
		if (!r)
			continue;
		pages++;
		assert_int_equal(r->flags, cell[p].flags);
		assert_ptr_equal(r->cache, cell[p].cache);
		assert_ptr_equal(r->space, s);
		if (r->cache)
			assert_int_equal(r->pgoff + ((at(p) - r->start) >> PAGE_SHIFT), cell[p].pgoff);
		assert_ptr_equal(region_at_or_above(s, at(p)), r);
	}
	for (r = region_at_or_above(s, 0); r; r = region_next(r)) {
		assert_ptr_equal(region_prev(r), before);
		assert_true(r->start < r->end && (!before || before->end <= r->start));
		assert_false(before && before->end == r->start && before->flags == r->flags && before->cache == r->cache &&
			     (!r->cache || before->pgoff + ((before->end - before->start) >> PAGE_SHIFT) == r->pgoff));
		for (u64 p = before ? (before->end - BASE) >> PAGE_SHIFT : 0; at(p) < r->start; p++)
			assert_ptr_equal(region_at_or_above(s, at(p)), r);
		before = r;
		n++;
	}
	assert_int_equal(s->nr_regions, n);
	assert_int_equal(s->pages, pages);
	assert_int_equal(s->locked_pages, locked);
}

static void against_reference(void **state)
{
	static const u32 flags[] = { R_READ, RW, RW | R_LOCKED };
	struct space *s = kit_space();
	struct kit_file *file = kit_file(SPAN, false);
	struct cell cell[SPAN] = { 0 };
	u64 seed = 11;

	(void)state;
	for (unsigned turn = 0; turn < 3000; turn++) {
		u64 from = fake_random(&seed) % SPAN, to = from + 1 + fake_random(&seed) % MIN(SPAN - from, 24UL);
		u64 locked = 0;

		remove_range(s, from, to);
		for (u64 p = from; p < to; p++)
			cell[p].used = false;
		if (turn % 3) {
			u32 fl = flags[fake_random(&seed) % 3];
			struct pcache *c = fake_random(&seed) & 1 ? &file->cache : NULL;
			u64 pgoff = fake_random(&seed) & 1 ? from : 0;

			insert(s, from, to, fl, c, pgoff);
			for (u64 p = from; p < to; p++)
				cell[p] = (struct cell){ true, fl, pgoff + p - from, c };
			/* a hole in the middle that is filled again must vanish */
			if (to - from > 2 && turn % 5 == 0) {
				remove_range(s, from + 1, to - 1);
				insert(s, from + 1, to - 1, fl, c, pgoff + 1);
			}
		}
		/* what removal has cut apart stays apart until something is put there: join by hand */
		for (u64 p = 0; p < SPAN; p++)
			locked += cell[p].used && cell[p].flags & R_LOCKED;
		struct region *r, *dropped = NULL;
		space_change_begin(s);
		for (r = region_at_or_above(s, 0); r; r = region_next(r))
			r = region_try_merge(s, r, &dropped);
		space_change_end(s);
		region_free_list(dropped);
		compare(s, cell, locked);
		assert_int_equal(file->refs, 1 + ({ u64 k = 0; struct region *m;
						    TAILQ_FOREACH(m, &file->cache.regions, mapping) k++; k; }));
	}
	remove_range(s, 0, SPAN);
	assert_int_equal(s->nr_regions, 0);
	kit_space_end(s);
	kit_file_close(file);
}

static void splitting(void **state)
{
	struct space *s = kit_space();
	struct region *r, *upper;

	(void)state;
	insert(s, 0, 10, RW, NULL, 0);
	r = region_at(s, at(3));
	space_change_begin(s);
	assert_int_equal(region_split(s, r, r->start), 0);	/* at an edge: nothing to do */
	assert_int_equal(region_split(s, r, r->end), 0);
	assert_int_equal(s->nr_regions, 1);
	kit_fail_from(1);
	assert_int_equal(region_split(s, r, at(4)), -ENOMEM);
	kit_fail_none();
	assert_int_equal(s->nr_regions, 1);
	assert_int_equal(s->pages, 10);
	assert_int_equal(region_split(s, r, at(4)), 0);
	space_change_end(s);
	upper = region_at(s, at(4));
	assert_ptr_not_equal(upper, r);
	assert_int_equal(r->end, at(4));
	assert_int_equal(upper->end, at(10));
	assert_int_equal(s->pages, 10);
	kit_space_end(s);
}

static void what_must_not_merge(void **state)
{
	struct space *s = kit_space();
	struct kit_file *a = kit_file(8, false), *b = kit_file(8, false);

	(void)state;
	insert(s, 0, 4, R_READ, &a->cache, 0);
	insert(s, 4, 8, R_READ, &b->cache, 4);		/* another file */
	insert(s, 8, 12, R_READ, &b->cache, 4);		/* not the next page */
	insert(s, 12, 16, RW, &b->cache, 8);		/* other rights */
	insert(s, 16, 20, RW, NULL, 0);
	insert(s, 20, 24, RW | R_DONTFORK, NULL, 0);
	insert(s, 24, 28, RW | R_GROWSDOWN, NULL, 0);
	insert(s, 28, 32, RW | R_GROWSDOWN, NULL, 0);	/* two stacks stay two */
	assert_int_equal(s->nr_regions, 8);
	insert(s, 40, 44, RW, &b->cache, 20);
	insert(s, 44, 48, RW, &b->cache, 24);		/* these two are one */
	assert_int_equal(s->nr_regions, 9);
	assert_int_equal(b->refs, 1 + 4);
	kit_space_end(s);
	kit_file_close(a);
	kit_file_close(b);
}

static void insert_at_taken_place(void *s)
{
	insert(s, 3, 9, RW, NULL, 0);
	check_space(s);
}

static void overlap_is_found(void **state)
{
	struct space *s = kit_space();

	(void)state;
	insert(s, 5, 9, R_READ, NULL, 0);
	assert_non_null(fake_last_words(insert_at_taken_place, s));
	kit_space_end(s);
}

/* A CPU that does nothing any more keeps no region, and no file with it, that another asks for. */
static void handed_over(void **state)
{
	struct space *s = kit_space();
	struct kit_file *f = kit_file(4, true);

	(void)state;
	kit_map_file(s, f, 0x40000000UL, 0, 4, R_READ | R_SHARED);
	u32 mapped = f->refs;
	fake_cpu_set(2);
	fake_cpu_enter();
	fake_cpu = 1;			/* while CPU 2 stays in the kernel */
	fake_cpu_enter();
	vm_unmap(s, 0x40000000UL, PAGES(4));
	limbo_reap();
	assert_int_equal(f->refs, mapped);
	limbo_hand_over();
	fake_cpu_set(2);
	limbo_take_over();
	assert_int_equal(f->refs, mapped - 1);
	kit_space_end(s);
	kit_file_close(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		KIT_TEST(handed_over), KIT_TEST(against_reference), KIT_TEST(splitting), KIT_TEST(what_must_not_merge), KIT_TEST(overlap_is_found),
	};

	return KIT_RUN(tests);
}
