/* SPDX-License-Identifier: MIT */
/*
 * Owns: the calls that make, copy and close descriptors: open openat creat close dup dup2 dup3 fcntl ioctl
 * pipe pipe2 memfd_create.
 * Locks: none of its own. A call holds its struct file, so a close by another thread meanwhile is harmless.
 */
#include "kernel/fs/at.h"
#include "kernel/fs/fd.h"
#include "kernel/fs/lock.h"
#include "kernel/fs/pipe.h"
#include "kernel/fs/tmpfs.h"
#include "kernel/process.h"
#include "kernel/syscalls.h"

long sys_openat(u64 dirfd, u64 path, u64 flags, u64 mode, REST4)
{
	struct file *f;
	struct at a;
	int e = fd_room();

	if (e)
		return e;
	e = at_begin(&a, dirfd, path);
	if (e)
		return e;
	a.w = (struct walk){ 0 };
	e = vfs_open(a.start, a.path, flags, mode, &f);
	at_end(&a);
	return e ? e : fd_install_or_put(f, flags);
}

long sys_close(u64 fd, REST1) { return fd_close(fd); }

/* FD once more, as the descriptor that INSTALL finds for TO. */
static long dup_by(int (*install)(struct file *f, bool cloexec, int to), u64 fd, u64 to, bool cloexec)
{
	struct file *f = fd_get(fd);
	int n = f ? install(f, cloexec, to) : -EBADF;

	if (f && n < 0)
		file_put(f);
	return n;
}

long sys_dup(u64 fd, REST1) { return dup_by(fd_install, fd, 0, false); }

long sys_dup2(u64 fd, u64 to, REST2)
{
	if ((u32)fd != (u32)to)
		return dup_by(fd_replace, fd, to, false);
	return fd_cloexec(fd, -1) < 0 ? -EBADF : (long)(u32)fd;
}

long sys_dup3(u64 fd, u64 to, u64 flags, REST3)
{
	if (flags & ~(u64)O_CLOEXEC || (u32)fd == (u32)to)
		return -EINVAL;
	return dup_by(fd_replace, fd, to, flags & O_CLOEXEC);
}

static long pipe_fds(u64 fds, u64 flags)
{
	struct file *ends[2];
	int fd[2], e;

	e = pipe_create(&ends[0], &ends[1], flags & O_NONBLOCK);
	if (e)
		return e;
	fd[0] = fd_install_or_put(ends[0], flags);
	if (fd[0] < 0) {
		file_put(ends[1]);
		return fd[0];
	}
	fd[1] = fd_install_or_put(ends[1], flags);
	e = fd[1] < 0 ? fd[1] : user_put(fds, &fd);
	if (e) {
		fd_close(fd[0]);
		if (fd[1] >= 0)
			fd_close(fd[1]);
	}
	return e;
}

#define O_DIRECT 040000

long sys_pipe2(u64 fds, u64 flags, REST2)
{
	/* O_DIRECT (packets) is refused: who asks for it relies on it. */
	return flags & ~(u64)(O_CLOEXEC | O_NONBLOCK) ? -EINVAL : pipe_fds(fds, flags);
}

#define MFD_CLOEXEC 1
#define MFD_ALLOW_SEALING 2

long sys_memfd_create(u64 name, u64 flags, REST2)
{
	char text[NAME_MAX + 1] = "memfd:";
	size_t prefix = strlen(text);
	HELD(vnode) v = NULL;
	struct file *f;
	ssize_t n;
	int e;

	if (flags & ~(u64)(MFD_CLOEXEC | MFD_ALLOW_SEALING))
		return -EINVAL;
	n = user_copy_string(text + prefix, name, sizeof(text) - prefix);
	if (n < 0)
		return n == -ENAMETOOLONG ? -EINVAL : n;
	e = tmpfs_create_nameless(text, &v) ?: vnode_open(v, O_RDWR, &f);
	return e ? e : fd_install_or_put(f, flags & MFD_CLOEXEC ? O_CLOEXEC : 0);
}

enum { FIONCLEX = 0x5450, FIOCLEX, FIONBIO = 0x5421, FIONREAD = 0x541b };

static void set_flags(struct file *f, u32 mask, u32 flags)
{
	u32 old = f->flags;

	while (!__atomic_compare_exchange_n(&f->flags, &old, (old & ~mask) | (flags & mask), false, __ATOMIC_RELAXED,
					    __ATOMIC_RELAXED))
		;
}

static long file_ioctl(struct file *f, int fd, unsigned cmd, u64 arg)
{
	s32 n;

	switch (cmd) {
	case FIOCLEX:
	case FIONCLEX:
		return MIN(fd_cloexec(fd, cmd == FIOCLEX), 0);
	case FIONBIO:
		if (user_get(&n, arg))
			return -EFAULT;
		set_flags(f, O_NONBLOCK, n ? O_NONBLOCK : 0);
		return 0;
	case FIONREAD:
		if (f->vnode && S_ISREG(f->vnode->mode)) {
			n = file_size(f) - f->pos;
			return user_put(arg, &n);
		}
	}
	return f->ops->ioctl ? f->ops->ioctl(f, cmd, arg) : -ENOTTY;
}

long sys_ioctl(u64 fd, u64 cmd, u64 arg, REST3)
{
	HELD(file) f = fd_get_io(fd);

	return f ? file_ioctl(f, fd, cmd, arg) : -EBADF;
}

enum { F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_GETLK, F_SETLK, F_SETLKW, F_SETOWN, F_GETOWN,
       F_OFD_GETLK = 36, F_OFD_SETLK, F_OFD_SETLKW, F_DUPFD_CLOEXEC = 1030, F_SETPIPE_SZ, F_GETPIPE_SZ };
#define O_ASYNC 020000
#define O_NOATIME 01000000

/* F_SETLK; if the descriptor was closed meanwhile by another thread, the lock goes as it would have. */
static long set_lock(struct file *f, int fd, u64 arg, bool wait)
{
	long e = filelock_fcntl_set(f, arg, false, wait);
	HELD(file) now = fd_get(fd);

	if (!e && now != f)
		filelock_closed(f->vnode, current_process->files);
	return e;
}

static long file_fcntl(struct file *f, int fd, unsigned cmd, u64 arg)
{
	u32 changeable = O_APPEND | O_NONBLOCK | O_ASYNC | O_DIRECT | O_NOATIME;
	if (f->flags & O_PATH && cmd != F_DUPFD && cmd != F_DUPFD_CLOEXEC && cmd != F_GETFD &&
	    cmd != F_SETFD && cmd != F_GETFL)
		return -EBADF;
	switch (cmd) {
	case F_DUPFD:
	case F_DUPFD_CLOEXEC:
		if (arg >= current_process->limits[RLIMIT_NOFILE].cur || arg >= FD_MAX)
			return -EINVAL;
		return dup_by(fd_install, fd, arg, cmd == F_DUPFD_CLOEXEC);
	case F_GETFD:
		return fd_cloexec(fd, -1);
	case F_SETFD:
		return MIN(fd_cloexec(fd, arg & 1), 0);
	case F_GETFL:
		return f->flags;
	case F_SETFL:
		set_flags(f, changeable, arg);
		return 0;
	case F_SETOWN:		/* for O_ASYNC, which no file here obeys */
	case F_GETOWN:
		return 0;
	case F_GETLK:
	case F_OFD_GETLK:
		return filelock_fcntl_get(f, arg, cmd == F_OFD_GETLK);
	case F_SETLK:
	case F_SETLKW:
		return set_lock(f, fd, arg, cmd == F_SETLKW);
	case F_OFD_SETLK:
	case F_OFD_SETLKW:
		return filelock_fcntl_set(f, arg, true, cmd == F_OFD_SETLKW);
	case F_GETPIPE_SZ:
		return pipe_get_size(f);
	case F_SETPIPE_SZ:
		return pipe_set_size(f, (u32)arg);
	}
	return -EINVAL;
}

long sys_fcntl(u64 fd, u64 cmd, u64 arg, REST3)
{
	HELD(file) f = fd_get(fd);

	return f ? file_fcntl(f, fd, cmd, arg) : -EBADF;
}
