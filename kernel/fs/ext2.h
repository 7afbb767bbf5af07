/* SPDX-License-Identifier: MIT */
/*
 * Owns: reading ext2 as it lies on the disk (ext2_disk.c: superblock, inodes, blocks of a file; ext2_dir.c: names,
 * links), apart from everything else of the kernel: the host's tests compile it too, and damage its images.
 *
 * Nothing that the disk says is believed. Sizes and numbers are checked before they are used, each is read once,
 * and no loop is longer than what the disk could hold. What contradicts itself is -EIO. Nothing is written, so
 * there is no lock. The format: linux/Documentation/filesystems/ext2.rst.
 */
#pragma once
#include "kernel/base/types.h"

#define EXT2_ROOT 2
#define EXT2_NAME_MAX 255
#define EXT2_LINK_MAX 4095U	/* bytes of a link's target */
#define EXT2_POINTERS 15	/* of an inode: 12 blocks, then tables of one, two and three levels */

struct ext2 {
	u64 bytes;		/* of the device; set before ext2_open */
	/* N bytes of the device at AT, within it and within one page of it, for reading until `put`. 0 or -errno. */
	int (*get)(struct ext2 *fs, u64 at, u32 n, const void **data);
	void (*put)(struct ext2 *fs, const void *data);
	/* From the superblock; constant. */
	u32 shift;		/* log2 of the bytes of a block: 10 .. 12 */
	u32 first_block, nr_blocks, free_blocks;
	u32 nr_inodes, free_inodes, first_inode;	/* below FIRST_INODE only the root is a file */
	u32 group_inodes, inode_size;
};

struct ext2_inode {
	u32 ino, mode, uid, gid, nlink;
	u32 atime, mtime, ctime;		/* s since 1970 */
	u64 size, sectors;			/* bytes; of 512 bytes */
	u32 rdev;				/* Linux's number of a device */
	bool fast;				/* a link whose target lies in `pointer` */
	u32 pointer[EXT2_POINTERS];
};

struct ext2_entry {
	const char *name;	/* LEN bytes */
	unsigned len;
	u32 ino, mode;		/* MODE: its type as in an inode's mode; 0: unknown */
	u64 next;		/* position after it */
};

static inline u32 ext2_block_size(const struct ext2 *fs) { return 1U << fs->shift; }

/* Fills FS from the superblock. NULL, or why it cannot be read as ext2. */
const char *ext2_open(struct ext2 *fs);

/* 0, -EIO, -ENOMEM. */
int ext2_inode(struct ext2 *fs, u32 ino, struct ext2_inode *out);

/* The block of a file INDEX blocks from its start: its number in *BLOCK, 0 for a hole. How many from there on are
 * one run (or hole), at most MAX (> 0); or -EIO, -ENOMEM. */
int ext2_map(struct ext2 *fs, const struct ext2_inode *inode, u64 index, u32 max, u32 *block);

/* Calls FN for the names of directory DIR from position POS (0: the first) on, "." and ".." among them, until it
 * returns something else than 0, which is the result. 0 at the end, -EIO, -ENOMEM. */
typedef int (*ext2_visit)(void *arg, const struct ext2_entry *e);
int ext2_scan(struct ext2 *fs, const struct ext2_inode *dir, u64 pos, ext2_visit fn, void *arg);

/* The number of NAME (LEN bytes) in DIR. 0, -ENOENT, -EIO, -ENOMEM. */
int ext2_lookup(struct ext2 *fs, const struct ext2_inode *dir, const char *name, size_t len, u32 *ino);

/* The target of LINK into BUF, no NUL: its length (at most SIZE), -EIO, -ENOMEM. */
int ext2_readlink(struct ext2 *fs, const struct ext2_inode *link, char *buf, size_t size);
