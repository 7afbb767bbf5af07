/* SPDX-License-Identifier: MIT */
/*
 * Owns: the file calls that are others with fewer arguments: the old ones without a directory descriptor and
 * the first versions of those that got flags. OLD(call, the one it is, its arguments); the rest are 0.
 */
#include "kernel/fs/at.h"
#include "kernel/fs/fd.h"
#include "kernel/syscalls.h"

#define SIX(call, a, b, c, d, e, f, ...) sys_##call(a, b, c, d, e, f)
#define OLD(name, call, ...)									\
	long sys_##name(u64 a0, REST1)					\
	{											\
		return SIX(call, __VA_ARGS__, 0, 0, 0, 0, 0, 0);				\
	}

OLD(open, openat, AT_FDCWD, a0, a1, a2)
OLD(creat, openat, AT_FDCWD, a0, O_CREAT | O_WRONLY | O_TRUNC, a1)
OLD(pipe, pipe2, a0)
OLD(stat, newfstatat, AT_FDCWD, a0, a1)
OLD(lstat, newfstatat, AT_FDCWD, a0, a1, AT_SYMLINK_NOFOLLOW)
OLD(faccessat, faccessat2, a0, a1, a2)
OLD(access, faccessat2, AT_FDCWD, a0, a1)
OLD(readlink, readlinkat, AT_FDCWD, a0, a1, a2)
OLD(chmod, fchmodat, AT_FDCWD, a0, a1)
OLD(chown, fchownat, AT_FDCWD, a0, a1, a2)
OLD(lchown, fchownat, AT_FDCWD, a0, a1, a2, AT_SYMLINK_NOFOLLOW)
OLD(mkdir, mkdirat, AT_FDCWD, a0, a1)
OLD(mknod, mknodat, AT_FDCWD, a0, a1, a2)
OLD(symlink, symlinkat, a0, AT_FDCWD, a1)
OLD(link, linkat, AT_FDCWD, a0, AT_FDCWD, a1)
OLD(unlink, unlinkat, AT_FDCWD, a0)
OLD(rmdir, unlinkat, AT_FDCWD, a0, AT_REMOVEDIR)
OLD(renameat, renameat2, a0, a1, a2, a3)
OLD(rename, renameat2, AT_FDCWD, a0, AT_FDCWD, a1)
OLD(fdatasync, fsync, a0)
OLD(eventfd, eventfd2, a0)
