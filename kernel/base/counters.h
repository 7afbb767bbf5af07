/* SPDX-License-Identifier: MIT */
/*
 * Owns: the counters (counters.def). A counter is an array slot per CPU, moved by one instruction and
 * never locked; readers sum over CPUs. Counter domains (kernel/domain.c) are made of differences.
 */
#pragma once
#include "kernel/base/percpu.h"

enum counter {
#define COUNTER(name, meaning) C_##name,
#include "kernel/base/counters.def"
#undef COUNTER
	NR_COUNTERS
};

typedef u64 counter_set[NR_COUNTERS];
DECLARE_PERCPU(counter_set, cpu_counters);

extern const char *const counter_names[NR_COUNTERS];
extern const char *const counter_meanings[NR_COUNTERS];

#define count(name) ((void)this_cpu(cpu_counters[C_##name])++)
#define count_add(name, n) ((void)(this_cpu(cpu_counters[C_##name]) += (n)))

/* The sum of counter C over all CPUs. */
u64 counter_sum(enum counter c);
