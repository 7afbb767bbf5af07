/* SPDX-License-Identifier: MIT */
/* Owns: the epoch, and what each CPU shows of it (kernel/base/epoch.h, where the reasons are). */
#include "kernel/base/epoch.h"

u64 epoch_now = 1;
DEFINE_PERCPU(u64, epoch_here);

u64 epoch_retire(void)
{
	if (nr_cpus == 1)
		return 0;
	return __atomic_fetch_add(&epoch_now, 1, __ATOMIC_SEQ_CST);
}

bool epoch_passed(u64 tag)
{
	for (u32 cpu = 0; cpu < nr_cpus && nr_cpus > 1; cpu++) {
		u64 here = __atomic_load_n(cpu_ptr(epoch_here, cpu), __ATOMIC_ACQUIRE);

		if (here && here <= tag && cpu != this_cpu(cpu_number))
			return false;
	}
	return true;
}
