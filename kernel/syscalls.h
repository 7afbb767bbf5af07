/* SPDX-License-Identifier: MIT */
/* Owns: the prototypes of all system calls, made from kernel/syscalls.def; see kernel/syscall.h. */
#pragma once
#include "kernel/syscall.h"

#define SYSCALL(number, name, nargs) long sys_##name(u64 a0, u64 a1, u64 a2, u64 a3, u64 a4, u64 a5);
#include "kernel/syscalls.def"
#undef SYSCALL
