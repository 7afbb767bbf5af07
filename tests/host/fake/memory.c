/* SPDX-License-Identifier: MIT */
/*
 * Owns: the fake machine's memory: an arena that plays physical memory from address 0, and the watch
 * over its frames. A free frame is full of junk and, under AddressSanitizer, poisoned: who touches it
 * is caught in the act, or else when the frame is handed out again. Each frame has a generation, which
 * grows when it is allocated and when it is freed; fake/tlb.c knows by it what is stale.
 */
#include "fake.h"
#include <stdlib.h>
#include <sys/mman.h>
#include "mm/init.h"
#include "mm/pgtable.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(p, n) ((void)0)
#define ASAN_UNPOISON_MEMORY_REGION(p, n) ((void)0)
#endif

#define JUNK 0xdeadf4a3e5717e57UL
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

static void want_words(u64 n, u64 value, const char *what)
{
	const u64 *word = ptr_of_pa(n << PAGE_SHIFT);

	for (unsigned i = 0; i < PAGE_SIZE / 8; i++)
		if (word[i] != value)
			fake_fail("frame %#lx %s: %#lx at offset %#x", n, what, word[i], i * 8);
}

static void fill_junk(u64 n)
{
	u64 *word = ptr_of_pa(n << PAGE_SHIFT);

	for (unsigned i = 0; i < PAGE_SIZE / 8; i++)
		word[i] = JUNK;
	ASAN_POISON_MEMORY_REGION(word, PAGE_SIZE);
}

void fake_frame_alloc(struct frame *f, unsigned order)
{
	for (u64 n = frame_number(f); n < frame_number(f) + (1UL << order); n++) {
		enum state was = age(n, USED);

		ASAN_UNPOISON_MEMORY_REGION(ptr_of_pa(n << PAGE_SHIFT), PAGE_SIZE);
		want_words(n, was == FREE_JUNK ? JUNK : 0, "was written while free");
	}
}

void fake_frame_free(struct frame *f, unsigned order)
{
	for (u64 n = frame_number(f); n < frame_number(f) + (1UL << order); n++) {
		fake_root_freed(&frames[n]);
		age(n, FREE_JUNK);
		fill_junk(n);
	}
}

void fake_frame_free_zeroed(struct frame *f)
{
	fake_root_freed(f);
	want_words(frame_number(f), 0, "is freed as zeroes and is not");
	age(frame_number(f), FREE_ZERO);
	ASAN_POISON_MEMORY_REGION(frame_ptr(f), PAGE_SIZE);
}

void fake_memory_start(unsigned mib)
{
	u64 n = (u64)mib << 8;
	char *arena = mmap(NULL, n << PAGE_SHIFT, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	struct frame *array = calloc(n, sizeof(*array));

	generation = calloc(n, sizeof(*generation));
	state = calloc(n, sizeof(*state));
	if (arena == MAP_FAILED || !array || !generation || !state)
		abort();
	direct_map = arena;
	frame_init(array, n);
	for (u64 i = FIRST_FRAME; i < n; i++) {
		state[i] = FREE_JUNK;
		fill_junk(i);
	}
	frame_add_range(FIRST_FRAME << PAGE_SHIFT, n << PAGE_SHIFT);
	pt_init(1 << PAGE_SHIFT);
	if (!mm_start())
		abort();
}
