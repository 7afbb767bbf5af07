/* SPDX-License-Identifier: MIT */
/* Owns: which CPUs there are and where each has its variables (kernel/base/percpu.h). */
#include "kernel/base/percpu.h"

DEFINE_PERCPU(u64, percpu_offset);
DEFINE_PERCPU(u32, cpu_number);
u64 percpu_offsets[MAX_CPUS];
u32 nr_cpus = 1;
