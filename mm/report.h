/* SPDX-License-Identifier: MIT */
/* Owns: what can be told of a space: exact sums over its tables, and the texts under /proc. */
#pragma once
#include "kernel/base/text.h"
#include "mm/space.h"

struct space_usage {
	u64 anon, file, shmem;		/* resident pages */
	u64 tables;			/* page tables, root included: VmPTE in frames */
	u64 size, locked, data, stack, exec;	/* pages of regions: VmSize VmLck VmData VmStk VmExe */
	u64 peak_size, peak_rss;	/* the highest so far: VmPeak VmHWM */
};
void space_usage(struct space *s, struct space_usage *u);

/* Calls VISIT for each table of S, the root first. VA: the first address that T maps in S; OWN: no other space reaches
 * it. S is locked. */
typedef void report_visit(struct frame *t, vaddr_t va, bool own, void *arg);
void report_each_table(struct space *s, report_visit *visit, void *arg);
/* One line of maps; NAME is room for SIZE bytes of path. */
void report_maps_line(struct space *s, struct region *r, char *name, size_t size, struct text *t);

/* The texts of /proc/PID/ maps, smaps, smaps_rollup (0 or -ENOMEM), pagetable; a walk of VA. */
int report_maps(struct space *s, struct text *t);
int report_smaps(struct space *s, struct text *t, bool rollup);
void report_pagetable(struct space *s, struct text *t);
void report_ptwalk(struct space *s, vaddr_t va, struct text *t);
/* Linux's 64-bit pagemap words for COUNT pages from VA. */
void report_pagemap(struct space *s, vaddr_t va, unsigned count, u64 *out);
/* Memory of the whole machine, in pages. */
struct memory_usage { u64 total, free, anon, file, shmem, clean, tables, slab, kernel; };	/* clean: of file, can be dropped */
void memory_usage(struct memory_usage *m);
