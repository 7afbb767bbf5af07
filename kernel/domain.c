/* SPDX-License-Identifier: MIT */
/*
 * Owns: counter domains: what the counters, and the TSC, moved by while the threads of some processes ran.
 *
 * Each CPU remembers the domain that runs on it and a copy of its counters from when it came (the base). At
 * the switch away the differences are added to the domain. Invariant: what a domain has counted is its
 * value[] plus, for each CPU that it runs on, counters - base; so a reader changes nothing, and
 * nothing is lost or counted twice. The domain's lock guards its values and the `running` of each CPU
 * that points to it. A domain is held by its threads and by open /proc/PID/counters files; a thread drops
 * its hold only after the switch away. What the switch itself costs is counted for nobody.
 */
#include "arch/cpu.h"
#include "kernel/base/string.h"
#include "kernel/process.h"
#include "mm/kmem.h"

struct running {
	struct counter_domain *domain;	/* its lock; written by this CPU only */
	u64 tsc;
	counter_set base;
};
static DEFINE_PERCPU(struct running, running);

static KMEM_CACHE(domains, "domain", struct counter_domain);

struct counter_domain *domain_create(void)
{
	struct counter_domain *d = kmem_cache_alloc(&domains);

	if (d) {
		d->refs = 1;
		spin_init(&d->lock, RANK_KMEM);
	}
	return d;
}

void domain_get(struct counter_domain *d)
{
	if (d)
		__atomic_fetch_add(&d->refs, 1, __ATOMIC_RELAXED);
}

void domain_put(struct counter_domain *d)
{
	if (d && __atomic_sub_fetch(&d->refs, 1, __ATOMIC_ACQ_REL) == 0)
		kmem_cache_free(&domains, d);
}

void domain_switch(struct counter_domain *from, struct counter_domain *to)
{
	u64 tsc = rdtsc();
	struct running *r = this_cpu_ptr(running);
	const u64 *now = *this_cpu_ptr(cpu_counters);

	if (from && from == r->domain) {
		spin_lock(&from->lock);
		for (unsigned i = 0; i < NR_COUNTERS; i++)
			from->value[i] += now[i] - r->base[i];
		from->ticks += tsc - r->tsc;
		r->domain = NULL;
		spin_unlock(&from->lock);
	}
	if (to) {
		spin_lock(&to->lock);
		memcpy(r->base, now, sizeof(r->base));
		r->domain = to;
		r->tsc = rdtsc();
		spin_unlock(&to->lock);
	}
}

void domain_read(struct counter_domain *d, u64 values[NR_COUNTERS], u64 *ticks)
{
	spin_lock(&d->lock);
	memcpy(values, d->value, sizeof(d->value));
	*ticks = d->ticks;
	for (u32 cpu = 0; cpu < nr_cpus; cpu++) {
		const struct running *r = cpu_ptr(running, cpu);
		const u64 *now = *cpu_ptr(cpu_counters, cpu);

		if (r->domain != d)
			continue;
		for (unsigned i = 0; i < NR_COUNTERS; i++)
			values[i] += READ_ONCE(now[i]) - r->base[i];
		*ticks += rdtsc() - r->tsc;
	}
	spin_unlock(&d->lock);
}
