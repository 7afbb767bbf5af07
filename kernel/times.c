/* SPDX-License-Identifier: MIT */
/*
 * Owns: how much CPU time threads have used. A thread's account is written by the CPU that it runs on, at the
 * switch (kernel/sched.c); time_seq is odd meanwhile, so that others read without a lock.
 */
#include "arch/machine.h"
#include "kernel/process.h"

u64 thread_cpu_ns(const struct thread *t)
{
	u64 ns, start;
	u32 seq;

	do {
		seq = __atomic_load_n(&t->time_seq, __ATOMIC_ACQUIRE);
		ns = READ_ONCE(t->user_ns) + t->kernel_ns;
		start = READ_ONCE(t->run_start);
		barrier();
	} while (seq & 1 || seq != READ_ONCE(t->time_seq));
	if (start) {
		u64 now = clock_ns();

		ns += now - MIN(now, start);
	}
	return ns;
}
