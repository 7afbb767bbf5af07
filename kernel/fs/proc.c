/* SPDX-License-Identifier: MIT */
/*
 * Owns: procfs as vfs.h wants it: vnodes made of the tables of proc.h.
 *
 * Nothing is cached: each lookup makes a new proc_node, which holds the one above and dies with its last
 * hold. Its inode number is computed from what it stands for, so it is the same each time. A node of a
 * process holds nothing of it: who wants the process looks it up by number and birth
 * (proc_process), and finds none once it is gone. No lock of its own: nodes do not change.
 */
#include "kernel/fs/proc.h"
#include "mm/kmem.h"

static KMEM_CACHE(nodes, "proc_node", struct proc_node);
static const struct vnode_ops proc_ops, proc_target_ops;

static struct proc_node *node_of(struct vnode *v)
{
	return container_of(v, struct proc_node, vnode);
}

static u64 node_ino(const struct proc_entry *e, u64 pid, u64 tid, u64 key)
{
	const u64 mix = 0x9e3779b97f4a7c15;

	return (((((uintptr_t)e ^ pid) * mix ^ tid) * mix ^ key) * mix >> 16) | 1;
}

static u64 member_ino(const struct proc_node *dir, const struct proc_entry *e, u64 key)
{
	return node_ino(e, e->key == PROC_PID ? key : (u64)dir->pid, e->key == PROC_TID ? key : (u64)dir->tid, key);
}

/* The node of entry E, number KEY, below DIR (NULL: the root of M), held. */
static int node_make(struct mount *m, struct proc_node *dir, const struct proc_entry *e, const char *name, u64 key,
		     struct vnode **out)
{
	struct proc_node *n = kmem_cache_alloc(&nodes);
	const struct file_ops *fops = NULL;

	if (!n)
		return -ENOMEM;
	if (S_ISDIR(e->mode))
		fops = &dir_file_ops;
	else if (S_ISREG(e->mode))
		fops = e->fops ? e->fops : &proc_text_ops;
	if (dir) {
		vnode_get(&dir->vnode);
		n->pid = dir->pid;
		n->tid = dir->tid;
		n->birth = dir->birth;
	}
	n->parent = dir;
	n->entry = e;
	n->key = key;
	strlcpy(n->name, name, sizeof(n->name));
	vnode_init(&n->vnode, m, e->target ? &proc_target_ops : &proc_ops, fops, e->mode,
		   dir ? member_ino(dir, e, key) : 1);
	if (e->key == PROC_TID)
		n->tid = (pid_t)key;
	if (e->key == PROC_PID) {
		GUARD(process_lock);
		struct process *p = process_find((pid_t)key);

		n->pid = (pid_t)key;
		n->birth = p ? p->start_ns : 0;
	}
	*out = &n->vnode;
	return 0;
}

static int proc_lookup(struct vnode *v, const char *name, size_t len, struct vnode **out)
{
	struct proc_node *dir = node_of(v);
	const struct proc_entry *e = dir->entry->list;
	char found[PROC_NAME];
	u64 key = 0;

	for (; e && e->name; e++)
		if (strlen(e->name) == len && !memcmp(e->name, name, len))
			return node_make(v->mount, dir, e, e->name, 0, out);
	for (size_t i = 0; i < len && len < 10 && name[i] >= '0' && name[i] <= '9'; i++)
		key = key * 10 + (u64)(name[i] - '0');
	for (; dir->entry->member && !dir->entry->member(dir, &key, found); key++) {
		if (strlen(found) == len && !memcmp(found, name, len))
			return node_make(v->mount, dir, dir->entry->of, found, key, out);
		if (!dir->entry->named)
			break;
	}
	return -ENOENT;
}

static int proc_parent(struct vnode *v, struct vnode **out)
{
	*out = vnode_get(&node_of(v)->parent->vnode);
	return 0;
}

static int proc_readdir(struct vnode *v, u64 *pos, struct dirents *d)
{
	struct proc_node *dir = node_of(v);
	const struct proc_entry *e = dir->entry->list;
	char name[PROC_NAME];
	u64 fixed = 0, key;

	for (; e && e->name; e++, fixed++) {
		if (fixed < *pos)
			continue;
		if (!dirent_add(d, e->name, strlen(e->name), member_ino(dir, e, 0), e->mode, fixed + 1))
			return 0;
		*pos = fixed + 1;
	}
	if (!dir->entry->member)
		return 0;
	e = dir->entry->of;
	for (key = *pos - fixed; !dir->entry->member(dir, &key, name); key++) {
		if (!dirent_add(d, name, strlen(name), member_ino(dir, e, key), e->mode, fixed + key + 1))
			break;
		*pos = fixed + key + 1;
	}
	return 0;
}

static int proc_readlink(struct vnode *v, char *buf, size_t size)
{
	struct proc_node *n = node_of(v);

	return n->entry->link ? n->entry->link(n, buf, size) : -EINVAL;
}

static int proc_follow(struct vnode *v, struct vnode **out)
{
	struct proc_node *n = node_of(v);

	return n->entry->target(n, out);
}

static int proc_path(struct vnode *v, char *buf, size_t *at)
{
	int e = 0;

	for (struct proc_node *n = node_of(v); n->parent && !e; n = n->parent)
		e = path_prepend(buf, at, n->name, strlen(n->name));
	return e;
}

static int proc_open(struct vnode *v, struct file *f)
{
	return f->ops == &proc_text_ops ? proc_text_open(node_of(v), f) : 0;
}

/* O_TRUNC, which shells give with every `>`, means nothing here. */
static int proc_resize(struct vnode *v __unused, u64 bytes __unused)
{
	return 0;
}

static struct vnode *proc_release(struct vnode *v)
{
	struct proc_node *n = node_of(v), *parent = n->parent;

	kmem_cache_free(&nodes, n);
	return parent ? &parent->vnode : NULL;
}

#define PROC_VNODE_OPS                                                                                             \
	.lookup = proc_lookup, .parent = proc_parent, .readdir = proc_readdir, .readlink = proc_readlink,          \
	.path = proc_path, .open = proc_open, .resize = proc_resize, .release = proc_release

static const struct vnode_ops proc_ops = { PROC_VNODE_OPS };
static const struct vnode_ops proc_target_ops = { PROC_VNODE_OPS, .follow = proc_follow };

static int proc_mount(struct mount *m, const char *source __unused)
{
	proc_load_start();
	return node_make(m, NULL, &proc_root, "", 0, &m->root);
}

const struct fs_type procfs_type = { .name = "proc", .magic = 0x9fa0, .fixed = true, .mount = proc_mount };
