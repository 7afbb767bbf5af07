/* SPDX-License-Identifier: MIT */
/*
 * Owns: giving regions to a space: finding room, mapping, the heap's end, stacks. Page tables are filled by
 * faults; only what other spaces use of them is let go of. Lock: the space's, in the bracket of space_change_begin/end.
 */
#include "arch/cpu.h"
#include "kernel/base/errno.h"
#include "mm/check.h"
#include "mm/map.h"
#include "mm/share.h"
#include "mm/unmap.h"
#include "mm/vm.h"

/* Is [addr, addr + length) free? */
static bool is_free(struct space *s, vaddr_t addr, u64 length)
{
	struct region *r = region_at_or_above(s, addr);

	return !r || r->start >= addr + length;
}

vaddr_t map_find_room(struct space *s, vaddr_t hint, u64 length)
{
	vaddr_t top = s->mmap_top;

	hint = ALIGN_UP(hint, PAGE_SIZE);
	if (hint >= MMAP_MIN_ADDR && hint < USER_END && length <= USER_END - hint && is_free(s, hint, length))
		return hint;
	/* The highest hole below mmap_top that is large enough. */
	struct region *r = region_at_or_above(s, top - 1);
	if (!r)
		r = region_last(s);
	for (; r; r = region_prev(r)) {
		if (r->end <= top && top - r->end >= length)
			return top - length;
		if (r->start < top)
			top = r->start;
		if (top < MMAP_MIN_ADDR + length)
			return 0;
	}
	return top >= MMAP_MIN_ADDR + length ? top - length : 0;
}

bool map_within_limits(const struct space *s, u64 more)
{
	return (s->pages << PAGE_SHIFT) + more <= s->limit_as && s->nr_regions < MAX_REGIONS;
}

/* Bytes of [start, end) that are mapped: what a fixed mapping replaces does not count. */
static u64 covered(struct space *s, vaddr_t start, vaddr_t end)
{
	u64 bytes = 0;

	for (struct region *r = region_at_or_above(s, start); r && r->start < end; r = region_next(r))
		bytes += MIN(r->end, end) - MAX(r->start, start);
	return bytes;
}

long vm_map(struct space *s, const struct vm_map_args *a)
{
	struct region *r, *dropped = NULL;
	struct tlb_batch b;
	u64 length = ALIGN_UP(a->length, PAGE_SIZE);
	vaddr_t addr = a->addr;
	long err = -ENOMEM;

	if (!a->length)
		return -EINVAL;
	if (!length || length > USER_END)
		return -ENOMEM;
	if (a->fixed && addr & ~PAGE_MASK)
		return -EINVAL;
	if (a->fixed && (addr >= USER_END || length > USER_END - addr))
		return -ENOMEM;
	if (a->fixed && addr < MMAP_MIN_ADDR)
		return -EPERM;
	r = region_alloc();
	if (!r)
		return -ENOMEM;
	tlb_batch_begin(&b, s);
	space_change_begin(s);
	if (a->noreplace && !is_free(s, addr, length)) {
		err = -EEXIST;
		goto fail;
	}
	if (!map_within_limits(s, length) &&
	    !(a->fixed && !a->noreplace && map_within_limits(s, length - covered(s, addr, addr + length))))
		goto fail;
	if (!a->fixed) {
		addr = map_find_room(s, addr, length);
		if (!addr)
			goto fail;
	} else if (!a->noreplace) {
		err = unmap_prepare(s, &b, addr, addr + length);
		if (err)
			goto fail;
		unmap_commit(s, &b, addr, addr + length, &dropped);
	}
	err = share_clear_hole(&b, addr, addr + length);
	if (err)
		goto fail;
	r->start = addr;
	r->end = addr + length;
	r->flags = a->flags;
	r->cache = a->cache;
	r->pgoff = a->pgoff;
	if (r->cache)
		r->cache->ops->get(r->cache);
	region_insert(s, r);
	region_try_merge(s, r, &dropped);
	if (a->brk)
		s->brk = a->brk;
	tlb_batch_finish(&b);
	space_change_end(s);
	region_free_list(dropped);
	if (a->populate || a->flags & R_LOCKED)
		vm_populate(s, addr, length, a->flags & R_WRITE && !(a->flags & R_SHARED));
	check_after(s, false);
	return addr;
fail:
	tlb_batch_finish(&b);
	space_change_end(s);
	r->cache = NULL;
	r->next_free = dropped;
	region_free_list(r);
	return err;
}

long vm_map_stack(struct space *s, vaddr_t top, u64 initial)
{
	struct vm_map_args a = {
		.addr = top - initial, .length = initial, .fixed = true,
		.flags = R_READ | R_WRITE | R_MAY_WRITE | R_GROWSDOWN | R_STACK,
	};
	long addr = vm_map(s, &a);

	return addr < 0 ? addr : 0;
}

static long move_brk(struct space *s, vaddr_t brk)
{
	vaddr_t old = s->brk, old_end = ALIGN_UP(old, PAGE_SIZE), end = ALIGN_UP(brk, PAGE_SIZE);

	if (brk < s->brk_start || brk >= USER_END || brk - s->brk_start > s->limit_data)
		return old;
	if (end < old_end) {
		if (unmap_brk(s, end, old_end - end, brk) < 0)
			return old;
	} else if (end > old_end) {
		struct vm_map_args a = {
			.addr = old_end, .length = end - old_end, .fixed = true, .noreplace = true,
			.flags = R_READ | R_WRITE | R_MAY_WRITE | R_HEAP, .brk = brk,
		};

		if (vm_map(s, &a) < 0)
			return old;
	} else {
		spin_lock(&s->lock);		/* a fork may be copying it */
		s->brk = brk;
		spin_unlock(&s->lock);
	}
	return brk;
}

/* Mapping and unmapping may sleep, so who comes second lets others in while it waits. */
long vm_brk(struct space *s, vaddr_t brk)
{
	while (__atomic_exchange_n(&s->brk_busy, true, __ATOMIC_ACQUIRE)) {
		arch_spin_wait();
		if (vm_pause && vm_pause())
			return READ_ONCE(s->brk);
	}
	long result = move_brk(s, brk);
	__atomic_store_n(&s->brk_busy, false, __ATOMIC_RELEASE);
	return result;
}
