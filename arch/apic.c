/* SPDX-License-Identifier: MIT */
/*
 * Owns: interrupt controllers: this CPU's local APIC with its timer, the I/O APICs, and the legacy 8259
 * pair, which serves only where there is no MADT (then in automatic end-of-interrupt mode, so that
 * irq_ack is the local APIC's alone). All lines are masked until irq_attach. The registers lie, uncached,
 * in the direct map (boot/map.c).
 */
#include "arch/cpu.h"
#include "arch/platform.h"
#include "arch/trap.h"
#include "kernel/base/print.h"

enum { MSR_APIC_BASE = 0x1b, MSR_TSC_DEADLINE = 0x6e0 };
enum { APIC_BASE_X2 = 1 << 10, APIC_BASE_ON = 1 << 11 };
enum { LAPIC_ICR = 0x300, LAPIC_ICR_TO = 0x310, ICR_PENDING = 1 << 12, ICR_TRIES = 1000000 };
enum { LAPIC_ID = 0x20, LAPIC_TPR = 0x80, LAPIC_EOI = 0xb0, LAPIC_SPURIOUS = 0xf0, LAPIC_TIMER = 0x320,
       LAPIC_LINT0 = 0x350, LAPIC_LINT1 = 0x360, LAPIC_ERROR = 0x370, LAPIC_COUNT = 0x380, LAPIC_LEFT = 0x390,
       LAPIC_DIVIDE = 0x3e0 };
enum { LVT_NMI = 4 << 8, LVT_EXTINT = 7 << 8, LVT_MASKED = 1 << 16, LVT_DEADLINE = 2 << 17, DIVIDE_BY_16 = 3 };
enum { PIC1 = 0x20, PIC2 = 0xa0 };

#define NR_LINES 16
#define NR_MESSAGES 8		/* interrupts by message; their vectors follow the lines' */
#define MESSAGE_BASE 0xfee00000UL

static volatile u8 *lapic;
static struct { void (*fn)(void *arg); void *arg; } handlers[NR_LINES + NR_MESSAGES];	/* set at boot */

static u32 lapic_read(u32 reg)
{
	return *(volatile u32 *)(lapic + reg);
}

static void lapic_write(u32 reg, u32 v)
{
	*(volatile u32 *)(lapic + reg) = v;
}

static u32 ioapic_access(unsigned i, u32 reg, const u32 *value)
{
	volatile u32 *base = (volatile u32 *)(DIRECT_BASE + platform.ioapic[i].pa);

	base[0] = reg;
	if (value)
		base[4] = *value;
	return base[4];
}

static void ioapic_write(unsigned i, u32 reg, u32 value)
{
	ioapic_access(i, reg, &value);
}

/* Puts the 8259 pair at IRQ_BASE, all masked; AUTO_EOI when it is to serve. */
static void pic_init(bool auto_eoi)
{
	u8 mode = auto_eoi ? 3 : 1;

	outb(PIC1, 0x11);
	outb(PIC2, 0x11);
	outb(PIC1 + 1, IRQ_BASE);
	outb(PIC2 + 1, IRQ_BASE + 8);
	outb(PIC1 + 1, 1 << 2);		/* the second is on line 2 */
	outb(PIC2 + 1, 2);
	outb(PIC1 + 1, mode);
	outb(PIC2 + 1, mode);
	outb(PIC1 + 1, auto_eoi ? 0xff & ~(1 << 2) : 0xff);
	outb(PIC2 + 1, 0xff);
}

static void ioapics_init(void)
{
	for (unsigned i = 0; i < platform.nr_ioapics; i++) {
		u32 lines = (ioapic_access(i, 1, NULL) >> 16 & 0xff) + 1;

		for (u32 n = 0; n < lines; n++)
			ioapic_write(i, 0x10 + 2 * n, LVT_MASKED);
	}
}

/* The local APIC of the running CPU. */
static void lapic_init(u32 lint0)
{
	u64 base = rdmsr(MSR_APIC_BASE);

	if (base & APIC_BASE_X2)	/* back to the registers in memory, by way of off */
		wrmsr(MSR_APIC_BASE, base & ~(u64)(APIC_BASE_X2 | APIC_BASE_ON));
	wrmsr(MSR_APIC_BASE, (base & 0xfff & ~(u64)APIC_BASE_X2) | APIC_BASE_ON | platform.lapic);
	lapic_write(LAPIC_SPURIOUS, 0x100 | IRQ_SPURIOUS);
	lapic_write(LAPIC_TPR, 0);
	lapic_write(LAPIC_ERROR, LVT_MASKED);
	lapic_write(LAPIC_LINT0, lint0);
	lapic_write(LAPIC_LINT1, LVT_NMI);
	lapic_write(LAPIC_DIVIDE, DIVIDE_BY_16);
	lapic_write(LAPIC_COUNT, 0);
	lapic_write(LAPIC_TIMER, IRQ_TIMER | (cpu_features.tsc_deadline ? LVT_DEADLINE : 0));
	lapic_write(LAPIC_EOI, 0);
}

void apic_init_cpu(void)
{
	lapic_init(LVT_MASKED);		/* legacy interrupts are the boot CPU's, at every moment: they would be taken from it */
}

u8 apic_own_id(void)
{
	return (u8)(lapic_read(LAPIC_ID) >> 24);
}

/* Called with interrupts off, so nobody comes between the two halves of the command. */
void apic_send(u8 apic_id, u32 command)
{
	for (int i = 0; lapic_read(LAPIC_ICR) & ICR_PENDING && i < ICR_TRIES; i++)
		cpu_pause();
	lapic_write(LAPIC_ICR_TO, (u32)apic_id << 24);
	lapic_write(LAPIC_ICR, command);
}

const char *apic_init(void)
{
	u32 r[4];

	cpuid(1, 0, r);
	if (!(r[3] >> 9 & 1))
		return "the CPU has no local APIC";
	lapic = (volatile u8 *)(DIRECT_BASE + platform.lapic);
	pic_init(!platform.madt);
	ioapics_init();
	lapic_init(platform.madt ? LVT_MASKED : LVT_EXTINT);
	return NULL;
}

/* Routes LINE to this CPU and lets it through. */
static void unmask(unsigned line)
{
	u32 gsi = platform.line[line].gsi;

	if (!platform.madt) {
		u16 port = line < 8 ? PIC1 + 1 : PIC2 + 1;

		outb(port, inb(port) & ~(1 << (line & 7)));
		return;
	}
	for (unsigned i = 0; i < platform.nr_ioapics; i++) {
		u32 base = platform.ioapic[i].gsi_base, lines = (ioapic_access(i, 1, NULL) >> 16 & 0xff) + 1;

		if (gsi < base || gsi - base >= lines)
			continue;
		ioapic_write(i, 0x11 + 2 * (gsi - base), lapic_read(LAPIC_ID) & 0xff000000);
		ioapic_write(i, 0x10 + 2 * (gsi - base), (IRQ_BASE + line) | (platform.line[line].low ? 1 << 13 : 0) |
							 (platform.line[line].level ? 1 << 15 : 0));
	}
}

void irq_attach(unsigned line, void (*fn)(void *arg), void *arg)
{
	handlers[line].fn = fn;
	handlers[line].arg = arg;
	unmask(line);
}

bool irq_attach_message(struct message *m, void (*fn)(void *arg), void *arg)
{
	unsigned n = NR_LINES;

	while (n < ARRAY_SIZE(handlers) && handlers[n].fn)
		n++;
	if (n == ARRAY_SIZE(handlers))
		return false;
	handlers[n].fn = fn;
	handlers[n].arg = arg;
	m->address = MESSAGE_BASE | (u64)apic_own_id() << 12;
	m->data = IRQ_BASE + n;
	return true;
}

void arch_interrupt(struct trapframe *f __unused, unsigned vector)
{
	unsigned line = vector - IRQ_BASE;

	irq_ack();
	if (line < ARRAY_SIZE(handlers) && handlers[line].fn)
		handlers[line].fn(handlers[line].arg);
	else if (vector >= IRQ_IPI_RESCHED && vector <= IRQ_IPI_FREEZE)
		arch_ipi(vector);
	else
		printk(LOG_WARN, "unexpected interrupt, vector %u", vector);
}

void irq_ack(void)
{
	lapic_write(LAPIC_EOI, 0);
}

void apic_timer_begin(void)
{
	lapic_write(LAPIC_TIMER, LVT_MASKED | IRQ_TIMER);
	lapic_write(LAPIC_COUNT, ~0U);
}

u32 apic_timer_end(void)
{
	u32 left = lapic_read(LAPIC_LEFT);

	lapic_write(LAPIC_COUNT, 0);
	lapic_write(LAPIC_TIMER, IRQ_TIMER | (cpu_features.tsc_deadline ? LVT_DEADLINE : 0));
	return ~0U - left;
}

void apic_timer_start(u32 ticks)
{
	lapic_write(LAPIC_COUNT, ticks);
}

void apic_timer_deadline(u64 tsc)
{
	wrmsr(MSR_TSC_DEADLINE, tsc);
}
