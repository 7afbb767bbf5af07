/* SPDX-License-Identifier: MIT */
/*
 * Owns: the operations of model_test.c. Each does the same to a space, by mm/, and to the reference, and
 * compares what it returns. Pages are numbers 0 .. NPAGES - 1; a range stays within its zone.
 */
#pragma once
#include "mm/ptreclaim.h"
#include "model.h"

#define agree(got, want) do { \
	long got_ = (got), want_ = (want); \
	if (got_ != want_) \
		fail_msg("step %lu: %s is %ld, should be %ld", step, #got, got_, want_); \
} while (0)

static bool mixed;			/* policies change all the time; else empty tables go at once */
static bool failing;			/* allocations may fail during this step */

static bool gave_up(long r)
{
	return failing && (r == -ENOMEM || r == -EAGAIN);
}

static void do_map(struct process *m, unsigned p, u64 n)
{
	static const u8 prots[] = { 0, R_READ, RW, RW, RW, R_READ | R_EXEC, RW | R_EXEC };
	struct page like = { .mapped = true, .shared = rnd(3) == 0, .prot = prots[rnd(7)], .locked = rnd(16) == 0 };
	struct vm_map_args a = { .addr = va_of(p), .length = PAGES(n), .fixed = rnd(3), .populate = rnd(8) == 0 };
	struct pcache *shm = NULL;

	if (rnd(2)) {
		like.object = &files[rnd(FILES)];
		like.pgoff = rnd(OBJECT_PAGES);
	} else if (like.shared) {
		like.object = calloc(1, sizeof(*like.object));
		like.object->size = MIN(n, (u64)OBJECT_PAGES);
		shm = shm_create(PAGES(like.object->size));
		if (!shm) {
			free(like.object);
			assert_true(failing);
			return;
		}
	}
	a.noreplace = a.fixed && rnd(4) == 0;
	a.flags = like.prot | R_MAY_WRITE | (like.shared ? R_SHARED : 0) | (like.locked ? R_LOCKED : 0);
	a.cache = shm ? shm : like.object ? &like.object->file->cache : NULL;
	a.pgoff = like.pgoff;
	if (failing)
		like.locked = a.populate = false, a.flags &= ~R_LOCKED;
	long r = vm_map(m->s, &a);
	if (shm)
		shm->ops->put(shm);
	if (gave_up(r) || (a.noreplace && any_mapped(&m->page[p], n))) {
		if (!gave_up(r))
			agree(r, -EEXIST);
	} else if (page_of((u64)r) >= 0 && page_of((u64)r + PAGES(n) - 1) >= 0) {
		unsigned at = (unsigned)page_of((u64)r);

		if (a.fixed || !any_mapped(&m->page[p], n))
			agree(r, (long)a.addr);
		else
			assert_false(any_mapped(&m->page[at], n));
		map(&m->page[at], n, like);
		if (a.populate || like.locked)
			populate(&m->page[at], n, like.prot & R_WRITE && !like.shared);
		return;
	} else {
		assert_true(r > 0 && !a.fixed);
		kit_fail_none();
		agree(vm_unmap(m->s, (u64)r, PAGES(n)), 0);	/* outside the zones: away with it */
	}
	if (shm)
		free(like.object);
}

static void do_unmap(struct process *m, unsigned p, u64 n)
{
	long r = vm_unmap(m->s, va_of(p), PAGES(n));

	if (gave_up(r))
		return;
	agree(r, 0);
	unmap(&m->page[p], n);
}

static void do_protect(struct process *m, unsigned p, u64 n)
{
	static const u8 prots[] = { 0, R_READ, RW, R_READ | R_EXEC, RW | R_EXEC };
	u8 prot = prots[rnd(5)];
	bool hole = false;
	long r = vm_protect(m->s, va_of(p), PAGES(n), prot);

	if (gave_up(r))
		return;
	for (u64 i = 0; i < n; i++)
		hole |= !m->page[p + i].mapped;
	agree(r, hole ? -ENOMEM : 0);
	for (u64 i = 0; i < n && !hole; i++)
		m->page[p + i].prot = prot;
}

static void do_drop(struct process *m, unsigned p, u64 n)
{
	bool only_anon = rnd(3) == 0;
	int advice = only_anon ? MADV_FREE : MADV_DONTNEED;
	long want = 0, r = vm_advise(m->s, va_of(p), PAGES(n), advice);

	if (gave_up(r)) {				/* some may be gone: try again */
		kit_fail_none();
		r = vm_advise(m->s, va_of(p), PAGES(n), advice);
	}
	for (u64 i = 0; i < n; i++) {
		struct page *q = &m->page[p + i];

		if (!q->mapped) {
			want = -ENOMEM;
		} else if (q->locked || (only_anon && q->object)) {
			want = -EINVAL;
			break;
		}
		q->own = false;
	}
	agree(r, want);
}

/* Tables come and go; nobody is to notice. */
static void do_tables(struct process *m, unsigned p, u64 n)
{
	bool make = mixed && rnd(2);
	long r = vm_advise(m->s, va_of(p), PAGES(n), make ? MADV_POPULATE_PGTABLE : MADV_CLEANUP_PGTABLE);
	bool all = true;

	for (u64 i = 0; i < n; i++)
		all &= m->page[p + i].mapped;
	if (!gave_up(r) && all)
		agree(r, 0);
	if (rnd(8) == 0)
		reclaim_all();
}

/* Advice about how much to give at once changes nothing that can be seen. */
static void do_hint(struct process *m, unsigned p, u64 n)
{
	static const int advices[] = { MADV_NORMAL, MADV_RANDOM, MADV_SEQUENTIAL, MADV_POPULATE_WRITE_ON_FAULT };
	unsigned which = (unsigned)rnd(4);

	for (u64 i = 0; i < n; i++)
		if (m->page[p + i].object)
			which %= 3;		/* a private page of a file would no longer see what is written to the file */
	long r = vm_advise(m->s, va_of(p), PAGES(n), advices[which]);

	agree(r, gave_up(r) ? r : any_hole(&m->page[p], n) ? -ENOMEM : 0);
}

static void do_fork_advice(struct process *m, unsigned p, u64 n)
{
	static const int advices[] = { MADV_DONTFORK, MADV_DOFORK, MADV_WIPEONFORK, MADV_KEEPONFORK };
	int advice = advices[rnd(4)];
	long want = 0, r = vm_advise(m->s, va_of(p), PAGES(n), advice);

	if (failing && r == -EAGAIN)
		return;
	for (u64 i = 0; i < n; i++) {
		struct page *q = &m->page[p + i];

		if (!q->mapped) {
			want = -ENOMEM;
		} else if (advice == MADV_WIPEONFORK && q->object) {
			want = -EINVAL;
			break;
		} else if (advice == MADV_DONTFORK || advice == MADV_DOFORK) {
			q->dontfork = advice == MADV_DONTFORK;
		} else {
			q->wipe = advice == MADV_WIPEONFORK;
		}
	}
	agree(r, want);
}

static void do_populate(struct process *m, unsigned p, u64 n)
{
	bool write = rnd(2);
	long r = vm_advise(m->s, va_of(p), PAGES(n), write ? MADV_POPULATE_WRITE : MADV_POPULATE_READ);

	agree(r, populate(&m->page[p], n, write));
}

static void do_lock(struct process *m, unsigned p, u64 n)
{
	bool lock = rnd(2);
	long r = vm_lock(m->s, va_of(p), PAGES(n), lock);
	u64 i = 0;

	for (; i < n && m->page[p + i].mapped; i++)
		m->page[p + i].locked = lock;
	agree(r, i < n ? -ENOMEM : 0);
	for (i = 0; r == 0 && lock && i < n; i++) {
		struct page *q = &m->page[p + i];

		if (q->prot)
			populate(q, 1, q->prot & R_WRITE && !q->shared);
	}
}

static void do_remap(struct process *m, unsigned p, u64 n)
{
	struct region *r = region_at(m->s, va_of(p)), *next = r ? region_next(r) : NULL;
	u64 room = r ? (r->end - va_of(p)) >> PAGE_SHIFT : 0, k = 1 + rnd(40), kept;
	unsigned flags = rnd(4) ? MREMAP_MAYMOVE : 0, q = (unsigned)rnd(NPAGES);
	struct page moved_pages[ZONE_PAGES], like;
	vaddr_t old = va_of(p);

	if (rnd(3) && room)
		n = MIN(n, room);
	q -= q % ZONE_PAGES + k > ZONE_PAGES ? q % ZONE_PAGES : 0;
	if (flags && rnd(2) && !failing)
		flags |= MREMAP_FIXED;
	if (!(flags & MREMAP_FIXED) && k < n && n > room)
		return;				/* a shrink over several regions: see vm_test */
	bool in_place = r && n == room && k > n && (!next || next->start >= old + PAGES(k));
	if (m->page[p].locked || m->page[p + n - 1].locked)
		kit_fail_none();		/* what it populates in the end may fail in part */
	long got = vm_remap(m->s, old, PAGES(n), PAGES(k), flags, va_of(q));
	if (gave_up(got))
		return;
	if (flags & MREMAP_FIXED && va_of(q) < old + PAGES(n) && old < va_of(q) + PAGES(k)) {
		agree(got, -EINVAL);
		return;
	}
	if (!r || n > room) {
		agree(got, -EFAULT);
		return;
	}
	if (!(flags & MREMAP_MAYMOVE) && k > n && !in_place) {
		agree(got, -ENOMEM);
		return;
	}
	if (flags & MREMAP_FIXED)
		agree(got, (long)va_of(q));
	else if (k <= n || in_place)
		agree(got, (long)old);
	assert_true(got > 0);
	kept = MIN(n, k);
	like = m->page[p + n - 1];
	like.own = false;
	for (u64 i = 0; i < kept; i++) {
		moved_pages[i] = m->page[p + i];
		if (moved_pages[i].object)
			moved_pages[i].object->users++;		/* so that it outlives the unmapping */
	}
	if (like.object)
		like.object->users++;
	unmap(&m->page[p], n);
	int at = page_of((u64)got);
	bool inside = at >= 0 && page_of((u64)got + PAGES(k) - 1) >= 0 && (u64)at % ZONE_PAGES + k <= ZONE_PAGES;
	if (!(flags & MREMAP_FIXED) && inside)
		assert_false(any_mapped(&m->page[at], k));
	if (inside) {
		for (u64 i = 0; i < kept; i++)
			map(&m->page[(u64)at + i], 1, moved_pages[i]);
		like.pgoff++;
		map(&m->page[(u64)at + kept], k - kept, like);
		if (k > n && like.locked)
			populate(&m->page[at], k, like.prot & R_WRITE);
	} else {
		kit_fail_none();
		agree(vm_unmap(m->s, (u64)got, PAGES(k)), 0);
		for (u64 z = 0; z < k; z++)		/* a part may have been inside */
			if (page_of((u64)got + PAGES(z)) >= 0)
				unmap(&m->page[page_of((u64)got + PAGES(z))], 1);
	}
	for (u64 i = 0; i < kept; i++)
		unmap(&moved_pages[i], 1);
	unmap(&like, 1);
}

static void do_brk(struct process *m)
{
	unsigned n = (unsigned)rnd(ZONE_PAGES), old = m->brk;
	vaddr_t start = va_of(ZONE_PAGES), r = (vaddr_t)vm_brk(m->s, start + PAGES(n));
	struct page *heap = &m->page[ZONE_PAGES];

	if (failing && r == start + PAGES(old))
		return;
	if (n > old && any_mapped(heap + old, n - old)) {
		agree((long)r, (long)(start + PAGES(old)));
		return;
	}
	agree((long)r, (long)(start + PAGES(n)));
	if (n > old)
		map(heap + old, n - old, (struct page){ .mapped = true, .prot = RW });
	else
		unmap(heap + n, old - n);
	m->brk = n;
}

static void do_fork(struct process *m)
{
	struct process *child = NULL;

	for (unsigned i = 0; i < SPACES; i++)
		if (!process[i].s)
			child = &process[i];
	if (!child)
		return;
	tune.fork_share = (u32)rnd(3);
	child->s = space_fork(m->s);
	if (!child->s) {
		assert_true(failing);
		return;
	}
	child->brk = m->brk;
	for (unsigned p = 0; p < ALL_PAGES; p++) {
		struct page *q = &child->page[p];

		*q = m->page[p];
		if (q->dontfork)
			*q = (struct page){ 0 };
		if (q->object)
			q->object->users++;
		if (q->wipe)
			q->own = false;
		q->locked = false;
	}
}

static void do_exit(struct process *m)
{
	unsigned alive = 0;

	for (unsigned i = 0; i < SPACES; i++)
		alive += process[i].s != NULL;
	if (alive == 1)
		return;
	kit_space_end(m->s);
	m->s = NULL;
	unmap(m->page, ALL_PAGES);
}

static void do_file(void)
{
	struct object *o = &files[rnd(FILES)];
	u64 from = rnd(OBJECT_PAGES + 1), to = from + rnd(OBJECT_PAGES + 1 - from);
	bool cut = rnd(2);

	if (cut)
		pcache_resize(&o->file->cache, PAGES(from));
	else
		pcache_punch(&o->file->cache, PAGES(from), PAGES(to));
	for (u64 i = from; i < (cut ? OBJECT_PAGES : to); i++)
		o->value[i] = initial(o, i);
	if (!cut)
		return;
	o->size = from;
	for (struct process *m = process; m < process + SPACES; m++)
		for (struct page *q = m->page; q < m->page + ALL_PAGES; q++)
			if (q->object == o && q->pgoff >= from)
				q->own = false;
}

static void do_access(struct process *m, unsigned p)
{
	struct page *q = &m->page[p];
	u64 kind = rnd(6), value = step << 16 | p, got = 0;
	bool write = kind < 3, exec = kind == 5;
	enum fault_result want = verdict(q, write, exec), r;

	if (kind == 0) {
		r = space_write(m->s, word_of(p), &value, 8) == 8 ? FAULT_OK : FAULT_MAPERR;
		want = want == FAULT_OK ? FAULT_OK : FAULT_MAPERR;
	} else if (kind == 3) {
		r = space_read(m->s, word_of(p), &got, 8) == 8 ? FAULT_OK : FAULT_MAPERR;
		want = want == FAULT_OK ? FAULT_OK : FAULT_MAPERR;
	} else {
		r = write ? fake_store(m->s, word_of(p), value) :
		    exec ? fake_fetch(m->s, word_of(p)) : fake_load(m->s, word_of(p), &got);
	}
	if (failing && (r == FAULT_OOM || (r != FAULT_OK && !(kind % 3))))
		return;
	agree(r, want);
	if (r == FAULT_OK && write)
		written(q, value);
	else if (r == FAULT_OK && !exec)
		agree((long)got, (long)value_of(q));
}
