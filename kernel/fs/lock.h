/* SPDX-License-Identifier: MIT */
/*
 * Owns: advisory locks: flock(2), and fcntl's record locks (of processes: of a descriptor table; of open
 * files). One list of all locks: programs hold few.
 */
#pragma once
#include "kernel/fs/file.h"

enum { F_RDLCK, F_WRLCK, F_UNLCK };
#define LOCK_EOF (~0UL)

/* What is asked for: [start, end] in bytes, end LOCK_EOF: without end. */
struct filelock_request {
	struct vnode *vnode;
	const void *owner;	/* struct files, or struct file */
	u8 type;		/* F_RDLCK, F_WRLCK, F_UNLCK */
	bool flock;		/* flock's locks and fcntl's do not see each other */
	bool wait;
	pid_t pid;		/* as F_GETLK reports; -1: an open file's */
	u64 start, end;
};

/* Sets or takes off. 0, -EAGAIN, -ENOLCK, -EDEADLK, -ERESTART (a signal came). */
int filelock_set(const struct filelock_request *r);
/* The first lock in the way of R goes to *R; if there is none, type becomes F_UNLCK. */
void filelock_test(struct filelock_request *r);

/* Descriptor table OWNER closed a descriptor of V: its record locks on V go. */
void filelock_closed(struct vnode *v, const void *owner);
/* The last hold of F is gone: so are its locks. */
void filelock_file_gone(struct file *f);
