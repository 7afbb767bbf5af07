/* SPDX-License-Identifier: MIT */
/*
 * Owns: what the kernel maps for itself at KVA_BASE, on every CPU: pages, and registers of devices. Whoever calls owns the
 * addresses, and they are used by nobody else. Locks: each table's own, as in mm/pgtable.h.
 */
#include "kernel/base/errno.h"
#include "mm/pgtable.h"

int pt_map_kernel(vaddr_t va, unsigned n)
{
	for (unsigned i = 0; i < n; i++, va += PAGE_SIZE) {
		struct frame *f = frame_alloc(FRAME_KERNEL);
		struct frame *t = f ? pt_make(NULL, va) : NULL;

		if (!t) {
			if (f)
				frame_free(f);
			pt_unmap_kernel(va - (u64)i * PAGE_SIZE, i);
			return -ENOMEM;
		}
		pt_lock(t);
		pt_store(NULL, t, pt_slot(t, va), va,
			 pte_leaf(frame_pa(f), PTE_CLASS_NONE, PTE_WRITE | PTE_YOUNG | PTE_DIRTY));
		pt_unlock(t);
	}
	return 0;
}

int pt_map_device(vaddr_t va, paddr_t pa, unsigned n)
{
	for (; n; n--, va += PAGE_SIZE, pa += PAGE_SIZE) {
		struct frame *t = pt_make(NULL, va);

		if (!t)
			return -ENOMEM;
		pt_lock(t);
		pt_store(NULL, t, pt_slot(t, va), va,
			 pte_leaf(pa, PTE_CLASS_NONE, PTE_WRITE | PTE_YOUNG | PTE_DIRTY | PTE_NOCACHE));
		pt_unlock(t);
	}
	return 0;
}

void pt_unmap_kernel(vaddr_t va, unsigned n)
{
	struct tlb_batch b;

	tlb_batch_begin(&b, NULL);
	for (unsigned i = 0; i < n; i++, va += PAGE_SIZE) {
		struct frame *t = pt_find(pt_kernel_root, va);

		pt_lock(t);
		pte_t old = *pt_slot(t, va);
		pt_store(&b, t, pt_slot(t, va), va, 0);
		pt_unlock(t);
		tlb_batch_frame(&b, pt_child(old));
	}
	tlb_batch_finish(&b);
}
