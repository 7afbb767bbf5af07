/* SPDX-License-Identifier: MIT */
/*
 * Owns: the end of a batch: flush here, flush elsewhere, and only then free.
 *
 * A CPU is in space->cpus from before it loads the root until after it has loaded another, so whoever
 * has changed a table and then reads the mask misses no CPU that could still use the old entry.
 */
#include "mm/tlb.h"
#include "arch/tlb.h"
#include "kernel/base/counters.h"
#include "mm/limbo.h"
#include "mm/pgtable.h"
#include "mm/space.h"

static DEFINE_PERCPU(struct space *, tlb_space);	/* whose tables this CPU walks; NULL: the kernel's */

static void flush_here(const struct tlb_batch *b)
{
	if (b->nr_pages > TLB_BATCH_PAGES) {
		count(nr_tlb_local_flush_all);
		arch_tlb_flush_all();
		return;
	}
	count_add(nr_tlb_local_flush_one, b->nr_pages);
	for (unsigned i = 0; i < b->nr_pages; i++)
		arch_tlb_flush_page(b->page[i]);
}

/* Has every CPU that may use B's space forget what B names. */
static void flush_everywhere(const struct tlb_batch *b)
{
	u64 me = 1UL << this_cpu(cpu_number);
	u64 cpus = b->space && !b->everyone ? __atomic_load_n(&b->space->cpus, __ATOMIC_SEQ_CST) : ~0UL >> (64 - nr_cpus);

	if (cpus & me)
		flush_here(b);
	if (unlikely(cpus & ~me)) {
		count(nr_tlb_remote_flush);
		arch_tlb_shootdown(cpus & ~me, b->page, b->nr_pages > TLB_BATCH_PAGES ? 0 : b->nr_pages);
	}
}

void tlb_batch_flush(struct tlb_batch *b)
{
	count(tlb_batches);
	if (b->nr_pages)
		flush_everywhere(b);
	b->nr_pages = 0;
	if (b->nr_frames)
		frame_put_many(b->frame, b->nr_frames);
	b->nr_frames = 0;
	while (b->tables) {
		struct frame *t = b->tables;

		b->tables = t->doomed.next;
		if (nr_cpus > 1) {
			limbo_table(t);
			continue;
		}
		count(pt_free);
		frame_free_zeroed(t);
	}
}

void tlb_switch_space(struct space *s)
{
	struct space *old = this_cpu(tlb_space);

	if (old == s)
		return;
	u64 me = 1UL << this_cpu(cpu_number);
	if (s)
		__atomic_fetch_or(&s->cpus, me, __ATOMIC_SEQ_CST);
	count(tlb_switches);
	arch_load_root(frame_pa(s ? s->root : pt_kernel_root));
	this_cpu(tlb_space) = s;
	if (old)
		__atomic_fetch_and(&old->cpus, ~me, __ATOMIC_SEQ_CST);
}
