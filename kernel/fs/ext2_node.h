/* SPDX-License-Identifier: MIT */
/*
 * Owns: what ext2_node.c (the files of a mounted ext2, by number) and ext2_mount.c (mounting, the device) share.
 *
 * A node is one inode, read once. Every node that has been looked up is kept by its mount's table, which holds it,
 * until there are more than `most` and it is the one longest unused: so the pages of files stay cached between their
 * users. A node holds the directory that it was found in, and never forgets its name there.
 * Lock: vfs_lock for table and list; the rest of a node is constant.
 */
#pragma once
#include "kernel/dev/block.h"
#include "kernel/fs/ext2.h"
#include "kernel/fs/vfs.h"

#define EXT2_BUCKETS 256

struct ext2_node {
	struct vnode v;			/* first */
	struct ext2_inode inode;
	struct pcache cache;		/* of a regular file */
	struct ext2_node *next_hash;
	TAILQ_ENTRY(ext2_node) age;
	struct vnode *dir;		/* held; NULL: the root */
	u8 len;
	char name[];			/* LEN bytes */
};
TAILQ_HEAD(ext2_node_list, ext2_node);

struct ext2_mount {
	struct ext2 fs;
	struct block_device *device;
	bool detached;			/* unmounted: nothing is kept any more */
	u32 kept, most;			/* nodes in the table, but for the root */
	struct ext2_node_list nodes;	/* those, last used first */
	struct ext2_node *bucket[EXT2_BUCKETS];
};

static inline struct ext2_node *ext2_node_of(struct vnode *v) { return container_of(v, struct ext2_node, v); }
static inline struct ext2_mount *ext2_mount_of(struct mount *m) { return m->data; }

/* The node of inode INO, found as NAME in DIR (NULL: the root), held. 0, -EIO, -ENOMEM. */
int ext2_node_get(struct mount *m, u32 ino, struct vnode *dir, const char *name, size_t len, struct vnode **out);
/* Forgets the nodes that nobody uses, longest unused first, until at most LEAST are left. */
void ext2_node_forget(struct ext2_mount *e, u32 least);
/* Forgets them all, used or not, and keeps none from now on. */
void ext2_node_detach(struct ext2_mount *e);

extern const struct file_ops ext2_file_ops;
extern const struct pcache_ops ext2_cache_ops;
