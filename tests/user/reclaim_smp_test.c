/* SPDX-License-Identifier: MIT */
/*
 * reclaim_test.c on four CPUs.
 * tests/run: limit=120 smp=4 checkmem=512M
 */
#include "tests/user/reclaim_test.c"
