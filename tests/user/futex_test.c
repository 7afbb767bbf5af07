/* SPDX-License-Identifier: MIT */
/*
 * futex_test.c - the futex call itself: values, time-outs, counts woken, requeueing, bit
 * sets, words shared between processes, and hostile addresses.
 */
#include "tests/user/test.h"
#include <pthread.h>

/* the kernel's numbers: <linux/futex.h> does not come with musl */
#define FUTEX_WAIT	       0
#define FUTEX_WAKE	       1
#define FUTEX_REQUEUE	       3
#define FUTEX_CMP_REQUEUE      4
#define FUTEX_WAIT_BITSET      9
#define FUTEX_WAKE_BITSET      10
#define FUTEX_PRIVATE_FLAG     128
#define FUTEX_WAKE_PRIVATE     (FUTEX_WAKE | FUTEX_PRIVATE_FLAG)
#define FUTEX_CLOCK_REALTIME   256
#define FUTEX_BITSET_MATCH_ANY 0xffffffffu

static uint32_t word, second;
static int woken;

static long futex(uint32_t *at, int op, uint32_t value, const void *timeout, uint32_t *at2,
		  uint32_t value3)
{
	return syscall(SYS_futex, at, op, value, timeout, at2, value3);
}

static void *waiter(void *arg)
{
	long result = futex(&word, FUTEX_WAIT | (int)(long)arg, 0, NULL, NULL, 0);

	if (result == 0)
		__atomic_fetch_add(&woken, 1, __ATOMIC_SEQ_CST);
	return (void *)result;
}

static void start_waiters(pthread_t *threads, int count, int flags)
{
	woken = 0;
	word = 0;
	for (int t = 0; t < count; t++)
		REQUIRE(pthread_create(&threads[t], NULL, waiter, (void *)(long)flags) == 0);
	sleep_ms(50);
}

static void expect_woken(int count)
{
	for (int i = 0; i < 200 && __atomic_load_n(&woken, __ATOMIC_SEQ_CST) < count; i++)
		sleep_ms(5);
	EXPECT_EQ(woken, count);
}

static void value_differs(void)
{
	word = 5;
	EXPECT_ERRNO(futex(&word, FUTEX_WAIT, 4, NULL, NULL, 0), EAGAIN);
	EXPECT_EQ(futex(&word, FUTEX_WAKE, 10, NULL, NULL, 0), 0);
}

static void timeouts(void)
{
	struct timespec relative = { 0, 30000000 }, before, after, bad = { 0, 1000000000 };

	word = 1;
	clock_gettime(CLOCK_MONOTONIC, &before);
	EXPECT_ERRNO(futex(&word, FUTEX_WAIT, 1, &relative, NULL, 0), ETIMEDOUT);
	clock_gettime(CLOCK_MONOTONIC, &after);
	EXPECT((after.tv_sec - before.tv_sec) * 1000000000L + after.tv_nsec - before.tv_nsec >=
	       30000000);
	EXPECT_ERRNO(futex(&word, FUTEX_WAIT, 1, &bad, NULL, 0), EINVAL);
	/* WAIT_BITSET takes an absolute time */
	clock_gettime(CLOCK_MONOTONIC, &after);
	EXPECT_ERRNO(futex(&word, FUTEX_WAIT_BITSET, 1, &after, NULL, FUTEX_BITSET_MATCH_ANY),
		     ETIMEDOUT);
	clock_gettime(CLOCK_REALTIME, &after);
	after.tv_nsec += 20000000;
	if (after.tv_nsec >= 1000000000)
		after.tv_sec++, after.tv_nsec -= 1000000000;
	EXPECT_ERRNO(futex(&word, FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, 1, &after, NULL,
			   FUTEX_BITSET_MATCH_ANY),
		     ETIMEDOUT);
}

static void wake_counts(void)
{
	pthread_t threads[5];

	for (int flags = 0; flags <= FUTEX_PRIVATE_FLAG; flags += FUTEX_PRIVATE_FLAG) {
		start_waiters(threads, 5, flags);
		EXPECT_EQ(futex(&word, FUTEX_WAKE | flags, 2, NULL, NULL, 0), 2);
		expect_woken(2);
		sleep_ms(20);
		EXPECT_EQ(woken, 2);
		EXPECT_EQ(futex(&word, FUTEX_WAKE | flags, 100, NULL, NULL, 0), 3);
		expect_woken(5);
		for (int t = 0; t < 5; t++)
			pthread_join(threads[t], NULL);
	}
}

static void requeue(void)
{
	pthread_t threads[4];

	start_waiters(threads, 4, 0);
	second = 0;
	EXPECT_ERRNO(futex(&word, FUTEX_CMP_REQUEUE, 1, (void *)10, &second, 99), EAGAIN);
	EXPECT_EQ(futex(&word, FUTEX_CMP_REQUEUE, 1, (void *)10, &second, 0), 4);
	expect_woken(1);
	EXPECT_EQ(futex(&word, FUTEX_WAKE, 10, NULL, NULL, 0), 0);
	EXPECT_EQ(futex(&second, FUTEX_WAKE, 10, NULL, NULL, 0), 3);
	expect_woken(4);
	for (int t = 0; t < 4; t++)
		pthread_join(threads[t], NULL);
}

static void *bit_waiter(void *arg)
{
	if (futex(&word, FUTEX_WAIT_BITSET, 0, NULL, NULL, (uint32_t)(long)arg) == 0)
		__atomic_fetch_add(&woken, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

static void bit_sets(void)
{
	pthread_t a, b;

	word = 0, woken = 0;
	REQUIRE(pthread_create(&a, NULL, bit_waiter, (void *)1L) == 0);
	REQUIRE(pthread_create(&b, NULL, bit_waiter, (void *)2L) == 0);
	sleep_ms(30);
	EXPECT_EQ(futex(&word, FUTEX_WAKE_BITSET, 10, NULL, NULL, 4), 0);
	EXPECT_EQ(futex(&word, FUTEX_WAKE_BITSET, 10, NULL, NULL, 2), 1);
	pthread_join(b, NULL);
	EXPECT_EQ(futex(&word, FUTEX_WAKE, 10, NULL, NULL, 0), 1);
	pthread_join(a, NULL);
	EXPECT_ERRNO(futex(&word, FUTEX_WAKE_BITSET, 1, NULL, NULL, 0), EINVAL);
}

static void between_processes(void)
{
	uint32_t *shared =
		mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status;
	pid_t pid;

	REQUIRE((void *)shared != MAP_FAILED);
	pid = fork();
	if (pid == 0) {
		while (__atomic_load_n(shared, __ATOMIC_SEQ_CST) == 0)
			futex(shared, FUTEX_WAIT, 0, NULL, NULL, 0);
		_exit(*shared == 1 ? 0 : 1);
	}
	sleep_ms(30);
	__atomic_store_n(shared, 1, __ATOMIC_SEQ_CST);
	futex(shared, FUTEX_WAKE, 1, NULL, NULL, 0);
	EXPECT(waitpid(pid, &status, 0) == pid && status == 0);
	munmap(shared, PAGE);
}

/* A waiter in a private page that fork has shared: the waker must still find it. */
static void private_page_after_fork(void)
{
	pthread_t thread;
	int status;
	pid_t pid;

	start_waiters(&thread, 1, FUTEX_PRIVATE_FLAG);
	pid = fork();
	if (pid == 0) {
		word = 9;
		_exit(futex(&word, FUTEX_WAKE_PRIVATE, 10, NULL, NULL, 0) != 0);
	}
	EXPECT(waitpid(pid, &status, 0) == pid && status == 0);
	word = 1;
	EXPECT_EQ(futex(&word, FUTEX_WAKE_PRIVATE, 10, NULL, NULL, 0), 1);
	pthread_join(thread, NULL);
}

static void on_signal(int sig)
{
	(void)sig;
}

static void *interrupted(void *arg)
{
	(void)arg;
	return (void *)(long)(futex(&word, FUTEX_WAIT, 0, NULL, NULL, 0) == -1 && errno == EINTR);
}

static void signals_interrupt(void)
{
	struct sigaction action = { .sa_handler = on_signal };
	pthread_t thread;
	void *result;

	sigaction(SIGUSR1, &action, NULL);
	word = 0;
	REQUIRE(pthread_create(&thread, NULL, interrupted, NULL) == 0);
	sleep_ms(30);
	pthread_kill(thread, SIGUSR1);
	pthread_join(thread, &result);
	EXPECT_EQ((long)result, 1);
}

/* Nobody moves, and the walk over the waiters ends. */
static void requeue_onto_itself(void)
{
	pthread_t threads[3];
	void *result;

	start_waiters(threads, 3, 0);
	EXPECT_EQ(futex(&word, FUTEX_REQUEUE, 0, (void *)0x7fffffffL, &word, 0), 0);
	EXPECT_EQ(futex(&word, FUTEX_CMP_REQUEUE, 1, (void *)0x7fffffffL, &word, word), 3);
	EXPECT_EQ(futex(&word, FUTEX_WAKE, 5, NULL, NULL, 0), 2);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], &result);
	EXPECT_EQ(woken, 3);
}

static void bad_arguments(void)
{
	struct timespec soon = { 0, 1000000 };

	EXPECT_ERRNO(futex((uint32_t *)((char *)&word + 1), FUTEX_WAIT, 0, &soon, NULL, 0), EINVAL);
	EXPECT_ERRNO(futex(NULL, FUTEX_WAIT, 0, &soon, NULL, 0), EFAULT);
	EXPECT_ERRNO(futex((uint32_t *)0xffff800000000000UL, FUTEX_WAIT, 0, &soon, NULL, 0),
		     EFAULT);
	EXPECT_ERRNO(futex(&word, FUTEX_WAIT, word, (void *)8, NULL, 0), EFAULT);
	EXPECT_ERRNO(futex(&word, 127, 0, NULL, NULL, 0), ENOSYS);
}

int main(void)
{
	RUN(value_differs);
	RUN(timeouts);
	RUN(wake_counts);
	RUN(requeue);
	RUN(requeue_onto_itself);
	RUN(bit_sets);
	RUN(between_processes);
	RUN(private_page_after_fork);
	RUN(signals_interrupt);
	RUN(bad_arguments);
	return test_end();
}
