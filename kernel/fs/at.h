/* SPDX-License-Identifier: MIT */
/*
 * Owns: the (directory descriptor, user path) pairs of the system calls, and the layouts that only they know.
 * See at.c. Locks: none.
 */
#pragma once
#include "arch/user.h"
#include "kernel/fs/vfs.h"

#define AT_SYMLINK_NOFOLLOW 0x100
#define AT_REMOVEDIR 0x200	/* unlinkat */
#define AT_EACCESS 0x200	/* faccessat */
#define AT_SYMLINK_FOLLOW 0x400
#define AT_NO_AUTOMOUNT 0x800
#define AT_EMPTY_PATH 0x1000

/* A walk along a path of the program; at_end drops what it holds. */
struct at {
	struct walk w;
	char *path;		/* a page */
	struct vnode *start;	/* held; NULL: the current directory, or not needed */
};

/* Copies PATH and walks it from descriptor DIRFD. 0 or -errno: then nothing is held. */
int at_walk(struct at *a, int dirfd, vaddr_t path, unsigned flags);
void at_end(struct at *a);
/* The same without walking: for vfs_open. */
int at_begin(struct at *a, int dirfd, vaddr_t path);
/* The vnode there, held. */
int at_lookup(int dirfd, vaddr_t path, unsigned flags, struct vnode **out);
/* WALK_* for a call that follows links unless AT_SYMLINK_NOFOLLOW, and takes AT_EMPTY_PATH. */
static inline unsigned at_walk_flags(u64 at_flags)
{
	return (at_flags & AT_SYMLINK_NOFOLLOW ? 0 : WALK_FOLLOW) | (at_flags & AT_EMPTY_PATH ? WALK_EMPTY : 0);
}
