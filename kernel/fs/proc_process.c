/* SPDX-License-Identifier: MIT */
/*
 * Owns: /proc/PID and /proc/PID/task/TID: which members there are, links, descriptors, the texts that come
 * from the address space and the counters.
 *
 * A process is looked up by number and birth under process_lock; what outlives that lock is held: the space
 * while its text is made, the descriptor table while it is read. Whoever finds the process gone says
 * ESRCH. A zombie has no space: its texts are empty.
 */
#include "kernel/fs/fd.h"
#include "kernel/fs/proc.h"
#include "mm/fault.h"
#include "mm/ptreclaim.h"
#include "mm/report.h"

struct process *proc_process(struct proc_node *n)
{
	struct process *p = process_find(n->pid);

	return p && p->start_ns == n->birth ? p : NULL;
}

struct process *proc_thread(struct proc_node *n, struct thread **t)
{
	struct process *p = proc_process(n);

	if (!p)
		return NULL;
	TAILQ_FOREACH(*t, &p->threads, sibling)
		if (!n->tid || (*t)->tid == n->tid)
			return p;
	return n->tid ? NULL : p;
}

int proc_space(struct proc_node *n, struct space **s)
{
	GUARD(process_lock);
	struct process *p = proc_process(n);

	if (!p)
		return -ESRCH;
	*s = p->space;
	if (*s)
		space_get(*s);
	return 0;
}

int proc_pid_member(struct proc_node *dir __unused, u64 *key, char name[PROC_NAME])
{
	GUARD(process_lock);
	struct process *before = process_find((pid_t)*key - 1);	/* whom a listing has just had */
	struct process *p = process_find((pid_t)*key) ?: before ? LIST_NEXT(before, all) : LIST_FIRST(&all_processes);

	while (p && (u64)p->pid < *key)
		p = LIST_NEXT(p, all);
	if (!p)
		return -ENOENT;
	*key = (u64)p->pid;
	snprintf(name, PROC_NAME, "%lu", *key);
	return 0;
}

static int task_member(struct proc_node *dir, u64 *key, char name[PROC_NAME])
{
	GUARD(process_lock);
	struct process *p = proc_process(dir);
	struct thread *t, *found = NULL;

	if (!p)
		return -ENOENT;
	TAILQ_FOREACH(t, &p->threads, sibling)
		if ((u64)t->tid >= *key && (!found || t->tid < found->tid))
			found = t;
	if (found)
		*key = (u64)found->tid;
	snprintf(name, PROC_NAME, "%lu", *key);
	return found ? 0 : -ENOENT;
}

/* The texts that mm/report.h makes of a space. */
static int show_space(struct proc_file *pf, struct text *t, int (*report)(struct space *s, struct text *t))
{
	struct space *s;
	int e = proc_space(pf->node, &s);

	if (e || !s)
		return e;
	e = report(s, t);
	space_put(s);
	return e;
}

static int report_each(struct space *s, struct text *t) { return report_smaps(s, t, false); }
static int report_sum(struct space *s, struct text *t) { return report_smaps(s, t, true); }
static int report_tables(struct space *s, struct text *t) { report_pagetable(s, t); return 0; }
static int show_maps(struct proc_file *pf, struct text *t) { return show_space(pf, t, report_maps); }
static int show_smaps(struct proc_file *pf, struct text *t) { return show_space(pf, t, report_each); }
static int show_rollup(struct proc_file *pf, struct text *t) { return show_space(pf, t, report_sum); }
static int show_pagetable(struct proc_file *pf, struct text *t) { return show_space(pf, t, report_tables); }

/* The bytes [START, END) of the space, as they are now, up to the first that cannot be read. */
static int report_bytes(struct space *s, struct text *t, vaddr_t start, vaddr_t end)
{
	char piece[256];
	ssize_t got = 1;

	for (; start < end && got > 0; start += (u64)got) {
		got = space_read(s, start, piece, MIN(end - start, sizeof(piece)));
		if (got > 0)
			text_write(t, piece, (size_t)got);
	}
	return 0;
}

static int report_arguments(struct space *s, struct text *t) { return report_bytes(s, t, s->arg_start, s->arg_end); }
static int report_environ(struct space *s, struct text *t) { return report_bytes(s, t, s->env_start, s->env_end); }
static int show_cmdline(struct proc_file *pf, struct text *t) { return show_space(pf, t, report_arguments); }
static int show_environ(struct proc_file *pf, struct text *t) { return show_space(pf, t, report_environ); }

static int show_comm(struct proc_file *pf, struct text *t)
{
	GUARD(process_lock);
	struct thread *thread;
	struct process *p = proc_thread(pf->node, &thread);

	if (!p)
		return -ESRCH;
	text_printf(t, "%s\n", thread ? thread->comm : p->comm);
	return 0;
}

static int store_comm(struct proc_file *pf, const char *text)
{
	GUARD(process_lock);
	struct thread *thread;
	struct process *p = proc_thread(pf->node, &thread);

	if (!p)
		return -ESRCH;
	if (thread)
		strlcpy(thread->comm, text, sizeof(thread->comm));
	if (!pf->node->tid || pf->node->tid == p->pid)
		strlcpy(p->comm, text, sizeof(p->comm));
	return 0;
}

/* Nobody is chosen to be killed, so there is nothing to adjust; daemons want to write here. */
static int show_oom(struct proc_file *pf __unused, struct text *t)
{
	text_printf(t, "0\n");
	return 0;
}

static int store_oom(struct proc_file *pf __unused, const char *text)
{
	u64 value;

	return parse_u64(*text == '-' ? text + 1 : text, &value) || value > 1000 ? -EINVAL : 0;
}

/* The domain stays with the open file, so that it can be read when the process has gone. */
static int open_counters(struct proc_file *pf)
{
	GUARD(process_lock);
	struct thread *thread;

	if (!proc_thread(pf->node, &thread))
		return -ESRCH;
	pf->domain = thread ? thread->domain : NULL;
	domain_get(pf->domain);
	return 0;
}

static int show_counters(struct proc_file *pf, struct text *t)
{
	u64 value[NR_COUNTERS], ticks;

	if (!pf->domain)
		return -ENODATA;
	domain_read(pf->domain, value, &ticks);
	text_printf(t, "ticks %lu # of the time-stamp counter: with --icount, instructions\n", ticks);
	for (unsigned i = 0; i < NR_COUNTERS; i++)
		text_printf(t, "%s %lu # %s\n", counter_names[i], value[i], counter_meanings[i]);
	return 0;
}

/* "new": the calling thread, and all that it will fork or clone, is counted apart from now on. */
static int store_counters(struct proc_file *pf, const char *text)
{
	struct counter_domain *new, *old = current->domain, *file = pf->domain;

	if (strcmp(text, "new"))
		return -EINVAL;
	if (pf->node->pid != current_process->pid || (pf->node->tid && pf->node->tid != current->tid))
		return -EPERM;
	new = domain_create();
	if (!new)
		return -ENOMEM;
	domain_get(new);
	pf->domain = new;
	spin_lock(&process_lock);	/* open_counters takes its hold under it */
	current->domain = new;
	spin_unlock(&process_lock);
	domain_switch(old, new);
	domain_put(old);
	domain_put(file);
	return 0;
}

static int link_exe(struct proc_node *n, char *buf, size_t size)
{
	GUARD(process_lock);
	struct process *p = proc_process(n);
	size_t len;

	if (!p)
		return -ESRCH;
	len = MIN(strlen(p->exe), size);
	memcpy(buf, p->exe, len);
	return len ? (int)len : -ENOENT;
}

static int target_root(struct proc_node *n __unused, struct vnode **out)
{
	*out = vnode_get(vfs_root);
	return 0;
}

static int target_cwd(struct proc_node *n, struct vnode **out)
{
	GUARD(process_lock);
	struct process *p = proc_process(n);

	if (!p)
		return -ESRCH;
	if (!p->nr_threads)	/* the last thread drops it without the lock */
		return -ENOENT;
	*out = fs_context_cwd(p->fs);
	return 0;
}

/* The text of a link whose target is known: that one's path. */
static int link_target(struct proc_node *n, char *buf, size_t size)
{
	char *page = path_page();
	struct vnode *v;
	int e = page ? n->entry->target(n, &v) : -ENOMEM;

	if (!e) {
		e = vfs_path(v, page, PAGE_SIZE);
		vnode_put(v);
	}
	if (!e) {
		e = (int)MIN(strlen(page), size);
		memcpy(buf, page, (size_t)e);
	}
	path_page_free(page);
	return e;
}

/* The descriptors of N's process, held; NULL: it is gone, or has none any more. */
static struct files *node_files(struct proc_node *n)
{
	GUARD(process_lock);
	struct process *p = proc_process(n);

	if (!p || !p->nr_threads)	/* the last thread drops them without the lock */
		return NULL;
	files_get(p->files);
	return p->files;
}

static int fd_member(struct proc_node *dir, u64 *key, char name[PROC_NAME])
{
	struct files *fs = node_files(dir);
	int fd;

	if (!fs)
		return -ENOENT;
	fd = *key < FD_MAX ? files_next(fs, (int)*key) : -1;
	files_put(fs);
	if (fd < 0)
		return -ENOENT;
	*key = (u64)fd;
	snprintf(name, PROC_NAME, "%d", fd);
	return 0;
}

/* The file that link N stands for, held, or NULL. */
static struct file *node_file(struct proc_node *n)
{
	struct files *fs = node_files(n);
	struct file *f;

	if (!fs)
		return NULL;
	f = files_file(fs, (int)n->key);
	files_put(fs);
	return f;
}

static int target_fd(struct proc_node *n, struct vnode **out)
{
	struct file *f = node_file(n);

	if (!f)
		return -ENOENT;
	*out = f->vnode ? vnode_get(f->vnode) : NULL;
	file_put(f);
	return *out ? 0 : -ENXIO;
}

static int link_fd(struct proc_node *n, char *buf, size_t size)
{
	struct file *f = node_file(n);
	char *page = path_page();
	int len = f && page ? 0 : f ? -ENOMEM : -ENOENT;

	if (!len) {
		file_path(f, page, PAGE_SIZE);
		len = (int)MIN(strlen(page), size);
		memcpy(buf, page, (size_t)len);
	}
	path_page_free(page);
	if (f)
		file_put(f);
	return len;
}

static const struct proc_entry fd_entry = PROC_LINK(NULL, link_fd, .target = target_fd);

/* MADV_CLEANUP_PGTABLE on all that the process has. */
static int store_cleanup(struct proc_file *pf, const char *text __unused)
{
	struct space *s;
	int e = proc_space(pf->node, &s);

	if (e || !s)
		return e;
	spin_lock(&s->lock);
	reclaim_space(s, NULL);
	spin_unlock(&s->lock);
	space_put(s);
	return 0;
}

#define PROC_BY_POSITION(n, m, ops) { .name = n, .mode = S_IFREG | (m), .fops = ops }
#define COMMON                                                                                                     \
	{ .name = "cleanup_pgtables", .mode = S_IFREG | 0200, .store = store_cleanup },                            \
	PROC_TEXT("cmdline", show_cmdline),                                                                        \
	PROC_SET("comm", show_comm, store_comm),                                                                   \
	{ .name = "counters", .mode = S_IFREG | 0644, .show = show_counters, .store = store_counters,              \
	  .open = open_counters },                                                                                 \
	PROC_LINK("cwd", link_target, .target = target_cwd),                                                       \
	PROC_TEXT("environ", show_environ),                                                                        \
	PROC_LINK("exe", link_exe),                                                                                \
	PROC_DIR("fd", 0500, .member = fd_member, .of = &fd_entry),                                                \
	PROC_TEXT("limits", proc_show_limits),                                                                     \
	PROC_TEXT("maps", show_maps),                                                                              \
	PROC_BY_POSITION("mem", 0600, &proc_mem_ops),                                                              \
	PROC_TEXT("mounts", proc_show_mounts),                                                                          \
	PROC_TEXT("oom_score", show_oom),                                                                          \
	PROC_SET("oom_score_adj", show_oom, store_oom),                                                            \
	PROC_BY_POSITION("pagemap", 0444, &proc_pagemap_ops),                                                      \
	PROC_TEXT("pagetable", show_pagetable),                                                                    \
	PROC_BY_POSITION("ptwalk", 0444, &proc_ptwalk_ops),                                                        \
	PROC_LINK("root", link_target, .target = target_root),                                                     \
	PROC_TEXT("smaps", show_smaps),                                                                            \
	PROC_TEXT("smaps_rollup", show_rollup),                                                                    \
	PROC_TEXT("stat", proc_show_stat),                                                                         \
	PROC_TEXT("statm", proc_show_statm),                                                                       \
	PROC_TEXT("status", proc_show_status)

static const struct proc_entry tid_list[] = { COMMON, { 0 } };
static const struct proc_entry tid_entry = PROC_DIR(NULL, 0555, .list = tid_list, .key = PROC_TID);
static const struct proc_entry pid_list[] = {
	COMMON,
	PROC_DIR("task", 0555, .member = task_member, .of = &tid_entry),
	{ 0 }
};
const struct proc_entry proc_pid = PROC_DIR(NULL, 0555, .list = pid_list, .key = PROC_PID);
