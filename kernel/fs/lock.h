/* SPDX-License-Identifier: MIT */
/* Owns: advisory locks: flock(2)'s, and fcntl's record locks of processes and of open files. See lock.c. */
#pragma once
#include "kernel/fs/file.h"

/* fcntl's F_GETLK and F_SETLK[W], or the F_OFD_ ones, on F with the struct flock at ARG. 0 or -errno. */
long filelock_fcntl_get(struct file *f, vaddr_t arg, bool ofd);
long filelock_fcntl_set(struct file *f, vaddr_t arg, bool ofd, bool wait);

/* Descriptor table OWNER closed a descriptor of V (NULL: of any): its record locks there go. */
void filelock_closed(const struct vnode *v, const void *owner);
