# SPDX-License-Identifier: MIT
"""A program written on the spot runs: threads, signals, fork, shared mappings, mremap.
Static, static-PIE, and dynamically linked with its loader beside it."""
from lib import run, equal, compile, finish

MUSL = "/lib/ld-musl-x86_64.so.1"

MINE = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHECK(x) do { if (!(x)) { printf("line %d: %s\n", __LINE__, #x); exit(1); } } while (0)

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static __thread int mine;
static int total;

static void *adder(void *arg)
{
	for (mine = 0; mine < 1000; mine++) {
		pthread_mutex_lock(&mutex);
		total++;
		pthread_mutex_unlock(&mutex);
	}
	return arg;
}

static sigjmp_buf back;
static void *volatile where;
static volatile int code, ticks;
static void segv(int sig, siginfo_t *info, void *context)
{
	(void)sig, (void)context;
	where = info->si_addr;
	code = info->si_code;
	siglongjmp(back, 1);
}
static void tick(int sig) { (void)sig; ticks++; }

int main(int argc, char **argv)
{
	CHECK(argc == 3 && !strcmp(argv[1], "a") && !strcmp(argv[2], "b"));

	pthread_t thread[8];
	for (int i = 0; i < 8; i++)
		CHECK(!pthread_create(&thread[i], 0, adder, &thread[i]));
	for (int i = 0; i < 8; i++) {
		void *result;
		CHECK(!pthread_join(thread[i], &result) && result == &thread[i]);
	}
	CHECK(total == 8000 && mine == 0);

	struct sigaction act = { .sa_sigaction = segv, .sa_flags = SA_SIGINFO };
	sigaction(SIGSEGV, &act, 0);
	char *page = mmap(0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (!sigsetjmp(back, 1)) { *(volatile char *)(page + 5) = 1; CHECK(0); }
	CHECK(where == page + 5 && code == SEGV_ACCERR);
	munmap(page, 4096);
	if (!sigsetjmp(back, 1)) { *(volatile char *)(page + 6) = 1; CHECK(0); }
	CHECK(where == page + 6 && code == SEGV_MAPERR);
	signal(SIGALRM, tick);
	alarm(1);
	pause();
	CHECK(ticks == 1);

	char name[] = "/tmp/mineXXXXXX";
	int fd = mkstemp(name);
	CHECK(fd >= 0 && !ftruncate(fd, 65536));
	int *shared = mmap(0, 65536, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(shared != MAP_FAILED);
	int private = 1;
	for (int i = 0; i < 4; i++)
		if (!fork()) {
			private = 2;
			shared[i * 1024] = private + i;
			_exit(i);
		}
	for (int i = 0, sum = 0; i < 4; i++) {
		int status;
		CHECK(wait(&status) > 0 && WIFEXITED(status));
		sum += WEXITSTATUS(status);
		CHECK(i < 3 || sum == 6);
	}
	CHECK(private == 1);
	for (int i = 0; i < 4; i++) {
		int value;
		CHECK(pread(fd, &value, 4, i * 4096) == 4 && value == 2 + i);
	}

	char *a = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	strcpy(a + 4096, "kept");
	char *b = mremap(a, 8192, 1 << 20, MREMAP_MAYMOVE);
	CHECK(b != MAP_FAILED && !strcmp(b + 4096, "kept") && b[(1 << 20) - 1] == 0);
	CHECK(mremap(b, 1 << 20, 8192, 0) == b && !strcmp(b + 4096, "kept"));
	puts("good");
	return 42;
}
"""
path = compile(MINE, "mine")
done = run("--add", path, "--", "mine", "a", "b")
equal((done.status, done.out), (42, b"good\n"), "mine")
done = run("--smp", "2", "--append", "debug_check=2", "--add", path, "--", "mine", "a", "b")
equal((done.status, done.out), (42, b"good\n"), "mine, checked after each operation")
path = compile(MINE, "pie", "-static-pie", "-fPIE")
done = run("--add", path, "--", "pie", "a", "b")
equal((done.status, done.out), (42, b"good\n"), "the same as a static-PIE program")
path = compile(MINE, "dynamic", static=False)
equal(run("--add", path, "--", "dynamic", "a", "b").status, 127, "a program without its loader")
done = run("--add", MUSL + "=" + MUSL, "--add", path, "--", "dynamic", "a", "b")
equal((done.status, done.out), (42, b"good\n"), "the same, dynamically linked")
finish()
