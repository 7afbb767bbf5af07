/* SPDX-License-Identifier: MIT */
/*
 * Owns: the calls that move bytes: read write pread64 pwrite64 readv writev preadv pwritev lseek sendfile
 * copy_file_range getdents64.
 * Locks: file->pos_lock from reading the position to storing it, for files that have one; not for sendfile and
 * copy_file_range, as on Linux.
 */
#include "kernel/fs/fd.h"
#include "kernel/fs/vfs.h"
#include "kernel/process.h"
#include "kernel/syscalls.h"
#include "mm/kmem.h"

#define MAX_BYTES 0x7ffff000UL	/* of one call, as Linux */
#define IOV_MAX 1024

enum way { READ, WRITE };

/* Is F open for this? */
static bool allowed(const struct file *f, enum way way)
{
	u32 mode = f->flags & O_ACCMODE;

	return !(f->flags & O_PATH) && (mode == O_RDWR || mode == (way == READ ? O_RDONLY : O_WRONLY));
}

static ssize_t move(struct file *f, struct iov_cursor *c, u64 *pos, enum way way)
{
	return way == READ ? file_read_iov(f, c, pos) : file_write_iov(f, c, pos);
}

/* At file->pos, or at *AT for the p- calls. */
static ssize_t transfer(struct file *f, struct iov_cursor *c, const u64 *at, enum way way)
{
	u64 none = 0, pos = at ? *at : 0;
	ssize_t n;

	if (!allowed(f, way))
		return -EBADF;
	if (!f->ops->seekable)
		return at ? -ESPIPE : move(f, c, &none, way);
	if (at)
		return (s64)pos < 0 || (s64)(pos + c->left) < 0 ? -EINVAL : move(f, c, &pos, way);
	mutex_lock(&f->pos_lock);
	n = (s64)(f->pos + c->left) < 0 ? -EINVAL : move(f, c, &f->pos, way);
	mutex_unlock(&f->pos_lock);
	return n;
}

static ssize_t transfer_one(u64 fd, u64 buf, u64 n, const u64 *at, enum way way)
{
	HELD(file) f = fd_get(fd);
	struct iov_cursor c;

	if (unlikely(!f))
		return -EBADF;
	if (unlikely(!user_range_ok(buf, n)))
		return allowed(f, way) ? -EFAULT : -EBADF;
	iov_user(&c, buf, MIN(n, MAX_BYTES));
	return transfer(f, &c, at, way);
}

long sys_read(u64 fd, u64 buf, u64 n, REST3) { return transfer_one(fd, buf, n, NULL, READ); }
long sys_write(u64 fd, u64 buf, u64 n, REST3) { return transfer_one(fd, buf, n, NULL, WRITE); }
long sys_pread64(u64 fd, u64 buf, u64 n, u64 at, REST4) { return transfer_one(fd, buf, n, &at, READ); }
long sys_pwrite64(u64 fd, u64 buf, u64 n, u64 at, REST4) { return transfer_one(fd, buf, n, &at, WRITE); }

/* Copies COUNT segments from user memory VEC to IOV and adds up; 0, -EFAULT, -EINVAL (too long in all). */
static int get_segments(struct iovec *iov, vaddr_t vec, u64 count, size_t *total)
{
	*total = 0;
	if (user_copy_in(iov, vec, count * sizeof(*iov)))
		return -EFAULT;
	for (u64 i = 0; i < count; i++) {
		if ((s64)iov[i].len < 0)
			return -EINVAL;
		if (!user_range_ok(iov[i].base, iov[i].len))
			return -EFAULT;
		iov[i].len = MIN(iov[i].len, MAX_BYTES - *total);
		*total += iov[i].len;
	}
	return 0;
}

#define INLINE_SEGMENTS 8

static ssize_t transfer_segments(u64 fd, u64 vec, u64 count, const u64 *at, enum way way)
{
	struct iovec some[INLINE_SEGMENTS], *iov = some;
	struct iov_cursor c = { 0 };
	HELD(file) f = fd_get(fd);
	ssize_t done;

	if (!f || !allowed(f, way))
		return -EBADF;
	if (count > IOV_MAX)
		return -EINVAL;
	if (count > INLINE_SEGMENTS)
		iov = kmem_alloc(count * sizeof(*iov));
	done = iov ? get_segments(iov, vec, count, &c.left) : -ENOMEM;
	c.iov = iov;
	if (!done && count)
		done = transfer(f, &c, at, way);
	if (iov != some)
		kmem_free(iov);
	return done;
}

long sys_readv(u64 fd, u64 vec, u64 n, REST3) { return transfer_segments(fd, vec, n, NULL, READ); }
long sys_writev(u64 fd, u64 vec, u64 n, REST3) { return transfer_segments(fd, vec, n, NULL, WRITE); }
long sys_preadv(u64 fd, u64 vec, u64 n, u64 at, REST4) { return transfer_segments(fd, vec, n, &at, READ); }
long sys_pwritev(u64 fd, u64 vec, u64 n, u64 at, REST4) { return transfer_segments(fd, vec, n, &at, WRITE); }

enum whence { FROM_START, FROM_HERE, FROM_END, FIND_DATA, FIND_HOLE };
#define GATHER 32

/* First byte >= POS of F in a page (DATA), or in none (as is the end of the file). -ENXIO, -EINTR. */
static s64 seek_data(struct file *f, u64 pos, bool data)
{
	struct pcache *c = file_pcache(f);
	u64 size = file_size(f), index = pos >> PAGE_SHIFT;
	struct frame *page[GATHER];

	if (pos >= size)
		return -ENXIO;
	if (!c || c->ops->read_many)
		return data ? (s64)pos : (s64)size;
	for (;; index += GATHER) {
		spin_lock(&c->lock);
		pcache_gather(c, index, GATHER, page);
		spin_unlock(&c->lock);
		for (unsigned i = 0; i < GATHER; i++) {
			u64 at = MAX(pos, (index + i) << PAGE_SHIFT);

			if (at >= size)
				return data ? -ENXIO : (s64)size;
			if (!page[i] != data)
				return at;
		}
		if (data && !READ_ONCE(c->nr_pages))
			return -ENXIO;
		if (signal_pause())
			return -EINTR;
	}
}

static s64 seek(struct file *f, s64 offset, unsigned whence)
{
	s64 base = 0;

	switch (whence) {
	case FROM_START:
		break;
	case FROM_HERE:
		base = f->pos;
		break;
	case FROM_END:
		base = file_size(f);
		break;
	case FIND_DATA:
	case FIND_HOLE:
		offset = seek_data(f, offset, whence == FIND_DATA);
		if (offset < 0)
			return offset;
		break;
	default:
		return -EINVAL;
	}
	if (__builtin_add_overflow(base, offset, &base) || base < 0)
		return -EINVAL;
	f->pos = base;
	return base;
}

long sys_lseek(u64 fd, u64 offset, u64 whence, REST3)
{
	HELD(file) f = fd_get_io(fd);
	long result;

	if (!f)
		return -EBADF;
	if (!f->ops->seekable)
		return -ESPIPE;
	mutex_lock(&f->pos_lock);
	result = seek(f, offset, (u32)whence);
	mutex_unlock(&f->pos_lock);
	return result;
}

/* Copies up to N bytes from IN at *IN_POS to OUT at *OUT_POS through a page of ours, moving both. */
static ssize_t copy(struct file *in, u64 *in_pos, struct file *out, u64 *out_pos, u64 n)
{
	struct frame *frame = frame_alloc(FRAME_KERNEL);
	ssize_t done = 0, got, put;
	struct iov_cursor c;

	if (!frame)
		return -ENOMEM;
	do {
		iov_kernel(&c, frame_ptr(frame), MIN(n - done, PAGE_SIZE));
		got = file_read_iov(in, &c, in_pos);
		if (got <= 0)
			break;
		iov_kernel(&c, frame_ptr(frame), got);
		put = file_write_iov(out, &c, out_pos);
		*in_pos -= got - MAX(put, 0L);		/* what was not written has not been read */
		done += MAX(put, 0L);
		if (put < got) {
			got = put;
			break;
		}
	} while ((u64)done < n && !signal_pause());
	frame_put(frame);
	return done || got > 0 ? done : got;
}

/* May N bytes at FROM of IN be copied to TO of OUT? Regular files only, and not onto themselves. */
static int check_range(const struct file *in, u64 from, const struct file *out, u64 to, u64 n)
{
	if (!in->vnode || !out->vnode)
		return -EINVAL;
	if (S_ISDIR(in->vnode->mode) || S_ISDIR(out->vnode->mode))
		return -EISDIR;
	if (!S_ISREG(in->vnode->mode) || !S_ISREG(out->vnode->mode))
		return -EINVAL;
	if (out->flags & O_APPEND)
		return -EBADF;
	if (from + n < from || to + n < to)
		return -EOVERFLOW;
	return in->vnode == out->vnode && from < to + n && to < from + n ? -EINVAL : 0;
}

/* sendfile, or (RANGE) copy_file_range: positions are the files' own, or at user addresses IN_AT, OUT_AT. */
static ssize_t copy_at(u64 in_fd, u64 in_at, u64 out_fd, u64 out_at, u64 n, bool range)
{
	HELD(file) in = fd_get(in_fd);
	HELD(file) out = fd_get(out_fd);
	u64 in_pos, out_pos;
	ssize_t done = 0;

	if (!in || !out)
		return -EBADF;
	in_pos = READ_ONCE(in->pos);
	out_pos = READ_ONCE(out->pos);
	if ((in_at && user_get(&in_pos, in_at)) || (out_at && user_get(&out_pos, out_at)))
		return -EFAULT;
	if (range)
		done = check_range(in, in_pos, out, out_pos, n);
	else if (out->flags & O_APPEND)
		done = -EINVAL;
	if (done)
		return done;
	if (!allowed(in, READ) || !allowed(out, WRITE))
		return -EBADF;
	if (!in->ops->read_iov || !in->ops->seekable || !out->ops->write_iov)
		return -EINVAL;
	if ((s64)in_pos < 0 || (s64)out_pos < 0 || (s64)n < 0)
		return -EINVAL;
	done = n ? copy(in, &in_pos, out, &out_pos, MIN(n, MAX_BYTES)) : 0;
	if (done <= 0)
		return done;
	if (!in_at)
		in->pos = in_pos;
	if (!out_at && out->ops->seekable)
		out->pos = out_pos;
	if ((in_at && user_put(in_at, &in_pos)) || (out_at && user_put(out_at, &out_pos)))
		return -EFAULT;
	return done;
}

long sys_sendfile(u64 out, u64 in, u64 in_at, u64 n, REST4) { return copy_at(in, in_at, out, 0, n, false); }

long sys_copy_file_range(u64 in, u64 in_at, u64 out, u64 out_at, u64 n, u64 flags)
{
	return flags ? -EINVAL : copy_at(in, in_at, out, out_at, n, true);
}

long sys_getdents64(u64 fd, u64 buf, u64 n, REST3)
{
	HELD(file) f = fd_get_io(fd);

	return !f ? -EBADF : f->ops->getdents ? f->ops->getdents(f, buf, (u32)n) : -ENOTDIR;
}
