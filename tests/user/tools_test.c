/* SPDX-License-Identifier: MIT */
/*
 * tools_test.c - the programs of /bin do what they say: workloads run, check themselves and print
 * rows or one JSON object; the instruments agree with what was run; mistakes are told in one line.
 * Needs the programs in PATH, so it can be run on Linux as well.
 *
 * tests/run: limit=120 nocheck
 */
#include "tests/user/test.h"

static char output[1 << 16];

/* Run a shell command; returns its exit status, its standard output in `output`. */
static int shell(const char *command)
{
	FILE *from = popen(command, "r");
	size_t have = 0, got;
	int status;

	REQUIRE(from);
	while ((got = fread(output + have, 1, sizeof(output) - 1 - have, from)) > 0)
		have += got;
	output[have] = 0;
	status = pclose(from);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -status;
}

/* The number after `"name":` or `name=` in the output; -1 when absent. */
static long long field(const char *name)
{
	char json[80], plain[80], *at;

	snprintf(json, sizeof(json), "\"%s\":", name);
	snprintf(plain, sizeof(plain), "%s=", name);
	at = strstr(output, json);
	if (at)
		return strtoll(at + strlen(json), NULL, 10);
	at = strstr(output, plain);
	return at ? strtoll(at + strlen(plain), NULL, 10) : -1;
}

static bool one_json_object(void)
{
	size_t len = strlen(output);

	return len > 3 && output[0] == '{' && output[len - 2] == '}' &&
	       strchr(output, '\n') == output + len - 1;
}

static const char *const workloads[] = {
	"multi-fault",
	"multi-fault -r 3 4",
	"multi-fault-all -r 3 4",
	"sparse --va 64M",
	"sparse --va 8G --mode page --step 64M",
	"sparse --va 16M --mode piecemeal",
	"sparse --va 16M --mode oddeven",
	"sparse --va 64G --mode upper",
	"sparse --va 1G --mode arenas --ops 3000",
	"forkbench -r 1 8",
	"forkbench -r 1 0",
	"forkbench --mode snapshot -n 3 -k 200 4",
	"forkbench --mode children -n 20 4",
	"forkbench --mode tree -d 2 1",
	"shells -n 20",
	"shells -n 20 -p 4 --mode vfork",
	"shells -n 20 --mode fork",
	"shells -n 5 --mode sh",
	"filescan --size 4M",
	"filescan --size 4M --pattern random --map shared -w",
	"filescan --size 4M --pattern strided -w",
	"filescan --size 8M --pattern 2m",
	"filescan --size 16M --pattern phases --map shared -w",
	"filescan --size 4M --file /bin/busybox --uncached -w",
	"anonscan --size 4M",
	"anonscan --size 4M --pattern random -w",
	"anonscan --size 8M --pattern 2m -w",
	"anonscan --size 16M --pattern phases",
	"pretouch --size 4M",
	"bench -r 1 null_syscall anon_write_fault munmap_page fork_0 fork_exec_exit_wait",
};

static void workloads_run(void)
{
	char command[200];

	for (size_t i = 0; i < sizeof(workloads) / sizeof(workloads[0]); i++) {
		int status = shell(workloads[i]);

		if (!EXPECT_EQ(status, 0) || !EXPECT(strchr(output, '=') != NULL))
			printf("# %s\n", workloads[i]);
		/* the options after the words, as people type them */
		snprintf(command, sizeof(command), "%s -j", workloads[i]);
		status = shell(command);
		if (!EXPECT_EQ(status, 0) || !EXPECT(one_json_object()))
			printf("# %s\n%s\n", command, output);
	}
}

static void figures_add_up(void)
{
	EXPECT_EQ(shell("multi-fault -j 1"), 0);
	EXPECT_EQ(field("pages"), 5120);
	EXPECT(field("faults") >= 5120 && field("faults") < 5200);
	EXPECT_EQ(field("VmPTE_before_kB"), field("VmPTE_after_kB"));
	EXPECT_EQ(shell("anonscan -w -s 4M"), 0);
	EXPECT_EQ(field("faults"), 1024);
	if (on_quire())
		EXPECT_EQ(field("VmRSS_gained_kB"), 4096);
	EXPECT_EQ(shell("pretouch -s 4M -m read-write"), 0);
	EXPECT_EQ(field("read-write_first_faults"), 1024);
	EXPECT_EQ(field("read-write_then_faults"), 1024);
	EXPECT_EQ(shell("pretouch -s 4M -m populate-pgtable"), 0);
	EXPECT_EQ(field("populate-pgtable_then_faults"), on_quire() ? 1024 : -1);
	EXPECT_EQ(shell("pretouch -s 4M -m populate-write-on-fault"), 0);
	EXPECT_EQ(field("populate-write-on-fault_then_faults"), on_quire() ? 1024 / 16 : -1);
	EXPECT_EQ(shell("anonscan -w -s 16M -p phases"), 0);
	EXPECT_EQ(field("pages_touched"), 1024 + 2 + 1024 + 1024);
	EXPECT_EQ(field("faults"), 1024 + 2 + 1024 + 1024);
}

static void perf_counts(void)
{
	long long alone;

	EXPECT_EQ(shell("perf stat -j anonscan -w -s 4M | tail -n 1"), 0);
	EXPECT(one_json_object());
	EXPECT_EQ(field("status"), 0);
	EXPECT(field("pgfault") >= 1024 && field("pgfault") < 1300);
	EXPECT(field("ticks") > 0);
	if (on_quire()) {
		EXPECT(field("fault_anon") >= 1024);
		alone = field("pgfault");
		EXPECT_EQ(shell("perf stat -j anonscan -w -s 8M | tail -n 1"), 0);
		EXPECT_EQ(field("pgfault"), alone + 1024 + 2); /* and 8 bytes a page for their order */
	}
	EXPECT_EQ(shell("perf stat true"), 0);
	EXPECT(strstr(output, "pgfault") && strstr(output, "faults"));
	EXPECT_EQ(shell("perf stat -x, true | grep pgfault"), 0);
	EXPECT(strstr(output, ",pgfault\n") != NULL);
	EXPECT_EQ(shell("perf stat -j -o /tmp/tools_test.json sh -c 'exit 7'"), 7);
	EXPECT_EQ(shell("cat /tmp/tools_test.json; rm /tmp/tools_test.json"), 0);
	EXPECT_EQ(field("status"), 7);
	EXPECT_EQ(shell("perf stat nosuchprogram 2>/dev/null"), 127);
	EXPECT_EQ(shell("perf stat sh -c 'kill -9 $$'"), 137);
	EXPECT_EQ(shell("perf 2>&1"), 2);
	EXPECT_EQ(shell("ptdump 99999 2>&1; ptwalk 99999 0x1000 2>&1"), 1);
	EXPECT(!strcmp(output, "ptdump: no process 99999\nptwalk: no process 99999\n"));
	if (on_quire())
		EXPECT_EQ(shell("vmstat -a | grep -x other"), 1); /* each counter has its group */
}

static void window_changes_faults(void)
{
	long long small, large;

	if (!on_quire())
		return;
	EXPECT_EQ(shell("/bin/sysctl fault_around_adapt=0 fault_around_bytes=4096; filescan -s 4M"), 0);
	small = field("faults");
	EXPECT_EQ(shell("/bin/sysctl fault_around_bytes=65536; filescan -s 4M"), 0);
	large = field("faults");
	printf("# faults over 1024 pages: %lld at 4 KiB, %lld at 64 KiB\n", small, large);
	EXPECT(small >= 1024 && small < 1030);
	EXPECT(large >= 64 && large < 70);
}

/* A table that a child has not written to is its parent's too, below a shared table as well; written, it is its own. */
static void who_shares_a_table(void)
{
	char *at = mmap(NULL, 4UL << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *table = (char *)(((uintptr_t)at + (2UL << 20) - 1) & ~((2UL << 20) - 1));
	char command[80], wanted[80];
	int fds[2];
	pid_t pid;

	REQUIRE(at != MAP_FAILED && pipe(fds) == 0);
	*table = 1;
	pid = fork();
	if (pid == 0) {
		char byte;

		close(fds[1]);
		_exit(read(fds[0], &byte, 1) != 0);
	}
	close(fds[0]);
	snprintf(command, sizeof(command), "ptdump %d %p", pid, (void *)table);
	snprintf(wanted, sizeof(wanted), " by=%d,%d\n", getpid(), pid);
	EXPECT_EQ(shell(command), 0);
	char *leaf = strstr(output, "L1 ");
	EXPECT(leaf && strstr(leaf, " shared ") && strstr(leaf, wanted));
	*table = 2;
	EXPECT_EQ(shell(command), 0);
	leaf = strstr(output, "L1 ");
	EXPECT(leaf && strstr(leaf, " own ") && !strstr(leaf, " by="));
	close(fds[1]);
	EXPECT_EQ(waitpid(pid, NULL, 0), pid);
	munmap(at, 4UL << 20);
}

static void instruments(void)
{
	EXPECT_EQ(shell("vmstat"), 0);
	EXPECT(strstr(output, "pgfault") != NULL);
	EXPECT_EQ(shell("vmstat 1 1"), 0);
	EXPECT_EQ(shell(on_quire() ? "/bin/help" : "help"), 0);
	EXPECT(strstr(output, "forkbench") != NULL);
	if (!on_quire())
		return;
	EXPECT_EQ(shell("/bin/sysctl"), 0);
	EXPECT(strstr(output, "vm.fault_around_bytes") != NULL);
	EXPECT_EQ(shell("/bin/sysctl -n vm.zero_page"), 0);
	EXPECT(!strcmp(output, "1\n"));
	EXPECT_EQ(shell("/bin/sysctl zero_page=5 2>&1"), 1);
	EXPECT(strstr(output, "zero_page") && strchr(output, '1'));
	EXPECT_EQ(shell("/bin/sysctl zero_page=0 && /bin/sysctl -n zero_page; /bin/sysctl "
			"zero_page=1"),
		  0);
	EXPECT(!strncmp(output, "0\n", 2));
	EXPECT_EQ(shell("/bin/sysctl nosuch 2>&1"), 1);
	/* The shell's own sysctl knows the names as well. */
	EXPECT_EQ(shell("sysctl fork_share=leaf && sysctl fork_share && sysctl vm.fork_share=all"), 0);
	EXPECT(strstr(output, "fork_share = leaf\nvm.fork_share = all\n") != NULL);
	EXPECT_EQ(shell("sysctl fault_around_bytes=3 2>/dev/null"), 1);
	EXPECT_EQ(shell("sysctl -n fault_around_bytes"), 0);
	EXPECT(!strcmp(output, "65536\n"));
	EXPECT_EQ(shell("ptdump"), 0);
	EXPECT(strstr(output, "L4") && strstr(output, "tables"));
	EXPECT_EQ(shell("ptdump 1"), 0);
	who_shares_a_table();
	EXPECT_EQ(shell("ptdump 999999 2>&1"), 1);
	EXPECT_EQ(shell("for w in code data bss heap stack; do ptwalk $w | grep -q 'L1.*page' || "
			"exit 1; done"),
		  0);
	EXPECT_EQ(shell("ptwalk fresh"), 0);
	EXPECT(strstr(output, "empty") != NULL);
	EXPECT_EQ(shell("ptwalk zero"), 0);
	EXPECT(strstr(output, "zero") != NULL);
}

static void mistakes_are_told(void)
{
	static const char *const mistakes[] = {
		"multi-fault x", "multi-fault 0", "sparse --va 5", "sparse --mode x",
		"forkbench -r x", "shells -p 1000", "filescan --map x", "anonscan -p x",
		"filescan -u", "filescan -wm shared -f /bin/busybox", "anonscan -u", "anonscan -s 8K -p phases",
		"pretouch -m x", "bench nosuch", "ptdump x", "ptwalk",
		"vmstat x"
	};

	for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
		char command[100];

		snprintf(command, sizeof(command), "%s 2>&1", mistakes[i]);
		if (!EXPECT_EQ(shell(command), 2) || !EXPECT(strlen(output) > 10))
			printf("# %s\n%s\n", command, output);
	}
}

int main(void)
{
	if (shell("multi-fault -h"))
		test_skip("the programs are not in PATH");
	RUN(workloads_run);
	RUN(figures_add_up);
	RUN(perf_counts);
	RUN(window_changes_faults);
	RUN(instruments);
	RUN(mistakes_are_told);
	return test_end();
}
