/* SPDX-License-Identifier: MIT */
/*
 * Owns: the names of tmpfs: which directory has which name for which node.
 *
 * All names of all tmpfs mounts are in one hash table, keyed by directory and text, that doubles as it fills;
 * a directory also lists its own, oldest first, for getdents. Every operation allocates first, then checks
 * and commits under vfs_lock, so a failure has changed nothing. Lock: vfs_lock for everything here.
 */
#include "kernel/fs/tmpfs.h"
#include "mm/kmem.h"

#define FIRST_BUCKETS 256

static struct name *first_table[FIRST_BUCKETS];
static struct name **table = first_table;
static u32 nr_buckets = FIRST_BUCKETS, nr_names;

static u32 hash_of(const struct tnode *dir, const char *text, size_t len)
{
	u32 h = 2166136261u ^ (u32)dir->v.ino ^ dir->v.mount->dev << 24;

	for (size_t i = 0; i < len; i++)
		h = (h ^ (u8)text[i]) * 16777619u;	/* FNV-1a */
	return h ^ h >> 15;
}

/* Doubles the table; stays with the old one when memory is short. */
static void grow(void)
{
	u32 buckets = nr_buckets * 2;
	struct name **bigger = kmem_alloc(buckets * sizeof(*bigger)), *n, *next;

	if (!bigger)
		return;
	for (u32 i = 0; i < nr_buckets; i++) {
		for (n = table[i]; n; n = next) {
			next = n->next_hash;
			n->next_hash = bigger[n->hash & (buckets - 1)];
			bigger[n->hash & (buckets - 1)] = n;
		}
	}
	if (table != first_table)
		kmem_free(table);
	table = bigger;
	nr_buckets = buckets;
}

static struct name *find(const struct tnode *dir, const char *text, size_t len)
{
	u32 hash = hash_of(dir, text, len);

	for (struct name *n = table[hash & (nr_buckets - 1)]; n; n = n->next_hash)
		if (n->hash == hash && n->dir == dir && n->len == len && !memcmp(n->text, text, len))
			return n;
	return NULL;
}

static struct name *name_alloc(const char *text, size_t len)
{
	struct name *n = kmem_alloc(sizeof(*n) + len);

	if (n) {
		n->len = len;
		memcpy(n->text, text, len);
	}
	return n;
}

/* Makes N a name of NODE in DIR, listed before BEFORE (NULL: last). Takes over a hold of NODE. */
static void insert(struct tnode *dir, struct name *n, struct tnode *node, struct name *before)
{
	struct name **bucket;

	if (nr_names++ >= 2 * nr_buckets)
		grow();
	n->dir = dir;
	n->node = node;
	n->hash = hash_of(dir, n->text, n->len);
	bucket = &table[n->hash & (nr_buckets - 1)];
	n->next_hash = *bucket;
	*bucket = n;
	if (before) {
		n->cookie = before->cookie;
		TAILQ_INSERT_BEFORE(before, n, sibling);
	} else {
		n->cookie = dir->next_cookie++;
		TAILQ_INSERT_TAIL(&dir->names, n, sibling);
	}
	if (node->name) {
		n->next_alias = node->name->next_alias;
		node->name->next_alias = n;
	} else {
		node->name = n;
	}
	if (S_ISDIR(node->v.mode))
		dir->v.nlink++;
	dir->v.mtime = dir->v.ctime = node->v.ctime = vfs_now();
}

/* Takes N out of table, directory and the node's names; the hold of the node is the caller's now. */
static void take_out(struct name *n)
{
	struct name **link = &table[n->hash & (nr_buckets - 1)];

	while (*link != n)
		link = &(*link)->next_hash;
	*link = n->next_hash;
	nr_names--;
	if (n->dir->listed == n)
		n->dir->listed = TAILQ_PREV(n, name_list, sibling);
	TAILQ_REMOVE(&n->dir->names, n, sibling);
	for (link = &n->node->name; *link != n; link = &(*link)->next_alias)
		;
	*link = n->next_alias;
	n->next_alias = NULL;
	if (S_ISDIR(n->node->v.mode))
		n->dir->v.nlink--;
	n->dir->v.mtime = n->dir->v.ctime = n->node->v.ctime = vfs_now();
}

/* Removes N as unlink does: the node loses a link, and keeps N as its ghost if that was the last. Returns
 * what is to be freed after vfs_lock; the node's hold is the caller's to drop then. */
static struct name *unlink_name(struct name *n)
{
	struct tnode *node = n->node;

	take_out(n);
	if (node->name) {
		node->v.nlink--;
		return n;
	}
	node->v.nlink = 0;
	node->name = n;
	node->ghost = true;
	vnode_get(&n->dir->v);
	return NULL;
}

int tmpfs_lookup(struct vnode *dir, const char *name, size_t len, struct vnode **out)
{
	GUARD(vfs_lock);
	struct name *n = find(tnode_of(dir), name, len);

	if (!n)
		return -ENOENT;
	*out = vnode_get(&n->node->v);
	return 0;
}

int tmpfs_parent(struct vnode *dir, struct vnode **out)
{
	GUARD(vfs_lock);
	struct name *n = tnode_of(dir)->name;

	if (!n || !n->dir)
		return -ENOENT;
	*out = vnode_get(&n->dir->v);
	return 0;
}

int tmpfs_readdir(struct vnode *dir, u64 *pos, struct dirents *d)
{
	GUARD(vfs_lock);
	struct tnode *t = tnode_of(dir);
	struct name *n = t->listed && t->listed->cookie < *pos ? t->listed : TAILQ_FIRST(&t->names);

	for (; n; n = TAILQ_NEXT(n, sibling)) {
		if (n->cookie < *pos)
			continue;
		if (!dirent_add(d, n->text, n->len, n->node->v.ino, n->node->v.mode, n->cookie + 1))
			break;
		*pos = n->cookie + 1;
		t->listed = n;
	}
	return 0;
}

int tmpfs_path(struct vnode *v, char *buf, size_t *at)
{
	GUARD(vfs_lock);
	int e, deleted = 0;

	for (struct tnode *node = tnode_of(v); node && &node->v != v->mount->root; node = node->name->dir) {
		e = node->name ? path_prepend(buf, at, node->name->text, node->name->len) : -ENOENT;
		if (e)
			return e;
		deleted |= node->ghost;
	}
	return deleted;
}

/* Gives NODE (its hold is taken over on success) the name N in DIR. 0, -ENOENT, -EEXIST. */
static int add(struct tnode *dir, struct name *n, struct tnode *node)
{
	GUARD(vfs_lock);

	if (dir->ghost)
		return -ENOENT;
	if (find(dir, n->text, n->len))
		return -EEXIST;
	insert(dir, n, node, NULL);
	return 0;
}

int tmpfs_create(struct vnode *dir, const char *name, size_t len, u32 mode, u64 rdev, const char *target,
		 struct vnode **out)
{
	struct name *n = name_alloc(name, len);
	struct tnode *node = n ? tnode_create(dir->mount, mode, rdev, target) : NULL;
	int e = -ENOMEM;

	if (node) {
		vnode_get(&node->v);
		e = add(tnode_of(dir), n, node);
		if (!e) {
			*out = &node->v;
			return 0;
		}
		vnode_put(&node->v);
		vnode_put(&node->v);
	}
	kmem_free(n);
	return e;
}

int tmpfs_create_nameless(const char *name, struct vnode **out)
{
	struct name *n = name_alloc(name, strlen(name));
	struct tnode *node = n ? tnode_create(nameless, S_IFREG | 0777, 0, NULL) : NULL;

	if (!node) {
		kmem_free(n);
		return -ENOMEM;
	}
	n->node = node;
	node->name = n;
	node->ghost = true;
	node->v.nlink = 0;
	*out = &node->v;
	return 0;
}

int tmpfs_link(struct vnode *dir, const char *name, size_t len, struct vnode *v)
{
	struct tnode *to = tnode_of(dir), *node = tnode_of(v);
	struct name *n = name_alloc(name, len);
	int e = 0;

	if (!n)
		return -ENOMEM;
	spin_lock(&vfs_lock);
	if (to->ghost || node->ghost)
		e = -ENOENT;
	else if (find(to, name, len))
		e = -EEXIST;
	if (!e) {
		vnode_get(v);
		v->nlink++;
		insert(to, n, node, NULL);
	}
	spin_unlock(&vfs_lock);
	if (e)
		kmem_free(n);
	return e;
}

/* May NODE lose its name to rmdir (DIR) or to unlink? */
static int may_remove(const struct tnode *node, bool dir)
{
	if (!S_ISDIR(node->v.mode))
		return dir ? -ENOTDIR : 0;
	if (!dir)
		return -EISDIR;
	if (node->v.mounted)
		return -EBUSY;
	return TAILQ_EMPTY(&node->names) ? 0 : -ENOTEMPTY;
}

int tmpfs_unlink(struct vnode *dir, const char *name, size_t len, bool rmdir)
{
	struct name *n, *garbage = NULL;
	struct tnode *node = NULL;
	int e;

	spin_lock(&vfs_lock);
	n = find(tnode_of(dir), name, len);
	e = n ? may_remove(n->node, rmdir) : -ENOENT;
	if (!e) {
		node = n->node;
		garbage = unlink_name(n);
	}
	spin_unlock(&vfs_lock);
	kmem_free(garbage);
	if (node)
		vnode_put(&node->v);
	return e;
}

/* Is DIR within NODE, or the same? */
static bool is_below(const struct tnode *dir, const struct tnode *node)
{
	while (dir != node && dir->name)
		dir = dir->name->dir;
	return dir == node;
}

#define RENAME_NOREPLACE 1

/* Checks a rename of OLD into TO, where the new name is OVER's (may be NULL). 0: go on; 1: nothing to do. */
static int may_rename(const struct name *old, const struct tnode *to, const struct name *over, unsigned flags)
{
	bool dir;

	if (!old || to->ghost)
		return -ENOENT;
	if (over && flags & RENAME_NOREPLACE)
		return -EEXIST;
	if (over && over->node == old->node)
		return 1;
	dir = S_ISDIR(old->node->v.mode);
	if (dir && is_below(to, old->node))
		return -EINVAL;
	if (old->node->v.mounted && dir)
		return -EBUSY;
	return over ? may_remove(over->node, dir) : 0;
}

int tmpfs_rename(struct vnode *from, const char *name, size_t len, struct vnode *to, const char *name2,
		 size_t len2, unsigned flags)
{
	struct name *n = name_alloc(name2, len2), *old, *over, *garbage = NULL;
	struct tnode *lost = NULL;
	int e;

	if (!n)
		return -ENOMEM;
	spin_lock(&vfs_lock);
	old = find(tnode_of(from), name, len);
	over = find(tnode_of(to), name2, len2);
	e = may_rename(old, tnode_of(to), over, flags);
	if (!e) {
		struct name *place = from == to ? TAILQ_NEXT(old, sibling) : NULL;
		struct tnode *node = old->node;
		u64 cookie = old->cookie;

		if (over) {
			if (place == over)
				place = TAILQ_NEXT(over, sibling);
			lost = over->node;
			garbage = unlink_name(over);
		}
		take_out(old);
		insert(tnode_of(to), n, node, place);
		if (from == to)
			n->cookie = cookie;	/* a listing under way does not meet it again */
	}
	spin_unlock(&vfs_lock);
	kmem_free(e ? n : old);
	kmem_free(garbage);
	if (lost)
		vnode_put(&lost->v);
	return MIN(e, 0);
}

/* The names below DIR, one by one, in an order in which a directory comes after what is in it. */
static struct name *deepest(const struct tnode *dir)
{
	struct name *n = TAILQ_FIRST(&dir->names);

	while (n && S_ISDIR(n->node->v.mode) && !TAILQ_EMPTY(&n->node->names))
		n = TAILQ_FIRST(&n->node->names);
	return n;
}

static struct name *next_deepest(const struct name *n, const struct tnode *root)
{
	struct name *next = TAILQ_NEXT(n, sibling);

	if (next)
		return S_ISDIR(next->node->v.mode) ? deepest(next->node) ?: next : next;
	return n->dir == root ? NULL : n->dir->name;
}

static unsigned nr_aliases(const struct tnode *node)
{
	unsigned count = 0;

	for (struct name *n = node->name; n; n = n->next_alias)
		count++;
	return count;
}

int tmpfs_unmount(struct mount *m, bool detach)
{
	struct tnode *root = tnode_of(m->root);
	u64 inside = 2;		/* the mount, the root */
	struct name *n;

	spin_lock(&vfs_lock);
	for (n = deepest(root); n; n = next_deepest(n, root)) {
		if (n == n->node->name && n->node->v.refs > nr_aliases(n->node))
			break;
		inside += n == n->node->name;
	}
	if (!detach && (n || root->v.refs > 2 || m->refs > inside)) {
		spin_unlock(&vfs_lock);
		return -EBUSY;
	}
	while ((n = deepest(root))) {
		struct tnode *node = n->node;
		struct name *garbage = unlink_name(n);

		spin_unlock(&vfs_lock);
		kmem_free(garbage);
		vnode_put(&node->v);
		sched_pause();
		spin_lock(&vfs_lock);
	}
	root->ghost = true;	/* nothing is created any more */
	spin_unlock(&vfs_lock);
	return 0;
}
