/* SPDX-License-Identifier: MIT */
/*
 * Owns: reading `newc` cpio archives, one or more behind each other. Knows no file system: every entry is
 * checked against the bytes there are before it is handed out. No lock, no allocation.
 */
#pragma once
#include "kernel/base/types.h"

struct cpio {
	const u8 *data;
	size_t size, at;	/* of all archives; next header */
	size_t base;		/* where this archive begins: fields are aligned from there */
	unsigned archives;	/* ended so far */
	const char *error;	/* why cpio_next stopped early; NULL: at the end */
};

struct cpio_entry {
	char name[256 * 16];	/* without leading "/" and "./", no "//", no slash at the end; "" is the root */
	u32 ino, mode, uid, gid, nlink, mtime, dev_major, dev_minor, rdev_major, rdev_minor;
	const u8 *data;		/* a link's: its target */
	size_t size;
	unsigned archive;	/* ino means something within one */
	const char *skip;	/* the entry is sound but not usable: why; NULL */
};

void cpio_begin(struct cpio *c, const void *data, size_t size);
/* The next entry; false at the end or at what is not an archive. */
bool cpio_next(struct cpio *c, struct cpio_entry *e);
