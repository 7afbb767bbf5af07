/* SPDX-License-Identifier: MIT */
/*
 * Owns: small objects. A cache cuts single frames into objects of its size; a frame knows its cache, its
 * free objects (a list through the objects themselves) and how many are used. Frames with free objects
 * are in the cache's partial list. In front of all that, each CPU has a magazine of free objects.
 *
 * Invariant: a frame is in the partial list exactly when 0 <= used < capacity, and it is freed
 * when the last object comes back. Locks: cache->lock for the frames; a magazine belongs to its CPU.
 */
#include "mm/kmem.h"
#include "kernel/base/print.h"
#include "kernel/base/string.h"
#include "kernel/base/tunables.h"

#define SMALL_MAX 2048

static struct kmem_cache sizes[] = {
#define SIZE(n) { .name = "size-" #n, .size = n, .lock = SPINLOCK(RANK_KMEM) }
	SIZE(16), SIZE(32), SIZE(64), SIZE(96), SIZE(128), SIZE(192), SIZE(256), SIZE(512), SIZE(1024), SIZE(2048),
#undef SIZE
};

static struct kmem_cache *all_caches[32];	/* those that ever allocated; for kmem_drain */
static struct spinlock all_lock = SPINLOCK(RANK_NONE);

static unsigned step(const struct kmem_cache *c)
{
	return c->size >= 512 ? ALIGN_UP(c->size, 64) : ALIGN_UP(c->size, 16);
}

static void enlist(struct kmem_cache *c)
{
	spin_lock(&all_lock);
	for (unsigned i = 0; i < ARRAY_SIZE(all_caches) && all_caches[i] != c; i++)
		if (!all_caches[i]) {
			all_caches[i] = c;
			break;
		}
	spin_unlock(&all_lock);
}

/* A frame full of free objects, or NULL. */
static struct frame *cut_frame(struct kmem_cache *c)
{
	struct frame *f = frame_alloc(FRAME_SLAB);

	if (!f)
		return NULL;
	char *page = frame_ptr(f);
	f->slab.cache = c;
	f->slab.free = NULL;
	f->slab.used = 0;
	for (unsigned at = 0; at + step(c) <= PAGE_SIZE; at += step(c)) {
		*(void **)(page + at) = f->slab.free;
		f->slab.free = page + at;
	}
	return f;
}

static struct frame *next_partial(struct frame *f)
{
	return f->slab.next ? &frames[f->slab.next] : NULL;
}

static void unlist_partial(struct kmem_cache *c, struct frame *f)
{
	u32 *link = NULL;

	for (struct frame *at = c->partial; at != f; at = next_partial(at))
		link = &at->slab.next;
	if (link)
		*link = f->slab.next;
	else
		c->partial = next_partial(f);
}

/* Takes up to N objects from the frames into OUT; cuts a new frame if there is none. Cache locked. */
static unsigned take_objects(struct kmem_cache *c, void **out, unsigned n)
{
	unsigned got = 0;

	if (!c->partial) {
		struct frame *f = cut_frame(c);

		if (!f)
			return 0;
		if (!c->nr_frames++)
			enlist(c);
		f->slab.next = 0;
		c->partial = f;
	}
	while (got < n && c->partial) {
		struct frame *f = c->partial;

		out[got++] = f->slab.free;
		f->slab.free = *(void **)f->slab.free;
		f->slab.used++;
		if (!f->slab.free)
			c->partial = next_partial(f);
	}
	return got;
}

static void give_back(struct kmem_cache *c, void *object)
{
	struct frame *f = frame_of_ptr((void *)((uintptr_t)object & PAGE_MASK));

	if (!f->slab.free) {
		f->slab.next = c->partial ? frame_number(c->partial) : 0;
		c->partial = f;
	}
	*(void **)object = f->slab.free;
	f->slab.free = object;
	if (--f->slab.used == 0) {
		unlist_partial(c, f);
		c->nr_frames--;
		frame_free(f);
	}
}

static __noinline void *take_slowly(struct kmem_cache *c, struct magazine *m)
{
	if (tune.fail_alloc && alloc_should_fail())
		return NULL;
	if (!m->n) {
		spin_lock(&c->lock);
		m->n = take_objects(c, m->object, KMEM_MAGAZINE / 2);
		spin_unlock(&c->lock);
	}
	return m->n ? m->object[--m->n] : NULL;
}

void *kmem_cache_take(struct kmem_cache *c)
{
	struct magazine *m = &c->cpu[this_cpu(cpu_number)];

	return unlikely(tune.fail_alloc || !m->n) ? take_slowly(c, m) : m->object[--m->n];
}

void *kmem_cache_alloc(struct kmem_cache *c)
{
	void *object = kmem_cache_take(c);

	return likely(object) ? memset(object, 0, c->size) : NULL;
}

void kmem_cache_free(struct kmem_cache *c, void *object)
{
	u32 cpu = this_cpu(cpu_number);

	if (unlikely(c->cpu[cpu].n == KMEM_MAGAZINE)) {
		spin_lock(&c->lock);
		while (c->cpu[cpu].n > KMEM_MAGAZINE / 2)
			give_back(c, c->cpu[cpu].object[--c->cpu[cpu].n]);
		spin_unlock(&c->lock);
	}
	if (unlikely(tune.debug_check))
		memset(object, 0x6b, c->size);
	c->cpu[cpu].object[c->cpu[cpu].n++] = object;
}

void *kmem_take(size_t size)
{
	if (size <= SMALL_MAX) {
		struct kmem_cache *c = sizes;

		while (c->size < size)
			c++;
		return kmem_cache_take(c);
	}
	unsigned order = 0;
	while (PAGE_SIZE << order < size)
		if (++order > FRAME_MAX_ORDER)
			return NULL;
	struct frame *f = frame_alloc_order(order, FRAME_KERNEL);
	if (!f)
		return NULL;
	f->level = order;
	return frame_ptr(f);
}

void *kmem_alloc(size_t size)
{
	void *object = kmem_take(size);

	return likely(object) ? memset(object, 0, size) : NULL;
}

void kmem_free(void *object)
{
	if (!object)
		return;
	struct frame *f = frame_of_ptr((void *)((uintptr_t)object & PAGE_MASK));
	if (f->kind == FRAME_SLAB) {
		kmem_cache_free(f->slab.cache, object);
	} else {
		BUG_ON(f->kind != FRAME_KERNEL);
		frame_free_order(f, f->level);
	}
}

char *kmem_strdup(const char *s)
{
	size_t n = strlen(s) + 1;
	char *copy = kmem_alloc(n);

	return copy ? memcpy(copy, s, n) : NULL;
}

void kmem_drain(void)
{
	u32 cpu = this_cpu(cpu_number);

	for (unsigned i = 0; i < ARRAY_SIZE(all_caches) && all_caches[i]; i++) {
		struct kmem_cache *c = all_caches[i];

		spin_lock(&c->lock);
		while (c->cpu[cpu].n)
			give_back(c, c->cpu[cpu].object[--c->cpu[cpu].n]);
		spin_unlock(&c->lock);
	}
}
