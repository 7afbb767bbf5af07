/* SPDX-License-Identifier: MIT */
/*
 * Owns: how a CPU that is not the boot CPU gets from reset to C: four pages below 1 MiB (the code of
 * boot/trampoline.S, and three tables that map the first 2 MiB where they are, the kernel's half as it
 * is), the INIT and STARTUP interrupts, the wait for an answer. One CPU at a time starts.
 *
 * All waits are bounded, and halt: so they cost no instructions where those are counted, and on an
 * emulator that runs CPUs in turn the others get theirs. A claim settles who was first, the CPU that
 * came or the one that stopped waiting for it.
 */
#include "arch/cpu.h"
#include "arch/platform.h"
#include "arch/pte.h"
#include "boot/boot.h"
#include "kernel/base/string.h"

enum { LOW_PAGES = 4 };
#define STEP_NS 100000UL		/* of waiting */
#define RESET_NS 10000000UL		/* after INIT */
#define ANSWER_NS 200000000UL
#define ARRIVE_NS 5000000000UL		/* from the claim to the end of entry */

/* At trampoline_data. */
struct start_data {
	u64 stack, gs_base, entry, argument;
	u32 root, claim;		/* 0x100 | APIC id: that CPU is waited for; 2: it has come */
	u16 fix[3];			/* where addresses lack that of the page */
};

extern const u8 trampoline_start[], trampoline_end[], trampoline_data[];

static paddr_t low;			/* 0: no room */

static void *at_pa(paddr_t pa)
{
	return (void *)(DIRECT_BASE + pa);
}

void boot_reserve_low(void)
{
	for (unsigned i = 0; i < boot_info.nr_ram && !low; i++) {
		const struct memory_range *r = &boot_info.ram[i];
		paddr_t end = MIN(r->end, 0xa0000UL);
		bool used = boot_info.initrd_start < end && boot_info.initrd_end > r->start;

		if (r->start < end && end - r->start >= LOW_PAGES * PAGE_SIZE && !used)
			low = end - LOW_PAGES * PAGE_SIZE;
	}
	if (low)
		ram_remove(low, low + LOW_PAGES * PAGE_SIZE);
}

bool boot_low_pages(paddr_t *start, paddr_t *end)
{
	*start = low;
	*end = low + LOW_PAGES * PAGE_SIZE;
	return low;
}

/* Halts until *WORD is not 0 or NS have passed. */
static void wait_for(const u32 *word, u64 ns)
{
	u64 now = clock_ns(), end = now + ns;

	while (!__atomic_load_n(word, __ATOMIC_ACQUIRE) && now < end) {
		timer_arm(MIN(now + STEP_NS, end));
		cpu_idle();
		now = clock_ns();
	}
}

void boot_reset_cpus(const u8 *ids, unsigned n)
{
	static const u32 never;

	for (unsigned i = 0; i < n; i++)
		apic_send(ids[i], IPI_INIT);
	wait_for(&never, RESET_NS);
}

/* Once: a CPU that comes late may be at the code at any time. */
static struct start_data *fill_pages(void)
{
	static bool filled;
	u8 *code = at_pa(low);
	pte_t *root = at_pa(low + PAGE_SIZE), *middle = at_pa(low + 2 * PAGE_SIZE), *lower = at_pa(low + 3 * PAGE_SIZE);
	struct start_data *d = (struct start_data *)(code + (trampoline_data - trampoline_start));

	if (filled)
		return d;
	filled = true;
	memset(code, 0, LOW_PAGES * PAGE_SIZE);
	memcpy(code, trampoline_start, (size_t)(trampoline_end - trampoline_start));
	for (unsigned i = 0; i < ARRAY_SIZE(d->fix); i++)
		*(u32 *)(code + d->fix[i]) += (u32)low;
	memcpy(root, at_pa(pte_pa(read_cr3())), PAGE_SIZE);
	root[0] = pte_kernel_table(low + 2 * PAGE_SIZE);
	middle[0] = pte_kernel_table(low + 3 * PAGE_SIZE);
	lower[0] = pte_leaf_large(0, PTE_WRITE | PTE_EXEC | PTE_YOUNG | PTE_DIRTY);
	d->root = (u32)(low + PAGE_SIZE);
	return d;
}

enum start_result boot_start_cpu(u8 apic_id, u64 stack_top, u64 gs_base, void (*entry)(void *), void *arg,
				 const u32 *up)
{
	struct start_data *d = fill_pages();
	u32 waiting = 0x100 | apic_id;

	d->stack = stack_top;
	d->gs_base = gs_base;
	d->entry = (u64)entry;
	d->argument = (u64)arg;
	__atomic_store_n(&d->claim, waiting, __ATOMIC_SEQ_CST);
	for (int i = 0; i < 2 && !__atomic_load_n(up, __ATOMIC_ACQUIRE); i++) {
		apic_send(apic_id, IPI_STARTUP | (u32)(low >> PAGE_SHIFT));
		wait_for(up, i ? ANSWER_NS : 2 * STEP_NS);
	}
	if (__atomic_load_n(up, __ATOMIC_ACQUIRE))
		return START_UP;
	if (__atomic_compare_exchange_n(&d->claim, &waiting, 0, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		return START_NEVER;
	wait_for(up, ARRIVE_NS);
	return __atomic_load_n(up, __ATOMIC_ACQUIRE) ? START_UP : START_LOST;
}
