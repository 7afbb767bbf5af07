/* SPDX-License-Identifier: MIT */
/*
 * Owns: the checker: recomputes, entry by entry, what mm/ keeps as counts, and compares. A difference is
 * a panic that names it. Callers hold no lock. debug_check says how often.
 */
#pragma once
#include "mm/space.h"

void check_space(struct space *s);	/* one space: regions, tables, counts, rights, frames */
void check_frames(void);		/* free lists against kinds */
/* After an operation on S, when debug_check is 2 (always) or 1 and AT_EXIT. */
void check_after(struct space *s, bool at_exit);
