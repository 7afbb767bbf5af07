/* SPDX-License-Identifier: MIT */
/*
 * Owns: the checker. It believes nothing: it walks every table of a space and recomputes live counts, counts
 * by class, levels, sizes, and compares each entry with the region that should cover it and with
 * the frame that it maps. The first difference is a panic that says where.
 */
#include "mm/check.h"
#include "arch/cpu.h"
#include "kernel/base/print.h"
#include "kernel/base/tunables.h"
#include "mm/fault_case.h"

struct check {
	struct space *space;
	struct region *region;		/* the one at, or next above, the entry looked at */
};

static const u8 kind_of_class[] = {
	[PTE_CLASS_ANON] = FRAME_ANON, [PTE_CLASS_FILE] = FRAME_CACHE, [PTE_CLASS_SHMEM] = FRAME_CACHE, [PTE_CLASS_ZERO] = FRAME_KERNEL,
};

#define FAIL(fmt, ...) panic("check: " fmt, __VA_ARGS__)

static void check_leaf(struct check *c, const struct frame *t, vaddr_t va, pte_t e)
{
	struct frame *f = pt_child(e);
	struct region *r = c->region;

	while (r && va >= r->end)
		r = c->region = region_next(r);
	if (!r || va < r->start)
		FAIL("entry %#lx at %#lx lies in no region", e, va);
	if (pte_marked(e) && !t->marked)
		FAIL("entry %#lx at %#lx bears a mark, its table does not know", e, va);
	if (!pte_class(e) || pte_class(e) >= NR_PTE_CLASSES)
		FAIL("entry %#lx at %#lx has no class", e, va);
	if (frame_number(f) >= nr_frames || f->kind != kind_of_class[pte_class(e)])
		FAIL("entry %#lx at %#lx maps frame %#lx of kind %u", e, va, frame_number(f), f->kind);
	if (READ_ONCE(f->refs) == 0)
		FAIL("entry %#lx at %#lx maps frame %#lx that nobody holds", e, va, frame_number(f));
	if (pte_class(e) == PTE_CLASS_ZERO && f != zero_frame)
		FAIL("entry %#lx at %#lx is not the zero page", e, va);
	if (pte_writable(e) && !(r->flags & R_WRITE))
		FAIL("entry %#lx at %#lx is writable, its region (flags %#x) is not", e, va, r->flags);
	if (pte_exec(e) && !(r->flags & R_EXEC))
		FAIL("entry %#lx at %#lx is executable, its region (flags %#x) is not", e, va, r->flags);
	if (pte_present(e) && !(r->flags & R_PROT))
		FAIL("entry %#lx at %#lx is present, its region allows nothing", e, va);
	if (pte_present(e) && !pte_user(e))
		FAIL("entry %#lx at %#lx is the kernel's", e, va);
	if (pte_writable(e) && !(r->flags & R_SHARED) && (pte_class(e) != PTE_CLASS_ANON || f->refs != 1))
		FAIL("entry %#lx at %#lx is writable, its page is shared (class %u, %u holds)", e, va, pte_class(e), f->refs);
	if (f->kind != FRAME_CACHE || !f->cached.cache)		/* cut off: it has no index any more */
		return;
	if (f->cached.cache != r->cache)
		FAIL("entry %#lx at %#lx maps a page of another file", e, va);
	if (f->cached.index != r->pgoff + ((va - r->start) >> PAGE_SHIFT))
		FAIL("entry %#lx at %#lx maps page %lu of its file", e, va, f->cached.index);
}

static void check_table(struct check *c, struct frame *t, unsigned level, vaddr_t base, bool own)
{
	u16 count[NR_PTE_CLASSES] = { 0 };
	unsigned n = level == PT_LEVELS ? USER_ROOT_ENTRIES : PT_ENTRIES;

	if (t->kind != FRAME_TABLE || t->level != level || t->dead)
		FAIL("frame %#lx, table for %#lx at level %u: kind %u, level %u%s", frame_number(t), base, level, t->kind, t->level,
		     t->dead ? ", dead" : "");
	if (t->refs == 0 || (own && t->refs != 1))
		FAIL("table %#lx of %#lx has use %u and %s", frame_number(t), base, t->refs, own ? "a writable parent" : "no user");
	for (unsigned i = 0; i < n; i++) {
		pte_t e = pt_slots(t)[i];
		vaddr_t va = base + i * pt_span(level);

		if (!e)
			continue;
		if (!(t->table.groups >> (i >> PT_GROUP_SHIFT) & 1))
			FAIL("table %#lx of %#lx: entry %u is not empty, its group is", frame_number(t), base, i);
		count[PTE_CLASS_NONE]++;
		if (pte_class(e))
			count[pte_class(e)]++;
		if (level == 1) {
			check_leaf(c, t, va, e);
		} else {
			if (!pte_present(e) || !pte_user(e) || pte_large(e) || !pte_exec(e) || pte_class(e))
				FAIL("entry %#lx at %#lx, level %u, is no table", e, va, level);
			check_table(c, pt_child(e), level - 1, va, pte_writable(e));
		}
	}
	for (unsigned i = 0; i < NR_PTE_CLASSES; i++)
		if (count[i] != t->table.count[i])
			FAIL("table %#lx of %#lx, level %u: count %u is %u, should be %u", frame_number(t), base, level, i,
			     t->table.count[i], count[i]);
}

static void check_regions(struct space *s)
{
	u64 pages = 0, locked = 0;
	u32 n = 0;
	vaddr_t at = 0;

	for (struct region *r = region_at_or_above(s, 0); r; r = region_next(r)) {
		if (r->start < at || r->start >= r->end || r->end > USER_END || (r->start | r->end) & ~PAGE_MASK)
			FAIL("region %#lx-%#lx after %#lx", r->start, r->end, at);
		if (r->space != s)
			FAIL("region %#lx-%#lx belongs to another space", r->start, r->end);
		at = r->end;
		n++;
		pages += (r->end - r->start) >> PAGE_SHIFT;
		if (r->flags & R_LOCKED)
			locked += (r->end - r->start) >> PAGE_SHIFT;
	}
	if (n != s->nr_regions || pages != s->pages || locked != s->locked_pages)
		FAIL("%u regions, %lu pages, %lu locked; counted %u, %lu, %lu", s->nr_regions, s->pages, s->locked_pages, n, pages,
		     locked);
}

void check_space(struct space *s)
{
	spin_lock(&s->lock);
	struct check c = { .space = s, .region = region_at_or_above(s, 0) };
	check_regions(s);
	check_table(&c, s->root, PT_LEVELS, 0, true);
	spin_unlock(&s->lock);
}

void check_frames(void)
{
	u64 listed = frame_check_free(), counted = frame_nr_free();

	if (listed != counted)
		FAIL("%lu frames in free lists, %lu by count", listed, counted);
}

/* Does a table below AT, or AT itself, point to T? */
static __racy bool links_to(const struct frame *at, const struct frame *t)
{
	unsigned n = at->level == PT_LEVELS ? USER_ROOT_ENTRIES : PT_ENTRIES;

	for (unsigned i = 0; (i = pt_next_live(at, i, n)) < n; i++) {
		const struct frame *child = pt_child(READ_ONCE(pt_slots(at)[i]));

		if (child == t || (child->level > t->level && links_to(child, t)))
			return true;
	}
	return false;
}

void check_unlinked(const struct space *s, const struct frame *t)
{
	if (s && links_to(s->root, t))
		FAIL("table %#lx of level %u is about to be freed, and still linked", frame_number(t), t->level);
}

void check_after(struct space *s, bool at_exit)
{
	if (likely(tune.debug_check < 2 && !(tune.debug_check && at_exit)))
		return;
	if (!arch_freeze_others(!s->refs))
		return;
	check_space(s);
	check_frames();
	arch_thaw_others();
}
