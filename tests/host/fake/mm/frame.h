/* SPDX-License-Identifier: MIT */
/*
 * Host shadow of mm/frame.h: the real one, with the points where the fake machine watches frames come
 * and go: freed ones are filled with junk and poisoned (fake/memory.c).
 */
#pragma once
#include "kernel/base/types.h"

struct frame;
void fake_frame_alloc(struct frame *f, unsigned order);
void fake_frame_free(struct frame *f, unsigned order);
void fake_frame_free_zeroed(struct frame *f);
#define frame_hook_alloc(f, order) fake_frame_alloc((f), (order))
#define frame_hook_free(f, order) fake_frame_free((f), (order))
#define frame_hook_free_zeroed(f) fake_frame_free_zeroed(f)
#include_next "mm/frame.h"
