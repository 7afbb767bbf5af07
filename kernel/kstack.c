/* SPDX-License-Identifier: MIT */
/*
 * Owns: kernel stacks: KSTACK_PAGES pages of kernel address space each, with a page below that is never
 * mapped, so that an overflow is a double fault and not silent damage.
 *
 * The area at KVA_BASE is cut into slots; a bit says that a slot is in use, mapped or kept. Each CPU keeps
 * a few stacks mapped for the next thread. Lock: slots_lock (RANK_KMEM) for the bits; the CPU's own stacks
 * need none.
 */
#include "arch/machine.h"
#include "kernel/thread.h"
#include "mm/pgtable.h"

#define SLOT_PAGES (KSTACK_PAGES + 1)
#define NR_SLOTS (PID_MAX + 64UL * 8)
#define KEPT 4

static struct spinlock slots_lock = SPINLOCK(RANK_KMEM);
static u64 used[NR_SLOTS / 64];
static unsigned first_word;		/* no word before it has a free slot */

static DEFINE_PERCPU(struct { u32 n; u64 top[KEPT]; }, kept_stacks);

static u64 slot_base(unsigned slot)
{
	return KVA_BASE + slot * SLOT_PAGES * PAGE_SIZE + PAGE_SIZE;
}

static int slot_take(void)
{
	int slot = -1;

	spin_lock(&slots_lock);
	for (; first_word < ARRAY_SIZE(used); first_word++)
		if (~used[first_word]) {
			unsigned bit = __builtin_ctzl(~used[first_word]);

			used[first_word] |= 1UL << bit;
			slot = first_word * 64 + bit;
			break;
		}
	spin_unlock(&slots_lock);
	return slot;
}

static void slot_give(unsigned slot)
{
	spin_lock(&slots_lock);
	used[slot / 64] &= ~(1UL << slot % 64);
	if (slot / 64 < first_word)
		first_word = slot / 64;
	spin_unlock(&slots_lock);
}

u64 kstack_alloc(void)
{
	__auto_type kept = this_cpu_ptr(kept_stacks);
	int slot;

	if (kept->n)
		return kept->top[--kept->n];
	slot = slot_take();
	if (slot < 0)
		return 0;
	if (pt_map_kernel(slot_base(slot), KSTACK_PAGES)) {
		slot_give(slot);
		return 0;
	}
	return slot_base(slot) + KSTACK_PAGES * PAGE_SIZE;
}

static void stack_unmap(u64 top)
{
	u64 base = top - KSTACK_PAGES * PAGE_SIZE;

	pt_unmap_kernel(base, KSTACK_PAGES);
	slot_give((base - KVA_BASE) / (SLOT_PAGES * PAGE_SIZE));
}

void kstack_free(u64 top)
{
	__auto_type kept = this_cpu_ptr(kept_stacks);

	if (kept->n < KEPT)
		kept->top[kept->n++] = top;
	else
		stack_unmap(top);
}

void kstack_drain(void)
{
	__auto_type kept = this_cpu_ptr(kept_stacks);

	while (kept->n)
		stack_unmap(kept->top[--kept->n]);
}
