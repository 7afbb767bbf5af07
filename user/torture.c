/* SPDX-License-Identifier: MIT */
/*
 * torture.c - threads and processes do everything to their memory and check every byte of it.
 *
 * A thread owns the pages of a slot of its own and every THREADS-th page of a zone that the
 * threads of its process interleave in, so that they meet in the same page tables; torture.h
 * has its steps. A child of fork verifies the snapshot (that of all threads, when they were
 * held still), goes on with the memory as its own, and tells by its exit status; some run this
 * program afresh. The first process starts the others after a short warm-up round, waits with
 * a limit, and compares the free memory before and after. Every wait has a limit.
 */
#include "user/torture.h"
#include <pthread.h>
#include <spawn.h>

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
	me = t->owner = mix(t->owner, t->random, t->depth);
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
	char words[5][32];
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
	static void (*const plain[])(struct thread *) = {
		step_map, step_map, step_map, step_unmap, step_protect, step_protect,
		step_protect, step_remap, step_remap, step_write, step_write, step_write,
		step_write, step_write, step_write, step_write, step_write, step_probe,
		step_probe, step_probe, step_shared, step_shared
	};
	const unsigned others = sizeof(plain) / sizeof(*plain) * 4;
	uint64_t roll = pick(t, others + drop_weight + fork_weight);

	if (roll < others)
		plain[roll / 4](t);
	else if (roll < others + drop_weight)
		step_drop(t);
	else if (t->depth < DEPTH && (t->kids < KIDS || steps)) {
		if (t->kids == KIDS) /* counted steps are the same steps each time */
			reap(t, true);
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
		if (!lone && fork_weight && !(i % 97)) {
			if (steps)
				reap(t, true);
			if (t->kids < KIDS)
				fork_still(t);
		}
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
		t->model = (struct page *)map_anon(
			(all_pages() * sizeof(struct page) + PAGE - 1) & ~(PAGE - 1), PAGE);
		t->window = mmap(NULL, SHARED * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, shared_fd,
				 PAGE);
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

/* Start all processes and wait for them so many seconds; whether all went well. */
static bool round_of(uint64_t round_seed, uint64_t allowed_s)
{
	pid_t pids[MAX_PROCESSES];
	struct timespec start, nap = { 0, 5000000 };
	unsigned left = processes, said = 0;
	int status;

	clock_gettime(CLOCK_MONOTONIC, &start);
	fflush(stdout);
	for (unsigned i = 0; i < processes; i++) {
		pids[i] = fork();
		if (pids[i] < 0)
			die(errno, "fork");
		if (!pids[i]) {
			setpgid(0, 0);
			seed = round_seed;
			_exit(life(i));
		}
	}
	while (left) {
		nanosleep(&nap, NULL);
		for (unsigned i = 0; i < processes; i++) {
			if (!pids[i] || waitpid(pids[i], &status, WNOHANG) != pids[i])
				continue;
			if (status) {
				fprintf(stderr, "torture: process %u ends with status %#x\n", i,
					(unsigned)status);
				count(MISMATCHES, !atomic_load(&head->counts[MISMATCHES]));
				atomic_store(&head->stop, true);
				kill(-pids[i], SIGKILL);
			}
			pids[i] = 0;
			left--;
		}
		if (since(&start) / 10000 > said)
			fprintf(stderr, "# %u s, %llu steps, %llu forks\n", ++said * 10,
				(unsigned long long)atomic_load(&head->counts[STEPS]),
				(unsigned long long)atomic_load(&head->counts[FORKS]));
		if (since(&start) < allowed_s * 1000)
			continue;
		for (unsigned i = 0; i < processes; i++) {
			if (!pids[i])
				continue;
			fprintf(stderr, "torture: process %u (pid %d) hangs\n", i, (int)pids[i]);
			kill(-pids[i], SIGKILL);
		}
		count(MISMATCHES, 1);
		return false;
	}
	return !atomic_load(&head->counts[MISMATCHES]);
}

/* A counter of /proc/vmstat once it is within slack of what it was; its last value else. */
static uint64_t settled(const char *name, uint64_t was, uint64_t slack)
{
	struct timespec nap = { 0, 20000000 };
	uint64_t now = 0;

	for (unsigned i = 0; i < 100; i++) {
		now = proc_number("/proc/vmstat", name, 0);
		if (now + slack >= was && now <= was + slack)
			break;
		nanosleep(&nap, NULL);
	}
	return now;
}

static void on_stop(int signo)
{
	(void)signo;
	atomic_store(&head->stop, true);
}

static void usage(void)
{
	printf(
		"usage: torture [--seconds N | --steps N] [--seed S] [-t THREADS] [-p PROCESSES]\n"
		"       [--fork-weight W] [--drop-weight W] [--pages N] [--limit SECONDS] [-j]\n"
		"  Map, unmap, protect, move, drop, fork, exec and verify every byte.\n"
		"  Default 10 s, seed 1, 4 threads in each of 2 processes, weights 3 and 10 (of\n"
		"  about 100), 600 pages a thread, 120 s for a child to end.\n");
}

int main(int argc, char **argv)
{
	enum { SECONDS = 256,
	       STEPS_OPTION,
	       SEED,
	       FORK,
	       DROP,
	       PAGES,
	       LIMIT,
	       AFRESH,
	       AT_DEPTH };
	static const struct option options[] = {
		{ "seconds", 1, NULL, SECONDS },
		{ "steps", 1, NULL, STEPS_OPTION },
		{ "seed", 1, NULL, SEED },
		{ "fork-weight", 1, NULL, FORK },
		{ "drop-weight", 1, NULL, DROP },
		{ "pages", 1, NULL, PAGES },
		{ "limit", 1, NULL, LIMIT },
		{ "afresh", 1, NULL, AFRESH },
		{ "depth", 1, NULL, AT_DEPTH },
		{ "help", 0, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	uint64_t free_before, free_after, tables_before, tables_after, want_steps;
	struct rusage ru;
	int option, afresh = -1;
	bool good, quire = !access("/proc/tunables", R_OK);

	prog = "torture";
	while ((option = long_option(argc, argv, "jt:p:h", options)) != -1) {
		switch (option) {
		case SECONDS: seconds = parse_number("seconds", optarg, 1, 1000000); break;
		case STEPS_OPTION: steps = parse_number("steps", optarg, 1, UINT32_MAX); break;
		case SEED: seed = parse_number("seed", optarg, 0, UINT64_MAX); break;
		case FORK: fork_weight = parse_number("weight", optarg, 0, 10000); break;
		case DROP: drop_weight = parse_number("weight", optarg, 0, 10000); break;
		case PAGES: slot_pages = parse_number("pages", optarg, 16, 1 << 20); break;
		case LIMIT: limit = parse_number("limit", optarg, 1, 100000); break;
		case AFRESH: afresh = (int)parse_number("file", optarg, 0, 1000); break;
		case AT_DEPTH: team[0].depth = parse_number("depth", optarg, 0, 1000); break;
		case 't': threads = parse_number("threads", optarg, 1, MAX_THREADS); break;
		case 'p': processes = parse_number("processes", optarg, 1, MAX_PROCESSES); break;
		case 'j': rows_json = true; break;
		case 'h': usage(); return 0;
		}
	}
	no_more_words(optind, argc, argv);
	shared_fd = afresh >= 0 ? afresh : memfd_create("shared", 0);
	if (shared_fd < 0 || (afresh < 0 && ftruncate(shared_fd, FILE_BYTES)))
		die(errno, "the shared file");
	head = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, shared_fd, 0);
	if (head == MAP_FAILED)
		die(errno, "mmap of the shared file");
	if (afresh >= 0) {
		threads = 1;
		lone = true;
		return life(0);
	}
	signal(SIGINT, on_stop);
	signal(SIGTERM, on_stop);

	/* The warm-up: caches fill, files are read, all that stays is there before we count. */
	want_steps = steps;
	steps = 150;
	clock_gettime(CLOCK_MONOTONIC, &deadline);
	deadline.tv_sec += 2;
	good = round_of(mix(seed, ~0ULL, 0), 2 * limit);
	steps = want_steps;
	free_before = proc_number("/proc/vmstat", "nr_free_pages", 0);
	tables_before = proc_number("/proc/vmstat", "nr_page_table_pages", 0);
	for (int i = 0; i < COUNTS; i++)
		if (i != MISMATCHES)
			atomic_store(&head->counts[i], 0);
	clock_gettime(CLOCK_MONOTONIC, &deadline);
	deadline.tv_sec = steps ? 0 : deadline.tv_sec + (time_t)seconds;
	good = good && round_of(seed, 2 * limit + (steps ? 3600 : seconds));

	row("seed", seed);
	row("threads", threads);
	row("processes", processes);
	getrusage(RUSAGE_CHILDREN, &ru);
	row("faults", (uint64_t)ru.ru_minflt + (uint64_t)ru.ru_majflt);
	for (int i = 0; i < COUNTS; i++)
		row(count_names[i], atomic_load(&head->counts[i]));
	if (quire && good) {
		free_after = settled("nr_free_pages", free_before, 256);
		tables_after = settled("nr_page_table_pages", tables_before, 16);
		row("free_pages_before", free_before);
		row("free_pages_after", free_after);
		row("table_pages_before", tables_before);
		row("table_pages_after", tables_after);
		if (free_after + 256 < free_before || tables_after > tables_before + 16) {
			fprintf(stderr, "torture: memory is lost\n");
			good = false;
		}
	}
	rows_end();
	return good ? 0 : 1;
}
