/* SPDX-License-Identifier: MIT */
/*
 * Owns: the names of system calls, and the text of a call and its result for strace=1. Strings that the
 * call reads are shown for the calls that have a path as one of their first two arguments.
 */
#include "arch/user.h"
#include "kernel/base/errno.h"
#include "kernel/base/print.h"
#include "kernel/base/string.h"
#include "kernel/thread.h"

struct call_name { const char *name; u16 number; u8 nargs; };

static const struct call_name names[] = {
#define SYSCALL(number, name, nargs) { #name, number, nargs },
#define MISSING(number, name) { #name, number, 6 },
#include "kernel/syscalls.def"
#undef SYSCALL
};

static const struct call_name *find(u64 number)
{
	for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
		if (names[i].number == number)
			return &names[i];
	return NULL;
}

const char *syscall_name(u64 number)
{
	const struct call_name *c = find(number);

	return c ? c->name : NULL;
}

/* The calls whose first, or second after a directory's descriptor, argument is a path. */
static int path_argument(const char *name)
{
	static const char *const first[] = {
		"open", "creat", "execve", "stat", "lstat", "access", "chdir", "mkdir", "rmdir", "unlink", "rename",
		"link", "symlink", "readlink", "chmod", "truncate", "statfs", "mount", "umount2", "mknod",
	};
	size_t n = strlen(name);

	for (unsigned i = 0; i < ARRAY_SIZE(first); i++)
		if (!strcmp(name, first[i]))
			return 0;
	if (!strcmp(name, "statx") || !strcmp(name, "faccessat2"))
		return 1;
	return n > 5 && !strcmp(name + n - 2, "at") ? 1 : -1;
}

static void put_value(char *buf, size_t size, size_t *pos, u64 v)
{
	s64 s = (s64)(v >> 32 ? v : (u64)(s64)(s32)v);

	if (v < 4096 || (s < 0 && s > -4096))
		bprintf(buf, size, pos, "%ld", v < 4096 ? (s64)v : s);
	else
		bprintf(buf, size, pos, "%#lx", v);
}

void strace_begin(char *buf, size_t size, u64 number, const u64 arg[6])
{
	const struct call_name *c = find(number);
	int path = c ? path_argument(c->name) : -1;
	unsigned nargs = c ? c->nargs : 6;
	char text[64];
	size_t pos = 0;

	if (c)
		bprintf(buf, size, &pos, "%s[%d] %s(", current->comm, current->tid, c->name);
	else
		bprintf(buf, size, &pos, "%s[%d] call_%lu(", current->comm, current->tid, number);
	for (unsigned i = 0; i < nargs; i++) {
		if (i)
			bprintf(buf, size, &pos, ", ");
		ssize_t n = (int)i == path ? user_copy_string(text, arg[i], sizeof(text)) : -EFAULT;
		if (n >= 0 || n == -ENAMETOOLONG) {
			text[sizeof(text) - 1] = 0;
			bprintf(buf, size, &pos, "\"%s\"", text);
		} else {
			put_value(buf, size, &pos, arg[i]);
		}
	}
	bprintf(buf, size, &pos, ")");
	if (c && (!strcmp(c->name, "exit") || !strcmp(c->name, "exit_group")))
		printk(LOG_INFO, "%s = ?", buf);
}

void strace_end(const char *line, u64 result)
{
	static const struct { short number; const char *name; } inside[] = {
		{ ERESTART, "ERESTART" }, { ERESTART_NOHAND, "ERESTART_NOHAND" }, { ERESTART_BLOCK, "ERESTART_BLOCK" },
	};
	char text[32];
	size_t pos = 0;

	put_value(text, sizeof(text), &pos, result);
	for (unsigned i = 0; i < ARRAY_SIZE(inside); i++)
		if (result == (u64)-inside[i].number)
			strlcpy(text, inside[i].name, sizeof(text));
	printk(LOG_INFO, "%s = %s", line, text);
}
