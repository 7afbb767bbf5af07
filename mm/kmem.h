/* SPDX-License-Identifier: MIT */
/*
 * Owns: kernel objects smaller than a page. A cache cuts frames into objects of one size; each CPU
 * keeps a few free ones. Objects come zeroed. Frames without objects go back to mm/frame.c.
 */
#pragma once
#include "mm/frame.h"

struct kmem_cache;

/* A cache for objects of SIZE bytes (8 .. 2048), 16-aligned, or 64-aligned from 512 bytes on. NAME is kept. */
#define KMEM_CACHE(var, object_name, type) \
	struct kmem_cache var = { .name = (object_name), .size = sizeof(type), .lock = SPINLOCK(RANK_KMEM) }

#define KMEM_MAGAZINE 16
struct kmem_cache {
	const char *name;
	u32 size;		/* of an object, bytes */
	struct spinlock lock;	/* partial, nr_frames */
	struct frame *partial;	/* frames with free objects */
	u64 nr_frames;
	struct magazine { u32 n; void *object[KMEM_MAGAZINE]; } cpu[MAX_CPUS];	/* only its own CPU's */
};

void *kmem_cache_alloc(struct kmem_cache *c);		/* zeroed; NULL when memory is short */
void *kmem_cache_take(struct kmem_cache *c);		/* the same, full of junk: the caller overwrites it all */
void kmem_cache_free(struct kmem_cache *c, void *object);

/* Any size up to 4 MiB: from shared caches, above 2048 bytes by whole frames. Zeroed; NULL when short. */
void *kmem_alloc(size_t size);
void *kmem_take(size_t size);				/* the same, full of junk */
void kmem_free(void *object);				/* NULL is welcome */
char *kmem_strdup(const char *s);

/* Returns the CPU's free objects and the empty frames; for exact counts of free memory. */
void kmem_drain(void);
