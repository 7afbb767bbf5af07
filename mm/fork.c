/* SPDX-License-Identifier: MIT */
/*
 * Owns: what fork() does to memory, as fork_share says.
 *
 * The child gets a copy of each region. all, leaf: it uses its parent's tables (mm/share.c). none, as a classic
 * kernel: it gets a copy of each entry that maps anonymous memory; both sides lose the write bit, so that the
 * first to write copies the page (fault_cow); pages of files are not copied, a fault finds them in the page
 * cache. Then it lets go of what it is not to see or have (WIPEONFORK, DONTFORK). The parent's threads may still
 * write through their TLBs until the flush at the end, so none of them may copy a page meanwhile, or what is written
 * to it is lost: the parent's seq is odd. The flush is before the parent's lock goes, as a fork that follows finds
 * nothing to protect, and flushes nothing. Locks: the parent's, so that its regions stay put; then the child's.
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

/* What CHILD is not to see of the memory it has got leaves it again, and so do the regions it is not to have: to *DROPPED. */
static int hide_special(struct space *child, struct region **dropped)
{
	struct region *next;
	struct tlb_batch b;
	int err = 0;

	tlb_batch_begin(&b, child);
	for (struct region *r = region_at_or_above(child, 0); r && !err; r = next) {
		next = region_next(r);
		if (!(r->flags & (R_DONTFORK | R_WIPEONFORK)))
			continue;
		err = share_own_edges(&b, r->start, r->end);
		if (err)
			break;
		share_zap(&b, r->start, r->end, PT_RECLAIM_ALWAYS, false);
		if (r->flags & R_DONTFORK) {
			region_remove(child, r);
			r->next_free = *dropped;
			*dropped = r;
		}
	}
	tlb_batch_finish(&b);
	return err;
}

static int copy_all_tables(struct tlb_batch *b, struct space *parent, struct space *child)
{
	int err = 0;

	for (struct region *r = region_at_or_above(parent, 0); r && !err; r = region_next(r))
		if (!(r->flags & (R_SHARED | R_DONTFORK | R_WIPEONFORK)))
			err = copy_tables(b, parent, child, r);
	return err;
}

static struct space *fork_once(struct space *parent)
{
	struct space *child = space_create();
	struct region *dropped = NULL;
	struct tlb_batch b;
	u32 flags;
	int err;

	if (!child)
		return NULL;
	tlb_batch_begin(&b, parent);
	space_change_begin(parent);
	spin_lock_nested(&child->lock);		/* whoever reclaims tables finds it already */
	err = region_copy_all(parent, child, &flags);
	if (!err)
		err = (tune.fork_share == FORK_SHARE_NONE ? copy_all_tables : share_fork)(&b, parent, child);
	if (!err && flags & (R_DONTFORK | R_WIPEONFORK))
		err = hide_special(child, &dropped);
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
	spin_unlock(&child->lock);
	tlb_batch_finish(&b);
	space_change_end(parent);
	if (unlikely(dropped))
		region_free_list(dropped);
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
