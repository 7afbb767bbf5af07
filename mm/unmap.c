/* SPDX-License-Identifier: MIT */
/*
 * Owns: taking pages out of tables (zap), and regions out of a space (unmap).
 *
 * Zap knows nothing of regions: it clears entries, leaf table by leaf table, and lets go of tables
 * that became empty as pt_reclaim says. Unmap first splits at the edges (which may fail), then cannot
 * fail. Both keep frames until the batch has flushed. Locks: zap takes table locks; unmap the space's.
 */
#include "kernel/base/errno.h"
#include "kernel/base/tunables.h"
#include "mm/check.h"
#include "mm/unmap.h"
#include "mm/vm.h"

static void zap(struct space *s, struct tlb_batch *b, vaddr_t start, vaddr_t end,
		void (*clear)(struct tlb_batch *b, struct frame *t, vaddr_t va, unsigned n))
{
	struct pt_piece p = PT_PIECE(s->root, start, end);

	while (pt_next(&p)) {
		if (!pt_lock(p.table)) {
			pt_again(&p);
			continue;
		}
		clear(b, p.table, p.va, p.n);
		bool empty = !pt_live(p.table);
		pt_unlock(p.table);
		if (empty && tune.pt_reclaim == PT_RECLAIM_ALWAYS)
			pt_unlink_empty(b, p.va);
	}
}

void vm_zap(struct space *s, struct tlb_batch *b, vaddr_t start, vaddr_t end)
{
	zap(s, b, start, end, pt_clear);
}

void vm_zap_cached(struct space *s, struct tlb_batch *b, vaddr_t start, vaddr_t end)
{
	zap(s, b, start, end, pt_clear_cached);
}

int unmap_prepare(struct space *s, vaddr_t start, vaddr_t end)
{
	struct region *r = region_at_or_above(s, start);
	int err = 0;

	if (r && r->start < start)
		err = region_split(s, r, start);
	if (!err && (r = region_at_or_above(s, end - 1)) && r->start < end)
		err = region_split(s, r, end);
	return err;
}

void unmap_commit(struct space *s, struct tlb_batch *b, vaddr_t start, vaddr_t end, struct region **dropped)
{
	struct region *r = region_at_or_above(s, start);
	bool any = false;

	while (r && r->start < end) {
		struct region *next = region_next(r);

		region_remove(s, r);
		r->next_free = *dropped;
		*dropped = r;
		r = next;
		any = true;
	}
	if (any)
		vm_zap(s, b, start, end);
}

long vm_unmap(struct space *s, vaddr_t addr, u64 length)
{
	struct region *dropped = NULL;
	struct tlb_batch b;

	if (addr & ~PAGE_MASK || !length || addr >= USER_END || length > USER_END - addr)
		return -EINVAL;
	vaddr_t end = ALIGN_UP(addr + length, PAGE_SIZE);
	tlb_batch_begin(&b, s);
	space_change_begin(s);
	int err = unmap_prepare(s, addr, end);
	if (!err)
		unmap_commit(s, &b, addr, end, &dropped);
	space_change_end(s);
	tlb_batch_finish(&b);
	region_free_list(dropped);
	check_after(s, false);
	return err;
}
