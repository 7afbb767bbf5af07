/* SPDX-License-Identifier: MIT */
/*
 * Owns: pipes: a ring of pages, made as they are written to and freed as they are read.
 *
 * Positions only grow: [tail, head) is in the pipe, byte p in page p / 4096 mod nr_pages. Locks: `data` (a
 * mutex) is held while bytes are copied, so a write of up to PIPE_BUF bytes, for which there is room, is
 * one piece; `lock` (RANK_PIPE) guards positions and counts of ends against those who sleep. head and tail
 * change under both. `slot` and `refs` are guarded by vfs_lock.
 */
#include "kernel/fs/pipe.h"
#include "arch/user.h"
#include "kernel/base/print.h"
#include "kernel/fs/poll.h"
#include "kernel/fs/vfs.h"
#include "kernel/process.h"
#include "mm/kmem.h"

#define PIPE_BUF 4096
#define DEFAULT_PAGES 16
#define MAX_PAGES 256
#define FIONREAD 0x541b

struct pipe {
	struct mutex data;
	struct spinlock lock;
	u32 readers, writers;		/* open ends */
	u32 reader_opens, writer_opens;	/* ever, for open(2) of fifos */
	u64 head, tail;
	u32 nr_pages;			/* a power of two */
	struct frame **pages;
	struct waitq read_queue, write_queue;
	u32 refs;			/* open files */
	struct pipe **slot;		/* where pipe_open finds it */
};

/* The vnode of a pipe without a name. */
struct pipe_node {
	struct vnode v;
	struct pipe *pipe;
};

static KMEM_CACHE(pipe_cache, "pipe", struct pipe);
static KMEM_CACHE(pipe_node_cache, "pipe-node", struct pipe_node);

static bool reads(const struct file *f) { return (f->flags & O_ACCMODE) != O_WRONLY; }
static bool writes(const struct file *f) { return (f->flags & O_ACCMODE) != O_RDONLY; }
static u64 room(const struct pipe *p) { return p->nr_pages * PAGE_SIZE - (p->head - p->tail); }

static struct frame **page_at(struct pipe *p, u64 pos)
{
	return &p->pages[pos >> PAGE_SHIFT & (p->nr_pages - 1)];
}

static struct pipe *pipe_alloc(struct pipe **slot)
{
	struct pipe *p = kmem_cache_alloc(&pipe_cache);

	if (!p)
		return NULL;
	p->pages = kmem_alloc(DEFAULT_PAGES * sizeof(*p->pages));
	if (!p->pages) {
		kmem_cache_free(&pipe_cache, p);
		return NULL;
	}
	p->nr_pages = DEFAULT_PAGES;
	mutex_init(&p->data);
	spin_init(&p->lock, RANK_PIPE);
	waitq_init(&p->read_queue);
	waitq_init(&p->write_queue);
	p->slot = slot;
	return p;
}

static void free_pages(struct frame **pages, u32 n)
{
	for (u32 i = 0; i < n; i++)
		if (pages[i])
			frame_put(pages[i]);
	kmem_free(pages);
}

static void pipe_put(struct pipe *p)
{
	bool last;

	spin_lock(&vfs_lock);
	last = !--p->refs;
	if (last)
		*p->slot = NULL;
	spin_unlock(&vfs_lock);
	if (last) {
		free_pages(p->pages, p->nr_pages);
		kmem_cache_free(&pipe_cache, p);
	}
}

static void wake_all(struct pipe *p)
{
	waitq_wake_all(&p->read_queue);
	waitq_wake_all(&p->write_queue);
}

static void pipe_close(struct file *f)
{
	struct pipe *p = f->data;

	spin_lock(&p->lock);
	p->readers -= reads(f);
	p->writers -= writes(f);
	spin_unlock(&p->lock);
	wake_all(p);
	pipe_put(p);
}

/* Copies out what there is; under data. Bytes or -EFAULT. */
static ssize_t take_bytes(struct pipe *p, struct iov_cursor *to)
{
	u64 pos = p->tail;
	ssize_t done = 0;

	while (to->left && pos != p->head) {
		size_t at = pos & ~PAGE_MASK, n = MIN(MIN(PAGE_SIZE - at, p->head - pos), to->left), moved;
		struct frame **page = page_at(p, pos);

		moved = iov_put(to, (char *)frame_ptr(*page) + at, n);
		pos += moved;
		done += moved;
		if (moved < n) {
			done = done ? done : -EFAULT;
			break;
		}
		/* The page is read out, and the writers have not come around into it. */
		if ((pos & ~PAGE_MASK) == 0 && p->head - pos <= (p->nr_pages - 1) * PAGE_SIZE) {
			frame_put(*page);
			*page = NULL;
		}
	}
	spin_lock(&p->lock);
	p->tail = pos;
	spin_unlock(&p->lock);
	return done;
}

static ssize_t pipe_read(struct file *f, struct iov_cursor *to, u64 *pos __unused)
{
	struct pipe *p = f->data;
	ssize_t n = 0;

	while (to->left) {
		mutex_lock(&p->data);
		n = take_bytes(p, to);
		mutex_unlock(&p->data);
		if (n) {
			waitq_wake_all(&p->write_queue);
			return n;
		}
		spin_lock(&p->lock);
		if (p->head == p->tail) {
			if (!p->writers)
				n = 1;		/* the end */
			else if (f->flags & O_NONBLOCK)
				n = -EAGAIN;
			else if (waitq_sleep(&p->read_queue, &p->lock, SLEEP_FOREVER, SLEEP_INTERRUPTIBLE))
				n = -ERESTART;
		}
		spin_unlock(&p->lock);
		if (n)
			return MIN(n, 0L);
	}
	return 0;
}

/* Copies in what there is room for; under data. Bytes or -errno. */
static ssize_t put_bytes(struct pipe *p, struct iov_cursor *from)
{
	u64 pos = p->head, end = p->head + room(p);
	ssize_t done = 0;
	int e = 0;

	while (from->left && pos != end && !e) {
		size_t at = pos & ~PAGE_MASK, n = MIN(MIN(PAGE_SIZE - at, end - pos), from->left), moved;
		struct frame **page = page_at(p, pos);

		if (!*page)
			*page = frame_alloc(FRAME_KERNEL);
		if (!*page) {
			e = -ENOMEM;
			break;
		}
		moved = iov_take(from, (char *)frame_ptr(*page) + at, n);
		pos += moved;
		done += moved;
		if (moved < n)
			e = -EFAULT;
	}
	spin_lock(&p->lock);
	p->head = pos;
	spin_unlock(&p->lock);
	return done ? done : e;
}

static ssize_t pipe_write(struct file *f, struct iov_cursor *from, u64 *pos __unused)
{
	struct pipe *p = f->data;
	u64 need = from->left <= PIPE_BUF ? from->left : 1;	/* room for less is not used */
	ssize_t done = 0, n = 0;

	while (from->left) {
		mutex_lock(&p->data);
		if (!READ_ONCE(p->readers))
			n = -EPIPE;
		else
			n = room(p) >= need ? put_bytes(p, from) : 0;
		mutex_unlock(&p->data);
		if (n > 0) {
			done += n;
			waitq_wake_all(&p->read_queue);
			continue;
		}
		if (!n) {
			spin_lock(&p->lock);
			if (p->readers && room(p) < need) {
				if (f->flags & O_NONBLOCK)
					n = -EAGAIN;
				else if (waitq_sleep(&p->write_queue, &p->lock, SLEEP_FOREVER, SLEEP_INTERRUPTIBLE))
					n = -ERESTART;
			}
			spin_unlock(&p->lock);
		}
		if (n == -EPIPE)
			signal_send_thread(current, SIGPIPE, NULL);
		if (n < 0)
			break;
	}
	return done ? done : n;
}

static unsigned pipe_poll(struct file *f, struct poll_table *pt)
{
	struct pipe *p = f->data;
	unsigned mask = 0;

	if (reads(f))
		poll_wait(pt, &p->read_queue);
	if (writes(f))
		poll_wait(pt, &p->write_queue);
	GUARD(p->lock);
	if (reads(f)) {
		mask |= p->head != p->tail ? POLL_IN : 0;
		/* A fifo that no writer has opened since is not hung up yet. */
		mask |= !p->writers && p->writer_opens != f->pos ? POLL_HUP : 0;
	}
	if (writes(f)) {
		mask |= room(p) >= PIPE_BUF ? POLL_OUT : 0;
		mask |= !p->readers ? POLL_ERR : 0;
	}
	return mask;
}

static long pipe_ioctl(struct file *f, unsigned cmd, u64 arg)
{
	struct pipe *p = f->data;
	u32 n;

	if (cmd != FIONREAD)
		return -ENOTTY;
	spin_lock(&p->lock);
	n = p->head - p->tail;
	spin_unlock(&p->lock);
	return user_put(arg, &n);
}

const struct file_ops pipe_file_ops = {
	.read_iov = pipe_read, .write_iov = pipe_write, .poll = pipe_poll, .ioctl = pipe_ioctl, .close = pipe_close,
};

/* The pipe at *SLOT with one more ref; NULL: no memory. */
static struct pipe *pipe_of_slot(struct pipe **slot)
{
	struct pipe *fresh = pipe_alloc(slot), *p;	/* beforehand: what is there now may be gone a moment later */

	spin_lock(&vfs_lock);
	if (!*slot)
		*slot = fresh;
	p = *slot;
	if (p)
		p->refs++;
	spin_unlock(&vfs_lock);
	if (fresh && p != fresh) {
		kmem_free(fresh->pages);
		kmem_cache_free(&pipe_cache, fresh);
	}
	return p;
}

int pipe_open(struct file *f, struct pipe **slot, bool fifo)
{
	struct pipe *p = pipe_of_slot(slot);
	u32 *opens, before;
	int e = 0;

	if (!p)
		return -ENOMEM;
	f->data = p;
	spin_lock(&p->lock);
	p->readers += reads(f);
	p->reader_opens += reads(f);
	p->writers += writes(f);
	p->writer_opens += writes(f);
	wake_all(p);
	opens = reads(f) ? &p->writer_opens : &p->reader_opens;
	before = *opens;
	if (!fifo) {
		opens = NULL;
	} else if (reads(f) && !p->writers) {
		f->pos = before;
		if (f->flags & O_NONBLOCK)
			opens = NULL;
	} else if (!reads(f) && !p->readers) {
		if (f->flags & O_NONBLOCK)
			e = -ENXIO;
	} else {
		opens = NULL;
	}
	while (!e && opens && *opens == before)
		if (waitq_sleep(reads(f) ? &p->read_queue : &p->write_queue, &p->lock, SLEEP_FOREVER,
				SLEEP_INTERRUPTIBLE))
			e = -ERESTART;
	spin_unlock(&p->lock);
	if (e)
		pipe_close(f);
	return e;
}

static int node_open(struct vnode *v, struct file *f)
{
	return pipe_open(f, &container_of(v, struct pipe_node, v)->pipe, false);
}

static int node_path(struct vnode *v, char *buf, size_t *at)
{
	char text[32];
	int n = snprintf(text, sizeof(text), "pipe:[%lu]", v->ino), e = path_prepend(buf, at, text, n);

	*at += !e;	/* no slash */
	return e;
}

static struct vnode *node_release(struct vnode *v)
{
	kmem_cache_free(&pipe_node_cache, container_of(v, struct pipe_node, v));
	return NULL;
}

static const struct vnode_ops pipe_node_ops = { .open = node_open, .path = node_path, .release = node_release };

static struct file *end_create(struct pipe_node *node, u32 flags)
{
	struct file *f = file_alloc(&pipe_file_ops, flags);

	if (f) {
		f->vnode = vnode_get(&node->v);
		f->data = node->pipe;
		node->pipe->refs++;
	}
	return f;
}

int pipe_create(struct file **reader, struct file **writer, u32 flags)
{
	struct pipe_node *node = kmem_cache_alloc(&pipe_node_cache);
	struct pipe *p;

	if (!node)
		return -ENOMEM;
	p = node->pipe = pipe_alloc(&node->pipe);
	if (!p) {
		kmem_cache_free(&pipe_node_cache, node);
		return -ENOMEM;
	}
	vnode_init(&node->v, nameless, &pipe_node_ops, &pipe_file_ops, S_IFIFO | 0600,
		   __atomic_add_fetch(&nameless->last_ino, 1, __ATOMIC_RELAXED));
	p->readers = p->writers = p->reader_opens = p->writer_opens = 1;
	p->refs = 1;		/* ours, until both ends are there */
	*reader = end_create(node, O_RDONLY | flags);
	*writer = *reader ? end_create(node, O_WRONLY | flags) : NULL;
	if (!*writer && *reader)
		file_put(*reader);
	pipe_put(p);
	vnode_put(&node->v);
	return *writer ? 0 : -ENOMEM;
}

long pipe_get_size(struct file *f)
{
	struct pipe *p = f->data;

	return f->ops == &pipe_file_ops ? (long)(READ_ONCE(p->nr_pages) * PAGE_SIZE) : -EBADF;
}

/* Makes NR pages the ring of P, with the bytes that are in it. Under data. */
static int replace_ring(struct pipe *p, u32 nr)
{
	struct frame **pages = kmem_alloc(nr * sizeof(*pages)), **old = p->pages;
	u32 old_nr = p->nr_pages;

	if (!pages)
		return -ENOMEM;
	for (u64 pos = p->tail; pos != p->head;) {
		size_t at = pos & ~PAGE_MASK, n = MIN(PAGE_SIZE - at, p->head - pos);
		struct frame **page = &pages[pos >> PAGE_SHIFT & (nr - 1)];

		if (!*page)
			*page = frame_alloc(FRAME_KERNEL);
		if (!*page) {
			free_pages(pages, nr);
			return -ENOMEM;
		}
		memcpy((char *)frame_ptr(*page) + at, (char *)frame_ptr(*page_at(p, pos)) + at, n);
		pos += n;
	}
	spin_lock(&p->lock);
	p->pages = pages;
	p->nr_pages = nr;
	spin_unlock(&p->lock);
	free_pages(old, old_nr);
	return 0;
}

long pipe_set_size(struct file *f, u64 bytes)
{
	struct pipe *p = f->data;
	u32 nr = 1;
	int e = 0;

	if (f->ops != &pipe_file_ops)
		return -EBADF;
	if (bytes > 1UL << 31)
		return -EINVAL;
	while (nr * PAGE_SIZE < bytes)
		nr *= 2;
	if (nr > MAX_PAGES)
		return -EPERM;
	mutex_lock(&p->data);
	if (p->head - p->tail > nr * PAGE_SIZE)
		e = -EBUSY;
	else if (nr != p->nr_pages)
		e = replace_ring(p, nr);
	mutex_unlock(&p->data);
	if (e)
		return e;
	waitq_wake_all(&p->write_queue);
	return nr * PAGE_SIZE;
}
