/* SPDX-License-Identifier: MIT */
/*
 * Owns: the fake CPUs: what each has cached of the tables, how it makes an access, how it is told to
 * forget. A TLB entry is a page with rights; an upper entry is where the leaf table of 2 MiB lies, with
 * the write right gathered on the way. Hardware may forget any entry at any time (a full set evicts),
 * drops all upper entries at any flush, and sets A and D by itself, atomically.
 *
 * A CPU's state is under its mutex, held over one whole access, as an interrupt cannot split an
 * instruction. A shootdown flushes a CPU that is not in kernel mode at once; one that is must answer
 * by itself (arch_spin_wait, cpu_irq_window, its next access), and the asker waits for it.
 */
#include "fake.h"
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include "arch/tlb.h"

#define SETS 1024
#define WAYS 8
#define MAX_FAULTS_STRICT 1
#define MAX_FAULTS 100000

struct cached {
	u64 page;			/* number, + 1; 0: none */
	u64 epoch;			/* valid if the CPU's */
	struct frame *frame;
	u32 generation;
	bool write, exec, dirty;
};

struct request {
	const vaddr_t *va;
	unsigned count;			/* 0: all */
	u64 waiting_for;		/* CPUs */
	struct request *next[MAX_CPUS];	/* in each CPU's list */
};

static struct cpu {
	pthread_mutex_t mutex;
	bool in_kernel;
	struct frame *root;
	u64 epoch, upper_epoch;
	unsigned turn;			/* for eviction */
	struct request *requests;
	struct cached tlb[SETS][WAYS], upper[64];
} cpus[MAX_CPUS];

__thread u32 fake_cpu;
__thread u64 fake_nr_faults;
DEFINE_PERCPU(u32, cpu_number);
u64 percpu_offsets[MAX_CPUS];
u32 nr_cpus = 1;
extern char __start_percpu[], __stop_percpu[];	/* by the linker */
bool fake_strict = true, fake_drop_flushes, fake_early_answer;

/* --- forgetting ------------------------------------------------------------------------------------ */

static void forget(struct cpu *c, const vaddr_t *va, unsigned count)
{
	c->upper_epoch++;
	if (count == 0)
		c->epoch++;
	for (unsigned i = 0; i < count; i++) {
		u64 page = (va[i] >> PAGE_SHIFT) + 1;

		for (unsigned w = 0; w < WAYS; w++)
			if (c->tlb[page % SETS][w].page == page)
				c->tlb[page % SETS][w].page = 0;
	}
}

/* Does what others asked of CPU NR; its mutex is held. Did any? */
static bool answer(u32 nr)
{
	struct cpu *c = &cpus[nr];
	bool any = c->requests;

	while (c->requests) {
		struct request *r = c->requests;

		c->requests = r->next[nr];
		forget(c, r->va, r->count);
		__atomic_fetch_and(&r->waiting_for, ~(1UL << nr), __ATOMIC_RELEASE);
	}
	return any;
}

static void set_in_kernel(bool on)
{
	pthread_mutex_lock(&cpus[fake_cpu].mutex);
	answer(fake_cpu);
	cpus[fake_cpu].in_kernel = on;
	pthread_mutex_unlock(&cpus[fake_cpu].mutex);
}

void fake_cpu_leave(void) { set_in_kernel(false); }
void fake_cpu_enter(void) { set_in_kernel(true); }

void fake_cpu_set(u32 cpu)
{
	fake_cpu_leave();
	fake_cpu = cpu;
	fake_cpu_enter();
}

void cpu_irq_window(void)
{
	pthread_mutex_lock(&cpus[fake_cpu].mutex);
	answer(fake_cpu);
	pthread_mutex_unlock(&cpus[fake_cpu].mutex);
}

void arch_spin_wait(void)
{
	cpu_irq_window();
	sched_yield();
}

static void forget_here(const vaddr_t *va, unsigned count)
{
	struct cpu *c = &cpus[fake_cpu];

	if (fake_drop_flushes)
		return;
	pthread_mutex_lock(&c->mutex);
	forget(c, va, count);
	pthread_mutex_unlock(&c->mutex);
}

void arch_tlb_flush_page(vaddr_t va) { forget_here(&va, 1); }
void arch_tlb_flush_all(void) { forget_here(NULL, 0); }

void arch_load_root(paddr_t root)
{
	struct cpu *c = &cpus[fake_cpu];

	pthread_mutex_lock(&c->mutex);
	__atomic_store_n(&c->root, frame_of_pa(root), __ATOMIC_RELEASE);
	forget(c, NULL, 0);
	pthread_mutex_unlock(&c->mutex);
}

void arch_tlb_shootdown(u64 mask, const vaddr_t *va, unsigned count)
{
	struct request r = { .va = va, .count = count };
	static struct request nobody_waits[MAX_CPUS];	/* for the planted fault: outlives the call */
	struct request *q = fake_early_answer ? &nobody_waits[fake_cpu] : &r;

	if (fake_early_answer)
		q->count = 0;
	if (mask & 1UL << fake_cpu)
		fake_fail("CPU %u sends a shootdown to itself", fake_cpu);
	for (u32 nr = 0; nr < MAX_CPUS; nr++) {
		struct cpu *c = &cpus[nr];

		if (!(mask >> nr & 1))
			continue;
		pthread_mutex_lock(&c->mutex);
		if (!c->in_kernel) {
			forget(c, va, count);
		} else if (!(__atomic_fetch_or(&q->waiting_for, 1UL << nr, __ATOMIC_RELAXED) >> nr & 1)) {
			q->next[nr] = c->requests;
			c->requests = q;
		}
		pthread_mutex_unlock(&c->mutex);
	}
	while (!fake_early_answer && __atomic_load_n(&r.waiting_for, __ATOMIC_ACQUIRE))
		arch_spin_wait();
}

void fake_root_freed(const struct frame *f)
{
	for (u32 nr = 0; nr < MAX_CPUS; nr++)
		if (__atomic_load_n(&cpus[nr].root, __ATOMIC_ACQUIRE) == f)
			fake_fail("root frame %#lx freed while CPU %u runs on it", frame_number(f), nr);
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

static struct cached *upper_of(struct cpu *c, vaddr_t va)
{
	return &c->upper[(va >> pt_shift(2)) % ARRAY_SIZE(c->upper)];
}

/* The walk that this CPU makes: from a remembered upper entry if it has one. */
static bool cpu_walk(struct cpu *c, vaddr_t va, struct walk *w)
{
	struct cached *u = upper_of(c, va);

	if (u->page == (va >> pt_shift(2)) + 1 && u->epoch == c->upper_epoch) {
		if (READ_ONCE(u->frame->kind) != FRAME_TABLE || fake_generation(u->frame) != u->generation)
			fake_fail("stale translation used: CPU %u, %#lx by the freed table %#lx", fake_cpu, va,
				  frame_number(u->frame));
		*w = (struct walk){ .write = u->write, .exec = true, .upper_write = u->write, .leaf_table = u->frame };
		if (!step_down(w, u->frame, va))
			return false;
		w->frame = pt_child(w->leaf);
		if (fake_strict) {
			struct walk truth;

			if (!walk(c->root, va, &truth) || truth.leaf_table != u->frame || (w->write && !truth.write))
				fake_fail("stale translation used: CPU %u, %#lx by table %#lx that is no longer there", fake_cpu,
					  va, frame_number(u->frame));
		}
		return true;
	}
	if (!walk(c->root, va, w) && !w->leaf_table)
		return false;
	*u = (struct cached){ .page = (va >> pt_shift(2)) + 1, .epoch = c->upper_epoch, .frame = w->leaf_table,
			      .generation = fake_generation(w->leaf_table), .write = w->upper_write };
	return w->frame != NULL;
}

/* --- accessing ------------------------------------------------------------------------------------- */

static struct cached *tlb_find(struct cpu *c, u64 page)
{
	for (unsigned w = 0; w < WAYS; w++) {
		struct cached *e = &c->tlb[page % SETS][w];

		if (e->page == page && e->epoch == c->epoch)
			return e;
	}
	return NULL;
}

static struct cached *tlb_fill(struct cpu *c, vaddr_t va, bool write, bool exec)
{
	u64 page = (va >> PAGE_SHIFT) + 1;
	struct walk w;
	struct cached *e;

	do {
		if (!cpu_walk(c, va, &w) || (write && !w.write) || (exec && !w.exec))
			return NULL;
	} while (!set_accessed(&w, write));
	if (READ_ONCE(w.frame->kind) < FRAME_KERNEL)
		fake_fail("CPU %u: the tables map %#lx to frame %#lx, which is free", fake_cpu, va, frame_number(w.frame));
	e = tlb_find(c, page);
	if (!e)
		e = &c->tlb[page % SETS][c->turn++ % WAYS];
	*e = (struct cached){ .page = page, .epoch = c->epoch, .frame = w.frame, .write = w.write, .exec = w.exec,
			      .dirty = pte_dirty(w.leaf), .generation = fake_generation(w.frame) };
	return e;
}

/* E is about to be used: is it still so? */
static void verify(struct cpu *c, const struct cached *e, vaddr_t va)
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
	struct cpu *c = &cpus[fake_cpu];
	bool write = error & FAULT_WRITE, exec = error & FAULT_EXEC;
	struct cached *e;

	tlb_switch_space(s);
	pthread_mutex_lock(&c->mutex);
	bool answered = answer(fake_cpu);
	if (c->root != s->root)
		fake_fail("CPU %u does not run on the space's root", fake_cpu);
	e = tlb_find(c, (va >> PAGE_SHIFT) + 1);
	if (e && write && e->write && !e->dirty)
		verify(c, e, va), e = NULL;	/* hardware walks again to set D */
	if (e && ((write && !e->write) || (exec && !e->exec)))
		e->page = 0, e = NULL;		/* and before it faults */
	if (!e)
		e = tlb_fill(c, va, write, exec);
	if (!e)
		upper_of(c, va)->page = 0;	/* a fault drops what was cached for its address */
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

unsigned fake_locks_held(void);

static enum fault_result access_at(struct space *s, vaddr_t va, unsigned error, u64 *value)
{
	unsigned tries = 0, most = fake_strict ? MAX_FAULTS_STRICT : MAX_FAULTS;

	if (va & 7 || va >= USER_END)
		fake_fail("a test accesses %#lx", va);
	while (!try_access(s, va, error, value)) {
		bool present = pte_present(fake_look(s, va).leaf);
		enum fault_result r;

		if (tries++ == most)
			fake_fail("access %#x to %#lx faults for ever", error, va);
		fake_nr_faults++;
		r = fault_handle(s, va, FAULT_USER | error | (present ? FAULT_PRESENT : 0));
		if (fake_locks_held())
			fake_fail("fault_handle keeps %u locks", fake_locks_held());
		if (r != FAULT_OK)
			return r;
	}
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
	struct cpu *c = &cpus[fake_cpu];

	pthread_mutex_lock(&c->mutex);
	if (c->root == s->root && !tlb_find(c, (va >> PAGE_SHIFT) + 1))
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

void fake_memory_start(unsigned mib);

void fake_start(unsigned mib)
{
	size_t size = (size_t)(__stop_percpu - __start_percpu);

	for (u32 nr = 0; nr < MAX_CPUS; nr++) {
		static char *copies[MAX_CPUS];
		char *copy = copies[nr] = nr ? aligned_alloc(64, ALIGN_UP(size, 64)) : __start_percpu;

		if (!copy)
			abort();
		memmove(copy, __start_percpu, size);
		percpu_offsets[nr] = (u64)copy - (u64)__start_percpu;
		*cpu_ptr(cpu_number, nr) = nr;
		pthread_mutex_init(&cpus[nr].mutex, NULL);
		cpus[nr].epoch = cpus[nr].upper_epoch = 1;
	}
	nr_cpus = MAX_CPUS;
	fake_cpu_enter();
	fake_memory_start(mib);
}
