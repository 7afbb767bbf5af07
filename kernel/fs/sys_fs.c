/* SPDX-License-Identifier: MIT */
/*
 * Owns: the calls that change names and sizes: mkdir mknod unlink rename link symlink truncate fallocate,
 * mount umount2; and fsync and sync, which have nothing to do.
 * Locks: none of its own; the file system's hooks check again under theirs.
 */
#include "kernel/fs/at.h"
#include "kernel/fs/fd.h"
#include "kernel/syscalls.h"

/* Creates what PATH names. SLASH: slashes behind the name are fine. */
static long create_at(u64 dirfd, u64 path, u32 mode, u64 rdev, const char *target, bool slash)
{
	HELD(vnode) v = NULL;
	struct at a;
	long e = at_walk(&a, dirfd, path, WALK_MAY_LACK | WALK_NAME);

	if (e)
		return e;
	if (a.w.vnode)
		e = -EEXIST;
	else if (a.w.slash && !slash)
		e = -ENOENT;
	else if (!a.w.dir->ops->create)
		e = vfs_refusal(a.w.dir, -EPERM);
	else
		e = a.w.dir->ops->create(a.w.dir, a.w.name, a.w.len, mode, rdev, target, &v);
	at_end(&a);
	return e;
}

long sys_mkdirat(u64 dirfd, u64 path, u64 mode, REST3)
{
	return create_at(dirfd, path, S_IFDIR | (mode & 01777 & ~fs_umask()), 0, NULL, true);
}

long sys_mknodat(u64 dirfd, u64 path, u64 mode, u64 rdev, REST4)
{
	u32 type = mode & S_IFMT ? mode & S_IFMT : S_IFREG;

	if (type == S_IFDIR)
		return -EPERM;
	if (type != S_IFREG && type != S_IFCHR && type != S_IFBLK && type != S_IFIFO && type != S_IFSOCK)
		return -EINVAL;
	return create_at(dirfd, path, type | (mode & 07777 & ~fs_umask()),
			 type == S_IFCHR || type == S_IFBLK ? (u32)rdev : 0, NULL, false);
}

long sys_symlinkat(u64 target, u64 dirfd, u64 path, REST3)
{
	char *text = path_page();
	ssize_t n;
	long e;

	if (!text)
		return -ENOMEM;
	n = user_copy_string(text, target, PATH_MAX);
	e = n < 0 ? n : n == 0 ? -ENOENT : create_at(dirfd, path, S_IFLNK | 0777, 0, text, false);
	path_page_free(text);
	return e;
}

long sys_linkat(u64 from_fd, u64 from, u64 to_fd, u64 to, u64 flags, REST5)
{
	HELD(vnode) v = NULL;
	struct at a;
	long e;

	if (flags & ~(u64)(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	e = at_lookup(from_fd, from, (flags & AT_SYMLINK_FOLLOW ? WALK_FOLLOW : 0) |
				     (flags & AT_EMPTY_PATH ? WALK_EMPTY : 0), &v);
	if (!e)
		e = at_walk(&a, to_fd, to, WALK_MAY_LACK | WALK_NAME);
	if (e)
		return e;
	if (a.w.vnode)
		e = -EEXIST;
	else if (a.w.slash)
		e = -ENOENT;
	else if (a.w.dir->mount != v->mount)
		e = -EXDEV;
	else if (S_ISDIR(v->mode) || !a.w.dir->ops->link)
		e = vfs_refusal(a.w.dir, -EPERM);
	else
		e = a.w.dir->ops->link(a.w.dir, a.w.name, a.w.len, v);
	at_end(&a);
	return e;
}

static long unlink_at(u64 dirfd, u64 path, bool rmdir)
{
	struct at a;
	long e = at_walk(&a, dirfd, path, WALK_NAME);

	if (e)
		return e;
	if (!a.w.dir)
		e = !rmdir ? -EISDIR : a.w.dot ? -EINVAL : a.w.dotdot ? -ENOTEMPTY : -EBUSY;
	else if (a.w.slash && !S_ISDIR(a.w.vnode->mode))
		e = -ENOTDIR;
	else if (a.w.vnode->mount != a.w.dir->mount)
		e = rmdir ? -EBUSY : -EISDIR;	/* a mount's root */
	else if (!a.w.dir->ops->unlink)
		e = vfs_refusal(a.w.dir, -EPERM);
	else
		e = a.w.dir->ops->unlink(a.w.dir, a.w.name, a.w.len, rmdir);
	at_end(&a);
	return e;
}

long sys_unlinkat(u64 dirfd, u64 path, u64 flags, REST3)
{
	return flags & ~(u64)AT_REMOVEDIR ? -EINVAL : unlink_at(dirfd, path, flags);
}

#define RENAME_NOREPLACE 1

static long rename_walked(struct walk *from, struct walk *to, u64 flags)
{
	if (!from->dir || !to->dir)
		return -EBUSY;
	if (!S_ISDIR(from->vnode->mode) && (from->slash || to->slash))
		return -ENOTDIR;
	if (from->dir->mount != to->dir->mount)
		return -EXDEV;
	if (from->vnode->mount != from->dir->mount || (to->vnode && to->vnode->mount != to->dir->mount))
		return -EBUSY;
	if (!from->dir->ops->rename)
		return vfs_refusal(from->dir, -EPERM);
	return from->dir->ops->rename(from->dir, from->name, from->len, to->dir, to->name, to->len, flags);
}

long sys_renameat2(u64 from_fd, u64 from, u64 to_fd, u64 to, u64 flags, REST5)
{
	struct at a, b;
	long e;

	if (flags & ~(u64)RENAME_NOREPLACE)
		return -EINVAL;
	e = at_walk(&a, from_fd, from, WALK_NAME);
	if (e)
		return e;
	e = at_walk(&b, to_fd, to, WALK_MAY_LACK | WALK_NAME);
	if (!e) {
		e = rename_walked(&a.w, &b.w, flags);
		at_end(&b);
	}
	at_end(&a);
	return e;
}

long sys_truncate(u64 path, u64 size, REST2)
{
	HELD(vnode) v = NULL;
	long e = (s64)size < 0 ? -EINVAL : at_lookup(AT_FDCWD, path, WALK_FOLLOW, &v);

	return e ? e : S_ISDIR(v->mode) ? -EISDIR : v->ops->resize ? v->ops->resize(v, size) : vfs_refusal(v, -EINVAL);
}

/* Is F open for writing? */
static bool writable(const struct file *f)
{
	u32 mode = f->flags & O_ACCMODE;

	return mode == O_WRONLY || mode == O_RDWR;
}

long sys_ftruncate(u64 fd, u64 size, REST2)
{
	HELD(file) f = fd_get_io(fd);

	if (!f)
		return -EBADF;
	if ((s64)size < 0 || !writable(f) || !f->vnode || !S_ISREG(f->vnode->mode) || !f->vnode->ops->resize)
		return -EINVAL;
	return f->vnode->ops->resize(f->vnode, size);
}

long sys_fallocate(u64 fd, u64 mode, u64 start, u64 len, REST4)
{
	HELD(file) f = fd_get_io(fd);
	u32 how = mode;

	if (!f || !writable(f))
		return -EBADF;
	if ((s64)start < 0 || (s64)len <= 0)
		return -EINVAL;
	if (how & ~(FALLOC_KEEP_SIZE | FALLOC_PUNCH_HOLE | FALLOC_ZERO_RANGE) ||
	    (how & FALLOC_PUNCH_HOLE && how != (FALLOC_PUNCH_HOLE | FALLOC_KEEP_SIZE)))
		return -EOPNOTSUPP;
	if (!f->vnode || S_ISFIFO(f->vnode->mode))
		return -ESPIPE;
	if (!S_ISREG(f->vnode->mode))
		return -ENODEV;
	if ((s64)(start + len) < 0)
		return -EFBIG;
	return f->vnode->ops->allocate ? f->vnode->ops->allocate(f->vnode, how, start, start + len) : -EOPNOTSUPP;
}

#define MS_RDONLY 1UL
/* Flags that allow less or cache less, none of which matters here. */
#define MS_KNOWN 0x3218ddeUL
enum { MNT_FORCE = 1, MNT_DETACH = 2, MNT_EXPIRE = 4, UMOUNT_NOFOLLOW = 8 };

/* Mounts TYPE on what PATH names; SOURCE is its device's path. What is read-only is mounted so or not at all, and
 * nothing else is. */
static long mount_on(u64 path, const struct fs_type *type, u64 source, bool read_only)
{
	HELD(vnode) v = NULL;
	char *from = path_page();
	long e = from ? at_lookup(AT_FDCWD, path, WALK_FOLLOW, &v) : -ENOMEM;

	if (!e && type->read_only)
		e = MIN(user_copy_string(from, source, PATH_MAX), 0);
	if (!e && type->read_only != read_only)
		e = read_only ? -EINVAL : -EACCES;
	if (!e)
		e = vfs_mount(type, from, v);
	path_page_free(from);
	return e;
}

long sys_mount(u64 source, u64 path, u64 type, u64 flags, u64 data __unused, REST5)
{
	static const struct fs_type *const types[] = { &tmpfs_type, &procfs_type, &ext2_type };
	char name[32];
	ssize_t n;

	if ((flags & 0xffff0000) == 0xc0ed0000)	/* an old magic number that Linux ignores too */
		flags &= 0xffff;
	if (flags & ~(MS_KNOWN | MS_RDONLY))
		return -EINVAL;		/* bind, move, remount, propagation */
	n = user_copy_string(name, type, sizeof(name));
	if (n < 0)
		return n == -ENAMETOOLONG ? -ENODEV : n;
	for (unsigned i = 0; i < ARRAY_SIZE(types); i++)
		if (!strcmp(name, types[i]->name))
			return mount_on(path, types[i], source, flags & MS_RDONLY);
	return -ENODEV;
}

long sys_umount2(u64 path, u64 flags, REST2)
{
	HELD(vnode) v = NULL;
	long e;

	if (flags & ~(u64)(MNT_FORCE | MNT_DETACH | UMOUNT_NOFOLLOW))
		return -EINVAL;
	e = at_lookup(AT_FDCWD, path, flags & UMOUNT_NOFOLLOW ? 0 : WALK_FOLLOW, &v);
	return e ? e : vfs_unmount(v, flags & MNT_DETACH);
}

long sys_fsync(u64 fd, REST1)
{
	HELD(file) f = fd_get_io(fd);

	return !f ? -EBADF : !f->vnode || S_ISFIFO(f->vnode->mode) ? -EINVAL : 0;
}

long sys_sync(ARGS) { return 0; }
