/* SPDX-License-Identifier: MIT */
/* Owns: pipes, with names (fifos) and without. See pipe.c. */
#pragma once
#include "kernel/fs/file.h"

struct pipe;

extern const struct file_ops pipe_file_ops;

/* A new pipe's two ends, with FLAGS (O_NONBLOCK). 0 or -ENOMEM. */
int pipe_create(struct file **reader, struct file **writer, u32 flags);
/* Opens F on the pipe at *SLOT (made if NULL; kept in F's vnode). FIFO: waits for the other end as open(2)
 * does. 0, -ENXIO, -ENOMEM, -ERESTART. */
int pipe_open(struct file *f, struct pipe **slot, bool fifo);
/* F_GETPIPE_SZ, F_SETPIPE_SZ: bytes, or -EBADF (not a pipe), -EBUSY, -EPERM, -EINVAL, -ENOMEM. */
long pipe_get_size(struct file *f);
long pipe_set_size(struct file *f, u64 bytes);
