/* SPDX-License-Identifier: MIT */
/*
 * around_test.c on one CPU.
 * tests/run: limit=100
 */
#include "tests/user/around_test.c"
