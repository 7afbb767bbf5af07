/* SPDX-License-Identifier: MIT */
/*
 * Host shadow of kernel/base/percpu.h: the same scheme, a section and a copy of it per CPU (made by
 * fake_start); which copy is the own one is said by the CPU that the running thread plays.
 */
#pragma once
#include "kernel/base/types.h"

#define MAX_CPUS 64

extern __thread u32 fake_cpu;
extern u64 percpu_offsets[MAX_CPUS];	/* copy - section */

#define DECLARE_PERCPU(type, name) extern __typeof__(type) name
#define DEFINE_PERCPU(type, name) __attribute__((section("percpu"))) __typeof__(type) name
#define cpu_ptr(name, cpu) ((__typeof__(name) *)((uintptr_t)&(name) + percpu_offsets[cpu]))
#define this_cpu_ptr(name) cpu_ptr(name, fake_cpu)
#define this_cpu(name) (*this_cpu_ptr(name))

DECLARE_PERCPU(u32, cpu_number);
extern u32 nr_cpus;
