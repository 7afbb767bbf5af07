/* SPDX-License-Identifier: MIT */
/*
 * Owns: the nodes of mounted ext2 file systems: finding them by number, keeping and forgetting them, and what a path
 * asks of them. See kernel/fs/ext2_node.h. All names come from the disk's cached blocks at each look-up; every change
 * is EROFS. May sleep for the disk wherever no name is in memory.
 */
#include "kernel/fs/ext2_node.h"
#include "kernel/base/guard.h"
#include "mm/kmem.h"

#define NS 1000000000UL

static const struct vnode_ops node_ops;

static struct ext2_node **bucket_of(struct ext2_mount *e, u32 ino)
{
	return &e->bucket[ino % EXT2_BUCKETS];
}

/* The kept node of INO with a hold, now the last used; NULL. Locked. */
static struct ext2_node *find(struct ext2_mount *e, u32 ino)
{
	struct ext2_node *n = *bucket_of(e, ino);

	while (n && n->inode.ino != ino)
		n = n->next_hash;
	if (!n)
		return NULL;
	vnode_get(&n->v);
	if (n->dir) {
		TAILQ_REMOVE(&e->nodes, n, age);
		TAILQ_INSERT_HEAD(&e->nodes, n, age);
	}
	return n;
}

/* Puts N into the table, which holds it from now on. Locked. */
static void keep(struct ext2_mount *e, struct ext2_node *n)
{
	n->next_hash = *bucket_of(e, n->inode.ino);
	*bucket_of(e, n->inode.ino) = n;
	if (n->dir) {		/* the mount itself holds its root */
		vnode_get(&n->v);
		TAILQ_INSERT_HEAD(&e->nodes, n, age);
		e->kept++;
	}
}

/* Takes N out of table and list; its hold is the caller's now. Locked. */
static void take_out(struct ext2_mount *e, struct ext2_node *n)
{
	struct ext2_node **link = bucket_of(e, n->inode.ino);

	while (*link != n)
		link = &(*link)->next_hash;
	*link = n->next_hash;
	TAILQ_REMOVE(&e->nodes, n, age);
	e->kept--;
}

/* One that only the table holds, the longest unused, taken out; NULL: there is none. */
static struct vnode *take_unused(struct ext2_mount *e, u32 least)
{
	struct ext2_node *n;

	GUARD(vfs_lock);
	if (e->kept <= least)
		return NULL;
	TAILQ_FOREACH_REVERSE(n, &e->nodes, ext2_node_list, age) {
		if (READ_ONCE(n->v.refs) > 1)
			continue;
		take_out(e, n);
		return &n->v;
	}
	return NULL;
}

void ext2_node_forget(struct ext2_mount *e, u32 least)
{
	struct vnode *v;

	while ((v = take_unused(e, least)))
		vnode_put(v);
}

void ext2_node_detach(struct ext2_mount *e)
{
	struct ext2_node *n;

	spin_lock(&vfs_lock);
	e->detached = true;
	while ((n = TAILQ_FIRST(&e->nodes))) {
		take_out(e, n);
		spin_unlock(&vfs_lock);
		vnode_put(&n->v);
		spin_lock(&vfs_lock);
	}
	memset(e->bucket, 0, sizeof(e->bucket));
	spin_unlock(&vfs_lock);
}

static struct ext2_node *make_node(struct mount *m, const struct ext2_inode *i, struct vnode *dir, const char *name,
				   size_t len)
{
	struct ext2_node *n = kmem_alloc(sizeof(*n) + len);
	const struct file_ops *fops = NULL;

	if (!n)
		return NULL;
	n->inode = *i;
	n->len = (u8)len;
	memcpy(n->name, name, len);
	n->dir = dir ? vnode_get(dir) : NULL;
	if (S_ISREG(i->mode)) {
		pcache_init(&n->cache, &ext2_cache_ops, false);
		n->cache.owner = &n->v;
		pcache_resize(&n->cache, i->size);
		fops = &ext2_file_ops;
	} else if (S_ISDIR(i->mode)) {
		fops = &dir_file_ops;
	}
	vnode_init(&n->v, m, &node_ops, fops, i->mode, i->ino);
	n->v.nlink = i->nlink;
	n->v.uid = i->uid;
	n->v.gid = i->gid;
	n->v.rdev = i->rdev;
	n->v.atime = i->atime * NS;
	n->v.mtime = i->mtime * NS;
	n->v.ctime = i->ctime * NS;
	return n;
}

int ext2_node_get(struct mount *m, u32 ino, struct vnode *dir, const char *name, size_t len, struct vnode **out)
{
	struct ext2_mount *e = ext2_mount_of(m);
	struct ext2_node *n, *theirs;
	struct ext2_inode i;
	int err;

	spin_lock(&vfs_lock);
	n = find(e, ino);
	spin_unlock(&vfs_lock);
	if (!n) {
		err = ext2_inode(&e->fs, ino, &i);
		if (err)
			return err;
		n = make_node(m, &i, dir, name, len);
		if (!n)
			return -ENOMEM;
		spin_lock(&vfs_lock);
		theirs = find(e, ino);
		if (!theirs && !e->detached)
			keep(e, n);
		spin_unlock(&vfs_lock);
		if (theirs) {
			vnode_put(&n->v);
			n = theirs;
		}
		ext2_node_forget(e, e->most);
	}
	*out = &n->v;
	return 0;
}

static struct vnode *node_release(struct vnode *v)
{
	struct ext2_node *n = ext2_node_of(v);
	struct vnode *dir = n->dir;

	if (S_ISREG(v->mode))
		pcache_destroy(&n->cache);
	kmem_free(n);
	return dir;
}

static int node_lookup(struct vnode *dir, const char *name, size_t len, struct vnode **out)
{
	u32 ino;
	int err = ext2_lookup(&ext2_mount_of(dir->mount)->fs, &ext2_node_of(dir)->inode, name, len, &ino);

	return err ?: ext2_node_get(dir->mount, ino, dir, name, len, out);
}

static int node_parent(struct vnode *dir, struct vnode **out)
{
	*out = vnode_get(ext2_node_of(dir)->dir);
	return 0;
}

struct listing { struct dirents *out; u64 *pos; };

static int list_entry(void *arg, const struct ext2_entry *e)
{
	struct listing *l = arg;

	for (unsigned i = 0; i < e->len; i++)
		if (e->name[i] == '/' || !e->name[i])
			return -EIO;
	if (e->name[0] != '.' || (e->len > 1 && (e->len > 2 || e->name[1] != '.')))
		if (!dirent_add(l->out, e->name, e->len, e->ino, e->mode, e->next))
			return 1;
	*l->pos = e->next;
	return 0;
}

static int node_readdir(struct vnode *dir, u64 *pos, struct dirents *d)
{
	struct listing l = { d, pos };
	int result = ext2_scan(&ext2_mount_of(dir->mount)->fs, &ext2_node_of(dir)->inode, *pos, list_entry, &l);

	return MIN(result, 0);
}

static int node_readlink(struct vnode *v, char *buf, size_t size)
{
	return ext2_readlink(&ext2_mount_of(v->mount)->fs, &ext2_node_of(v)->inode, buf, size);
}

static int node_path(struct vnode *v, char *buf, size_t *at)
{
	int err = 0;

	for (struct ext2_node *n = ext2_node_of(v); n->dir && !err; n = ext2_node_of(n->dir))
		err = path_prepend(buf, at, n->name, n->len);
	return err;
}

static void node_stat(struct vnode *v, struct kstat *st)
{
	st->size = ext2_node_of(v)->inode.size;
	st->blocks = ext2_node_of(v)->inode.sectors;
}

static int node_open(struct vnode *v, struct file *f)
{
	return S_ISREG(v->mode) && ((f->flags & O_ACCMODE) != O_RDONLY || f->flags & O_TRUNC) ? -EROFS : 0;
}

static const struct vnode_ops node_ops = {
	.lookup = node_lookup, .parent = node_parent, .readdir = node_readdir, .readlink = node_readlink,
	.path = node_path, .stat = node_stat, .open = node_open, .release = node_release,
};
