/* SPDX-License-Identifier: MIT */
/*
 * Owns: changing what may be done with mapped memory (mprotect).
 *
 * Checks the whole range, splits at its edges, then changes flags and entries, which cannot fail. Rights are
 * taken from entries at once; the write right is given to private pages by the fault that wants it,
 * since only the fault knows whether the page is shared. Lock: the space's.
 */
#include "kernel/base/errno.h"
#include "mm/check.h"
#include "mm/share.h"
#include "mm/unmap.h"
#include "mm/vm.h"

/* 0 if every page of the range is in a region that may have PROT. */
static int check_range(struct space *s, vaddr_t start, vaddr_t end, u32 prot)
{
	struct region *r = region_at(s, start);

	for (; start < end; start = r->end, r = region_next(r)) {
		if (!r || r->start > start)
			return -ENOMEM;
		if (prot & R_WRITE && r->flags & R_SHARED && !(r->flags & R_MAY_WRITE))
			return -EACCES;
	}
	return 0;
}

static void change_tables(struct space *s, struct tlb_batch *b, const struct region *r)
{
	struct pt_piece p = PT_PIECE(s->root, r->start, r->end);
	struct pte_edit edit = pte_edit(!(r->flags & R_PROT), r->flags & R_WRITE, r->flags & R_SHARED, r->flags & R_EXEC);

	while (pt_next(&p)) {
		if (!pt_lock(p.table)) {
			pt_again(&p);
			continue;
		}
		pt_protect(b, p.table, p.va, p.n, edit);
		pt_unlock(p.table);
	}
}

long vm_protect(struct space *s, vaddr_t addr, u64 length, u32 prot)
{
	struct region *dropped = NULL;
	struct tlb_batch b;

	if (addr & ~PAGE_MASK)
		return -EINVAL;
	if (!length)
		return 0;
	if (addr >= USER_END || length > USER_END - addr)
		return -ENOMEM;
	vaddr_t end = ALIGN_UP(addr + length, PAGE_SIZE);
	tlb_batch_begin(&b, s);
	space_change_begin(s);
	int err = check_range(s, addr, end, prot);
	if (!err)
		err = unmap_prepare(s, &b, addr, end);
	if (!err)
		err = share_own_range(&b, addr, end, 0);
	struct region *r = err ? NULL : region_at(s, addr);
	while (r && r->start < end) {
		if ((r->flags & R_PROT) != prot) {
			WRITE_ONCE(r->flags, (r->flags & ~R_PROT) | prot);
			change_tables(s, &b, r);
		}
		r = region_next(region_try_merge(s, r, &dropped));
	}
	tlb_batch_finish(&b);
	space_change_end(s);
	region_free_list(dropped);
	check_after(s, false);
	return err;
}
