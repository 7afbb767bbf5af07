/* SPDX-License-Identifier: MIT */
/*
 * race_test.c - calls of several threads at once on several CPUs, for a time each: the break, futexes
 * that are requeued, threads that end while others signal them, processes that end in
 * every way with many threads in every state, timers set and deleted while they fire, wake-ups
 * between CPUs that must not be lost. With one CPU it passes as well, and finds little.
 * tests/run: smp=4 limit=100 nocheck
 */
#include "tests/user/test.h"
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>

#define THREADS 4
enum { FUTEX_WAIT = 0, FUTEX_CMP_REQUEUE = 4 };
#define SECONDS 1.5

static atomic_bool over;
static atomic_int wrong;
static struct timespec begun;

static bool late(double seconds)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - begun.tv_sec) + (double)(now.tv_nsec - begun.tv_nsec) / 1e9 > seconds;
}

static unsigned random_of(unsigned *seed, unsigned n)
{
	*seed = *seed * 1103515245 + 12345;
	return (*seed >> 8) % n;
}

/* N threads run fn(0), fn(1), … until they return; the caller is the first. */
static void together(unsigned n, void *(*fn)(void *))
{
	pthread_t thread[16];

	over = false;
	wrong = 0;
	clock_gettime(CLOCK_MONOTONIC, &begun);
	for (long t = 1; t < n; t++)
		REQUIRE(pthread_create(&thread[t], NULL, fn, (void *)t) == 0);
	fn(NULL);
	for (unsigned t = 1; t < n; t++)
		pthread_join(thread[t], NULL);
	EXPECT_EQ(wrong, 0);
}

/* The break ---------------------------------------------------------------------- */

static char *brk_start;

static void *move_break(void *arg)
{
	unsigned seed = (unsigned)(long)arg;

	while (!late(SECONDS))
		syscall(SYS_brk, brk_start + random_of(&seed, 64) * 4096);
	return NULL;
}

static void the_break(void)
{
	unsigned char vec;
	char *end;

	brk_start = (char *)(((unsigned long)syscall(SYS_brk, 0) + 4095) & ~4095UL);
	together(THREADS, move_break);
	end = (char *)syscall(SYS_brk, 0);
	EXPECT(end >= brk_start && end <= brk_start + 64 * 4096);
	for (char *at = brk_start; at < end; at += 4096)
		EXPECT(mincore(at, 4096, &vec) == 0);	/* no hole */
	for (char *at = end; at < brk_start + 64 * 4096; at += 4096)
		EXPECT_ERRNO(mincore(at, 4096, &vec), ENOMEM);	/* nothing left behind */
	syscall(SYS_brk, brk_start);
}

/* Requeueing --------------------------------------------------------------------- */

static atomic_uint word;
static unsigned second;

static long futex(void *at, int op, unsigned value, const void *timeout, void *to, unsigned value3)
{
	return syscall(SYS_futex, at, op, value, timeout, to, value3);
}

/* The first waits only while the word is 1; the others move who waits while it is 0: nobody, ever. */
static void *wait_or_requeue(void *arg)
{
	struct timespec soon = { 0, 20000 };

	while (!late(SECONDS)) {
		if (!arg) {
			word = 1;
			futex(&word, FUTEX_WAIT, 1, &soon, NULL, 0);
			word = 0;
		} else if (futex(&word, FUTEX_CMP_REQUEUE, 0, (void *)8, &second, 0) > 0) {
			wrong++;
		}
	}
	return NULL;
}

static void requeue(void)
{
	word = 0;
	together(3, wait_or_requeue);
}

/* Signals to threads that end ------------------------------------------------------ */

static atomic_int tids[THREADS];
static atomic_uint handled;

static void on_signal(int signo)
{
	(void)signo;
	handled++;
}

static void *short_life(void *arg)
{
	tids[(long)arg] = (int)syscall(SYS_gettid);
	for (unsigned i = 0; i < 50; i++)
		if (i % 10 == 0)
			sched_yield();
	return NULL;
}

static void *live_or_signal(void *arg)
{
	unsigned seed = (unsigned)(long)arg;
	long t = (long)arg;

	while (!late(SECONDS)) {
		pthread_t thread;

		if (t == 3) {
			syscall(SYS_tgkill, getpid(), tids[random_of(&seed, 3)], SIGUSR1);
			if (random_of(&seed, 8) == 0)
				kill(getpid(), SIGUSR1);
		} else if (pthread_create(&thread, NULL, short_life, (void *)t) == 0) {
			pthread_join(thread, NULL);
		}
	}
	return NULL;
}

static void signals_and_ends(void)
{
	struct sigaction act = { .sa_handler = on_signal, .sa_flags = SA_RESTART };

	sigaction(SIGUSR1, &act, NULL);
	together(4, live_or_signal);
	EXPECT(handled > 0);
	signal(SIGUSR1, SIG_DFL);
}

/* Ends of processes ---------------------------------------------------------------- */

static int pipe_of[2];

/* In every state in which the end may find a thread. */
static void *be_in_the_way(void *arg)
{
	struct timespec nap = { 0, 100000 };
	unsigned seed = (unsigned)(long)arg, never = 0;
	char byte;

	for (;;) {
		switch ((long)arg % 6) {
		case 0: futex(&never, FUTEX_WAIT, 0, NULL, NULL, 0); break;
		case 1: nanosleep(&nap, NULL); break;
		case 2: if (read(pipe_of[0], &byte, 1) < 0) return NULL; break;
		case 3: munmap(mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0),
			       65536); break;
		case 4: if (fork() == 0) _exit(0); waitpid(-1, NULL, 0); nanosleep(&nap, NULL); break;
		default: random_of(&seed, 2);
		}
	}
}

static void *leave(void *arg)
{
	switch ((long)arg) {
	case 0: _exit(7);
	case 1: kill(getpid(), SIGKILL); break;
	case 2: raise(SIGSEGV); break;
	case 3: execl("/bin/true", "true", (char *)NULL); break;
	}
	for (;;)
		pause();
}

static void one_end(unsigned how, bool from_first)
{
	int wanted[] = { 7 << 8, SIGKILL, SIGSEGV, 0 }, status = -1;
	pid_t pid = fork();

	if (!pid) {
		pthread_t thread;

		alarm(80);
		if (pipe(pipe_of))
			_exit(99);
		for (long t = 0; t < 6; t++)
			pthread_create(&thread, NULL, be_in_the_way, (void *)t);
		if (!from_first)
			pthread_create(&thread, NULL, leave, (void *)(long)how);
		leave((void *)(long)(from_first ? how : 4));
	}
	REQUIRE(waitpid(pid, &status, 0) == pid);
	EXPECT_EQ(status, wanted[how]);
}

static void ends_of_processes(void)
{
	clock_gettime(CLOCK_MONOTONIC, &begun);
	for (unsigned i = 0; i < 8 || !late(3 * SECONDS); i++)
		one_end(i % 4, i / 4 % 2);
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
}

/* Timers --------------------------------------------------------------------------- */

static void *set_timers(void *arg)
{
	struct itimerspec often = { { 0, 50000 }, { 0, 20000 } };
	unsigned seed = (unsigned)(long)arg;

	while (!late(SECONDS)) {
		struct sigevent ev = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
		timer_t id;

		if (timer_create(CLOCK_MONOTONIC, &ev, &id)) {
			wrong++;
			break;
		}
		timer_settime(id, 0, &often, NULL);
		for (unsigned n = random_of(&seed, 3000); n; n--)
			atomic_signal_fence(memory_order_seq_cst);
		if (random_of(&seed, 2))
			sched_yield();
		timer_settime(id, 0, &often, NULL);
		if (timer_delete(id))
			wrong++;
	}
	return NULL;
}

static void timers(void)
{
	struct sigaction act = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
	unsigned now;

	sigaction(SIGUSR1, &act, NULL);
	together(THREADS, set_timers);
	now = handled;
	usleep(20000);
	EXPECT_EQ(handled, now);	/* none is left */
}

/* Wake-ups ------------------------------------------------------------------------- */

static int forth[2], back[2];

static void pin(unsigned cpu)
{
	unsigned long mask = 1UL << cpu;

	syscall(SYS_sched_setaffinity, 0, sizeof(mask), &mask);	/* one CPU only: refused, and no matter */
}

static void *ping_or_pong(void *arg)
{
	char byte = 0;

	pin(arg ? 1 : 0);
	if (!arg) {
		while (!late(SECONDS))
			if (write(forth[1], &byte, 1) != 1 || read(back[0], &byte, 1) != 1)
				wrong++;
		byte = 1;
		if (write(forth[1], &byte, 1) != 1)
			wrong++;
		return NULL;
	}
	while (read(forth[0], &byte, 1) == 1 && !byte)
		if (write(back[1], &byte, 1) != 1)
			wrong++;
	return NULL;
}

static void wake_ups(void)
{
	REQUIRE(pipe(forth) == 0 && pipe(back) == 0);
	together(2, ping_or_pong);
}

int main(void)
{
	RUN(the_break);
	RUN(requeue);
	RUN(signals_and_ends);
	RUN(ends_of_processes);
	RUN(timers);
	RUN(wake_ups);
	return test_end();
}
