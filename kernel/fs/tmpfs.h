/* SPDX-License-Identifier: MIT */
/*
 * Owns: what tmpfs.c (nodes and the data of files) and tmpfs_names.c (directories) share.
 *
 * A node is held by each of its names. A node that has lost its last name keeps that name as a ghost (it holds
 * the directory then): so "..", and /proc's "(deleted)" paths, still know where it was.
 * Locks: vfs_lock for all names; node->mutex for size and times of a file while it is written.
 */
#pragma once
#include "kernel/fs/vfs.h"

struct pipe;
struct tnode;

struct name {
	struct name *next_hash;		/* in the bucket of (dir, text) */
	struct name *next_alias;	/* other names of the node */
	TAILQ_ENTRY(name) sibling;	/* in dir->names, by cookie */
	struct tnode *dir, *node;
	u64 cookie;			/* position for getdents: never used twice in a directory */
	u32 hash;
	u8 len;
	char text[];			/* no NUL */
};
TAILQ_HEAD(name_list, name);

struct tnode {
	struct vnode v;			/* first */
	struct name *name;		/* first of its names, or the ghost */
	bool ghost;
	union {
		struct { struct mutex mutex; struct pcache cache; };	/* regular file */
		struct {						/* directory */
			struct name_list names;
			u64 next_cookie;
			struct name *listed;	/* the last that getdents gave; NULL */
		};
		char *target;						/* link, NUL at its end */
		struct pipe *pipe;					/* fifo: while it is open */
	};
};

static inline struct tnode *tnode_of(struct vnode *v) { return container_of(v, struct tnode, v); }

/* A node without a name, held once; TARGET is copied for links. NULL: no memory. */
struct tnode *tnode_create(struct mount *m, u32 mode, u64 rdev, const char *target);
int tmpfs_resize(struct vnode *v, u64 bytes);
int tmpfs_allocate(struct vnode *v, unsigned how, u64 start, u64 end);

int tmpfs_lookup(struct vnode *dir, const char *name, size_t len, struct vnode **out);
int tmpfs_parent(struct vnode *dir, struct vnode **out);
int tmpfs_readdir(struct vnode *dir, u64 *pos, struct dirents *d);
int tmpfs_path(struct vnode *v, char *buf, size_t *at);
int tmpfs_create(struct vnode *dir, const char *name, size_t len, u32 mode, u64 rdev, const char *target,
		 struct vnode **out);
int tmpfs_link(struct vnode *dir, const char *name, size_t len, struct vnode *v);
int tmpfs_unlink(struct vnode *dir, const char *name, size_t len, bool rmdir);
int tmpfs_rename(struct vnode *from, const char *name, size_t len, struct vnode *to, const char *name2, size_t len2,
		 unsigned flags);
/* Drops all names of M: -EBUSY if a node is in use, unless DETACH. */
int tmpfs_unmount(struct mount *m, bool detach);

/* An empty file of no directory, for memfd_create; its ghost name is NAME. -ENOMEM. */
int tmpfs_create_nameless(const char *name, struct vnode **out);
