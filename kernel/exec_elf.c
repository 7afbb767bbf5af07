/* SPDX-License-Identifier: MIT */
/*
 * Owns: ELF64 programs and their interpreters: reading and checking the headers, then mapping the segments.
 *
 * elf_read believes nothing: sizes, offsets, order and reach of all segments are checked before anything is
 * mapped, so that elf_map fails for want of memory only. A segment is a private mapping of the file's page
 * cache, with anonymous memory for what goes beyond the file. No lock.
 */
#include "kernel/base/errno.h"
#include "kernel/base/string.h"
#include "kernel/exec.h"
#include "mm/fault.h"
#include "mm/kmem.h"
#include "mm/map.h"
#include "mm/vm.h"

enum { ET_EXEC = 2, ET_DYN = 3, EM_X86_64 = 62 };
enum { PT_LOAD = 1, PT_INTERP = 3, PT_PHDR = 6, PT_GNU_STACK = 0x6474e551 };
enum { PF_X = 1, PF_W = 2, PF_R = 4 };
#define PIE_BASE 0x555555554000UL

struct elf_header {
	u8 ident[16];
	u16 type, machine;
	u32 version;
	u64 entry, phoff, shoff;
	u32 flags;
	u16 ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
};
_Static_assert(sizeof(struct elf_header) == ELF_HEADER && sizeof(struct elf_segment) == 56, "ELF64");

static bool header_ok(const struct elf_header *h, size_t n)
{
	return n >= sizeof(*h) && !memcmp(h->ident, "\177ELF\2\1\1", 7) && (h->type == ET_EXEC || h->type == ET_DYN) &&
	       h->machine == EM_X86_64 && h->version == 1 && h->phentsize == sizeof(struct elf_segment) && h->phnum &&
	       h->phnum < 0xffff;
}

static int read_segments(struct elf *e, const struct elf_header *h, const char *head, size_t n)
{
	size_t bytes = h->phnum * sizeof(struct elf_segment);
	ssize_t got = (ssize_t)bytes;

	e->segment = kmem_alloc(bytes);
	if (!e->segment)
		return -ENOMEM;
	e->nr_segments = h->phnum;
	if (h->phoff <= n && bytes <= n - h->phoff)
		memcpy(e->segment, head + h->phoff, bytes);
	else if (h->phoff <= ~0UL >> 1)
		got = file_read_kernel(e->file, e->segment, bytes, h->phoff);
	else
		got = 0;
	return got < 0 ? (int)got : got == (ssize_t)bytes ? 0 : -ENOEXEC;
}

int elf_interpreter(const struct elf *e, char path[PAGE_SIZE])
{
	const struct elf_segment *s = &e->segment[e->interp];
	ssize_t got;

	if (s->filesz < 2 || s->filesz > PAGE_SIZE || s->offset > ~0UL >> 1)
		return -ENOEXEC;
	got = file_read_kernel(e->file, path, s->filesz, s->offset);
	return got < 0 ? (int)got : got < (ssize_t)s->filesz || path[s->filesz - 1] ? -ENOEXEC : 0;
}

/* Where position independent code goes: at PIE_BASE, or the next address that suits its alignment. */
static int choose_bias(struct elf *e, bool pie)
{
	u64 align = PAGE_SIZE;

	for (unsigned i = 0; i < e->nr_segments; i++) {
		const struct elf_segment *s = &e->segment[i];

		if (s->type != PT_LOAD)
			continue;
		if (s->align & (s->align - 1) || s->align > GiB(1))
			return -ENOEXEC;
		align = MAX(align, s->align);
	}
	e->movable = pie;
	e->align = align;
	e->bias = pie ? ALIGN_UP(PIE_BASE, align) : 0;
	return 0;
}

/* Segment S, coming after all below e->end. */
static bool segment_ok(const struct elf *e, const struct elf_segment *s, u64 file_bytes)
{
	u64 room = ELF_END - e->bias;

	return s->filesz <= s->memsz && s->offset <= file_bytes && s->filesz <= file_bytes - s->offset &&
	       (!s->filesz || !((s->offset ^ s->vaddr) & ~PAGE_MASK)) && s->vaddr <= room && s->memsz <= room - s->vaddr &&
	       ALIGN_DOWN(e->bias + s->vaddr, PAGE_SIZE) >= MAX(e->end, MMAP_MIN_ADDR);
}

static bool contains(const struct elf_segment *s, u64 vaddr, u64 bytes)
{
	return vaddr >= s->vaddr && vaddr - s->vaddr <= s->memsz && bytes <= s->memsz - (vaddr - s->vaddr);
}

static int check_segments(struct elf *e, const struct elf_header *h)
{
	u64 file_bytes = file_size(e->file), table = h->phnum * sizeof(struct elf_segment), asked = 0;
	bool entered = false;

	for (unsigned i = 0; i < e->nr_segments; i++) {
		const struct elf_segment *s = &e->segment[i];

		if (s->type == PT_INTERP && e->interp == NO_INTERP)
			e->interp = i;
		if (s->type == PT_GNU_STACK)
			e->exec_stack = s->flags & PF_X;
		if (s->type == PT_PHDR)
			asked = s->vaddr;
		if (s->type != PT_LOAD || !s->memsz)
			continue;
		if (!segment_ok(e, s, file_bytes))
			return -ENOEXEC;
		if (!e->end)
			e->start = ALIGN_DOWN(e->bias + s->vaddr, PAGE_SIZE);
		e->end = ALIGN_UP(e->bias + s->vaddr + s->memsz, PAGE_SIZE);
		entered |= s->flags & PF_X && contains(s, h->entry, 1);
		if (h->phoff >= s->offset && h->phoff - s->offset <= s->filesz && table <= s->filesz - (h->phoff - s->offset))
			e->phdr = e->bias + s->vaddr + (h->phoff - s->offset);
	}
	if (asked && e->phdr && e->phdr != e->bias + asked)
		return -ENOEXEC;
	e->entry = e->bias + h->entry;
	return entered ? 0 : -ENOEXEC;
}

int elf_read(struct elf *e, struct file *file, const void *head, size_t n)
{
	struct elf_header h;
	int err;

	*e = (struct elf){ .file = file, .interp = NO_INTERP };
	if (n < sizeof(h))
		return -ENOEXEC;
	memcpy(&h, head, sizeof(h));
	if (!header_ok(&h, n))
		return -ENOEXEC;
	err = read_segments(e, &h, head, n);
	if (!err)
		err = choose_bias(e, h.type == ET_DYN);
	if (!err)
		err = check_segments(e, &h);
	return err;
}

void elf_done(struct elf *e)
{
	kmem_free(e->segment);
	e->segment = NULL;
}

static u32 region_rights(u32 flags)
{
	return (flags & PF_R ? R_READ : 0) | (flags & PF_W ? R_WRITE : 0) | (flags & PF_X ? R_EXEC : 0) | R_MAY_WRITE;
}

static int map_segment(const struct elf *e, const struct elf_segment *s, struct pcache *cache, struct space *space)
{
	static const char zeroes[PAGE_SIZE];
	vaddr_t start = ALIGN_DOWN(e->bias + s->vaddr, PAGE_SIZE), data_end = e->bias + s->vaddr + s->filesz;
	vaddr_t file_end = s->filesz ? ALIGN_UP(data_end, PAGE_SIZE) : start;
	vaddr_t end = ALIGN_UP(e->bias + s->vaddr + s->memsz, PAGE_SIZE);
	struct vm_map_args a = {
		.addr = start, .length = file_end - start, .flags = region_rights(s->flags), .fixed = true,
		.noreplace = true, .cache = cache, .pgoff = s->offset >> PAGE_SHIFT,
	};
	long err = 0;

	if (file_end > start)
		err = vm_map(space, &a);
	if (err >= 0 && end > file_end) {
		a = (struct vm_map_args){ .addr = file_end, .length = end - file_end, .flags = a.flags, .fixed = true, .noreplace = true };
		err = vm_map(space, &a);
	}
	if (err < 0)
		return (int)err;
	if (s->memsz > s->filesz && s->flags & PF_W && data_end < file_end &&
	    space_write(space, data_end, zeroes, file_end - data_end) != (ssize_t)(file_end - data_end))
		return -ENOMEM;
	return 0;
}

int elf_move(struct elf *e, struct space *s)
{
	vaddr_t room;
	u64 by;

	if (!e->movable)
		return 0;
	room = map_find_room(s, 0, e->end - e->start + e->align - PAGE_SIZE);
	if (!room)
		return -ENOMEM;
	by = ALIGN_UP(room - e->start + e->bias, e->align) - e->bias;
	e->bias += by;
	e->start += by;
	e->entry += by;
	e->phdr += e->phdr ? by : 0;
	e->end += by;
	return 0;
}

int elf_map(const struct elf *e, struct space *s)
{
	struct pcache *cache = file_pcache(e->file);
	int err = cache ? 0 : -EACCES;

	for (unsigned i = 0; !err && i < e->nr_segments; i++)
		if (e->segment[i].type == PT_LOAD && e->segment[i].memsz)
			err = map_segment(e, &e->segment[i], cache, s);
	return err;
}

void elf_own(const struct elf *e, struct space *space)
{
	for (unsigned i = 0; i < e->nr_segments; i++) {
		const struct elf_segment *s = &e->segment[i];
		vaddr_t start = e->bias + s->vaddr, end = start + s->filesz;

		if (s->type != PT_LOAD || !s->memsz)
			continue;
		if (s->flags & PF_X && !space->code_end) {
			space->code_start = start;
			space->code_end = end;
		} else if (s->flags & PF_W) {
			space->data_start = start;
			space->data_end = end;
		}
	}
	space->brk_start = space->brk = e->end;
}
