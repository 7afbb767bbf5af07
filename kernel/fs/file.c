/* SPDX-License-Identifier: MIT */
/*
 * Owns: struct file from open to the last hold, segments of memory (iov_cursor), reading and writing
 * through whichever hook a file has, what page caches ask their vnodes. Descriptor tables are fd.c's, paths are path.c's.
 *
 * Locks: none of its own; file->refs is atomic. file_put may sleep (a close hook may), so it is called
 * with no spin lock held.
 */
#include "arch/machine.h"
#include "arch/user.h"
#include "kernel/fs/lock.h"
#include "kernel/fs/vfs.h"
#include "mm/kmem.h"

static KMEM_CACHE(file_cache, "file", struct file);

struct file *file_alloc(const struct file_ops *ops, u32 flags)
{
	struct file *f = kmem_cache_alloc(&file_cache);

	if (!f)
		return NULL;
	f->ops = ops;
	f->refs = 1;
	f->flags = flags;
	mutex_init(&f->pos_lock);
	return f;
}

void file_put(struct file *f)
{
	if (__atomic_sub_fetch(&f->refs, 1, __ATOMIC_ACQ_REL))
		return;
	filelock_closed(NULL, f);
	if (f->ops->close)
		f->ops->close(f);
	vnode_put(f->vnode);
	kmem_cache_free(&file_cache, f);
}

void iov_user(struct iov_cursor *c, vaddr_t buf, size_t n)
{
	c->one = (struct iovec){ buf, n };
	c->iov = &c->one;
	c->skip = 0;
	c->left = n;
	c->kernel = false;
}

void iov_kernel(struct iov_cursor *c, void *buf, size_t n)
{
	iov_user(c, (vaddr_t)buf, n);
	c->kernel = true;
}

enum iov_way { IOV_PUT, IOV_TAKE };

/* Moves N bytes between MEM (NULL: zeroes, when putting) and the segments. */
static size_t iov_move(struct iov_cursor *c, char *mem, size_t n, enum iov_way way)
{
	size_t done = 0;

	while (done < n) {
		vaddr_t at = c->iov->base + c->skip;
		size_t part = MIN(n - done, c->iov->len - c->skip), bad = 0;

		if (c->kernel && way == IOV_TAKE)
			memcpy(mem + done, (void *)at, part);
		else if (c->kernel)
			mem ? memcpy((void *)at, mem + done, part) : memset((void *)at, 0, part);
		else if (way == IOV_TAKE)
			bad = user_copy_in(mem + done, at, part);
		else
			bad = mem ? user_copy_out(at, mem + done, part) : user_clear(at, part);
		part -= bad;
		done += part;
		c->skip += part;
		c->left -= part;
		if (bad)
			break;
		if (c->skip == c->iov->len && c->left) {
			c->iov++;
			c->skip = 0;
		}
	}
	return done;
}

size_t iov_put(struct iov_cursor *c, const void *src, size_t n)
{
	return iov_move(c, (char *)src, n, IOV_PUT);
}

size_t iov_take(struct iov_cursor *c, void *dst, size_t n)
{
	return iov_move(c, dst, n, IOV_TAKE);
}

/* For hooks that know only one user buffer: one call for each segment, until one falls short. */
static ssize_t each_segment(struct file *f, struct iov_cursor *c, u64 *pos,
			    ssize_t (*hook)(struct file *, vaddr_t, size_t, u64 *))
{
	ssize_t done = 0;

	if (!hook || c->kernel)
		return -EINVAL;
	do {
		size_t part = MIN(c->iov->len - c->skip, c->left);
		ssize_t n = part || !c->left ? hook(f, c->iov->base + c->skip, part, pos) : 0;

		if (n < 0)
			return done ? done : n;
		done += n;
		c->skip += n;
		c->left -= n;
		if ((size_t)n < part)
			break;
		if (c->left) {
			c->iov++;
			c->skip = 0;
		}
	} while (c->left);
	return done;
}

ssize_t file_read_iov(struct file *f, struct iov_cursor *c, u64 *pos)
{
	return f->ops->read_iov ? f->ops->read_iov(f, c, pos) : each_segment(f, c, pos, f->ops->read);
}

ssize_t file_write_iov(struct file *f, struct iov_cursor *c, u64 *pos)
{
	return f->ops->write_iov ? f->ops->write_iov(f, c, pos) : each_segment(f, c, pos, f->ops->write);
}

#define PAGES_PER_PAUSE 64

ssize_t file_read_cached(struct pcache *c, struct iov_cursor *to, u64 *pos)
{
	ssize_t done = 0;
	u64 size;

	while (to->left && *pos < (size = READ_ONCE(c->size))) {
		size_t at = *pos & ~PAGE_MASK, n = MIN(MIN(PAGE_SIZE - at, size - *pos), to->left), moved;
		struct frame *page = NULL;
		int e = 0;

		if (c->ops->read_many)
			e = pcache_get(c, *pos >> PAGE_SHIFT, &page);
		else
			page = pcache_find(c, *pos >> PAGE_SHIFT);
		if (e)
			return done ? done : e;
		moved = iov_put(to, page ? (char *)frame_ptr(page) + at : NULL, n);
		if (page)
			frame_put(page);
		done += moved;
		*pos += moved;
		if (moved < n)
			return done ? done : -EFAULT;
		if (done / PAGE_SIZE % PAGES_PER_PAUSE == 0 && sched_pause())
			break;
	}
	return done;
}

ssize_t file_read_kernel(struct file *f, void *buf, size_t n, u64 pos)
{
	struct iov_cursor c;

	iov_kernel(&c, buf, n);
	return file_read_iov(f, &c, &pos);
}

u64 file_size(struct file *f)
{
	struct pcache *c = file_pcache(f);
	struct kstat st;

	if (c)
		return READ_ONCE(c->size);
	if (!f->vnode)
		return 0;
	vnode_stat(f->vnode, &st);
	return st.size;
}

struct pcache *file_pcache(struct file *f)
{
	struct pcache *c = NULL;

	return f->ops->mmap && !f->ops->mmap(f, &c) ? c : NULL;
}

void file_path(struct file *f, char *buf, size_t size)
{
	if (!f->vnode || vfs_path(f->vnode, buf, size) < 0)
		strlcpy(buf, "anon_inode", size);
}

void vnode_cache_get(struct pcache *c)
{
	vnode_get(c->owner);
}

void vnode_cache_put(struct pcache *c)
{
	vnode_put(c->owner);
}

void vnode_cache_name(struct pcache *c, char *buf, size_t size)
{
	if (vfs_path(c->owner, buf, size) < 0)
		strlcpy(buf, "?", size);
}

void vnode_cache_identity(struct pcache *c, u64 *dev, u64 *ino)
{
	struct vnode *v = c->owner;

	*dev = v->mount->dev;
	*ino = v->ino;
}

int file_open(const char *path, int flags, u32 mode, struct file **out)
{
	return vfs_open(NULL, path, flags, mode, out);
}

int file_open_exec(const char *path, struct file **out)
{
	struct vnode *v;
	int e = vfs_lookup(NULL, path, WALK_FOLLOW, &v);

	if (e)
		return e;
	e = S_ISREG(v->mode) && v->mode & 0111 ? vnode_open(v, O_RDONLY, out) : -EACCES;
	vnode_put(v);
	return e;
}

u64 vfs_now(void)
{
	return clock_boot_epoch() * 1000000000UL + clock_ns();
}
