/* SPDX-License-Identifier: MIT */
/*
 * Owns: reading the ACPI tables, of which only the MADT matters: CPUs, I/O interrupt controllers, and
 * where the legacy lines arrive. Runs on the early tables, which reach the first 4 GiB; what lies
 * beyond, or whose checksum is wrong, is as if it were not there, and the legacy 8259 serves. What a sound
 * table says wrongly is left out, one line each.
 */
#include "arch/platform.h"
#include "boot/boot.h"
#include "kernel/base/print.h"
#include "kernel/base/string.h"

enum { APIC_ID_ALL = 255, MAX_GSI = 4096 };

struct platform platform;

struct rsdp {
	char sign[8];
	u8 sum;
	char oem[6];
	u8 revision;
	u32 rsdt, length;
	u64 xsdt;
	u32 more;
} __attribute__((packed));
struct acpi_table { char sign[4]; u32 length; u8 revision, sum; char oem[26]; } __attribute__((packed));
struct madt { struct acpi_table head; u32 lapic, flags; u8 entries[]; } __attribute__((packed));
struct madt_entry {
	u8 type, length;
	union {
		struct { u8 processor, apic_id; u32 flags; } __attribute__((packed)) cpu;	/* 0 */
		struct { u8 id, reserved; u32 pa, gsi_base; } __attribute__((packed)) ioapic;	/* 1 */
		struct { u8 bus, line; u32 gsi; u16 flags; } __attribute__((packed)) override;	/* 2 */
		struct { u16 reserved; u64 pa; } __attribute__((packed)) lapic;			/* 5 */
		struct { u16 reserved; u32 id, flags, processor; } __attribute__((packed)) x2apic;	/* 9 */
	};
} __attribute__((packed));

static bool sum_ok(const void *p, u64 n)
{
	u8 sum = 0;

	for (u64 i = 0; i < n; i++)
		sum += ((const u8 *)p)[i];
	return !sum;
}

static const struct acpi_table *table_at(paddr_t pa)
{
	const struct acpi_table *t = (const void *)(DIRECT_BASE + pa);

	if (!pa || pa > GiB(4) - sizeof(*t) || t->length < sizeof(*t) || t->length > MIN(GiB(4) - pa, MiB(1)))
		return NULL;
	return sum_ok(t, t->length) ? t : NULL;
}

static const struct rsdp *rsdp_at(paddr_t pa)
{
	const struct rsdp *r = (const void *)(DIRECT_BASE + pa);

	if (!pa || pa > GiB(4) - sizeof(*r) || memcmp(r->sign, "RSD PTR ", 8) || !sum_ok(r, 20))
		return NULL;
	return r;
}

/* Where the loader says, else where the BIOS puts it: the extended BIOS data area, or below 1 MiB. */
static const struct rsdp *find_rsdp(void)
{
	paddr_t ebda = (paddr_t)*(const volatile u16 *)(DIRECT_BASE + 0x40e) << 4;
	const struct rsdp *r = rsdp_at(boot_info.rsdp);

	for (paddr_t pa = ebda; !r && ebda && pa < MIN(ebda + KiB(1), MiB(1)); pa += 16)
		r = rsdp_at(pa);
	for (paddr_t pa = 0xe0000; !r && pa < MiB(1); pa += 16)
		r = rsdp_at(pa);
	return r;
}

static const struct madt *find_madt(void)
{
	const struct rsdp *r = find_rsdp();
	const struct acpi_table *root, *t;
	unsigned width = 4;

	if (!r)
		return NULL;
	root = table_at(r->rsdt);
	if (r->revision >= 2 && r->xsdt && table_at(r->xsdt)) {
		root = table_at(r->xsdt);
		width = 8;
	}
	for (u64 at = sizeof(*root); root && at + width <= root->length; at += width) {
		paddr_t pa = 0;

		memcpy(&pa, (const u8 *)root + at, width);
		t = table_at(pa);
		if (t && !memcmp(t->sign, "APIC", 4) && t->length >= sizeof(struct madt))
			return (const struct madt *)t;
	}
	return NULL;
}

static void take_cpu(u32 apic_id)
{
	for (unsigned i = 0; i < platform.nr_cpus; i++)
		if (platform.apic_id[i] == apic_id)
			return;		/* named twice, by both kinds of entry maybe */
	if (apic_id < APIC_ID_ALL && platform.nr_cpus < ARRAY_SIZE(platform.apic_id))
		platform.apic_id[platform.nr_cpus++] = (u8)apic_id;
	else
		platform.nr_beyond++;
}

/* May registers be at PA? Not in memory: that would be written to. */
static bool device_at(paddr_t pa, const char *what)
{
	bool good = pa >= MiB(1) && pa < 1UL << 46;

	for (unsigned i = 0; i < boot_info.nr_ram; i++)
		good &= pa < boot_info.ram[i].start || pa >= boot_info.ram[i].end;
	if (!good)
		printk(LOG_WARN, "ACPI MADT: %s at %#lx cannot be: left out", what, pa);
	return good;
}

static void take_lapic(paddr_t pa)
{
	if (!(pa & ~PAGE_MASK) && device_at(pa, "a local APIC"))
		platform.lapic = pa;
}

static void take_override(const struct madt_entry *e)
{
	if (e->override.line >= ARRAY_SIZE(platform.line) || e->override.gsi >= MAX_GSI) {
		printk(LOG_WARN, "ACPI MADT: line %u cannot arrive as interrupt %u: left as it is", e->override.line,
		       e->override.gsi);
		return;
	}
	platform.line[e->override.line].gsi = e->override.gsi;
	platform.line[e->override.line].low = (e->override.flags & 3) == 3;
	platform.line[e->override.line].level = (e->override.flags >> 2 & 3) == 3;
}

static void take_entry(const struct madt_entry *e)
{
	if (e->type == 0 && e->length >= 8 && e->cpu.flags & 1) {
		take_cpu(e->cpu.apic_id);
	} else if (e->type == 9 && e->length >= 16 && e->x2apic.flags & 1) {
		take_cpu(e->x2apic.id);
	} else if (e->type == 1 && e->length >= 12 && platform.nr_ioapics < MAX_IOAPICS) {
		if (!device_at(e->ioapic.pa, "an I/O APIC"))
			return;
		platform.ioapic[platform.nr_ioapics].pa = e->ioapic.pa;
		platform.ioapic[platform.nr_ioapics++].gsi_base = e->ioapic.gsi_base;
	} else if (e->type == 2 && e->length >= 10) {
		take_override(e);
	} else if (e->type == 5 && e->length >= 12) {
		take_lapic(e->lapic.pa);
	}
}

void boot_read_acpi(void)
{
	const struct madt *m = find_madt();

	platform.lapic = 0xfee00000;
	for (unsigned i = 0; i < ARRAY_SIZE(platform.line); i++)
		platform.line[i].gsi = i;
	if (m) {
		take_lapic(m->lapic);
		for (u64 at = sizeof(*m); at + 2 <= m->head.length;) {
			const struct madt_entry *e = (const void *)((const u8 *)m + at);

			if (e->length < 2 || at + e->length > m->head.length) {
				printk(LOG_WARN, "ACPI MADT: malformed at byte %lu: the rest is left out", at);
				break;
			}
			take_entry(e);
			at += e->length;
		}
	}
	platform.madt = platform.nr_ioapics != 0;
	if (platform.nr_beyond)
		printk(LOG_WARN, "ACPI MADT: %u CPUs beyond the limit of %zu are left out", platform.nr_beyond,
		       ARRAY_SIZE(platform.apic_id));
	if (!platform.madt)
		printk(LOG_WARN, "no usable ACPI MADT: interrupts by the legacy 8259%s", platform.nr_cpus ? "" : ", one CPU");
}
