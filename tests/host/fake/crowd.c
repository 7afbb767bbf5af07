/* SPDX-License-Identifier: MIT */
/* Owns: see crowd.h. */
#include "crowd.h"
#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include "arch/cpu.h"

#define PATIENCE 1000		/* ms */

static pthread_barrier_t barrier;
static void (*work)(unsigned cpu);

void crowd_meet(void)
{
	fake_cpu_leave();
	pthread_barrier_wait(&barrier);
	fake_cpu_enter();
}

static u64 started;

static u64 milliseconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (u64)t.tv_sec * 1000 + (u64)t.tv_nsec / 1000000;
}

bool crowd_late(void)
{
	return milliseconds() > started + PATIENCE;
}

static u64 uses, changes;
static bool over;

bool crowd_use(void)
{
	fake_freeze_point();
	__atomic_fetch_add(&uses, 1, __ATOMIC_RELAXED);
	return !__atomic_load_n(&over, __ATOMIC_RELAXED);
}

bool crowd_change(unsigned n)
{
	static __thread u64 random;
	u64 wait = fake_random(&random) % 2 ? fake_random(&random) % 32 : 0;
	u64 until = __atomic_load_n(&uses, __ATOMIC_RELAXED) + wait;

	do {
		fake_freeze_point();
		arch_spin_wait();
	} while (__atomic_load_n(&uses, __ATOMIC_RELAXED) < until && !crowd_late());
	if (__atomic_fetch_add(&changes, 1, __ATOMIC_RELAXED) < n && !crowd_late())
		return true;
	__atomic_store_n(&over, true, __ATOMIC_RELAXED);
	return false;
}

static void *be_cpu(void *arg)
{
	fake_cpu = (u32)(uintptr_t)arg;
	fake_cpu_enter();
	crowd_meet();
	work(fake_cpu);
	crowd_meet();
	tlb_switch_space(NULL);
	fake_cpu_leave();
	return NULL;
}

void crowd_run(unsigned n, void (*fn)(unsigned cpu))
{
	pthread_t thread[MAX_CPUS];
	bool strict = fake_strict;

	fake_strict = false;
	work = fn;
	uses = changes = 0;
	over = false;
	started = milliseconds();
	fake_cpu_leave();		/* CPU 0 is the first thread's now */
	if (pthread_barrier_init(&barrier, NULL, n))
		abort();
	for (unsigned i = 0; i < n; i++)
		if (pthread_create(&thread[i], NULL, be_cpu, (void *)(uintptr_t)i))
			abort();
	for (unsigned i = 0; i < n; i++)
		pthread_join(thread[i], NULL);
	pthread_barrier_destroy(&barrier);
	fake_cpu_enter();
	fake_strict = strict;
}

/*
 * What ThreadSanitizer shall not report: looks without a lock that are decided again under one. A fault finds
 * its region in the tree, whose macros store plainly, and reads its fields; space->seq is validated under the
 * table's lock before anything comes of it (mm/space.h). Whether a table seems empty is a hint only,
 * and so is the number of free frames, a sum of what each CPU counts for itself.
 */
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
	return "race:region_tree_RB_\nrace:^region_at_or_above$\nrace:^region_at$\nrace:^region_look$\nrace:^find$\n"
	       "race:^pt_unlink_if_empty$\nrace:^frame_nr_kind$\n";
}

/* Long memory, so that the other side of a race has a stack to be recognized by. */
const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
	return "history_size=7";
}
