/* SPDX-License-Identifier: MIT */
/* libc_test.c - what a C library needs of the kernel, through the library. */
#include "tests/user/test.h"
#include <ftw.h>
#include <math.h>
#include <spawn.h>
#include <sys/utsname.h>
#include <termios.h>

extern char **environ;

static uint64_t seed = 12345;

static size_t random_below(size_t limit)
{
	seed = seed * 6364136223846793005UL + 1442695040888963407UL;
	return (seed >> 33) % limit;
}

static void allocation_storm(void)
{
	static unsigned char *blocks[512];
	static size_t sizes[512];

	for (int turn = 0; turn < 40000; turn++) {
		size_t i = random_below(512);
		unsigned char mark = (unsigned char)(i * 7 + 1);

		if (blocks[i]) {
			bool sound = blocks[i][0] == mark && blocks[i][sizes[i] - 1] == mark;

			if (!EXPECT(sound))
				return;
		}
		size_t size = random_below(8) ? 1 + random_below(2000) : 1 + random_below(300000);

		if (random_below(3) == 0) {
			free(blocks[i]);
			blocks[i] = NULL;
			continue;
		}
		unsigned char *block = realloc(blocks[i], size);

		REQUIRE(block != NULL);
		size_t kept = sizes[i] < size ? sizes[i] : size;

		if (blocks[i])
			EXPECT(block[0] == mark && (kept < sizes[i] || block[kept - 1] == mark));
		blocks[i] = block;
		sizes[i] = size;
		memset(block, mark, size);
	}
	for (int i = 0; i < 512; i++)
		free(blocks[i]);
	unsigned char *zeroed = calloc(1000, 1000);

	REQUIRE(zeroed);
	for (size_t i = 0; i < 1000000; i += 999)
		if (!EXPECT_EQ(zeroed[i], 0))
			break;
	free(zeroed);
	void *aligned = NULL;

	EXPECT(posix_memalign(&aligned, 65536, 100000) == 0 && (uintptr_t)aligned % 65536 == 0);
	free(aligned);
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void sorting(void)
{
	const size_t count = 100000;
	uint64_t *numbers = malloc(count * sizeof(*numbers)), sum = 0;

	REQUIRE(numbers);
	for (size_t i = 0; i < count; i++)
		sum += numbers[i] = random_below(1UL << 31);
	qsort(numbers, count, sizeof(*numbers), compare);
	for (size_t i = 0; i < count; i++) {
		sum -= numbers[i];
		if (i && !EXPECT(numbers[i - 1] <= numbers[i]))
			break;
	}
	EXPECT_EQ(sum, 0);
	free(numbers);
}

static void standard_io(void)
{
	FILE *file = tmpfile();
	char *line = NULL, word[32];
	size_t room = 0;
	double real;
	int number;

	REQUIRE(file);
	for (int i = 0; i < 5000; i++)
		fprintf(file, "line %d %.3f\n", i, i / 8.0);
	EXPECT(fseek(file, 0, SEEK_SET) == 0);
	for (int i = 0; i < 5000; i++)
		if (!EXPECT(fscanf(file, "%31s %d %lf\n", word, &number, &real) == 3 &&
			    number == i && fabs(real - i / 8.0) < 0.001))
			break;
	EXPECT(feof(file) || fgetc(file) == EOF);
	rewind(file);
	EXPECT(getline(&line, &room, file) == 13 && !strcmp(line, "line 0 0.000\n"));
	free(line);
	fclose(file);
	char text[64];

	snprintf(text, sizeof(text), "%.10g %a", M_PI, 0.5);
	EXPECT(!strcmp(text, "3.141592654 0x1p-1"));
	file = fopen("/tmp/libc_test.append", "a+");
	REQUIRE(file);
	fputs("abc", file);
	fclose(file);
	file = fopen("/tmp/libc_test.append", "a+");
	fputs("def", file);
	rewind(file);
	EXPECT(fgets(text, sizeof(text), file) && !strcmp(text, "abcdef"));
	fclose(file);
	EXPECT(remove("/tmp/libc_test.append") == 0);
}

static void shell_and_spawn(void)
{
	char *argv[] = { "libc_test", "--exit-12", NULL }, text[64] = { 0 };
	int status;
	pid_t pid;
	FILE *pipe_file;

	EXPECT_EQ(posix_spawn(&pid, "/proc/self/exe", NULL, NULL, argv, environ), 0);
	EXPECT(waitpid(pid, &status, 0) == pid && status == 12 << 8);
	EXPECT_EQ(posix_spawn(&pid, "/nowhere", NULL, NULL, argv, environ), ENOENT);
	if (access("/bin/sh", X_OK))
		return;
	EXPECT_EQ(system("exit 3"), 3 << 8);
	EXPECT_EQ(system("kill -9 $$"), 9);
	pipe_file = popen("echo from the shell; exit 4", "r");
	REQUIRE(pipe_file);
	EXPECT(fgets(text, sizeof(text), pipe_file) && !strcmp(text, "from the shell\n"));
	EXPECT_EQ(pclose(pipe_file), 4 << 8);
}

static int visited;

static int visit(const char *name, const struct stat *st, int type, struct FTW *ftw)
{
	(void)name, (void)st, (void)type, (void)ftw;
	visited++;
	return remove(name);
}

static void file_tree(void)
{
	char path[64];

	EXPECT(mkdir("/tmp/libc_test.d", 0700) == 0);
	for (int i = 0; i < 10; i++) {
		snprintf(path, sizeof(path), "/tmp/libc_test.d/%d", i);
		EXPECT(mkdir(path, 0700) == 0);
		strcat(path, "/file");
		FILE *file = fopen(path, "w");

		REQUIRE(file);
		fclose(file);
	}
	EXPECT(nftw("/tmp/libc_test.d", visit, 8, FTW_DEPTH | FTW_PHYS) == 0);
	EXPECT_EQ(visited, 21);
}

static void names(void)
{
	char text[256], *real;
	struct utsname name;
	struct tm tm;
	time_t when = 86400 * 365;

	EXPECT(uname(&name) == 0 && !strcmp(name.machine, "x86_64") && *name.sysname &&
	       *name.release);
	EXPECT(gethostname(text, sizeof(text)) == 0);
	EXPECT(getcwd(text, sizeof(text)) == text && text[0] == '/');
	real = realpath("/proc/self/../self/./status", NULL);
	snprintf(text, sizeof(text), "/proc/%d/status", getpid());
	EXPECT(real && !strcmp(real, text));
	free(real);
	EXPECT(gmtime_r(&when, &tm) && tm.tm_year == 71 && tm.tm_yday == 0);
	EXPECT(sysconf(_SC_PAGESIZE) == 4096);
	EXPECT(sysconf(_SC_NPROCESSORS_ONLN) >= 1);
	EXPECT(sysconf(_SC_PHYS_PAGES) > 1000);
	EXPECT(isatty(0) == 0 || isatty(0) == 1);
	EXPECT(setenv("QUIRE_TEST", "yes", 1) == 0 && !strcmp(getenv("QUIRE_TEST"), "yes"));
}

static void random_bytes(void)
{
	unsigned char a[64] = { 0 }, b[64] = { 0 };

	EXPECT_EQ(syscall(SYS_getrandom, a, 64, 0), 64);
	EXPECT_EQ(syscall(SYS_getrandom, b, 64, 1), 64);
	EXPECT(memcmp(a, b, 64) != 0);
	EXPECT_ERRNO(syscall(SYS_getrandom, a, 64, 0x80), EINVAL);
	int fd = open("/dev/urandom", O_RDONLY);

	EXPECT(fd >= 0 && read(fd, a, 64) == 64 && memcmp(a, b, 64));
	close(fd);
}

static int jumps;

static void far_jump(jmp_buf back, int depth)
{
	volatile char frame[512];

	frame[0] = (char)depth;
	if (depth == 0)
		longjmp(back, 7);
	if (depth < 100)
		far_jump(back, depth - 1);
	jumps += frame[0];
}

static void jumping(void)
{
	jmp_buf back;

	EXPECT_EQ(setjmp(back) == 0 ? (far_jump(back, 50), 0) : 7, 7);
	EXPECT_EQ(jumps, 0);
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "--exit-12"))
		return 12;
	RUN(allocation_storm);
	RUN(sorting);
	RUN(standard_io);
	RUN(shell_and_spawn);
	RUN(file_tree);
	RUN(names);
	RUN(random_bytes);
	RUN(jumping);
	return test_end();
}
