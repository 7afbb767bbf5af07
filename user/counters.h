/* SPDX-License-Identifier: MIT */
/*
 * counters.h - how perf and vmstat read the kernel's counters and order them for
 * a person: `name value # meaning` lines (the meaning may be missing), sorted
 * into groups by the first words of the name. A name that no group claims is
 * still shown, in the last group: a new counter needs no change here.
 */
#ifndef USER_COUNTERS_H
#define USER_COUNTERS_H

#include "user/quire.h"

struct counter {
	const char *name, *meaning;
	uint64_t value;
};

struct counters {
	struct counter *list;
	size_t count;
	char *text; /* holds the names and meanings */
};

/* Groups in the order of printing. */
static const struct {
	const char *title;
	const char *prefixes[8];
} counter_groups[] = {
	{ "time and calls",
	  { "ticks", "syscall", "switches", "interrupts", "forks", "execs", "steals", "resched_" } },
	{ "faults", { "pgfault", "pgmajfault", "fault_", "pgreuse" } },
	{ "around and ahead", { "around_", "ahead_", "predict_", "populate_", "readahead_" } },
	{ "page-table entries", { "pt_set", "pt_clear", "pt_change", "pt_walk" } },
	{ "page tables", { "pt_", "nr_page_table", "fork_" } },
	{ "TLB", { "nr_tlb", "tlb_" } },
	{ "locks", { "lock_" } },
	{ "pages",
	  { "nr_", "pg", "page_", "pcache_", "alloc_", "oom_" } },
	{ "other", { "" } },
};
#define COUNTER_GROUPS (sizeof(counter_groups) / sizeof(counter_groups[0]))

/* The index of the group that shows this name: the first that claims it. */
static inline size_t counter_group(const char *name)
{
	for (size_t g = 0; g < COUNTER_GROUPS; g++)
		for (size_t p = 0; p < 8 && counter_groups[g].prefixes[p]; p++)
			if (!strncmp(name, counter_groups[g].prefixes[p],
				     strlen(counter_groups[g].prefixes[p])))
				return g;
	return COUNTER_GROUPS - 1;
}

/* Split text (given away to the result) into counters. Exits when memory ends. */
static inline struct counters counters_parse(char *text)
{
	struct counters all = { .text = text };
	size_t room = 0;

	for (char *line = text, *next; line && *line; line = next) {
		char *space, *hash;

		next = strchr(line, '\n');
		if (next)
			*next++ = 0;
		hash = strchr(line, '#');
		if (hash) {
			*hash++ = 0;
			hash += strspn(hash, " \t");
		}
		space = strpbrk(line, " \t");
		if (!space)
			continue;
		*space++ = 0;
		if (all.count == room) {
			room = room ? 2 * room : 64;
			all.list = realloc(all.list, room * sizeof(*all.list));
			if (!all.list)
				die(0, "out of memory");
		}
		all.list[all.count++] = (struct counter){
			.name = line,
			.meaning = hash ? hash : "",
			.value = strtoull(space, NULL, 10),
		};
	}
	return all;
}

/* The value of one counter; 0 when the kernel has none of that name. */
static inline uint64_t counter_value(const struct counters *all, const char *name)
{
	for (size_t i = 0; i < all->count; i++)
		if (!strcmp(all->list[i].name, name))
			return all->list[i].value;
	return 0;
}

#endif
