/* SPDX-License-Identifier: MIT */
/*
 * Owns: the storage and the texts of the counters. Each slot is stored by its own CPU alone, so a
 * sum read while others count is exact for some moment of each CPU. No lock.
 */
#include "kernel/base/counters.h"

DEFINE_PERCPU(counter_set, cpu_counters);

const char *const counter_names[NR_COUNTERS] = {
#define COUNTER(name, meaning) #name,
#include "kernel/base/counters.def"
#undef COUNTER
};

const char *const counter_meanings[NR_COUNTERS] = {
#define COUNTER(name, meaning) meaning,
#include "kernel/base/counters.def"
#undef COUNTER
};

u64 counter_sum(enum counter c)
{
	u64 sum = 0;

	for (u32 cpu = 0; cpu < nr_cpus; cpu++)
		sum += READ_ONCE((*cpu_ptr(cpu_counters, cpu))[c]);
	return sum;
}
