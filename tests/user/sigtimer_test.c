/* SPDX-License-Identifier: MIT */
/*
 * sigtimer_test.c - timers that end in a signal: timer_create and its family with intervals, overruns,
 * absolute times and threads; the three setitimer clocks.
 */
#include "tests/user/test.h"
#include <limits.h>
#include <sched.h>
#include <sys/time.h>

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id __sev_fields.sigev_notify_thread_id
#endif

static volatile int calls, last_code, last_value, last_overrun;

static void note(int sig, siginfo_t *info, void *context)
{
	(void)sig, (void)context;
	calls++;
	last_code = info->si_code;
	last_value = info->si_value.sival_int;
	last_overrun = info->si_overrun;
}

static void handle(int sig)
{
	struct sigaction action = { .sa_sigaction = note, .sa_flags = SA_SIGINFO };

	sigemptyset(&action.sa_mask);
	REQUIRE(sigaction(sig, &action, NULL) == 0);
	calls = 0;
}

static struct itimerspec times(long first_ms, long then_ms)
{
	return (struct itimerspec){ { then_ms / 1000, then_ms % 1000 * 1000000 },
				    { first_ms / 1000, first_ms % 1000 * 1000000 } };
}

static void once_and_again(void)
{
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL,
				  .sigev_signo = SIGUSR1,
				  .sigev_value = { .sival_int = 4711 } };
	struct itimerspec t = times(500, 0), now;
	sigset_t blocked, before;
	timer_t timer;

	handle(SIGUSR1);
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGUSR1);
	sigprocmask(SIG_BLOCK, &blocked, &before);	/* it may expire before we wait */
	REQUIRE(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
	EXPECT(timer_gettime(timer, &now) == 0 && !now.it_value.tv_sec && !now.it_value.tv_nsec);
	EXPECT_ERRNO(syscall(SYS_timer_settime, 0, 0, NULL, NULL), EINVAL);
	EXPECT(timer_settime(timer, 0, &t, NULL) == 0);
	EXPECT(timer_gettime(timer, &now) == 0 && now.it_value.tv_nsec > 0 &&
	       now.it_value.tv_nsec <= 500000000);
	sigsuspend(&before);
	sigprocmask(SIG_SETMASK, &before, NULL);
	EXPECT_EQ(calls, 1);
	EXPECT_EQ(last_code, SI_TIMER);
	EXPECT_EQ(last_value, 4711);
	EXPECT(timer_gettime(timer, &now) == 0 && !now.it_value.tv_sec && !now.it_value.tv_nsec);
	t = times(5, 5);
	EXPECT(timer_settime(timer, 0, &t, NULL) == 0);
	while (calls < 6)
		pause();
	t = times(0, 0);
	EXPECT(timer_settime(timer, 0, &t, &now) == 0);
	EXPECT(now.it_interval.tv_nsec == 5000000 && now.it_value.tv_nsec <= 5000000);
	calls = 0;
	sleep_ms(20);
	EXPECT_EQ(calls, 0);
	EXPECT(timer_delete(timer) == 0);
	EXPECT(timer_delete(timer) != 0);
	EXPECT_ERRNO(timer_gettime(timer, &now), EINVAL);
}

static void overruns(void)
{
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 1 };
	struct itimerspec t = times(1, 1);
	sigset_t set;
	timer_t timer;

	handle(SIGRTMIN + 1);
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	REQUIRE(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
	EXPECT(timer_settime(timer, 0, &t, NULL) == 0);
	sleep_ms(50);
	t = times(0, 0);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	timer_settime(timer, 0, &t, NULL);
	EXPECT(calls >= 1 && calls < 10);
	EXPECT(timer_delete(timer) == 0);
	REQUIRE(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
	sigprocmask(SIG_BLOCK, &set, NULL);
	t = times(1, 1000);
	EXPECT(timer_settime(timer, 0, &t, NULL) == 0);
	sleep_ms(10);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	EXPECT_EQ(timer_getoverrun(timer), 0);
	EXPECT(timer_delete(timer) == 0);
	REQUIRE(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
	sigprocmask(SIG_BLOCK, &set, NULL);
	t = times(1, 1);
	EXPECT(timer_settime(timer, 0, &t, NULL) == 0);
	sleep_ms(60);
	siginfo_t info;

	EXPECT_EQ(sigwaitinfo(&set, &info), SIGRTMIN + 1);
	EXPECT(info.si_overrun >= 40);
	EXPECT_EQ(timer_getoverrun(timer), info.si_overrun);
	EXPECT(timer_delete(timer) == 0);
	while (sigtimedwait(&set, &info, &(struct timespec){ 0, 0 }) > 0)
		;
	sigprocmask(SIG_UNBLOCK, &set, NULL);
}

static void absolute(void)
{
	const clockid_t clocks[] = { CLOCK_MONOTONIC, CLOCK_REALTIME };
	struct itimerspec t = times(0, 0), left;
	struct timespec before, after;
	timer_t timer;

	handle(SIGALRM);
	for (int i = 0; i < 2; i++) {
		REQUIRE(timer_create(clocks[i], NULL, &timer) == 0);
		clock_gettime(clocks[i], &before);
		t.it_value = before;
		t.it_value.tv_nsec += 30000000;
		if (t.it_value.tv_nsec >= 1000000000)
			t.it_value.tv_nsec -= 1000000000, t.it_value.tv_sec++;
		calls = 0;
		EXPECT(timer_settime(timer, TIMER_ABSTIME, &t, NULL) == 0);
		EXPECT(timer_gettime(timer, &left) == 0 && left.it_value.tv_nsec <= 30000000);
		while (!calls)
			pause();
		clock_gettime(clocks[i], &after);
		EXPECT((after.tv_sec - before.tv_sec) * 1000000000L + after.tv_nsec -
			       before.tv_nsec >=
		       30000000L);
		t.it_value = before; /* past: at once */
		calls = 0;
		EXPECT(timer_settime(timer, TIMER_ABSTIME, &t, NULL) == 0);
		sleep_ms(2);
		EXPECT_EQ(calls, 1);
		EXPECT(timer_delete(timer) == 0);
	}
	EXPECT_EQ(last_code, SI_TIMER);
}

static void to_a_thread_and_to_nobody(void)
{
	struct sigevent event = { .sigev_notify = 4 /* SIGEV_THREAD_ID */, .sigev_signo = SIGUSR2 };
	struct itimerspec t = times(5, 0), left;
	timer_t timer;
	int id;

	handle(SIGUSR2);
	event.sigev_notify_thread_id = gettid();
	REQUIRE(syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &id) == 0);
	EXPECT(syscall(SYS_timer_settime, id, 0, &t, NULL) == 0);
	while (!calls)
		pause();
	EXPECT(syscall(SYS_timer_delete, id) == 0);
	event.sigev_notify_thread_id = getppid();
	EXPECT_ERRNO(syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &id), EINVAL);
	event.sigev_notify = SIGEV_NONE;
	REQUIRE(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
	t = times(10000, 0);
	EXPECT(timer_settime(timer, 0, &t, NULL) == 0);
	EXPECT(timer_gettime(timer, &left) == 0 && left.it_value.tv_sec == 9);
	t = times(1, 0);
	EXPECT(timer_settime(timer, 0, &t, NULL) == 0);
	sleep_ms(5);
	EXPECT(timer_gettime(timer, &left) == 0 && !left.it_value.tv_sec && !left.it_value.tv_nsec);
	EXPECT(timer_delete(timer) == 0);
	EXPECT_ERRNO(syscall(SYS_timer_create, 4444, NULL, &id), EINVAL);
	event.sigev_notify = SIGEV_SIGNAL, event.sigev_signo = 65;
	EXPECT_ERRNO(syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &id), EINVAL);
	t.it_value.tv_nsec = 1000000000;
	EXPECT_ERRNO(syscall(SYS_timer_settime, 0, 0, &t, NULL), EINVAL);
}

static void burn(long ms)
{
	struct timespec from, now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
	do
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	while ((now.tv_sec - from.tv_sec) * 1000 + (now.tv_nsec - from.tv_nsec) / 1000000 < ms);
}

static void cpu_time(void)
{
	const int which[] = { ITIMER_PROF, ITIMER_VIRTUAL }, signals[] = { SIGPROF, SIGVTALRM };
	struct itimerval t = { { 0, 20000 }, { 0, 20000 } }, none = { { 0, 0 }, { 0, 0 } }, now;

	for (int i = 0; i < 2; i++) {
		handle(signals[i]);
		EXPECT(setitimer(which[i], &t, NULL) == 0);
		sleep_ms(60);
		EXPECT_EQ(calls, 0); /* it does not use any */
		EXPECT(getitimer(which[i], &now) == 0 && now.it_value.tv_usec > 0);
		if (i == 0) {
			burn(150);
			EXPECT(calls >= 3 && calls <= 9);
		} else {
			for (volatile long n = 0; calls < 2 && n < 4000000000L; n++)
				;
			EXPECT(calls >= 2);
		}
		EXPECT(setitimer(which[i], &none, &now) == 0);
		EXPECT_EQ(now.it_interval.tv_usec, 20000);
	}
	EXPECT_ERRNO(setitimer(3, &none, NULL), EINVAL);
	EXPECT_ERRNO(getitimer(-1, &now), EINVAL);
}

static void alarms(void)
{
	struct itimerval t = { { 0, 5000 }, { 0, 5000 } }, none = { { 0, 0 }, { 0, 0 } };

	/* an ignored interval timer goes on, and is heard once there is a handler */
	signal(SIGALRM, SIG_IGN);
	EXPECT(setitimer(ITIMER_REAL, &t, NULL) == 0);
	sleep_ms(20);
	EXPECT(setitimer(ITIMER_REAL, &none, &t) == 0);
	EXPECT_EQ(t.it_interval.tv_usec, 5000);
	/* not inherited by a child, kept by exec: only the first is seen here */
	handle(SIGALRM);
	EXPECT_EQ(alarm(1000), 0);
	pid_t pid = fork();

	if (pid == 0)
		_exit(alarm(0) != 0);
	int status;

	EXPECT(waitpid(pid, &status, 0) == pid && status == 0);
	EXPECT_EQ(alarm(0), 1000);
}

/* A timer that could not be told of is none: it takes up no place. */
static void untold(void)
{
	timer_t id;
	int made = 0;

	for (int i = 0; i < 1100; i++)
		made += syscall(SYS_timer_create, CLOCK_MONOTONIC, NULL, NULL) == 0 || errno != EFAULT;
	EXPECT_EQ(made, 0);
	EXPECT(timer_create(CLOCK_MONOTONIC, NULL, &id) == 0);
	EXPECT(timer_delete(id) == 0);
}

/* The longest times there are neither come at once nor come without end. */
static void ages(void)
{
	struct itimerval forever = { { 0, 0 }, { LONG_MAX, 0 } }, off = { { 0, 0 }, { 0, 0 } };
	struct itimerspec often = { { LONG_MAX, 0 }, { 0, 1000000 } };
	struct sigaction action = { .sa_sigaction = note, .sa_flags = SA_SIGINFO };
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
	timer_t id;

	sigaction(SIGUSR1, &action, NULL);
	for (int which = ITIMER_VIRTUAL; which <= ITIMER_PROF; which++) {
		EXPECT(setitimer(which, &forever, NULL) == 0);
		for (volatile int i = 0; i < 10000000; i++)
			;
		EXPECT(setitimer(which, &off, NULL) == 0);
	}
	calls = 0;
	EXPECT(timer_create(CLOCK_MONOTONIC, &event, &id) == 0);
	EXPECT(timer_settime(id, 0, &often, NULL) == 0);
	for (int i = 0; i < 5; i++)
		sleep_ms(5);
	EXPECT_EQ(calls, 1);
	EXPECT(timer_delete(id) == 0);
}

static char stack[65536] __attribute__((aligned(16)));
static volatile int its_timer = -1;

static int set_and_exec(void *arg)
{
	struct itimerspec often = { { 0, 5000000 }, { 0, 5000000 } };
	int id;

	(void)arg;
	if (syscall(SYS_timer_create, CLOCK_MONOTONIC, NULL, &id) ||
	    syscall(SYS_timer_settime, id, 0, &often, NULL))
		_exit(1);
	its_timer = id;
	execl("/proc/self/exe", "sigtimer_test", "leave", NULL);
	_exit(1);
}

/* Who execs lets go of the timers it set where it shared its handlers with another process. */
static void exec_of_a_sharer(void)
{
	struct itimerspec left;
	int status = -1;
	pid_t child = clone(set_and_exec, stack + sizeof(stack), CLONE_VM | CLONE_SIGHAND | SIGCHLD, NULL);

	REQUIRE(child > 0);
	EXPECT(waitpid(child, &status, 0) == child);
	EXPECT_EQ(status, 0);
	EXPECT(its_timer >= 0);
	EXPECT_ERRNO(syscall(SYS_timer_gettime, its_timer, &left), EINVAL);
	sleep_ms(50);
}

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "leave"))
		return 0;
	RUN(once_and_again);
	RUN(overruns);
	RUN(absolute);
	RUN(to_a_thread_and_to_nobody);
	RUN(cpu_time);
	RUN(alarms);
	RUN(untold);
	RUN(ages);
	RUN(exec_of_a_sharer);
	return test_end();
}
