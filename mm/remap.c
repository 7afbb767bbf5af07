/* SPDX-License-Identifier: MIT */
/*
 * Owns: mremap: shrinking, growing in place, moving. Pages move by their entries or tables, none is copied.
 *
 * A move makes all destination tables first (which may fail), then moves (which cannot). While pages of a file
 * move, its map_lock is held, so that a truncation finds them at one place or the other. TLBs have forgotten the
 * old addresses before another thread can be given them, or take a page from its new one. Lock: the space's.
 */
#include "kernel/abi.h"
#include "kernel/base/errno.h"
#include "mm/check.h"
#include "mm/map.h"
#include "mm/move.h"
#include "mm/ptreclaim.h"
#include "mm/share.h"
#include "mm/unmap.h"
#include "mm/vm.h"

struct remap {
	struct space *space;
	struct tlb_batch batch;
	struct region *dropped;
	vaddr_t old, new;
	u64 old_len, new_len;
	unsigned flags;
};

/* Tables that were made at the destination and got nothing. */
static void drop_empty(struct remap *m)
{
	reclaim_range(&m->batch, m->new, m->new + m->new_len, false);
}

/* Moves the old_len bytes at m->old, of one region, to m->new. */
static long move(struct remap *m)
{
	struct space *s = m->space;
	struct move pages = { .batch = &m->batch, .from = m->old, .end = m->old + MIN(m->old_len, m->new_len), .by = m->new - m->old };
	struct region *copy = region_alloc(), *r;
	int err = -ENOMEM;

	if (!copy)
		return -ENOMEM;
	if (m->flags & MREMAP_FIXED) {
		err = unmap_prepare(s, &m->batch, m->new, m->new + m->new_len);
		if (err)
			goto fail;
		unmap_commit(s, &m->batch, m->new, m->new + m->new_len, &m->dropped);
	}
	err = unmap_prepare(s, &m->batch, m->old, m->old + m->old_len);
	if (err)
		goto fail;
	reclaim_kept(s, &m->batch);
	err = share_own_range(&m->batch, m->old, m->old + m->old_len, move_most(&pages));
	if (!err)
		err = share_clear_hole(&m->batch, m->new, m->new + m->new_len);
	if (err)
		goto fail;
	r = region_at(s, m->old);
	*copy = *r;
	copy->start = m->new;
	copy->end = m->new + m->new_len;
	copy->pgoff = r->pgoff + ((m->old - r->start) >> PAGE_SHIFT);
	if (copy->cache)
		copy->cache->ops->get(copy->cache);
	region_insert(s, copy);
	if (r->cache)
		spin_lock(&r->cache->map_lock);
	err = move_prepare(&pages);
	if (!err)
		move_commit(&pages);
	if (r->cache)
		spin_unlock(&r->cache->map_lock);
	if (err) {
		region_remove(s, copy);
		drop_empty(m);
		goto drop;
	}
	if (m->flags & MREMAP_DONTUNMAP)
		vm_zap(s, &m->batch, m->old, m->old + m->old_len);	/* empty: its tables go as others do */
	else
		unmap_commit(s, &m->batch, m->old, m->old + m->old_len, &m->dropped);
	drop_empty(m);
	region_try_merge(s, copy, &m->dropped);
	return m->new;
fail:
	copy->cache = NULL;
drop:
	copy->next_free = m->dropped;
	m->dropped = copy;
	return err;
}

/* Room to move to: where it can be, at the same place within what a table spans, so that whole tables move. 0: none. */
static vaddr_t find_room(const struct remap *m)
{
	u64 span = m->old_len >= pt_span(3) ? pt_span(3) : pt_span(2);
	vaddr_t room = m->old_len >= pt_span(2) ? map_find_room(m->space, 0, m->new_len + span) : 0;

	return room ? room + ((m->old - room) & (span - 1)) : map_find_room(m->space, 0, m->new_len);
}

static long grow(struct remap *m, struct region *r)
{
	struct space *s = m->space;
	u64 more = m->new_len - m->old_len;
	struct region *next = region_next(r);
	vaddr_t limit = next ? next->start : USER_END;

	if (!map_within_limits(s, more))
		return -ENOMEM;
	if (m->old + m->old_len == r->end && limit - r->end >= more) {
		int err = share_clear_hole(&m->batch, r->end, r->end + more);

		if (err)
			return err;
		r->end += more;
		s->pages += more >> PAGE_SHIFT;
		if (r->flags & R_LOCKED)
			s->locked_pages += more >> PAGE_SHIFT;
		region_try_merge(s, r, &m->dropped);
		return m->old;
	}
	if (!(m->flags & MREMAP_MAYMOVE))
		return -ENOMEM;
	m->new = find_room(m);
	return m->new ? move(m) : -ENOMEM;
}

static long shrink(struct remap *m)
{
	vaddr_t from = m->old + m->new_len, to = m->old + m->old_len;
	int err = unmap_prepare(m->space, &m->batch, from, to);

	if (err)
		return err;
	unmap_commit(m->space, &m->batch, from, to, &m->dropped);
	m->old_len = m->new_len;
	return m->old;
}

/* Old length 0: a second mapping of the same shared pages. */
static long duplicate(struct remap *m, struct region *r)
{
	struct region *copy;

	if (!(r->flags & R_SHARED))
		return -EINVAL;
	if (!(m->flags & MREMAP_MAYMOVE) || !map_within_limits(m->space, m->new_len))
		return -ENOMEM;
	if (m->flags & MREMAP_FIXED) {
		int err = unmap_prepare(m->space, &m->batch, m->new, m->new + m->new_len);

		if (err)
			return err;
	} else if (!(m->new = map_find_room(m->space, 0, m->new_len))) {
		return -ENOMEM;
	}
	copy = region_copy(r);
	if (!copy)
		return -ENOMEM;
	copy->start = m->new;
	copy->end = m->new + m->new_len;
	copy->pgoff += (m->old - r->start) >> PAGE_SHIFT;
	if (m->flags & MREMAP_FIXED)
		unmap_commit(m->space, &m->batch, m->new, m->new + m->new_len, &m->dropped);
	int err = share_clear_hole(&m->batch, m->new, m->new + m->new_len);
	if (err) {
		copy->cache->ops->put(copy->cache);
		copy->cache = NULL;
		copy->next_free = m->dropped;
		m->dropped = copy;
		return err;
	}
	region_insert(m->space, copy);
	region_try_merge(m->space, copy, &m->dropped);
	return m->new;
}

static long remap(struct remap *m)
{
	struct space *s = m->space;
	struct region *r = region_at(s, m->old);
	long at = m->old;

	if (!r)
		return -EFAULT;
	if (!m->old_len)
		return duplicate(m, r);
	if (m->new_len < m->old_len && !(m->flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)))
		return shrink(m);	/* whatever lies there */
	if (m->old_len > r->end - m->old)
		return -EFAULT;
	if (m->flags & MREMAP_DONTUNMAP && r->flags & R_SHARED)
		return -EINVAL;
	if (r->cache && r->pgoff + ((m->old - r->start + m->new_len) >> PAGE_SHIFT) > MAX_FILE_PAGES)
		return -EINVAL;
	if (m->flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)) {
		if (m->new_len < m->old_len && (at = shrink(m)) < 0)
			return at;
		r = region_at(s, m->old);
		if (!map_within_limits(s, m->flags & MREMAP_DONTUNMAP ? m->new_len : m->new_len - m->old_len))
			return -ENOMEM;
		if (!(m->flags & MREMAP_FIXED) && !(m->new = map_find_room(s, m->new, m->new_len)))
			return -ENOMEM;
		return move(m);
	}
	return m->new_len > m->old_len ? grow(m, r) : at;
}

long vm_remap(struct space *s, vaddr_t old, u64 old_len, u64 new_len, unsigned flags, vaddr_t new_addr)
{
	struct remap m = {
		.space = s, .old = old, .new = new_addr, .flags = flags,
		.old_len = ALIGN_UP(old_len, PAGE_SIZE), .new_len = ALIGN_UP(new_len, PAGE_SIZE),
	};

	if (flags & ~(MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP) || old & ~PAGE_MASK || !m.new_len)
		return -EINVAL;
	if (flags & (MREMAP_FIXED | MREMAP_DONTUNMAP) && !(flags & MREMAP_MAYMOVE))
		return -EINVAL;
	if (flags & MREMAP_DONTUNMAP && m.old_len != m.new_len)
		return -EINVAL;
	if (old >= USER_END || m.old_len > USER_END - old)
		return -EFAULT;
	if (m.new_len > USER_END)
		return -EINVAL;
	if (flags & MREMAP_FIXED) {
		if (new_addr & ~PAGE_MASK || new_addr >= USER_END || m.new_len > USER_END - new_addr ||
		    (new_addr < old + m.old_len && old < new_addr + m.new_len))
			return -EINVAL;
		if (new_addr < MMAP_MIN_ADDR)
			return -EPERM;
	}
	tlb_batch_begin(&m.batch, s);
	space_change_begin(s);
	long result = remap(&m);
	tlb_batch_finish(&m.batch);
	space_change_end(s);
	region_free_list(m.dropped);
	if (result >= 0 && m.new_len > m.old_len) {
		spin_lock(&s->lock);
		struct region *r = region_at(s, result);
		u32 rights = r && r->flags & R_LOCKED ? r->flags & R_PROT : 0;
		spin_unlock(&s->lock);
		if (rights)
			vm_populate(s, result, m.new_len, rights & R_WRITE);
	}
	check_after(s, false);
	return result;
}
