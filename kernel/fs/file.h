/* SPDX-License-Identifier: MIT */
/*
 * Owns: open files, descriptor tables, and the small hook tables behind them.
 *
 * A struct file is one open(): position and flags, held by descriptors and calls under way. What it does is
 * decided by its file_ops. Names and directories are kernel/fs/vfs.h's. Locks: files->lock (RANK_FILES)
 * for the table; file->pos_lock (a mutex) for the position; refs atomic.
 */
#pragma once
#include "kernel/abi.h"
#include "kernel/base/guard.h"
#include "kernel/sched.h"
#include "mm/pcache.h"

struct file;
struct vnode;

/* Where data goes to or comes from: user memory, or the kernel's (exec, sendfile): kernel/fs/vfs.h. */
struct iov_cursor;

enum { POLL_IN = 1, POLL_PRI = 2, POLL_OUT = 4, POLL_ERR = 8, POLL_HUP = 16, POLL_NVAL = 32 };

struct poll_table;	/* kernel/fs/poll.c */
void poll_wait(struct poll_table *pt, struct waitq *q);	/* PT may be NULL: only asking */

struct file_ops {
	/* Optional: the file has just been opened by a path (devices). 0 or -errno: open fails, no close. */
	int (*open)(struct file *f);
	/* At most N bytes at user address BUF, at *POS (moved) for files that have positions. Bytes or -errno. */
	ssize_t (*read)(struct file *f, vaddr_t buf, size_t n, u64 *pos);
	ssize_t (*write)(struct file *f, vaddr_t buf, size_t n, u64 *pos);
	/* Optional, instead of these two: all segments in one piece (pipes and tmpfs are atomic so). */
	ssize_t (*read_iov)(struct file *f, struct iov_cursor *c, u64 *pos);
	ssize_t (*write_iov)(struct file *f, struct iov_cursor *c, u64 *pos);
	long (*ioctl)(struct file *f, unsigned cmd, u64 arg);
	unsigned (*poll)(struct file *f, struct poll_table *pt);	/* POLL_* ready now; queues on PT */
	/* Page cache to map, after checking, or NULL in its place: anonymous memory. NULL hook: ENODEV. */
	int (*mmap)(struct file *f, struct pcache **cache);
	int (*getdents)(struct file *f, vaddr_t buf, size_t n);
	void (*close)(struct file *f);					/* last hold gone */
	bool seekable;
};

struct file {
	const struct file_ops *ops;
	u32 refs;
	u32 flags;		/* O_* of open, as fcntl changes them */
	u64 pos;
	struct mutex pos_lock;
	struct vnode *vnode;	/* held; NULL for pipes and the like */
	u64 watch;		/* by which epolls know it; 0: none does */
	void *data;		/* the ops' own */
};

struct file *file_alloc(const struct file_ops *ops, u32 flags);	/* held once; NULL */
static inline void file_get(struct file *f) { __atomic_fetch_add(&f->refs, 1, __ATOMIC_RELAXED); }
void file_put(struct file *f);
DEFINE_HELD(file)

/* The file behind descriptor FD of the running process with a hold, or NULL (EBADF). */
struct file *fd_get(int fd);
/* Lowest free descriptor >= MIN for F (takes over the caller's hold); -EMFILE, -ENOMEM. */
int fd_install(struct file *f, bool cloexec, int min);

struct files;
struct files *files_create(void);
struct files *files_copy(struct files *from);	/* fork; NULL: no memory */
void files_get(struct files *fs);
void files_put(struct files *fs);
int files_exec(struct files **fs);		/* unshares, closes close-on-exec descriptors */

struct fs_context;
struct fs_context *fs_context_create(void);	/* cwd / */
struct fs_context *fs_context_copy(struct fs_context *from);
void fs_context_get(struct fs_context *c);
void fs_context_put(struct fs_context *c);

/* Opens kernel path PATH relative to the cwd for exec: a regular file with an x bit. 0 or -errno. */
int file_open_exec(const char *path, struct file **out);
/* Opens with Linux flags/mode from kernel code (init's console). 0 or -errno. */
int file_open(const char *path, int flags, u32 mode, struct file **out);
/* Reads N bytes at POS into kernel memory; bytes (short only at the end) or -errno. */
ssize_t file_read_kernel(struct file *f, void *buf, size_t n, u64 pos);
u64 file_size(struct file *f);
struct pcache *file_pcache(struct file *f);	/* NULL if it has none */
/* Absolute path of F into BUF (for /proc, maps). */
void file_path(struct file *f, char *buf, size_t size);

/* Boot: mounts, /dev, /proc; unpacks the newc archives at [DATA, DATA + SIZE). NULL or why not. */
const char *fs_init(const void *data, size_t size);
