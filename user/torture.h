/* SPDX-License-Identifier: MIT */
/*
 * torture.h - the memory of a thread of torture.c: its model, and the steps that change both.
 *
 * For each page the model says: mapped or not, the access allowed, and the stamp of the content.
 * Word i of a page must be stamp + i * STEP, or 0 with stamp 0; a stamp is a hash of owner (and
 * with it the seed), address and generation. A page is touched only by the thread whose model
 * has it; the pages of the shared file have a try-lock each, which lies in the file too. What
 * does not hold ends the process by wrong(), and with it the run. Only torture.c includes this.
 */
#pragma once
#include "user/quire.h"
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>

#define MAX_THREADS   64
#define MAX_PROCESSES 64
#define KIDS	      3	   /* children a thread may have at a time */
#define DEPTH	      3	   /* generations of children */
#define ZONE	      64UL /* interleaved pages of a thread */
#define SHARED	      48UL /* data pages of the shared file */
#define PATTERN	      32UL /* pages of the file mapped privately */
#define STEP	      0x9e3779b97f4a7c15ULL
#define PLACE	      0x200000000000UL /* far from what mmap chooses by itself */

enum {
	STEPS,
	FORKS,
	EXECS,
	MAPS,
	UNMAPS,
	PROTECTS,
	REMAPS,
	DROPS,
	WRITES,
	PROBES,
	CHECKS,
	REFUSED,
	MISMATCHES,
	COUNTS
};
static const char *const count_names[] = { "steps",	"forks",    "execs",	      "maps",
					   "unmaps",	"protects", "remaps",	      "drops",
					   "writes",	"probes",   "pages_verified", "refused",
					   "mismatches" };

/* The head of the shared file; its data pages follow. */
struct head {
	atomic_ullong counts[COUNTS];
	atomic_bool stop;
	atomic_bool busy[SHARED]; /* try-lock of a data page */
	uint64_t stamp[SHARED];	  /* its content, under busy */
};
#define FILE_BYTES (PAGE + SHARED * PAGE)

struct page {
	uint64_t stamp, back; /* content now, and after a drop */
	uint8_t mapped, prot;
};

struct thread {
	struct page *model;
	uint64_t random, owner, generation;
	unsigned index, kids, depth;
	pid_t kid[KIDS];
	struct timespec born[KIDS];
	char *window; /* the shared file's data, mapped by this thread */
	pthread_t handle;
};

static struct head *head;
static struct thread team[MAX_THREADS];
static unsigned threads = 4, processes = 2, fork_weight = 3, drop_weight = 10, limit = 120;
static unsigned slot_pages = 600;
static uint64_t seconds = 10, steps, seed = 1;
static struct timespec deadline;
static int shared_fd, pattern_fd;
static uint64_t pattern[PATTERN];
static const char *self_path = "/proc/self/exe";
static pthread_rwlock_t still = PTHREAD_RWLOCK_INITIALIZER; /* steps read, a full snapshot writes */
static bool lone; /* this process has one thread: a child, or run afresh */
static __thread sigjmp_buf *volatile probe; /* where a fault that may happen returns to */
static __thread uint64_t me;		    /* the owner, for messages */

static uint64_t mix(uint64_t a, uint64_t b, uint64_t c)
{
	uint64_t x = (a ^ STEP) * 0xbf58476d1ce4e5b9ULL + b;

	x = (x ^ x >> 29) * 0x94d049bb133111ebULL + c;
	x = (x ^ x >> 31) * 0xbf58476d1ce4e5b9ULL;
	return (x ^ x >> 30) | 1;
}

static void count(int what, uint64_t n)
{
	atomic_fetch_add_explicit(&head->counts[what], n, memory_order_relaxed);
}

/* Something is wrong: one line, everybody stops, this process ends. */
static __attribute__((noreturn, format(printf, 1, 2))) void wrong(const char *fmt, ...)
{
	char line[320];
	int n = snprintf(line, sizeof(line), "torture: pid %d owner %#llx: ", (int)getpid(),
			 (unsigned long long)me);
	va_list ap;

	va_start(ap, fmt);
	n += vsnprintf(line + n, sizeof(line) - (size_t)n - 1, fmt, ap);
	va_end(ap);
	n = n < (int)sizeof(line) - 1 ? n : (int)sizeof(line) - 2;
	line[n++] = '\n';
	if (write(2, line, (size_t)n) < 0)
		_exit(3);
	count(MISMATCHES, 1);
	atomic_store(&head->stop, true);
	_exit(1);
}

static void on_fault(int signo, siginfo_t *info, void *context)
{
	static volatile sig_atomic_t again;

	(void)context;
	if (probe)
		siglongjmp(*probe, signo);
	if (again) /* our own data is gone too */
		_exit(4);
	again = 1;
	wrong("signal %d at address %p, expected none", signo, info->si_addr);
}

static uint64_t since(const struct timespec *then) /* ms */
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)((now.tv_sec - then->tv_sec) * 1000 +
			  (now.tv_nsec - then->tv_nsec) / 1000000);
}

static bool over(void)
{
	struct timespec now;

	if (atomic_load_explicit(&head->stop, memory_order_relaxed))
		return true;
	if (!deadline.tv_sec)
		return false;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec > deadline.tv_sec ||
	       (now.tv_sec == deadline.tv_sec && now.tv_nsec >= deadline.tv_nsec);
}

/* Content -------------------------------------------------------------------- */

static void fill(char *at, uint64_t stamp)
{
	volatile uint64_t *word = (volatile uint64_t *)at;

	for (size_t i = 0; i < PAGE / 8; i++)
		word[i] = stamp + i * STEP;
}

static void verify(const char *at, uint64_t stamp)
{
	const volatile uint64_t *word = (const volatile uint64_t *)at;
	uint64_t step = stamp ? STEP : 0;

	for (size_t i = 0; i < PAGE / 8; i++) {
		uint64_t found = word[i], expected = stamp + i * step;

		if (found != expected)
			wrong("address %p: expected %#llx, found %#llx, now %#llx",
			      (const void *)&word[i], (unsigned long long)expected,
			      (unsigned long long)found, (unsigned long long)word[i]);
	}
}

/* The model ------------------------------------------------------------------ */

static size_t all_pages(void)
{
	return slot_pages + ZONE;
}

static char *address(const struct thread *t, size_t page)
{
	char *zone = (char *)PLACE;

	if (page >= slot_pages)
		return zone + ((page - slot_pages) * threads + t->index) * PAGE;
	return zone + (ZONE * threads + (size_t)t->index * slot_pages + page) * PAGE;
}

static uint64_t pick(struct thread *t, uint64_t below)
{
	return (next_random(&t->random) >> 20) % below;
}

/* A range of pages next to each other in memory: mostly short ones. */
static size_t pick_range(struct thread *t, size_t *from)
{
	size_t most = pick(t, 8) ? 12 : pick(t, 4) ? 80 : slot_pages, n;

	*from = pick(t, all_pages());
	if (*from >= slot_pages)
		return 1;
	n = 1 + pick(t, most);
	return n < slot_pages - *from ? n : slot_pages - *from;
}

/* How many pages from `from` on are mapped; all of one access when alike. */
static size_t mapped_run(const struct thread *t, size_t from, size_t n, bool alike)
{
	size_t i = 0;

	while (i < n && t->model[from + i].mapped &&
	       (!alike || t->model[from + i].prot == t->model[from].prot))
		i++;
	return i;
}

static void verify_all(const struct thread *t)
{
	uint64_t done = 0;

	for (size_t i = 0; i < all_pages(); i++) {
		const struct page *p = &t->model[i];

		if (!p->mapped || !(p->prot & PROT_READ))
			continue;
		verify(address(t, i), p->stamp);
		done++;
	}
	count(CHECKS, done);
}

static void forget(struct thread *t, size_t from, size_t n)
{
	memset(&t->model[from], 0, n * sizeof(struct page));
}

/* Steps ---------------------------------------------------------------------- */

static void step_map(struct thread *t)
{
	static const uint8_t prots[] = { PROT_READ | PROT_WRITE, PROT_READ | PROT_WRITE, PROT_READ,
					 PROT_NONE };
	size_t from, n = pick_range(t, &from), first = pick(t, PATTERN);
	bool file = !pick(t, 3);
	int prot = prots[pick(t, 4)];
	char *at = address(t, from);

	if (file && n > PATTERN - first)
		n = PATTERN - first;
	if (mmap(at, n * PAGE, prot, MAP_FIXED | MAP_PRIVATE | (file ? 0 : MAP_ANONYMOUS),
		 file ? pattern_fd : -1, file ? (off_t)(first * PAGE) : 0) != at)
		wrong("mmap of %zu pages at %p: %s", n, (void *)at, strerror(errno));
	for (size_t i = 0; i < n; i++) {
		uint64_t back = file ? pattern[first + i] : 0;

		t->model[from + i] = (struct page){ back, back, 1, (uint8_t)prot };
	}
	count(MAPS, 1);
}

static void step_unmap(struct thread *t)
{
	size_t from, n = pick_range(t, &from);

	if (munmap(address(t, from), n * PAGE))
		wrong("munmap of %zu pages at %p: %s", n, (void *)address(t, from),
		      strerror(errno));
	forget(t, from, n);
	count(UNMAPS, 1);
}

static void step_protect(struct thread *t)
{
	size_t from, n = pick_range(t, &from);
	int prot = pick(t, 3) ? PROT_READ | PROT_WRITE : pick(t, 2) ? PROT_READ : PROT_NONE;

	n = mapped_run(t, from, n, false);
	if (!n)
		return;
	if (mprotect(address(t, from), n * PAGE, prot))
		wrong("mprotect of %zu pages at %p: %s", n, (void *)address(t, from),
		      strerror(errno));
	for (size_t i = 0; i < n; i++)
		t->model[from + i].prot = (uint8_t)prot;
	count(PROTECTS, 1);
}

static void step_drop(struct thread *t)
{
	size_t from, n = pick_range(t, &from), run = mapped_run(t, from, n, false);
	int err = madvise(address(t, from), n * PAGE, MADV_DONTNEED) ? errno : 0;

	if (err != (run < n ? ENOMEM : 0))
		wrong("drop of %zu pages at %p, the first %zu mapped: %s", n,
		      (void *)address(t, from), run, strerror(err));
	for (size_t i = 0; i < n; i++)
		t->model[from + i].stamp = t->model[from + i].back;
	count(DROPS, 1);
}

/* Move pages over others, or cut some off in place. */
static void step_remap(struct thread *t)
{
	size_t from, n = pick_range(t, &from), to, keep;
	char *got;

	n = mapped_run(t, from, n, true);
	if (!n || (from >= slot_pages && n > 1))
		return;
	if (n > 1 && !pick(t, 3)) {
		keep = 1 + pick(t, n - 1);
		got = mremap(address(t, from), n * PAGE, keep * PAGE, 0);
		if (got != address(t, from))
			wrong("mremap of %p from %zu to %zu pages: %s", (void *)address(t, from), n,
			      keep, strerror(errno));
		forget(t, from + keep, n - keep);
	} else {
		to = n == 1 ? pick(t, all_pages()) : pick(t, slot_pages - n + 1);
		if (to < from + n && from < to + n)
			return;
		got = mremap(address(t, from), n * PAGE, n * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
			     address(t, to));
		if (got == MAP_FAILED && n > 1 && errno == EFAULT) {
			/* more than one region; what stood there before may be gone */
			munmap(address(t, to), n * PAGE);
			forget(t, to, n);
			count(REFUSED, 1);
			return;
		}
		if (got != address(t, to))
			wrong("mremap of %zu pages from %p to %p: %s", n, (void *)address(t, from),
			      (void *)address(t, to), strerror(errno));
		memcpy(&t->model[to], &t->model[from], n * sizeof(struct page));
		forget(t, from, n);
	}
	count(REMAPS, 1);
}

/* Verify, then change: with stores, or by the kernel with read(). */
static void step_write(struct thread *t)
{
	size_t from, n = pick_range(t, &from);
	bool verify_too = pick(t, 2), kernel = !pick(t, 4);

	for (size_t i = from; i < from + n; i++) {
		struct page *p = &t->model[i];
		char *at = address(t, i);
		size_t k = pick(t, PATTERN);

		if (p->mapped && p->prot & PROT_READ && verify_too)
			verify(at, p->stamp);
		if (kernel) {
			ssize_t got = pread(pattern_fd, at, PAGE, (off_t)(k * PAGE));
			bool can = p->mapped && p->prot & PROT_WRITE;

			if (got != (can ? (ssize_t)PAGE : -1) || (!can && errno != EFAULT))
				wrong("pread into %p gives %zd", (void *)at, got);
			if (can)
				p->stamp = pattern[k];
		} else if (p->mapped && p->prot & PROT_WRITE) {
			p->stamp = mix(t->owner, (uintptr_t)at, ++t->generation);
			fill(at, p->stamp);
		}
	}
	count(WRITES, n);
}

/* Load or store one byte where that may not be allowed: the model knows. */
static void step_probe(struct thread *t)
{
	size_t page = pick(t, all_pages());
	struct page *p = &t->model[page];
	volatile uint8_t *at = (volatile uint8_t *)address(t, page) + pick(t, PAGE);
	const bool store = pick(t, 2);
	volatile bool can = p->mapped && p->prot & (store ? PROT_WRITE : PROT_READ), done = false;
	sigjmp_buf back;

	if (!sigsetjmp(back, 0)) {
		probe = &back;
		if (!store)
			(void)*at;
		else if (can)
			__atomic_fetch_add(at, 0, __ATOMIC_SEQ_CST);
		else
			*at = 0xee;
		done = true;
	}
	probe = NULL;
	if (done != can)
		wrong("%s at %p %s", store ? "store" : "load", (void *)at,
		      can ? "faults" : "is let through");
	count(PROBES, 1);
}

/* One page of the file that all share, and now and then a new mapping of it. */
static void step_shared(struct thread *t)
{
	size_t page = pick(t, SHARED), n = 1 + pick(t, SHARED - page);
	bool store = pick(t, 2);
	char *at = t->window + page * PAGE;

	if (!pick(t, 4) && madvise(at, n * PAGE, MADV_DONTNEED))
		wrong("drop of shared pages at %p: %s", (void *)at, strerror(errno));
	if (!pick(t, 16)) {
		munmap(t->window, SHARED * PAGE);
		t->window = mmap(NULL, SHARED * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, shared_fd,
				 PAGE);
		if (t->window == MAP_FAILED)
			wrong("mmap of the shared file: %s", strerror(errno));
		at = t->window + page * PAGE;
	}
	if (atomic_exchange(&head->busy[page], true))
		return;
	verify(at, head->stamp[page]);
	if (store) {
		head->stamp[page] = mix(t->owner, (uintptr_t)at, ++t->generation);
		fill(at, head->stamp[page]);
	}
	atomic_store(&head->busy[page], false);
	count(CHECKS, 1);
}
