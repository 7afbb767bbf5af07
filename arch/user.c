/* SPDX-License-Identifier: MIT */
/*
 * Owns: strings from and atomic operations on user memory (arch/user.h; block copies are in
 * arch/user_copy.S), and trap_fixup. Each access is one instruction with an entry in the exception table,
 * after which an error word tells whether it was done.
 */
#include "arch/fixup.h"
#include "arch/trap.h"
#include "arch/user.h"
#include "kernel/base/errno.h"

extern const struct fixup { u64 at, out; } __ex_table_start[], __ex_table_end[];

bool trap_fixup(struct trapframe *f)
{
	/* cppcheck-suppress comparePointers */
	for (const struct fixup *e = __ex_table_start; e < __ex_table_end; e++) {
		if (e->at == f->rip) {
			f->rip = e->out;
			return true;
		}
	}
	return false;
}

/* Loads SIZE bytes at user address VA to *V: 0 or -EFAULT. User memory is open. */
#define LOAD(insn, va, v)								\
	({										\
		int err_ = -EFAULT;							\
		__asm__ volatile("1:\t" insn "\n\txor %0, %0\n2:" EX_TABLE(1b, 2b)	\
				 : "+r"(err_), "=r"(v) : "r"(va), "1"(0UL) : "memory");	\
		err_;									\
	})

static int load_byte(vaddr_t va, u8 *c)
{
	u64 v;
	int err = LOAD("movzbl (%2), %k1", va, v);

	*c = (u8)v;
	return err;
}

static int load_word(vaddr_t va, u64 *word)
{
	u64 v;
	int err = LOAD("movq (%2), %1", va, v);

	*word = v;
	return err;
}

/* The top bit of the lowest byte that is 0, and perhaps of bytes above it; 0 if there is none. */
static u64 zero_bytes(u64 w)
{
	return (w - 0x0101010101010101UL) & ~w & 0x8080808080808080UL;
}

/* By words, which do not cross into a page that the string may not touch; by bytes at a page's end. */
ssize_t user_copy_string(char *dst, vaddr_t src, size_t size)
{
	size_t n = 0;
	ssize_t result = -EFAULT;

	user_open();
	while (user_range_ok(src, 1)) {
		u64 word;
		u8 c;

		if ((src & ~PAGE_MASK) <= PAGE_SIZE - 8 && size - n >= 8) {
			if (load_word(src, &word))
				break;
			u64 zero = zero_bytes(word);
			__builtin_memcpy(dst + n, &word, 8);
			if (zero) {
				result = (ssize_t)(n + (unsigned)__builtin_ctzl(zero) / 8);
				break;
			}
			n += 8;
			src += 8;
			continue;
		}
		if (n == size) {
			result = -ENAMETOOLONG;
			break;
		}
		if (load_byte(src++, &c))
			break;
		dst[n] = (char)c;
		if (!c) {
			result = (ssize_t)n;
			break;
		}
		n++;
	}
	user_close();
	return result;
}

int user_read_u32(vaddr_t va, u32 *value)
{
	u64 v;
	int err;

	if (!user_range_ok(va, sizeof(u32)))
		return -EFAULT;
	user_open();
	err = LOAD("movl (%2), %k1", va, v);
	user_close();
	*value = (u32)v;
	return err;
}

static int cmpxchg_open(vaddr_t va, u32 expect, u32 desired, u32 *old)
{
	int err = -EFAULT;

	__asm__ volatile("1:\tlock cmpxchgl %3, (%2)\n\tmovl $0, %0\n2:" EX_TABLE(1b, 2b)
			 : "+r"(err), "+a"(expect) : "r"(va), "r"(desired) : "memory", "cc");
	*old = expect;
	return err;
}

int user_cmpxchg_u32(vaddr_t va, u32 expect, u32 desired, u32 *old)
{
	int err;

	if (!user_range_ok(va, sizeof(u32)))
		return -EFAULT;
	user_open();
	err = cmpxchg_open(va, expect, desired, old);
	user_close();
	return err;
}

/* Linux's FUTEX_OP_SET, ADD, OR, ANDN, XOR. */
static u32 futex_op(unsigned op, u32 v, u32 operand)
{
	switch (op) {
	case 0: return operand;
	case 1: return v + operand;
	case 2: return v | operand;
	case 3: return v & ~operand;
	default: return v ^ operand;
	}
}

int user_rmw_u32(vaddr_t va, unsigned op, u32 operand, u32 *old)
{
	u32 v, seen;
	int err = user_read_u32(va, &v);

	if (op > 4)
		return -ENOSYS;
	while (!err) {
		err = user_cmpxchg_u32(va, v, futex_op(op, v, operand), &seen);
		if (err || seen == v)
			break;
		v = seen;
	}
	*old = v;
	return err;
}
