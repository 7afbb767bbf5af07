/* SPDX-License-Identifier: MIT */
/*
 * Owns: what fork() does to memory, as fork_share says.
 *
 * all, leaf: the child gets a copy of each region and uses its parent's tables (mm/share.c); then it lets go of
 * what it is not to see (DONTFORK, WIPEONFORK). none, as a classic kernel: it gets a copy of each entry
 * that maps anonymous memory; both sides lose the write bit, so that the first to write copies the page
 * (fault_cow); pages of files are not copied, a fault finds them in the page cache. The parent's threads may still write through their TLBs until
 * the flush at the end, which is before fork returns. Lock: the parent's, so that its regions stay put.
 */
#include "arch/cpu.h"
#include "kernel/base/counters.h"
#include "kernel/base/errno.h"
#include "kernel/base/tunables.h"
#include "mm/ptreclaim.h"
#include "mm/share.h"

/* Copies the entries of region R from PARENT to CHILD. -ENOMEM. */
static int copy_tables(struct tlb_batch *b, struct space *parent, struct space *child, struct region *r)
{
	struct pt_piece p = PT_PIECE(parent->root, r->start, r->end);

	while (pt_next(&p)) {
		if (!READ_ONCE(p.table->table.count[PTE_CLASS_ANON]))
			continue;
		struct frame *to = pt_make(child, p.va);

		if (!to)
			return -ENOMEM;
		if (!pt_lock(p.table)) {
			pt_again(&p);
			continue;
		}
		spin_lock_nested(&to->table.lock);
		pt_copy_private(b, p.table, to, p.va, p.n);
		pt_unlock(to);
		pt_unlock(p.table);
		if (unlikely(!pt_live(to)))
			pt_roll_back(child, p.va);	/* its anonymous pages are another region's */
		count(pt_copied);
	}
	return 0;
}

static int copy_region(struct tlb_batch *b, struct space *parent, struct space *child, struct region *r)
{
	struct region *copy = region_alloc();

	if (!copy)
		return -ENOMEM;
	*copy = *r;
	copy->flags &= ~R_LOCKED;
	if (copy->cache)
		copy->cache->ops->get(copy->cache);
	region_insert(child, copy);
	if (tune.fork_share != FORK_SHARE_NONE || r->flags & (R_SHARED | R_WIPEONFORK))
		return 0;
	return copy_tables(b, parent, child, r);
}

/* The child's tables are its parent's; what the child must not see of them leaves it again. */
static int share_and_hide(struct tlb_batch *b, struct space *parent, struct space *child)
{
	struct tlb_batch mine;
	int err = share_fork(b, parent, child);

	tlb_batch_begin(&mine, child);
	for (struct region *r = region_at_or_above(parent, 0); r && !err; r = region_next(r))
		if (r->flags & (R_DONTFORK | R_WIPEONFORK)) {
			err = share_own_edges(&mine, r->start, r->end);
			if (!err)
				share_zap(&mine, r->start, r->end, PT_RECLAIM_ALWAYS);
		}
	tlb_batch_finish(&mine);
	return err;
}

static struct space *fork_once(struct space *parent)
{
	struct space *child = space_create();
	struct tlb_batch b;
	int err = 0;

	if (!child)
		return NULL;
	tlb_batch_begin(&b, parent);
	spin_lock(&parent->lock);
	struct region *r = region_at_or_above(parent, 0);
	for (; r && !err; r = region_next(r))
		if (!(r->flags & R_DONTFORK))
			err = copy_region(&b, parent, child, r);
	if (!err && tune.fork_share != FORK_SHARE_NONE)
		err = share_and_hide(&b, parent, child);
	child->limit_as = parent->limit_as;
	child->limit_data = parent->limit_data;
	child->limit_stack = parent->limit_stack;
	child->mmap_top = parent->mmap_top;
	child->brk_start = parent->brk_start;
	child->brk = parent->brk;
	child->code_start = parent->code_start;
	child->code_end = parent->code_end;
	child->data_start = parent->data_start;
	child->data_end = parent->data_end;
	child->stack_start = parent->stack_start;
	child->arg_start = parent->arg_start;
	child->arg_end = parent->arg_end;
	child->env_start = parent->env_start;
	child->env_end = parent->env_end;
	spin_unlock(&parent->lock);
	tlb_batch_finish(&b);
	count(fork_spaces);
	if (err) {
		space_put(child);
		return NULL;
	}
	return child;
}

struct space *space_fork(struct space *parent)
{
	struct space *child = fork_once(parent);

	return child || !reclaim_all() ? child : fork_once(parent);
}
