/* SPDX-License-Identifier: MIT */
/*
 * Owns: how the tree under /proc is described: by constant tables of entries. proc.c makes vnodes of them,
 * proc_file.c the files; proc_system.c, proc_sys.c, proc_process.c, proc_status.c are the tables
 * and the texts. A text is generated at a read from position 0 and served from then on.
 */
#pragma once
#include "kernel/base/guard.h"
#include "kernel/base/text.h"
#include "kernel/fs/vfs.h"
#include "kernel/process.h"

#define PROC_NAME 32		/* longest name and a NUL */
#define KB(pages) ((pages) << (PAGE_SHIFT - 10))

struct proc_node;
struct proc_file;

/* What a directory's member by number stands for; kept in proc_node for all below. */
enum proc_key { PROC_KEY, PROC_PID, PROC_TID };

struct proc_entry {
	const char *name;		/* NULL ends a list */
	u32 mode;			/* with the type */
	/* Directories: the fixed members, and (optional) others: the first with number >= *KEY, which it
	 * moves there, and its name; -ENOENT when there is none. They are like OF. */
	const struct proc_entry *list, *of;
	int (*member)(struct proc_node *dir, u64 *key, char name[PROC_NAME]);
	bool named;			/* these have names that are not their numbers */
	enum proc_key key;		/* what the number of this member is */
	/* Files: the text; what is done with one that is written (NUL-ended, no white space at its end).
	 * All return 0 or -errno and are called with no lock held. */
	int (*show)(struct proc_file *pf, struct text *t);
	int (*store)(struct proc_file *pf, const char *text);
	int (*open)(struct proc_file *pf);
	const struct file_ops *fops;	/* NULL: the above */
	/* Links: the text, its length or -errno; and (optional) what it leads to without a path, held. */
	int (*link)(struct proc_node *n, char *buf, size_t size);
	int (*target)(struct proc_node *n, struct vnode **out);
};

#define PROC_DIR(n, m, ...) { .name = n, .mode = S_IFDIR | (m), __VA_ARGS__ }
#define PROC_TEXT(n, f) { .name = n, .mode = S_IFREG | 0444, .show = f }
#define PROC_SET(n, f, g) { .name = n, .mode = S_IFREG | 0644, .show = f, .store = g }
#define PROC_LINK(n, f, ...) { .name = n, .mode = S_IFLNK | 0777, .link = f, __VA_ARGS__ }

struct proc_node {
	struct vnode vnode;		/* first */
	const struct proc_entry *entry;
	struct proc_node *parent;	/* held; NULL: the root */
	pid_t pid, tid;			/* below /proc/PID; below task/TID, else 0 */
	u64 birth;			/* start_ns of the process, which its successor of that number has not */
	u64 key;
	char name[PROC_NAME];
};

/* An open text. */
struct proc_file {
	struct proc_node *node;		/* file->vnode */
	struct mutex lock;		/* what follows */
	char *buf;			/* NULL: not generated yet */
	size_t start, stored, len;	/* buf has STORED bytes from START on of a text of LEN bytes */
	struct counter_domain *domain;	/* of a counters file, held from open on; NULL: none */
};

extern const struct file_ops proc_text_ops, proc_pagemap_ops, proc_ptwalk_ops, proc_mem_ops;
int proc_text_open(struct proc_node *n, struct file *f);

extern const struct proc_entry proc_root, proc_pid;	/* /proc, /proc/PID */
extern const struct proc_entry proc_sys_list[], proc_tunable;	/* /proc/sys/..., .../NAME */
int proc_pid_member(struct proc_node *dir, u64 *key, char name[PROC_NAME]);
int proc_tunable_member(struct proc_node *dir, u64 *key, char name[PROC_NAME]);
#define PROC_TUNABLES .named = true, .member = proc_tunable_member, .of = &proc_tunable

/* The process of N, or NULL if it is gone. Under process_lock. */
struct process *proc_process(struct proc_node *n);
/* The same, and its thread of N's tid (the first one when that is 0; NULL: a zombie's). */
struct process *proc_thread(struct proc_node *n, struct thread **t);
/* The space of N's process, held; NULL for one that has none. 0 or -ESRCH. */
int proc_space(struct proc_node *n, struct space **s);

int proc_show_status(struct proc_file *pf, struct text *t);
int proc_show_stat(struct proc_file *pf, struct text *t);
int proc_show_statm(struct proc_file *pf, struct text *t);
int proc_show_limits(struct proc_file *pf, struct text *t);
int proc_show_mounts(struct proc_file *pf, struct text *t);

/* ns in Linux's unit of time for programs, 10 ms. */
static inline u64 proc_ticks(u64 ns)
{
	return ns / 10000000;
}

/* Begins to average the load, once. */
void proc_load_start(void);
/* The averages over 1, 5 and 15 minutes, times 2^16. */
void proc_load(u64 average[3]);
