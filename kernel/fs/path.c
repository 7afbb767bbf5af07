/* SPDX-License-Identifier: MIT */
/*
 * Owns: the walk along a path, component by component: links (40 at most, as Linux), "..", mount points,
 * trailing slashes; and open(2) on top of it.
 *
 * A walk holds the directory that it stands in and nothing else; each lookup is the file system's. When it
 * meets a link, the link's text and the rest of the path are written into a fresh page, and the walk goes
 * on there. Locks: vfs_lock for a moment, to cross mounts.
 */
#include "kernel/fs/dev.h"
#include "kernel/fs/vfs.h"

#define MAX_LINKS 40
#define O_LARGEFILE 0100000
#define O_TMPFILE_BIT 020000000

char *path_page(void)
{
	struct frame *f = frame_alloc(FRAME_KERNEL);

	return f ? frame_ptr(f) : NULL;
}

void path_page_free(char *page)
{
	if (page)
		frame_put(frame_of_ptr(page));
}

/* What is seen at V: the root of what is mounted on it. Takes over the hold. */
static struct vnode *cross_down(struct vnode *v)
{
	while (unlikely(READ_ONCE(v->mounted))) {
		struct vnode *root;

		spin_lock(&vfs_lock);
		root = v->mounted ? vnode_get(v->mounted->root) : NULL;
		spin_unlock(&vfs_lock);
		if (!root)
			break;
		vnode_put(v);
		v = root;
	}
	return v;
}

/* The directory above *DIR, whose hold moves on to it. */
static int step_up(struct vnode **dir)
{
	struct vnode *v = *dir, *up;
	int e;

	while (v != vfs_root && v == v->mount->root) {
		spin_lock(&vfs_lock);
		up = v->mount->point ? vnode_get(v->mount->point) : NULL;
		spin_unlock(&vfs_lock);
		if (!up)
			break;
		vnode_put(v);
		*dir = v = up;
	}
	if (v == v->mount->root)
		return 0;
	e = v->ops->parent(v, &up);
	if (e)
		return e;
	vnode_put(v);
	*dir = cross_down(up);
	return 0;
}

/* Writes link LINK's text, then "/" and REST if SLASH, into a page, which becomes W's. */
static int expand(struct walk *w, struct vnode *link, const char *rest, bool slash)
{
	size_t rest_len = strlen(rest);
	char *page = path_page();
	int n;

	if (!page)
		return -ENOMEM;
	n = link->ops->readlink(link, page, PATH_MAX);
	if (n <= 0 || n + slash + rest_len >= PATH_MAX) {
		path_page_free(page);
		return n < 0 ? n : n ? -ENAMETOOLONG : -ENOENT;
	}
	if (slash)
		page[n++] = '/';
	memcpy(page + n, rest, rest_len + 1);
	path_page_free(w->path);
	w->path = page;
	return 0;
}

/* One component of the path being walked. */
struct step {
	const char *rest;	/* what follows, slashes skipped */
	bool slash, last;
};

static void parse_step(struct walk *w, const char *at, struct step *s)
{
	const char *end = at;

	while (*end && *end != '/')
		end++;
	w->name = at;
	w->len = end - at;
	w->dot = w->len == 1 && at[0] == '.';
	w->dotdot = w->len == 2 && at[0] == '.' && at[1] == '.';
	s->slash = *end == '/';
	while (*end == '/')
		end++;
	s->rest = end;
	s->last = !*end;
	w->slash = s->slash && s->last;
}

/* From directory *CUR (its hold is moved along) down PATH. Sets w's vnode, dir and name, or fails. */
static int walk_from(struct walk *w, struct vnode **cur, const char *path, unsigned flags)
{
	unsigned links = 0;
	struct step s;
	struct vnode *next;
	int e;

	for (;;) {
		while (*path == '/')
			path++;
		if (!*path) {
			w->len = 0;
			break;
		}
		if (!S_ISDIR((*cur)->mode))
			return -ENOTDIR;
		parse_step(w, path, &s);
		if (w->len > NAME_MAX)
			return -ENAMETOOLONG;
		if (w->dot || w->dotdot) {
			e = w->dotdot ? step_up(cur) : 0;
			if (e)
				return e;
			path = s.rest;
			if (s.last)
				break;
			continue;
		}
		e = (*cur)->ops->lookup(*cur, w->name, w->len, &next);
		if (e == -ENOENT && s.last && flags & WALK_MAY_LACK) {
			w->dir = *cur;
			*cur = NULL;
			return 0;
		}
		if (e)
			return e;
		next = cross_down(next);
		if (S_ISLNK(next->mode) &&
		    (!s.last || flags & WALK_FOLLOW || (s.slash && !(flags & WALK_NAME)))) {
			struct vnode *to = NULL;

			if (links++ >= MAX_LINKS)
				e = -ELOOP;
			else if (next->ops->follow)
				e = next->ops->follow(next, &to);
			else
				e = expand(w, next, s.rest, s.slash);
			vnode_put(next);
			if (e)
				return e;
			if (!to) {
				path = w->path;
				if (*path == '/') {
					vnode_put(*cur);
					*cur = vnode_get(vfs_root);
				}
				continue;
			}
			next = to;
		}
		if (s.last) {
			w->vnode = next;
			w->dir = *cur;
			*cur = NULL;
			return 0;
		}
		vnode_put(*cur);
		*cur = next;
		path = s.rest;
	}
	w->vnode = *cur;	/* ".", ".." or "/" */
	*cur = NULL;
	return 0;
}

int walk_path(struct walk *w, struct vnode *start, const char *path, unsigned flags)
{
	struct vnode *cur;
	int e;

	*w = (struct walk){ 0 };
	if (!*path && !(flags & WALK_EMPTY))
		return -ENOENT;
	cur = *path == '/' ? vnode_get(vfs_root) : start ? vnode_get(start) : fs_cwd();
	e = walk_from(w, &cur, path, flags);
	if (!e && w->vnode && !S_ISDIR(w->vnode->mode) &&
	    (flags & WALK_DIRECTORY || (w->slash && !(flags & WALK_NAME))))
		e = -ENOTDIR;
	vnode_put(cur);
	if (e)
		walk_end(w);
	return e;
}

void walk_end(struct walk *w)
{
	vnode_put(w->vnode);
	vnode_put(w->dir);
	path_page_free(w->path);
	*w = (struct walk){ 0 };
}

int vfs_lookup(struct vnode *start, const char *path, unsigned flags, struct vnode **out)
{
	struct walk w;
	int e = walk_path(&w, start, path, flags & ~(WALK_MAY_LACK | WALK_NAME));

	if (e)
		return e;
	*out = w.vnode;
	w.vnode = NULL;
	walk_end(&w);
	return 0;
}

static const struct file_ops path_file_ops;	/* O_PATH: names a vnode, does nothing */

int vnode_open(struct vnode *v, u32 flags, struct file **out)
{
	struct file *f;
	int e = 0;

	if (!(flags & O_PATH) && !v->fops && !S_ISDEVICE(v->mode))
		return S_ISLNK(v->mode) ? -ELOOP : -ENXIO;
	f = file_alloc(flags & O_PATH ? &path_file_ops : v->fops, flags);
	if (!f)
		return -ENOMEM;
	f->vnode = vnode_get(v);
	if (!(flags & O_PATH)) {
		if (S_ISDEVICE(v->mode))
			e = dev_open(f);
		else if (v->ops->open)
			e = v->ops->open(v, f);
		if (!e && f->ops->open)
			e = f->ops->open(f);
		f->flags |= O_LARGEFILE;
	}
	f->flags &= ~(O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_CLOEXEC);
	if (e) {
		f->ops = &path_file_ops;
		file_put(f);
		return e;
	}
	*out = f;
	return 0;
}

/* Opens what is at the end of W. */
static int open_existing(struct vnode *v, u32 flags, struct file **out)
{
	int e;

	if ((flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL))
		return -EEXIST;
	if (S_ISDIR(v->mode) && (flags & (O_CREAT | O_TRUNC) || (flags & O_ACCMODE) != O_RDONLY))
		return -EISDIR;
	e = vnode_open(v, flags, out);
	if (!e && flags & O_TRUNC && S_ISREG(v->mode) && v->ops->resize) {
		e = v->ops->resize(v, 0);
		if (e)
			file_put(*out);
	}
	return e;
}

int vfs_open(struct vnode *start, const char *path, u32 flags, u32 mode, struct file **out)
{
	unsigned how = flags & O_NOFOLLOW ? 0 : WALK_FOLLOW;
	struct walk w;
	int e;

	if (flags & O_PATH)
		flags &= O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	if (flags & O_TMPFILE_BIT)
		return -EOPNOTSUPP;
	if (flags & O_CREAT) {
		if (flags & O_DIRECTORY)
			return -EINVAL;
		how = flags & O_EXCL ? 0 : how;
		how |= WALK_MAY_LACK | WALK_NAME;
	} else if (flags & O_DIRECTORY) {
		how |= WALK_DIRECTORY;
	}
	do {
		e = walk_path(&w, start, path, how);
		if (e)
			return e;
		if (flags & O_CREAT && w.slash) {
			e = -EISDIR;
		} else if (w.vnode) {
			e = open_existing(w.vnode, flags, out);
		} else if (!w.dir->ops->create) {
			e = vfs_refusal(w.dir, -EACCES);
		} else {
			e = w.dir->ops->create(w.dir, w.name, w.len,
					       S_IFREG | (mode & 07777 & ~fs_umask()), 0, NULL, &w.vnode);
			if (!e)
				e = vnode_open(w.vnode, flags, out);
		}
		walk_end(&w);
	} while (e == -EEXIST && !(flags & O_EXCL));	/* another thread made it meanwhile */
	return e;
}
