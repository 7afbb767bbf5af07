/* SPDX-License-Identifier: MIT */
/*
 * Owns: the calls that ask about files or change their attributes: stat and its kin, statx, access, readlink,
 * chmod, chown, utimensat, statfs.
 * Locks: vfs_lock while attributes change.
 */
#include "kernel/fs/at.h"
#include "kernel/fs/fd.h"
#include "kernel/syscalls.h"
#include "kernel/timespec.h"

/* Linux's struct stat. */
struct stat {
	u64 dev, ino, nlink;
	u32 mode, uid, gid, pad;
	u64 rdev;
	s64 size, blksize, blocks;
	struct timespec atime, mtime, ctime;
	s64 unused[3];
};
_Static_assert(sizeof(struct stat) == 144, "struct stat");

static long put_stat(vaddr_t buf, const struct kstat *k)
{
	struct stat st = {
		.dev = k->dev, .ino = k->ino, .nlink = k->nlink, .mode = k->mode, .uid = k->uid, .gid = k->gid,
		.rdev = k->rdev, .size = k->size, .blksize = PAGE_SIZE, .blocks = k->blocks,
		.atime = timespec_of(k->atime), .mtime = timespec_of(k->mtime), .ctime = timespec_of(k->ctime),
	};

	return user_put(buf, &st);
}

static long stat_fd(u64 fd, struct kstat *k)
{
	HELD(file) f = fd_get(fd);

	if (!f)
		return -EBADF;
	if (f->vnode)
		vnode_stat(f->vnode, k);
	else	/* eventfd, epoll */
		*k = (struct kstat){ .ino = 1, .mode = 0600, .nlink = 1 };
	return 0;
}

/* Is the user's string empty? A bad pointer is left to who copies it. */
static bool is_empty(vaddr_t path)
{
	char c;

	return !user_get(&c, path) && !c;
}

static long stat_at(u64 dirfd, u64 path, u64 flags, struct kstat *k)
{
	HELD(vnode) v = NULL;
	long e;

	if (flags & AT_EMPTY_PATH && (int)dirfd != AT_FDCWD && is_empty(path))
		return stat_fd(dirfd, k);
	e = at_lookup(dirfd, path, at_walk_flags(flags), &v);
	if (!e)
		vnode_stat(v, k);
	return e;
}

long sys_newfstatat(u64 dirfd, u64 path, u64 buf, u64 flags, REST4)
{
	struct kstat k;
	long e;

	if (flags & ~(u64)(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH | AT_NO_AUTOMOUNT))
		return -EINVAL;
	e = stat_at(dirfd, path, flags, &k);
	return e ? e : put_stat(buf, &k);
}

long sys_fstat(u64 fd, u64 buf, REST2)
{
	struct kstat k;
	long e = stat_fd(fd, &k);

	return e ? e : put_stat(buf, &k);
}

struct statx_time { s64 sec; u32 nsec; s32 pad; };
struct statx {
	u32 mask, blksize;
	u64 attributes;
	u32 nlink, uid, gid;
	u16 mode, pad;
	u64 ino, size, blocks, attributes_mask;
	struct statx_time atime, btime, ctime, mtime;
	u32 rdev_major, rdev_minor, dev_major, dev_minor;
	u64 spare[14];
};
_Static_assert(sizeof(struct statx) == 256, "struct statx");
#define STATX_BASIC_STATS 0x7ff
#define STATX_RESERVED 0x80000000UL
#define AT_STATX_SYNC_TYPE 0x6000

static struct statx_time statx_time_of(u64 ns)
{
	return (struct statx_time){ ns / NSEC_PER_SEC, ns % NSEC_PER_SEC, 0 };
}

static u32 dev_major(u64 dev) { return (dev >> 8 & 0xfff) | (dev >> 32 & ~0xfffU); }
static u32 dev_minor(u64 dev) { return (dev & 0xff) | (dev >> 12 & ~0xffU); }

long sys_statx(u64 dirfd, u64 path, u64 flags, u64 mask, u64 buf, REST5)
{
	struct kstat k;
	struct statx st;
	long e;

	if (flags & ~(u64)(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH | AT_NO_AUTOMOUNT | AT_STATX_SYNC_TYPE) ||
	    (flags & AT_STATX_SYNC_TYPE) == AT_STATX_SYNC_TYPE || mask & STATX_RESERVED)
		return -EINVAL;
	e = stat_at(dirfd, path, flags, &k);
	if (e)
		return e;
	st = (struct statx){
		.mask = STATX_BASIC_STATS, .blksize = PAGE_SIZE, .nlink = k.nlink, .uid = k.uid, .gid = k.gid,
		.mode = k.mode, .ino = k.ino, .size = k.size, .blocks = k.blocks, .atime = statx_time_of(k.atime),
		.mtime = statx_time_of(k.mtime), .ctime = statx_time_of(k.ctime), .rdev_major = dev_major(k.rdev),
		.rdev_minor = dev_minor(k.rdev), .dev_major = dev_major(k.dev), .dev_minor = dev_minor(k.dev),
	};
	return user_put(buf, &st);
}

/* Everybody is root: only execution can be refused, where nobody has the x bit; and writing where nobody can. */
long sys_faccessat2(u64 dirfd, u64 path, u64 mode, u64 flags, REST4)
{
	HELD(vnode) v = NULL;
	long e;

	if (mode & ~7UL || flags & ~(u64)(AT_EACCESS | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	e = at_lookup(dirfd, path, at_walk_flags(flags), &v);
	if (!e && mode & 2 && !S_ISDEVICE(v->mode))
		e = vfs_refusal(v, 0);
	return e ? e : mode & 1 && !S_ISDIR(v->mode) && !(v->mode & 0111) ? -EACCES : 0;
}

/* The target of link V into PAGE, of PATH_MAX bytes. */
static int read_link(struct vnode *v, char *page)
{
	if (!S_ISLNK(v->mode) || !v->ops->readlink)
		return -EINVAL;
	return v->ops->readlink(v, page, PATH_MAX);
}

long sys_readlinkat(u64 dirfd, u64 path, u64 buf, u64 size, REST4)
{
	HELD(vnode) v = NULL;
	char *page;
	long n;

	if ((s32)size <= 0)
		return -EINVAL;
	n = at_lookup(dirfd, path, WALK_EMPTY, &v);
	if (n)
		return n;
	page = path_page();
	n = page ? read_link(v, page) : -ENOMEM;
	if (n == -EINVAL && is_empty(path))
		n = -ENOENT;
	if (n >= 0) {
		n = MIN(n, (long)(s32)size);
		if (user_copy_out(buf, page, n))
			n = -EFAULT;
	}
	path_page_free(page);
	return n;
}

/* A change of attributes; what is NULL or -1 stays. */
struct change {
	bool has_mode, has_atime, has_mtime;
	u32 mode, uid, gid;
	u64 atime, mtime;
};
#define NO_OWNER .uid = -1U, .gid = -1U

static long change_vnode(struct vnode *v, const struct change *c)
{
	if (v->mount->type->fixed || v->mount->type->read_only)
		return vfs_refusal(v, -EPERM);
	if (c->has_mode && S_ISLNK(v->mode))
		return -EOPNOTSUPP;
	GUARD(vfs_lock);
	if (c->has_mode)
		v->mode = (v->mode & S_IFMT) | (c->mode & 07777);
	if (c->uid != -1U)
		v->uid = c->uid;
	if (c->gid != -1U)
		v->gid = c->gid;
	if ((c->uid != -1U || c->gid != -1U) && !S_ISDIR(v->mode))
		v->mode &= v->mode & 010 ? ~06000U : ~04000U;	/* set-id bits do not change hands */
	if (c->has_atime)
		v->atime = c->atime;
	if (c->has_mtime)
		v->mtime = c->mtime;
	v->ctime = vfs_now();
	return 0;
}

static long change_at(u64 dirfd, u64 path, unsigned flags, const struct change *c)
{
	HELD(vnode) v = NULL;

	return at_lookup(dirfd, path, flags, &v) ?: change_vnode(v, c);
}

static long change_fd(u64 fd, const struct change *c)
{
	HELD(file) f = fd_get_io(fd);

	return !f ? -EBADF : f->vnode ? change_vnode(f->vnode, c) : 0;
}

long sys_fchmodat(u64 dirfd, u64 path, u64 mode, REST3)
{
	struct change c = { .has_mode = true, .mode = mode, NO_OWNER };

	return change_at(dirfd, path, WALK_FOLLOW, &c);
}

long sys_fchmod(u64 fd, u64 mode, REST2)
{
	struct change c = { .has_mode = true, .mode = mode, NO_OWNER };

	return change_fd(fd, &c);
}

long sys_fchownat(u64 dirfd, u64 path, u64 uid, u64 gid, u64 flags, REST5)
{
	struct change c = { .uid = uid, .gid = gid };

	if (flags & ~(u64)(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	return change_at(dirfd, path, at_walk_flags(flags), &c);
}

long sys_fchown(u64 fd, u64 uid, u64 gid, REST3)
{
	struct change c = { .uid = uid, .gid = gid };

	return change_fd(fd, &c);
}

#define UTIME_NOW 0x3fffffff
#define UTIME_OMIT 0x3ffffffe

/* One of utimensat's times: what becomes of it. */
static int parse_time(const struct timespec *t, bool *has, u64 *ns)
{
	*has = t->nsec != UTIME_OMIT;
	*ns = vfs_now();
	if (t->nsec == UTIME_NOW || t->nsec == UTIME_OMIT)
		return 0;
	if (t->nsec < 0 || t->nsec >= (s64)NSEC_PER_SEC)
		return -EINVAL;
	*ns = t->sec < 0 ? 0 : (u64)t->sec >= ~0UL / NSEC_PER_SEC ? ~0UL : t->sec * NSEC_PER_SEC + t->nsec;
	return 0;
}

long sys_utimensat(u64 dirfd, u64 path, u64 times, u64 flags, REST4)
{
	struct timespec t[2] = { { 0, UTIME_NOW }, { 0, UTIME_NOW } };
	struct change c = { NO_OWNER };

	if (flags & ~(u64)(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	if (times && user_get(&t, times))
		return -EFAULT;
	if (parse_time(&t[0], &c.has_atime, &c.atime) || parse_time(&t[1], &c.has_mtime, &c.mtime))
		return -EINVAL;
	if (!c.has_atime && !c.has_mtime)
		return 0;
	if (!path && (int)dirfd != AT_FDCWD)
		return flags ? -EINVAL : change_fd(dirfd, &c);
	return change_at(dirfd, path, at_walk_flags(flags), &c);
}

long sys_utime(u64 path, u64 times, REST2)
{
	struct change c = { .has_atime = true, .has_mtime = true, .atime = vfs_now(), .mtime = vfs_now(), NO_OWNER };
	struct { s64 atime, mtime; } t;

	if (times) {
		if (user_get(&t, times))
			return -EFAULT;
		c.atime = MAX(t.atime, 0L) * NSEC_PER_SEC;
		c.mtime = MAX(t.mtime, 0L) * NSEC_PER_SEC;
	}
	return change_at(AT_FDCWD, path, WALK_FOLLOW, &c);
}

struct statfs {
	s64 type, bsize;
	u64 blocks, bfree, bavail, files, ffree;
	s32 fsid[2];
	s64 namelen, frsize, flags, spare[4];
};
_Static_assert(sizeof(struct statfs) == 120, "struct statfs");
enum { ST_RDONLY = 1, ST_VALID = 0x20 };

static long put_statfs(vaddr_t buf, const struct vnode *v)
{
	const struct fs_type *type = v->mount->type;
	struct statfs st = {
		.type = type->magic, .bsize = PAGE_SIZE, .frsize = PAGE_SIZE, .namelen = NAME_MAX, .flags = ST_VALID,
		.fsid = { v->mount->dev, 0 },
	};

	if (type->read_only)
		st.flags |= ST_RDONLY;
	if (type->usage) {
		struct fs_usage u;

		type->usage(v->mount, &u);
		st.bsize = st.frsize = (s64)u.block_size;
		st.blocks = u.blocks;
		st.bfree = st.bavail = u.free_blocks;
		st.files = u.files;
		st.ffree = u.free_files;
	} else if (!type->fixed) {
		u64 used = pcache_kept_pages(type->shmem);

		st.blocks = frame_nr_total() / 2;
		st.bfree = st.bavail = st.blocks > used ? st.blocks - used : 0;
		st.files = st.ffree = frame_nr_total();
	}
	return user_put(buf, &st);
}

long sys_statfs(u64 path, u64 buf, REST2)
{
	HELD(vnode) v = NULL;

	return at_lookup(AT_FDCWD, path, WALK_FOLLOW, &v) ?: put_statfs(buf, v);
}

long sys_fstatfs(u64 fd, u64 buf, REST2)
{
	HELD(file) f = fd_get(fd);

	return f ? put_statfs(buf, f->vnode ? f->vnode : vfs_root) : -EBADF;
}
