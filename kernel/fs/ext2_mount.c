/* SPDX-License-Identifier: MIT */
/*
 * Owns: mounting an ext2 file system from a block device, read-only, and the data of its files: a page is read from
 * the blocks that hold it, as many in one request as lie in a row. Metadata is read through the device's own cache.
 * Locks: none of its own; everything here may sleep.
 */
#include "arch/cpu.h"
#include "kernel/base/guard.h"
#include "kernel/base/print.h"
#include "kernel/fs/ext2_node.h"
#include "mm/kmem.h"

#define PIECES 32		/* of one block_read; on the stack */
#define NODES_MIN 64
#define NODES_MAX 1024
#define FRAMES_A_NODE 64	/* one is kept for so many frames of memory */

static int device_get(struct ext2 *fs, u64 at, u32 n __unused, const void **data)
{
	struct block_device *d = container_of(fs, struct ext2_mount, fs)->device;
	struct frame *f;
	int err = pcache_get(&d->cache, at >> PAGE_SHIFT, &f);

	if (!err)
		*data = (char *)frame_ptr(f) + (at & ~PAGE_MASK);
	cpu_irq_window();
	return err;
}

static void device_put(struct ext2 *fs __unused, const void *data)
{
	frame_put(frame_of_ptr((void *)((uintptr_t)data & PAGE_MASK)));
}

/* Block device SOURCE is a path of. */
static int find_device(const char *source, struct block_device **d)
{
	struct vnode *v;
	int err = vfs_lookup(NULL, source, WALK_FOLLOW, &v);

	if (err)
		return err;
	err = S_ISTYPE(v->mode, S_IFBLK) ? 0 : -ENOTBLK;
	*d = err ? NULL : block_find(v->rdev);
	vnode_put(v);
	return err ?: *d ? 0 : -ENXIO;
}

static int ext2_mount(struct mount *m, const char *source)
{
	struct ext2_mount *e = m->data = kmem_alloc(sizeof(*e));
	const char *why;
	int err;

	if (!e)
		return -ENOMEM;
	err = find_device(source, &e->device);
	if (err)
		return err;
	m->source = e->device->name;
	TAILQ_INIT(&e->nodes);
	e->most = (u32)MIN(MAX(frame_nr_total() / FRAMES_A_NODE, (u64)NODES_MIN), (u64)NODES_MAX);
	e->fs = (struct ext2){ .bytes = e->device->bytes, .get = device_get, .put = device_put };
	why = ext2_open(&e->fs);
	if (!why)
		err = ext2_node_get(m, EXT2_ROOT, NULL, NULL, 0, &m->root);
	if (!why && (err || !S_ISDIR(m->root->mode)))
		why = "its root directory cannot be read";
	if (why) {
		printk(LOG_WARN, "%s cannot be mounted as ext2: %s", m->source, why);
		if (m->root)
			vnode_put(m->root);
		return err ?: -EINVAL;
	}
	printk(LOG_INFO, "%s: ext2, %u blocks of %u bytes, %u files; read-only", m->source, e->fs.nr_blocks,
	       ext2_block_size(&e->fs), e->fs.nr_inodes - e->fs.free_inodes);
	return 0;
}

static int ext2_unmount(struct mount *m, bool detach)
{
	struct ext2_mount *e = ext2_mount_of(m);

	pcache_settle();
	ext2_node_forget(e, 0);
	if (READ_ONCE(m->root->refs) > 2 && !detach)	/* the mount and the caller; who is below holds it too */
		return -EBUSY;
	ext2_node_detach(e);
	return 0;
}

static void ext2_usage(struct mount *m, struct fs_usage *u)
{
	const struct ext2 *fs = &ext2_mount_of(m)->fs;

	*u = (struct fs_usage){
		.block_size = ext2_block_size(fs), .blocks = fs->nr_blocks, .free_blocks = fs->free_blocks,
		.files = fs->nr_inodes, .free_files = fs->free_inodes,
	};
}

const struct fs_type ext2_type = {
	.name = "ext2", .magic = 0xef53, .read_only = true, .mount = ext2_mount, .unmount = ext2_unmount,
	.usage = ext2_usage,
};

/* What is still to be asked of the disk in one go. */
struct batch { struct block_device *device; struct pcache_io *io; unsigned n; struct block_piece piece[PIECES]; };

static int batch_read(struct batch *b)
{
	int err = block_read(b->device, b->piece, b->n, b->io);

	b->n = 0;
	return err;
}

/* BYTES from byte AT of the device on, to byte OFFSET of F. As block_read. */
static int batch_add(struct batch *b, u64 at, struct frame *f, u32 offset, u32 bytes)
{
	int err = b->n == PIECES ? batch_read(b) : 0;

	b->piece[b->n++] = (struct block_piece){ at >> SECTOR_SHIFT, f, offset, bytes };
	return err;
}

/* Pages of a file from their blocks; holes stay zero. */
static int cache_read(struct pcache *c, u64 index, struct frame **f, unsigned n, struct pcache_io *io)
{
	struct ext2_node *node = container_of(c, struct ext2_node, cache);
	struct ext2_mount *e = ext2_mount_of(node->v.mount);
	u64 start = index << PAGE_SHIFT, end = MIN(start + n * PAGE_SIZE, node->inode.size);
	struct batch b = { .device = e->device, .io = io };
	int err = 0;

	if (start >= end)
		return 0;
	for (u64 at = start; at < end && !err;) {
		u32 block, left = (u32)((end - at + ext2_block_size(&e->fs) - 1) >> e->fs.shift);
		int run = ext2_map(&e->fs, &node->inode, at >> e->fs.shift, left, &block);

		if (run < 0)
			return run;
		for (u64 from = (u64)block << e->fs.shift, to = at + ((u64)run << e->fs.shift); at < to && !err;) {
			u32 offset = at & ~PAGE_MASK, bytes = (u32)MIN(PAGE_SIZE - offset, to - at);

			if (block)
				err = batch_add(&b, from, f[(at - start) >> PAGE_SHIFT], offset, bytes);
			from += bytes;
			at += bytes;
		}
	}
	return err ?: batch_read(&b);
}

const struct pcache_ops ext2_cache_ops = { VNODE_CACHE_OPS, .read_many = cache_read, .clean = true };

static ssize_t file_read(struct file *f, struct iov_cursor *to, u64 *pos)
{
	return file_read_cached(&ext2_node_of(f->vnode)->cache, to, pos);
}

static int file_mmap(struct file *f, struct pcache **cache)
{
	*cache = &ext2_node_of(f->vnode)->cache;
	return 0;
}

const struct file_ops ext2_file_ops = { .read_iov = file_read, .mmap = file_mmap, .seekable = true };
