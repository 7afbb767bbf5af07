/* SPDX-License-Identifier: MIT */
/*
 * proc_test.c - what /proc says of memory is what the program has done to it. Exact on
 * Quire; Linux counts the resident set in per-CPU parts, so there it may be a little off.
 *
 * Files are read into memory that is present beforehand, so that looking changes nothing.
 */
#include <sys/resource.h>
#include "tests/user/test.h"
#include <sys/uio.h>

static char text[1 << 18];
static long slack_kb;
static bool zero_page = true;

static char *slurp(const char *path)
{
	int fd = open(path, O_RDONLY);
	size_t have = 0;
	ssize_t got;

	REQUIRE(fd >= 0);
	while ((got = read(fd, text + have, sizeof(text) - 1 - have)) > 0)
		have += (size_t)got;
	text[have] = 0;
	close(fd);
	return text;
}

/* A field in kB of /proc/self/status. */
static long status_kb(const char *field)
{
	char *at = slurp("/proc/self/status");
	size_t len = strlen(field);

	for (; at; at = strchr(at, '\n'), at = at ? at + 1 : NULL)
		if (!strncmp(at, field, len) && at[len] == ':')
			return strtol(at + len + 1, NULL, 10);
	return -1;
}

/* A field in kB of the region of /proc/self/smaps that begins at `at`; -1 when absent. */
static long smaps_kb(const void *at, const char *field)
{
	char start[32], *region, *found, name[40];

	snprintf(start, sizeof(start), "%lx-", (unsigned long)at);
	snprintf(name, sizeof(name), "\n%s:", field);
	slurp("/proc/self/smaps");
	region = strstr(text, start);
	found = region ? strstr(region, name) : NULL;
	return found ? strtol(found + strlen(name), NULL, 10) : -1;
}

/* The sum of a field over all of a file like smaps. */
static long sum_kb(const char *path, const char *field)
{
	long sum = 0;
	char name[40];

	snprintf(name, sizeof(name), "\n%s:", field);
	slurp(path);
	for (char *at = text; (at = strstr(at, name)); at += strlen(name))
		sum += strtol(at + strlen(name), NULL, 10);
	return sum;
}

static void expect_kb(const char *field, long found, long wanted)
{
	if (labs(found - wanted) <= slack_kb)
		return;
	printf("# %s: %ld kB, expected %ld kB\n", field, found, wanted);
	EXPECT(!"the figure is exact");
}

static uint64_t pagemap(const void *at)
{
	uint64_t entry = 0;
	int fd = open("/proc/self/pagemap", O_RDONLY);

	REQUIRE(fd >= 0);
	EXPECT_EQ(pread(fd, &entry, 8, (off_t)((uintptr_t)at / PAGE * 8)), 8);
	close(fd);
	return entry;
}

static void resident_follows_writes(void)
{
	char *at = anon_pages(300);
	long rss = status_kb("VmRSS"), anon = status_kb("RssAnon");

	for (size_t i = 0; i < 100; i++)
		at[i * PAGE] = 1;
	expect_kb("VmRSS", status_kb("VmRSS"), rss + 400);
	expect_kb("RssAnon", status_kb("RssAnon"), anon + 400);
	madvise(at + 10 * PAGE, 40 * PAGE, MADV_DONTNEED);
	expect_kb("RssAnon", status_kb("RssAnon"), anon + 240);
	/* reading untouched memory maps the zero page, which is nobody's resident set */
	for (size_t i = 100; i < 300; i++)
		EXPECT_EQ(*(volatile char *)(at + i * PAGE), 0);
	if (zero_page)
		expect_kb("RssAnon", status_kb("RssAnon"), anon + 240);
	munmap(at, 300 * PAGE);
	expect_kb("VmRSS", status_kb("VmRSS"), rss);
	EXPECT_EQ(status_kb("VmRSS"),
		  status_kb("RssAnon") + status_kb("RssFile") + status_kb("RssShmem"));
}

static void virtual_size(void)
{
	long size = status_kb("VmSize");
	char *at = anon_pages(1000);

	EXPECT_EQ(status_kb("VmSize"), size + 4000);
	munmap(at + 100 * PAGE, 300 * PAGE);
	EXPECT_EQ(status_kb("VmSize"), size + 2800);
	munmap(at, 1000 * PAGE);
	EXPECT_EQ(status_kb("VmSize"), size);
	EXPECT(status_kb("VmPeak") >= size + 4000);
}

/* What is gone by the time somebody asks. */
static void peaks(void)
{
	size_t n = 3000;
	char *at = anon_pages(n);
	struct rusage u;
	long size = status_kb("VmSize"), rss;

	for (size_t i = 0; i < n; i++)
		at[i * PAGE] = 1;
	rss = status_kb("VmRSS");
	for (size_t i = 0; i < n; i += 100)
		madvise(at + i * PAGE, 100 * PAGE, MADV_DONTNEED);
	munmap(at, n * PAGE);
	expect_kb("VmHWM", status_kb("VmHWM"), rss);
	expect_kb("VmPeak", status_kb("VmPeak"), size);
	EXPECT(status_kb("VmRSS") <= rss - 11000);
	EXPECT_EQ(getrusage(RUSAGE_SELF, &u), 0);
	EXPECT_EQ(u.ru_maxrss, status_kb("VmHWM"));
}

static void tables_are_counted(void)
{
	char *at = mmap(NULL, 4UL << 30, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	char *gib = (char *)(((uintptr_t)at + (1UL << 30) - 1) & ~((1UL << 30) - 1));
	long before, with_one;

	REQUIRE(at != MAP_FAILED);
	madvise(at, 4UL << 30, MADV_NOHUGEPAGE);
	before = status_kb("VmPTE");
	gib[0] = 1;
	with_one = status_kb("VmPTE");
	EXPECT(with_one - before == 8 || with_one - before == 4 || with_one - before == 12);
	for (size_t i = 1; i <= 10; i++)
		gib[i * 2 * MIB] = 1;
	EXPECT_EQ(status_kb("VmPTE"), with_one + 40);
	gib[5 * 2 * MIB + PAGE] = 1;
	EXPECT_EQ(status_kb("VmPTE"), with_one + 40);
	gib[1UL << 30] = 1;
	EXPECT_EQ(status_kb("VmPTE"), with_one + 48);
	munmap(at, 4UL << 30);
	EXPECT_EQ(status_kb("VmPTE"), before);
}

static void region_figures(void)
{
	char *at = anon_pages(64);
	int status;
	pid_t pid;

	mprotect(at, 64 * PAGE, PROT_READ); /* a region of its own */
	EXPECT_EQ(smaps_kb(at, "Size"), 256);
	EXPECT_EQ(smaps_kb(at, "Rss"), 0);
	mprotect(at, 64 * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC);
	for (size_t i = 0; i < 50; i++)
		at[i * PAGE] = 1;
	EXPECT_EQ(smaps_kb(at, "Rss"), 200);
	EXPECT_EQ(smaps_kb(at, "Pss"), 200);
	EXPECT_EQ(smaps_kb(at, "Private_Dirty"), 200);
	EXPECT_EQ(smaps_kb(at, "Anonymous"), 200);
	pid = fork();
	if (pid == 0) {
		if (smaps_kb(at, "Rss") != 200 || smaps_kb(at, "Pss") != 100)
			_exit(1);
		if (smaps_kb(at, "Shared_Dirty") + smaps_kb(at, "Shared_Clean") != 200)
			_exit(2);
		for (size_t i = 0; i < 10; i++)
			at[i * PAGE] = 2;
		if (smaps_kb(at, "Rss") != 200 || smaps_kb(at, "Pss") != 120)
			_exit(3);
		_exit(0);
	}
	EXPECT(waitpid(pid, &status, 0) == pid);
	EXPECT_EQ(status, 0);
	EXPECT_EQ(smaps_kb(at, "Pss"), 200);
	munmap(at, 64 * PAGE);
}

static void sums_agree(void)
{
	long sum = sum_kb("/proc/self/smaps", "Rss"), pss;

	expect_kb("sum of Rss", sum, status_kb("VmRSS"));
	EXPECT_EQ(sum_kb("/proc/self/smaps_rollup", "Rss"), sum);
	pss = sum_kb("/proc/self/smaps", "Pss");
	EXPECT(pss > 0 && pss <= sum);
	/* the kernel's own regions (vvar, vdso) are not in VmSize on Linux */
	long size = sum_kb("/proc/self/smaps", "Size"), said = status_kb("VmSize");

	EXPECT(size >= said && size <= said + 64);

	long pages[7];
	char *at = slurp("/proc/self/statm");

	for (int i = 0; i < 7; i++)
		pages[i] = strtol(at, &at, 10);
	EXPECT_EQ(pages[0] * 4, status_kb("VmSize"));
	expect_kb("statm", pages[1] * 4, status_kb("VmRSS"));
}

static void files_are_counted_apart(void)
{
	int fd = temp_file(64 * PAGE);
	char *shared, *private;
	long anon, files;

	for (size_t i = 0; i < 64; i++)
		EXPECT_EQ(pwrite(fd, "x", 1, (off_t)(i * PAGE)), 1);
	shared = mmap(NULL, 64 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	private = mmap(NULL, 64 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	REQUIRE(shared != MAP_FAILED && private != MAP_FAILED);
	anon = status_kb("RssAnon");
	files = status_kb("RssFile") + status_kb("RssShmem");
	for (size_t i = 0; i < 64; i++)
		EXPECT_EQ(*(volatile char *)(shared + i * PAGE), 'x');
	expect_kb("files", status_kb("RssFile") + status_kb("RssShmem"), files + 256);
	for (size_t i = 0; i < 64; i++)
	private[i * PAGE] = 'y';
	expect_kb("RssAnon", status_kb("RssAnon"), anon + 256);
	munmap(shared, 64 * PAGE);
	expect_kb("files", status_kb("RssFile") + status_kb("RssShmem"), files);
	munmap(private, 64 * PAGE);
	expect_kb("RssAnon", status_kb("RssAnon"), anon);
	close(fd);
}

static void pagemap_bits(void)
{
	char *at = anon_pages(4);
	uint64_t frame, present = 1ULL << 63, frames = (1ULL << 55) - 1;
	int fds[2], status;
	pid_t pid;

	EXPECT(!(pagemap(at) & present));
	at[PAGE] = 1;
	EXPECT(pagemap(at + PAGE) & present);
	EXPECT(!(pagemap(at) & present));
	frame = pagemap(at + PAGE) & frames;
	if (frame == 0)
		printf("# frame numbers are hidden\n");
	REQUIRE(pipe(fds) == 0);
	pid = fork();
	if (pid == 0) {
		uint64_t same = pagemap(at + PAGE) & frames, other;

		at[PAGE] = 2;
		other = pagemap(at + PAGE) & frames;
		_exit(same != frame || (frame && other == frame));
	}
	EXPECT(waitpid(pid, &status, 0) == pid);
	EXPECT_EQ(status, 0);
	EXPECT_EQ(pagemap(at + PAGE) & frames, frame);
	madvise(at, 4 * PAGE, MADV_DONTNEED);
	EXPECT(!(pagemap(at + PAGE) & present));
	munmap(at, 4 * PAGE);
	close(fds[0]), close(fds[1]);
}

static void mincore_bits(void)
{
	unsigned char vector[16];
	char *at = anon_pages(16);

	at[3 * PAGE] = at[9 * PAGE] = 1;
	EXPECT(mincore(at, 16 * PAGE, vector) == 0);
	for (int i = 0; i < 16; i++)
		EXPECT_EQ(vector[i] & 1, i == 3 || i == 9);
	EXPECT_ERRNO(mincore(at + 1, PAGE, vector), EINVAL);
	EXPECT_ERRNO(mincore(at, PAGE, (unsigned char *)8), EFAULT);
	munmap(at + 5 * PAGE, PAGE);
	EXPECT_ERRNO(mincore(at, 16 * PAGE, vector), ENOMEM);
	munmap(at, 16 * PAGE);
}

static void maps_are_in_order(void)
{
	unsigned long last = 0, from, to;
	bool stack = false, program = false;
	char exe[256];
	ssize_t len = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

	REQUIRE(len > 0);
	exe[len] = 0;
	slurp("/proc/self/maps");
	for (char *line = text, *next; *line; line = next) {
		char perms[8];

		next = strchr(line, '\n');
		next = next ? next + 1 : line + strlen(line);
		EXPECT_EQ(sscanf(line, "%lx-%lx %4s", &from, &to, perms), 3);
		EXPECT(from >= last && to > from && from % PAGE == 0 && to % PAGE == 0);
		EXPECT(strspn(perms, "rwxps-") == 4);
		last = to;
		stack |= strstr(line, "[stack]") && strstr(line, "[stack]") < next;
		program |= strstr(line, exe) && strstr(line, exe) < next;
	}
	EXPECT(stack && program);
}

static void processes_are_listed(void)
{
	char path[64], name[64], state;
	int pid, parent, fds[2];
	pid_t child;

	EXPECT_EQ(sscanf(slurp("/proc/self/stat"), "%d (%63[^)]) %c %d", &pid, name, &state,
			 &parent),
		  4);
	EXPECT(pid == getpid() && parent == getppid() && state == 'R');
	EXPECT(!strcmp(name, "proc_test"));
	EXPECT(strstr(slurp("/proc/self/cmdline"), "proc_test") != NULL);
	EXPECT(strstr(slurp("/proc/self/status"), "\nState:\tR") != NULL);
	EXPECT_EQ(readlink("/proc/self", path, sizeof(path)) > 0 ? atoi(path) : 0, getpid());
	REQUIRE(pipe(fds) == 0);
	child = fork();
	if (child == 0) {
		char byte;

		_exit(read(fds[0], &byte, 1) != 1);
	}
	snprintf(path, sizeof(path), "/proc/%d/stat", child);
	for (int i = 0; i < 100 && state != 'S'; i++) {
		sleep_ms(10);
		EXPECT_EQ(sscanf(slurp(path), "%d (%63[^)]) %c %d", &pid, name, &state, &parent),
			  4);
	}
	EXPECT(pid == child && parent == getpid() && state == 'S');
	EXPECT(write(fds[1], "x", 1) == 1);
	siginfo_t info;

	waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT);
	EXPECT_EQ(sscanf(slurp(path), "%d (%63[^)]) %c %d", &pid, name, &state, &parent), 4);
	EXPECT_EQ(state, 'Z');
	waitpid(child, NULL, 0);
	EXPECT_ERRNO(open(path, O_RDONLY), ENOENT);
	EXPECT_ERRNO(open("/proc/999999/status", O_RDONLY), ENOENT);
	close(fds[0]), close(fds[1]);
}

static void directory_of_another(void)
{
	char path[64], where[64] = "";
	pid_t pid = fork();

	if (pid == 0) {
		EXPECT(chdir("/dev") == 0);
		raise(SIGSTOP);
		_exit(0);
	}
	waitpid(pid, NULL, WUNTRACED);
	snprintf(path, sizeof(path), "/proc/%d/cwd", pid);
	EXPECT(readlink(path, where, sizeof(where) - 1) > 0 && !strcmp(where, "/dev"));
	snprintf(path, sizeof(path), "/proc/%d/cwd/null", pid);
	EXPECT(access(path, F_OK) == 0);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	EXPECT(access(path, F_OK) != 0);
}

static void the_machine(void)
{
	long total = (long)proc_value("/proc/meminfo", "MemTotal");
	long free_kb = (long)proc_value("/proc/meminfo", "MemFree"), faults;
	char *at = anon_pages(500);
	struct rusage before, after;

	EXPECT(total > 0 && free_kb > 0 && free_kb < total);
	EXPECT(proc_value("/proc/meminfo", "MemAvailable") > 0);
	faults = (long)proc_value("/proc/vmstat", "pgfault");
	getrusage(RUSAGE_SELF, &before);
	for (size_t i = 0; i < 500; i++)
		at[i * PAGE] = 1;
	getrusage(RUSAGE_SELF, &after);
	EXPECT_EQ(after.ru_minflt - before.ru_minflt, 500);
	EXPECT(proc_value("/proc/vmstat", "pgfault") >= faults + 500);
	if (on_quire())
		EXPECT(proc_value("/proc/meminfo", "MemFree") <= free_kb - 2000);
	munmap(at, 500 * PAGE);
	EXPECT(strstr(slurp("/proc/cpuinfo"), "processor") != NULL);
	EXPECT(!strncmp(slurp("/proc/stat"), "cpu ", 4));
	EXPECT(strtod(slurp("/proc/uptime"), NULL) > 0);
	EXPECT(strchr(slurp("/proc/loadavg"), '.') != NULL);
	EXPECT(strlen(slurp("/proc/version")) > 5);
	EXPECT(strstr(slurp("/proc/mounts"), " /proc proc ") != NULL);
	EXPECT(strstr(slurp("/proc/filesystems"), "tmpfs") != NULL);
}

/* However much is asked for at once, a signal ends the reading: of pagemap and of mem. */
static void long_reads_end(void)
{
	static const char *const paths[] = { "/proc/self/pagemap", "/proc/self/mem" };
	size_t bytes = 2 * MIB;

	for (int i = 0; i < 2; i++) {
		struct timespec from, to;
		int status = 0;
		pid_t child = fork();

		if (child == 0) {
			char *at = anon_pages(bytes / PAGE);
			struct iovec all[1024];
			int fd = open(paths[i], O_RDONLY);

			memset(at, 1, bytes);
			for (int k = 0; k < 1024; k++)
				all[k] = (struct iovec){ at, bytes };
			while (preadv(fd, all, 1024, i ? (off_t)(uintptr_t)at : 0) > 0)
				;
			_exit(1);
		}
		REQUIRE(child > 0);
		clock_gettime(CLOCK_MONOTONIC, &from);
		sleep_ms(100);
		kill(child, SIGKILL);
		EXPECT(waitpid(child, &status, 0) == child);
		clock_gettime(CLOCK_MONOTONIC, &to);
		EXPECT(to.tv_sec - from.tv_sec < 5);
	}
}

int main(void)
{
	memset(text, 1, sizeof(text));
	slack_kb = on_quire() ? 0 : 64 * 4 * sysconf(_SC_NPROCESSORS_ONLN);
	printf("# slack %ld kB\n", slack_kb);
	if (on_quire())
		zero_page = slurp("/proc/sys/vm/zero_page")[0] == '1';
	free(malloc(3000));
	RUN(resident_follows_writes);
	RUN(virtual_size);
	RUN(peaks);
	RUN(tables_are_counted);
	RUN(region_figures);
	RUN(sums_agree);
	RUN(files_are_counted_apart);
	RUN(pagemap_bits);
	RUN(mincore_bits);
	RUN(maps_are_in_order);
	RUN(processes_are_listed);
	RUN(directory_of_another);
	RUN(long_reads_end);
	RUN(the_machine);
	return test_end();
}
