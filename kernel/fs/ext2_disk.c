/* SPDX-License-Identifier: MIT */
/*
 * Owns: the superblock, inodes, and where the blocks of a file are. See kernel/fs/ext2.h. On the disk everything is
 * little-endian, as we are; fields are taken from it by their offset.
 *
 *	byte 1024: superblock; in the block after it: 32 bytes for each group of blocks, among them the block where
 *	the group's inodes begin. Inode N is the (N - 1)th of all.
 */
#include "kernel/fs/ext2.h"
#include "kernel/base/errno.h"
#include "kernel/base/string.h"

enum { SUPER_AT = 1024, SUPER_SIZE = 1024, DESC_SIZE = 32, DESC_TABLE = 8, INODE_SIZE = 128 };
enum { MAGIC = 0xef53, SHIFT_MAX = 2, FIRST_INODE_OLD = 11, DIRECT = 12, LEVELS = 3 };
enum { FEATURE_FILETYPE = 2 };				/* of those that must be understood, all that are */
enum { FLAG_EXTENTS = 0x80000, FLAG_INLINE = 0x10000000 };	/* ext4's ways to use `pointer` */
enum { TYPE = 0170000, DIRECTORY = 0040000, REGULAR = 0100000, LINK = 0120000, CHARS = 0020000, BLOCKS = 0060000 };

static u32 get16(const void *from, unsigned at)
{
	u16 v;

	memcpy(&v, (const char *)from + at, sizeof(v));
	return v;
}

static u32 get32(const void *from, unsigned at)
{
	u32 v;

	memcpy(&v, (const char *)from + at, sizeof(v));
	return v;
}

static const char *parse_super(struct ext2 *fs, const void *s)
{
	u32 log = get32(s, 24), group_blocks = get32(s, 32), revision = get32(s, 76), groups;

	if (get16(s, 56) != MAGIC)
		return "it has no ext2 superblock";
	if (log > SHIFT_MAX)
		return "its blocks are larger than 4 KiB";
	if (revision && get32(s, 96) & ~(u32)FEATURE_FILETYPE)
		return "it has features that ext2 has not";
	fs->shift = 10 + log;
	fs->nr_inodes = get32(s, 0);
	fs->nr_blocks = get32(s, 4);
	fs->free_blocks = get32(s, 12);
	fs->free_inodes = get32(s, 16);
	fs->first_block = get32(s, 20);
	fs->group_inodes = get32(s, 40);
	fs->first_inode = revision ? get32(s, 84) : FIRST_INODE_OLD;
	fs->inode_size = revision ? get16(s, 88) : INODE_SIZE;
	if ((u64)fs->nr_blocks << fs->shift > fs->bytes)
		return "it is larger than the disk";
	if (fs->first_block != (log == 0) || fs->nr_blocks <= fs->first_block || !group_blocks ||
	    group_blocks > 8U << fs->shift || !fs->group_inodes || fs->group_inodes > 8U << fs->shift ||
	    fs->inode_size < INODE_SIZE || fs->inode_size & (fs->inode_size - 1) || fs->inode_size > 1U << fs->shift)
		return "its superblock is damaged";
	groups = (fs->nr_blocks - fs->first_block - 1) / group_blocks + 1;
	if (fs->nr_inodes < EXT2_ROOT || fs->nr_inodes > (u64)groups * fs->group_inodes ||
	    fs->first_inode > fs->nr_inodes || fs->free_blocks > fs->nr_blocks || fs->free_inodes > fs->nr_inodes ||
	    fs->first_block + 1 + (((u64)groups * DESC_SIZE - 1) >> fs->shift) >= fs->nr_blocks)
		return "its superblock is damaged";
	return NULL;
}

const char *ext2_open(struct ext2 *fs)
{
	const void *s;
	const char *why;

	if (fs->bytes < SUPER_AT + SUPER_SIZE)
		return "it is too small";
	if (fs->get(fs, SUPER_AT, SUPER_SIZE, &s))
		return "its superblock cannot be read";
	why = parse_super(fs, s);
	fs->put(fs, s);
	return why;
}

/* May block B belong to a file, or be a table? */
static bool block_ok(const struct ext2 *fs, u32 b)
{
	return b > fs->first_block && b < fs->nr_blocks;
}

/* The four bytes at byte AT of block B. */
static int read_word(struct ext2 *fs, u32 b, u32 at, u32 *word)
{
	const void *p;
	int err = fs->get(fs, ((u64)b << fs->shift) + at, sizeof(*word), &p);

	if (err)
		return err;
	*word = get32(p, 0);
	fs->put(fs, p);
	return 0;
}

/* What the fields of an inode mean. 0 or -EIO. */
static int parse_inode(struct ext2 *fs, const void *p, struct ext2_inode *i)
{
	u32 type, acl = get32(p, 104), per_block = ext2_block_size(fs) >> 9;

	i->mode = get16(p, 0);
	i->uid = get16(p, 2) | get16(p, 120) << 16;
	i->gid = get16(p, 24) | get16(p, 122) << 16;
	i->nlink = get16(p, 26);
	i->atime = get32(p, 8);
	i->ctime = get32(p, 12);
	i->mtime = get32(p, 16);
	i->sectors = get32(p, 28);
	i->size = get32(p, 4);
	type = i->mode & TYPE;
	if (type == REGULAR)
		i->size |= (u64)get32(p, 108) << 32;
	memcpy(i->pointer, (const char *)p + 40, sizeof(i->pointer));
	i->fast = type == LINK && i->sectors == (acl ? per_block : 0);
	i->rdev = type != CHARS && type != BLOCKS ? 0 : i->pointer[0] ? i->pointer[0] & 0xffff : i->pointer[1];
	if (!type || !i->nlink || get32(p, 32) & (FLAG_EXTENTS | FLAG_INLINE))
		return -EIO;
	/* A directory has no holes. The last byte of a file is within its tables' reach: LEVELS of them. */
	if (type == DIRECTORY && i->size > (u64)fs->nr_blocks << fs->shift)
		return -EIO;
	return i->size >> (fs->shift + 3 * (fs->shift - 2) + 1) ? -EIO : 0;
}

int ext2_inode(struct ext2 *fs, u32 ino, struct ext2_inode *out)
{
	u64 desc = (u64)((ino - 1) / fs->group_inodes) * DESC_SIZE;
	u64 within = (u64)((ino - 1) % fs->group_inodes) * fs->inode_size;
	const void *p;
	u32 table;
	int err;

	if ((ino != EXT2_ROOT && ino < fs->first_inode) || !ino || ino > fs->nr_inodes)
		return -EIO;
	err = read_word(fs, fs->first_block + 1 + (u32)(desc >> fs->shift), (u32)desc % ext2_block_size(fs) + DESC_TABLE,
			&table);
	if (err)
		return err;
	if (!block_ok(fs, table) || within >> fs->shift >= fs->nr_blocks - table)
		return -EIO;
	err = fs->get(fs, ((u64)table << fs->shift) + within, INODE_SIZE, &p);
	if (err)
		return err;
	out->ino = ino;
	err = parse_inode(fs, p, out);
	fs->put(fs, p);
	return err;
}

/* How many of the N (up to MAX) numbers at FROM are one run, whose first is *BLOCK; or -EIO. */
static int run_of(const struct ext2 *fs, const u32 *from, u32 n, u32 max, u32 *block)
{
	u32 run = 1, next;

	memcpy(block, from, sizeof(*block));
	if (*block && !block_ok(fs, *block))
		return -EIO;
	for (; run < n && run < max; run++) {
		memcpy(&next, from + run, sizeof(next));
		if (next != (*block ? (u64)*block + run : 0) || next >= fs->nr_blocks)
			break;
	}
	return (int)run;
}

int ext2_map(struct ext2 *fs, const struct ext2_inode *inode, u64 index, u32 max, u32 *block)
{
	u32 bits = fs->shift - 2, mask = (1U << bits) - 1, level = 1, table;
	const void *p;
	int err, run;

	if (index < DIRECT)
		return run_of(fs, inode->pointer + index, DIRECT - (u32)index, max, block);
	for (index -= DIRECT; level <= LEVELS && index >> bits * level; level++)
		index -= 1UL << bits * level;
	if (level > LEVELS)
		return -EIO;
	table = inode->pointer[DIRECT - 1 + level];
	while (table && --level) {
		if (!block_ok(fs, table))
			return -EIO;
		err = read_word(fs, table, (u32)(index >> bits * level & mask) * 4, &table);
		if (err)
			return err;
	}
	if (!table) {		/* all that it would lead to is a hole */
		u64 span = 1UL << bits * level;

		*block = 0;
		return (int)MIN((u64)max, span - (index & (span - 1)));
	}
	if (!block_ok(fs, table))
		return -EIO;
	u32 at = (u32)index & mask, n = MIN(max, mask + 1 - at);
	err = fs->get(fs, ((u64)table << fs->shift) + at * 4, n * 4, &p);
	if (err)
		return err;
	run = run_of(fs, p, n, n, block);
	fs->put(fs, p);
	return run;
}
