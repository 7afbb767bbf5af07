/* SPDX-License-Identifier: MIT */
/*
 * Owns: the start of the other CPUs: which ones, their memory, their numbers; and what is asked of all of
 * them, the giving back of the free objects and stacks that each keeps. The start runs on the boot CPU alone,
 * once; a CPU gets the next number, and nr_cpus includes it when it is ready to run threads. What
 * cannot be started is said in one line each, and left alone.
 */
#include "arch/cpu.h"
#include "arch/platform.h"
#include "boot/boot.h"
#include "kernel/base/epoch.h"
#include "kernel/base/print.h"
#include "kernel/thread.h"
#include "mm/kmem.h"
#include "mm/limbo.h"

#define DRAIN_NS 100000000UL	/* most that a drain waits for CPUs that are long in the kernel */

struct start {
	u64 stack_top[NR_GUARDED_STACKS];
	u64 root;		/* the lasting tables */
	u32 up;
};

/* The first C of a CPU, on its own stack and GS base, and on tables that it leaves at once. */
static void begin(void *arg)
{
	struct start *s = arg;
	u32 me = this_cpu(cpu_number), boot_id = cpu_apic_id[0];

	write_cr3(s->root);
	cpu_start_here(s->stack_top);
	epoch_enter();
	__atomic_store_n(&nr_cpus, me + 1, __ATOMIC_SEQ_CST);
	__atomic_store_n(&s->up, 1, __ATOMIC_SEQ_CST);
	apic_send((u8)boot_id, IRQ_IPI_RESCHED);
	sched_start();
}

static bool alloc_stacks(struct start *s)
{
	for (unsigned i = 0; i < NR_GUARDED_STACKS; i++)
		if (!(s->stack_top[i] = kstack_alloc()))
			return false;
	return true;
}

static void free_start(struct start *s, void *area)
{
	for (unsigned i = 0; s && i < NR_GUARDED_STACKS; i++)
		if (s->stack_top[i])
			kstack_free(s->stack_top[i]);
	kmem_free(area);
	kmem_free(s);
}

/* False: no more CPUs are to be started. */
static bool start_one(u32 cpu, u8 apic_id)
{
	struct start *s = kmem_alloc(sizeof(*s));
	void *area = kmem_alloc(ALIGN_UP(percpu_size(), PAGE_SIZE));
	enum start_result result;

	if (!s || !area || !alloc_stacks(s)) {
		printk(LOG_WARN, "CPU with APIC id %u: no memory to start it", apic_id);
		free_start(s, area);
		return false;
	}
	s->root = read_cr3();
	percpu_add(cpu, area);
	cpu_apic_id[cpu] = apic_id;
	sched_init_cpu(cpu);
	result = boot_start_cpu(apic_id, s->stack_top[STACK_BOOT], percpu_offsets[cpu], begin, s, &s->up);
	if (result == START_UP)
		return true;		/* S is small, and says where its stacks are */
	printk(LOG_WARN, "CPU with APIC id %u: %s", apic_id, result == START_NEVER ? "no answer" : "lost on its way");
	if (result == START_LOST)
		return false;
	free_start(s, area);
	return true;
}

void cpus_start(void)
{
	u8 ids[MAX_CPUS];
	unsigned n = 0, i;
	paddr_t low, low_end;

	cpu_apic_id[0] = apic_own_id();
	for (i = 0; i < platform.nr_cpus; i++)
		if (platform.apic_id[i] != cpu_apic_id[0])
			ids[n++] = platform.apic_id[i];
	n = MIN(n, MAX_CPUS - 1U);
	if (!boot_low_pages(&low, &low_end)) {
		if (n)
			printk(LOG_WARN, "no memory below 1 MiB to start other CPUs in");
		return;
	}
	if (n)
		boot_reset_cpus(ids, n);
	for (i = 0; i < n && start_one(nr_cpus, ids[i]); i++)
		;
	if (nr_cpus == n + 1)
		frame_add_range(low, low_end);	/* nobody can come late */
	if (n)
		printk(LOG_INFO, "%u of %u CPUs run", nr_cpus, n + 1);
}

static DEFINE_PERCPU(bool, drain_asked);	/* atomic */

void cpus_drain_here(void)
{
	if (likely(!this_cpu(drain_asked)))
		return;
	limbo_reap_tables();
	limbo_hand_over();
	kstack_drain();
	kmem_drain();
	__atomic_store_n(this_cpu_ptr(drain_asked), false, __ATOMIC_RELEASE);
}

void cpus_drain(void)
{
	u64 limit = clock_ns() + DRAIN_NS;
	u32 me = this_cpu(cpu_number);

	if (nr_cpus == 1)
		return;
	kstack_drain();
	for (u32 cpu = 0; cpu < nr_cpus; cpu++) {
		if (cpu == me)
			continue;
		__atomic_store_n(cpu_ptr(drain_asked, cpu), true, __ATOMIC_RELEASE);
		ipi_resched(cpu);
	}
	for (u32 cpu = 0; cpu < nr_cpus; cpu++)
		while (cpu != me && __atomic_load_n(cpu_ptr(drain_asked, cpu), __ATOMIC_ACQUIRE) && clock_ns() < limit) {
			arch_spin_wait();
			cpu_irq_window();	/* another may ask the same of us */
		}
	limbo_take_over();
}
