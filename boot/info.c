/* SPDX-License-Identifier: MIT */
/*
 * Owns: reading what a loader says: PVH's start_info or multiboot2's list of tags. Nothing there is
 * believed further than it can be checked; all of it lies below 4 GiB, where the early tables reach.
 * What is kept is copied to boot_info, so that the loader's memory is free afterwards.
 */
#include "boot/boot.h"
#include "kernel/base/print.h"
#include "kernel/base/string.h"

#define PVH_MAGIC 0x336ec578
#define MULTIBOOT2_MAGIC 0x36d76289
#define MOST_ENTRIES 512U

struct pvh_info {
	u32 magic, version, flags, nr_modules;
	u64 modules, cmdline, rsdp, map;
	u32 nr_map, reserved;
};
struct pvh_module { u64 start, size, cmdline, reserved; };
struct pvh_range { u64 start, size; u32 type, reserved; };

struct mb2_tag { u32 type, size; u8 data[]; };
struct mb2_module { u32 type, size, start, end; };
struct mb2_range { u64 start, size; u32 type, reserved; };
struct mb2_map { u32 type, size, entry_size, version; u8 entries[]; };
enum { MB2_END = 0, MB2_CMDLINE = 1, MB2_MODULE = 3, MB2_MAP = 6, MB2_ACPI_OLD = 14, MB2_ACPI_NEW = 15 };
enum { RANGE_RAM = 1 };

/* N bytes at PA, or NULL if they are not all within the early tables' reach. */
static const void *early(paddr_t pa, u64 n)
{
	return pa && pa < GiB(4) && n <= GiB(4) - pa ? (const void *)(DIRECT_BASE + pa) : NULL;
}

static void take_range(u64 start, u64 size, u32 type, bool ram)
{
	u64 end = start + size;

	if (end < start || end > KVA_BASE - DIRECT_BASE)
		end = KVA_BASE - DIRECT_BASE;
	if ((type == RANGE_RAM) != ram || start >= end)
		return;
	if (!(ram ? ram_add(start, end) : ram_remove(start, end)))
		printk(LOG_WARN, "memory map too long: part of 0x%lx-0x%lx left out", start, end);
}

/* The first module is the file system; those that follow it without a gap belong to it. */
static void take_module(u64 start, u64 end)
{
	if (!early(start, end - start) || end <= start)
		return;
	if (!boot_info.initrd_end) {
		boot_info.initrd_start = start;
		boot_info.initrd_end = end;
	} else if (start == boot_info.initrd_end) {
		boot_info.initrd_end = end;
	}
}

static void take_cmdline(const char *text, u64 room)
{
	u64 n = text ? strnlen(text, room) : 0;

	if (n >= sizeof(boot_info.cmdline)) {
		printk(LOG_WARN, "boot parameters too long: cut off after %zu bytes", sizeof(boot_info.cmdline) - 1);
		n = sizeof(boot_info.cmdline) - 1;
		while (n && text[n] != ' ')
			n--;
	}
	memcpy(boot_info.cmdline, text, n);
}

static const char *read_pvh(paddr_t info)
{
	const struct pvh_info *p = early(info, sizeof(*p));
	const struct pvh_range *r;
	const struct pvh_module *m;

	if (!p || p->magic != PVH_MAGIC)
		return "no PVH start information";
	boot_info.loader = "pvh";
	boot_info.rsdp = p->rsdp;
	if (early(p->cmdline, 1))
		take_cmdline(early(p->cmdline, 1), GiB(4) - p->cmdline);
	m = early(p->modules, sizeof(*m) * MIN(p->nr_modules, MOST_ENTRIES));
	for (u32 i = 0; m && i < MIN(p->nr_modules, MOST_ENTRIES); i++)
		take_module(m[i].start, m[i].start + m[i].size);
	r = p->version ? early(p->map, sizeof(*r) * MIN(p->nr_map, MOST_ENTRIES)) : NULL;
	for (int ram = 1; r && ram >= 0; ram--)
		for (u32 i = 0; i < MIN(p->nr_map, MOST_ENTRIES); i++)
			take_range(r[i].start, r[i].size, r[i].type, ram);
	return NULL;
}

static void take_mb2_map(const struct mb2_map *map)
{
	if (map->size < sizeof(*map) || map->entry_size < sizeof(struct mb2_range))
		return;
	for (int ram = 1; ram >= 0; ram--) {
		for (u64 at = sizeof(*map); at + map->entry_size <= map->size; at += map->entry_size) {
			const struct mb2_range *r = (const void *)((const u8 *)map + at);

			take_range(r->start, r->size, r->type, ram);
		}
	}
}

static const char *read_multiboot2(paddr_t info)
{
	const u32 *total = early(info, 8);
	u64 at = 8;

	if (!total || !early(info, *total))
		return "no multiboot2 information";
	boot_info.loader = "multiboot2";
	while (at + sizeof(struct mb2_tag) <= *total) {
		const struct mb2_tag *tag = (const void *)((const u8 *)total + at);
		const struct mb2_module *m = (const void *)tag;

		if (tag->type == MB2_END || tag->size < sizeof(*tag) || tag->size > *total - at)
			break;
		if (tag->type == MB2_CMDLINE)
			take_cmdline((const char *)tag->data, tag->size - sizeof(*tag));
		else if (tag->type == MB2_MODULE && tag->size >= sizeof(*m))
			take_module(m->start, m->end);
		else if (tag->type == MB2_MAP)
			take_mb2_map((const void *)tag);
		else if (tag->type == MB2_ACPI_NEW || (tag->type == MB2_ACPI_OLD && !boot_info.rsdp))
			boot_info.rsdp = (paddr_t)tag->data - DIRECT_BASE;	/* a copy of it */
		at += ALIGN_UP((u64)tag->size, 8);
	}
	return NULL;
}

const char *boot_read(u32 magic, paddr_t info)
{
	const char *why = magic == PVH_MAGIC ? read_pvh(info) : read_multiboot2(info);

	if (why)
		return why;
	if (!boot_info.nr_ram)
		return "no memory map";
	ram_remove(0, PAGE_SIZE);
	boot_info.ram_end = boot_info.ram[boot_info.nr_ram - 1].end;
	return NULL;
}
