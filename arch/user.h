/* SPDX-License-Identifier: MIT */
/*
 * Owns: the only doors between the kernel and the memory of programs. Every address is checked against
 * USER_END, accessed between stac and clac, and may fault: the fault handler then maps the page, or the
 * copy ends early. Callers hold no spin lock.
 */
#pragma once
#include "kernel/base/types.h"

/* Return the number of bytes that could not be copied: 0 is success. */
size_t user_copy_in(void *dst, vaddr_t src, size_t n);
size_t user_copy_out(vaddr_t dst, const void *src, size_t n);
size_t user_clear(vaddr_t dst, size_t n);

/* Copies a string with its NUL into DST of SIZE bytes; its length, -EFAULT, or -ENAMETOOLONG when no
 * NUL is within SIZE. */
ssize_t user_copy_string(char *dst, vaddr_t src, size_t size);

/* 32-bit atomics on user memory for futexes; 0 or -EFAULT. *OLD gets what was there before. */
int user_read_u32(vaddr_t va, u32 *value);
int user_cmpxchg_u32(vaddr_t va, u32 expect, u32 desired, u32 *old);
int user_rmw_u32(vaddr_t va, unsigned op, u32 operand, u32 *old);	/* op: FUTEX_OP_* (set add or andn xor) */

/* Copy a whole object; 0 or -EFAULT. */
#define user_get(dst_ptr, va) (user_copy_in((dst_ptr), (va), sizeof(*(dst_ptr))) ? -EFAULT : 0)
#define user_put(va, src_ptr) (user_copy_out((va), (src_ptr), sizeof(*(src_ptr))) ? -EFAULT : 0)

/* May [VA, VA + N) be a user's at all? (What is mapped there is another question.) */
static inline bool user_range_ok(vaddr_t va, size_t n)
{
	return va <= 0x0000800000000000UL && n <= 0x0000800000000000UL - va;
}
