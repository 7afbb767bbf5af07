/* SPDX-License-Identifier: MIT */
/*
 * Owns: the system-call table. kernel/syscalls.def has SYSCALL(number, name, nargs) per call that there is;
 * each is `long sys_NAME(u64 a0, …)` in the file of its family (kernel/sys_*.c, kernel/fs/sys_*.c). A call
 * returns its result or -errno. Pointers are vaddr_t and go through arch/user.h.
 */
#pragma once
#include "arch/trap.h"
#include "arch/user.h"
#include "kernel/base/errno.h"
#include "kernel/base/types.h"

/* All calls have this shape; those with fewer arguments ignore the rest. */
typedef long (*syscall_fn)(u64 a0, u64 a1, u64 a2, u64 a3, u64 a4, u64 a5);

/* The frame of the running thread's user mode. */
struct trapframe *syscall_frame(void);
