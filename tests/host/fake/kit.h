/* SPDX-License-Identifier: MIT */
/*
 * Owns: what mm/'s host tests have in common: cmocka's headers, spaces, regions and files made in one
 * call, accesses that must succeed or be refused, and the proof at each test's end that no frame is lost.
 */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "fake.h"
#include "kernel/abi.h"
#include "kernel/base/counters.h"
#include "kernel/base/errno.h"
#include "kernel/base/string.h"
#include "kernel/base/tunables.h"
#include "mm/check.h"
#include "mm/report.h"
#include "mm/vm.h"

#define PAGES(n) ((u64)(n) << PAGE_SHIFT)
#define RW (R_READ | R_WRITE)

/* A group of tests on a machine of 64 MiB; each test must give back every frame it took. */
#define KIT_TEST(f) cmocka_unit_test_setup_teardown(f, kit_test_setup, kit_test_teardown)
#define KIT_RUN(tests) cmocka_run_group_tests(tests, kit_group_setup, NULL)
int kit_group_setup(void **state);
/* The same three times, once with each way to fork. */
#define KIT_RUN_EACH_FORK(tests) ({ \
	int failed_ = 0; \
	for (kit_fork_share = 0; kit_fork_share <= FORK_SHARE_NONE; kit_fork_share++) \
		failed_ += cmocka_run_group_tests_name(kit_fork_names[kit_fork_share], tests, kit_group_setup, NULL); \
	failed_; \
})
extern u32 kit_fork_share;
extern const char *const kit_fork_names[];
int kit_test_setup(void **state);
int kit_test_teardown(void **state);

u64 kit_free_frames(void);		/* with every CPU's stacks and magazines given back */
void kit_check(struct space *s);	/* the checker: space and frames */

struct space *kit_space(void);
void kit_space_end(struct space *s);	/* checks it, takes it off every CPU, drops the test's hold */

/* Regions; ADDR 0: anywhere. FLAGS as struct region's; writable by mprotect unless shared. */
vaddr_t kit_anon(struct space *s, vaddr_t addr, u64 pages, u32 flags);
long kit_try_anon(struct space *s, vaddr_t addr, u64 pages, u32 flags);

/*
 * A file of PAGES pages whose word W of page P reads as kit_file_word(P, W), through ops->read_many unless
 * it is shmem (then it reads as zeroes). No page is read ahead unless the test sets tune.readahead_kb.
 */
struct kit_file {
	struct pcache cache;
	u64 refs;			/* 1 for the test, 1 for each region */
	u64 reads, pages_read;		/* calls, and pages of calls that did not fail before */
	u64 bad_page;			/* reading it fails with -EIO; so does, if */
	bool broken;			/* everything */
	bool busy;			/* nothing can be begun that is not waited for */
	bool careful;			/* reading takes its time; fails the test if two threads read one page */
	u8 in_flight[256];		/* by page modulo 256: threads that read it */
};
struct kit_file *kit_file(u64 pages, bool shmem);
struct kit_file *kit_disk_file(u64 pages);	/* the same, clean: its pages can be dropped */
void kit_file_close(struct kit_file *f);	/* no region maps it any more */
/* Ends the oldest reading that was begun and is not waited for, as does whoever waits for one; false: there is none. */
bool kit_answer(void);
u64 kit_file_word(u64 page, u64 word);
vaddr_t kit_map_file(struct space *s, struct kit_file *f, vaddr_t addr, u64 pgoff, u64 pages, u32 flags);

/* Accesses, and what must become of them. */
void kit_store(struct space *s, vaddr_t va, u64 value);
u64 kit_load(struct space *s, vaddr_t va);
#define want_load(s, va, value) assert_int_equal(kit_load((s), (va)), (value))
#define want_no_load(s, va, result) do { u64 v_; assert_int_equal(fake_load((s), (va), &v_), (result)); } while (0)
#define want_no_store(s, va, result) assert_int_equal(fake_store((s), (va), 1), (result))

/* How far counter C has moved while STATEMENT ran. */
#define moved(c, statement) ({ u64 b_ = counter_sum(C_##c); statement; counter_sum(C_##c) - b_; })

struct space_usage kit_usage(struct space *s);

/* Of the allocations from now on every N-th fails, or all from the N-th on. */
void kit_fail_nth(u32 n);
void kit_fail_from(u32 n);
void kit_fail_none(void);

/* What the tables of S hold, counted entry by entry; tables of all levels in [PTE_CLASS_NONE]. */
struct kit_count { u64 n[NR_PTE_CLASSES]; };
struct kit_count kit_recount(struct space *s);
