/* SPDX-License-Identifier: MIT */
/*
 * Owns: the current directory and umask of a process (fs_context, shared by clone's CLONE_FS), and the
 * calls on them: chdir fchdir getcwd umask.
 *
 * Lock: fs_context->lock (RANK_FILES) for both fields; refs is atomic. The directory is held.
 */
#include "kernel/fs/at.h"
#include "kernel/fs/fd.h"
#include "kernel/process.h"
#include "kernel/syscalls.h"
#include "mm/kmem.h"

struct fs_context {
	u32 refs;
	struct spinlock lock;
	u32 umask;
	struct vnode *cwd;
};

static KMEM_CACHE(context_cache, "fs_context", struct fs_context);

/* Takes over the hold of CWD. */
static struct fs_context *context_alloc(struct vnode *cwd, u32 umask)
{
	struct fs_context *c = kmem_cache_alloc(&context_cache);

	if (!c) {
		vnode_put(cwd);
		return NULL;
	}
	c->refs = 1;
	spin_init(&c->lock, RANK_FILES);
	c->cwd = cwd;
	c->umask = umask;
	return c;
}

struct fs_context *fs_context_create(void)
{
	return context_alloc(vnode_get(vfs_root), 022);
}

struct vnode *fs_context_cwd(struct fs_context *c)
{
	GUARD(c->lock);

	return vnode_get(c->cwd);
}

struct fs_context *fs_context_copy(struct fs_context *from)
{
	return context_alloc(fs_context_cwd(from), READ_ONCE(from->umask));
}

void fs_context_get(struct fs_context *c)
{
	__atomic_fetch_add(&c->refs, 1, __ATOMIC_RELAXED);
}

void fs_context_put(struct fs_context *c)
{
	if (!c || __atomic_sub_fetch(&c->refs, 1, __ATOMIC_ACQ_REL))
		return;
	vnode_put(c->cwd);
	kmem_cache_free(&context_cache, c);
}

/* NULL before there are processes, and for kernel threads. */
static struct fs_context *own_context(void)
{
	return current && current_process ? current_process->fs : NULL;
}

struct vnode *fs_cwd(void)
{
	struct fs_context *c = own_context();

	return c ? fs_context_cwd(c) : vnode_get(vfs_root);
}

void fs_set_cwd(struct vnode *v)
{
	struct fs_context *c = own_context();
	struct vnode *old;

	spin_lock(&c->lock);
	old = c->cwd;
	c->cwd = v;
	spin_unlock(&c->lock);
	vnode_put(old);
}

u32 fs_umask(void)
{
	struct fs_context *c = own_context();

	return c ? READ_ONCE(c->umask) : 0;
}

long sys_umask(u64 mask, REST1)
{
	struct fs_context *c = own_context();
	GUARD(c->lock);
	u32 old = c->umask;

	c->umask = mask & 0777;
	return old;
}

long sys_chdir(u64 path, REST1)
{
	struct vnode *v;
	int e = at_lookup(AT_FDCWD, path, WALK_FOLLOW | WALK_DIRECTORY, &v);

	if (!e)
		fs_set_cwd(v);
	return e;
}

long sys_fchdir(u64 fd, REST1)
{
	HELD(file) f = fd_get(fd);

	if (!f)
		return -EBADF;
	if (!f->vnode || !S_ISDIR(f->vnode->mode))
		return -ENOTDIR;
	fs_set_cwd(vnode_get(f->vnode));
	return 0;
}

long sys_getcwd(u64 buf, u64 size, REST2)
{
	HELD(vnode) v = fs_cwd();
	char *page = path_page();
	long n = page ? vfs_path(v, page, PATH_MAX) : -ENOMEM;

	if (n > 0) {
		n = -ENOENT;	/* it has lost its name */
	} else if (!n) {
		n = strlen(page) + 1;
		if ((u64)n > size)
			n = -ERANGE;
		else if (user_copy_out(buf, page, n))
			n = -EFAULT;
	}
	path_page_free(page);
	return n;
}
