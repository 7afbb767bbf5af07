/* SPDX-License-Identifier: MIT */
/*
 * multi-fault-all.c - multi-fault in which thread 0 drops the memory of all threads
 * with one call; the program and its explanation are in multi-fault.c.
 */
#define DROP_ALL
#include "user/multi-fault.c"
