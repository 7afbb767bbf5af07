/* SPDX-License-Identifier: MIT */
/* time_test.c - clocks go forward and agree, sleeps last, and processor time is counted. */
#include "tests/user/test.h"
#include <sys/time.h>
#include <sys/times.h>
#include <sys/sysinfo.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>

static int64_t now_ns(clockid_t clock)
{
	struct timespec t;

	REQUIRE(clock_gettime(clock, &t) == 0);
	EXPECT(t.tv_nsec >= 0 && t.tv_nsec < 1000000000);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void spin_ms(int ms)
{
	int64_t end = now_ns(CLOCK_MONOTONIC) + ms * 1000000LL;

	while (now_ns(CLOCK_MONOTONIC) < end)
		;
}

static void monotonic(void)
{
	int64_t last = now_ns(CLOCK_MONOTONIC), first = last;

	for (int i = 0; i < 20000; i++) {
		int64_t now = now_ns(CLOCK_MONOTONIC);

		if (!EXPECT(now >= last))
			break;
		last = now;
	}
	EXPECT(last > first);
}

static void clocks_agree(void)
{
	struct timeval tv;
	int64_t real = now_ns(CLOCK_REALTIME), difference;
	time_t seconds;

	REQUIRE(gettimeofday(&tv, NULL) == 0);
	seconds = time(NULL);
	difference = tv.tv_sec * 1000000000LL + tv.tv_usec * 1000LL - real;
	EXPECT(difference >= -1000 && difference < 1000000000);
	EXPECT(seconds - tv.tv_sec >= 0 && seconds - tv.tv_sec <= 2);
	EXPECT(seconds > 1577836800); /* after 2020 */
	int64_t offset = now_ns(CLOCK_REALTIME) - now_ns(CLOCK_MONOTONIC);

	sleep_ms(20);
	difference = now_ns(CLOCK_REALTIME) - now_ns(CLOCK_MONOTONIC) - offset;
	EXPECT(difference > -10000000 && difference < 10000000);
	EXPECT(now_ns(CLOCK_BOOTTIME) > 0);
	EXPECT(now_ns(CLOCK_MONOTONIC_RAW) > 0);
	EXPECT(now_ns(CLOCK_MONOTONIC_COARSE) <= now_ns(CLOCK_MONOTONIC));
}

static void sleeping(void)
{
	struct timespec t = { 0, 50000000 }, until, bad = { 0, 1000000000 }, negative = { -1, 0 };
	int64_t start = now_ns(CLOCK_MONOTONIC), lasted;

	EXPECT(nanosleep(&t, NULL) == 0);
	lasted = now_ns(CLOCK_MONOTONIC) - start;
	EXPECT(lasted >= 50000000 && lasted < 2000000000);
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += 30000000;
	if (until.tv_nsec >= 1000000000)
		until.tv_sec++, until.tv_nsec -= 1000000000;
	EXPECT_EQ(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL), 0);
	EXPECT(now_ns(CLOCK_MONOTONIC) >= until.tv_sec * 1000000000LL + until.tv_nsec);
	EXPECT_EQ(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL), 0);
	t.tv_nsec = 0;
	EXPECT(nanosleep(&t, NULL) == 0);
	EXPECT_ERRNO(nanosleep(&bad, NULL), EINVAL);
	EXPECT_ERRNO(nanosleep(&negative, NULL), EINVAL);
	EXPECT_ERRNO(syscall(SYS_nanosleep, (void *)8, NULL), EFAULT);
	for (int i = 0; i < 10; i++) {
		struct timespec brief = { 0, 1000000 };

		start = now_ns(CLOCK_MONOTONIC);
		nanosleep(&brief, NULL);
		EXPECT(now_ns(CLOCK_MONOTONIC) - start >= 1000000);
	}
}

static void sleepers_wake_in_order(void)
{
	int fds[2];
	char got[6] = { 0 };

	REQUIRE(pipe(fds) == 0);
	for (int i = 4; i >= 0; i--) {
		if (fork() == 0) {
			char letter = (char)('a' + i);

			sleep_ms(40 + 40 * i);
			_exit(write(fds[1], &letter, 1) != 1);
		}
	}
	for (int i = 0; i < 5; i++)
		EXPECT_EQ(read(fds[0], got + i, 1), 1);
	while (wait(NULL) > 0)
		;
	EXPECT(!strcmp(got, "abcde"));
	close(fds[0]), close(fds[1]);
}

static void processor_time(void)
{
	struct rusage before, after;
	int64_t used = now_ns(CLOCK_PROCESS_CPUTIME_ID), thread = now_ns(CLOCK_THREAD_CPUTIME_ID);
	struct tms tms;

	getrusage(RUSAGE_SELF, &before);
	spin_ms(60);
	getrusage(RUSAGE_SELF, &after);
	used = now_ns(CLOCK_PROCESS_CPUTIME_ID) - used;
	thread = now_ns(CLOCK_THREAD_CPUTIME_ID) - thread;
	EXPECT(used >= 5000000 && used < 3000000000LL);
	EXPECT(thread >= 5000000 && thread <= used + 20000000);
	int64_t spent = (after.ru_utime.tv_sec + after.ru_stime.tv_sec - before.ru_utime.tv_sec -
			 before.ru_stime.tv_sec) *
				1000000LL +
			after.ru_utime.tv_usec + after.ru_stime.tv_usec - before.ru_utime.tv_usec -
			before.ru_stime.tv_usec;

	EXPECT(spent >= 5000);
	used = now_ns(CLOCK_PROCESS_CPUTIME_ID);
	sleep_ms(100);
	EXPECT(now_ns(CLOCK_PROCESS_CPUTIME_ID) - used < 60000000);
	EXPECT(times(&tms) != (clock_t)-1);
	EXPECT(tms.tms_utime + tms.tms_stime > 0);
}

static int64_t us_of(struct timeval t)
{
	return t.tv_sec * 1000000LL + t.tv_usec;
}

/* The part of the next 400 ms of processor time that is the kernel's, per cent, in a loop of fn. */
static int kernel_share(void (*fn)(void))
{
	struct rusage from, to, last;

	getrusage(RUSAGE_SELF, &from);
	last = from;
	do {
		for (int i = 0; i < 10; i++)
			fn();
		getrusage(RUSAGE_SELF, &to);
		EXPECT(us_of(to.ru_utime) >= us_of(last.ru_utime));
		EXPECT(us_of(to.ru_stime) >= us_of(last.ru_stime));
		last = to;
	} while (us_of(to.ru_utime) + us_of(to.ru_stime) < us_of(from.ru_utime) + us_of(from.ru_stime) + 400000);
	return (int)((us_of(to.ru_stime) - us_of(from.ru_stime)) * 100 / 400000);
}

static void in_the_program(void)
{
	for (volatile int i = 0; i < 20000; i++)
		;
}

static char buffer[65536];
static int zero_fd;

static void in_the_kernel(void)
{
	if (read(zero_fd, buffer, sizeof(buffer)) != sizeof(buffer))
		EXPECT(false);
}

static char *pages;

static void in_faults(void)
{
	for (int i = 0; i < 64; i++)
		pages[i * 4096] = 1;
	madvise(pages, 64 * 4096, MADV_DONTNEED);
}

/* Sampled, so near enough is good. */
static void program_and_kernel(void)
{
	zero_fd = open("/dev/zero", O_RDONLY);
	pages = mmap(NULL, 64 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	REQUIRE(zero_fd >= 0 && pages != MAP_FAILED);
	EXPECT(kernel_share(in_the_program) < 40);
	EXPECT(kernel_share(in_the_kernel) > 50);
	EXPECT(kernel_share(in_faults) > 50);
}

static void errors_and_information(void)
{
	struct timespec t;
	struct sysinfo info;

	EXPECT_ERRNO(syscall(SYS_clock_gettime, 999, &t), EINVAL);
	EXPECT_ERRNO(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, (void *)8), EFAULT);
	EXPECT(clock_getres(CLOCK_MONOTONIC, &t) == 0);
	EXPECT(t.tv_sec == 0 && t.tv_nsec > 0 && t.tv_nsec <= 10000000);
	EXPECT(sysinfo(&info) == 0);
	EXPECT(info.totalram > 0 && info.freeram <= info.totalram && info.mem_unit > 0);
	EXPECT(info.procs > 0);
	int64_t apart = now_ns(CLOCK_BOOTTIME) / 1000000000 - (int64_t)info.uptime;

	EXPECT(apart >= -2 && apart <= 2);
}

int main(void)
{
	RUN(monotonic);
	RUN(clocks_agree);
	RUN(sleeping);
	RUN(sleepers_wake_in_order);
	RUN(processor_time);
	RUN(program_and_kernel);
	RUN(errors_and_information);
	return test_end();
}
