/* SPDX-License-Identifier: MIT */
/*
 * Owns: time: nanoseconds from the TSC, the timer of this CPU's local APIC (by TSC deadline where there
 * is one), the date from the real-time clock. Both rates are measured against the 8254 at boot; a
 * rate near a round one is taken to be that, so that a counted run (-icount: 1 GHz) is exact.
 * Constant after clock_init.
 */
#include "arch/cpu.h"
#include "arch/platform.h"
#include "kernel/base/print.h"

enum { PIT_HZ = 1193182, PIT_COMMAND = 0x43, PIT_CHANNEL2 = 0x42, PIT_GATE = 0x61, CMOS = 0x70 };
enum { PIT_TICKS = PIT_HZ / 500, MOST_MEASURES = 25 };
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

/* What TSC and APIC timer count in PIT_TICKS of the 8254, and by how much that may be wrong: a host may take
 * the CPU away at any instruction. */
struct measure {
	u64 tsc, apic, error;
};

static struct measure measure(void)
{
	u8 gate = inb(PIT_GATE) & ~3;
	u64 start, started, running, over, apic, polls = 0;

	outb(PIT_GATE, gate | 1);
	outb(PIT_COMMAND, 0xb0);	/* channel 2, low byte then high, stop at zero */
	outb(PIT_CHANNEL2, PIT_TICKS & 0xff);
	start = rdtsc();
	outb(PIT_CHANNEL2, PIT_TICKS >> 8);
	apic_timer_begin();
	running = started = rdtsc();
	while (!(inb(PIT_GATE) & 0x20) && ++polls < 1000000) {
		for (u64 i = 0; i < 100; i++)	/* ports are slow where instructions are counted */
			barrier();
		running = rdtsc();
	}
	apic = apic_timer_end();
	over = rdtsc();
	outb(PIT_GATE, gate);
	if (!polls || polls == 1000000)
		return (struct measure){ .error = ~0UL };	/* it does not run */
	return (struct measure){ .tsc = (running + over - start - started) / 2, .apic = apic,
				 .error = over - running + started - start };
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

void clock_init(void)
{
	struct measure best = { .error = ~0UL };
	u64 apic_khz;

	tsc_start = rdtsc();
	for (int i = 0; i < MOST_MEASURES && best.error > best.tsc / 1000; i++) {
		struct measure m = measure();

		if (m.error < best.error)
			best = m;
	}
	if (!best.apic || !best.tsc) {
		printk(LOG_WARN, "no 8254 to measure by: clock taken as 1 GHz, timer as 62.5 MHz");
		best.tsc = 1000000000UL * PIT_TICKS / PIT_HZ;
		best.apic = 62500000UL * PIT_TICKS / PIT_HZ;
	}
	tsc_khz = round_rate(best.tsc * PIT_HZ / PIT_TICKS / 1000, 100000);
	apic_khz = round_rate(best.apic * PIT_HZ / PIT_TICKS / 1000, 12500);
	ns_per_tsc = (1000000UL << 32) / tsc_khz;
	tsc_per_ns = (tsc_khz << 32) / 1000000;
	timer_per_ns = (apic_khz << 32) / 1000000;
	boot_epoch = read_date() - clock_ns() / 1000000000;
}
