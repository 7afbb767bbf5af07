/* SPDX-License-Identifier: MIT */
/*
 * Owns: what CPUs ask of each other: look at your queue, forget translations, stop.
 *
 * A shootdown. Each CPU has one request of its own (it waits, so it needs no more) and a word `asked`, a bit
 * per CPU that asks something of it. Who asks fills in its request, sets `waiting` to the CPUs meant, sets its
 * bit in the word of each, interrupts those whose word was 0, and waits until `waiting` is 0. Who answers
 * takes its whole word, does what each request says, and takes itself out of each `waiting`: its last look at
 * that request.
 *
 * No deadlock. The kernel runs with interrupts off, so a CPU answers at one of three places: in the
 * interrupt (user mode, idle, cpu_irq_window), in arch_spin_wait, while it waits for a shootdown of its own.
 * Answering takes no lock and waits for nothing. A CPU that does not answer is therefore in the kernel and
 * not waiting for anybody; it runs on until it leaves or begins to wait. So every loop in which one CPU waits
 * for another must call arch_spin_wait, and whoever asks may hold any locks: those who want
 * them answer while they spin. Requests of two CPUs to each other answer each other.
 *
 * Freeze: a CPU answers it from the interrupt alone, so where it holds no lock, and the one who freezes holds
 * none: nobody that it waits for can wait for it. Frozen CPUs answer shootdowns. A CPU that halts is not woken for
 * it, but waits as it leaves: it takes back `halted`, then looks at `freezer`; who freezes does the reverse. The
 * interrupt may come when all is over, or find that such a waiter has frozen already: `to_freeze` decides.
 * Resched: its arrival is all it says (kernel/trap.c). Stop, for panics, is an NMI: it arrives anywhere.
 */
#include "arch/cpu.h"
#include "arch/machine.h"
#include "arch/platform.h"
#include "arch/tlb.h"
#include "arch/trap.h"
#include "kernel/base/counters.h"
#include "kernel/base/print.h"

struct request {
	u64 waiting;		/* CPUs that have not answered: atomic */
	const struct tlb_request *what;
} __attribute__((aligned(64)));

static DEFINE_PERCPU(struct request, request);
static DEFINE_PERCPU(u64, asked);	/* CPUs whose request waits for this one: atomic */

static DEFINE_PERCPU(bool, halted);	/* atomic */
static u32 freezer;	/* CPU number + 1 of who freezes the others: atomic */
static u64 frozen;	/* CPUs that are: atomic */
static u64 to_freeze;	/* CPUs that were asked to: atomic */
static bool thawed;	/* they may go on: atomic */
static u64 froze_at;	/* TSC; the freezer's */
static u64 rest_until;	/* TSC; until then nobody freezes who need not: atomic */

u8 cpu_apic_id[MAX_CPUS];

/* Does what others ask of this CPU. */
static __noinline void answer(void)
{
	u64 me = 1UL << this_cpu(cpu_number);
	u64 who = __atomic_exchange_n(this_cpu_ptr(asked), 0, __ATOMIC_SEQ_CST);

	for (; who; who &= who - 1) {
		struct request *r = cpu_ptr(request, __builtin_ctzl(who));

		tlb_answer(r->what);
		__atomic_fetch_and(&r->waiting, ~me, __ATOMIC_SEQ_CST);
	}
}

void arch_spin_wait(void)
{
	if (unlikely(READ_ONCE(*this_cpu_ptr(asked))))
		answer();
	cpu_pause();
}

void arch_tlb_shootdown(u64 mask, const struct tlb_request *what)
{
	struct request *r = this_cpu_ptr(request);
	u64 me = 1UL << this_cpu(cpu_number);

	BUG_ON(mask & me);
	r->what = what;
	__atomic_store_n(&r->waiting, mask, __ATOMIC_RELEASE);
	for (u64 left = mask; left; left &= left - 1) {
		u32 cpu = (u32)__builtin_ctzl(left);

		if (__atomic_fetch_or(cpu_ptr(asked, cpu), me, __ATOMIC_SEQ_CST))
			continue;	/* who set the first bit interrupts it */
		count(nr_tlb_ipis);
		apic_send(cpu_apic_id[cpu], IRQ_IPI_TLB);
	}
	while (__atomic_load_n(&r->waiting, __ATOMIC_ACQUIRE))
		arch_spin_wait();
}

static void freeze(void)
{
	u64 me = 1UL << this_cpu(cpu_number);

	if (!(__atomic_load_n(&to_freeze, __ATOMIC_SEQ_CST) & me))
		return;
	__atomic_fetch_or(&frozen, me, __ATOMIC_SEQ_CST);
	while (!__atomic_load_n(&thawed, __ATOMIC_ACQUIRE))
		arch_spin_wait();
	__atomic_fetch_and(&frozen, ~me, __ATOMIC_SEQ_CST);
}

void arch_ipi(unsigned vector)
{
	if (vector == IRQ_IPI_TLB)
		answer();
	else if (vector == IRQ_IPI_FREEZE)
		freeze();
}

bool arch_freeze_others(bool must)
{
	u32 me = this_cpu(cpu_number), nobody = 0;
	u64 ask = 0, others = ~0UL >> (64 - nr_cpus) & ~(1UL << me);

	if (nr_cpus == 1)
		return true;
	if (!must && rdtsc() < READ_ONCE(rest_until))
		return false;
	while (!__atomic_compare_exchange_n(&freezer, &nobody, me + 1, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
		nobody = 0;
		cpu_irq_window();	/* to be frozen by who was first */
		arch_spin_wait();
	}
	froze_at = rdtsc();
	thawed = false;
	for (u64 left = others; left; left &= left - 1)
		if (!__atomic_load_n(cpu_ptr(halted, __builtin_ctzl(left)), __ATOMIC_SEQ_CST))
			ask |= left & -left;
	__atomic_store_n(&to_freeze, ask, __ATOMIC_SEQ_CST);
	for (u64 left = ask; left; left &= left - 1)
		apic_send(cpu_apic_id[__builtin_ctzl(left)], IRQ_IPI_FREEZE);
	while ((__atomic_load_n(&frozen, __ATOMIC_ACQUIRE) & ask) != ask)
		arch_spin_wait();
	return true;
}

void arch_thaw_others(void)
{
	if (nr_cpus == 1)
		return;
	__atomic_store_n(&thawed, true, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&frozen, __ATOMIC_ACQUIRE))
		arch_spin_wait();
	__atomic_store_n(&to_freeze, 0, __ATOMIC_SEQ_CST);
	u64 now = rdtsc();
	WRITE_ONCE(rest_until, now + (now - froze_at));
	__atomic_store_n(&freezer, 0, __ATOMIC_SEQ_CST);
}

void arch_idle(void)
{
	__atomic_store_n(this_cpu_ptr(halted), true, __ATOMIC_RELEASE);
	cpu_idle();
}

void arch_idle_over(void)
{
	__atomic_store_n(this_cpu_ptr(halted), false, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&freezer, __ATOMIC_SEQ_CST)) {
		freeze();		/* if it asked before we halted */
		arch_spin_wait();
	}
}

void ipi_resched(u32 cpu)
{
	count(resched_ipis);
	apic_send(cpu_apic_id[cpu], IRQ_IPI_RESCHED);
}

void ipi_stop_others(void)
{
	for (u32 cpu = 0; cpu < nr_cpus; cpu++)
		if (cpu != this_cpu(cpu_number))
			apic_send(cpu_apic_id[cpu], IPI_NMI);
}

void cpu_start_here(const u64 stack_top[NR_GUARDED_STACKS])
{
	traps_init_cpu(stack_top);
	cpu_registers();
	apic_init_cpu();
}
