/* SPDX-License-Identifier: MIT */
/* Owns: what map.c lends to remap.c. Both: in the bracket of the caller. */
#pragma once
#include "mm/space.h"

/* Where LENGTH bytes may go: at HINT if that is free, else as high as they fit; 0: nowhere. */
vaddr_t map_find_room(struct space *s, vaddr_t hint, u64 length);

/* May the space have MORE bytes, and one more region? */
bool map_within_limits(const struct space *s, u64 more);
