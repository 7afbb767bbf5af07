/* SPDX-License-Identifier: MIT */
/*
 * Owns: vnodes (what a path leads to), the walk along a path, mounts.
 *
 * A vnode is a file, directory, link or device of one mounted file system, known to it by its own
 * struct around this one. It is held (`refs`) by names, open files, current directories and mapped
 * regions; the last hold calls ops->release. A file system is a vnode_ops table and an fs_type:
 * tmpfs (also /dev), procfs, ext2. Everybody is root: no permission is checked but "may this be executed".
 *
 * Locks: vfs_lock (RANK_VNODE) guards all names of tmpfs, the mounts, and the attributes mode .. ctime.
 * ops->readdir may hold spin locks; the other hooks are called with none held.
 */
#pragma once
#include "kernel/base/errno.h"
#include "kernel/base/string.h"
#include "kernel/fs/file.h"

#define S_IFMT 0170000
#define S_IFSOCK 0140000
#define S_IFLNK 0120000
#define S_IFREG 0100000
#define S_IFBLK 0060000
#define S_IFDIR 0040000
#define S_IFCHR 0020000
#define S_IFIFO 0010000
#define S_ISTYPE(mode, type) (((mode) & S_IFMT) == (type))
#define S_ISDIR(mode) S_ISTYPE(mode, S_IFDIR)
#define S_ISREG(mode) S_ISTYPE(mode, S_IFREG)
#define S_ISLNK(mode) S_ISTYPE(mode, S_IFLNK)
#define S_ISCHR(mode) S_ISTYPE(mode, S_IFCHR)
#define S_ISDEVICE(mode) (S_ISCHR(mode) || S_ISTYPE(mode, S_IFBLK))
#define S_ISFIFO(mode) S_ISTYPE(mode, S_IFIFO)

#define NAME_MAX 255
#define PATH_MAX 4096

struct mount;
struct fs_type;

/* What stat shows. Times in ns since 1970. */
struct kstat {
	u64 dev, ino, rdev, size, blocks;	/* blocks of 512 bytes */
	u32 mode, nlink, uid, gid;
	u64 atime, mtime, ctime;
};

/* Directory entries on their way out; a hook fills it by dirent_add until that says it is full. */
struct dirents {
	char *buf;
	size_t size, used;
	bool full;		/* an entry did not fit */
};

struct vnode_ops {
	/* Entry NAME (LEN bytes, no slash, not "." or "..") of DIR, held, in *OUT; -ENOENT. */
	int (*lookup)(struct vnode *dir, const char *name, size_t len, struct vnode **out);
	/* The directory above DIR, held; never asked of a mount's root. */
	int (*parent)(struct vnode *dir, struct vnode **out);
	/* Adds entries from *POS on (0 is the first after ".."), moving *POS past each one added. 0 or -errno. */
	int (*readdir)(struct vnode *dir, u64 *pos, struct dirents *d);
	/* The target of a link into BUF, no NUL; its length (at most SIZE) or -errno. */
	int (*readlink)(struct vnode *v, char *buf, size_t size);
	/* Optional, for links such as /proc/self/fd/0: the vnode that it leads to, held, without a path. */
	int (*follow)(struct vnode *v, struct vnode **out);
	/* Puts "/a/b", the way from the mount's root to V, before BUF + *AT by path_prepend. 0, 1: the name it
	 * once had; -errno. */
	int (*path)(struct vnode *v, char *buf, size_t *at);
	/* Optional: changes what vnode_stat took from the fields (size and blocks are 0 then). */
	void (*stat)(struct vnode *v, struct kstat *st);
	/* Optional: F (ops = v->fops, flags, vnode set) is being opened. 0 or -errno. */
	int (*open)(struct vnode *v, struct file *f);
	/* No hold is left: frees V. Returns a vnode whose hold is to be dropped next (V's parent), or NULL. */
	struct vnode *(*release)(struct vnode *v);

	/* Changes; NULL: -EPERM. MODE has the type; TARGET is for links, RDEV for devices. */
	int (*create)(struct vnode *dir, const char *name, size_t len, u32 mode, u64 rdev, const char *target,
		      struct vnode **out);
	int (*link)(struct vnode *dir, const char *name, size_t len, struct vnode *v);
	int (*unlink)(struct vnode *dir, const char *name, size_t len, bool rmdir);
	int (*rename)(struct vnode *from, const char *name, size_t len, struct vnode *to, const char *name2,
		      size_t len2, unsigned flags);
	int (*resize)(struct vnode *v, u64 bytes);
	/* fallocate(2): [START, END) gets pages, or (PUNCH, ZERO) loses them; size grown unless KEEP. */
	int (*allocate)(struct vnode *v, unsigned how, u64 start, u64 end);
};
enum { FALLOC_KEEP_SIZE = 1, FALLOC_PUNCH_HOLE = 2, FALLOC_ZERO_RANGE = 16 };

struct vnode {
	const struct vnode_ops *ops;
	const struct file_ops *fops;	/* of files opened here; dir_file_ops; NULL: cannot be opened (ENXIO) */
	struct mount *mount;		/* where it lives; counted in mount->refs */
	struct mount *mounted;		/* what covers this directory (vfs_lock) */
	u64 ino, rdev;
	u32 refs, mode, uid, gid, nlink;
	u64 atime, mtime, ctime;	/* ns since 1970 */
};

/* Sets up V (zeroed, the caller's), held once; takes a hold of MOUNT. */
void vnode_init(struct vnode *v, struct mount *m, const struct vnode_ops *ops, const struct file_ops *fops, u32 mode,
		u64 ino);
static inline struct vnode *vnode_get(struct vnode *v)
{
	__atomic_fetch_add(&v->refs, 1, __ATOMIC_RELAXED);
	return v;
}
void vnode_put(struct vnode *v);	/* NULL is welcome; no spin lock held */
DEFINE_HELD(vnode)
void vnode_stat(struct vnode *v, struct kstat *st);
/* Opens V by Linux's FLAGS (its creation flags done): the file, holding V. 0 or -errno. */
int vnode_open(struct vnode *v, u32 flags, struct file **out);

/* One entry; NEXT is the position after it. False: no room (nothing added). */
bool dirent_add(struct dirents *d, const char *name, size_t len, u64 ino, u32 mode, u64 next);
/* Puts "/" and NAME before BUF + *AT, moving *AT down. 0 or -ENAMETOOLONG. */
int path_prepend(char *buf, size_t *at, const char *name, size_t len);

/* For vnode->fops of directories: everything by ops->readdir. */
extern const struct file_ops dir_file_ops;

struct mount {
	const struct fs_type *type;
	struct vnode *root;		/* held */
	struct vnode *point;		/* the directory covered, held; NULL: the root of all (vfs_lock) */
	u32 refs;			/* the mount itself, and each vnode */
	u32 dev;			/* st_dev */
	const char *source;		/* its device's name, or the type's */
	void *data;			/* the type's own; kmem, freed with it */
	u64 last_ino;			/* atomic; given so far, for whoever wants it */
	TAILQ_ENTRY(mount) link;	/* in mounts, by age (vfs_lock) */
};
TAILQ_HEAD(mount_list, mount);

/* What statfs shows: blocks of BLOCK_SIZE bytes, files. */
struct fs_usage { u64 block_size, blocks, free_blocks, files, free_files; };

struct fs_type {
	const char *name;
	u64 magic;			/* f_type of statfs */
	bool fixed;			/* chmod, chown, utime: EPERM */
	bool shmem;			/* tmpfs: its pages count as shared memory, not as file */
	bool read_only;			/* what would change it is EROFS; it lies on a block device */
	/* Makes M->root (held once for the mount), from SOURCE, a path, if it lies on a device. 0 or -errno. */
	int (*mount)(struct mount *m, const char *source);
	/* Optional, called before unmounting: -EBUSY unless DETACH; drops what the tree holds. */
	int (*unmount)(struct mount *m, bool detach);
	/* Optional: for statfs. NULL: as much as memory allows. */
	void (*usage)(struct mount *m, struct fs_usage *u);
};

/* Why a change that V's file system has no hook for is refused: EROFS, or else OTHERWISE (negative). */
static inline int vfs_refusal(const struct vnode *v, int otherwise)
{
	return v->mount->type->read_only ? -EROFS : otherwise;
}

extern const struct fs_type tmpfs_type, rootfs_type;	/* the same but for shmem */
extern const struct fs_type procfs_type;	/* kernel/fs/proc.c */
extern const struct fs_type ext2_type;		/* kernel/fs/ext2_mount.c */

extern struct spinlock vfs_lock;
extern struct vnode *vfs_root;
extern struct mount_list mounts;
extern struct mount *nameless;	/* a tmpfs that is mounted nowhere: pipes, memfd_create */

/* A new TYPE from SOURCE, mounted nowhere yet. 0, -ENOMEM, or what the type says. */
int mount_create(const struct fs_type *type, const char *source, struct mount **out);
/* Mounts one on directory POINT. The same, -EBUSY, -ENOTDIR, -ENOENT (it has been removed). */
int vfs_mount(const struct fs_type *type, const char *source, struct vnode *point);
/* ROOT: what the mount point shows. 0, -EINVAL (not a mount's root), -EBUSY. */
int vfs_unmount(struct vnode *root, bool detach);
/* "source path type rw 0 0" lines of /proc/mounts. */
struct text;
void vfs_mounts_text(struct text *t);

/* How a walk treats the end of the path. */
enum walk_flag {
	WALK_FOLLOW = 1,	/* a link there is followed */
	WALK_DIRECTORY = 2,	/* it must be a directory: ENOTDIR */
	WALK_MAY_LACK = 4,	/* it need not exist: vnode is NULL then */
	WALK_NAME = 8,		/* the name itself is wanted: slashes behind it do not follow a link */
	WALK_EMPTY = 16,	/* "" is the start itself (AT_EMPTY_PATH) */
};

/* Where a walk came to. walk_end drops the holds. */
struct walk {
	struct vnode *vnode;	/* what is there, held; NULL */
	struct vnode *dir;	/* its directory, held; NULL when the path ends in ".", ".." or "/" */
	const char *name;	/* last component within path (LEN bytes), for dir */
	size_t len;
	bool slash;		/* the path ended with a slash */
	bool dot, dotdot;	/* it ended in "." or ".." */
	char *path;		/* a page of link text; NULL: none was followed */
};

/* Follows PATH from START (NULL: the current directory). 0 or -errno, then nothing is held. PATH must stay
 * till walk_end. */
int walk_path(struct walk *w, struct vnode *start, const char *path, unsigned flags);
void walk_end(struct walk *w);
/* The vnode at PATH, held. */
int vfs_lookup(struct vnode *start, const char *path, unsigned flags, struct vnode **out);
/* open(2) from START. */
int vfs_open(struct vnode *start, const char *path, u32 flags, u32 mode, struct file **out);

/* Absolute path of V into BUF. 0, 1 (V has lost its name: " (deleted)" is added), -ENAMETOOLONG, -ENOENT. */
int vfs_path(struct vnode *v, char *buf, size_t size);

/* The running process's directory, held, and its umask; / and 0 before there are processes. */
struct vnode *fs_cwd(void);
struct vnode *fs_context_cwd(struct fs_context *c);	/* the same of C, which the caller holds */
void fs_set_cwd(struct vnode *v);	/* takes over the hold */
u32 fs_umask(void);

/* A page for a path, not zeroed; NULL when memory is short. */
char *path_page(void);
void path_page_free(char *page);

/* ns since 1970. */
u64 vfs_now(void);

/* Segments of memory that a read or write goes through. */
struct iovec { u64 base, len; };
struct iov_cursor {
	const struct iovec *iov;	/* kernel memory */
	size_t skip;			/* bytes of *iov already done */
	size_t left;			/* bytes to go in all */
	bool kernel;			/* the segments are the kernel's own memory */
	struct iovec one;
};
void iov_user(struct iov_cursor *c, vaddr_t buf, size_t n);
void iov_kernel(struct iov_cursor *c, void *buf, size_t n);
/* Move N <= left bytes, advancing C; the bytes moved, fewer only at a bad address. SRC NULL: zeroes. */
size_t iov_put(struct iov_cursor *c, const void *src, size_t n);
size_t iov_take(struct iov_cursor *c, void *dst, size_t n);

/* Reads, writes by whatever hook F has; access modes are checked by the callers. Bytes or -errno. */
ssize_t file_read_iov(struct file *f, struct iov_cursor *c, u64 *pos);
ssize_t file_write_iov(struct file *f, struct iov_cursor *c, u64 *pos);

/* read_iov for a file that is C: its bytes from *POS on, read from behind the cache where that has them, else
 * zeroes where C has no page. */
ssize_t file_read_cached(struct pcache *c, struct iov_cursor *to, u64 *pos);

/* The hooks of a page cache whose owner is a vnode. */
void vnode_cache_get(struct pcache *c);
void vnode_cache_put(struct pcache *c);
void vnode_cache_name(struct pcache *c, char *buf, size_t size);
void vnode_cache_identity(struct pcache *c, u64 *dev, u64 *ino);
#define VNODE_CACHE_OPS                                                                                            \
	.get = vnode_cache_get, .put = vnode_cache_put, .name = vnode_cache_name, .identity = vnode_cache_identity
