/* SPDX-License-Identifier: MIT */
/*
 * Owns: futexes: threads that sleep until another says that a word of user memory has changed.
 *
 * Sleepers hang in buckets by the identity of the word (mm/fault.h). A waiter queues itself first and reads
 * the word after, without a lock: if the word is not as expected it takes itself off again; if it was, the
 * change comes later, and so the waker finds it queued. Locks: bucket.lock (RANK_FUTEX), two of them
 * in order of address; waiter.bucket is changed (requeue) under both.
 */
#include "arch/user.h"
#include "kernel/syscalls.h"
#include "kernel/thread.h"
#include "kernel/timespec.h"
#include "mm/fault.h"

enum {
	FUTEX_WAIT, FUTEX_WAKE, FUTEX_FD, FUTEX_REQUEUE, FUTEX_CMP_REQUEUE, FUTEX_WAKE_OP, FUTEX_WAIT_BITSET = 9,
	FUTEX_WAKE_BITSET, FUTEX_PRIVATE = 128, FUTEX_CLOCK_REALTIME = 256,
};
#define ANY_BIT (~0U)
#define FUTEX_WAITERS 0x80000000U
#define FUTEX_OWNER_DIED 0x40000000U
#define FUTEX_TID_MASK 0x3fffffffU
#define ROBUST_LIMIT 2048

struct futex_waiter {
	TAILQ_ENTRY(futex_waiter) link;
	struct bucket *bucket;		/* where it is queued */
	struct futex_key key;
	u32 bitset;
	bool queued;			/* false: woken */
	struct waitq sleep;
};
TAILQ_HEAD(futex_list, futex_waiter);

#define BUCKETS 64
static struct bucket {
	struct spinlock lock;
	u32 changes;			/* times that somebody was queued, woken or moved */
	struct futex_list waiters;	/* made at first use */
} buckets[BUCKETS] = { [0 ... BUCKETS - 1] = { .lock = SPINLOCK(RANK_FUTEX) } };

static struct bucket *bucket_of(const struct futex_key *k)
{
	u64 h = ((u64)k->object >> 4 ^ k->offset >> 2) * 0x9e3779b97f4a7c15UL;

	return &buckets[h >> 58];
}

static void bucket_ready(struct bucket *b)
{
	if (unlikely(!b->waiters.tqh_last))
		TAILQ_INIT(&b->waiters);
}

static void bucket_lock(struct bucket *b)
{
	spin_lock(&b->lock);
	bucket_ready(b);
}

static void lock_two(struct bucket *a, struct bucket *b)
{
	bucket_lock(MIN(a, b));
	if (a != b) {
		spin_lock_nested(&MAX(a, b)->lock);
		bucket_ready(MAX(a, b));
	}
}

static void unlock_two(struct bucket *a, struct bucket *b)
{
	if (a != b)
		spin_unlock(&MAX(a, b)->lock);
	spin_unlock(&MIN(a, b)->lock);
}

static bool same(const struct futex_key *a, const struct futex_key *b)
{
	return a->object == b->object && a->offset == b->offset;
}

static int key_of(vaddr_t va, bool private_hint, struct futex_key *key)
{
	if (va & 3)
		return -EINVAL;
	return user_range_ok(va, 4) ? space_futex_key(current->space, va, private_hint, key) : -EFAULT;
}

static void wake(struct bucket *b, struct futex_waiter *w)
{
	TAILQ_REMOVE(&b->waiters, w, link);
	b->changes++;
	w->queued = false;
	waitq_wake_all(&w->sleep);
}

/* Wakes at most COUNT waiters for KEY with a bit of BITSET, in B (locked); how many. */
static int wake_some(struct bucket *b, const struct futex_key *key, int count, u32 bitset)
{
	struct futex_waiter *w, *next;
	int woken = 0;

	TAILQ_FOREACH_SAFE(w, &b->waiters, link, next) {
		if (woken >= count)
			break;
		if (!same(&w->key, key) || !(w->bitset & bitset))
			continue;
		wake(b, w);
		woken++;
	}
	return woken;
}

int futex_wake(vaddr_t va, int count, u32 bitset, bool private_hint)
{
	struct futex_key key;
	struct bucket *b;
	int n = key_of(va, private_hint, &key);

	if (n < 0)
		return n;
	b = bucket_of(&key);
	bucket_lock(b);
	n = wake_some(b, &key, count, bitset);
	spin_unlock(&b->lock);
	return n;
}

/* Locks the bucket that W is in now. */
static struct bucket *lock_waiter(struct futex_waiter *w)
{
	for (;;) {
		struct bucket *b = READ_ONCE(w->bucket);

		bucket_lock(b);
		if (b == w->bucket)
			return b;
		spin_unlock(&b->lock);
	}
}

/* Takes W off its bucket; false if it had been woken. */
static bool take_off(struct futex_waiter *w)
{
	struct bucket *b = lock_waiter(w);
	bool queued = w->queued;

	if (queued)
		TAILQ_REMOVE(&b->waiters, w, link);
	spin_unlock(&b->lock);
	return queued;
}

/* 0 woken, -EAGAIN the word is not EXPECTED, -ETIMEDOUT, -EINTR, -EFAULT… */
static long wait_on(vaddr_t va, u32 expected, u32 bitset, u64 deadline, bool private_hint)
{
	struct futex_waiter w = { .bitset = bitset, .queued = true, .sleep = WAITQ(w.sleep) };
	u32 value;
	long err;

	if (!bitset)
		return -EINVAL;
	err = key_of(va, private_hint, &w.key);
	if (err)
		return err;
	w.bucket = bucket_of(&w.key);
	bucket_lock(w.bucket);
	TAILQ_INSERT_TAIL(&w.bucket->waiters, &w, link);
	w.bucket->changes++;
	spin_unlock(&w.bucket->lock);
	err = user_read_u32(va, &value);
	if (!err && value != expected)
		err = -EAGAIN;
	while (!err && READ_ONCE(w.queued)) {
		struct bucket *b = lock_waiter(&w);

		if (w.queued)
			err = waitq_sleep(&w.sleep, &b->lock, deadline, SLEEP_INTERRUPTIBLE);
		spin_unlock(&b->lock);
	}
	return take_off(&w) ? err : 0;
}

/*
 * Wakes WAKES waiters of FROM and moves MOVES of the rest to TO. How many of both. The word is compared without
 * a lock; if nobody was queued or woken from before that until both buckets are locked, it is as if it had
 * been compared under them: else again.
 */
static long requeue(vaddr_t from, vaddr_t to, int wakes, int moves, const u32 *expected, bool private_hint, bool both)
{
	struct futex_key a, b;
	struct futex_waiter *w, *next;
	struct bucket *source, *target;
	long woken, moved = 0;
	int err = key_of(from, private_hint, &a);
	u32 value, changes;

	if (wakes < 0 || moves < 0)
		return -EINVAL;
	if (!err)
		err = key_of(to, private_hint, &b);
	if (err)
		return err;
	source = bucket_of(&a);
	target = bucket_of(&b);
	for (;;) {
		changes = __atomic_load_n(&source->changes, __ATOMIC_ACQUIRE);
		if (expected) {
			err = user_read_u32(from, &value);
			if (err || value != *expected)
				return err ? err : -EAGAIN;
		}
		lock_two(source, target);
		if (!expected || source->changes == changes)
			break;
		unlock_two(source, target);
		if (sched_pause())
			return -EINTR;
	}
	woken = wake_some(source, &a, wakes, ANY_BIT);
	TAILQ_FOREACH_SAFE(w, &source->waiters, link, next) {
		if (moved >= moves)
			break;
		if (!same(&w->key, &a))
			continue;
		if (source != target) {		/* else the walk would meet it again, for ever if the words are the same */
			TAILQ_REMOVE(&source->waiters, w, link);
			TAILQ_INSERT_TAIL(&target->waiters, w, link);
		}
		source->changes++;
		w->key = b;
		WRITE_ONCE(w->bucket, target);
		moved++;
	}
	unlock_two(source, target);
	return both ? woken + moved : woken;
}

static bool compare(unsigned op, s32 a, s32 b)
{
	switch (op) {
	case 0: return a == b;
	case 1: return a != b;
	case 2: return a < b;
	case 3: return a <= b;
	case 4: return a > b;
	default: return a >= b;
	}
}

/* Changes the word at TO as OP says; wakes waiters of FROM, and if the old word compares, of TO. */
static long wake_op(vaddr_t from, vaddr_t to, int wakes, int wakes_to, u32 op, bool private_hint)
{
	s32 operand = (s32)(op << 8) >> 20, limit = (s32)(op << 20) >> 20;
	unsigned what = op >> 28 & 7, how = op >> 24 & 15;
	struct futex_key a, b;
	long woken;
	u32 old;
	int err = key_of(from, private_hint, &a);

	if (!err)
		err = key_of(to, private_hint, &b);
	if (op >> 31)
		operand = (s32)(1U << (operand & 31));
	if (!err && (what > 4 || how > 5))
		err = -ENOSYS;
	if (!err)
		err = user_rmw_u32(to, what, (u32)operand, &old);
	if (err)
		return err;
	woken = futex_wake(from, wakes, ANY_BIT, private_hint);
	if (woken >= 0 && compare(how, (s32)old, limit)) {
		long more = futex_wake(to, wakes_to, ANY_BIT, private_hint);

		woken += more > 0 ? more : 0;
	}
	return woken;
}

/* When the wait that begins now is to end; a wait that was broken off goes on to its own end. */
static long wait_deadline(u64 timeout, u32 op, u64 *deadline)
{
	struct timespec ts;

	*deadline = current->restart_deadline;
	current->restart_deadline = 0;
	if (*deadline)
		return 0;
	*deadline = SLEEP_FOREVER;
	if (!timeout)
		return 0;
	if (user_get(&ts, timeout))
		return -EFAULT;
	if (!timespec_valid(&ts))
		return -EINVAL;
	u64 ns = timespec_ns(&ts), boot = clock_boot_epoch() * NSEC_PER_SEC;
	if ((op & 127) == FUTEX_WAIT)
		*deadline = deadline_in(ns);
	else if (op & FUTEX_CLOCK_REALTIME && ns != SLEEP_FOREVER)
		*deadline = ns > boot ? ns - boot : 0;
	else
		*deadline = ns;
	return 0;
}

static long futex_wait(vaddr_t va, u32 op, u32 value, u32 bitset, u64 timeout)
{
	u64 deadline;
	long err = wait_deadline(timeout, op, &deadline);

	if (!err)
		err = wait_on(va, value, bitset, deadline, op & FUTEX_PRIVATE);
	if (err != -EINTR)
		return err;
	if (!timeout || (op & 127) != FUTEX_WAIT)
		return -ERESTART;
	current->restart_deadline = deadline;
	return -ERESTART_BLOCK;
}

long sys_futex(u64 va, u64 op, u64 value, u64 timeout, u64 va2, u64 value3)
{
	bool private_hint = op & FUTEX_PRIVATE;
	u32 expected = (u32)value3;

	switch (op & 127) {
	case FUTEX_WAIT:
		return futex_wait(va, (u32)op, (u32)value, ANY_BIT, timeout);
	case FUTEX_WAIT_BITSET:
		return futex_wait(va, (u32)op, (u32)value, (u32)value3, timeout);
	case FUTEX_WAKE:
		return futex_wake(va, (int)value, ANY_BIT, private_hint);
	case FUTEX_WAKE_BITSET:
		return value3 ? futex_wake(va, (int)value, (u32)value3, private_hint) : -EINVAL;
	case FUTEX_REQUEUE:
		return requeue(va, va2, (int)value, (int)timeout, NULL, private_hint, false);
	case FUTEX_CMP_REQUEUE:
		return requeue(va, va2, (int)value, (int)timeout, &expected, private_hint, true);
	case FUTEX_WAKE_OP:
		return wake_op(va, va2, (int)value, (int)timeout, (u32)value3, private_hint);
	default:
		return -ENOSYS;
	}
}

/* Marks the lock word at VA, if T has it, and wakes one who waits for it. */
static void give_up_lock(struct thread *t, vaddr_t va)
{
	u32 value, seen;

	if (va & 3 || user_read_u32(va, &value))
		return;
	while ((value & FUTEX_TID_MASK) == (u32)t->tid) {
		if (user_cmpxchg_u32(va, value, (value & FUTEX_WAITERS) | FUTEX_OWNER_DIED, &seen))
			return;
		if (seen == value) {
			if (value & FUTEX_WAITERS)
				futex_wake(va, 1, ANY_BIT, false);
			return;
		}
		value = seen;
	}
}

void futex_exit_robust(struct thread *t)
{
	struct { u64 next; s64 offset; u64 pending; } head;
	u64 entry;

	if (user_get(&head, t->robust_list))
		return;
	entry = head.next;
	for (int n = 0; entry != t->robust_list && n < ROBUST_LIMIT; n++) {
		u64 next;
		bool readable = !user_get(&next, entry & ~1UL);

		if (entry != head.pending)
			give_up_lock(t, (entry & ~1UL) + head.offset);
		if (!readable)
			break;
		entry = next;
	}
	if (head.pending)
		give_up_lock(t, (head.pending & ~1UL) + head.offset);
}

long sys_set_robust_list(u64 head, u64 size, u64 a2 __unused, u64 a3 __unused, u64 a4 __unused, u64 a5 __unused)
{
	if (size != 24)
		return -EINVAL;
	current->robust_list = head;
	return 0;
}

long sys_get_robust_list(u64 tid, u64 head, u64 size, u64 a3 __unused, u64 a4 __unused, u64 a5 __unused)
{
	u64 list = current->robust_list, bytes = 24;
	struct thread *t = current;

	if (tid) {
		spin_lock(&process_lock);
		t = thread_find((pid_t)tid);
		list = t ? t->robust_list : 0;
		spin_unlock(&process_lock);
	}
	if (!t)
		return -ESRCH;
	return user_put(size, &bytes) || user_put(head, &list) ? -EFAULT : 0;
}
