/* SPDX-License-Identifier: MIT */
/*
 * Owns: the fake machine's memory: an arena that plays physical memory from address 0, and the watch
 * over its frames. A free frame is full of junk and, under AddressSanitizer, poisoned: who touches it
 * is caught in the act, or else when the frame is handed out again. Each frame has a generation, which
 * grows when it is allocated and when it is freed; fake/tlb.c knows by it what is stale.
 */
#include "cpu.h"
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "arch/cpu.h"
#include "kernel/base/epoch.h"
#include "mm/init.h"
#include "mm/pgtable.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(p, n) ((void)0)
#define ASAN_UNPOISON_MEMORY_REGION(p, n) ((void)0)
#endif

#define JUNK 0xd5
#define FIRST_FRAME 16			/* below: reserved; frame 1 is the boot root */

enum state { USED, FREE_JUNK, FREE_ZERO };
static u32 *generation;
static u8 *state;			/* enum state of each frame */

u32 fake_generation(const struct frame *f)
{
	return __atomic_load_n(&generation[frame_number(f)], __ATOMIC_RELAXED);
}

static enum state age(u64 n, enum state now)
{
	enum state was = __atomic_exchange_n(&state[n], now, __ATOMIC_RELAXED);

	if ((was == USED) == (now == USED))
		fake_fail("frame %#lx %s", n, now == USED ? "allocated twice" : "freed twice");
	__atomic_fetch_add(&generation[n], 1, __ATOMIC_RELAXED);
	return was;
}

static u8 junk_page[PAGE_SIZE];
static const u8 zero_page[PAGE_SIZE];

static void want_page(u64 n, const u8 *want, const char *what)
{
	const u8 *byte = ptr_of_pa(n << PAGE_SHIFT);
	unsigned i = 0;

	if (!memcmp(byte, want, PAGE_SIZE))
		return;
	while (byte[i] == want[i])
		i++;
	fake_fail("frame %#lx %s: %#x at offset %#x", n, what, byte[i], i);
}

static void fill_junk(u64 n)
{
	void *page = ptr_of_pa(n << PAGE_SHIFT);

	memset(page, JUNK, PAGE_SIZE);
	ASAN_POISON_MEMORY_REGION(page, PAGE_SIZE);
}

void fake_frame_alloc(struct frame *f, unsigned order)
{
	fake_jitter();
	for (u64 n = frame_number(f); n < frame_number(f) + (1UL << order); n++) {
		enum state was = age(n, USED);

		ASAN_UNPOISON_MEMORY_REGION(ptr_of_pa(n << PAGE_SHIFT), PAGE_SIZE);
		want_page(n, was == FREE_JUNK ? junk_page : zero_page, "was written while free");
	}
}

/* A table that was unlinked comes with the tag of its grace period, which must be over. */
static void want_grace(struct frame *f)
{
	for (unsigned i = 0; f->dead && i < 3 && !epoch_passed(f->doomed.tag); i++)
		sched_yield();		/* somebody may be just about to show it anew */
	if (f->dead && !epoch_passed(f->doomed.tag))
		fake_fail("table %#lx freed without its grace period", frame_number(f));
	f->dead = false;
}

void fake_frame_free(struct frame *f, unsigned order)
{
	want_grace(f);
	for (u64 n = frame_number(f); n < frame_number(f) + (1UL << order); n++) {
		fake_frame_forgotten(&frames[n]);
		age(n, FREE_JUNK);
		fill_junk(n);
	}
}

void fake_frame_free_zeroed(struct frame *f)
{
	want_grace(f);
	fake_frame_forgotten(f);
	want_page(frame_number(f), zero_page, "is freed as zeroes and is not");
	age(frame_number(f), FREE_ZERO);
	ASAN_POISON_MEMORY_REGION(frame_ptr(f), PAGE_SIZE);
}

void fake_start(unsigned mib)
{
	u64 n = (u64)mib << 8;
	char *arena = mmap(NULL, n << PAGE_SHIFT, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	struct frame *array = calloc(n, sizeof(*array));

	generation = calloc(n, sizeof(*generation));
	state = calloc(n, sizeof(*state));
	if (arena == MAP_FAILED || !array || !generation || !state)
		abort();
	memset(junk_page, JUNK, PAGE_SIZE);
	direct_map = arena;
	frame_init(array, n);
	lock_debug = true;
	tlb_start();
	for (u64 i = FIRST_FRAME; i < n; i++) {
		state[i] = FREE_JUNK;
		fill_junk(i);
	}
	frame_add_range(FIRST_FRAME << PAGE_SHIFT, n << PAGE_SHIFT);
	pt_init(1 << PAGE_SHIFT);
	if (!mm_start())
		abort();
}
