/* SPDX-License-Identifier: MIT */
/*
 * Owns: the checker: recomputes, entry by entry, what mm/ keeps as counts, and compares. A difference is
 * a panic that names it. Callers hold no lock. debug_check says how often.
 */
#pragma once
#include "mm/space.h"

void check_space(struct space *s);	/* one space: regions, tables, counts, rights, frames */
void check_frames(void);		/* free lists against kinds */
/* T, which waits for its grace period from now on, is found no more from the root of S (NULL: not looked at): who comes
 * later is not waited for. Any lock may be held. */
void check_unlinked(const struct space *s, const struct frame *t);
/* After an operation on S, when debug_check is 2 (always; where there are other CPUs to be stopped, for no more than half
 * of the time, but every space that ends) or 1 and AT_EXIT. */
void check_after(struct space *s, bool at_exit);
