/* SPDX-License-Identifier: MIT */
/* Owns: Linux's errno values. Functions return them negated: 0 or a positive result is success. */
#pragma once

#define EPERM 1
#define ENOENT 2
#define ESRCH 3
#define EINTR 4
#define EIO 5
#define ENXIO 6
#define E2BIG 7
#define ENOEXEC 8
#define EBADF 9
#define ECHILD 10
#define EAGAIN 11
#define ENOMEM 12
#define EACCES 13
#define EFAULT 14
#define ENOTBLK 15
#define EBUSY 16
#define EEXIST 17
#define EXDEV 18
#define ENODEV 19
#define ENOTDIR 20
#define EISDIR 21
#define EINVAL 22
#define ENFILE 23
#define EMFILE 24
#define ENOTTY 25
#define ETXTBSY 26
#define EFBIG 27
#define ENOSPC 28
#define ESPIPE 29
#define EROFS 30
#define EMLINK 31
#define EPIPE 32
#define EDOM 33
#define ERANGE 34
#define EDEADLK 35
#define ENAMETOOLONG 36
#define ENOLCK 37
#define ENOSYS 38
#define ENOTEMPTY 39
#define ELOOP 40
#define ENODATA 61
#define EOVERFLOW 75
#define ELIBBAD 80
#define EOPNOTSUPP 95
#define ENOTSUP 95
#define ETIMEDOUT 110

/* Inside the kernel only: a call that a signal broke into, to be begun again or turned into EINTR. */
#define ERESTART 512		/* begin again if the handler has SA_RESTART, or if there is no handler */
#define ERESTART_NOHAND 514	/* begin again only when no handler runs */
#define ERESTART_BLOCK 516	/* EINTR when a handler runs; else begin again with what is left */

#define IS_ERR_VALUE(x) ((unsigned long)(x) >= (unsigned long)-4095L)
