/* SPDX-License-Identifier: MIT */
/*
 * Random operations by up to eight address spaces against a plain reference that knows of each page only
 * what is mapped there, with what rights, and what it contains; fork copies it all. After each step
 * contents, rights, faults and counts agree. Each space runs on two CPUs in turn, so that stale
 * translations and missing shootdowns show. QUIRE_SEED picks the run, QUIRE_STEPS its length.
 */
#include <stdio.h>
#include <stdlib.h>
#include "kit.h"

#define SPACES 8
#define ZONE_PAGES 160
#define NPAGES (3 * ZONE_PAGES)		/* each zone lies across a table's border: of level 3, 4, 1 */
#define OBJECT_PAGES 64
#define FILES 3

static const vaddr_t zone[] = { GiB(1) - PAGES(90), (1UL << 39) - PAGES(70), 0x7f0000200000UL - PAGES(80) };

struct object {				/* what lies behind a page cache */
	struct kit_file *file;		/* NULL: shared anonymous memory, gone with its last user */
	bool plain;			/* read from below, not zero, where nothing was written */
	u64 size, users;		/* pages; pages that map it */
	u64 value[OBJECT_PAGES];
};

struct page {
	bool mapped, shared, own, locked, dontfork, wipe;	/* own: has an anonymous page */
	u8 prot;
	struct object *object;
	u64 pgoff, value;		/* value: if own */
};

static struct process {
	struct space *s;
	unsigned brk;			/* pages of zone 1 */
	struct page page[NPAGES];
} process[SPACES];
static struct object files[FILES];
static u64 seed = 1, step;

static u64 rnd(u64 n) { return fake_random(&seed) % n; }
static vaddr_t va_of(unsigned p) { return zone[p / ZONE_PAGES] + PAGES(p % ZONE_PAGES); }
static vaddr_t word_of(unsigned p) { return va_of(p) + 40; }

static int page_of(vaddr_t va)
{
	for (unsigned z = 0; z < 3; z++)
		if (va >= zone[z] && va < zone[z] + PAGES(ZONE_PAGES))
			return (int)(z * ZONE_PAGES + ((va - zone[z]) >> PAGE_SHIFT));
	return -1;
}

/* --- the reference ---------------------------------------------------------------------------------- */

static u64 initial(const struct object *o, u64 pgoff)
{
	return o->plain ? kit_file_word(pgoff, 5) : 0;
}

static u64 value_of(const struct page *p)
{
	return p->own ? p->value : p->object ? p->object->value[p->pgoff] : 0;
}

static enum fault_result verdict(const struct page *p, bool write, bool exec)
{
	if (!p->mapped)
		return FAULT_MAPERR;
	if (!(p->prot & (write ? R_WRITE : exec ? R_EXEC : R_READ | R_WRITE)))
		return FAULT_ACCERR;
	return p->object && !p->own && p->pgoff >= p->object->size ? FAULT_BUS : FAULT_OK;
}

static void written(struct page *p, u64 value)
{
	if (p->shared) {
		p->object->value[p->pgoff] = value;
	} else {
		p->own = true;
		p->value = value;
	}
}

static void unmap(struct page *p, u64 n)
{
	for (; n--; p++) {
		if (p->mapped && p->object && --p->object->users == 0 && !p->object->file)
			free(p->object);
		*p = (struct page){ 0 };
	}
}

static void map(struct page *p, u64 n, struct page like)
{
	unmap(p, n);
	for (; n--; p++, like.pgoff++) {
		*p = like;
		if (p->object)
			p->object->users++;
	}
}

static bool any_mapped(const struct page *p, u64 n)
{
	while (n--)
		if (p[n].mapped)
			return true;
	return false;
}

static long populate(struct page *p, u64 n, bool write)
{
	for (; n--; p++) {
		switch (verdict(p, write, false)) {
		case FAULT_MAPERR: return -ENOMEM;
		case FAULT_ACCERR: return -EINVAL;
		case FAULT_BUS: return -EFAULT;
		default: break;
		}
		if (write)
			written(p, value_of(p));
	}
	return 0;
}

/* --- operations, each on mm/ and on the reference -------------------------------------------------- */

#define agree(got, want) do { \
	long got_ = (got), want_ = (want); \
	if (got_ != want_) \
		fail_msg("step %lu: %s is %ld, should be %ld", step, #got, got_, want_); \
} while (0)

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
	long want = 0, r = vm_advise(m->s, va_of(p), PAGES(n), only_anon ? MADV_FREE : MADV_DONTNEED);

	if (failing && r == -EAGAIN)
		return;
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

static void do_fork_advice(struct process *m, unsigned p, u64 n)
{
	static const int advices[] = { MADV_DONTFORK, MADV_DOFORK, MADV_WIPEONFORK, MADV_KEEPONFORK };
	int advice = advices[rnd(4)];
	long want = 0, r = vm_advise(m->s, va_of(p), PAGES(n), advice);

	if (gave_up(r) && r == -EAGAIN)
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
	child->s = space_fork(m->s);
	if (!child->s) {
		assert_true(failing);
		return;
	}
	child->brk = m->brk;
	for (unsigned p = 0; p < NPAGES; p++) {
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
	unmap(m->page, NPAGES);
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
		for (struct page *q = m->page; q < m->page + NPAGES; q++)
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

/* --- agreement, and the run ------------------------------------------------------------------------- */

static void compare(struct process *m, bool all)
{
	struct space_usage u = kit_usage(m->s);
	struct kit_count c = kit_recount(m->s);
	u64 size = 0, locked = 0, own = 0;

	check_space(m->s);
	for (unsigned p = 0; p < NPAGES; p++) {
		size += m->page[p].mapped;
		locked += m->page[p].locked;
		own += m->page[p].own;
	}
	agree((long)u.size, (long)size);
	agree((long)u.locked, (long)locked);
	agree((long)u.anon, (long)own);
	agree((long)u.anon, (long)c.n[PTE_CLASS_ANON]);
	agree((long)u.file, (long)c.n[PTE_CLASS_FILE]);
	agree((long)u.shmem, (long)c.n[PTE_CLASS_SHMEM]);
	agree((long)u.tables, (long)c.n[PTE_CLASS_NONE]);
	for (unsigned p = 0; p < NPAGES && all; p++) {
		u64 got;

		agree(fake_load(m->s, word_of(p), &got), verdict(&m->page[p], false, false));
		if (verdict(&m->page[p], false, false) == FAULT_OK)
			agree((long)got, (long)value_of(&m->page[p]));
	}
}

static void one_step(void)
{
	struct process *m = &process[rnd(SPACES)];
	unsigned p = (unsigned)rnd(NPAGES), n = 1 + (unsigned)rnd(rnd(4) ? 6 : 60);

	if (!m->s)
		return;
	n = MIN(n, ZONE_PAGES - p % ZONE_PAGES);
	fake_cpu_set((u32)(m - process) + (rnd(2) ? SPACES : 0));
	failing = rnd(8) == 0;
	if (failing)
		kit_fail_nth(1 + (u32)rnd(5));
	switch (rnd(32)) {
	case 0 ... 3: do_map(m, p, n); break;
	case 4: do_unmap(m, p, n); break;
	case 5 ... 6: do_protect(m, p, n); break;
	case 7 ... 8: do_drop(m, p, n); break;
	case 9: do_fork_advice(m, p, n); break;
	case 10: if (!failing) do_populate(m, p, n); break;
	case 11: if (!failing) do_lock(m, p, n); break;
	case 12 ... 13: do_remap(m, p, n); break;
	case 14: do_brk(m); break;
	case 15: do_fork(m); break;
	case 16: if (rnd(2)) do_exit(m); break;
	case 17: do_file(); break;
	default: do_access(m, p);
	}
	kit_fail_none();
	if (m->s) {
		fake_speculate(m->s, va_of((unsigned)rnd(NPAGES)));
		compare(m, step % 64 == 0);
	}
	if (step % 256 == 0)
		check_frames();
}

static void random_steps(void **state)
{
	const char *steps = getenv("QUIRE_STEPS"), *from = getenv("QUIRE_SEED");
	u64 n = steps ? strtoull(steps, NULL, 0) : 50000;

	(void)state;
	if (from)
		seed = strtoull(from, NULL, 0) * 0x9e3779b97f4a7c15UL + 1;
	for (unsigned i = 0; i < FILES; i++) {
		files[i].plain = i == 0;
		files[i].size = OBJECT_PAGES;
		files[i].file = kit_file(OBJECT_PAGES, i != 0);
		for (u64 k = 0; k < OBJECT_PAGES; k++)
			files[i].value[k] = initial(&files[i], k);
	}
	process[0].s = kit_space();
	process[0].s->mmap_top = va_of(ZONE_PAGES - 1) + PAGE_SIZE;
	process[0].s->brk_start = process[0].s->brk = va_of(ZONE_PAGES);
	for (step = 1; step <= n; step++)
		one_step();
	for (struct process *m = process; m < process + SPACES; m++)
		if (m->s) {
			kit_space_end(m->s);
			unmap(m->page, NPAGES);
			m->s = NULL;
		}
	for (unsigned i = 0; i < FILES; i++)
		kit_file_close(files[i].file);
}

int main(void)
{
	const struct CMUnitTest tests[] = { KIT_TEST(random_steps) };

	return KIT_RUN(tests);
}
