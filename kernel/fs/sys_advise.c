/* SPDX-License-Identifier: MIT */
/*
 * Owns: readahead, fadvise64: what a program knows of how it will read a file. Whether it reads in order is seen
 * without being told (mm/readahead.c), so only "will need" and "do not need" do something.
 */
#include "kernel/fs/fd.h"
#include "kernel/fs/vfs.h"
#include "kernel/process.h"
#include "kernel/syscalls.h"

enum { FADV_NORMAL, FADV_RANDOM, FADV_SEQUENTIAL, FADV_WILLNEED, FADV_DONTNEED, FADV_NOREUSE };

#define FOR_EVER (~0UL >> 1)	/* where no file reaches */

/* Where BYTES (0: all) from FROM on end. */
static u64 end_of(u64 from, u64 bytes)
{
	return bytes && bytes < FOR_EVER - from ? from + bytes : FOR_EVER;
}

long sys_readahead(u64 fd, u64 from, u64 bytes, REST3)
{
	HELD(file) f = fd_get_io((int)fd);
	struct pcache *c = f ? file_pcache(f) : NULL;

	if (!f || (f->flags & O_ACCMODE) == O_WRONLY)
		return -EBADF;
	if (!c || (s64)from < 0 || (s64)bytes < 0)
		return -EINVAL;
	if (bytes)
		pcache_willneed(c, from >> PAGE_SHIFT, (end_of(from, bytes) - 1) >> PAGE_SHIFT);
	return 0;
}

long sys_fadvise64(u64 fd, u64 from, u64 bytes, u64 advice, REST4)
{
	HELD(file) f = fd_get_io((int)fd);
	struct pcache *c = f ? file_pcache(f) : NULL;
	u64 end = end_of(from, bytes), first = (from + PAGE_SIZE - 1) >> PAGE_SHIFT;

	if (!f)
		return -EBADF;
	if (!f->ops->seekable)
		return -ESPIPE;
	if ((s64)from < 0 || (s64)bytes < 0 || (u32)advice > FADV_NOREUSE)
		return -EINVAL;
	if (c && (u32)advice == FADV_WILLNEED)
		pcache_willneed(c, from >> PAGE_SHIFT, (end - 1) >> PAGE_SHIFT);
	if (c && (u32)advice == FADV_DONTNEED && end >> PAGE_SHIFT > first)	/* whole pages */
		pcache_drop(c, first, (end >> PAGE_SHIFT) - 1);
	return 0;
}
