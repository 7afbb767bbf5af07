/* SPDX-License-Identifier: MIT */
/*
 * Owns: making pages present before anybody touches them: MADV_POPULATE_READ and _WRITE, MAP_POPULATE, mlock.
 *
 * The same cases as a fault's, but for many pages at a time: one walk and one look at the region for up to
 * PIECE pages of a table, frames by the batch. Only entries that want a decision of their own (a page to be copied,
 * a table or a page of a file that is not there) go one by one. No lock is held between pieces. A page that had to be
 * waited for counts as a major fault, as in Linux; what is made present without waiting is no fault, and Linux's minor
 * faults of populating are populate_pages here.
 */
#include "kernel/base/counters.h"
#include "kernel/base/errno.h"
#include "mm/fault_case.h"
#include "mm/vm.h"

#define PIECE (64 * PAGE_SIZE)

bool (*vm_pause)(void);
void (*vm_major)(void);

/* From F's page on, within a piece that ends before TO; F's page becomes the first that has still to be looked at. */
static enum fault_result populate_piece(struct fault *f, vaddr_t to)
{
	enum fault_result result = fault_find(f);

	if (result != FAULT_OK)
		return result;
	to = MIN(MIN(to, f->end), ALIGN_DOWN(f->va, PIECE) + PIECE);
	while (pte_permits(f->old, pte_want(f->write), false)) {
		f->va += PAGE_SIZE;
		if (f->va == to)
			return FAULT_OK;
		f->old = READ_ONCE(*++f->slot);
	}
	if (!f->old && !f->cache)
		return fault_range(f, to);
	f->from = f->va;
	f->until = to;
	result = fault_decide(f);
	if (result == FAULT_OK)
		count(populate_pages);
	return result;
}

/* What populate says of RESULT, at which it ends. */
static long error_of(enum fault_result result)
{
	return result == FAULT_ACCERR ? -EINVAL : result == FAULT_BUS ? -EFAULT : -ENOMEM;
}

long vm_populate(struct space *s, vaddr_t addr, u64 length, bool write)
{
	struct fault f = { .space = s, .va = addr, .write = write };
	struct fault_tries tries = { 0 };
	long err = 0;

	while (!err && f.va < addr + length) {
		vaddr_t before = f.va;

		enum fault_result result = populate_piece(&f, addr + length);
		if (result == FAULT_OK) {
			tries.gave_up = false;
			if (fault_end(&tries)) {
				count(pgfault);
				count(pgmajfault);
				if (vm_major)
					vm_major();
			}
		} else if (!fault_worth(&f, result, &tries)) {
			if (f.made)
				fault_undo(&f);
			err = error_of(result);
		}
		if (!err && (before ^ f.va) & PIECE && vm_pause && vm_pause())
			err = -EINTR;
	}
	fault_end(&tries);
	return err;
}
