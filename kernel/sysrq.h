/* SPDX-License-Identifier: MIT */
/* Owns: what can be asked of the kernel itself, when user space cannot be: ^P on the console, /proc/sysrq-trigger. */
#pragma once
#include "kernel/base/types.h"

/* 't' prints tasks, 'm' memory, 'c' panics. False: no such request. From anywhere, interrupts included. */
bool sysrq(char what);
