/* SPDX-License-Identifier: MIT */
/*
 * Owns: the fake machine under mm/'s host tests: memory, CPUs with TLBs, page faults.
 *
 * A thread plays one CPU at a time (fake_cpu_set); one thread may play several in turn. What runs
 * between accesses is kernel mode: there a CPU answers TLB requests only where the real one would. An
 * access is user mode, in which the CPU holds up no grace period (kernel/base/epoch.h).
 * Each CPU remembers every translation and every upper table it has used until it is told to forget,
 * and fails the test ("stale translation used") when it uses one that is no longer so:
 *   always: its frame or table has been freed since;
 *   strict (default; for tests with one thread): it differs from what the tables say, or gives more.
 */
#pragma once
#include "mm/fault.h"
#include "mm/frame.h"
#include "mm/space.h"

/* Memory of MIB MiB, an empty kernel root, CPU 0; PCIDs if QUIRE_PCIDS=1 or ThreadSanitizer watches. Once per process, before anything else. */
void fake_start(unsigned mib);

/* The calling thread is CPU from now on; the one it was is in user mode or idle. */
void fake_cpu_set(u32 cpu);
void fake_cpu_leave(void);		/* the thread is about to wait or end: its CPU answers at once */
void fake_cpu_enter(void);		/* and is back */
void fake_freeze_point(void);		/* out of kernel mode for a moment, if another freezes: no lock held */

/* One access of 8 bytes at VA (8-aligned) by this CPU in S: by the TLB, else by a walk, else by a fault,
 * again and again until it is done (FAULT_OK) or refused. */
enum fault_result fake_load(struct space *s, vaddr_t va, u64 *value);
enum fault_result fake_store(struct space *s, vaddr_t va, u64 value);
enum fault_result fake_fetch(struct space *s, vaddr_t va);

/* Fills the TLB as speculation may: walks if it can, faults never, checks nothing. */
void fake_speculate(struct space *s, vaddr_t va);

/* What the tables of S say of VA, looked at without leaving a trace. */
struct fake_view {
	pte_t leaf;			/* the leaf entry; 0 when a table is missing */
	pte_t slot_of[PT_LEVELS + 1];	/* the entry of each level, [1] = leaf */
	bool read, write, exec;		/* what user mode could do */
	struct frame *frame;		/* of a leaf that is not empty */
};
struct fake_view fake_look(struct space *s, vaddr_t va);

extern bool fake_strict;
extern __thread u64 fake_nr_faults;	/* this thread's, taken by its accesses */

extern bool fake_late_interrupts;	/* a shootdown lets others get on before it reaches them */

/* Planted faults of hardware and glue. */
extern bool fake_drop_flushes;		/* flushes of the own CPU do nothing */
extern bool fake_early_answer;		/* a shootdown returns before the others have flushed */

/* Runs FN in a child process. NULL if it returned; else the last words of panic() or fake_fail(). */
const char *fake_last_words(void (*fn)(void *arg), void *arg);
bool fake_in_child(void);		/* are we in such a process? */
void fake_fail(const char *fmt, ...) __printf(1, 2) __noreturn;

/* How often frame F has been allocated or freed. */
u32 fake_generation(const struct frame *f);
void fake_frame_forgotten(const struct frame *f);	/* fails if a CPU still remembers it */

/* Random numbers, xorshift: the same everywhere from the same seed. */
u64 fake_random(u64 *state);
