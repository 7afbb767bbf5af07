/* SPDX-License-Identifier: MIT */
/*
 * Owns: the list of caches whose pages are clean, and the hand that goes round over them: what it passes is dropped,
 * oldest first where files are read in order. A page that nobody maps has one hold, the cache's, and who wants
 * another takes it under the cache's lock: so under that lock it can be dropped.
 *
 * Locks: clean_lock (RANK_CLEAN, outside all of mm's but spaces') for list and hand; it is kept while a cache is
 * worked on, which therefore cannot go. An allocator may be called with any lock held: there, locks are only tried.
 */
#include "kernel/base/counters.h"
#include "mm/pcache_tree.h"
#include "mm/space.h"

#define LAST_PAGE (~0UL >> PAGE_SHIFT)

static TAILQ_HEAD(, pcache) clean_caches = TAILQ_HEAD_INITIALIZER(clean_caches);
static unsigned nr_clean;
static struct spinlock clean_lock = SPINLOCK(RANK_CLEAN);
static struct { struct pcache *cache; u64 index; } hand;

static void hand_on(void)
{
	hand.cache = hand.cache ? TAILQ_NEXT(hand.cache, clean) : NULL;
	if (!hand.cache)
		hand.cache = TAILQ_FIRST(&clean_caches);
	hand.index = 0;
}

void pcache_clean_add(struct pcache *c)
{
	spin_lock(&clean_lock);
	TAILQ_INSERT_TAIL(&clean_caches, c, clean);
	nr_clean++;
	if (!hand.cache)
		hand_on();
	spin_unlock(&clean_lock);
}

void pcache_clean_remove(struct pcache *c)
{
	spin_lock(&clean_lock);
	if (hand.cache == c)
		hand_on();
	TAILQ_REMOVE(&clean_caches, c, clean);
	nr_clean--;
	if (hand.cache == c)
		hand.cache = NULL;
	spin_unlock(&clean_lock);
}

static bool lock(struct spinlock *l, bool wait)
{
	if (wait)
		spin_lock(l);
	return wait || spin_trylock(l);
}

void pcache_drop(struct pcache *c, u64 first, u64 last)
{
	struct pcache_cut k = { .first = first, .last = last, .most = ~0UL, .idle = true };

	if (!c->ops->clean || first > last)
		return;
	spin_lock(&c->lock);
	pcache_cut(c, &k);
	spin_unlock(&c->lock);
	count_add(pcache_dropped, pcache_cut_free(&k));
}

u64 pcache_shrink(unsigned n, bool wait)
{
	struct pcache_cut k = { .most = n, .last = LAST_PAGE, .idle = true, .keep_nodes = !wait };

	if (!READ_ONCE(nr_clean) || !lock(&clean_lock, wait))
		return 0;
	for (unsigned i = 0; i <= nr_clean && k.most && hand.cache; i++) {	/* the first one twice: from its start, too */
		struct pcache *c = hand.cache;

		k.first = hand.index;
		if (lock(&c->lock, wait)) {
			pcache_cut(c, &k);
			spin_unlock(&c->lock);
		}
		if (k.most)
			hand_on();
		else
			hand.index = k.first;
	}
	spin_unlock(&clean_lock);
	u64 dropped = pcache_cut_free(&k);
	count_add(pcache_dropped, dropped);
	return dropped;
}

/* Does a region that may not lose its pages map C? */
static bool mapped_locked(struct pcache *c)
{
	struct region *r;
	bool found = false;

	spin_lock(&c->map_lock);
	TAILQ_FOREACH(r, &c->regions, mapping)
		found |= READ_ONCE(r->flags) & R_LOCKED;
	spin_unlock(&c->map_lock);
	return found;
}

u64 pcache_evict(unsigned n)
{
	u64 done = pcache_shrink(n, true), evicted = 0;

	if (done >= n / 2)
		return done;
	spin_lock(&clean_lock);
	for (unsigned i = 0; i <= nr_clean && done + evicted < n && hand.cache; i++) {
		struct pcache *c = hand.cache;
		struct pcache_cut k = { .first = hand.index, .last = LAST_PAGE, .most = n - done - evicted };

		if (!mapped_locked(c)) {
			spin_lock(&c->lock);
			pcache_cut(c, &k);
			spin_unlock(&c->lock);
			pcache_unmap(c, hand.index, k.most ? LAST_PAGE : k.first - 1, false);
			evicted += pcache_cut_free(&k);
		}
		if (k.most)
			hand_on();
		else
			hand.index = k.first;
	}
	spin_unlock(&clean_lock);
	count_add(pcache_evicted, evicted);
	return done + evicted;
}
