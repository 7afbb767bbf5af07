/* SPDX-License-Identifier: MIT */
/*
 * Owns: /proc/sys: the tunables by their own names, at its top (for `sysctl NAME`) and under vm/, and those of
 * Linux's settings that programs look for. A tunable's file is the I-th of tunables.def; a value that it
 * refuses is EINVAL, and a line on the console says what it takes.
 */
#include "kernel/base/tunables.h"
#include "kernel/fs/proc.h"
#include "kernel/thread.h"
#include "kernel/version.h"
#include "mm/ptreclaim.h"

#define DROP_AT_ONCE 1024	/* pages, between looks at interrupts */

int proc_tunable_member(struct proc_node *dir __unused, u64 *key, char name[PROC_NAME])
{
	if (*key >= tunable_count())
		return -ENOENT;
	strlcpy(name, tunable_name((unsigned)*key), PROC_NAME);
	return 0;
}

static int show_tunable(struct proc_file *pf, struct text *t)
{
	char value[32];

	tunable_format((unsigned)pf->node->key, value, sizeof(value));
	text_printf(t, "%s\n", value);
	return 0;
}

static int store_tunable(struct proc_file *pf, const char *text)
{
	unsigned i = (unsigned)pf->node->key;
	int e = tunable_set(tunable_name(i), text);
	char range[64];

	if (e) {
		tunable_range(i, range, sizeof(range));
		printk(LOG_WARN, "%s=%s refused: it takes %s", tunable_name(i), text, range);
	}
	return e;
}

const struct proc_entry proc_tunable = PROC_SET(NULL, show_tunable, store_tunable);

static int accept_number(struct proc_file *pf __unused, const char *text)
{
	u64 value;

	return parse_u64(text, &value);
}

/* Tables that policies keep, as when memory is short. */
static int store_cleanup(struct proc_file *pf __unused, const char *text __unused)
{
	reclaim_tables();
	return 0;
}

/* 1 and 3 drop the clean pages of files that nobody maps or uses; 2 is for names, which are not kept apart. */
static int drop_caches(struct proc_file *pf __unused, const char *text)
{
	u64 value;
	int e = parse_u64(text, &value) ?: value < 1 || value > 4 ? -EINVAL : 0;

	while (!e && value & 1 && pcache_shrink(DROP_AT_ONCE, true))
		if (sched_pause())
			return -EINTR;
	return e;
}

/* Linux's settings, as they are here: memory is given at the touch. Those that are accepted change nothing. */
#define SHOW_FIXED(function, ...)                                                                                  \
	static int function(struct proc_file *pf __unused, struct text *t)                                         \
	{                                                                                                          \
		text_printf(t, __VA_ARGS__);                                                                       \
		return 0;                                                                                          \
	}
SHOW_FIXED(show_zero, "0\n")
SHOW_FIXED(show_one, "1\n")
SHOW_FIXED(show_max_map_count, "%d\n", MAX_REGIONS)
SHOW_FIXED(show_mmap_min_addr, "%lu\n", MMAP_MIN_ADDR)
SHOW_FIXED(show_ostype, "Linux\n")
SHOW_FIXED(show_osrelease, "%s\n", VERSION_RELEASE)
SHOW_FIXED(show_version, "%s\n", VERSION_VERSION)
SHOW_FIXED(show_pid_max, "%d\n", PID_MAX)
SHOW_FIXED(show_threads_max, "%u\n", max_threads)
SHOW_FIXED(show_ngroups_max, "%lu\n", ARRAY_SIZE(current_process->cred.groups))

static const struct proc_entry vm_list[] = {
	PROC_SET("cleanup_pgtables", show_zero, store_cleanup),
	PROC_SET("drop_caches", show_zero, drop_caches),
	PROC_TEXT("max_map_count", show_max_map_count),
	PROC_TEXT("mmap_min_addr", show_mmap_min_addr),
	PROC_SET("overcommit_memory", show_one, accept_number),
	{ 0 }
};

static const struct proc_entry kernel_list[] = {
	PROC_TEXT("ngroups_max", show_ngroups_max),
	PROC_TEXT("osrelease", show_osrelease),
	PROC_TEXT("ostype", show_ostype),
	PROC_TEXT("pid_max", show_pid_max),
	PROC_TEXT("threads-max", show_threads_max),
	PROC_TEXT("version", show_version),
	{ 0 }
};

const struct proc_entry proc_sys_list[] = {
	PROC_DIR("kernel", 0555, .list = kernel_list),
	PROC_DIR("vm", 0555, .list = vm_list, PROC_TUNABLES),
	{ 0 }
};
