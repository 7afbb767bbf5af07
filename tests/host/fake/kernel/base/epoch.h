/* SPDX-License-Identifier: MIT */
/* The grace period on the fake machine: the same words, by C's atomics instead of %gs. */
#pragma once
#include "kernel/base/percpu.h"

extern u64 epoch_now;
DECLARE_PERCPU(u64, epoch_here);

static inline void epoch_enter(void)
{
	__atomic_exchange_n(this_cpu_ptr(epoch_here), READ_ONCE(epoch_now), __ATOMIC_SEQ_CST);
}

static inline void epoch_leave(void)
{
	__atomic_store_n(this_cpu_ptr(epoch_here), 0, __ATOMIC_RELEASE);
}

u64 epoch_retire(void);
bool epoch_passed(u64 tag);
