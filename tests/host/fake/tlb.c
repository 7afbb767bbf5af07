/* SPDX-License-Identifier: MIT */
/*
 * Owns: what each fake CPU remembers of the tables, and how it is told to forget. Hardware may forget any
 * entry at any time (a full set evicts) and drops all upper entries at any flush. Of each frame it is
 * counted in how many entries it is: who frees one that is still in some that a CPU could use now is
 * caught at once, whether or not the translation would ever have been used again.
 *
 * A shootdown flushes a CPU that is not in kernel mode at once; one that is must answer by itself
 * (arch_spin_wait, cpu_irq_window, its next access), and the asker waits for it. Who freezes waits until all others are out of
 * kernel mode, which they leave for that before an access, or where a crowd's thread is between two.
 */
#include "cpu.h"
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "arch/tlb.h"
#include "kernel/base/epoch.h"
#include "mm/tlb.h"

struct request {
	struct tlb_request what;
	u64 waiting_for;		/* CPUs */
	struct request *next[MAX_CPUS];	/* in each CPU's list */
};

struct fake_cpu fake_cpus[MAX_CPUS];
__thread u32 fake_cpu;
DEFINE_PERCPU(u32, cpu_number);
u64 percpu_offsets[MAX_CPUS];
u32 nr_cpus = 1;
extern char __start_percpu[], __stop_percpu[];	/* by the linker */
bool fake_drop_flushes, fake_early_answer, fake_late_interrupts;
bool arch_pcids;
static u32 *uses;			/* of each frame: entries of all CPUs that hold it */

static bool wants_pcids(void)
{
	const char *said = getenv("QUIRE_PCIDS");

#ifdef __SANITIZE_THREAD__
	return !said || *said == '1';
#else
	return said && *said == '1';
#endif
}

/* --- remembering ------------------------------------------------------------------------------------ */

static void use(const struct frame *f, int by)
{
	__atomic_fetch_add(&uses[frame_number(f)], (u32)by, __ATOMIC_RELAXED);
}

void cached_drop(struct cached *e)
{
	if (e->tag)
		use(e->frame, -1);
	e->tag = 0;
}

static void cached_set(struct cached *e, u64 tag, struct cached what)
{
	cached_drop(e);
	*e = what;
	e->tag = tag;
	e->generation = fake_generation(e->frame);
	use(e->frame, 1);
}

struct cached *tlb_find(struct fake_cpu *c, vaddr_t va)
{
	u64 tag = (va >> PAGE_SHIFT) + 1;

	for (unsigned w = 0; w < TLB_WAYS; w++)
		if (c->tlb[tag % TLB_SETS][w].tag == tag && c->tlb[tag % TLB_SETS][w].pcid == c->pcid)
			return &c->tlb[tag % TLB_SETS][w];
	return NULL;
}

struct cached *tlb_insert(struct fake_cpu *c, vaddr_t va, struct cached what)
{
	u64 tag = (va >> PAGE_SHIFT) + 1;
	struct cached *e = tlb_find(c, va);

	if (!e)
		e = &c->tlb[tag % TLB_SETS][c->turn++ % TLB_WAYS];
	if (!e->tag && c->nr_filled < ARRAY_SIZE(c->filled))
		c->filled[c->nr_filled++] = (u32)(e - &c->tlb[0][0]);
	what.pcid = c->pcid;
	cached_set(e, tag, what);
	return e;
}

struct cached *upper_find(struct fake_cpu *c, vaddr_t va)
{
	u64 tag = (va >> pt_shift(2)) + 1;
	struct cached *e = &c->upper[(tag ^ c->pcid) % UPPER];

	return e->tag == tag && e->pcid == c->pcid ? e : NULL;
}

void upper_insert(struct fake_cpu *c, vaddr_t va, struct cached what)
{
	u64 tag = (va >> pt_shift(2)) + 1;

	what.pcid = c->pcid;
	cached_set(&c->upper[(tag ^ c->pcid) % UPPER], tag, what);
}

/* --- forgetting ------------------------------------------------------------------------------------ */

static void forget_all(struct fake_cpu *c)
{
	u32 kept = 0;

	if (c->nr_filled == ARRAY_SIZE(c->filled))	/* some may not have been noted */
		for (c->nr_filled = 0; c->nr_filled < ARRAY_SIZE(c->filled); c->nr_filled++)
			c->filled[c->nr_filled] = c->nr_filled;
	for (u32 i = 0; i < c->nr_filled; i++) {
		struct cached *e = &c->tlb[0][0] + c->filled[i];

		if (e->pcid == c->pcid)
			cached_drop(e);
		if (e->tag)
			c->filled[kept++] = c->filled[i];
	}
	c->nr_filled = kept;
}

/* VA, or all when it is NULL, under the current PCID. */
static void forget(struct fake_cpu *c, const vaddr_t *va)
{
	for (unsigned i = 0; i < UPPER; i++)
		if (c->upper[i].pcid == c->pcid)
			cached_drop(&c->upper[i]);
	if (!va)
		forget_all(c);
	else if (tlb_find(c, *va))
		cached_drop(tlb_find(c, *va));
}

/* Does what others asked of CPU NR; its mutex is held. Did any? */
bool tlb_answer_all(u32 nr)
{
	struct fake_cpu *c = &fake_cpus[nr];
	bool any = c->requests;

	while (c->requests) {
		struct request *r = c->requests;

		c->requests = r->next[nr];
		tlb_answer(&r->what);
		__atomic_fetch_and(&r->waiting_for, ~(1UL << nr), __ATOMIC_RELEASE);
	}
	return any;
}

static void set_in_kernel(bool on)
{
	pthread_mutex_lock(&fake_cpus[fake_cpu].mutex);
	tlb_answer_all(fake_cpu);
	fake_cpus[fake_cpu].in_kernel = on;
	pthread_mutex_unlock(&fake_cpus[fake_cpu].mutex);
}

static u32 freezer;		/* CPU + 1 of who wants the others out of the kernel: atomic */

/* Into kernel mode, once nobody freezes. */
static void come_in(void)
{
	u32 who;

	while (set_in_kernel(true), (who = __atomic_load_n(&freezer, __ATOMIC_ACQUIRE)) && who != fake_cpu + 1) {
		set_in_kernel(false);
		sched_yield();
	}
}

void fake_cpu_leave(void)
{
	set_in_kernel(false);
	epoch_leave();
}

void fake_cpu_enter(void)
{
	epoch_enter();
	come_in();
}

void fake_freeze_point(void)
{
	if (!__atomic_load_n(&freezer, __ATOMIC_RELAXED))
		return;
	set_in_kernel(false);
	come_in();
}

static bool is_in_kernel(struct fake_cpu *c)
{
	pthread_mutex_lock(&c->mutex);
	bool in = c->in_kernel;
	pthread_mutex_unlock(&c->mutex);
	return in;
}

bool arch_freeze_others(bool must)
{
	u32 nobody = 0;

	(void)must;
	while (!__atomic_compare_exchange_n(&freezer, &nobody, fake_cpu + 1, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
		nobody = 0;
		fake_freeze_point();
	}
	for (u32 nr = 0; nr < MAX_CPUS; nr++)
		while (nr != fake_cpu && is_in_kernel(&fake_cpus[nr]))
			arch_spin_wait();
	return true;
}

void arch_thaw_others(void)
{
	__atomic_store_n(&freezer, 0, __ATOMIC_RELEASE);
}

void fake_cpu_set(u32 cpu)
{
	fake_cpu_leave();
	fake_cpu = cpu;
	fake_cpu_enter();
}

void cpu_irq_window(void)
{
	pthread_mutex_lock(&fake_cpus[fake_cpu].mutex);
	tlb_answer_all(fake_cpu);
	pthread_mutex_unlock(&fake_cpus[fake_cpu].mutex);
}

void arch_spin_wait(void)
{
	cpu_irq_window();
	sched_yield();
}

static void forget_here(const vaddr_t *va)
{
	struct fake_cpu *c = &fake_cpus[fake_cpu];

	if (fake_drop_flushes)
		return;
	pthread_mutex_lock(&c->mutex);
	forget(c, va);
	pthread_mutex_unlock(&c->mutex);
}

void arch_tlb_flush_page(vaddr_t va) { forget_here(&va); }
void arch_tlb_flush_all(void) { forget_here(NULL); }

void arch_load_root(paddr_t root, u64 pcid, bool keep)
{
	struct fake_cpu *c = &fake_cpus[fake_cpu];

	pthread_mutex_lock(&c->mutex);
	__atomic_store_n(&c->root, frame_of_pa(root), __ATOMIC_RELEASE);
	c->pcid = arch_pcids ? pcid : 0;
	if (!arch_pcids || !keep)
		forget(c, NULL);
	pthread_mutex_unlock(&c->mutex);
}

/* The interrupt comes to CPU NR, which is in user mode or idle: the asker plays it. Its mutex is held. */
static void interrupt(u32 nr, const struct tlb_request *what)
{
	u32 me = fake_cpu;

	fake_cpu = nr;
	tlb_answer(what);
	fake_cpu = me;
}

void arch_tlb_shootdown(u64 mask, const struct tlb_request *what)
{
	struct request r = { .what = *what };
	static struct request nobody_waits[MAX_CPUS];	/* for the planted fault: outlives the call */
	struct request *q = fake_early_answer ? &nobody_waits[fake_cpu] : &r;

	if (fake_early_answer)
		q->what = (struct tlb_request){ .upper = what->upper };
	static __thread u64 random;
	if (fake_late_interrupts && fake_random(&random) % 4 == fake_cpu % 4)
		usleep(10);
	if (mask & 1UL << fake_cpu)
		fake_fail("CPU %u sends a shootdown to itself", fake_cpu);
	for (u32 nr = 0; nr < MAX_CPUS; nr++) {
		struct fake_cpu *c = &fake_cpus[nr];

		if (!(mask >> nr & 1))
			continue;
		pthread_mutex_lock(&c->mutex);
		if (!c->in_kernel) {
			interrupt(nr, what);
		} else if (!(__atomic_fetch_or(&q->waiting_for, 1UL << nr, __ATOMIC_RELAXED) >> nr & 1)) {
			q->next[nr] = c->requests;
			c->requests = q;
		}
		pthread_mutex_unlock(&c->mutex);
	}
	while (!fake_early_answer && __atomic_load_n(&r.waiting_for, __ATOMIC_ACQUIRE))
		arch_spin_wait();
}

/* In how many entries F is that CPU NR could use now: those of the current PCID, but of leaf entries none
 * while the CPU uses no user address. */
static u32 usable(u32 nr, const struct frame *f)
{
	struct fake_cpu *c = &fake_cpus[nr];
	u32 n = 0, last;

	pthread_mutex_lock(&c->mutex);
	for (u32 i = 0; i < UPPER; i++)
		n += c->upper[i].tag && c->upper[i].frame == f && c->upper[i].pcid == c->pcid;
	last = c->resting || tlb_is_idle(nr) ? 0 : c->nr_filled == ARRAY_SIZE(c->filled) ? ~0U : c->nr_filled;
	for (u32 i = 0; i < MIN(last, ARRAY_SIZE(c->filled)); i++) {
		const struct cached *e = &c->tlb[0][0] + (last == ~0U ? i : c->filled[i]);

		n += e->tag && e->frame == f && e->pcid == c->pcid;
	}
	pthread_mutex_unlock(&c->mutex);
	return n;
}

void fake_frame_forgotten(const struct frame *f)
{
	u32 n = 0;

	for (u32 nr = 0; nr < MAX_CPUS && __atomic_load_n(&uses[frame_number(f)], __ATOMIC_RELAXED); nr++)
		n += usable(nr, f);
	if (n)
		fake_fail("stale translation used: frame %#lx is freed, and still in %u TLB entries", frame_number(f), n);
	for (u32 nr = 0; nr < MAX_CPUS; nr++)
		if (__atomic_load_n(&fake_cpus[nr].root, __ATOMIC_ACQUIRE) == f)
			fake_fail("root frame %#lx freed while CPU %u runs on it", frame_number(f), nr);
}

void tlb_start(void)
{
	static char *copies[MAX_CPUS];
	size_t size = (size_t)(__stop_percpu - __start_percpu);

	pthread_mutexattr_t again;

	pthread_mutexattr_init(&again);
	pthread_mutexattr_settype(&again, PTHREAD_MUTEX_RECURSIVE);
	arch_pcids = wants_pcids();
	uses = calloc(nr_frames, sizeof(*uses));
	for (u32 nr = 0; nr < MAX_CPUS; nr++) {
		char *copy = copies[nr] = nr ? aligned_alloc(64, ALIGN_UP(size, 64)) : __start_percpu;

		if (!copy || !uses)
			abort();
		memmove(copy, __start_percpu, size);
		percpu_offsets[nr] = (u64)copy - (u64)__start_percpu;
		*cpu_ptr(cpu_number, nr) = nr;
		pthread_mutex_init(&fake_cpus[nr].mutex, &again);
	}
	nr_cpus = MAX_CPUS;
	fake_cpu_enter();
}
