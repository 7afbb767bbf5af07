/* SPDX-License-Identifier: MIT */
/*
 * Owns: what directories and symbolic links of ext2 hold. See kernel/fs/ext2.h.
 *
 * A directory is a file of entries, none across the end of a block: inode number (0: unused), bytes to the next
 * entry, length of the name, type, name. Every block is walked from its start, whatever the position asked for, so
 * that only what is an entry is taken for one.
 */
#include "kernel/fs/ext2.h"
#include "kernel/base/errno.h"
#include "kernel/base/string.h"

struct disk_entry {
	u32 ino;
	u16 step;
	u8 len, type;
	char name[];
};
_Static_assert(sizeof(struct disk_entry) == 8, "8 bytes before the name");

/* Is D, AT bytes into a block of SIZE, an entry? */
static bool entry_ok(const struct ext2 *fs, const struct disk_entry *d, u32 at, u32 size)
{
	return d->step >= sizeof(*d) + (d->ino ? 1 : 0) && d->step % 4 == 0 && d->step <= size - at &&
	       d->len <= d->step - sizeof(*d) && d->ino <= fs->nr_inodes && (!d->ino || d->len);
}

/* The entries of one block, DATA, which begins at byte START of the directory. */
static int scan_block(const struct ext2 *fs, const char *data, u64 start, u64 pos, ext2_visit fn, void *arg)
{
	static const u32 types[] = { 0, 0100000, 0040000, 0020000, 0060000, 0010000, 0140000, 0120000 };
	u32 size = ext2_block_size(fs);
	int result = 0;

	for (u32 at = 0; at < size && !result;) {
		struct disk_entry d;

		if (size - at < sizeof(d))
			return -EIO;
		memcpy(&d, data + at, sizeof(d));
		if (!entry_ok(fs, &d, at, size))
			return -EIO;
		if (d.ino && start + at >= pos) {
			struct ext2_entry e = {
				.name = data + at + sizeof(d), .len = d.len, .ino = d.ino, .next = start + at + d.step,
				.mode = d.type < ARRAY_SIZE(types) ? types[d.type] : 0,
			};

			result = fn(arg, &e);
		}
		at += d.step;
	}
	return result;
}

int ext2_scan(struct ext2 *fs, const struct ext2_inode *dir, u64 pos, ext2_visit fn, void *arg)
{
	int result = 0;

	for (u64 index = pos >> fs->shift; index < dir->size >> fs->shift && !result; index++) {
		const void *data;
		u32 block;
		int n = ext2_map(fs, dir, index, 1, &block);

		if (n < 0)
			return n;
		if (!block)
			return -EIO;
		result = fs->get(fs, (u64)block << fs->shift, ext2_block_size(fs), &data);
		if (result)
			return result;
		result = scan_block(fs, data, index << fs->shift, pos, fn, arg);
		fs->put(fs, data);
	}
	return result;
}

struct wanted { const char *name; size_t len; u32 ino; };

static int is_wanted(void *arg, const struct ext2_entry *e)
{
	struct wanted *w = arg;

	if (e->len != w->len || memcmp(e->name, w->name, e->len))
		return 0;
	w->ino = e->ino;
	return 1;
}

int ext2_lookup(struct ext2 *fs, const struct ext2_inode *dir, const char *name, size_t len, u32 *ino)
{
	struct wanted w = { name, len, 0 };
	int found = ext2_scan(fs, dir, 0, is_wanted, &w);

	*ino = w.ino;
	return found > 0 ? 0 : found ? found : -ENOENT;
}

int ext2_readlink(struct ext2 *fs, const struct ext2_inode *link, char *buf, size_t size)
{
	size_t n = MIN(link->size, size);
	const void *data;
	u32 block;
	int err;

	if (!n || link->size > (link->fast ? sizeof(link->pointer) - 1 : MIN(EXT2_LINK_MAX, ext2_block_size(fs))))
		return -EIO;
	if (link->fast) {
		memcpy(buf, link->pointer, n);
		return (int)n;
	}
	err = ext2_map(fs, link, 0, 1, &block);
	if (err < 0 || !block)
		return err < 0 ? err : -EIO;
	err = fs->get(fs, (u64)block << fs->shift, (u32)n, &data);
	if (err)
		return err;
	memcpy(buf, data, n);
	fs->put(fs, data);
	return (int)n;
}
