/* SPDX-License-Identifier: MIT */
/*
 * Owns: /proc/PID/smaps. How many spaces map a frame is counted when it is asked for, through the tables of
 * every space: a frame's own hold count says less, since a table that several spaces use holds a frame once.
 * So Pss is exact, and costs the fault path nothing. Locks: each space's, in turn.
 */
#include "kernel/base/errno.h"
#include "mm/kmem.h"
#include "mm/report.h"

#define NAME_SIZE 256

/* How many leaf tables map each frame: pages of counts, as memory may be large and its free blocks small. */
struct mappers { u64 pages; u16 *of[]; };
#define PER_PAGE (PAGE_SIZE / sizeof(u16))

static u16 *mappers_of(struct mappers *m, pte_t e)
{
	u64 n = frame_number(pt_child(e));

	return &m->of[n / PER_PAGE][n % PER_PAGE];
}

static void mappers_free(struct mappers *m)
{
	while (m && m->pages)
		kmem_free(m->of[--m->pages]);
	kmem_free(m);
}

static struct mappers *mappers_make(void)
{
	u64 pages = nr_frames / PER_PAGE + 1;
	struct mappers *m = kmem_alloc(sizeof(*m) + pages * sizeof(*m->of));

	for (; m && m->pages < pages; m->pages++)
		if (!(m->of[m->pages] = kmem_alloc(PAGE_SIZE))) {
			mappers_free(m);
			return NULL;
		}
	return m;
}

/* One more mapper for each frame that leaf table T maps. */
static void count_table(struct frame *t, vaddr_t va __unused, bool own __unused, void *mappers)
{
	if (t->level == 1)
		for (unsigned i = 0; (i = pt_next_live(t, i, PT_ENTRIES)) < PT_ENTRIES; i++) {
			pte_t e = READ_ONCE(pt_slots(t)[i]);
			u16 *n = mappers_of(mappers, e);

			*n += e && *n < 0xffff;
		}
}

static void count_space(struct space *s, void *mappers)
{
	report_each_table(s, count_table, mappers);
}

struct region_usage { u64 rss, pss, shared_clean, shared_dirty, private_clean, private_dirty, young, anon; };

static void add_entry(struct region_usage *u, pte_t e, struct mappers *mappers)
{
	bool anon = pte_class(e) == PTE_CLASS_ANON;
	unsigned users = MAX(*mappers_of(mappers, e), 1);

	u->rss += PAGE_SIZE;
	u->pss += PAGE_SIZE / users;
	u->anon += anon ? PAGE_SIZE : 0;
	u->young += pte_young(e) ? PAGE_SIZE : 0;
	if (users > 1)
		*(pte_dirty(e) ? &u->shared_dirty : &u->shared_clean) += PAGE_SIZE;
	else
		*(pte_dirty(e) ? &u->private_dirty : &u->private_clean) += PAGE_SIZE;
}

static void add_region(struct space *s, struct region *r, struct region_usage *u, struct mappers *mappers)
{
	struct pt_piece p = PT_PIECE(s->root, r->start, r->end);

	while (pt_next(&p)) {
		spin_lock(&p.table->table.lock);
		for (unsigned i = 0; i < p.n; i++) {
			pte_t e = pt_slot(p.table, p.va)[i];

			if (pte_class(e) && pte_class(e) != PTE_CLASS_ZERO)
				add_entry(u, e, mappers);
		}
		spin_unlock(&p.table->table.lock);
	}
}

static void usage_lines(const struct region_usage *u, u64 locked, struct text *t)
{
	text_printf(t,
		    "Rss:            %8lu kB\nPss:            %8lu kB\nShared_Clean:   %8lu kB\nShared_Dirty:   %8lu kB\n"
		    "Private_Clean:  %8lu kB\nPrivate_Dirty:  %8lu kB\nReferenced:     %8lu kB\nAnonymous:      %8lu kB\n"
		    "Swap:                  0 kB\nLocked:         %8lu kB\n",
		    u->rss >> 10, u->pss >> 10, u->shared_clean >> 10, u->shared_dirty >> 10, u->private_clean >> 10,
		    u->private_dirty >> 10, u->young >> 10, u->anon >> 10, locked >> 10);
}

int report_smaps(struct space *s, struct text *t, bool rollup)
{
	char *name = kmem_alloc(NAME_SIZE);
	struct region_usage sum = { 0 };
	u64 locked = 0;

	struct mappers *mappers = mappers_make();

	if (!name || !mappers) {
		kmem_free(name);
		mappers_free(mappers);
		return -ENOMEM;
	}
	space_each(count_space, mappers);
	spin_lock(&s->lock);
	struct region *first = region_at_or_above(s, 0), *last = region_last(s);
	if (rollup && first)
		text_printf(t, "%08lx-%08lx ---p 00000000 00:00 0                          [rollup]\n", first->start, last->end);
	for (struct region *r = first; r; r = region_next(r)) {
		struct region_usage one = { 0 };

		add_region(s, r, rollup ? &sum : &one, mappers);
		locked += r->flags & R_LOCKED ? r->end - r->start : 0;
		if (rollup)
			continue;
		report_maps_line(s, r, name, NAME_SIZE, t);
		text_printf(t, "Size:           %8lu kB\nKernelPageSize:        4 kB\nMMUPageSize:           4 kB\n",
			    (r->end - r->start) >> 10);
		usage_lines(&one, r->flags & R_LOCKED ? one.rss : 0, t);
		text_printf(t, "VmFlags:%s%s%s%s%s%s%s\n", r->flags & R_READ ? " rd" : "", r->flags & R_WRITE ? " wr" : "",
			    r->flags & R_EXEC ? " ex" : "", r->flags & R_SHARED ? " sh" : "", r->flags & R_GROWSDOWN ? " gd" : "",
			    r->flags & R_LOCKED ? " lo" : "", r->flags & R_DONTFORK ? " dc" : "");
	}
	spin_unlock(&s->lock);
	if (rollup)
		usage_lines(&sum, locked, t);
	kmem_free(name);
	mappers_free(mappers);
	return 0;
}
