/* SPDX-License-Identifier: MIT */
/*
 * Owns: what can be told of memory. Resident sizes are sums of the counts that each leaf table keeps; table
 * sizes are tables met on the way: exact by construction, nothing is tracked on the fault path for them.
 * Locks: the space's, so that regions stay; entries are read as they are.
 */
#include "mm/report.h"
#include "kernel/base/counters.h"
#include "kernel/base/errno.h"
#include "mm/kmem.h"
#include "mm/limbo.h"

static void each_table(struct frame *t, vaddr_t va, bool own, report_visit *visit, void *arg)
{
	visit(t, va, own, arg);
	if (t->level == 1)
		return;
	unsigned n = t->level == PT_LEVELS ? USER_ROOT_ENTRIES : PT_ENTRIES;
	unsigned left = pt_live(t);
	for (unsigned i = 0; left && (i = pt_next_live(t, i, n)) < n; i++, left--) {
		pte_t e = READ_ONCE(pt_slots(t)[i]);

		if (likely(e))
			each_table(pt_child(e), va + i * pt_span(t->level), own && READ_ONCE(pt_child(e)->refs) == 1, visit, arg);
	}
}

void report_each_table(struct space *s, report_visit *visit, void *arg)
{
	each_table(s->root, 0, true, visit, arg);
}

/* Counts change meanwhile unless the process stands still: each is right of some moment. */
static __racy void add_table(struct frame *t, vaddr_t va __unused, bool own __unused, void *arg)
{
	struct space_usage *u = arg;

	u->tables++;
	if (t->level != 1)
		return;
	u->anon += t->table.count[PTE_CLASS_ANON];
	u->file += t->table.count[PTE_CLASS_FILE];
	u->shmem += t->table.count[PTE_CLASS_SHMEM];
}

void space_usage(struct space *s, struct space_usage *u)
{
	*u = (struct space_usage){ 0 };
	spin_lock(&s->lock);
	u->size = s->pages;
	u->locked = s->locked_pages;
	for (struct region *r = region_at_or_above(s, 0); r; r = region_next(r)) {
		u64 pages = (r->end - r->start) >> PAGE_SHIFT;

		if (r->flags & R_STACK)
			u->stack += pages;
		else if (r->flags & R_EXEC && r->cache)
			u->exec += pages;
		else if (r->flags & R_WRITE && !(r->flags & R_SHARED))
			u->data += pages;
	}
	report_each_table(s, add_table, u);
	u->peak_size = MAX(s->peak.size, u->size);
	u->peak_rss = MAX(s->peak.rss, u->anon + u->file + u->shmem);
	spin_unlock(&s->lock);
}

static void region_name(struct space *s, struct region *r, char *buf, size_t size)
{
	buf[0] = 0;
	if (r->cache)
		r->cache->ops->name(r->cache, buf, size);
	else if (r->flags & R_STACK)
		snprintf(buf, size, "[stack]");
	else if (r->flags & R_HEAP && s->brk > s->brk_start)
		snprintf(buf, size, "[heap]");
}

void report_maps_line(struct space *s, struct region *r, char *name, size_t size, struct text *t)
{
	u64 dev = 0, ino = 0;
	size_t at = t->len;

	if (r->cache)
		r->cache->ops->identity(r->cache, &dev, &ino);
	region_name(s, r, name, size);
	text_printf(t, "%08lx-%08lx %c%c%c%c %08lx %02lx:%02lx %lu ", r->start, r->end, r->flags & R_READ ? 'r' : '-',
		    r->flags & R_WRITE ? 'w' : '-', r->flags & R_EXEC ? 'x' : '-', r->flags & R_SHARED ? 's' : 'p',
		    r->cache ? r->pgoff << PAGE_SHIFT : 0, dev >> 8, dev & 0xff, ino);
	while (name[0] && t->len - at < 73)
		text_write(t, " ", 1);
	text_printf(t, "%s\n", name);
}

#define NAME_SIZE 256

int report_maps(struct space *s, struct text *t)
{
	char *name = kmem_alloc(NAME_SIZE);

	if (!name)
		return -ENOMEM;
	spin_lock(&s->lock);
	for (struct region *r = region_at_or_above(s, 0); r; r = region_next(r))
		report_maps_line(s, r, name, NAME_SIZE, t);
	spin_unlock(&s->lock);
	kmem_free(name);
	return 0;
}

static void table_line(struct frame *table, vaddr_t va, bool own, void *arg)
{
	struct text *t = arg;
	u64 span = pt_span(table->level) * (table->level == PT_LEVELS ? USER_ROOT_ENTRIES : PT_ENTRIES);

	text_printf(t, "%*sL%u 0x%012lx-0x%012lx live=%u use=%u %s frame=0x%lx", 2 * (PT_LEVELS - table->level), "", table->level,
		    va, va + span, pt_live(table), table->refs, own ? "own" : "shared",
		    frame_number(table));
	if (table->level == 1)
		text_printf(t, " anon=%u file=%u shmem=%u zero=%u", table->table.count[PTE_CLASS_ANON],
			    table->table.count[PTE_CLASS_FILE], table->table.count[PTE_CLASS_SHMEM],
			    table->table.count[PTE_CLASS_ZERO]);
	text_write(t, "\n", 1);
}

void report_pagetable(struct space *s, struct text *t)
{
	spin_lock(&s->lock);
	report_each_table(s, table_line, t);
	spin_unlock(&s->lock);
}

static void rights_text(pte_t e, bool leaf, struct text *t)
{
	text_printf(t, "%s%s%s%s%s%s\n", pte_barred(e) ? " barred" : " P", pte_writable(e) ? " W" : "", pte_user(e) ? " U" : "",
		    pte_young(e) ? " A" : "", leaf && pte_dirty(e) ? " D" : "", leaf && !pte_exec(e) ? " NX" : "");
}

void report_ptwalk(struct space *s, vaddr_t va, struct text *t)
{
	static const char *const class_names[] = { "kernel", "anon", "file", "shmem", "zero" };

	if (va >= USER_END) {
		text_printf(t, "0x%lx is not a user address\n", va);
		return;
	}
	bool own = true;
	spin_lock(&s->lock);
	for (struct frame *table = s->root;; ) {
		pte_t e = READ_ONCE(*pt_slot(table, va));
		struct frame *f = pt_child(e);

		text_printf(t, "%*sL%u[%u] 0x%lx ", 2 * (PT_LEVELS - table->level), "", table->level, pt_index(va, table->level),
			    ALIGN_DOWN(va, pt_span(table->level)));
		if (!e) {
			text_printf(t, "empty\n");
			break;
		}
		if (table->level == 1) {
			text_printf(t, "page frame=0x%lx %s refs=%u", frame_number(f), class_names[pte_class(e)], f->refs);
			rights_text(e, true, t);
			break;
		}
		own &= f->refs == 1;
		text_printf(t, "table frame=0x%lx use=%u live=%u %s", frame_number(f), f->refs, pt_live(f), own ? "own" : "shared");
		rights_text(e, false, t);
		table = f;
	}
	spin_unlock(&s->lock);
}

void report_pagemap(struct space *s, vaddr_t va, unsigned count, u64 *out)
{
	spin_lock(&s->lock);
	for (unsigned i = 0; i < count; i++, va += PAGE_SIZE) {
		struct frame *t = va < USER_END ? pt_find(s->root, va) : NULL;
		pte_t e = t ? READ_ONCE(*pt_slot(t, va)) : 0;
		bool file = pte_class(e) == PTE_CLASS_FILE || pte_class(e) == PTE_CLASS_SHMEM;
		bool sole = pte_class(e) == PTE_CLASS_ANON && pt_child(e)->refs == 1;

		out[i] = pte_class(e) ? 1UL << 63 | (u64)file << 61 | (u64)sole << 56 | frame_number(pt_child(e)) : 0;
	}
	spin_unlock(&s->lock);
}

void memory_usage(struct memory_usage *m)
{
	limbo_reap();
	kmem_drain();
	*m = (struct memory_usage){
		.total = frame_nr_total(), .free = frame_nr_free(), .anon = frame_nr_kind(FRAME_ANON),
		.file = pcache_total_pages(false), .shmem = pcache_total_pages(true),
		.clean = pcache_total_pages(false) - pcache_kept_pages(false), .tables = frame_nr_kind(FRAME_TABLE),
		.slab = frame_nr_kind(FRAME_SLAB), .kernel = frame_nr_kind(FRAME_KERNEL),
	};
}
