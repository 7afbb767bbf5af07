/* SPDX-License-Identifier: MIT */
/*
 * Owns: the end of a batch: flush here, flush elsewhere, and only then free; and whose tables each CPU walks.
 *
 * Who must be told. space->flushes counts what a space was told to forget; a CPU keeps, for the space that it
 * is on and with PCIDs for some that it was on, how much of that it has obeyed (`seen`). A CPU is in
 * space->cpus from before it loads the root until after it has loaded another. Who flushes has changed the
 * tables, adds to flushes, then reads cpus and `idle`; who comes adds itself to cpus or takes `idle` back,
 * then reads flushes, each in one total order. So either the one who flushes sees the other and
 * interrupts it, or the other sees the number and forgets all it knew of the space as it comes.
 *
 * Idle. A CPU that has nothing to run, or a kernel thread, stays on the root that it has: who comes next is
 * often the same. It uses no address of the user half, so it need not be told of changed leaves: it finds
 * out by the number. But hardware walks ahead on its own, and sets accessed bits as it goes: a table may
 * not be freed while it can. So where an upper entry loses something (batch->upper) idle CPUs are told too,
 * and leave for the kernel's root. The same gets them off a space that ends.
 *
 * Alone. The only CPU, on the space itself, forgets at once and adds nothing: nobody is left to find out by the number.
 *
 * PCIDs. What was cached under one that is not current is not used, nor walked by; `seen` decides when it is
 * current again. What concerns all spaces (space NULL) is told to every CPU, which then keeps no other.
 */
#include "mm/tlb.h"
#include "arch/tlb.h"
#include "kernel/base/counters.h"
#include "kernel/base/print.h"
#include "mm/check.h"
#include "mm/limbo.h"
#include "mm/pgtable.h"
#include "mm/space.h"

#define SLOTS 6				/* spaces that a CPU knows, with PCIDs 1.. */

struct slot { u64 id, seen; };		/* space->id, 0: none */

struct cpu_tlb {
	struct space *space;		/* whose root is loaded; NULL: the kernel's */
	bool idle;			/* and not in use; others read it */
	u32 slot, turn;			/* that space's; which is next to be given away */
	struct slot slots[SLOTS];
};
static DEFINE_PERCPU(struct cpu_tlb, cpu_tlb) __attribute__((aligned(64)));

bool tlb_is_idle(u32 cpu)
{
	return __atomic_load_n(&cpu_ptr(cpu_tlb, cpu)->idle, __ATOMIC_SEQ_CST);
}

static u64 own_bit(void)
{
	return 1UL << this_cpu(cpu_number);
}

/* The running CPU forgets N pages at VA, or all when N is 0. */
static __always_inline void forget(const vaddr_t *va, unsigned n)
{
	if (unlikely(!n))
		arch_tlb_flush_all();
	for (unsigned i = 0; i < n; i++)
		arch_tlb_flush_page(va[i]);
}

/* Flushes of the running CPU by R. */
static void obey(const struct tlb_request *r)
{
	struct cpu_tlb *t = this_cpu_ptr(cpu_tlb);
	struct slot *slot = &t->slots[t->slot];

	for (u32 i = 0; !r->space && i < SLOTS; i++)
		if (i != t->slot || !t->space)
			t->slots[i].id = 0;
	forget(r->va, r->count);
	if (r->space && r->space == t->space && (slot->seen + 1 == r->number || (!r->count && slot->seen < r->number)))
		slot->seen = r->number;
}

static void load(struct cpu_tlb *t, struct space *s)
{
	struct space *old = t->space;

	count(tlb_switches);
	__atomic_store_n(&t->idle, false, __ATOMIC_RELEASE);	/* before it is in the new one's mask */
	if (s) {
		__atomic_fetch_or(&s->cpus, own_bit(), __ATOMIC_SEQ_CST);
		u64 now = __atomic_load_n(&s->flushes, __ATOMIC_SEQ_CST);
		u32 i = 0;

		while (arch_pcids && i < SLOTS && t->slots[i].id != s->id)
			i++;
		if (i == SLOTS)
			i = t->turn++ % SLOTS;
		bool keep = arch_pcids && t->slots[i].id == s->id && t->slots[i].seen == now;
		t->slots[i] = (struct slot){ s->id, now };
		t->slot = i;
		arch_load_root(frame_pa(s->root), i + 1, keep);
		if (keep)
			count(tlb_switches_kept);
	} else {
		arch_load_root(frame_pa(pt_kernel_root), 0, false);
	}
	t->space = s;
	if (old)
		__atomic_fetch_and(&old->cpus, ~own_bit(), __ATOMIC_SEQ_CST);
}

void tlb_answer(const struct tlb_request *r)
{
	struct cpu_tlb *t = this_cpu_ptr(cpu_tlb);

	count(nr_tlb_remote_flush_received);
	if (r->count)
		count_add(tlb_remote_pages, r->count);
	else
		count(tlb_remote_all);
	obey(r);
	if (r->upper && t->idle)
		load(t, NULL);
}

static void tell_others(const struct tlb_request *r, u64 cpus)
{
	for (u64 left = r->upper || !r->space ? 0 : cpus; left; left &= left - 1)
		if (tlb_is_idle((u32)__builtin_ctzl(left))) {
			cpus &= ~(left & -left);
			count(tlb_idle_spared);
		}
	if (!cpus)
		return;
	count(nr_tlb_remote_flush);
	arch_tlb_shootdown(cpus, r);
}

/* This CPU is about to forget N pages, 0: all. */
static __always_inline void count_here(unsigned n)
{
	if (likely(n))
		count_add(nr_tlb_local_flush_one, n);
	else
		count(nr_tlb_local_flush_all);
}

/* Has every CPU that may use B's space forget N pages of B, 0: all. */
static __noinline void flush_everywhere(const struct tlb_batch *b, unsigned n)
{
	if (b->everyone)
		n = 0;			/* others may have the table at another address */
	struct tlb_request r = { .space = b->everyone ? NULL : b->space, .va = b->page, .upper = b->upper, .count = n };
	u64 cpus = ~0UL >> (64 - nr_cpus);

	if (r.space) {
		r.number = __atomic_add_fetch(&r.space->flushes, 1, __ATOMIC_SEQ_CST);
		cpus = __atomic_load_n(&r.space->cpus, __ATOMIC_SEQ_CST);
	}
	if (cpus & own_bit()) {
		count_here(n);
		obey(&r);
	}
	if (unlikely(cpus & ~own_bit()))
		tell_others(&r, cpus & ~own_bit());
}

void tlb_batch_flush(struct tlb_batch *b)
{
	count(tlb_batches);
	if (b->nr_pages) {
		unsigned n = b->nr_pages;

		if (n > TLB_BATCH_PAGES)
			n = 0;
		if (nr_cpus == 1 && b->space && b->space == this_cpu(cpu_tlb).space && !b->everyone) {
			count_here(n);
			forget(b->page, n);
		} else {
			flush_everywhere(b, n);
		}
	}
	b->nr_pages = 0;
	b->upper = false;
	if (b->nr_frames)
		frame_put_many(b->frame, b->nr_frames);
	b->nr_frames = 0;
	while (b->tables) {
		struct frame *t = b->tables;

		b->tables = t->doomed.next;
		if (nr_cpus > 1) {
			if (unlikely(lock_debug))
				check_unlinked(b->space, t);
			limbo_table(t);
			continue;
		}
		count(pt_free);
		frame_free_zeroed(t);
	}
}

void tlb_switch_space(struct space *s)
{
	struct cpu_tlb *t = this_cpu_ptr(cpu_tlb);

	if (t->space != s) {
		load(t, s);
	} else if (t->idle) {
		__atomic_store_n(&t->idle, false, __ATOMIC_SEQ_CST);
		u64 now = __atomic_load_n(&s->flushes, __ATOMIC_SEQ_CST);

		if (t->slots[t->slot].seen == now)
			return;
		t->slots[t->slot].seen = now;
		count(nr_tlb_local_flush_all);
		arch_tlb_flush_all();
	}
}

void tlb_idle(void)
{
	struct cpu_tlb *t = this_cpu_ptr(cpu_tlb);

	__atomic_store_n(&t->idle, t->space != NULL, __ATOMIC_RELEASE);
}

void tlb_begin_space(struct space *s)
{
	static u64 last;

	s->id = __atomic_add_fetch(&last, 1, __ATOMIC_RELAXED);
}

void tlb_end_space(struct space *s)
{
	struct tlb_request r = { .space = s, .upper = true };
	u64 cpus = __atomic_load_n(&s->cpus, __ATOMIC_SEQ_CST);

	if (likely(!cpus))
		return;
	if (cpus & own_bit() && this_cpu_ptr(cpu_tlb)->idle)
		load(this_cpu_ptr(cpu_tlb), NULL);
	if (cpus & ~own_bit())
		tell_others(&r, cpus & ~own_bit());
	BUG_ON(__atomic_load_n(&s->cpus, __ATOMIC_SEQ_CST));
}
