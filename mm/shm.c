/* SPDX-License-Identifier: MIT */
/*
 * Owns: shared anonymous memory: a page cache with no file behind it, that lives as long as regions map it.
 */
#include "kernel/base/print.h"
#include "mm/kmem.h"
#include "mm/pcache.h"

struct shm {
	struct pcache cache;
	u32 refs;
	u64 id;
};
static KMEM_CACHE(shm_cache, "shm", struct shm);

static void shm_get(struct pcache *c)
{
	__atomic_fetch_add(&container_of(c, struct shm, cache)->refs, 1, __ATOMIC_RELAXED);
}

static void shm_put(struct pcache *c)
{
	struct shm *m = container_of(c, struct shm, cache);

	if (__atomic_sub_fetch(&m->refs, 1, __ATOMIC_ACQ_REL))
		return;
	pcache_destroy(c);
	kmem_cache_free(&shm_cache, m);
}

static void shm_name(struct pcache *c __unused, char *buf, size_t size)
{
	snprintf(buf, size, "/dev/zero (deleted)");
}

static void shm_identity(struct pcache *c, u64 *dev, u64 *ino)
{
	*dev = 1;
	*ino = container_of(c, struct shm, cache)->id;
}

static const struct pcache_ops shm_ops = {
	.get = shm_get, .put = shm_put, .name = shm_name, .identity = shm_identity,
};

struct pcache *shm_create(u64 bytes)
{
	static u64 last_id;
	struct shm *m = kmem_cache_alloc(&shm_cache);

	if (!m)
		return NULL;
	pcache_init(&m->cache, &shm_ops, true);
	m->cache.size = bytes;
	m->refs = 1;
	m->id = __atomic_add_fetch(&last_id, 1, __ATOMIC_RELAXED);
	return &m->cache;
}
