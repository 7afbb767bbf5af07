/* SPDX-License-Identifier: MIT */
/* Owns: where things lie in the kernel's half of every address space. */
#pragma once

/* Physical memory is mapped read-write, not executable, at DIRECT_BASE (kernel text and constants in it
 * read-only). KVA_BASE.. is for mappings made at run time: kernel stacks with guard pages. */
#define DIRECT_BASE 0xffff800000000000UL
#define KVA_BASE 0xffffc90000000000UL
#define KVA_SIZE (1UL << 36)
#define KERNEL_BASE 0xffffffff80000000UL
