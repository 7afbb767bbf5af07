/* SPDX-License-Identifier: MIT */
/* Owns: the prototypes of all system calls, made from kernel/syscalls.def; see kernel/syscall.h. */
#pragma once
#include "kernel/syscall.h"

#define SYSCALL(number, name, nargs) long sys_##name(u64 a0, u64 a1, u64 a2, u64 a3, u64 a4, u64 a5);
#include "kernel/syscalls.def"
#undef SYSCALL

/* For the definitions of these: ARGS are all six, a0 to a5; REST2 those from a2 on, which a call with two does not
 * look at. */
#define REST5 u64 a5 __unused
#define REST4 u64 a4 __unused, REST5
#define REST3 u64 a3 __unused, REST4
#define REST2 u64 a2 __unused, REST3
#define REST1 u64 a1 __unused, REST2
#define ARGS u64 a0 __unused, REST1
