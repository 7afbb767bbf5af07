/* SPDX-License-Identifier: MIT */
/* Owns: the entry to the fault handler (mm/fault.c) for the trap path and for kernel access to user memory. */
#pragma once
#include "mm/space.h"

enum fault_result {
	FAULT_OK,
	FAULT_MAJOR,	/* the same, but a page had to be waited for */
	FAULT_MAPERR,	/* no region: SIGSEGV, SEGV_MAPERR */
	FAULT_ACCERR,	/* the region forbids it: SIGSEGV, SEGV_ACCERR */
	FAULT_BUS,	/* past the end of the file, or unreadable: SIGBUS, BUS_ADRERR */
	FAULT_OOM,	/* no memory: the caller kills the process, or fails the call */
};

/*
 * Makes the access to VA possible, or says why not. ERROR is enum fault_error bits. A stack
 * above VA grows down to it. May sleep when a file must be read; no lock held.
 */
enum fault_result fault_handle(struct space *s, vaddr_t va, unsigned error);

/* Copy between BUF and memory of S, running or not, through its regions' rights. Bytes done, or -EFAULT. */
ssize_t space_read(struct space *s, vaddr_t va, void *buf, size_t n);
ssize_t space_write(struct space *s, vaddr_t va, const void *buf, size_t n);

/* Identity of the word at VA for futexes: (space, va) for private memory, (cache, offset) for shared. */
struct futex_key { const void *object; u64 offset; };
int space_futex_key(struct space *s, vaddr_t va, bool private_hint, struct futex_key *key);
