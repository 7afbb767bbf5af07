/* SPDX-License-Identifier: MIT */
/*
 * Owns: the random generator: ChaCha20 (D. J. Bernstein), one per CPU, so no lock.
 *
 * Each refill makes four blocks from the key; their first 32 bytes are the next key, so that what has been
 * handed out cannot be found again from what is kept ("fast key erasure"). Bytes given are cleared. The seed
 * is arch_random_seed's.
 */
#include "kernel/random.h"
#include "arch/machine.h"
#include "arch/user.h"
#include "kernel/base/percpu.h"
#include "kernel/base/string.h"
#include "kernel/process.h"
#include "kernel/syscalls.h"

#define BLOCK_WORDS 16
#define KEY_WORDS 8
#define BLOCKS 4

struct generator {
	u32 key[KEY_WORDS];
	u32 pool[BLOCKS * BLOCK_WORDS];
	u32 left;			/* unused bytes, at the end of the pool */
	bool seeded;
};
static DEFINE_PERCPU(struct generator, generator);

static inline u32 rotate(u32 x, int n)
{
	return x << n | x >> (32 - n);
}

static inline void quarter_round(u32 *a, u32 *b, u32 *c, u32 *d)
{
	*a += *b; *d = rotate(*d ^ *a, 16);
	*c += *d; *b = rotate(*b ^ *c, 12);
	*a += *b; *d = rotate(*d ^ *a, 8);
	*c += *d; *b = rotate(*b ^ *c, 7);
}

static void chacha20_block(const u32 key[KEY_WORDS], u32 counter, u32 out[BLOCK_WORDS])
{
	u32 in[BLOCK_WORDS] = { 0x61707865, 0x3320646e, 0x79622d32, 0x6b206574 }, x[BLOCK_WORDS];

	memcpy(in + 4, key, KEY_WORDS * sizeof(u32));
	in[12] = counter;
	memcpy(x, in, sizeof(in));
	for (int i = 0; i < 10; i++) {
#pragma GCC unroll 4
		for (int c = 0; c < 4; c++)
			quarter_round(x + c, x + 4 + c, x + 8 + c, x + 12 + c);
#pragma GCC unroll 4
		for (int c = 0; c < 4; c++)
			quarter_round(x + c, x + 4 + (c + 1) % 4, x + 8 + (c + 2) % 4, x + 12 + (c + 3) % 4);
	}
	for (int i = 0; i < BLOCK_WORDS; i++)
		out[i] = x[i] + in[i];
}

static void refill(struct generator *g)
{
	u64 seed = arch_random_seed();

	if (!g->seeded) {
		for (int i = 0; i < KEY_WORDS; i += 2, seed = arch_random_seed())
			memcpy(g->key + i, &seed, sizeof(seed));
		g->seeded = true;
	}
	g->key[0] ^= (u32)seed;
	for (u32 i = 0; i < BLOCKS; i++)
		chacha20_block(g->key, i, g->pool + i * BLOCK_WORDS);
	memcpy(g->key, g->pool, sizeof(g->key));
	memset(g->pool, 0, sizeof(g->key));
	g->left = sizeof(g->pool) - sizeof(g->key);
}

void random_bytes(void *buf, size_t n)
{
	struct generator *g = this_cpu_ptr(generator);
	u8 *to = buf;

	while (n) {
		if (!g->left)
			refill(g);
		size_t part = MIN(n, (size_t)g->left);
		u8 *from = (u8 *)g->pool + sizeof(g->pool) - g->left;

		memcpy(to, from, part);
		memset(from, 0, part);
		g->left -= part;
		to += part;
		n -= part;
	}
}

long sys_getrandom(u64 buf, u64 size, u64 flags, REST3)
{
	u64 done = 0;

	if (flags & ~7UL)
		return -EINVAL;
	size = MIN(size, (u64)0x7fffffff);
	while (done < size) {
		u8 chunk[512];
		size_t part = MIN(size - done, sizeof(chunk));

		random_bytes(chunk, part);
		part -= user_copy_out(buf + done, chunk, part);
		if (!part)
			return done ? (long)done : -EFAULT;
		done += part;
		if (signal_pause())
			break;
	}
	return done;
}
