/* SPDX-License-Identifier: MIT */
/* The grace period on the fake machine: the same words, by C's atomics instead of %gs. */
#pragma once
#include "kernel/base/percpu.h"

extern u64 epoch_now;
DECLARE_PERCPU(u64, epoch_here);

/* Who reads the number and is late to show it has seen nothing yet: that is right, but want_grace() cannot tell it from
 * who has been here all along. So here the number is shown anew. */
static inline void epoch_enter(void)
{
	u64 e;

	do {
		e = __atomic_load_n(&epoch_now, __ATOMIC_SEQ_CST);
		__atomic_exchange_n(this_cpu_ptr(epoch_here), e, __ATOMIC_SEQ_CST);
	} while (__atomic_load_n(&epoch_now, __ATOMIC_SEQ_CST) != e);
}

static inline void epoch_leave(void)
{
	__atomic_store_n(this_cpu_ptr(epoch_here), 0, __ATOMIC_RELEASE);
}

u64 epoch_retire(void);
bool epoch_passed(u64 tag);
