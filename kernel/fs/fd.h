/* SPDX-License-Identifier: MIT */
/* Owns: what the file calls do with the running process's descriptors beyond fd_get and fd_install of
 * kernel/fs/file.h, and looking into another's table (for /proc/PID/fd). Locks: files->lock inside. */
#pragma once
#include "kernel/fs/file.h"

#define FD_MAX 65536		/* whatever RLIMIT_NOFILE says */
#define RLIMIT_FSIZE 1
#define RLIMIT_NOFILE 7

/* The file behind descriptor FD of FS with a hold, or NULL. */
struct file *files_file(struct files *fs, int fd);
/* The first open descriptor >= FD, or -1. */
int files_next(struct files *fs, int fd);

/* fd_get, but a file opened with O_PATH is EBADF too: for whatever touches the contents. */
struct file *fd_get_io(int fd);
/* Is there a descriptor left? 0, -EMFILE, -ENOMEM. Asked before opening creates anything. */
int fd_room(void);
/* fd_install at the lowest descriptor, close-on-exec by O_CLOEXEC of FLAGS; on failure the hold is dropped. */
int fd_install_or_put(struct file *f, u32 flags);
/* Makes FD be F (taking over the hold), closing what it was. FD, -EBADF, -ENOMEM: then the hold stays. */
int fd_replace(struct file *f, bool cloexec, int fd);
int fd_close(int fd);
/* Close-on-exec of FD: 0 or 1 as it was, or -EBADF; changed to SET unless SET is negative. */
int fd_cloexec(int fd, int set);
