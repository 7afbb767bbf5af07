/* SPDX-License-Identifier: MIT */
/*
 * Owns: the nodes of tmpfs and the contents of its files. These are a page cache with nothing behind it
 * (mm/pcache.h): read and write go page by page between the frames and the caller's memory.
 *
 * A write, truncation or fallocate holds the node's mutex, so that sizes and appends are atomic; a read holds
 * nothing but the frame it copies from. Pages of one kind (shared memory, or the root's files) may fill
 * half of memory. Callers: kernel/fs/vfs.c by the hook tables.
 */
#include "kernel/fs/fd.h"
#include "kernel/fs/pipe.h"
#include "kernel/fs/tmpfs.h"
#include "kernel/process.h"
#include "mm/kmem.h"

#define MAX_SIZE (~0UL >> 1)
#define PAGES_PER_PAUSE 64	/* between looks at interrupts and other threads */

static KMEM_CACHE(node_cache, "tmpfs-node", struct tnode);

static const struct vnode_ops node_ops;
static const struct file_ops tmpfs_file_ops;

static const struct pcache_ops cache_ops = { VNODE_CACHE_OPS };

struct tnode *tnode_create(struct mount *m, u32 mode, u64 rdev, const char *target)
{
	struct tnode *t = kmem_cache_alloc(&node_cache);
	const struct file_ops *fops = NULL;

	if (!t)
		return NULL;
	switch (mode & S_IFMT) {
	case S_IFREG:
		mutex_init(&t->mutex);
		pcache_init(&t->cache, &cache_ops, m->type->shmem);
		t->cache.owner = &t->v;
		fops = &tmpfs_file_ops;
		break;
	case S_IFDIR:
		TAILQ_INIT(&t->names);
		fops = &dir_file_ops;
		break;
	case S_IFLNK:
		t->target = kmem_strdup(target);
		if (!t->target) {
			kmem_cache_free(&node_cache, t);
			return NULL;
		}
		break;
	case S_IFIFO:
		fops = &pipe_file_ops;
		break;
	}
	vnode_init(&t->v, m, &node_ops, fops, mode, __atomic_add_fetch(&m->last_ino, 1, __ATOMIC_RELAXED));
	t->v.rdev = rdev;
	return t;
}

static struct vnode *node_release(struct vnode *v)
{
	struct tnode *t = tnode_of(v);
	struct vnode *dir = t->name && t->name->dir ? &t->name->dir->v : NULL;

	if (S_ISREG(v->mode))
		pcache_destroy(&t->cache);
	else if (S_ISLNK(v->mode))
		kmem_free(t->target);
	kmem_free(t->name);
	kmem_cache_free(&node_cache, t);
	return dir;
}

static int node_readlink(struct vnode *v, char *buf, size_t size)
{
	const char *target = tnode_of(v)->target;
	size_t n = MIN(strlen(target), size);

	memcpy(buf, target, n);
	return n;
}

static void node_stat(struct vnode *v, struct kstat *st)
{
	struct tnode *t = tnode_of(v);

	if (S_ISREG(v->mode)) {
		st->size = READ_ONCE(t->cache.size);
		st->blocks = READ_ONCE(t->cache.nr_pages) * (PAGE_SIZE / 512);
	} else if (S_ISLNK(v->mode)) {
		st->size = strlen(t->target);
	}
}

static int node_open(struct vnode *v, struct file *f)
{
	return S_ISFIFO(v->mode) ? pipe_open(f, &tnode_of(v)->pipe, true) : 0;
}

static int fs_mount(struct mount *m, const char *source __unused)
{
	struct tnode *root = tnode_create(m, S_IFDIR | 0755, 0, NULL);

	m->root = root ? &root->v : NULL;
	return root ? 0 : -ENOMEM;
}

static const struct vnode_ops node_ops = {
	.lookup = tmpfs_lookup, .parent = tmpfs_parent, .readdir = tmpfs_readdir, .readlink = node_readlink,
	.path = tmpfs_path, .stat = node_stat, .open = node_open, .release = node_release, .create = tmpfs_create,
	.link = tmpfs_link, .unlink = tmpfs_unlink, .rename = tmpfs_rename, .resize = tmpfs_resize,
	.allocate = tmpfs_allocate,
};

#define TMPFS_MAGIC 0x01021994
const struct fs_type tmpfs_type = {
	.name = "tmpfs", .magic = TMPFS_MAGIC, .shmem = true, .mount = fs_mount, .unmount = tmpfs_unmount,
};
const struct fs_type rootfs_type = {
	.name = "rootfs", .magic = TMPFS_MAGIC, .mount = fs_mount, .unmount = tmpfs_unmount,
};

/* The frame of INDEX with a hold, made if absent and there is room. 0, -ENOSPC, -ENOMEM. */
static int page_for_write(struct pcache *c, u64 index, struct frame **out)
{
	*out = pcache_find(c, index);
	if (*out)
		return 0;
	if (pcache_kept_pages(c->shmem) >= frame_nr_total() / 2)
		return -ENOSPC;
	return pcache_get(c, index, out);
}

static u64 size_limit(void)
{
	return MIN(READ_ONCE(current_process->limits[RLIMIT_FSIZE].cur), MAX_SIZE);
}

/* May the running process put a byte at POS? If not: -EFBIG, and SIGXFSZ when it is its own limit. */
static int check_limit(u64 pos)
{
	u64 limit = size_limit();

	if (pos < limit)
		return 0;
	if (limit < MAX_SIZE)
		signal_send_thread(current, SIGXFSZ, NULL);
	return -EFBIG;
}

static ssize_t tmpfs_read(struct file *f, struct iov_cursor *to, u64 *pos)
{
	if (f->vnode->atime <= f->vnode->mtime)
		f->vnode->atime = vfs_now();
	return file_read_cached(&tnode_of(f->vnode)->cache, to, pos);
}

/* Writes what FROM has at POS; the bytes written or -errno. The mutex is held. */
static ssize_t write_pages(struct tnode *t, struct iov_cursor *from, u64 pos)
{
	struct pcache *c = &t->cache;
	ssize_t done = 0;
	int e = 0;

	while (from->left && !e) {
		size_t at = pos & ~PAGE_MASK, n = MIN(PAGE_SIZE - at, from->left), moved;
		struct frame *page;

		e = page_for_write(c, pos >> PAGE_SHIFT, &page);
		if (e)
			break;
		moved = iov_take(from, (char *)frame_ptr(page) + at, n);
		frame_put(page);
		if (!moved && pos - at >= c->size)
			pcache_punch(c, pos - at, pos - at + PAGE_SIZE);	/* just made, in vain */
		done += moved;
		pos += moved;
		if (moved < n)
			e = -EFAULT;
		else if (done / PAGE_SIZE % PAGES_PER_PAUSE == 0 && sched_pause())
			break;
	}
	if (pos > c->size && done)
		pcache_resize(c, pos);
	return done ? done : e;
}

static ssize_t tmpfs_write(struct file *f, struct iov_cursor *from, u64 *pos)
{
	struct tnode *t = tnode_of(f->vnode);
	ssize_t n = 0;
	u64 at;

	if (!from->left)
		return 0;
	mutex_lock(&t->mutex);
	at = f->flags & O_APPEND ? t->cache.size : *pos;
	n = check_limit(at);
	if (!n) {
		from->left = MIN(from->left, size_limit() - at);
		n = write_pages(t, from, at);
	}
	if (n > 0) {
		*pos = at + n;
		f->vnode->mtime = f->vnode->ctime = vfs_now();
	}
	mutex_unlock(&t->mutex);
	return n;
}

int tmpfs_resize(struct vnode *v, u64 bytes)
{
	struct tnode *t = tnode_of(v);
	int e = 0;

	if (!S_ISREG(v->mode))
		return S_ISDIR(v->mode) ? -EISDIR : -EINVAL;
	mutex_lock(&t->mutex);
	if (bytes > t->cache.size)
		e = check_limit(bytes - 1);
	if (!e) {
		pcache_resize(&t->cache, bytes);
		v->mtime = v->ctime = vfs_now();
	}
	mutex_unlock(&t->mutex);
	return e;
}

/* Gives pages [first, last] that are lacking. */
static int fill(struct pcache *c, u64 first, u64 last)
{
	for (u64 i = first; i <= last; i++) {
		struct frame *page;
		int e = page_for_write(c, i, &page);

		if (e)
			return e;
		frame_put(page);
		if (i % PAGES_PER_PAUSE == 0 && signal_pause())
			return -EINTR;
	}
	return 0;
}

int tmpfs_allocate(struct vnode *v, unsigned how, u64 start, u64 end)
{
	struct tnode *t = tnode_of(v);
	struct pcache *c = &t->cache;
	int e = 0;

	mutex_lock(&t->mutex);
	if (!(how & FALLOC_KEEP_SIZE) && end > c->size)
		e = check_limit(end - 1);
	if (!e && how & (FALLOC_PUNCH_HOLE | FALLOC_ZERO_RANGE))
		pcache_punch(c, start, end);
	if (!e && !(how & FALLOC_PUNCH_HOLE))
		e = fill(c, start >> PAGE_SHIFT, (end - 1) >> PAGE_SHIFT);
	if (e && end > c->size)
		pcache_punch(c, MAX(start, ALIGN_UP(c->size, PAGE_SIZE)), ALIGN_UP(end, PAGE_SIZE));
	if (!e && !(how & FALLOC_KEEP_SIZE) && end > c->size)
		pcache_resize(c, end);
	if (!e)
		v->mtime = v->ctime = vfs_now();
	mutex_unlock(&t->mutex);
	return e;
}

static int tmpfs_mmap(struct file *f, struct pcache **cache)
{
	*cache = &tnode_of(f->vnode)->cache;
	return 0;
}

static const struct file_ops tmpfs_file_ops = {
	.read_iov = tmpfs_read, .write_iov = tmpfs_write, .mmap = tmpfs_mmap, .seekable = true,
};
