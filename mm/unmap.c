/* SPDX-License-Identifier: MIT */
/*
 * Owns: taking pages out of tables (zap), and regions out of a space (unmap).
 *
 * Zap knows nothing of regions: it clears the entries of a range for one space (share_zap), or, when a file
 * shrinks, where they stand, for every user of their table. Unmap first owns tables and splits regions
 * at the edges (which may fail), then cannot fail. Frames stay until the batch has flushed; and whoever changes regions
 * flushes before he lets go of the space, lest another thread be given an address that CPUs still remember.
 * Locks: zap takes table locks; unmap the space's.
 */
#include "kernel/base/errno.h"
#include "kernel/base/tunables.h"
#include "mm/check.h"
#include "mm/ptreclaim.h"
#include "mm/share.h"
#include "mm/unmap.h"
#include "mm/vm.h"

void vm_zap(struct space *s, struct tlb_batch *b, vaddr_t start, vaddr_t end)
{
	enum pt_reclaim policy = READ_ONCE(tune.pt_reclaim);

	s->peak.most -= share_zap(b, start, end, policy, true);
	if (unlikely(policy == PT_RECLAIM_DEFERRED || s->kept.n))
		reclaim_turn(s, b, policy);
}

void vm_zap_in_place(struct space *s, struct tlb_batch *b, vaddr_t start, vaddr_t end, struct pcache *c, bool copies)
{
	struct pt_piece p = PT_PIECE(s->root, start, end);

	b->everyone = true;	/* others may use these tables: a fork can come at any moment, we have not S's lock */
	while (pt_next(&p)) {
		if (!pt_lock(p.table)) {
			pt_again(&p);
			continue;
		}
		if (pt_find(s->root, p.va) != p.table) {	/* S has a copy by now */
			pt_unlock(p.table);
			pt_again(&p);
			continue;
		}
		(copies ? pt_clear : pt_clear_cached)(b, p.table, p.va, p.n);
		pt_unlock(p.table);
	}
	/* Only with S's lock, for its holder relies on empty tables staying linked (mremap). That lock comes before map_lock,
	 * hence it is tried: when it is held, the tables stay linked, and the next sweep of the range frees them. */
	if (READ_ONCE(tune.pt_reclaim) <= PT_RECLAIM_DEFERRED && spin_trylock(&s->lock)) {
		reclaim_cut(b, start, end, c);
		tlb_batch_finish(b);
		spin_unlock(&s->lock);
	}
}

int unmap_prepare(struct space *s, struct tlb_batch *b, vaddr_t start, vaddr_t end)
{
	int err = share_own_edges(b, start, end);

	return err ? err : region_split_edges(s, start, end);
}

/* Frees the tables of [start, end), just unmapped, that lie whole in the hole which is there now. */
static void free_hole(struct space *s, struct tlb_batch *b, vaddr_t start, vaddr_t end)
{
	struct region *next = region_at_or_above(s, end), *before = next ? region_prev(next) : region_last(s);
	vaddr_t from = MAX(ALIGN_DOWN(start, pt_span(2)), before ? ALIGN_UP(before->end, pt_span(2)) : 0);
	vaddr_t to = MIN(ALIGN_UP(end, pt_span(2)), next ? ALIGN_DOWN(next->start, pt_span(2)) : USER_END);

	if (from < to)
		reclaim_range(b, from, to, false);
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
	if (!any)
		return;
	vm_zap(s, b, start, end);
	if (unlikely(READ_ONCE(tune.pt_reclaim) > PT_RECLAIM_DEFERRED))
		free_hole(s, b, start, end);
}

long unmap_brk(struct space *s, vaddr_t addr, u64 length, vaddr_t brk)
{
	struct region *dropped = NULL;
	struct tlb_batch b;

	if (addr & ~PAGE_MASK || !length || addr >= USER_END || length > USER_END - addr)
		return -EINVAL;
	vaddr_t end = ALIGN_UP(addr + length, PAGE_SIZE);
	tlb_batch_begin(&b, s);
	space_change_begin(s);
	int err = unmap_prepare(s, &b, addr, end);
	if (!err)
		unmap_commit(s, &b, addr, end, &dropped);
	if (!err && brk)
		s->brk = brk;
	tlb_batch_finish(&b);
	space_change_end(s);
	region_free_list(dropped);
	check_after(s, false);
	return err;
}

long vm_unmap(struct space *s, vaddr_t addr, u64 length)
{
	return unmap_brk(s, addr, length, 0);
}
