/* SPDX-License-Identifier: MIT */
/*
 * Owns: the highest sizes that a space has had (VmPeak, VmHWM). Resident pages are counted by their tables alone, not as
 * they come: so the peak is looked for just before some go, as Linux does, by adding up all tables; and not even
 * then, where the pages that faults have given to anybody since the last time cannot have made it higher.
 * What a file that shrinks takes from everybody at once is not looked for. Lock: the space's.
 */
#include "kernel/base/counters.h"
#include "mm/report.h"

/* Pages given by faults until now, at least. */
static __racy u64 pages_given(void)
{
	u64 n = 0;

	for (u32 cpu = 0; cpu < nr_cpus; cpu++) {
		const u64 *c = *cpu_ptr(cpu_counters, cpu);

		n += c[C_fault_anon] + c[C_fault_zero_write] + c[C_fault_cow] + c[C_fault_file] + c[C_around_mapped] +
		     c[C_ahead_mapped] + c[C_populate_pages];
	}
	return n;
}

static __racy void add_pages(struct frame *t, vaddr_t va __unused, bool own __unused, void *pages)
{
	if (t->level == 1)
		*(u64 *)pages += pt_live(t) - t->table.count[PTE_CLASS_ZERO];
}

void peak_look(struct space *s)
{
	u64 given = pages_given(), pages = 0;

	s->peak.most += given - s->peak.given;
	s->peak.given = given;
	if (likely(s->peak.most <= s->peak.rss))
		return;
	report_each_table(s, add_pages, &pages);
	s->peak.rss = MAX(s->peak.rss, pages);
	s->peak.most = pages;
}
