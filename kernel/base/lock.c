/* SPDX-License-Identifier: MIT */
/*
 * Owns: the slow half of spin locks, and the check of order and ownership under debug_check. Each CPU
 * keeps the locks that it took while checking was on, in order; locks taken before that are unknown to
 * the list and harmless. Callers: kernel/base/lock.h alone.
 */
#include "kernel/base/lock.h"
#include "kernel/base/counters.h"
#include "kernel/base/print.h"

enum { MOST_HELD = 16 };

void arch_spin_wait(void);	/* arch/, which stands above this folder */

static const char *const rank_name[] = {
	"any", "process", "files", "pipe", "spaces", "space", "clean", "mappings", "cache", "vnode", "table",
	"signal", "timer", "futex", "waitq", "sched", "kmem", "frame", "print",
};
_Static_assert(ARRAY_SIZE(rank_name) == RANK_PRINT + 1, "one name per rank");

struct held_locks {
	unsigned n;
	struct spinlock *lock[MOST_HELD];
};

bool lock_debug;
static DEFINE_PERCPU(struct held_locks, held_locks);

void spin_lock_slow(struct spinlock *l)
{
	if (spin_held(l))
		panic("lock %p (%s) taken twice by CPU %u", (void *)l, rank_name[l->rank], this_cpu(cpu_number));
	count(lock_contended);
	do {
		while (__atomic_load_n(&l->holder, __ATOMIC_RELAXED))
			arch_spin_wait();
	} while (!spin_trylock(l));
}

/* What was dropped while checking was off is still listed. */
static void forget_dropped(struct held_locks *h)
{
	while (h->n && !spin_held(h->lock[h->n - 1]))
		h->n--;
}

void lock_debug_take(struct spinlock *l, bool nested)
{
	struct held_locks *h = this_cpu_ptr(held_locks);

	lock_hook_take();
	forget_dropped(h);
	if (h->n && l->rank != RANK_NONE) {
		u8 last = h->lock[h->n - 1]->rank;

		if (l->rank < last || (l->rank == last && !nested))
			panic("lock order: %s after %s", rank_name[l->rank], rank_name[last]);
	}
	if (h->n == MOST_HELD)
		panic("more than %u locks held", MOST_HELD);
	h->lock[h->n++] = l;
}

void lock_debug_drop(struct spinlock *l)
{
	struct held_locks *h = this_cpu_ptr(held_locks);
	unsigned i = h->n;

	if (!spin_held(l))
		panic("lock %p (%s) dropped by CPU %u, which does not hold it", (void *)l, rank_name[l->rank],
		      this_cpu(cpu_number));
	while (i && h->lock[i - 1] != l)
		i--;
	if (!i)
		return;
	for (h->n--; i <= h->n; i++)
		h->lock[i - 1] = h->lock[i];
}

void lock_debug_none(void)
{
	struct held_locks *h = this_cpu_ptr(held_locks);

	forget_dropped(h);
	if (h->n)
		panic("CPU %u may sleep with lock %p (%s) held", this_cpu(cpu_number), (void *)h->lock[h->n - 1],
		      rank_name[h->lock[h->n - 1]->rank]);
}
