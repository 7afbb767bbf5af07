/* SPDX-License-Identifier: MIT */
/*
 * Owns: the calls about extended attributes, which no file system here keeps: once the file is found, asking for
 * one or changing one is EOPNOTSUPP, and the list of them is empty. Locks: none.
 */
#include "kernel/fs/at.h"
#include "kernel/fs/fd.h"
#include "kernel/syscalls.h"

static long by_path(u64 path, unsigned flags, long result)
{
	HELD(vnode) v = NULL;

	return at_lookup(AT_FDCWD, path, flags, &v) ?: result;
}

static long by_fd(u64 fd, long result)
{
	HELD(file) f = fd_get_io(fd);

	return f ? result : -EBADF;
}

/* The three calls by which one thing is done: following a last link, not following it, by descriptor. */
#define CALLS(verb, result)								\
	long sys_##verb(u64 path, REST1) { return by_path(path, WALK_FOLLOW, result); }	\
	long sys_l##verb(u64 path, REST1) { return by_path(path, 0, result); }		\
	long sys_f##verb(u64 fd, REST1) { return by_fd(fd, result); }

CALLS(setxattr, -EOPNOTSUPP)
CALLS(getxattr, -EOPNOTSUPP)
CALLS(removexattr, -EOPNOTSUPP)
CALLS(listxattr, 0)
