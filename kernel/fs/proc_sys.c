/* SPDX-License-Identifier: MIT */
/*
 * Owns: /proc/sys: the tunables under vm/ by their own names, and those of Linux's settings that programs
 * look for. A tunable's file is the I-th of tunables.def; a value that it refuses is EINVAL, and a line on
 * the console says what it takes.
 */
#include "kernel/base/tunables.h"
#include "kernel/fs/proc.h"
#include "kernel/version.h"

static int tunable_member(struct proc_node *dir __unused, u64 *key, char name[PROC_NAME])
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

static const struct proc_entry tunable_entry = PROC_SET(NULL, show_tunable, store_tunable);

/* Linux's, which here are as they are: there is no swap, nothing to drop, and memory is given at the touch. */
static int show_overcommit(struct proc_file *pf __unused, struct text *t)
{
	text_printf(t, "1\n");
	return 0;
}

static int store_number(struct proc_file *pf __unused, const char *text)
{
	u64 value;

	return parse_u64(text, &value);
}

#define SHOW_FIXED(function, ...)                                                                                  \
	static int function(struct proc_file *pf __unused, struct text *t)                                         \
	{                                                                                                          \
		text_printf(t, __VA_ARGS__);                                                                       \
		return 0;                                                                                          \
	}
SHOW_FIXED(show_zero, "0\n")
SHOW_FIXED(show_max_map_count, "%d\n", MAX_REGIONS)
SHOW_FIXED(show_mmap_min_addr, "%lu\n", MMAP_MIN_ADDR)
SHOW_FIXED(show_ostype, "Linux\n")
SHOW_FIXED(show_osrelease, "%s\n", VERSION_RELEASE)
SHOW_FIXED(show_version, "%s\n", VERSION_VERSION)
