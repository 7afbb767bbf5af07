/* SPDX-License-Identifier: MIT */
/*
 * Owns: which CPUs there are and where each has its variables (kernel/base/percpu.h). The boot CPU works in
 * the section itself, so what the section held at first is kept aside for those that come later.
 */
#include "kernel/base/percpu.h"
#include "kernel/base/string.h"

extern char __percpu_start[], __percpu_end[], __percpu_image[];

DEFINE_PERCPU(u64, percpu_offset);
DEFINE_PERCPU(u32, cpu_number);
u64 percpu_offsets[MAX_CPUS];
u32 nr_cpus = 1;

void percpu_save_image(void)
{
	memcpy(__percpu_image, __percpu_start, percpu_size());
}

size_t percpu_size(void)
{
	return (size_t)(__percpu_end - __percpu_start);
}

void percpu_add(u32 cpu, void *area)
{
	memcpy(area, __percpu_image, percpu_size());
	percpu_offsets[cpu] = (u64)area - (u64)__percpu_start;
	*cpu_ptr(percpu_offset, cpu) = percpu_offsets[cpu];
	*cpu_ptr(cpu_number, cpu) = cpu;
}
