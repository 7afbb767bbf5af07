/* SPDX-License-Identifier: MIT */
/*
 * Owns: the kernel's way into memory of a space that need not be the running one: find the page through
 * the tables (faulting it in like a user's access), hold it, copy through the direct map. Also the
 * identity of words for futexes. The hold keeps the frame while it is copied from; one is written under the space's lock:
 * a fork, whose flush does not wait for CPUs that do not run the space, would make it the child's as well.
 */
#include "kernel/base/errno.h"
#include "kernel/base/string.h"
#include "mm/fault_case.h"

/* The frame of VA with a hold, if it is mapped with the rights wanted. NULL: it has to be faulted in. */
static struct frame *hold_page(struct space *s, vaddr_t va, bool write)
{
	struct frame *t, *f = NULL;
	bool own = false, stale;

	do {
		u32 owned = __atomic_load_n(&s->owned, __ATOMIC_ACQUIRE);

		t = pt_find_own(s->root, va, &own);
		if (!t || (write && !own) || !pt_lock(t))
			return NULL;
		stale = READ_ONCE(s->owned) != owned;	/* the table may be only others' by now */
		pte_t e = *pt_slot(t, va);
		if (!stale && pte_permits(e, pte_want(write), false)) {
			f = frame_of_pa(pte_pa(e));
			frame_get(f);
		}
		pt_unlock(t);
	} while (stale);
	return f;
}

static ssize_t copy(struct space *s, vaddr_t va, char *buf, size_t n, bool write)
{
	size_t done = 0;

	while (done < n && va + done < USER_END) {
		size_t offset = (va + done) & ~PAGE_MASK, some = MIN(n - done, PAGE_SIZE - offset);

		if (write)
			spin_lock(&s->lock);
		struct frame *f = hold_page(s, va + done, write);
		if (f && write)
			memcpy((char *)frame_ptr(f) + offset, buf + done, some);
		else if (f)
			memcpy(buf + done, (char *)frame_ptr(f) + offset, some);
		if (write)
			spin_unlock(&s->lock);
		if (f) {
			frame_put(f);
			done += some;
		} else if (fault_handle(s, va + done, FAULT_USER | (write ? FAULT_WRITE : 0)) > FAULT_MAJOR) {
			break;
		}
	}
	return done || !n ? (ssize_t)done : -EFAULT;
}

ssize_t space_read(struct space *s, vaddr_t va, void *buf, size_t n)
{
	return copy(s, va, buf, n, false);
}

ssize_t space_write(struct space *s, vaddr_t va, const void *buf, size_t n)
{
	return copy(s, va, (char *)buf, n, true);
}

int space_futex_key(struct space *s, vaddr_t va, bool private_hint, struct futex_key *key)
{
	*key = (struct futex_key){ .object = s, .offset = va };
	if (va & 3)
		return -EINVAL;
	if (va >= USER_END)
		return -EFAULT;
	if (private_hint)
		return 0;
	spin_lock(&s->lock);
	struct region *r = region_at(s, va);
	if (r && r->flags & R_SHARED)
		*key = (struct futex_key){ .object = r->cache, .offset = (r->pgoff << PAGE_SHIFT) + (va - r->start) };
	spin_unlock(&s->lock);
	return r ? 0 : -EFAULT;
}
