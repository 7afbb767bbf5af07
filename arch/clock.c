/* SPDX-License-Identifier: MIT */
/*
 * Owns: time: nanoseconds from the TSC, the timer of this CPU's local APIC (by TSC deadline where there
 * is one), the date from the real-time clock. Both rates are measured against the 8254 at boot, or the
 * CPU knows that of its TSC; a rate near a round one is taken to be that, so that a counted run
 * (-icount: 1 GHz) is exact. Constant after clock_init.
 */
#include "arch/cpu.h"
#include "arch/platform.h"
#include "kernel/base/print.h"

enum { PIT_HZ = 1193182, PIT_COMMAND = 0x43, PIT_CHANNEL2 = 0x42, PIT_GATE = 0x61, CMOS = 0x70 };
enum { PIT_TICKS = PIT_HZ / 5000, LONGEST = 5, MOST_MEASURES = 16 };
#define FAR_NS (1UL << 35)

static u64 tsc_start, tsc_khz;
static u64 ns_per_tsc;		/* times 2^32 */
static u64 timer_per_ns;	/* APIC timer ticks, times 2^32 */
static u64 tsc_per_ns;		/* times 2^32 */
static u64 boot_epoch;

static u64 scale(u64 v, u64 factor)
{
	return (u64)((unsigned __int128)v * factor >> 32);
}

u64 clock_ns(void)
{
	return scale(rdtsc() - tsc_start, ns_per_tsc);
}

u64 clock_tsc_khz(void)
{
	return tsc_khz;
}

u64 clock_boot_epoch(void)
{
	return boot_epoch;
}

/* A deadline beyond FAR comes early: whoever waits looks at the clock. */
void timer_arm(u64 deadline_ns)
{
	bool never = deadline_ns == ~0UL;
	u64 now = clock_ns(), wait = deadline_ns <= now ? 0 : MIN(deadline_ns - now, FAR_NS);

	if (cpu_features.tsc_deadline)
		apic_timer_deadline(never ? 0 : tsc_start + scale(now + wait, tsc_per_ns) + 1);
	else
		apic_timer_start(never ? 0 : (u32)MIN(scale(wait, timer_per_ns) + 1, 0xffffffffUL));
}

/* A host may take the CPU away at any instruction. So a measure gives no rate but bounds that hold whatever
 * happened; what all measures allow is soon narrow. */
struct range {
	u64 low, high;
};

static void narrow(struct range *r, u64 low, u64 high)
{
	if (low > r->high || high < r->low)	/* cannot be: the rate has changed */
		*r = (struct range){ low, high };
	else
		*r = (struct range){ MAX(r->low, low), MIN(r->high, high) };
}

static bool exact(const struct range *r)
{
	return r->high - r->low <= r->high / 1000;
}

/* Narrows KHZ, the rate of the TSC, and APIC, 2^32 times the timer's ticks for each of the TSC's, by TICKS of
 * the 8254; false when that does not run. */
static bool measure(u64 ticks, struct range *khz, struct range *apic)
{
	u8 gate = inb(PIT_GATE) & ~3;
	u64 start, started, begun, running, now, end, over, counted, polls = 0;
	bool zero = false;

	outb(PIT_GATE, gate | 1);
	outb(PIT_COMMAND, 0xb0);	/* channel 2, low byte then high, stop at zero */
	outb(PIT_CHANNEL2, ticks & 0xff);
	start = rdtsc();
	outb(PIT_CHANNEL2, ticks >> 8);
	running = started = rdtsc();
	apic_timer_begin();
	begun = rdtsc();
	while (!zero && polls++ < 1000000) {
		for (u64 i = 0; i < 20; i++)	/* ports are slow where instructions are counted */
			barrier();
		now = rdtsc();
		zero = inb(PIT_GATE) & 0x20;
		if (!zero)
			running = now;
	}
	end = rdtsc();
	counted = apic_timer_end();
	over = rdtsc();
	outb(PIT_GATE, gate);
	narrow(khz, (running - started) * PIT_HZ / ticks / 1000, (end - start) * PIT_HZ / ticks / 1000 + 1);
	narrow(apic, (counted << 32) / (over - started), ((counted + 1) << 32) / (end - begun));
	return zero;
}

/* A rate within 0.2 % of a multiple of UNIT is that. */
static u64 round_rate(u64 khz, u64 unit)
{
	u64 near = (khz + unit / 2) / unit * unit, off = near > khz ? near - khz : khz - near;

	return near && off * 500 <= near ? near : khz;
}

static u8 cmos(u8 reg)
{
	outb(CMOS, reg);
	return inb(CMOS + 1);
}

static u64 days_since_1970(u64 y, u64 m, u64 d)
{
	/* Years from March on, so that the leap day comes last. */
	y -= m <= 2;
	m = m > 2 ? m - 3 : m + 9;
	return 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + d - 1 - 719468;
}

static u64 read_date(void)
{
	static const u8 regs[] = { 0, 2, 4, 7, 8, 9 };	/* second minute hour day month year */
	u8 v[6], again[6] = { 0 }, mode;

	/* Read until the same twice: not during an update. */
	for (int tries = 0; tries < 1000; tries++) {
		bool same = true;

		for (unsigned i = 0; i < 6; i++) {
			v[i] = cmos(regs[i]);
			same &= v[i] == again[i];
			again[i] = v[i];
		}
		if (same && !(cmos(10) & 0x80))
			break;
	}
	mode = cmos(11);
	for (unsigned i = 0; i < 6 && !(mode & 4); i++) {
		u8 high = i == 2 ? v[i] & 0x70 : v[i] & 0xf0;

		v[i] = (v[i] & (i == 2 ? 0x80 : 0)) | (u8)((high >> 4) * 10 + (v[i] & 15));
	}
	if (!(mode & 2))	/* 12 hours, the top bit is for the afternoon */
		v[2] = (u8)((v[2] & 0x7f) % 12 + (v[2] & 0x80 ? 12 : 0));
	if (!v[3] || v[3] > 31 || !v[4] || v[4] > 12 || v[5] > 99)
		return 0;
	return days_since_1970(2000UL + v[5], v[4], v[3]) * 86400 + v[2] * 3600UL + v[1] * 60UL + v[0];
}

/* The TSC's rate as the CPU says it, 0 when it does not. */
static u64 known_khz(void)
{
	u32 r[4], mhz[4] = { 0 };

	cpuid(0, 0, r);
	if (r[0] < 0x15)
		return 0;
	if (r[0] >= 0x16)
		cpuid(0x16, 0, mhz);
	cpuid(0x15, 0, r);
	if (!r[0] || !r[1])
		return 0;
	return r[2] ? (u64)r[2] * r[1] / r[0] / 1000 : (mhz[0] & 0xffff) * 1000UL;
}

void clock_init(void)
{
	struct range khz = { 0, ~0UL }, apic = khz;
	u64 known = known_khz(), apic_khz;
	bool runs = true;

	tsc_start = rdtsc();
	for (int i = 0; runs && i < MOST_MEASURES && !(exact(&khz) && exact(&apic)); i++)
		runs = measure(PIT_TICKS << MIN(i, LONGEST), &khz, &apic);
	if (!runs || !khz.low || !apic.low) {
		printk(LOG_WARN, "no 8254 to measure by: clock taken as 1 GHz, timer as 62.5 MHz");
		khz = (struct range){ 1000000, 1000000 };
		apic = (struct range){ (1UL << 32) / 16, (1UL << 32) / 16 };
	}
	/* What the CPU says holds, unless the clock that all else goes by contradicts it. */
	if (known >= khz.low - khz.low / 100 && known <= khz.high + khz.high / 100)
		tsc_khz = known;
	else
		tsc_khz = round_rate((khz.low + khz.high) / 2, 100000);
	apic_khz = round_rate(scale(tsc_khz, (apic.low + apic.high) / 2), 12500);
	ns_per_tsc = (1000000UL << 32) / tsc_khz;
	tsc_per_ns = (tsc_khz << 32) / 1000000;
	timer_per_ns = (apic_khz << 32) / 1000000;
	boot_epoch = read_date() - clock_ns() / 1000000000;
}
