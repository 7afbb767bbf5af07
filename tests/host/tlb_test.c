/* SPDX-License-Identifier: MIT */
/* Tests of mm/tlb.c: what is flushed, where, and that nothing is freed before; and of the fake TLB itself. */
#include "kit.h"
#include "arch/tlb.h"

#define AREA 0x40000000UL

static void one_by_one_then_all(void **state)
{
	struct space *s = kit_space();
	struct tlb_batch b;

	(void)state;
	tlb_switch_space(s);
	for (unsigned n = 0; n <= TLB_BATCH_PAGES + 3; n++) {
		u64 one = counter_sum(C_nr_tlb_local_flush_one), all = counter_sum(C_nr_tlb_local_flush_all);

		tlb_batch_begin(&b, s);
		for (unsigned i = 0; i < n; i++)
			tlb_batch_page(&b, AREA + PAGES(i));
		tlb_batch_finish(&b);
		assert_int_equal(b.nr_pages, 0);
		assert_int_equal(counter_sum(C_nr_tlb_local_flush_one) - one, n <= TLB_BATCH_PAGES ? n : 0);
		assert_int_equal(counter_sum(C_nr_tlb_local_flush_all) - all, n > TLB_BATCH_PAGES);
	}
	assert_int_equal(moved(tlb_batches, (tlb_batch_begin(&b, s), tlb_batch_finish(&b))), 0);	/* nothing to do */
	kit_space_end(s);
}

static void where_it_is_flushed(void **state)
{
	struct space *s = kit_space(), *other = kit_space();
	struct tlb_batch b;

	(void)state;
	for (u32 cpu = 1; cpu <= 3; cpu++) {
		fake_cpu_set(cpu);
		tlb_switch_space(s);
	}
	assert_int_equal(s->cpus, 2 | 4 | 8);
	fake_cpu_set(2);
	tlb_switch_space(other);
	assert_int_equal(s->cpus, 2 | 8);
	assert_int_equal(other->cpus, 4);
	tlb_batch_begin(&b, s);
	tlb_batch_page(&b, AREA);
	assert_int_equal(moved(nr_tlb_remote_flush, tlb_batch_flush(&b)), 1);
	tlb_batch_begin(&b, other);
	tlb_batch_page(&b, AREA);
	assert_int_equal(moved(nr_tlb_remote_flush, tlb_batch_flush(&b)), 0);
	tlb_switch_space(NULL);
	assert_int_equal(other->cpus, 0);
	tlb_batch_begin(&b, other);
	tlb_batch_page(&b, AREA);
	assert_int_equal(moved(nr_tlb_local_flush_one, tlb_batch_flush(&b)), 0);	/* runs nowhere */
	kit_space_end(s);
	kit_space_end(other);
}

static void frees_follow_the_flush(void **state)
{
	struct space *s = kit_space();
	struct tlb_batch b;
	struct frame *f[2 * TLB_BATCH_FRAMES], *t = frame_alloc_zeroed(FRAME_TABLE);
	u64 before = frame_nr_free();
	u32 born[2 * TLB_BATCH_FRAMES];

	(void)state;
	memset(t->table.count, 0, sizeof(t->table.count));
	tlb_batch_begin(&b, s);
	for (unsigned i = 0; i < ARRAY_SIZE(f); i++) {
		f[i] = frame_alloc(FRAME_ANON);
		born[i] = fake_generation(f[i]);
		tlb_batch_page(&b, AREA + PAGES(i));
		tlb_batch_frame(&b, f[i]);		/* flushes by itself when it is full */
		assert_int_equal(fake_generation(f[i]), born[i]);
	}
	tlb_batch_table(&b, t);
	assert_int_equal(t->kind, FRAME_TABLE);
	for (unsigned i = 0; i < ARRAY_SIZE(f); i++)
		assert_int_equal(fake_generation(f[i]) != born[i], i < TLB_BATCH_FRAMES);
	tlb_batch_finish(&b);
	assert_int_equal(t->kind, FRAME_FREE);
	assert_int_equal(frame_nr_free(), before + 1);
	kit_space_end(s);
}

/* A frame held elsewhere too loses one hold and stays. */
static void shared_frames_stay(void **state)
{
	struct space *s = kit_space();
	struct frame *f = frame_alloc(FRAME_ANON);
	struct tlb_batch b;

	(void)state;
	frame_get(f);
	tlb_batch_begin(&b, s);
	tlb_batch_frame(&b, f);
	tlb_batch_finish(&b);
	assert_int_equal(f->refs, 1);
	assert_int_equal(f->kind, FRAME_ANON);
	frame_put(f);
	kit_space_end(s);
}

/* --- idle CPUs, and PCIDs --------------------------------------------------------------------------- */

static struct space *space;

/* CPU 1 has stored at AREA in S and has nothing to do; we are CPU 2, in S. */
static void one_idle(struct space *s)
{
	kit_anon(s, AREA, 1024, RW);
	fake_cpu_set(1);
	kit_store(s, AREA, 7);
	tlb_idle();
	fake_cpu_set(2);
	kit_store(s, AREA + PAGE_SIZE, 8);
}

static void idle_is_spared(void **state)
{
	struct space *s = kit_space();
	u64 rounds = counter_sum(C_nr_tlb_remote_flush);

	(void)state;
	one_idle(s);
	assert_int_equal(moved(tlb_idle_spared, vm_advise(s, AREA, PAGE_SIZE, MADV_DONTNEED)), 1);
	assert_int_equal(counter_sum(C_nr_tlb_remote_flush), rounds);
	assert_int_equal(s->cpus, 2 | 4);
	fake_cpu_set(1);
	assert_int_equal(moved(nr_tlb_local_flush_all, tlb_switch_space(s)), 1);
	want_load(s, AREA, 0);
	tlb_idle();
	assert_int_equal(moved(nr_tlb_local_flush_all, tlb_switch_space(s)), 0);	/* nothing has changed */
	tlb_idle();
	fake_cpu_set(2);
	assert_int_equal(moved(nr_tlb_remote_flush, vm_unmap(s, AREA, MiB(2))), 1);	/* a table goes */
	assert_int_equal(s->cpus, 4);
	kit_space_end(s);
}

static void idle_leaves_what_ends(void **state)
{
	struct space *s = kit_space();

	(void)state;
	one_idle(s);
	tlb_idle();			/* both CPUs are */
	space_put(s);
	assert_int_equal(moved(tlb_switches, tlb_switch_space(NULL)), 0);
}

/* A CPU that was on S, or idles there, and comes back: sees what S has forgotten since, though nobody told it. */
static void away_and_back(struct space *s, struct space *other)
{
	fake_cpu_set(1);
	kit_store(s, AREA, 7);
	want_load(s, AREA + PAGE_SIZE, 0);	/* so that the table stays */
	other ? tlb_switch_space(other) : tlb_idle();
	fake_cpu_set(2);
	tlb_switch_space(s);
	vm_advise(s, AREA, PAGE_SIZE, MADV_DONTNEED);
}

static void back_unaware(void *other)
{
	away_and_back(space, other);
	space->flushes--;			/* as if nobody had counted it */
	fake_cpu_set(1);
	kit_load(space, AREA);
}

static void pcids(void **state)
{
	struct space *a = space = kit_space(), *other[8];

	(void)state;
	arch_pcids = true;
	kit_anon(a, AREA, 1024, RW);
	for (unsigned i = 0; i < ARRAY_SIZE(other); i++)
		kit_anon(other[i] = kit_space(), AREA, 4, RW);
	fake_cpu_set(1);
	kit_store(a, AREA, 1);
	tlb_switch_space(other[0]);
	assert_int_equal(moved(tlb_switches_kept, tlb_switch_space(a)), 1);
	want_load(a, AREA, 1);
	away_and_back(a, other[0]);
	fake_cpu_set(1);
	assert_int_equal(moved(tlb_switches_kept, tlb_switch_space(a)), 0);
	want_load(a, AREA, 0);
	for (unsigned round = 0; round < 3; round++)		/* more than a CPU can know */
		for (unsigned i = 0; i < ARRAY_SIZE(other); i++) {
			want_load(other[i], AREA, round);
			kit_store(other[i], AREA, round + 1);
		}
	want_load(a, AREA, 0);
	for (unsigned i = 0; i < ARRAY_SIZE(other); i++)	/* a new space at the place of an old one */
		kit_space_end(other[i]);
	other[0] = kit_space();
	kit_anon(other[0], AREA, 4, RW);
	want_load(other[0], AREA, 0);
	assert_non_null(strstr(fake_last_words(back_unaware, other[0]), "stale translation used"));
	kit_space_end(other[0]);
	kit_space_end(a);
	arch_pcids = false;
}

/* With one CPU, what it forgets of the space that it is on is not counted: nobody could ask. What a space forgets
 * while it is on another is. */
static void only_cpu(void **state)
{
	struct space *a = kit_space(), *b = kit_space();
	struct tlb_batch batch;

	(void)state;
	arch_pcids = true;
	fake_cpu_set(0);
	nr_cpus = 1;
	for (unsigned pages = 1; pages <= 2 * TLB_BATCH_PAGES; pages *= 2) {
		kit_anon(a, AREA, 64, RW);
		kit_anon(b, AREA, 64, RW);
		for (unsigned i = 0; i < pages; i++) {
			kit_store(b, AREA + PAGES(i), 1);
			kit_store(a, AREA + PAGES(i), 1);
		}
		u64 number = a->flushes;
		vm_advise(a, AREA, PAGES(pages), MADV_DONTNEED);
		want_load(a, AREA, 0);				/* on it */
		assert_int_equal(a->flushes, number);
		vm_advise(b, AREA, PAGES(pages), MADV_DONTNEED);	/* on the other */
		assert_int_equal(moved(tlb_switches_kept, want_load(b, AREA, 0)), 0);
		assert_int_equal(moved(tlb_switches_kept, tlb_switch_space(a)), 1);
		tlb_batch_begin(&batch, a);
		batch.everyone = true;
		tlb_batch_page(&batch, AREA);
		tlb_batch_finish(&batch);
		assert_int_equal(moved(tlb_switches_kept, tlb_switch_space(b)), 0);
		vm_unmap(a, AREA, PAGES(64));
		vm_unmap(b, AREA, PAGES(64));
	}
	nr_cpus = MAX_CPUS;
	kit_space_end(a);
	kit_space_end(b);
	arch_pcids = false;
}

static void back_from_idle(void **state)
{
	(void)state;
	space = kit_space();
	kit_anon(space, AREA, 1024, RW);
	assert_non_null(strstr(fake_last_words(back_unaware, NULL), "stale translation used"));
	away_and_back(space, NULL);
	fake_cpu_set(1);
	want_load(space, AREA, 0);
	kit_space_end(space);
}

/* From here on: does the fake TLB see what it should? Each of these must be found. */
static void stale_page(void *arg)
{
	struct frame *t = pt_find(space->root, AREA);

	(void)arg;
	kit_store(space, AREA, 7);
	*pt_slot(t, AREA) = 0;			/* behind the gate, no flush */
	kit_load(space, AREA);
}

static void stale_rights(void *arg)
{
	struct frame *t = pt_find(space->root, AREA);

	(void)arg;
	kit_store(space, AREA, 7);
	*pt_slot(t, AREA) = pte_set_write(*pt_slot(t, AREA), false);
	kit_store(space, AREA, 8);
}

static void stale_table(void *arg)
{
	struct tlb_batch b;

	(void)arg;
	want_load(space, AREA + PAGES(1), 0);	/* the upper entry is remembered */
	fake_drop_flushes = true;
	tlb_batch_begin(&b, space);
	vm_zap(space, &b, AREA, AREA + MiB(2));
	tlb_batch_finish(&b);
	kit_load(space, AREA + PAGES(9));
}

static void flush_dropped(void *arg)
{
	(void)arg;
	kit_store(space, AREA, 7);
	fake_drop_flushes = true;
	vm_advise(space, AREA, PAGE_SIZE, MADV_DONTNEED);
	kit_load(space, AREA);
}

static void cpu_forgotten(void *arg)
{
	(void)arg;
	fake_cpu_set(1);
	kit_store(space, AREA, 7);
	fake_cpu_set(2);
	space->cpus = 0;			/* mm/ does not know that CPU 1 runs here */
	vm_advise(space, AREA, PAGE_SIZE, MADV_DONTNEED);
	fake_cpu_set(1);
	kit_load(space, AREA);
}

static void root_freed(void *arg)
{
	(void)arg;
	kit_store(space, AREA, 7);
	space_put(space);			/* and this CPU still runs on it */
}

static void to_itself(void *arg)
{
	(void)arg;
	arch_tlb_shootdown(1UL << fake_cpu, &(struct tlb_request){ .count = 0 });
}

static void the_model_sees(void **state)
{
	static void (*const fault[])(void *) = { stale_page, stale_rights, stale_table, flush_dropped, cpu_forgotten };

	(void)state;
	space = kit_space();
	kit_anon(space, AREA, 512, RW);
	kit_store(space, AREA, 1);
	for (unsigned i = 0; i < ARRAY_SIZE(fault); i++) {
		const char *words = fake_last_words(fault[i], NULL);

		assert_non_null(words);
		if (!strstr(words, "stale translation used"))
			fail_msg("fault %u: %s", i, words);
	}
	assert_non_null(strstr(fake_last_words(root_freed, NULL), "cpus"));
	assert_non_null(strstr(fake_last_words(to_itself, NULL), "to itself"));
	want_load(space, AREA, 1);
	kit_space_end(space);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		KIT_TEST(one_by_one_then_all), KIT_TEST(where_it_is_flushed), KIT_TEST(frees_follow_the_flush),
		KIT_TEST(shared_frames_stay), KIT_TEST(the_model_sees),
		KIT_TEST(idle_is_spared), KIT_TEST(idle_leaves_what_ends), KIT_TEST(back_from_idle), KIT_TEST(pcids),
		KIT_TEST(only_cpu),
	};

	return KIT_RUN(tests);
}
