/* SPDX-License-Identifier: MIT */
/*
 * Owns: the model's blocks: 2 MiB or 1 GiB mapped, moved and unmapped as one, nearly all aligned to that, so that
 * mremap moves whole tables. Eight pages of each are in the reference, in process.page from NPAGES on.
 */
#pragma once
#include "model_ops.h"

static bool is_mapped(const struct process *m, unsigned b)
{
	return m->page[NPAGES + b * SAMPLES].mapped;
}

static void map_block(struct process *m, unsigned b)
{
	struct page like = { .mapped = true, .shared = rnd(3) == 0, .prot = rnd(4) ? RW : R_READ };
	struct vm_map_args a = { .addr = block[b].start, .length = block[b].length, .fixed = true };

	if (like.shared || rnd(3) == 0)
		like.object = &files[rnd(FILES)];
	a.flags = like.prot | R_MAY_WRITE | (like.shared ? R_SHARED : 0);
	a.cache = like.object ? &like.object->file->cache : NULL;
	long r = vm_map(m->s, &a);
	if (gave_up(r))
		return;
	agree(r, (long)a.addr);
	for (unsigned i = 0; i < SAMPLES; i++) {
		like.pgoff = like.object ? block_offset(b, i) : 0;
		map(&m->page[NPAGES + b * SAMPLES + i], 1, like);
	}
}

static void unmap_block(struct process *m, unsigned b)
{
	long r = vm_unmap(m->s, block[b].start, block[b].length);

	if (gave_up(r))
		return;
	agree(r, 0);
	unmap(&m->page[NPAGES + b * SAMPLES], SAMPLES);
}

static void protect_block(struct process *m, unsigned b)
{
	u8 prot = rnd(2) ? RW : R_READ;
	long r = vm_protect(m->s, block[b].start, block[b].length, prot);

	if (gave_up(r))
		return;
	agree(r, is_mapped(m, b) ? 0 : -ENOMEM);
	for (unsigned i = 0; i < SAMPLES && is_mapped(m, b); i++)
		m->page[NPAGES + b * SAMPLES + i].prot = prot;
}

static void drop_sample(struct process *m, unsigned b)
{
	unsigned p = NPAGES + b * SAMPLES + (unsigned)rnd(SAMPLES);
	long r = vm_advise(m->s, va_of(p), PAGE_SIZE, MADV_DONTNEED);

	if (gave_up(r))
		return;
	agree(r, is_mapped(m, b) ? 0 : -ENOMEM);
	m->page[p].own = false;
}

/* To the place of another block of its size, mapped or not; sometimes leaving an empty one behind. */
static void move_block(struct process *m, unsigned b)
{
	unsigned to = (unsigned)rnd(BLOCKS);
	struct page *src = &m->page[NPAGES + b * SAMPLES], *dst = &m->page[NPAGES + to * SAMPLES];
	bool stay = !src->shared && rnd(4) == 0;
	unsigned flags = MREMAP_MAYMOVE | MREMAP_FIXED | (stay ? MREMAP_DONTUNMAP : 0);

	if (to == b || block[to].length != block[b].length)
		return;
	long r = vm_remap(m->s, block[b].start, block[b].length, block[b].length, flags, block[to].start);
	if (gave_up(r)) {
		/* Linux, too, may have unmapped what was there. */
		if (is_mapped(m, to) && !region_at(m->s, block[to].start))
			unmap(dst, SAMPLES);
		return;
	}
	if (!is_mapped(m, b)) {
		agree(r, -EFAULT);
		return;
	}
	agree(r, (long)block[to].start);
	for (unsigned i = 0; i < SAMPLES; i++) {
		map(&dst[i], 1, src[i]);
		src[i].own = false;
	}
	if (!stay)
		unmap(src, SAMPLES);
}

static void do_block(struct process *m)
{
	unsigned b = (unsigned)rnd(BLOCKS);

	switch (rnd(8)) {
	case 0: map_block(m, b); break;
	case 1: if (rnd(2)) unmap_block(m, b); break;
	case 2: protect_block(m, b); break;
	case 3: drop_sample(m, b); break;
	case 4 ... 5: move_block(m, b); break;
	default: do_access(m, NPAGES + b * SAMPLES + (unsigned)rnd(SAMPLES));
	}
}
