/* SPDX-License-Identifier: MIT */
/*
 * torture.c - threads and processes do everything to their memory and check every byte of it.
 *
 * A thread owns the pages of a slot of its own and every THREADS-th page of a zone that the
 * threads of its process interleave in, so that they meet in the same page tables. For each
 * page it keeps a model: mapped or not, the access allowed, and the stamp of its content. Word
 * i of a page must be stamp + i * STEP, or 0 with stamp 0; a stamp is a hash of seed, owner,
 * address and generation. A child of fork verifies the snapshot (that of all threads when they
 * were held still), goes on with the memory as its own, and tells by its exit status; some
 * run this program afresh. One file is mapped shared by all relatives; each of its pages is
 * written or verified under a try-lock that lies in the file too. The first process starts
 * the others, waits for them with a limit, and compares the free memory before and after.
 */
#include "user/quire.h"
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <time.h>

#define MAX_THREADS   64
#define MAX_PROCESSES 64
#define KIDS	      3	     /* children a thread may have at a time */
#define DEPTH	      3	     /* generations of children */
#define ZONE	      64UL   /* interleaved pages of a thread */
#define SHARED	      48UL   /* data pages of the shared file */
#define PATTERN	      32UL   /* pages of the file mapped privately */
#define STEP	      0x9e3779b97f4a7c15ULL
#define PLACE	      0x200000000000UL /* far from what mmap chooses by itself */

enum { STEPS, FORKS, EXECS, MAPS, UNMAPS, PROTECTS, REMAPS, DROPS, WRITES, PROBES, CHECKS,
       REFUSED, MISMATCHES, COUNTS };
static const char *const count_names[] = { "steps", "forks", "execs", "maps", "unmaps",
	"protects", "remaps", "drops", "writes", "probes", "pages_verified", "refused",
	"mismatches" };

/* The head of the shared file; its data pages follow. */
struct head {
	atomic_ullong counts[COUNTS];
	atomic_bool stop;
	atomic_bool busy[SHARED];   /* try-lock of a data page */
	uint64_t stamp[SHARED];     /* its content, under busy */
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
	(void)context;
	if (probe)
		siglongjmp(*probe, signo);
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
	if (steps)
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
			wrong("mremap of %p from %zu to %zu pages: %s", (void *)address(t, from),
			      n, keep, strerror(errno));
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
			wrong("mremap of %zu pages from %p to %p: %s", n,
			      (void *)address(t, from), (void *)address(t, to), strerror(errno));
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
	bool store = pick(t, 2), can = p->mapped && p->prot & (store ? PROT_WRITE : PROT_READ);
	sigjmp_buf back;
	volatile bool done = false;

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
	char *at = t->window + page * PAGE;

	if (!pick(t, 4) && madvise(at, n * PAGE, MADV_DONTNEED))
		wrong("drop of shared pages at %p: %s", (void *)at, strerror(errno));
	if (!pick(t, 16)) {
		munmap(t->window, SHARED * PAGE);
		t->window = mmap(NULL, SHARED * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED,
				 shared_fd, PAGE);
		if (t->window == MAP_FAILED)
			wrong("mmap of the shared file: %s", strerror(errno));
		at = t->window + page * PAGE;
	}
	if (atomic_exchange(&head->busy[page], true))
		return;
	verify(at, head->stamp[page]);
	if (pick(t, 2)) {
		head->stamp[page] = mix(t->owner, (uintptr_t)at, ++t->generation);
		fill(at, head->stamp[page]);
	}
	atomic_store(&head->busy[page], false);
	count(CHECKS, 1);
}

/* Children ------------------------------------------------------------------- */

/* Take leave of children that have ended; of all when everyone, or fail at the limit. */
static void reap(struct thread *t, bool everyone)
{
	struct timespec nap = { 0, 1000000 };
	int status;

	for (unsigned i = 0; i < t->kids;) {
		pid_t got = waitpid(t->kid[i], &status, WNOHANG);

		if (got == t->kid[i]) {
			if (status && !atomic_load(&head->stop))
				wrong("child %d ends with status %#x", (int)got, status);
			t->kids--;
			t->kid[i] = t->kid[t->kids];
			t->born[i] = t->born[t->kids];
			continue;
		}
		if (got < 0)
			wrong("waitpid(%d): %s", (int)t->kid[i], strerror(errno));
		if (since(&t->born[i]) > limit * 1000ULL)
			wrong("child %d does not end in %u s", (int)t->kid[i], limit);
		if (everyone)
			nanosleep(&nap, NULL);
		else
			i++;
	}
}

static void run_steps(struct thread *t, uint64_t n);

static __attribute__((noreturn)) void child(struct thread *t, bool everything)
{
	lone = true;
	for (unsigned i = 0; everything && i < threads; i++)
		if (&team[i] != t)
			verify_all(&team[i]);
	t->kids = 0;
	t->depth++;
	me = t->owner = mix(t->owner, t->random, (uint64_t)getpid());
	t->random = t->owner;
	verify_all(t);
	run_steps(t, 4 + pick(t, 24));
	verify_all(t);
	reap(t, true);
	_exit(0);
}

/* Run this program afresh: from a child by exec, or by the library's spawn (vfork). */
static void step_exec(struct thread *t)
{
	char words[6][24];
	char *argv[] = { (char *)prog, words[0], words[1], words[2], words[3], words[4], NULL };
	extern char **environ;
	pid_t pid;
	int err = 0;

	snprintf(words[0], sizeof(words[0]), "--afresh=%d", shared_fd);
	snprintf(words[1], sizeof(words[1]), "--steps=%u", 4 + (unsigned)pick(t, 12));
	snprintf(words[2], sizeof(words[2]), "--seed=%llu",
		 (unsigned long long)next_random(&t->random) >> 8);
	snprintf(words[3], sizeof(words[3]), "--limit=%u", limit);
	snprintf(words[4], sizeof(words[4]), "--depth=%u", t->depth + 1);
	if (pick(t, 2)) {
		err = posix_spawn(&pid, self_path, NULL, NULL, argv, environ);
	} else {
		pid = fork();
		if (!pid) {
			execv(self_path, argv);
			wrong("exec of %s: %s", self_path, strerror(errno));
		}
		err = pid < 0 ? errno : 0;
	}
	if (err == EAGAIN || err == ENOMEM) {
		count(REFUSED, 1);
		return;
	}
	if (err)
		wrong("spawn of %s: %s", self_path, strerror(err));
	clock_gettime(CLOCK_MONOTONIC, &t->born[t->kids]);
	t->kid[t->kids++] = pid;
	count(EXECS, 1);
}

static void step_fork(struct thread *t, bool everything)
{
	pid_t pid = fork();

	if (!pid)
		child(t, everything);
	if (pid < 0) {
		if (errno != EAGAIN && errno != ENOMEM)
			wrong("fork: %s", strerror(errno));
		count(REFUSED, 1);
		return;
	}
	clock_gettime(CLOCK_MONOTONIC, &t->born[t->kids]);
	t->kid[t->kids++] = pid;
	count(FORKS, 1);
}

/* Hold the other threads between two steps, so that a child can check what they own as well. */
static void fork_still(struct thread *t)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 2;
	if (pthread_rwlock_timedwrlock(&still, &until))
		return;
	step_fork(t, true);
	pthread_rwlock_unlock(&still);
}

static void one_step(struct thread *t)
{
	static void (*const plain[])(struct thread *) = { step_map, step_map, step_map, step_unmap,
		step_protect, step_protect, step_protect, step_remap, step_remap, step_write,
		step_write, step_write, step_write, step_write, step_write, step_write,
		step_write, step_probe, step_probe, step_probe, step_shared, step_shared };
	const unsigned others = sizeof(plain) / sizeof(*plain) * 4;
	uint64_t roll = pick(t, others + drop_weight + fork_weight);

	if (roll < others)
		plain[roll / 4](t);
	else if (roll < others + drop_weight)
		step_drop(t);
	else if (t->kids < KIDS && t->depth < DEPTH) {
		if (!pick(t, 5))
			step_exec(t);
		else
			step_fork(t, false);
	}
}

static void run_steps(struct thread *t, uint64_t n)
{
	for (uint64_t i = 1; (!n || i <= n) && !over(); i++) {
		if (!lone)
			pthread_rwlock_rdlock(&still);
		one_step(t);
		reap(t, false);
		if (!(i % 64))
			verify_all(t);
		if (!lone)
			pthread_rwlock_unlock(&still);
		count(STEPS, 1);
		if (!lone && fork_weight && t->kids < KIDS && !(i % 97))
			fork_still(t);
	}
}

static void *thread_main(void *arg)
{
	struct thread *t = arg;

	me = t->owner;
	run_steps(t, steps);
	verify_all(t);
	reap(t, true);
	return NULL;
}

/* Processes ------------------------------------------------------------------ */

static void prepare(unsigned process)
{
	struct sigaction act = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER };
	char page[PAGE];

	sigaction(SIGSEGV, &act, NULL);
	sigaction(SIGBUS, &act, NULL);
	pattern_fd = memfd_create("pattern", 0);
	if (pattern_fd < 0)
		die(errno, "memfd_create");
	for (size_t i = 0; i < PATTERN; i++) {
		pattern[i] = mix(seed, process, i);
		fill(page, pattern[i]);
		if (write(pattern_fd, page, PAGE) != (ssize_t)PAGE)
			die(errno, "write of the pattern file");
	}
	for (unsigned i = 0; i < threads; i++) {
		struct thread *t = &team[i];

		t->index = i;
		t->owner = t->random = mix(seed, process, i);
		t->model = (struct page *)map_anon((all_pages() * sizeof(struct page) + PAGE - 1) &
						   ~(PAGE - 1), PAGE);
		t->window = mmap(NULL, SHARED * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED,
				 shared_fd, PAGE);
		if (t->window == MAP_FAILED)
			die(errno, "mmap of the shared file");
	}
}

/* The life of one process: its threads, to the end. */
static int life(unsigned process)
{
	pthread_attr_t attr;
	int err;

	prepare(process);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 128 * KIB);
	for (unsigned i = 1; i < threads; i++) {
		err = pthread_create(&team[i].handle, &attr, thread_main, &team[i]);
		if (err)
			die(err, "thread %u", i);
	}
	thread_main(&team[0]);
	for (unsigned i = 1; i < threads; i++)
		pthread_join(team[i].handle, NULL);
	return 0;
}
