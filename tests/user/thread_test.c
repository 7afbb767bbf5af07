/* SPDX-License-Identifier: MIT */
/*
 * thread_test.c - POSIX threads as musl builds them on clone, futex and TLS: start, join,
 * locks, conditions, keys, cancellation, stacks, and threads together with fork and exit.
 */
#include "tests/user/test.h"
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>

#define THREADS 8

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static pthread_barrier_t barrier;
static _Thread_local int mine = 17;
static int shared_count;

static void *return_argument(void *arg)
{
	return (char *)arg + 1;
}

static void create_and_join(void)
{
	pthread_t threads[THREADS];
	void *result;

	for (long t = 0; t < THREADS; t++)
		REQUIRE(pthread_create(&threads[t], NULL, return_argument, (void *)t) == 0);
	for (long t = 0; t < THREADS; t++) {
		EXPECT(pthread_join(threads[t], &result) == 0);
		EXPECT_EQ((long)result, t + 1);
	}
	for (int i = 0; i < 500; i++) {
		REQUIRE(pthread_create(&threads[0], NULL, return_argument, NULL) == 0);
		pthread_join(threads[0], NULL);
	}
}

static void *count_up(void *arg)
{
	(void)arg;
	for (int i = 0; i < 20000; i++) {
		pthread_mutex_lock(&lock);
		int now = shared_count;

		if (i % 1000 == 0)
			sched_yield();
		shared_count = now + 1;
		pthread_mutex_unlock(&lock);
	}
	return NULL;
}

static void mutex(void)
{
	pthread_t threads[THREADS];

	shared_count = 0;
	for (int t = 0; t < THREADS; t++)
		REQUIRE(pthread_create(&threads[t], NULL, count_up, NULL) == 0);
	for (int t = 0; t < THREADS; t++)
		pthread_join(threads[t], NULL);
	EXPECT_EQ(shared_count, THREADS * 20000);
}

static void *ping_pong(void *arg)
{
	int parity = (int)(long)arg;

	for (int i = 0; i < 500; i++) {
		pthread_mutex_lock(&lock);
		while (shared_count % 2 != parity)
			pthread_cond_wait(&changed, &lock);
		shared_count++;
		pthread_cond_broadcast(&changed);
		pthread_mutex_unlock(&lock);
	}
	return NULL;
}

static void condition(void)
{
	struct timespec when;
	pthread_t a, b;

	shared_count = 0;
	REQUIRE(pthread_create(&a, NULL, ping_pong, (void *)0) == 0);
	REQUIRE(pthread_create(&b, NULL, ping_pong, (void *)1) == 0);
	pthread_join(a, NULL), pthread_join(b, NULL);
	EXPECT_EQ(shared_count, 1000);
	clock_gettime(CLOCK_REALTIME, &when);
	when.tv_nsec += 20000000;
	if (when.tv_nsec >= 1000000000)
		when.tv_sec++, when.tv_nsec -= 1000000000;
	pthread_mutex_lock(&lock);
	EXPECT_EQ(pthread_cond_timedwait(&changed, &lock, &when), ETIMEDOUT);
	pthread_mutex_unlock(&lock);
}

static void *local_storage(void *arg)
{
	if (mine != 17)
		return (void *)1;
	mine = (int)(long)arg;
	for (int i = 0; i < 100; i++) {
		sched_yield();
		if (mine != (int)(long)arg)
			return (void *)2;
	}
	return NULL;
}

static void tls(void)
{
	pthread_t threads[THREADS];
	void *result;

	mine = 17;
	for (long t = 0; t < THREADS; t++)
		REQUIRE(pthread_create(&threads[t], NULL, local_storage, (void *)(t + 100)) == 0);
	for (int t = 0; t < THREADS; t++) {
		pthread_join(threads[t], &result);
		EXPECT(result == NULL);
	}
	EXPECT_EQ(mine, 17);
}

static void *sse_state(void *arg)
{
	double a = (double)(long)arg, sum = 0;

	for (int i = 1; i < 20000; i++) {
		sum += a / i;
		if (i % 5000 == 0)
			sched_yield();
	}
	double *result = malloc(sizeof(*result));

	if (result)
		*result = sum;
	return result;
}

static void floating_point(void)
{
	pthread_t threads[THREADS];
	void *result;

	for (long t = 0; t < THREADS; t++)
		REQUIRE(pthread_create(&threads[t], NULL, sse_state, (void *)(t + 1)) == 0);
	for (long t = 0; t < THREADS; t++) {
		double *expected = sse_state((void *)(t + 1));

		pthread_join(threads[t], &result);
		EXPECT(result && expected && *(double *)result == *expected);
		free(result), free(expected);
	}
}

static void *through_barrier(void *arg)
{
	int *slots = arg, last = 0;

	for (int round = 1; round <= 20; round++) {
		__atomic_fetch_add(&slots[round], 1, __ATOMIC_SEQ_CST);
		last += pthread_barrier_wait(&barrier) == PTHREAD_BARRIER_SERIAL_THREAD;
		if (__atomic_load_n(&slots[round], __ATOMIC_SEQ_CST) != THREADS)
			return (void *)-1;
	}
	return (void *)(long)last;
}

static void barriers(void)
{
	static int slots[32];
	pthread_t threads[THREADS];
	void *result;
	long serial = 0;

	pthread_barrier_init(&barrier, NULL, THREADS);
	for (int t = 0; t < THREADS; t++)
		REQUIRE(pthread_create(&threads[t], NULL, through_barrier, slots) == 0);
	for (int t = 0; t < THREADS; t++) {
		pthread_join(threads[t], &result);
		EXPECT(result != (void *)-1);
		serial += (long)result;
	}
	EXPECT_EQ(serial, 20);
}

static void *wait_forever(void *arg)
{
	sem_post(arg);
	for (;;)
		pause();
	return NULL;
}

static void *spin_and_test(void *arg)
{
	sem_post(arg);
	for (;;)
		pthread_testcancel();
	return NULL;
}

static void *read_a_pipe(void *arg)
{
	int *fds = arg;
	char byte;

	pthread_cleanup_push((void (*)(void *))(uintptr_t)close, (void *)(long)fds[1]);
	if (read(fds[0], &byte, 1) == 1)
		fds[0] = -1;
	pthread_cleanup_pop(0);
	return NULL;
}

static void cancellation(void)
{
	pthread_t thread;
	void *result;
	sem_t ready;
	int fds[2];

	sem_init(&ready, 0, 0);
	REQUIRE(pthread_create(&thread, NULL, wait_forever, &ready) == 0);
	sem_wait(&ready);
	EXPECT(pthread_cancel(thread) == 0);
	EXPECT(pthread_join(thread, &result) == 0 && result == PTHREAD_CANCELED);
	REQUIRE(pthread_create(&thread, NULL, spin_and_test, &ready) == 0);
	sem_wait(&ready);
	EXPECT(pthread_cancel(thread) == 0);
	EXPECT(pthread_join(thread, &result) == 0 && result == PTHREAD_CANCELED);
	REQUIRE(pipe(fds) == 0);
	REQUIRE(pthread_create(&thread, NULL, read_a_pipe, fds) == 0);
	sleep_ms(10);
	EXPECT(pthread_cancel(thread) == 0);
	EXPECT(pthread_join(thread, &result) == 0 && result == PTHREAD_CANCELED);
	EXPECT_ERRNO(close(fds[1]), EBADF);
	close(fds[0]);
}

static void *overflow_stack(void *arg)
{
	char *low = arg;

	return (void *)(long)try_write(low);
}

static void guard_pages(void)
{
	pthread_attr_t attr;
	pthread_t thread;
	char *area = anon_pages(20);
	void *result;

	/* threads share the trap's state: only the new one uses it now */
	EXPECT(mprotect(area, PAGE, PROT_NONE) == 0);
	pthread_attr_init(&attr);
	EXPECT(pthread_attr_setstack(&attr, area + PAGE, 19 * PAGE) == 0);
	REQUIRE(pthread_create(&thread, &attr, overflow_stack, area + PAGE - 1) == 0);
	pthread_join(thread, &result);
	EXPECT_EQ((long)result, SIGSEGV);
	munmap(area, 20 * PAGE);
}

static void *hold_memory(void *arg)
{
	char *at = arg;

	for (int i = 0; i < 50; i++)
		for (size_t p = 0; p < 64; p++)
			__atomic_fetch_add((int *)(at + p * PAGE), 1, __ATOMIC_SEQ_CST);
	return NULL;
}

static void faults_in_parallel(void)
{
	pthread_t threads[THREADS];
	char *at = anon_pages(64);

	for (int t = 0; t < THREADS; t++)
		REQUIRE(pthread_create(&threads[t], NULL, hold_memory, at) == 0);
	for (int t = 0; t < THREADS; t++)
		pthread_join(threads[t], NULL);
	for (size_t p = 0; p < 64; p++)
		if (!EXPECT_EQ(*(int *)(at + p * PAGE), THREADS * 50))
			break;
	munmap(at, 64 * PAGE);
}

static void *fork_in_thread(void *arg)
{
	int status = -1;
	pid_t pid;

	(void)arg;
	pid = fork();
	if (pid == 0)
		_exit(getpid() == (pid_t)syscall(SYS_gettid) ? 7 : 8);
	waitpid(pid, &status, 0);
	return (void *)(long)status;
}

static void fork_from_a_thread(void)
{
	pthread_t thread;
	void *result;

	REQUIRE(pthread_create(&thread, NULL, fork_in_thread, NULL) == 0);
	pthread_join(thread, &result);
	EXPECT_EQ((long)result, 7 << 8);
}

static void *exit_process(void *arg)
{
	(void)arg;
	exit(33);
}

static void exit_child(void)
{
	pthread_t threads[4];
	sem_t ready;

	sem_init(&ready, 0, 0);
	for (int t = 0; t < 3; t++)
		pthread_create(&threads[t], NULL, wait_forever, &ready);
	for (int t = 0; t < 3; t++)
		sem_wait(&ready);
	pthread_create(&threads[3], NULL, exit_process, NULL);
	for (;;)
		pause();
}

static void main_leaves_first_child(void)
{
	pthread_t thread;

	pthread_create(&thread, NULL, exit_process, NULL);
	pthread_exit(NULL);
}

static void *exec_true(void *arg)
{
	(void)arg;
	execl("/proc/self/exe", "thread_test", "--exit-21", (char *)NULL);
	return NULL;
}

static void exec_child(void)
{
	pthread_t thread;

	pthread_create(&thread, NULL, exec_true, NULL);
	for (;;)
		pause();
}

static void *crash(void *arg)
{
	signal(SIGSEGV, SIG_DFL);
	*(volatile char *)arg = 1;
	return NULL;
}

static void crash_child(void)
{
	pthread_t thread;

	pthread_create(&thread, NULL, crash, NULL);
	for (;;)
		pause();
}

static void ends_of_processes(void)
{
	int status = in_child(crash_child);

	EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
	EXPECT_EQ(in_child(exit_child), 33 << 8);
	EXPECT_EQ(in_child(main_leaves_first_child), 33 << 8);
	EXPECT_EQ(in_child(exec_child), 21 << 8);
}

static void *report_id(void *arg)
{
	*(pid_t *)arg = (pid_t)syscall(SYS_gettid);
	return (void *)(long)(getpid());
}

static void identities(void)
{
	pthread_t thread;
	pid_t id = 0;
	void *pid;

	REQUIRE(pthread_create(&thread, NULL, report_id, &id) == 0);
	pthread_join(thread, &pid);
	EXPECT_EQ((long)pid, getpid());
	EXPECT(id != getpid() && id > 0);
	EXPECT_EQ(syscall(SYS_gettid), getpid());
	EXPECT_ERRNO(syscall(SYS_tgkill, getpid(), id, 0), ESRCH);
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "--exit-21"))
		return 21;
	catch_faults(0);
	RUN(create_and_join);
	RUN(mutex);
	RUN(condition);
	RUN(tls);
	RUN(floating_point);
	RUN(barriers);
	RUN(cancellation);
	RUN(guard_pages);
	RUN(faults_in_parallel);
	RUN(fork_from_a_thread);
	RUN(ends_of_processes);
	RUN(identities);
	return test_end();
}
