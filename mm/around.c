/* SPDX-License-Identifier: MIT */
/*
 * Owns: how much one fault does: the window of neighbours that a read fault on a file maps.
 */
#include "kernel/base/tunables.h"
#include "mm/fault_case.h"

struct window around_window(struct fault *f)
{
	u64 bytes = tune.fault_around_bytes;
	vaddr_t from = ALIGN_DOWN(f->va, bytes);

	return (struct window){ .from = MAX(from, f->start), .to = MIN(from + bytes, f->end) };
}
