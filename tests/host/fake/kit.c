/* SPDX-License-Identifier: MIT */
/* Owns: see kit.h. */
#include "kit.h"
#include <stdio.h>
#include <stdlib.h>
#include "arch/cpu.h"
#include "mm/kmem.h"
#include "mm/limbo.h"

static u64 free_before;
u32 kit_fork_share;
const char *const kit_fork_names[] = { "fork_share=all", "fork_share=leaf", "fork_share=none" };

int kit_group_setup(void **state)
{
	static bool started;

	(void)state;
	if (!started)
		fake_start(64);
	started = true;
	return 0;
}

u64 kit_free_frames(void)
{
	u32 self = fake_cpu;

	for (u32 cpu = 0; cpu < nr_cpus; cpu++) {
		fake_cpu_set(cpu);
		tlb_switch_space(NULL);
		limbo_reap();
		kmem_drain();
		frame_drain();
	}
	fake_cpu_set(self);
	return frame_nr_free();
}

int kit_test_setup(void **state)
{
	(void)state;
	tune.fork_share = kit_fork_share;
	tune.readahead_kb = 0;
	fake_cpu_set(0);
	free_before = kit_free_frames();
	return 0;
}

int kit_test_teardown(void **state)
{
	(void)state;
	if (fake_in_child())
		fake_fail("an assertion failed");	/* cmocka jumped here: no more tests in this process */
	kit_fail_none();
	fake_cpu_set(0);
	u64 now = kit_free_frames();
	check_frames();
	if (now == free_before)
		return 0;
	fprintf(stderr, "%ld frames lost\n", (long)(free_before - now));
	for (unsigned kind = FRAME_KERNEL; kind < NR_FRAME_KINDS; kind++)
		fprintf(stderr, "  kind %u: %lu in use\n", kind, frame_nr_kind(kind));
	return -1;
}

void kit_check(struct space *s)
{
	check_space(s);
	check_frames();
}

long kit_try_anon(struct space *s, vaddr_t addr, u64 pages, u32 flags)
{
	struct pcache *shared = flags & R_SHARED ? shm_create(PAGES(pages)) : NULL;
	struct vm_map_args a = {
		.addr = addr, .length = PAGES(pages), .flags = flags | R_MAY_WRITE, .fixed = addr != 0, .cache = shared,
	};

	if (flags & R_SHARED && !shared)
		return -ENOMEM;
	long r = vm_map(s, &a);
	if (shared)
		shared->ops->put(shared);
	return r;
}

vaddr_t kit_anon(struct space *s, vaddr_t addr, u64 pages, u32 flags)
{
	long r = kit_try_anon(s, addr, pages, flags);

	if (IS_ERR_VALUE(r))
		fail_msg("vm_map: %ld", r);
	return (vaddr_t)r;
}

u64 kit_file_word(u64 page, u64 word)
{
	return (page + 1) * 0x9e3779b97f4a7c15UL + word;
}

static void file_get(struct pcache *c)
{
	__atomic_fetch_add(&container_of(c, struct kit_file, cache)->refs, 1, __ATOMIC_RELAXED);
}

static void file_put(struct pcache *c)
{
	__atomic_fetch_sub(&container_of(c, struct kit_file, cache)->refs, 1, __ATOMIC_ACQ_REL);
}

static int read_pages(struct kit_file *file, u64 index, struct frame **f, unsigned n)
{
	__atomic_fetch_add(&file->reads, 1, __ATOMIC_RELAXED);
	for (unsigned at = 0; at < n; at++) {
		u64 *word = frame_ptr(f[at]);
		u8 *flight = &file->in_flight[(index + at) % ARRAY_SIZE(file->in_flight)];

		if (file->broken || index + at == READ_ONCE(file->bad_page))
			return -EIO;
		if (__atomic_fetch_add(flight, 1, __ATOMIC_RELAXED) && file->careful)
			fake_fail("page %lu is read twice at a time", index + at);
		if (file->careful)
			fake_jitter();
		__atomic_fetch_sub(flight, 1, __ATOMIC_RELAXED);
		__atomic_fetch_add(&file->pages_read, 1, __ATOMIC_RELAXED);
		for (unsigned i = 0; i < PAGE_SIZE / 8; i++)
			word[i] = kit_file_word(index + at, i);
	}
	return 0;
}

/* What has been begun and not been answered. */
struct request {
	TAILQ_ENTRY(request) link;
	struct kit_file *file;
	u64 index;
	struct frame **f;
	unsigned n;
	struct pcache_io *io;
};
static TAILQ_HEAD(, request) requests = TAILQ_HEAD_INITIALIZER(requests);
static struct spinlock requests_lock = SPINLOCK(RANK_NONE);

static int file_read(struct pcache *c, u64 index, struct frame **f, unsigned n, struct pcache_io *io)
{
	struct kit_file *file = container_of(c, struct kit_file, cache);
	struct request *r;

	if (!io)
		return read_pages(file, index, f, n);
	if (file->busy)
		return -EAGAIN;
	r = malloc(sizeof(*r));
	assert_non_null(r);
	*r = (struct request){ .file = file, .index = index, .f = f, .n = n, .io = io };
	pcache_io_begin(io);
	spin_lock(&requests_lock);
	TAILQ_INSERT_TAIL(&requests, r, link);
	spin_unlock(&requests_lock);
	return 0;
}

bool kit_answer(void)
{
	struct request *r;

	spin_lock(&requests_lock);
	r = TAILQ_FIRST(&requests);
	if (r)
		TAILQ_REMOVE(&requests, r, link);
	spin_unlock(&requests_lock);
	if (!r)
		return false;
	pcache_io_end(r->io, read_pages(r->file, r->index, r->f, r->n) != 0);
	free(r);
	return true;
}

/* Threads of the host wait for a reading as CPUs do for a lock; meanwhile the disk answers. */
void pcache_wait(struct spinlock *held)
{
	spin_unlock(held);
	kit_answer();
	arch_spin_wait();
	spin_lock(held);
}

void pcache_wake(void)
{
}

static void file_name(struct pcache *c, char *buf, size_t size)
{
	(void)c;
	snprintf(buf, size, "/kit/file");
}

static void file_identity(struct pcache *c, u64 *dev, u64 *ino)
{
	(void)c;
	*dev = 7;
	*ino = 42;
}

static struct kit_file *make_file(u64 pages, const struct pcache_ops *ops, bool shmem)
{
	struct kit_file *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->refs = 1;
	f->bad_page = ~0UL;
	pcache_init(&f->cache, ops, shmem);
	pcache_resize(&f->cache, PAGES(pages));
	return f;
}

struct kit_file *kit_file(u64 pages, bool shmem)
{
	static const struct pcache_ops with_read = {
		.get = file_get, .put = file_put, .read_many = file_read, .name = file_name, .identity = file_identity,
	};
	static const struct pcache_ops without = {
		.get = file_get, .put = file_put, .name = file_name, .identity = file_identity,
	};

	return make_file(pages, shmem ? &without : &with_read, shmem);
}

struct kit_file *kit_disk_file(u64 pages)
{
	static const struct pcache_ops clean = {
		.get = file_get, .put = file_put, .read_many = file_read, .clean = true, .name = file_name,
		.identity = file_identity,
	};

	return make_file(pages, &clean, false);
}

void kit_file_close(struct kit_file *f)
{
	while (kit_answer())
		;
	kit_free_frames();		/* regions that wait for their grace period hold the file */
	assert_int_equal(f->refs, 1);
	pcache_destroy(&f->cache);
	free(f);
}

vaddr_t kit_map_file(struct space *s, struct kit_file *f, vaddr_t addr, u64 pgoff, u64 pages, u32 flags)
{
	struct vm_map_args a = {
		.addr = addr, .length = PAGES(pages), .flags = flags | R_MAY_WRITE, .fixed = addr != 0,
		.cache = &f->cache, .pgoff = pgoff,
	};
	long r = vm_map(s, &a);

	if (IS_ERR_VALUE(r))
		fail_msg("vm_map of a file: %ld", r);
	return (vaddr_t)r;
}

void kit_store(struct space *s, vaddr_t va, u64 value)
{
	enum fault_result r = fake_store(s, va, value);

	if (r != FAULT_OK)
		fail_msg("store to %#lx: fault_result %d", va, r);
}

u64 kit_load(struct space *s, vaddr_t va)
{
	u64 value = 0;
	enum fault_result r = fake_load(s, va, &value);

	if (r != FAULT_OK)
		fail_msg("load from %#lx: fault_result %d", va, r);
	return value;
}

struct space_usage kit_usage(struct space *s)
{
	struct space_usage u;

	memset(&u, 0xff, sizeof(u));
	space_usage(s, &u);
	return u;
}

/* A change of either number starts the count of allocations again (mm/frame.c). */
static void arm(u32 after, u32 every)
{
	tune.fail_alloc = 1000000000;
	tune.fail_alloc_after = 999999999;
	alloc_should_fail();
	tune.fail_alloc = every;
	tune.fail_alloc_after = after;
}

void kit_fail_nth(u32 n)
{
	arm(0, n);
}

void kit_fail_from(u32 n)
{
	arm(n - 1, 1);
}

void kit_fail_none(void)
{
	tune.fail_alloc = 0;
	tune.fail_alloc_after = 0;
}

struct space *kit_space(void)
{
	struct space *s = space_create();

	assert_non_null(s);
	return s;
}

void kit_space_end(struct space *s)
{
	u32 self = fake_cpu;

	kit_check(s);
	for (u32 cpu = 0; cpu < MAX_CPUS; cpu++)
		if (s->refs == 1 && s->cpus >> cpu & 1) {
			fake_cpu_set(cpu);
			tlb_switch_space(NULL);
		}
	fake_cpu_set(self);
	space_put(s);
}

static void recount(const struct frame *t, struct kit_count *c)
{
	c->n[PTE_CLASS_NONE]++;
	for (unsigned i = 0; i < (t->level == PT_LEVELS ? USER_ROOT_ENTRIES : PT_ENTRIES); i++) {
		pte_t e = pt_slots(t)[i];

		if (e && t->level == 1)
			c->n[pte_class(e)]++;
		else if (e)
			recount(pt_child(e), c);
	}
}

struct kit_count kit_recount(struct space *s)
{
	struct kit_count c = { 0 };

	recount(s->root, &c);
	return c;
}
