/* SPDX-License-Identifier: MIT */
/*
 * Owns: how a fake CPU makes an access: by its TLB, else by a walk (from an upper entry that it remembers, or
 * from the root) that sets A and D by itself, atomically, else by a page fault. What it uses is
 * verified: never a frame or table that was freed since; in strict mode nothing but what the tables say.
 */
#include "cpu.h"
#include <sched.h>
#include <stdlib.h>
#include "arch/cpu.h"
#include "kernel/base/epoch.h"
#include "mm/fault.h"

#define MAX_FAULTS_STRICT 1
#define MAX_FAULTS 100000

__thread u64 fake_nr_faults;
bool fake_strict = true;

void fake_jitter(void)
{
	static __thread u64 state;
	u64 r = fake_strict ? 1 : fake_random(&state);
	unsigned turns = r % 128 == 0 ? 40 : r % 8 == 0;	/* rarely, for long */

	while (turns--)
		sched_yield();
}

/* With threads, now and then: this CPU has nothing to do for a moment, or something else. */
static void set_resting(bool on)
{
	struct fake_cpu *c = &fake_cpus[fake_cpu];

	pthread_mutex_lock(&c->mutex);
	c->resting = on;
	pthread_mutex_unlock(&c->mutex);
}

static void rest(void)
{
	static __thread u64 state;
	u64 r = fake_strict ? 1 : fake_random(&state);

	if (r % 8 == 0) {
		set_resting(true);
		tlb_idle();
	}
	if (r % 32 == 4)
		tlb_switch_space(NULL);
	if (r % 16)
		return;
	fake_cpu_leave();
	sched_yield();
	fake_cpu_enter();
}

/* --- walking --------------------------------------------------------------------------------------- */

struct walk {
	struct frame *leaf_table, *frame;
	pte_t *slot, leaf;
	bool write, exec;		/* gathered over the levels */
	bool upper_write;		/* the same above the leaf */
};

static bool step_down(struct walk *w, struct frame *t, vaddr_t va)
{
	if (READ_ONCE(t->kind) != FRAME_TABLE)
		fake_fail("CPU %u walks for %#lx through frame %#lx, which is no table", fake_cpu, va, frame_number(t));
	w->slot = pt_slot(t, va);
	w->leaf = READ_ONCE(*w->slot);
	w->write &= pte_writable(w->leaf);
	w->exec &= pte_exec(w->leaf);
	return pte_present(w->leaf) && pte_user(w->leaf);
}

static bool walk(struct frame *root, vaddr_t va, struct walk *w)
{
	struct frame *t = root;

	*w = (struct walk){ .write = true, .exec = true };
	for (unsigned level = PT_LEVELS; level > 1; level--) {
		if (!step_down(w, t, va))
			return false;
		t = pt_child(w->leaf);
	}
	w->leaf_table = t;
	w->upper_write = w->write;
	if (!step_down(w, t, va))
		return false;
	w->frame = pt_child(w->leaf);
	return true;
}

/* Hardware sets A and D behind software's back: not for ThreadSanitizer's eyes. */
__attribute__((noinline, no_sanitize("thread")))
static bool set_accessed(struct walk *w, bool write)
{
	pte_t want = pte_set_young(w->leaf, true);

	if (write)
		want = pte_set_dirty(want, true);
	if (want == w->leaf)
		return true;
	if (!__atomic_compare_exchange_n(w->slot, &w->leaf, want, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		return false;
	w->leaf = want;
	return true;
}

static bool by_upper_entry(struct fake_cpu *c, const struct cached *u, vaddr_t va, struct walk *w)
{
	struct walk truth;

	if (READ_ONCE(u->frame->kind) != FRAME_TABLE || fake_generation(u->frame) != u->generation)
		fake_fail("stale translation used: CPU %u, %#lx by the freed table %#lx", fake_cpu, va, frame_number(u->frame));
	*w = (struct walk){ .write = u->write, .exec = true, .upper_write = u->write, .leaf_table = u->frame };
	if (!step_down(w, u->frame, va))
		return false;
	w->frame = pt_child(w->leaf);
	if (fake_strict && (!walk(c->root, va, &truth) || truth.leaf_table != u->frame || (w->write && !truth.write)))
		fake_fail("stale translation used: CPU %u, %#lx by table %#lx that is no longer there", fake_cpu, va,
			  frame_number(u->frame));
	return true;
}

/* The walk that this CPU makes. */
static bool cpu_walk(struct fake_cpu *c, vaddr_t va, struct walk *w)
{
	const struct cached *u = upper_find(c, va);

	if (u)
		return by_upper_entry(c, u, va, w);
	if (!walk(c->root, va, w) && !w->leaf_table)
		return false;
	upper_insert(c, va, (struct cached){ .frame = w->leaf_table, .write = w->upper_write });
	return w->frame != NULL;
}

/* --- accessing ------------------------------------------------------------------------------------- */

static struct cached *tlb_fill(struct fake_cpu *c, vaddr_t va, bool write, bool exec)
{
	struct walk w;

	do {
		if (!cpu_walk(c, va, &w) || (write && !w.write) || (exec && !w.exec))
			return NULL;
	} while (!set_accessed(&w, write));
	if (READ_ONCE(w.frame->kind) < FRAME_KERNEL)
		fake_fail("CPU %u: the tables map %#lx to frame %#lx, which is free", fake_cpu, va, frame_number(w.frame));
	return tlb_insert(c, va, (struct cached){ .frame = w.frame, .write = w.write, .exec = w.exec,
						.dirty = pte_dirty(w.leaf) });
}

/* E is about to be used: is it still so? */
static void verify(struct fake_cpu *c, const struct cached *e, vaddr_t va)
{
	struct walk w;

	if (fake_generation(e->frame) != e->generation || READ_ONCE(e->frame->kind) < FRAME_KERNEL)
		fake_fail("stale translation used: CPU %u, %#lx -> frame %#lx, which was freed", fake_cpu, va,
			  frame_number(e->frame));
	if (!fake_strict)
		return;
	if (!walk(c->root, va, &w) || w.frame != e->frame)
		fake_fail("stale translation used: CPU %u, %#lx -> frame %#lx; the tables say %#lx", fake_cpu, va,
			  frame_number(e->frame), w.leaf);
	if ((e->write && !w.write) || (e->exec && !w.exec))
		fake_fail("stale translation used: CPU %u, %#lx with more rights than the tables give", fake_cpu, va);
}

/* One attempt, one instruction. */
static bool try_access(struct space *s, vaddr_t va, unsigned error, u64 *value)
{
	struct fake_cpu *c = &fake_cpus[fake_cpu];
	bool write = error & FAULT_WRITE, exec = error & FAULT_EXEC;
	struct cached *e;

	pthread_mutex_lock(&c->mutex);
	bool answered = tlb_answer_all(fake_cpu);
	if (c->root != s->root)
		fake_fail("CPU %u does not run on the space's root", fake_cpu);
	e = tlb_find(c, va);
	if (e && write && e->write && !e->dirty)
		verify(c, e, va), e = NULL;	/* hardware walks again to set D */
	if (e && ((write && !e->write) || (exec && !e->exec)))
		cached_drop(e), e = NULL;	/* and before it faults */
	if (!e)
		e = tlb_fill(c, va, write, exec);
	if (!e && upper_find(c, va))
		cached_drop(upper_find(c, va));	/* a fault drops what was cached for its address */
	if (e) {
		u64 *word = (u64 *)((char *)frame_ptr(e->frame) + (va & (PAGE_SIZE - 1)));

		verify(c, e, va);
		if (write)
			__atomic_store_n(word, *value, __ATOMIC_RELAXED);
		else
			*value = __atomic_load_n(word, __ATOMIC_RELAXED);
	}
	pthread_mutex_unlock(&c->mutex);
	if (answered)
		sched_yield();			/* the asker waits, and host CPUs are few */
	return e != NULL;
}

static enum fault_result access_at(struct space *s, vaddr_t va, unsigned error, u64 *value)
{
	unsigned tries = 0, most = fake_strict ? MAX_FAULTS_STRICT : MAX_FAULTS;

	if (va & 7 || va >= USER_END)
		fake_fail("a test accesses %#lx", va);
	fake_freeze_point();
	rest();
	tlb_switch_space(s);
	if (fake_cpus[fake_cpu].resting)
		set_resting(false);
	epoch_leave();			/* to user mode, for one instruction */
	fake_jitter();
	while (!try_access(s, va, error, value)) {
		enum fault_result r;
		bool present;

		epoch_enter();
		if (tries++ == most)
			fake_fail("access %#x to %#lx faults for ever", error, va);
		fake_nr_faults++;
		present = pte_present(fake_look(s, va).leaf);
		r = fault_handle(s, va, FAULT_USER | error | (present ? FAULT_PRESENT : 0));
		lock_debug_none();
		if (r > FAULT_MAJOR)
			return r;
		epoch_leave();
	}
	epoch_enter();
	return FAULT_OK;
}

enum fault_result fake_load(struct space *s, vaddr_t va, u64 *value)
{
	return access_at(s, va, 0, value);
}

enum fault_result fake_store(struct space *s, vaddr_t va, u64 value)
{
	return access_at(s, va, FAULT_WRITE, &value);
}

enum fault_result fake_fetch(struct space *s, vaddr_t va)
{
	u64 value;

	return access_at(s, va, FAULT_EXEC, &value);
}

void fake_speculate(struct space *s, vaddr_t va)
{
	struct fake_cpu *c = &fake_cpus[fake_cpu];

	pthread_mutex_lock(&c->mutex);
	if (c->root == s->root && !tlb_find(c, va))
		tlb_fill(c, va, false, false);
	pthread_mutex_unlock(&c->mutex);
}

struct fake_view fake_look(struct space *s, vaddr_t va)
{
	struct fake_view v = { 0 };
	struct frame *t = s->root;
	bool user = true;

	v.write = v.exec = true;
	for (unsigned level = PT_LEVELS; level; level--) {
		pte_t e = READ_ONCE(*pt_slot(t, va));

		v.slot_of[level] = e;
		user = user && pte_present(e) && pte_user(e);
		v.write &= pte_writable(e);
		v.exec &= pte_exec(e);
		if (level == 1)
			v.leaf = e;
		else if (!pte_present(e))
			break;
		else
			t = pt_child(e);
	}
	v.read = user;
	v.write &= user;
	v.exec &= user;
	v.frame = v.leaf ? pt_child(v.leaf) : NULL;
	return v;
}
