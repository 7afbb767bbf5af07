/* SPDX-License-Identifier: MIT */
/*
 * share.h - what the share_* tests have in common: relatives that take turns, a model of
 * what each process must see, and the three settings of fork_share.
 *
 * The model (probes) lies in ordinary memory, so that every relative carries the one it had
 * at the fork and changes its own. An operation changes memory and model alike; then each
 * relative verifies that its memory is as its model says, whatever the others did meanwhile.
 */
#ifndef TESTS_USER_SHARE_H
#define TESTS_USER_SHARE_H

#include "tests/user/test.h"

#define TABLE (512 * PAGE)		  /* what one leaf table maps */
#define GIB   (1UL << 30)		  /* what one table above it maps */
#define TOP   (512 * GIB)		  /* and one above that */
#define SPACE ((char *)0x200000000000UL) /* addresses nobody else uses, aligned to TOP */

static inline bool write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return ok;
}

/* Run the cases under each setting of fork_share, or the one named; on Linux once. */
static inline int share_main(int argc, char **argv, void (*cases)(void))
{
	static const char *const settings[] = { "none", "leaf", "all" };

	signal(SIGPIPE, SIG_IGN);
	catch_faults(0);
	if (!on_quire()) {
		cases();
		return test_end();
	}
	for (int i = 0; i < 3; i++) {
		if (argc > 1 && strcmp(argv[1], settings[i]))
			continue;
		REQUIRE(write_text("/proc/sys/vm/fork_share", settings[i]));
		printf("# fork_share=%s\n", settings[i]);
		cases();
	}
	return test_end();
}

/* Relatives ---------------------------------------------------------------- */

/* A child that acts when it is given the turn, and waits otherwise. */
struct kin {
	pid_t pid;
	int to, from;
};

static int my_to = -1, my_from = -1; /* a child's ends */

/* Child: the turn is over; returns when it comes again. */
static inline void turn_over(void)
{
	char byte = 'x';

	REQUIRE(write(my_to, &byte, 1) == 1 && read(my_from, &byte, 1) == 1);
}

/* Fork a child that will run body, from its first turn on. */
static inline struct kin kin_start(void (*body)(void))
{
	int down[2], up[2];
	struct kin k;
	char byte;

	fflush(stdout);
	REQUIRE(pipe(down) == 0 && pipe(up) == 0);
	k.pid = fork();
	REQUIRE(k.pid >= 0);
	if (k.pid == 0) {
		close(down[1]), close(up[0]);
		my_from = down[0], my_to = up[1];
		test_failures = 0;
		alarm(TEST_SECONDS);
		if (read(my_from, &byte, 1) != 1)
			_exit(1);
		body();
		fflush(stdout);
		_exit(write(my_to, "x", 1) != 1 || test_failures);
	}
	close(down[0]), close(up[1]);
	k.to = down[1], k.from = up[0];
	return k;
}

/* Give a child the turn; returns when it is over, or the child at its end. */
static inline void kin_turn(const struct kin *k)
{
	char byte = 'x';

	EXPECT(write(k->to, &byte, 1) == 1 && read(k->from, &byte, 1) == 1);
}

/* Wait for a child that has no turn left. */
static inline void kin_end(const struct kin *k)
{
	int status = -1;

	close(k->to), close(k->from);
	EXPECT_EQ(waitpid(k->pid, &status, 0), k->pid);
	EXPECT_EQ(status, 0);
}

/* A child that has one turn only, now. */
static inline void kin_once(void (*body)(void))
{
	struct kin k = kin_start(body);

	kin_turn(&k);
	kin_end(&k);
}

/* The model ---------------------------------------------------------------- */

enum kind { OPEN, READONLY, BARRED, GONE, CUT }; /* CUT: past the end of its file */

struct probe {
	char *at; /* a page */
	enum kind kind;
	uint32_t stamp;
};

static struct probe probes[256];
static int probe_count;

static inline void probe_set(char *at, enum kind kind, uint32_t stamp)
{
	int i = 0;

	while (i < probe_count && probes[i].at != at)
		i++;
	REQUIRE(i < 256);
	probes[i] = (struct probe){ at, kind, stamp };
	probe_count += i == probe_count;
}

/* The probes in [from, from + len) that are mapped. */
#define EACH_MAPPED(p, from, len)                                        \
	for (struct probe *p = probes; p < probes + probe_count; p++)    \
		if (p->at >= (from) && p->at < (from) + (len) && p->kind != GONE)

static inline void model_kind(char *from, size_t len, enum kind kind)
{
	EACH_MAPPED(p, from, len)
		p->kind = kind;
}

static inline void model_zero(char *from, size_t len)
{
	EACH_MAPPED(p, from, len)
		p->stamp = 0;
}

/* Fresh memory where whatever there was is gone. */
static inline void model_fresh(char *from, size_t len)
{
	for (struct probe *p = probes; p < probes + probe_count; p++)
		if (p->at >= from && p->at < from + len)
			p->kind = OPEN, p->stamp = 0;
}

static inline void model_move(char *from, size_t len, char *to, size_t new_len)
{
	struct probe moved[256];
	int count = 0;

	EACH_MAPPED(p, from, len) {
		moved[count++] = *p;
		p->kind = GONE;
	}
	model_fresh(to, new_len);
	for (int i = 0; i < count; i++)
		if ((size_t)(moved[i].at - from) < new_len)
			probe_set(moved[i].at - from + to, moved[i].kind, moved[i].stamp);
}

static inline uint32_t *word(char *page, bool last)
{
	return (uint32_t *)(void *)(page + (last ? PAGE - sizeof(uint32_t) : 0));
}

static inline void put_stamp(char *page, uint32_t stamp)
{
	*(volatile uint32_t *)word(page, false) = stamp;
	*(volatile uint32_t *)word(page, true) = stamp;
}

/* Memory must be as the model says. WHO is for the message. */
static inline void verify(const char *who)
{
	for (struct probe *p = probes; p < probes + probe_count; p++) {
		int got = try_read(p->at), want = p->kind == CUT ? SIGBUS :
			  p->kind >= BARRED ? SIGSEGV : 0;

		if (got != want) {
			printf("# %s: %p: signal %d, not %d\n", who, (void *)p->at, got, want);
			EXPECT(got == want);
			return;
		}
		if (want)
			continue;
		if (*word(p->at, false) != p->stamp || *word(p->at, true) != p->stamp) {
			printf("# %s: %p holds %#x %#x, not %#x\n", who, (void *)p->at,
			       *word(p->at, false), *word(p->at, true), p->stamp);
			EXPECT(!"contents");
			return;
		}
		if (p->kind == READONLY)
			EXPECT_EQ(try_write(p->at), SIGSEGV);
	}
}

/* Write a new stamp to each page that can be written. */
static inline void scribble(uint32_t mark)
{
	for (int i = 0; i < probe_count; i++)
		if (probes[i].kind == OPEN)
			put_stamp(probes[i].at, probes[i].stamp = mark + (uint32_t)i);
}

/* Memory ------------------------------------------------------------------- */

static inline char *map_at(char *at, size_t bytes, int prot)
{
	char *got = mmap(at, bytes, prot,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);

	REQUIRE(got == at);
	madvise(at, bytes, MADV_NOHUGEPAGE);
	return at;
}

/* Private memory at AT with a stamp in each page. */
static inline void map_stamped(char *at, size_t pages, uint32_t mark)
{
	map_at(at, pages * PAGE, PROT_READ | PROT_WRITE);
	for (size_t i = 0; i < pages; i++) {
		put_stamp(at + i * PAGE, mark + (uint32_t)i);
		probe_set(at + i * PAGE, OPEN, mark + (uint32_t)i);
	}
}

/* Forget the model, and all memory in SPACE. */
static inline void start_afresh(void)
{
	probe_count = 0;
	munmap(SPACE, 4 * TOP);
}

#endif
