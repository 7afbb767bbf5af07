/* SPDX-License-Identifier: MIT */
/*
 * Owns: reading and writing open files of /proc: texts, and the three files that are read by position,
 * where the position is an address: pagemap (8 bytes per page), ptwalk (the walk of that address), mem.
 *
 * A text is generated into a buffer that grows until it fits, or has the piece that is read (long texts,
 * or little memory), and belongs to the open file; its lock (a mutex) keeps two readers apart. Nothing of
 * the process is kept between two reads but, by a counters file, its domain.
 */
#include "kernel/fs/proc.h"
#include "mm/fault.h"
#include "mm/kmem.h"
#include "mm/report.h"

#define STORE_MAX 256		/* bytes of a text that is written */
#define TEXT_MAX (size_t)MiB(1)	/* of a text that is kept; a longer one is made piece by piece */

static KMEM_CACHE(proc_files, "proc_file", struct proc_file);

int proc_text_open(struct proc_node *n, struct file *f)
{
	struct proc_file *pf = kmem_cache_alloc(&proc_files);
	int e = 0;

	if (!pf)
		return -ENOMEM;
	pf->node = n;
	mutex_init(&pf->lock);
	if (n->entry->open)
		e = n->entry->open(pf);
	if (e)
		kmem_cache_free(&proc_files, pf);
	else
		f->data = pf;
	return e;
}

static void show_close(struct file *f)
{
	struct proc_file *pf = f->data;

	if (!pf)
		return;
	domain_put(pf->domain);
	kmem_free(pf->buf);
	kmem_cache_free(&proc_files, pf);
}

/* Makes the text anew, keeping TEXT_MAX bytes of it from START on, or what there is memory for. 0 or -errno:
 * then the old one stays. */
static int generate(struct proc_file *pf, size_t start)
{
	size_t size = ALIGN_UP(pf->stored + 1, PAGE_SIZE), want;
	bool less = false;	/* memory is short: a smaller piece will do */

	if (!pf->node->entry->show)
		return -EINVAL;
	for (;;) {
		struct text t = { .buf = kmem_alloc(size), .size = size, .start = start };
		int e;

		if (!t.buf && size > PAGE_SIZE) {
			size = ALIGN_UP(size / 2, PAGE_SIZE);
			less = true;
			continue;
		}
		e = t.buf ? pf->node->entry->show(pf, &t) : -ENOMEM;
		want = MIN(t.len > start ? t.len - start : 0, TEXT_MAX - 1);
		if (!e && (text_stored(&t) >= want || less)) {
			kmem_free(pf->buf);
			pf->buf = t.buf;
			pf->start = start;
			pf->stored = text_stored(&t);
			pf->len = t.len;
			return 0;
		}
		kmem_free(t.buf);
		if (e)
			return e;
		size = MIN(ALIGN_UP(want + want / 8 + 1, PAGE_SIZE), TEXT_MAX);
	}
}

static ssize_t show_read(struct file *f, struct iov_cursor *c, u64 *pos)
{
	struct proc_file *pf = f->data;
	ssize_t done = 0;

	mutex_lock(&pf->lock);
	if (!*pos || !pf->buf || (*pos < pf->len && (*pos < pf->start || *pos >= pf->start + pf->stored)))
		done = generate(pf, *pos);
	if (!done && *pos < pf->start + pf->stored) {
		size_t n = MIN(c->left, pf->start + pf->stored - *pos);

		done = (ssize_t)iov_put(c, pf->buf + (*pos - pf->start), n);
		*pos += (u64)done;
		if (!done && n)
			done = -EFAULT;
	}
	mutex_unlock(&pf->lock);
	return done;
}

static ssize_t store_write(struct file *f, struct iov_cursor *c, u64 *pos)
{
	struct proc_file *pf = f->data;
	char text[STORE_MAX];
	size_t n = c->left, len = n;
	int e;

	if (!pf->node->entry->store)
		return -EIO;
	if (n >= sizeof(text))
		return -EINVAL;
	if (iov_take(c, text, n) != n)
		return -EFAULT;
	while (len && (text[len - 1] == '\n' || text[len - 1] == ' ' || !text[len - 1]))
		len--;
	text[len] = 0;
	mutex_lock(&pf->lock);
	e = len ? pf->node->entry->store(pf, text) : n ? -EINVAL : 0;
	mutex_unlock(&pf->lock);
	if (e)
		return e;
	*pos += n;
	return (ssize_t)n;
}

const struct file_ops proc_text_ops = {
	.read_iov = show_read, .write_iov = store_write, .close = show_close, .seekable = true,
};

static struct proc_node *file_node(struct file *f)
{
	return container_of(f->vnode, struct proc_node, vnode);
}

/* All PAGEMAP_PIECE words at a time; positions that are not whole words are EINVAL, as Linux has it. */
#define PAGEMAP_PIECE 64

static ssize_t pagemap_read(struct file *f, struct iov_cursor *c, u64 *pos)
{
	u64 word[PAGEMAP_PIECE];
	ssize_t done = 0;
	struct space *s;
	int e;

	if (*pos % 8 || c->left % 8)
		return -EINVAL;
	e = proc_space(file_node(f), &s);
	if (e || !s)
		return e;
	while (c->left && *pos < USER_END / PAGE_SIZE * 8) {
		unsigned n = (unsigned)MIN(MIN(c->left, USER_END / PAGE_SIZE * 8 - *pos) / 8, (u64)PAGEMAP_PIECE);
		size_t bytes;

		report_pagemap(s, *pos / 8 * PAGE_SIZE, n, word);
		bytes = iov_put(c, word, n * 8);
		done += (ssize_t)bytes;
		*pos += bytes;
		if (bytes < n * 8) {
			done = done ? done : -EFAULT;
			break;
		}
		if (sched_pause())
			break;
	}
	space_put(s);
	return done;
}

const struct file_ops proc_pagemap_ops = { .read_iov = pagemap_read, .seekable = true };

/* The position ends beyond every address, so that a reader who goes on meets the end. */
static ssize_t ptwalk_read(struct file *f, struct iov_cursor *c, u64 *pos)
{
	char buf[1024];
	struct text t = { .buf = buf, .size = sizeof(buf) };
	struct space *s;
	size_t n, put;
	int e;

	if (*pos >= USER_END)
		return 0;
	e = proc_space(file_node(f), &s);
	if (e || !s)
		return e;
	report_ptwalk(s, *pos, &t);
	space_put(s);
	n = MIN(c->left, MIN(t.len, sizeof(buf) - 1));
	put = iov_put(c, buf, n);
	if (put < n)
		return -EFAULT;
	*pos = USER_END;
	return (ssize_t)n;
}

const struct file_ops proc_ptwalk_ops = { .read_iov = ptwalk_read, .seekable = true };

/* Moves memory of the file's process, a piece at a time; what its regions forbid is EIO. */
static ssize_t mem_move(struct file *f, struct iov_cursor *c, u64 *pos, bool write)
{
	char buf[512];
	ssize_t done = 0, moved;
	struct space *s;
	int e = proc_space(file_node(f), &s);

	if (e || !s)
		return e;
	for (; c->left && !e; done += moved, *pos += (u64)moved) {
		size_t n = MIN(c->left, sizeof(buf));

		if (write)
			moved = (n = iov_take(c, buf, n)) ? space_write(s, *pos, buf, n) : 0;
		else
			moved = space_read(s, *pos, buf, n);
		if (moved < 0)
			e = -EIO;
		else if (!write)
			moved = (ssize_t)iov_put(c, buf, (size_t)moved);
		if (!moved)
			e = -EFAULT;
		moved = MAX(moved, 0L);
		if (sched_pause() && !e)
			e = -EINTR;
	}
	space_put(s);
	return done ? done : e;
}

static ssize_t mem_read(struct file *f, struct iov_cursor *c, u64 *pos) { return mem_move(f, c, pos, false); }
static ssize_t mem_write(struct file *f, struct iov_cursor *c, u64 *pos) { return mem_move(f, c, pos, true); }

const struct file_ops proc_mem_ops = { .read_iov = mem_read, .write_iov = mem_write, .seekable = true };
