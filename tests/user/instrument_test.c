/* SPDX-License-Identifier: MIT */
/*
 * instrument_test.c - what Quire alone has: tunables, counter domains, the tree of tables and
 * the walk, each against what the program knows it did. Skipped on Linux.
 */
#include "tests/user/test.h"

static char text[1 << 17];

static char *slurp_fd(int fd)
{
	size_t have = 0;
	ssize_t got;

	while ((got = pread(fd, text + have, sizeof(text) - 1 - have, (off_t)have)) > 0)
		have += (size_t)got;
	text[have] = 0;
	return text;
}

static char *slurp(const char *path)
{
	int fd = open(path, O_RDONLY);

	REQUIRE(fd >= 0);
	slurp_fd(fd);
	close(fd);
	return text;
}

static long value_in(const char *name)
{
	size_t len = strlen(name);

	for (char *at = text; at; at = strchr(at, '\n'), at = at ? at + 1 : NULL)
		if (!strncmp(at, name, len) && (at[len] == ' ' || at[len] == '\t'))
			return strtol(at + len, NULL, 10);
	return -1;
}

static int set_tunable(const char *name, const char *value)
{
	char path[96];
	int fd, result;

	snprintf(path, sizeof(path), "/proc/sys/vm/%s", name);
	fd = open(path, O_WRONLY);
	REQUIRE(fd >= 0);
	result = write(fd, value, strlen(value)) == (ssize_t)strlen(value) ? 0 : errno;
	close(fd);
	return result;
}

static void tunables_are_all_there(void)
{
	static char list[8192];
	int count = 0;

	strcpy(list, slurp("/proc/tunables"));
	for (char *line = list, *next; *line; line = next) {
		char name[64], value[64], range[128], path[96], found[64] = { 0 };

		next = strchr(line, '\n');
		next = next ? next + 1 : line + strlen(line);
		if (!EXPECT_EQ(sscanf(line, "%63s %63s %127s", name, value, range), 3))
			continue;
		snprintf(path, sizeof(path), "/proc/sys/vm/%s", name);
		sscanf(slurp(path), "%63s", found);
		EXPECT(!strcmp(found, value));
		EXPECT_EQ(set_tunable(name, value), 0);
		EXPECT_EQ(set_tunable(name, "no-such-value"), EINVAL);
		EXPECT_EQ(set_tunable(name, "99999999999999999999999"), EINVAL);
		EXPECT_EQ(set_tunable(name, "-1"), EINVAL);
		EXPECT_EQ(set_tunable(name, ""), 0);
		sscanf(slurp(path), "%63s", found);
		EXPECT(!strcmp(found, value));
		count++;
	}
	EXPECT(count >= 5);
}

static void windows_are_rounded_down(void)
{
	char old[32], *newline;

	snprintf(old, sizeof(old), "%.30s", slurp("/proc/sys/vm/fault_around_bytes"));
	newline = strchr(old, '\n');
	if (newline)
		*newline = 0;
	EXPECT_EQ(set_tunable("fault_around_bytes", "10000"), 0);
	EXPECT(!strcmp(slurp("/proc/sys/vm/fault_around_bytes"), "8192\n"));
	EXPECT_EQ(set_tunable("fault_around_bytes", "4095"), EINVAL);
	EXPECT_EQ(set_tunable("fault_around_bytes", "2097153"), EINVAL);
	EXPECT_EQ(set_tunable("fault_around_bytes", "2097152\n"), 0);
	EXPECT(!strcmp(slurp("/proc/sys/vm/fault_around_bytes"), "2097152\n"));
	EXPECT_EQ(set_tunable("fault_around_bytes", old), 0);
}

static void domain_child(void)
{
	int fd = open("/proc/self/counters", O_RDWR);
	long faults, anon;
	struct rusage a, b;
	char *at = anon_pages(200);

	REQUIRE(fd >= 0);
	EXPECT_ERRNO(write(fd, "nonsense", 8), EINVAL);
	EXPECT_EQ(write(fd, "new", 3), 3);
	close(fd);
	fd = open("/proc/self/counters", O_RDONLY);
	REQUIRE(fd >= 0);
	memset(text, 1, 16 * 1024); /* looking must not fault */
	slurp_fd(fd);
	faults = value_in("pgfault");
	anon = value_in("fault_anon");
	EXPECT(faults >= 0 && faults < 20);
	getrusage(RUSAGE_SELF, &a);
	for (size_t i = 0; i < 200; i++)
		at[i * PAGE] = 1;
	getrusage(RUSAGE_SELF, &b);
	slurp_fd(fd);
	EXPECT_EQ(value_in("pgfault"), faults + b.ru_minflt - a.ru_minflt);
	EXPECT_EQ(value_in("fault_anon"), anon + 200);
	EXPECT(value_in("ticks") > 0);
	EXPECT(value_in("syscalls") > 0);
	/* a child counts into the same domain, also after its end */
	pid_t pid = fork();

	if (pid == 0) {
		char *more = anon_pages(50);

		for (size_t i = 0; i < 50; i++)
			more[i * PAGE] = 1;
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	slurp_fd(fd);
	EXPECT(value_in("fault_anon") >= anon + 250);
	EXPECT(value_in("forks") >= 1);
}

static void counter_domains(void)
{
	char path[64];
	int fds[2], fd;
	pid_t pid;
	char byte;

	IN_CHILD(domain_child);
	/* the file of a process that has gone can still be read when it was open */
	REQUIRE(pipe(fds) == 0);
	pid = fork();
	if (pid == 0) {
		fd = open("/proc/self/counters", O_WRONLY);
		if (fd < 0 || write(fd, "new", 3) != 3 || write(fds[1], "x", 1) != 1)
			_exit(1);
		sleep_ms(50);
		char *more = anon_pages(30);

		for (size_t i = 0; i < 30; i++)
			more[i * PAGE] = 1;
		_exit(0);
	}
	EXPECT_EQ(read(fds[0], &byte, 1), 1);
	snprintf(path, sizeof(path), "/proc/%d/counters", pid);
	fd = open(path, O_RDONLY);
	REQUIRE(fd >= 0);
	EXPECT_EQ(waitpid(pid, NULL, 0), pid);
	slurp_fd(fd);
	EXPECT(value_in("fault_anon") >= 30 && value_in("fault_anon") < 100);
	close(fd), close(fds[0]), close(fds[1]);
}

static long tables_in_tree(void)
{
	long tables = 0;

	slurp("/proc/self/pagetable");
	for (char *at = text; *at; tables++) {
		at = strchr(at, '\n');
		if (!at++)
			break;
	}
	return tables;
}

static void tree_of_tables(void)
{
	char *at = mmap(NULL, 1UL << 30, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	long tables;

	REQUIRE(at != MAP_FAILED);
	for (size_t i = 0; i < 20; i++)
		at[i * 2 * MIB] = 1;
	tables = tables_in_tree();
	EXPECT_EQ(tables * 4, proc_value("/proc/self/status", "VmPTE"));
	EXPECT(strstr(text, "L4") && strstr(text, "L1") && strstr(text, "live="));
	munmap(at, 1UL << 30);
	EXPECT(tables_in_tree() <= tables - 19);
}

static char *walk(const void *at)
{
	int fd = open("/proc/self/ptwalk", O_RDONLY);
	ssize_t got;

	REQUIRE(fd >= 0);
	got = pread(fd, text, sizeof(text) - 1, (off_t)(uintptr_t)at);
	EXPECT(got > 0);
	text[got > 0 ? got : 0] = 0;
	close(fd);
	return text;
}

static void walks(void)
{
	char *at = anon_pages(4);

	at[0] = 1;
	walk(at);
	EXPECT(strstr(text, "L4[") && strstr(text, "L3[") && strstr(text, "L2[") &&
	       strstr(text, "L1["));
	EXPECT(strstr(text, "anon") && !strstr(text, "empty"));
	EXPECT(strstr(strstr(text, "L1["), " W ") && strstr(strstr(text, "L1["), " D"));
	EXPECT(strstr(walk(at + PAGE), "empty") != NULL);
	EXPECT(strstr(walk((void *)0x123000), "empty") != NULL);
	mprotect(at, PAGE, PROT_READ);
	EXPECT(!strstr(strstr(walk(at), "L1["), " W "));
	munmap(at, 4 * PAGE);
	EXPECT(strstr(walk(at), "empty") != NULL);
	int fd = open("/proc/self/ptwalk", O_RDONLY);

	EXPECT(pread(fd, text, 100, (off_t)(1UL << 47)) <= 0 || strstr(text, "empty") ||
	       strstr(text, "L4"));
	close(fd);
}

int main(void)
{
	if (!on_quire())
		test_skip("not Quire");
	RUN(tunables_are_all_there);
	RUN(windows_are_rounded_down);
	RUN(counter_domains);
	RUN(tree_of_tables);
	RUN(walks);
	return test_end();
}
