/* SPDX-License-Identifier: MIT */
/* Owns: what mm/ needs once frames and the kernel's root are there: the zero page. */
#include "mm/fault_case.h"
#include "mm/init.h"

struct frame *zero_frame;

bool mm_start(void)
{
	zero_frame = frame_alloc_zeroed(FRAME_KERNEL);
	return zero_frame != NULL;
}
