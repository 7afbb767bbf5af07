/* SPDX-License-Identifier: MIT */
/*
 * Owns: tables and regions that nobody can find any more, but that a CPU which walks without a lock may still
 * look at: they are freed after a grace period (kernel/base/epoch.h). Per CPU, oldest first. With one CPU
 * there is nobody to wait for, and nothing ever waits here.
 */
#pragma once
#include "mm/frame.h"

struct region;

void limbo_table(struct frame *table);		/* dead, flushed, without entries; any lock may be held */
void limbo_regions(struct region *list);	/* by next_free; no lock held: dropping a file may sleep */
void limbo_reap_tables(void);			/* frees tables that have waited long enough on this CPU */
void limbo_settle(void);			/* waits a while until none waits here; holds nothing found without a lock */
void limbo_hand_over(void);			/* gives this CPU's regions away, from an interrupt, to be freed by who */
void limbo_take_over(void);			/* takes what was given: no lock held */
void limbo_reap(void);				/* the same, and regions; no lock held */
