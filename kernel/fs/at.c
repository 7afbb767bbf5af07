/* SPDX-License-Identifier: MIT */
/*
 * Owns: getting from a system call's descriptor and path to a walk: copies the path in, finds where it
 * starts. Callers: the sys_*.c files here. Locks: none.
 */
#include "kernel/fs/at.h"
#include "kernel/fs/fd.h"

/* The vnode behind descriptor FD, held. A directory, unless ANY. */
static int start_vnode(int fd, bool any, struct vnode **out)
{
	HELD(file) f = fd_get(fd);

	if (!f)
		return -EBADF;
	if (!f->vnode || !(any || S_ISDIR(f->vnode->mode)))
		return -ENOTDIR;
	*out = vnode_get(f->vnode);
	return 0;
}

int at_begin(struct at *a, int dirfd, vaddr_t path)
{
	ssize_t n;
	int e = 0;

	a->start = NULL;
	a->path = path_page();
	if (!a->path)
		return -ENOMEM;
	n = user_copy_string(a->path, path, PATH_MAX);
	if (n < 0)
		e = n;
	else if (dirfd != AT_FDCWD && a->path[0] != '/')
		e = start_vnode(dirfd, n == 0, &a->start);
	if (e)
		path_page_free(a->path);
	return e;
}

int at_walk(struct at *a, int dirfd, vaddr_t path, unsigned flags)
{
	int e = at_begin(a, dirfd, path);

	if (e)
		return e;
	e = walk_path(&a->w, a->start, a->path, flags);
	if (e) {
		vnode_put(a->start);
		path_page_free(a->path);
	}
	return e;
}

void at_end(struct at *a)
{
	walk_end(&a->w);
	vnode_put(a->start);
	path_page_free(a->path);
}

int at_lookup(int dirfd, vaddr_t path, unsigned flags, struct vnode **out)
{
	struct at a;
	int e = at_walk(&a, dirfd, path, flags);

	if (e)
		return e;
	*out = a.w.vnode;
	a.w.vnode = NULL;
	at_end(&a);
	return 0;
}
