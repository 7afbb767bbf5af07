/* SPDX-License-Identifier: MIT */
/*
 * listing_test.c - a directory is listed in time that grows with its names, and /proc with its processes.
 *
 * Ticks are instructions here. Eight times as many entries may take eight times as long, and somewhat more;
 * what looks at all before each one takes tens of times. A listing goes on rightly when names go under it.
 *
 * tests/run: icount nocheck limit=60
 */
#include "tests/user/test.h"
#include <dirent.h>
#include <x86intrin.h>

#define FOLDER "/tmp/listing"

/* Entries of the folder but "." and ".."; the ticks of a listing in *TICKS. */
static int list(const char *path, uint64_t *ticks)
{
	uint64_t start = __rdtsc();
	DIR *dir = opendir(path);
	struct dirent *e;
	int n = 0;

	REQUIRE(dir);
	while ((e = readdir(dir)))
		n += e->d_name[0] != '.';
	closedir(dir);
	*ticks = __rdtsc() - start;
	return n;
}

static void files(int from, int to, bool there)
{
	char name[64];

	for (int i = from; i < to; i++) {
		snprintf(name, sizeof(name), FOLDER "/%d", i);
		REQUIRE(there ? mknod(name, S_IFREG | 0600, 0) == 0 : unlink(name) == 0);
	}
}

static void names_of_a_folder(void)
{
	uint64_t few, many;

	REQUIRE(mkdir(FOLDER, 0700) == 0);
	files(0, 1000, true);
	EXPECT_EQ(list(FOLDER, &few), 1000);
	files(1000, 8000, true);
	EXPECT_EQ(list(FOLDER, &many), 8000);
	printf("# 1000 names: %lu ticks, 8000: %lu\n", few, many);
	EXPECT(many < 11 * few);
	files(0, 8000, false);
}

/* Every name that was there all the time is listed once, whatever goes, comes and is renamed between. */
static void names_that_go(void)
{
	static unsigned char seen[3000];
	DIR *dir, *other;
	struct dirent *e;
	unsigned n = 0;

	files(0, 1000, true);
	dir = opendir(FOLDER);
	REQUIRE(dir);
	while ((e = readdir(dir))) {
		int i = atoi(e->d_name);

		if (e->d_name[0] == '.')
			continue;
		seen[i]++;
		n++;
		if (n == 100) {
			other = opendir(FOLDER);
			REQUIRE(other && readdir(other) && readdir(other) && readdir(other));
			closedir(other);
			files(0, 400, false);	/* all that was listed, and where the listing goes on */
			files(500, 600, false);
			files(2000, 2100, true);
			REQUIRE(rename(FOLDER "/700", FOLDER "/2500") == 0);
		}
	}
	closedir(dir);
	for (int i = 0; i < 1000; i++)
		if (i < 100 || (i >= 400 && i < 500) || (i >= 600 && i != 700))
			EXPECT_EQ(seen[i], 1);
	EXPECT_EQ(seen[700] + seen[2500], 1);
	files(400, 500, false);
	files(600, 700, false);
	files(701, 1000, false);
	files(2000, 2100, false);
	EXPECT(unlink(FOLDER "/2500") == 0 && rmdir(FOLDER) == 0);
}

static int born;
static pid_t pids[805];

static void processes(int to)
{
	for (; born < to; born++) {
		pids[born] = fork();
		if (pids[born] == 0) {
			pause();
			_exit(0);
		}
		REQUIRE(pids[born] > 0);
	}
}

/* The numbers under /proc grow, and each of ours is there once. */
static void numbers_in_order(void)
{
	DIR *proc = opendir("/proc");
	struct dirent *e;
	int last = 0, ours = 0;

	REQUIRE(proc);
	while ((e = readdir(proc))) {
		int pid = atoi(e->d_name);

		if (!pid)
			continue;
		EXPECT(pid > last);
		last = pid;
		for (int i = 0; i < born; i++)
			ours += pids[i] == pid;
	}
	closedir(proc);
	EXPECT_EQ(ours, born);
}

static void processes_in_proc(void)
{
	uint64_t few, many, none;
	int least = list("/proc", &none);

	processes(100);
	EXPECT_EQ(list("/proc", &few), least + 100);
	processes(800);
	EXPECT_EQ(list("/proc", &many), least + 800);
	printf("# %d entries: %lu ticks, 100 more: %lu, 800 more: %lu\n", least, none, few, many);
	EXPECT(many - none < 11 * (few - none));
	numbers_in_order();
}

/* Numbers begin again behind the largest: the list of processes stays in their order. */
static void numbers_that_begin_again(void)
{
	pid_t pid, last = getpid();
	bool again = false;

	for (int i = 0; i < 40000 && !again; i++) {
		if (last > 32000 && born < 801)
			processes(801);		/* one that stays, with a large number */
		pid = vfork();
		if (pid == 0)
			_exit(0);
		REQUIRE(pid > 0 && waitpid(pid, NULL, 0) == pid);
		again = pid < last;
		last = pid;
	}
	EXPECT(again);
	kill(pids[0], SIGKILL);
	waitpid(pids[0], NULL, 0);
	pids[0] = fork();
	if (pids[0] == 0) {
		pause();
		_exit(0);
	}
	processes(805);
	numbers_in_order();
	for (int i = 0; i < born; i++) {
		kill(pids[i], SIGKILL);
		waitpid(pids[i], NULL, 0);
	}
}

int main(void)
{
	RUN(names_of_a_folder);
	RUN(names_that_go);
	RUN(processes_in_proc);
	RUN(numbers_that_begin_again);
	return test_end();
}
