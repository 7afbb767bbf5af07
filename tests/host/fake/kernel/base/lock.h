/* SPDX-License-Identifier: MIT */
/* Host shadow of kernel/base/lock.h: the real one, with a point where another thread may come first. */
#pragma once

void fake_jitter(void);
#define lock_hook_take() fake_jitter()
#include_next "kernel/base/lock.h"
