/* SPDX-License-Identifier: MIT */
/*
 * Tests of kernel/fs/ext2_disk.c and ext2_dir.c, the reader of ext2: images that mke2fs makes of a tree are
 * compared with it to the byte, for each size of block and inode; then thousands of damaged ones are walked, with
 * the damage where the reader looks: whatever it answers, it stays within the disk, lets go of what it holds and
 * takes a bounded number of steps.
 */
#include "ext2_image.h"

#define ROUNDS 4000
#define WALK_NODES 120		/* of a damaged image, at most */

static u32 find(struct ext2 *fs, const struct ext2_inode *dir, const char *name)
{
	u32 ino;

	assert_int_equal(ext2_lookup(fs, dir, name, strlen(name), &ino), 0);
	return ino;
}

/* The N bytes of the file at AT, read by blocks. */
static int read_bytes(struct ext2 *fs, const struct ext2_inode *i, u64 at, u8 *to, size_t n)
{
	while (n) {
		u32 block, size = ext2_block_size(fs), in = (u32)at & (size - 1);
		int run = ext2_map(fs, i, at >> fs->shift, 1 + (u32)((in + n - 1) >> fs->shift), &block);
		size_t part;

		if (run < 0)
			return run;
		assert_true(run > 0);
		assert_true(!block || (block + (u64)run <= fs->nr_blocks && (block + (u64)run) << fs->shift <= image_bytes));
		part = MIN(n, (size_t)run * size - in);
		if (block)
			memcpy(to, image + ((u64)block << fs->shift) + in, part);
		else
			memset(to, 0, part);
		at += part;
		to += part;
		n -= part;
	}
	return 0;
}

/* Data regions are the same byte for byte; where the host has a hole, so has the image. */
static void same_contents(struct ext2 *fs, const struct ext2_inode *i, const char *path)
{
	static u8 ours[1 << 16], theirs[1 << 16];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	u64 at = 0;

	while (at < i->size) {
		off_t data = lseek(fd, (off_t)at, SEEK_DATA);
		u64 hole = data < 0 ? i->size : (u64)data;
		size_t n;
		u32 block;

		for (u64 b = (at + ext2_block_size(fs) - 1) >> fs->shift; b < hole >> fs->shift;) {
			int run = ext2_map(fs, i, b, (u32)MIN((hole >> fs->shift) - b, 1UL << 30), &block);

			assert_true(run > 0 && block == 0);
			b += (u64)run;
		}
		if (data < 0)
			break;
		at = (u64)data;
		n = MIN(sizeof(ours), i->size - at);
		assert_int_equal(pread(fd, theirs, n, (off_t)at), n);
		assert_int_equal(read_bytes(fs, i, at, ours, n), 0);
		assert_memory_equal(ours, theirs, n);
		at += n;
	}
	close(fd);
}

struct listed { unsigned n, dots; char name[400][256]; };

static int list(void *arg, const struct ext2_entry *e)
{
	struct listed *l = arg;

	if (e->name[0] == '.' && (e->len == 1 || (e->len == 2 && e->name[1] == '.'))) {
		l->dots++;
	} else {
		memcpy(l->name[l->n], e->name, e->len);
		l->name[l->n++][e->len] = 0;
	}
	return 0;
}

static void same_tree(struct ext2 *fs, u32 ino, const char *from)
{
	struct ext2_inode i;
	struct stat st;
	char path[4096];

	snprintf(path, sizeof(path), "%s", from);
	assert_int_equal(ext2_inode(fs, ino, &i), 0);
	assert_int_equal(lstat(path, &st), 0);
	assert_int_equal(i.mode, st.st_mode);
	assert_int_equal(i.mtime, ino == EXT2_ROOT ? i.mtime : (u32)st.st_mtime);
	if (ino != EXT2_ROOT) {
		assert_int_equal(i.uid, st.st_uid);
		assert_int_equal(i.gid, st.st_gid);
	}
	if (S_ISREG(i.mode)) {
		assert_int_equal(i.nlink, st.st_nlink);
		assert_int_equal(i.size, st.st_size);
		same_contents(fs, &i, path);
	} else if (S_ISLNK(i.mode)) {
		char ours[5000], theirs[5000];
		ssize_t n = readlink(path, theirs, sizeof(theirs));

		assert_int_equal(ext2_readlink(fs, &i, ours, sizeof(ours)), n);
		assert_memory_equal(ours, theirs, (size_t)n);
		assert_int_equal(ext2_readlink(fs, &i, ours, 1), 1);
	} else if (S_ISCHR(i.mode)) {
		assert_int_equal(i.rdev, st.st_rdev);
	} else if (S_ISDIR(i.mode)) {
		struct listed *l = calloc(1, sizeof(*l));
		unsigned n = 0;
		DIR *d = opendir(path);

		assert_int_equal(ext2_scan(fs, &i, 0, list, l), 0);
		assert_int_equal(l->dots, 2);
		for (struct dirent *e; (e = readdir(d));)
			n += strcmp(e->d_name, ".") && strcmp(e->d_name, "..");
		closedir(d);
		assert_int_equal(l->n, n + (ino == EXT2_ROOT));		/* lost+found */
		for (unsigned k = 0; k < l->n; k++)
			if (strcmp(l->name[k], "lost+found"))
				same_tree(fs, find(fs, &i, l->name[k]), text("%s/%s", path, l->name[k]));
		free(l);
	}
}

static const char *const layouts[] = {
	"-b 1024", "-b 2048", "-b 4096", "-b 1024 -I 128", "-b 4096 -I 256 -N 1000", "-b 1024 -O ^filetype,^dir_index",
	"-b 1024 -g 1024 -O ^sparse_super,^resize_inode", "-b 1024 -r 0",
};

static void as_the_host_has_it(void **state)
{
	(void)state;
	for (unsigned n = 0; n < ARRAY_SIZE(layouts); n++) {
		struct ext2_inode root;
		struct ext2 fs;
		u32 ino;

		make_image(layouts[n]);
		fs = device();
		assert_null(ext2_open(&fs));
		same_tree(&fs, EXT2_ROOT, tree);
		assert_int_equal(ext2_inode(&fs, EXT2_ROOT, &root), 0);
		assert_int_equal(ext2_lookup(&fs, &root, "file", 4, &ino), -ENOENT);
		assert_int_equal(ext2_lookup(&fs, &root, "file11", 5, &ino), 0);	/* file1 */
		for (u32 bad = 0; bad < 11; bad++)
			if (bad != EXT2_ROOT)
				assert_int_equal(ext2_inode(&fs, bad, &root), -EIO);
		assert_int_equal(ext2_inode(&fs, fs.nr_inodes + 1, &root), -EIO);
		assert_int_equal(ext2_inode(&fs, ~0U, &root), -EIO);
		assert_int_equal(held, 0);
	}
}

static const char *open_with(unsigned at, u32 value, unsigned n)
{
	struct ext2 fs = device();
	u8 old[4];
	const char *why;

	memcpy(old, image + 1024 + at, n);
	memcpy(image + 1024 + at, &value, n);
	why = ext2_open(&fs);
	memcpy(image + 1024 + at, old, n);
	return why;
}

/* What no ext2 has in its superblock. */
static void superblocks(void **state)
{
	(void)state;
	make_image("-b 1024");
	assert_null(open_with(0, *(u32 *)(image + 1024), 4));
	assert_non_null(open_with(56, 0x1234, 2));		/* magic */
	assert_non_null(open_with(24, 3, 4));			/* blocks of 8 KiB */
	assert_non_null(open_with(24, 2, 4));			/* of 4 KiB: then there are too many */
	assert_non_null(open_with(24, 0x80000000, 4));
	assert_non_null(open_with(4, 8193, 4));			/* blocks */
	assert_non_null(open_with(4, 0, 4));
	assert_non_null(open_with(4, 1, 4));
	assert_non_null(open_with(0, 0, 4));			/* inodes */
	assert_non_null(open_with(0, ~0U, 4));
	assert_non_null(open_with(20, 0, 4));			/* first block */
	assert_non_null(open_with(32, 0, 4));			/* blocks in a group */
	assert_non_null(open_with(32, 8193, 4));
	assert_non_null(open_with(40, 0, 4));			/* inodes in a group */
	assert_non_null(open_with(40, ~0U, 4));
	assert_non_null(open_with(88, 0, 2));			/* bytes of an inode */
	assert_non_null(open_with(88, 64, 2));
	assert_non_null(open_with(88, 192, 2));
	assert_non_null(open_with(88, 2048, 2));
	assert_non_null(open_with(96, 0x42, 4));		/* extents */
	assert_non_null(open_with(84, ~0U, 4));			/* first inode */
	assert_null(open_with(92, ~0U, 4));			/* features that do not matter */
	assert_null(open_with(100, ~0U, 4));			/* to who only reads */
	for (image_bytes = 0; image_bytes < 8 << 20; image_bytes += 512 << (image_bytes > 8192 ? 8 : 0)) {
		struct ext2 fs = device();

		assert_non_null(ext2_open(&fs));		/* cut short */
	}
	image_bytes = 8 << 20;
	assert_int_equal(held, 0);
}

/* Where entry N of directory DIR (one block) lies in the image; NULL: there are not so many. */
static u8 *entry_of(const struct ext2 *fs, const struct ext2_inode *dir, unsigned n)
{
	u8 *start = image + ((u64)dir->pointer[0] << fs->shift), *e = start;

	for (; n && e < start + ext2_block_size(fs); n--)
		e += *(u16 *)(e + 4);
	return e < start + ext2_block_size(fs) ? e : NULL;
}

static int scan_with(struct ext2 *fs, const struct ext2_inode *dir, u8 *at, u8 value)
{
	u8 old = *at;
	u32 ino;
	int err;

	*at = value;
	err = ext2_lookup(fs, dir, "not there", 9, &ino);
	*at = old;
	return err;
}

/* Numbers that are sound by themselves and lead beyond an edge. */
static void edges(void **state)
{
	struct ext2_inode root, i;
	struct ext2 fs;
	u32 block, *table, old;
	u8 *e;

	(void)state;
	make_image("-b 1024 -I 128");
	fs = device();
	assert_null(ext2_open(&fs));
	assert_int_equal(ext2_inode(&fs, EXT2_ROOT, &root), 0);
	assert_int_equal(ext2_inode(&fs, find(&fs, &root, "file12"), &i), 0);
	i.pointer[2] = fs.nr_blocks - 2;
	i.pointer[3] = fs.nr_blocks - 1;
	i.pointer[4] = fs.nr_blocks;
	assert_int_equal(ext2_map(&fs, &i, 2, 9, &block), 2);		/* a run to the last block */
	assert_int_equal(ext2_map(&fs, &i, 4, 9, &block), -EIO);
	i.pointer[5] = fs.first_block;
	assert_int_equal(ext2_map(&fs, &i, 5, 9, &block), -EIO);
	for (unsigned level = 1; level <= 3; level++) {
		u64 at = 12 + (level > 1 ? 256 : 0) + (level > 2 ? 65536 : 0);

		i.pointer[11 + level] = fs.nr_blocks;
		assert_int_equal(ext2_map(&fs, &i, at, 9, &block), -EIO);
		i.pointer[11 + level] = 0;
		assert_int_equal(ext2_map(&fs, &i, at + 3, ~0U >> 1, &block), (1 << 8 * level) - 3);
		assert_int_equal(block, 0);
	}
	assert_int_equal(ext2_map(&fs, &i, 12 + 256 + 65536 + (1 << 24), 1, &block), -EIO);

	table = (u32 *)(image + 2048 + 8);				/* where the inodes of group 0 are */
	old = *table;
	*table = fs.nr_blocks - 1;
	assert_int_equal(ext2_inode(&fs, 17, &i), -EIO);
	*table = old;
	assert_int_equal(ext2_inode(&fs, EXT2_ROOT, &i), 0);
	*(u32 *)(image + ((u64)old << 10) + 128 + 4) = 0x7ffffc00;	/* a root larger than the disk */
	assert_int_equal(ext2_inode(&fs, EXT2_ROOT, &i), -EIO);
	*(u32 *)(image + ((u64)old << 10) + 128 + 4) = (u32)root.size;
	*(u32 *)(image + ((u64)old << 10) + 128 + 32) |= 0x80000;	/* a root of extents */
	assert_int_equal(ext2_inode(&fs, EXT2_ROOT, &i), -EIO);

	assert_int_equal(ext2_inode(&fs, find(&fs, &root, "d"), &i), 0);
	e = entry_of(&fs, &i, 3);
	assert_non_null(e);
	assert_null(entry_of(&fs, &i, 4));
	assert_int_equal(scan_with(&fs, &i, e + 6, 1), -ENOENT);
	assert_int_equal(scan_with(&fs, &i, e + 4, (u8)(e[4] + 4)), -EIO);	/* the next would begin beyond the block */
	assert_int_equal(scan_with(&fs, &i, e + 4, (u8)(e[4] - 4)), -EIO);	/* 4 bytes before its end */
	assert_int_equal(scan_with(&fs, &i, e + 4, (u8)(e[4] + 1)), -EIO);
	e = entry_of(&fs, &i, 1);
	assert_int_equal(scan_with(&fs, &i, e + 4, 0), -EIO);
	assert_int_equal(scan_with(&fs, &i, e + 4, 4), -EIO);
	assert_int_equal(scan_with(&fs, &i, e + 6, 0), -EIO);		/* a name of no bytes */
	assert_int_equal(scan_with(&fs, &i, e + 6, 5), -EIO);		/* of more than there is room */
	assert_int_equal(scan_with(&fs, &i, e + 3, 0x80), -EIO);	/* a number that is no inode's */
	i.pointer[0] = 0;
	assert_int_equal(ext2_scan(&fs, &i, 0, list, NULL), -EIO);	/* a hole */

	image_bytes = 2048;
	*(u32 *)(image + 1024 + 4) = 2;					/* so small that the groups have no place */
	*(u32 *)(image + 1024 + 12) = 0;
	fs = device();
	assert_non_null(ext2_open(&fs));
	assert_int_equal(held, 0);
}

struct walk { struct ext2 *fs; unsigned nodes; u64 seen[2]; };

static void visit(struct walk *w, u32 ino, unsigned depth);

static int visit_entry(void *arg, const struct ext2_entry *e)
{
	struct walk *w = ((void **)arg)[0];
	unsigned depth = *(unsigned *)((void **)arg)[1];
	u8 sum = 0;

	assert_true(e->len > 0 && e->len <= EXT2_NAME_MAX && e->ino && e->ino <= w->fs->nr_inodes);
	for (unsigned i = 0; i < e->len; i++)
		sum ^= (u8)e->name[i];
	w->seen[0] += sum;
	if (!(e->len <= 2 && e->name[0] == '.'))
		visit(w, e->ino, depth + 1);
	return w->nodes > WALK_NODES;
}

/* Looks at all that inode INO has, as far as damage lets it. */
static void visit(struct walk *w, u32 ino, unsigned depth)
{
	static u8 bytes[3000], target[EXT2_LINK_MAX];
	struct ext2_inode i;
	void *arg[] = { w, &depth };
	u64 before = gets;
	u32 found;
	int n;

	if (depth > 6 || w->nodes++ > WALK_NODES || ext2_inode(w->fs, ino, &i))
		return;
	if (S_ISREG(i.mode)) {
		read_bytes(w->fs, &i, 0, bytes, sizeof(bytes));
		for (u64 at = i.size, step = 0; step < 6; step++, at /= 7)
			read_bytes(w->fs, &i, at, bytes, 100);
		assert_true(ext2_map(w->fs, &i, ~0UL, 1, &found) == -EIO);
	} else if (S_ISLNK(i.mode)) {
		n = ext2_readlink(w->fs, &i, (char *)target, sizeof(target));
		assert_true(n == -EIO || (n > 0 && n <= (int)EXT2_LINK_MAX));
	} else if (S_ISDIR(i.mode)) {
		n = ext2_lookup(w->fs, &i, "nothing like it", 15, &found);
		assert_true(n == -ENOENT || n == -EIO);
		assert_true(gets - before <= 4 * (u64)w->fs->nr_blocks + 10);
		n = ext2_scan(w->fs, &i, 0, visit_entry, arg);
		assert_true(n == 0 || n == 1 || n == -EIO);
		n = ext2_scan(w->fs, &i, w->seen[0] % 5000, visit_entry, arg);
	}
}

static void walk_image(void)
{
	struct ext2 fs = device();
	struct walk w = { &fs, 0, { 0 } };

	if (!ext2_open(&fs))
		visit(&w, EXT2_ROOT, 0);
	assert_int_equal(held, 0);
}

/* One wrong value where the reader has looked, or will. */
static void damage(u64 *seed, u64 at, unsigned n)
{
	static const u32 values[] = { 0, ~0U, 1, 2, 11, 0x7fffffff, 0x80000000, 8191, 8192, 0xffff, 0x41ed, 0x81a4, 0xa1ff };
	u32 value = fake_random(seed) % 3 ? values[fake_random(seed) % ARRAY_SIZE(values)] : (u32)fake_random(seed);

	if (fake_random(seed) % 4 == 0)
		image[at] ^= (u8)(1U << fake_random(seed) % 8);
	else
		memcpy(image + at, &value, n);
}

static void damaged(void **state)
{
	u8 *good = malloc(8 << 20);
	u64 seed = 2024;

	(void)state;
	for (unsigned n = 0; n < 3; n++) {
		make_image(layouts[n]);
		memcpy(good, image, image_bytes);
		marking = true;
		walk_image();
		marking = false;
		for (unsigned round = 0; round < ROUNDS / 3; round++) {
			u64 hit[8];
			unsigned hits = 1 + fake_random(&seed) % ARRAY_SIZE(hit);

			for (unsigned k = 0; k < hits; k++) {
				unsigned m = (unsigned)(fake_random(&seed) % nr_marks);

				hit[k] = mark[m].at + fake_random(&seed) % MIN(mark[m].n, k % 2 ? 128U : 4096U);
				hit[k] = MIN(k % 3 ? hit[k] & ~3UL : hit[k], image_bytes - 4);
				damage(&seed, hit[k], 1U << fake_random(&seed) % 3);
			}
			walk_image();
			for (unsigned k = 0; k < hits; k++)
				memcpy(image + hit[k], good + hit[k], 4);
		}
		assert_memory_equal(image, good, image_bytes);
	}
	free(good);
}

static int start(void **state)
{
	(void)state;
	make_tree();
	return 0;
}

static int end(void **state)
{
	(void)state;
	free(image);
	shell(text("rm -rf %s", tree));
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(as_the_host_has_it), cmocka_unit_test(superblocks), cmocka_unit_test(edges),
		cmocka_unit_test(damaged),
	};

	return cmocka_run_group_tests(tests, start, end);
}
