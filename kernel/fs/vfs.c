/* SPDX-License-Identifier: MIT */
/*
 * Owns: the life of vnodes, mounts, and what all directories do alike (listing, ".", "..").
 *
 * A mount holds its root and the directory that it covers; each vnode counts in its mount's refs, so a
 * detached mount lives until its last file is closed. Locks: vfs_lock for mounts and who covers whom.
 */
#include "arch/user.h"
#include "kernel/base/text.h"
#include "kernel/fs/vfs.h"
#include "mm/kmem.h"

struct spinlock vfs_lock = SPINLOCK(RANK_VNODE);
struct vnode *vfs_root;
struct mount_list mounts = TAILQ_HEAD_INITIALIZER(mounts);
struct mount *nameless;

static u32 last_dev;

void vnode_init(struct vnode *v, struct mount *m, const struct vnode_ops *ops,
		const struct file_ops *fops, u32 mode, u64 ino)
{
	__atomic_fetch_add(&m->refs, 1, __ATOMIC_RELAXED);
	v->ops = ops;
	v->fops = fops;
	v->mount = m;
	v->ino = ino;
	v->refs = 1;
	v->mode = mode;
	v->nlink = S_ISDIR(mode) ? 2 : 1;
	v->atime = v->mtime = v->ctime = vfs_now();
}

static void mount_put(struct mount *m)
{
	if (__atomic_sub_fetch(&m->refs, 1, __ATOMIC_ACQ_REL))
		return;
	kmem_free(m->data);
	kmem_free(m);
}

void vnode_put(struct vnode *v)
{
	while (v && !__atomic_sub_fetch(&v->refs, 1, __ATOMIC_ACQ_REL)) {
		struct mount *m = v->mount;

		v = v->ops->release(v);
		mount_put(m);
	}
}

void vnode_stat(struct vnode *v, struct kstat *st)
{
	spin_lock(&vfs_lock);
	*st = (struct kstat){
		.dev = v->mount->dev, .ino = v->ino, .rdev = v->rdev, .mode = v->mode, .nlink = v->nlink,
		.uid = v->uid, .gid = v->gid, .atime = v->atime, .mtime = v->mtime, .ctime = v->ctime,
	};
	spin_unlock(&vfs_lock);
	if (v->ops->stat)
		v->ops->stat(v, st);
}

int mount_create(const struct fs_type *type, const char *source, struct mount **out)
{
	struct mount *m = kmem_alloc(sizeof(*m));
	int e;

	if (!m)
		return -ENOMEM;
	m->source = type->name;
	m->type = type;
	m->refs = 1;
	m->dev = __atomic_add_fetch(&last_dev, 1, __ATOMIC_RELAXED);
	e = type->mount(m, source);
	if (e) {
		mount_put(m);
		return e;
	}
	*out = m;
	return 0;
}

int vfs_mount(const struct fs_type *type, const char *source, struct vnode *point)
{
	struct mount *m;
	int e;

	if (!S_ISDIR(point->mode))
		return -ENOTDIR;
	e = mount_create(type, source, &m);
	if (e)
		return e;
	spin_lock(&vfs_lock);
	e = point->mounted ? -EBUSY : point->nlink ? 0 : -ENOENT;
	if (!e) {
		m->point = vnode_get(point);
		point->mounted = m;
		TAILQ_INSERT_TAIL(&mounts, m, link);
	}
	spin_unlock(&vfs_lock);
	if (!e)
		return 0;
	if (type->unmount)
		type->unmount(m, true);
	vnode_put(m->root);
	mount_put(m);
	return e;
}

int vfs_unmount(struct vnode *root, bool detach)
{
	struct mount *m = root->mount;
	struct vnode *point;
	struct mount *other;
	int e = 0;

	if (root == vfs_root)
		return -EBUSY;
	if (root != m->root)
		return -EINVAL;
	spin_lock(&vfs_lock);
	point = m->point;
	TAILQ_FOREACH(other, &mounts, link)
		if (other->point && other->point->mount == m)
			e = -EBUSY;
	spin_unlock(&vfs_lock);
	if (!point)
		return -EINVAL;
	if (!e && m->type->unmount)
		e = m->type->unmount(m, detach);
	if (e)
		return e;
	spin_lock(&vfs_lock);
	point = m->point;
	if (point) {
		point->mounted = NULL;
		m->point = NULL;
		TAILQ_REMOVE(&mounts, m, link);
	}
	spin_unlock(&vfs_lock);
	if (!point)
		return -EINVAL;		/* another was faster */
	vnode_put(point);
	vnode_put(m->root);
	mount_put(m);
	return 0;
}

void vfs_mounts_text(struct text *t)
{
	char *page = path_page();
	struct mount *m;

	if (!page)
		return;
	text_printf(t, "rootfs / rootfs rw 0 0\n");
	for (unsigned i = 0;; i++) {
		struct vnode *root = NULL;
		unsigned n = i;

		spin_lock(&vfs_lock);
		TAILQ_FOREACH(m, &mounts, link)
			if (!n--)
				break;
		if (m)
			root = vnode_get(m->root);
		spin_unlock(&vfs_lock);
		if (!root)
			break;
		const struct fs_type *type = root->mount->type;
		if (!vfs_path(root, page, PATH_MAX))
			text_printf(t, "%s%s %s %s %s 0 0\n", type->read_only ? "/dev/" : "", root->mount->source, page,
				    type->name, type->read_only ? "ro" : "rw");
		vnode_put(root);
	}
	path_page_free(page);
}

int path_prepend(char *buf, size_t *at, const char *name, size_t len)
{
	if (*at < len + 1)
		return -ENAMETOOLONG;
	*at -= len;
	memcpy(buf + *at, name, len);
	buf[--*at] = '/';
	return 0;
}

int vfs_path(struct vnode *v, char *buf, size_t size)
{
	static const char mark[] = " (deleted)";
	size_t at = size - sizeof(mark), len;
	bool deleted = false;

	if (size <= sizeof(mark))
		return -ENAMETOOLONG;
	vnode_get(v);
	for (;;) {
		struct vnode *point = NULL;
		int e = v == v->mount->root ? 0 : v->ops->path ? v->ops->path(v, buf, &at) : -ENOENT;

		if (e >= 0) {
			deleted |= e;
			spin_lock(&vfs_lock);
			if (v->mount->point)
				point = vnode_get(v->mount->point);
			spin_unlock(&vfs_lock);
		}
		vnode_put(v);
		if (e < 0)
			return e;
		if (!point)
			break;
		v = point;
	}
	if (at == size - sizeof(mark))
		buf[--at] = '/';
	len = size - sizeof(mark) - at;
	memmove(buf, buf + at, len);
	memcpy(buf + len, deleted ? mark : "", deleted ? sizeof(mark) : 1);
	return deleted;
}

/* Linux's struct linux_dirent64, followed by the name. */
struct dirent64 {
	u64 ino;
	s64 next;
	u16 len;
	u8 type;
	char name[];
} __attribute__((packed));

bool dirent_add(struct dirents *d, const char *name, size_t len, u64 ino, u32 mode, u64 next)
{
	size_t size = ALIGN_UP(offsetof(struct dirent64, name) + len + 1, 8);
	struct dirent64 *e = (struct dirent64 *)(d->buf + d->used);

	if (size > d->size - d->used) {
		d->full = true;
		return false;
	}
	memset(e, 0, size);
	e->ino = ino;
	e->next = next;
	e->len = size;
	e->type = (mode & S_IFMT) >> 12;
	memcpy(e->name, name, len);
	d->used += size;
	return true;
}

#define DOTS 2	/* positions of "." and ".."; the file system's come after */

/* Fills D from *POS on. */
static int list_dir(struct vnode *dir, u64 *pos, struct dirents *d)
{
	size_t first;
	int e;

	if (*pos == 0) {
		if (!dirent_add(d, ".", 1, dir->ino, S_IFDIR, 1))
			return 0;
		*pos = 1;
	}
	if (*pos == 1) {
		struct vnode *up = NULL;

		if (dir != dir->mount->root)
			dir->ops->parent(dir, &up);
		if (!dirent_add(d, "..", 2, up ? up->ino : dir->ino, S_IFDIR, DOTS)) {
			vnode_put(up);
			return 0;
		}
		vnode_put(up);
		*pos = DOTS;
	}
	*pos -= DOTS;
	first = d->used;
	e = dir->ops->readdir(dir, pos, d);
	*pos += DOTS;
	for (size_t at = first; at < d->used;) {	/* the hooks count from after the dots */
		struct dirent64 *entry = (struct dirent64 *)(d->buf + at);

		entry->next += DOTS;
		at += entry->len;
	}
	return e;
}

static int dir_getdents(struct file *f, vaddr_t buf, size_t n)
{
	struct dirents d = { .buf = path_page() };
	u64 pos;
	int e;

	d.size = MIN(n, PAGE_SIZE);
	if (!d.buf)
		return -ENOMEM;
	mutex_lock(&f->pos_lock);
	pos = f->pos;
	e = pos > INT64_MAX - DOTS ? 0 : list_dir(f->vnode, &pos, &d);
	if (!e && d.full && !d.used)
		e = -EINVAL;
	if (d.used)
		e = user_copy_out(buf, d.buf, d.used) ? -EFAULT : (int)d.used;
	if (e >= 0)
		f->pos = pos;
	mutex_unlock(&f->pos_lock);
	path_page_free(d.buf);
	return e;
}

static ssize_t dir_read(struct file *f __unused, vaddr_t buf __unused, size_t n __unused, u64 *pos __unused)
{
	return -EISDIR;
}

const struct file_ops dir_file_ops = { .read = dir_read, .getdents = dir_getdents, .seekable = true };
