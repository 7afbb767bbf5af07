/* SPDX-License-Identifier: MIT */
/*
 * Tests of boot/acpi.c: the firmware's tables, sound and broken. Physical memory is an array here. The tables
 * that are built have right checksums wherever that is not what is broken, so that the parser gets
 * as far as it can be led. Nothing outside the array may be touched (ASan), and what is found must
 * be fit to be used: addresses that are no memory, CPUs that differ.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include "fake.h"
#include <cmocka.h>
#include "arch/layout.h"

static char *physical;
#undef DIRECT_BASE
#define DIRECT_BASE ((uintptr_t)physical)
#include "boot/acpi.c"

struct boot_info boot_info;

#define RSDP_PA 0xe1000UL
#define RSDT_PA 0x100000UL
#define XSDT_PA 0x101000UL
#define MADT_PA 0x102000UL
#define MEMORY MiB(2)			/* of the array's 4 GiB, as much holds tables; the rest is never stored to */

static u8 *entry_at;			/* where the next entry of the MADT goes */

static void seal(void *table, u64 length, u8 *sum)
{
	u8 s = 0;

	*sum = 0;
	for (u64 i = 0; i < length; i++)
		s += ((u8 *)table)[i];
	*sum = -s;
}

static struct acpi_table *table(paddr_t pa, const char *sign, u32 length)
{
	struct acpi_table *t = (void *)(physical + pa);

	memcpy(t->sign, sign, 4);
	t->length = length;
	seal(t, MIN(length, (u32)(MEMORY - pa)), &t->sum);
	return t;
}

static void point(paddr_t root, u64 pa, size_t width)
{
	memcpy(physical + root + sizeof(struct acpi_table), &pa, width);
}

static void add(u8 type, u8 length, const void *rest)
{
	entry_at[0] = type;
	entry_at[1] = length;
	memcpy(entry_at + 2, rest, length - 2);
	entry_at += length;
}

static void add_cpu(u8 apic_id, u32 flags)
{
	u8 rest[6] = { apic_id, apic_id };

	memcpy(rest + 2, &flags, 4);
	add(0, 8, rest);
}

static void add_ioapic(u32 pa)
{
	u8 rest[10] = { 0 };

	memcpy(rest + 2, &pa, 4);
	add(1, 12, rest);
}

/* Root pointer, RSDT, XSDT and a MADT without entries; seal_all() when entries have been added. */
static void begin(void)
{
	struct rsdp *r = (void *)(physical + RSDP_PA);

	memset(physical, 0, MEMORY);
	memset(&platform, 0, sizeof(platform));
	memcpy(r->sign, "RSD PTR ", 8);
	r->revision = 2;
	r->rsdt = RSDT_PA;
	r->xsdt = XSDT_PA;
	((struct madt *)(physical + MADT_PA))->lapic = 0xfee00000;
	entry_at = ((struct madt *)(physical + MADT_PA))->entries;
	boot_info = (struct boot_info){ .ram = { { MiB(1), MiB(512) } }, .nr_ram = 1 };
}

static void seal_all(void)
{
	struct rsdp *r = (void *)(physical + RSDP_PA);

	point(RSDT_PA, MADT_PA, 4);
	point(XSDT_PA, MADT_PA, 8);
	table(RSDT_PA, "RSDT", sizeof(struct acpi_table) + 4);
	table(XSDT_PA, "XSDT", sizeof(struct acpi_table) + 8);
	table(MADT_PA, "APIC", (u32)(entry_at - (u8 *)physical - MADT_PA));
	seal(r, 20, &r->sum);
}

static void sound(void **state)
{
	(void)state;
	for (int old = 0; old < 2; old++) {
		begin();
		((struct rsdp *)(physical + RSDP_PA))->revision = old ? 0 : 2;
		add_cpu(3, 1);
		add_cpu(0, 1);
		add_cpu(7, 0);				/* not enabled */
		add_cpu(3, 1);				/* again */
		add(9, 16, (u8[14]){ 0, 0, 9, 0, 0, 0, 1 });
		add(9, 16, (u8[14]){ 0, 0, 0, 1, 0, 0, 1 });	/* 256: beyond */
		add_ioapic(0xfec00000);
		add(2, 10, (u8[8]){ 0, 9, 20, 0, 0, 0, 15 });	/* line 9: level, low */
		add(5, 12, (u8[10]){ 0, 0, 0, 0, 0xe0, 0xfe });
		add(77, 3, (u8[1]){ 1 });
		seal_all();
		boot_read_acpi();
		assert_true(platform.madt);
		assert_int_equal(platform.nr_cpus, 3);
		assert_memory_equal(platform.apic_id, ((u8[]){ 3, 0, 9 }), 3);
		assert_int_equal(platform.nr_beyond, 1);
		assert_int_equal(platform.ioapic[0].pa, 0xfec00000);
		assert_int_equal(platform.lapic, 0xfee00000);
		assert_int_equal(platform.line[9].gsi, 20);
		assert_true(platform.line[9].level && platform.line[9].low && !platform.line[8].low);
		assert_int_equal(platform.line[8].gsi, 8);
	}
}

static void many_cpus(void **state)
{
	(void)state;
	begin();
	for (unsigned i = 0; i < 256; i++)
		add_cpu((u8)i, 1);
	seal_all();
	boot_read_acpi();
	assert_int_equal(platform.nr_cpus, MAX_CPUS);
	assert_int_equal(platform.nr_beyond, 256 - MAX_CPUS);
	for (unsigned i = 0; i < MAX_CPUS; i++)
		assert_int_equal(platform.apic_id[i], i);
}

/* Each breaks a sound set of tables; the machine is then one without a MADT. */
static void break_it(unsigned how)
{
	struct rsdp *r = (void *)(physical + RSDP_PA);
	struct acpi_table *madt = (void *)(physical + MADT_PA);

	switch (how) {
	case 0: r->sign[0] = 'X'; break;
	case 1: r->sum++; break;
	case 2: r->revision = 0, r->rsdt = 0, seal(r, 20, &r->sum); break;
	case 3: r->rsdt = 0xfffffff0, r->xsdt = ~0UL, seal(r, 20, &r->sum); break;
	case 4: madt->sum++; break;
	case 5: madt->length = 8; break;
	case 6: table(MADT_PA, "APIC", sizeof(struct madt) - 1); break;
	case 7: madt->length = ~0U; break;
	case 8: madt->sign[3] = 'X', seal(madt, madt->length, &madt->sum); break;
	case 9: point(XSDT_PA, ~0UL, 8), table(XSDT_PA, "XSDT", 44); break;
	case 10: table(XSDT_PA, "XSDT", 37); break;		/* less than one pointer */
	default: point(XSDT_PA, 0, 8), table(XSDT_PA, "XSDT", 44);
	}
}

static void broken(void **state)
{
	(void)state;
	for (unsigned how = 0; how < 12; how++) {
		begin();
		add_cpu(0, 1);
		add_cpu(1, 1);
		add_ioapic(0xfec00000);
		seal_all();
		break_it(how);
		boot_read_acpi();
		if (platform.madt || platform.nr_cpus)
			fail_msg("broken in way %u: %u CPUs", how, platform.nr_cpus);
		assert_int_equal(platform.lapic, 0xfee00000);
	}
}

static void wrong_places(void **state)
{
	static const u8 places[][10] = {
		{ 0 }, { 0, 0, 0, 0, 0x10 }, { 0, 0, 1, 0, 0xe0, 0xfe }, { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff },
	};

	(void)state;
	begin();
	add_ioapic(0);
	add_ioapic(0x200000);			/* in memory */
	for (unsigned i = 0; i < ARRAY_SIZE(places); i++)
		add(5, 12, places[i]);
	add(2, 10, (u8[8]){ 0, 4, 0, 0, 0, 0x80 });
	add(2, 10, (u8[8]){ 0, 200, 1 });
	seal_all();
	boot_read_acpi();
	assert_false(platform.madt);
	assert_int_equal(platform.lapic, 0xfee00000);
	assert_int_equal(platform.line[4].gsi, 4);
}

static void cut_off(void **state)
{
	(void)state;
	for (u8 length = 0; length < 20; length++) {	/* of the last entry, of which 5 bytes are there */
		begin();
		add_cpu(5, 1);
		add_ioapic(0xfec00000);
		add(0, 5, (u8[3]){ 6, 6, 1 });
		entry_at[-4] = length;
		seal_all();
		boot_read_acpi();
		assert_int_equal(platform.nr_cpus, 1);
		assert_true(platform.madt);
	}
}

/* Random entries, and random bytes anywhere in the tables, the sums put right again. */
static void random_tables(void **state)
{
	u64 seed = 1;

	(void)state;
	for (unsigned round = 0; round < 20000; round++) {
		begin();
		for (u64 n = fake_random(&seed) % 40; n; n--) {
			u64 r[3] = { fake_random(&seed), fake_random(&seed), fake_random(&seed) };

			add(fake_random(&seed) % 11, 2 + fake_random(&seed) % 16, r);
		}
		seal_all();
		for (u64 n = fake_random(&seed) % 8; n; n--) {
			static const paddr_t where[] = { RSDP_PA, RSDT_PA, XSDT_PA, MADT_PA };
			u64 i = fake_random(&seed) % 4;

			physical[where[i] + fake_random(&seed) % 64] = (char)fake_random(&seed);
		}
		if (fake_random(&seed) % 4) {
			for (paddr_t pa = RSDT_PA; pa <= MADT_PA; pa += 0x1000) {
				struct acpi_table *t = (void *)(physical + pa);

				if (t->length <= MEMORY - pa)
					seal(t, t->length, &t->sum);
			}
			seal(physical + RSDP_PA, 20, &((struct rsdp *)(physical + RSDP_PA))->sum);
		}
		boot_read_acpi();
		assert_true(platform.nr_cpus <= MAX_CPUS && platform.nr_ioapics <= MAX_IOAPICS);
		assert_false(platform.lapic & ~PAGE_MASK);
		assert_true(platform.lapic >= MiB(512));
		for (unsigned i = 0; i < platform.nr_ioapics; i++)
			assert_true(platform.ioapic[i].pa >= MiB(512));
		for (unsigned i = 0; i < platform.nr_cpus; i++)
			for (unsigned k = 0; k < i; k++)
				assert_int_not_equal(platform.apic_id[i], platform.apic_id[k]);
		for (unsigned i = 0; i < ARRAY_SIZE(platform.line); i++)
			assert_true(platform.line[i].gsi < MAX_GSI);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sound), cmocka_unit_test(many_cpus), cmocka_unit_test(broken),
		cmocka_unit_test(wrong_places), cmocka_unit_test(cut_off), cmocka_unit_test(random_tables),
	};

	physical = mmap(NULL, GiB(4), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (physical == MAP_FAILED)
		return 77;
	if (!getenv("QUIRE_VERBOSE") && !freopen("/dev/null", "w", stderr))
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
