/* SPDX-License-Identifier: MIT */
/*
 * Owns: the bits of an x86-64 page-table entry. No other file knows one. Pure functions: this header
 * serves the kernel and the host alike.
 *
 * An entry is empty (0), a table pointer, a leaf, or not present with a meaning (swap, later). Three of
 * the bits that hardware ignores hold the *class* of a leaf, so that the gate (mm/pgtable.c) can count
 * by looking at entries alone.
 */
#pragma once
#include "kernel/base/types.h"

typedef u64 pte_t;

#define PTE_P		(1UL << 0)
#define PTE_W		(1UL << 1)
#define PTE_U		(1UL << 2)
#define PTE_PWT		(1UL << 3)
#define PTE_PCD		(1UL << 4)
#define PTE_A		(1UL << 5)
#define PTE_D		(1UL << 6)
#define PTE_LARGE	(1UL << 7)
#define PTE_G		(1UL << 8)	/* with PTE_P: global */
#define PTE_BARRED	(1UL << 8)	/* without PTE_P: a leaf that nobody may access (PROT_NONE) */
#define PTE_CLASS_SHIFT	9
#define PTE_CLASS	(7UL << PTE_CLASS_SHIFT)
/* Of a leaf given to somebody who had not asked for it: A, or D, tells when it goes whether it was of use. */
#define PTE_MARK_A	(1UL << 52)
#define PTE_MARK_D	(1UL << 53)
#define PTE_MARKS	(PTE_MARK_A | PTE_MARK_D)
#define PTE_NX		(1UL << 63)
#define PTE_HARDWARE	(PTE_A | PTE_D)	/* set by the CPU at any moment */
#define PTE_ADDR	0x000ffffffffff000UL

#define PT_ENTRIES 512
#define PT_LEVELS 4			/* the root is level 4, a leaf table level 1 */
#define USER_END (1UL << 47)		/* first address that is not the user's */
#define USER_ROOT_ENTRIES 256		/* the root's entries below USER_END */

/* What a leaf maps; also the index of its count in the table's frame. */
enum pte_class {
	PTE_CLASS_NONE,			/* empty, a table, or a mapping of the kernel's own */
	PTE_CLASS_ANON,			/* a frame that belongs to the processes that map it */
	PTE_CLASS_FILE,			/* a frame of the page cache */
	PTE_CLASS_SHMEM,		/* a frame of the page cache that has no file system behind it */
	PTE_CLASS_ZERO,			/* the zero page */
	NR_PTE_CLASSES,
};

/* Rights and properties of a leaf, for pte_leaf(): its bits, but for PTE_EXEC, which is the lack of one. */
enum pte_flag {
	PTE_EXEC = 1, PTE_WRITE = PTE_W, PTE_USER = PTE_U, PTE_YOUNG = PTE_A, PTE_DIRTY = PTE_D,
	PTE_NOCACHE = PTE_PCD | PTE_PWT, PTE_GLOBAL = PTE_G,
};

static inline unsigned pt_shift(unsigned level)
{
	return PAGE_SHIFT + 9 * (level - 1);
}

/* Bytes that one entry of a table at LEVEL spans. */
static inline u64 pt_span(unsigned level)
{
	return 1UL << pt_shift(level);
}

static inline unsigned pt_index(vaddr_t va, unsigned level)
{
	return (va >> pt_shift(level)) & (PT_ENTRIES - 1);
}

static inline pte_t pte_leaf(paddr_t pa, enum pte_class c, unsigned flags)
{
	return pa | PTE_P | (u64)c << PTE_CLASS_SHIFT | (flags & ~PTE_EXEC) | (flags & PTE_EXEC ? 0 : PTE_NX);
}

/* The same for a leaf of level 2 or 3, of the kernel's own; PA is aligned to what it spans. */
static inline pte_t pte_leaf_large(paddr_t pa, unsigned flags)
{
	return pte_leaf(pa, PTE_CLASS_NONE, flags) | PTE_LARGE;
}

/* An entry that points to the table at PA; OWN: its user may write below it. */
static inline pte_t pte_table(paddr_t pa, bool own)
{
	return pa | PTE_P | PTE_U | PTE_A | (own ? PTE_W : 0);
}

static inline pte_t pte_kernel_table(paddr_t pa)
{
	return pa | PTE_P | PTE_W | PTE_A;
}

static inline bool pte_empty(pte_t e) { return e == 0; }
static inline bool pte_present(pte_t e) { return e & PTE_P; }
static inline bool pte_writable(pte_t e) { return e & PTE_W; }
static inline bool pte_user(pte_t e) { return e & PTE_U; }
static inline bool pte_exec(pte_t e) { return !(e & PTE_NX); }
static inline bool pte_young(pte_t e) { return e & PTE_A; }
static inline bool pte_dirty(pte_t e) { return e & PTE_D; }
static inline bool pte_large(pte_t e) { return e & PTE_LARGE; }
static inline paddr_t pte_pa(pte_t e) { return e & PTE_ADDR; }

/* Not NONE: the entry holds a frame, present or barred. */
static inline enum pte_class pte_class(pte_t e)
{
	return (enum pte_class)((e & PTE_CLASS) >> PTE_CLASS_SHIFT);
}

static inline pte_t pte_set_write(pte_t e, bool on) { return on ? e | PTE_W : e & ~PTE_W; }
/* In place, while the CPU may set A or D. */
static inline void pte_clear_write(pte_t *e) { __atomic_fetch_and(e, ~PTE_W, __ATOMIC_RELAXED); }
static inline void pte_give_write(pte_t *e) { __atomic_fetch_or(e, PTE_W, __ATOMIC_RELEASE); }
static inline pte_t pte_set_young(pte_t e, bool on) { return on ? e | PTE_A : e & ~PTE_A; }
static inline pte_t pte_set_dirty(pte_t e, bool on) { return on ? e | PTE_D : e & ~PTE_D; }
/* A leaf that is given ahead (MARK_A), or writable to who only reads (MARK_D), is to be judged by that bit. */
static inline pte_t pte_mark_ahead(pte_t e) { return (e & ~(PTE_A | PTE_D)) | PTE_MARK_A; }
static inline pte_t pte_mark_guess(pte_t e) { return (e & ~PTE_D) | PTE_MARK_D; }
static inline pte_t pte_unmark(pte_t e) { return e & ~PTE_MARKS; }
static inline pte_t pte_marked(pte_t e) { return e & PTE_MARKS; }
static inline bool pte_guessed(pte_t e) { return e & PTE_MARK_D; }
static inline bool pte_barred(pte_t e) { return (e & (PTE_P | PTE_BARRED)) == PTE_BARRED; }

/* A change of rights, applied to many entries: (e & keep) | set. */
struct pte_edit { pte_t keep, set; };

/* BAR lets nobody in, not even the kernel, though the leaf keeps its frame; WRITE false takes the write bit away, GRANT
 * gives it; EXEC as said. */
static inline struct pte_edit pte_edit(bool bar, bool write, bool grant, bool exec)
{
	struct pte_edit e = { .keep = ~(PTE_P | PTE_BARRED | PTE_NX), .set = bar ? PTE_BARRED : PTE_P };

	if (!write)
		e.keep &= ~PTE_W;
	else if (grant)
		e.set |= PTE_W;
	if (!exec)
		e.set |= PTE_NX;
	return e;
}

static inline pte_t pte_apply(struct pte_edit e, pte_t old) { return (old & e.keep) | e.set; }

/* Not 0: the edit takes rights from OLD that somebody may have in a TLB. */
static inline pte_t pte_edit_takes(struct pte_edit e, pte_t old)
{
	return (old & ~e.keep & ~e.set & (PTE_P | PTE_W)) | (~old & e.set & PTE_NX);
}

/* Does going from OLD to NEW take something from those who may have OLD in a TLB? */
static inline bool pte_loses(pte_t old, pte_t new)
{
	return pte_present(old) && ((old & ~new & (PTE_P | PTE_W | PTE_U)) | (~old & new & PTE_NX) | ((old ^ new) & PTE_ADDR));
}

/*
 * What an access needs to pass at one level, and whether entry E lets it: 0 when it does. WANT is made
 * of pte_want(); the same test serves every level but for NX, which tables never set.
 */
static inline pte_t pte_want(bool write)
{
	return PTE_P | PTE_U | (write ? PTE_W : 0);
}

static inline bool pte_permits(pte_t e, pte_t want, bool exec)
{
	return (e & want) == want && !(exec && (e & PTE_NX));
}

/* The error code that the CPU pushes with a page fault. */
enum fault_error {
	FAULT_PRESENT = 1, FAULT_WRITE = 2, FAULT_USER = 4, FAULT_RESERVED = 8, FAULT_EXEC = 16,
};
