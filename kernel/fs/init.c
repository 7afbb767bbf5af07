/* SPDX-License-Identifier: MIT */
/*
 * Owns: the tree as the first program finds it: the root file system from the boot archives, then /dev /proc
 * /tmp /dev/shm mounted. Runs once, at boot, before there is a process; nothing else runs meanwhile, so
 * files are filled without their mutex. What was sound in a bad archive stays.
 */
#include "kernel/base/print.h"
#include "kernel/fs/cpio.h"
#include "kernel/fs/dev.h"
#include "kernel/fs/tmpfs.h"
#include "mm/kmem.h"

/* Files of the archive with several names, by inode number. */
struct hard_link {
	struct hard_link *next;
	u32 ino, dev_major, dev_minor;
	unsigned archive;
	struct vnode *v;	/* held */
};
#define LINK_BUCKETS 256
static struct hard_link *hard_links[LINK_BUCKETS];	/* empty again after boot */

static struct hard_link **find_link(const struct cpio_entry *e)
{
	struct hard_link **l = &hard_links[e->ino % LINK_BUCKETS];

	while (*l && ((*l)->ino != e->ino || (*l)->archive != e->archive || (*l)->dev_major != e->dev_major ||
		      (*l)->dev_minor != e->dev_minor))
		l = &(*l)->next;
	return l;
}

static void forget_links(void)
{
	for (unsigned i = 0; i < LINK_BUCKETS; i++) {
		for (struct hard_link *l = hard_links[i], *next; l; l = next) {
			next = l->next;
			vnode_put(l->v);
			kmem_free(l);
		}
		hard_links[i] = NULL;
	}
}

/* Makes the contents of regular file V the SIZE bytes at DATA. 0 or -ENOMEM. */
static int fill_file(struct vnode *v, const u8 *data, size_t size)
{
	struct pcache *c = &tnode_of(v)->cache;

	pcache_resize(c, 0);
	for (size_t at = 0; at < size; at += PAGE_SIZE) {
		struct frame *page;
		int e = pcache_get(c, at >> PAGE_SHIFT, &page);

		if (e)
			return e;
		memcpy(frame_ptr(page), data + at, MIN(PAGE_SIZE, size - at));
		frame_put(page);
	}
	pcache_resize(c, size);
	return 0;
}

static int make(struct walk *w, u32 mode, const char *target, struct vnode **out)
{
	return w->dir->ops->create(w->dir, w->name, w->len, mode, 0, target, out);
}

/* Makes the directories that lead to PATH where they are missing; PATH is changed meanwhile only. */
static int make_parents(char *path)
{
	int e = 0;

	for (char *slash = strchr(path, '/'); slash && !e; slash = strchr(slash + 1, '/')) {
		struct walk w;

		*slash = 0;
		e = walk_path(&w, vfs_root, path, WALK_FOLLOW | WALK_MAY_LACK);
		if (!e) {
			if (!w.vnode)
				e = make(&w, S_IFDIR | 0755, NULL, &w.vnode);
			walk_end(&w);
		}
		*slash = '/';
	}
	return e;
}

/* Creates E's node at W, whose name is free: a new one, or another name of one seen before. */
static int make_entry(struct walk *w, const struct cpio_entry *e, struct vnode **out)
{
	bool shared = !S_ISDIR(e->mode) && e->nlink > 1;
	struct hard_link **link = shared ? find_link(e) : NULL;
	char *target;
	int err;

	if (shared && *link) {
		err = w->dir->ops->link(w->dir, w->name, w->len, (*link)->v);
		if (!err)
			*out = vnode_get((*link)->v);
		return err;
	}
	target = S_ISLNK(e->mode) ? kmem_alloc(e->size + 1) : NULL;
	if (S_ISLNK(e->mode) && !target)
		return -ENOMEM;
	if (target)
		memcpy(target, e->data, e->size);
	err = make(w, e->mode & (S_IFMT | 07777), target, out);
	kmem_free(target);
	if (err || !shared)
		return err;
	*link = kmem_alloc(sizeof(**link));
	if (!*link)
		return -ENOMEM;
	**link = (struct hard_link){ NULL, e->ino, e->dev_major, e->dev_minor, e->archive, vnode_get(*out) };
	return 0;
}

/* Puts one entry into the tree. 0, or -errno: -ENOMEM ends it all, others concern the entry. */
static int unpack_entry(struct cpio_entry *e)
{
	struct walk w;
	int err;

	if (e->skip)
		return -EINVAL;
	if (!S_ISREG(e->mode) && !S_ISDIR(e->mode) && !S_ISLNK(e->mode))
		return 0;	/* devices are /dev's */
	if (S_ISLNK(e->mode) && (!e->size || e->size >= PATH_MAX || strnlen((char *)e->data, e->size) < e->size))
		return -EINVAL;
	err = make_parents(e->name);
	if (!err)
		err = walk_path(&w, vfs_root, e->name[0] ? e->name : ".", WALK_MAY_LACK | WALK_NAME);
	if (err)
		return err;
	if (w.vnode && S_ISDIR(w.vnode->mode) != S_ISDIR(e->mode))
		err = -EEXIST;
	if (!err && w.vnode && !S_ISDIR(e->mode)) {	/* a later entry replaces an earlier one */
		err = w.dir->ops->unlink(w.dir, w.name, w.len, false);
		vnode_put(w.vnode);
		w.vnode = NULL;
	}
	if (!err && !w.vnode)
		err = make_entry(&w, e, &w.vnode);
	if (!err && S_ISREG(e->mode) && S_ISREG(w.vnode->mode) && e->size)
		err = fill_file(w.vnode, e->data, e->size);
	if (!err) {
		w.vnode->mode = (w.vnode->mode & S_IFMT) | (e->mode & 07777);
		w.vnode->uid = e->uid;
		w.vnode->gid = e->gid;
		w.vnode->mtime = e->mtime * 1000000000UL;
	}
	walk_end(&w);
	return err;
}

/* Unpacks all archives. NULL, or why that had to stop; entries that cannot be made are skipped. */
static const char *unpack(const void *data, size_t size)
{
	struct cpio_entry *e = kmem_alloc(sizeof(*e));
	const char *skipped = NULL;
	struct cpio c;
	int err = 0;

	if (!e)
		return "not enough memory";
	cpio_begin(&c, data, size);
	while (err != -ENOMEM && cpio_next(&c, e)) {
		err = unpack_entry(e);
		if (err && !skipped)
			skipped = e->skip ? e->skip : "a name that is taken";
	}
	if (skipped && err != -ENOMEM)
		printk(LOG_WARN, "initial file system: entries are skipped: %s", skipped);
	forget_links();
	kmem_free(e);
	return err == -ENOMEM ? "it does not fit into memory" : c.error;
}

/* Mounts TYPE at PATH, making the directory if there is none; the root of it gets MODE. 0 or -errno. */
static int mount_at(const char *path, const struct fs_type *type, u32 mode)
{
	struct walk w;
	int e = walk_path(&w, vfs_root, path, WALK_FOLLOW | WALK_MAY_LACK);

	if (e)
		return e;
	if (!w.vnode)
		e = make(&w, S_IFDIR | 0755, NULL, &w.vnode);
	if (!e)
		e = vfs_mount(type, NULL, w.vnode);
	if (!e && !type->fixed)
		w.vnode->mounted->root->mode = S_IFDIR | mode;
	walk_end(&w);
	return e;
}

const char *fs_init(const void *data, size_t size)
{
	static char reason[96];
	struct mount *root;
	const char *why;
	struct vnode *dev;
	int e;

	if (mount_create(&rootfs_type, NULL, &root) || mount_create(&tmpfs_type, NULL, &nameless))
		return "not enough memory for a root directory";
	vfs_root = vnode_get(root->root);
	why = data && size ? unpack(data, size) : "there is none";
	e = mount_at("/dev", &tmpfs_type, 0755) ?: vfs_lookup(NULL, "/dev", WALK_FOLLOW, &dev);
	if (!e) {
		e = dev_init(dev);
		vnode_put(dev);
	}
	e = e ?: mount_at("/dev/shm", &tmpfs_type, 01777) ?: mount_at("/tmp", &tmpfs_type, 01777) ?:
		 mount_at("/proc", &procfs_type, 0555);
	if (e)
		printk(LOG_ERR, "fs: /dev, /dev/shm, /tmp or /proc could not be mounted: error %d", -e);
	if (!why)
		return NULL;
	snprintf(reason, sizeof(reason), "initial file system: %s", why);
	return reason;
}
