/* SPDX-License-Identifier: MIT */
/*
 * Does the checker fire? Each fault is planted by hand in a child process; its last words must say what was
 * planted. And: is every dropped flush seen by the TLB model? Without faults, neither says anything.
 */
#include "kit.h"

#define AREA 0x40000000UL

static struct space *s;
static struct kit_file *file;
static vaddr_t va, fileva;

/* CPU 0 and 1 have used: 4 written pages, a zero page, a page of a file; a region that may only be read. */
static int setup(void **state)
{
	kit_test_setup(state);
	s = kit_space();
	file = kit_file(8, false);
	va = kit_anon(s, AREA, 16, RW);
	fileva = kit_map_file(s, file, AREA + PAGES(32), 0, 8, RW | R_SHARED);
	kit_anon(s, AREA + PAGES(16), 4, R_READ);
	for (u32 cpu = 2; cpu--;) {
		fake_cpu_set(cpu);
		for (u64 p = 0; p < 4; p++)
			kit_store(s, va + PAGES(p), p + 1);
		want_load(s, va + PAGES(8), 0);
		want_load(s, fileva, kit_file_word(0, 0));
	}
	kit_check(s);
	return 0;
}

static int teardown(void **state)
{
	kit_space_end(s);
	kit_file_close(file);
	return kit_test_teardown(state);
}

static pte_t *slot(u64 page) { return pt_slot(pt_find(s->root, va), va + PAGES(page)); }
static struct frame *leaf(void) { return pt_find(s->root, va); }
static struct frame *parent(void) { return pt_child(fake_look(s, va).slot_of[3]); }
static struct region *region(u64 page) { return region_at(s, va + PAGES(page)); }

static void live_too_high(void) { pt_live(leaf())++; }
static void live_of_parent(void) { pt_live(parent())--; }
static void class_count(void) { leaf()->table.count[PTE_CLASS_ANON]--; }
static void use_count(void) { leaf()->refs++; }
static void table_dead(void) { leaf()->dead = true; }
static void table_level(void) { parent()->level = 3; }
static void table_not_table(void) { leaf()->kind = FRAME_ANON; }
static void group_bit(void) { leaf()->table.groups = 0; }
static void table_no_exec(void) { *pt_slot(parent(), va) |= PTE_NX; }
static void upper_use(void) { parent()->refs = 2; }
static void frame_freed(void) { frame_put(pt_child(*slot(1))); }
static void frame_of_other_kind(void) { pt_child(*slot(1))->kind = FRAME_CACHE; }
static void nobody_holds(void) { pt_child(*slot(1))->refs = 0; }
static void shared_and_writable(void) { frame_get(pt_child(*slot(2))); }
static void more_than_region(void) { region(0)->flags &= ~R_WRITE; }
static void exec_in_data(void) { *slot(0) = pte_apply(pte_edit(false, true, false, true), *slot(0)); }
static void open_in_barred(void) { region(17)->flags = 0, leaf()->table.groups |= 2, *slot(17) = pte_set_write(*slot(8), false); }
static void kernels(void) { *slot(0) &= ~PTE_U; }
static void no_class(void) { *slot(0) &= ~PTE_CLASS; }
static void zero_written(void) { *slot(8) = pte_set_write(*slot(8), true); }
static void not_the_zero_page(void)
{
	*slot(8) = pte_leaf(1 << PAGE_SHIFT, PTE_CLASS_ZERO, PTE_USER);
	frames[1].kind = FRAME_KERNEL;
}
static void in_no_region(void)
{
	space_change_begin(s);
	region_remove(s, region(0));
	space_change_end(s);
}
static void wrong_index(void) { region_at(s, fileva)->pgoff = 3; }
static void wrong_file(void) { pt_child(fake_look(s, fileva).leaf)->cached.cache = (struct pcache *)s; }
static void overlap(void) { region(0)->end += PAGES(1); }
static void crooked(void) { region(0)->end -= 8; }
static void foreign_region(void) { region(0)->space = NULL; }
static void pages_off(void) { s->pages++; }
static void locked_off(void) { s->locked_pages++; }
static void regions_off(void) { s->nr_regions--; }
static void free_frame_taken(void)
{
	struct frame *f = frame_alloc(FRAME_ANON);

	frame_free(f);
	f->kind = FRAME_TABLE;
}
static void free_list_cut(void)
{
	struct frame *f = frames + nr_frames - 1;

	kit_free_frames();
	while (f->kind != FRAME_FREE || f->level > FRAME_MAX_ORDER || !f->free.next)
		f--;
	f->free.next = NULL;			/* those behind it are lost */
}

static void plant_and_check(void *fault)
{
	for (u32 cpu = 2; cpu--;) {		/* the TLB model shall not speak first */
		fake_cpu_set(cpu);
		tlb_switch_space(NULL);
	}
	((void (*)(void))fault)();
	kit_check(s);
}

static void checker_fires(void **state)
{
	static const struct { const char *name; void (*plant)(void); const char *words; } faults[] = {
#define FAULT(f, words) { #f, f, words }
		FAULT(live_too_high, "count 0 is 7, should be 6"), FAULT(live_of_parent, "level 2: count 0 is 0"),
		FAULT(class_count, "count 1 is 3, should be 4"), FAULT(use_count, "has use 2"), FAULT(table_dead, "dead"),
		FAULT(table_level, "level 3"), FAULT(table_not_table, "kind 5"),
		FAULT(group_bit, "group"), FAULT(table_no_exec, "is no table"), 
		FAULT(upper_use, "has use 2 and a writable parent"), FAULT(frame_freed, "of kind 1"),
		FAULT(frame_of_other_kind, "of kind 6"), FAULT(nobody_holds, "nobody holds"),
		FAULT(shared_and_writable, "is writable, its page is shared"), FAULT(more_than_region, "is writable, its region"),
		FAULT(exec_in_data, "is executable"), FAULT(open_in_barred, "is present, its region allows nothing"),
		FAULT(kernels, "is the kernel's"), FAULT(no_class, "has no class"), FAULT(zero_written, "is writable, its page"),
		FAULT(not_the_zero_page, "is not the zero page"), FAULT(in_no_region, "lies in no region"),
		FAULT(wrong_index, "maps page 0 of its file"), FAULT(wrong_file, "another file"), FAULT(overlap, "region "),
		FAULT(crooked, "region "), FAULT(foreign_region, "another space"), FAULT(pages_off, "pages"),
		FAULT(locked_off, "locked"), FAULT(regions_off, "regions"), FAULT(free_frame_taken, "is kind 4"),
		FAULT(free_list_cut, "frames in free lists"),
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(faults); i++) {
		const char *words = fake_last_words(plant_and_check, (void *)faults[i].plant);

		if (!words || !strstr(words, "check: ") || !strstr(words, faults[i].words))
			fail_msg("%s: %s", faults[i].name, words ? words : "not seen");
	}
}

/* debug_check: 2 looks after each operation, 1 at the end of a space, 0 never. */
static void operate(void *arg)
{
	tune.debug_check = (u32)(uintptr_t)arg;
	s->locked_pages++;
	vm_map(s, &(struct vm_map_args){ .length = PAGE_SIZE, .flags = RW });
}

static void end(void *arg)
{
	for (u32 cpu = 2; cpu--;) {
		fake_cpu_set(cpu);
		tlb_switch_space(NULL);
	}
	tune.debug_check = (u32)(uintptr_t)arg;
	s->locked_pages++;
	space_put(s);
}

static void when_it_looks(void **state)
{
	(void)state;
	assert_null(fake_last_words(operate, (void *)0));
	assert_null(fake_last_words(operate, (void *)1));
	assert_non_null(fake_last_words(operate, (void *)2));
	assert_null(fake_last_words(end, (void *)0));
	assert_non_null(fake_last_words(end, (void *)1));
	assert_non_null(fake_last_words(end, (void *)2));
}

/* A flush not done after each operation that needs one; then the page is used as before it. */
static void after_unmap(void) { u64 v; vm_unmap(s, va + PAGES(1), PAGE_SIZE); fake_load(s, va + PAGES(1), &v); }
static void after_dontneed(void)
{
	u64 v;

	vm_advise(s, va, PAGES(4), MADV_DONTNEED);
	fake_load(s, va + PAGES(3), &v);
}
static void after_protect(void) { vm_protect(s, va, PAGES(4), R_READ); fake_store(s, va, 1); }
static void after_barring(void) { u64 v; vm_protect(s, va, PAGES(4), 0); fake_load(s, va, &v); }
static void after_fork(void) { space_fork(s); fake_store(s, va, 1); }
static void after_move(void)
{
	u64 v;

	vm_remap(s, va, PAGES(2), PAGES(2), MREMAP_MAYMOVE | MREMAP_FIXED, AREA + GiB(1));
	fake_load(s, va, &v);
}
static void after_zero_write(void)
{
	fake_cpu_set(0);
	kit_store(s, va + PAGES(8), 5);
	fake_cpu_set(1);
	kit_load(s, va + PAGES(8));
}
static void after_truncation(void) { u64 v; pcache_resize(&file->cache, 0); fake_load(s, fileva, &v); }
static void after_map_over(void) { kit_anon(s, va, 4, RW); kit_load(s, va); }

static void drop_flush(void *operation)
{
	fake_drop_flushes = true;
	s->cpus = 0;				/* and no shootdown either */
	((void (*)(void))operation)();
}

static void keep_flush(void *operation)
{
	((void (*)(void))operation)();
}

static void no_flush_is_superfluous(void **state)
{
	static void (*const operations[])(void) = {
		after_dontneed, after_protect, after_barring, after_fork, after_zero_write, after_truncation, after_map_over,
		after_unmap, after_move,
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(operations); i++) {
		const char *words;

		fake_cpu_set(1);
		words = fake_last_words(drop_flush, (void *)operations[i]);
		if (!words || !strstr(words, "stale translation used"))
			fail_msg("operation %u without its flush: %s", i, words ? words : "not seen");
		words = fake_last_words(keep_flush, (void *)operations[i]);
		if (words)
			fail_msg("operation %u: %s", i, words);
	}
	fake_cpu_set(0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = { TEST(checker_fires), TEST(when_it_looks), TEST(no_flush_is_superfluous) };

	return KIT_RUN_EACH_FORK(tests);
}
