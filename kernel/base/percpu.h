/* SPDX-License-Identifier: MIT */
/*
 * Owns: variables of which each CPU has its own.
 *
 * They live in the section .data.percpu. The boot CPU uses that section in place (its GS base is 0);
 * each other CPU has a copy of it and a GS base of (copy - section), so that `%gs:variable` reaches
 * the CPU's own. The kernel runs with interrupts off and is never preempted (see kernel/sched.h), so
 * a pointer to the own copy stays valid until the thread blocks.
 */
#pragma once
#include "kernel/base/types.h"

#define MAX_CPUS 64

#define DECLARE_PERCPU(type, name) extern __typeof__(type) name
#define DEFINE_PERCPU(type, name) __attribute__((section(".data.percpu"))) __typeof__(type) name

/* An lvalue: the running CPU's own NAME. One %gs-relative access. */
#define this_cpu(name) (*(__typeof__(name) __seg_gs *)(uintptr_t)&(name))

DECLARE_PERCPU(u64, percpu_offset);	/* copy - section of this CPU: 0 on the boot CPU */
DECLARE_PERCPU(u32, cpu_number);	/* 0 .. nr_cpus - 1 */

extern u64 percpu_offsets[MAX_CPUS];	/* constant after the CPU is up */
extern u32 nr_cpus;			/* CPUs running */

/* Keeps the section as it is, for other CPUs: first of all, before anybody has written to it. */
void percpu_save_image(void);
size_t percpu_size(void);			/* bytes of a CPU's variables */
/* Fills AREA (percpu_size() bytes, 64-aligned) with fresh variables of CPU, which does not run yet. */
void percpu_add(u32 cpu, void *area);

/* Pointers to the running CPU's own NAME, and to that of CPU. */
#define this_cpu_ptr(name) ((__typeof__(name) *)((uintptr_t)&(name) + this_cpu(percpu_offset)))
#define cpu_ptr(name, cpu) ((__typeof__(name) *)((uintptr_t)&(name) + percpu_offsets[cpu]))
