/* SPDX-License-Identifier: MIT */
/*
 * Owns: descriptor tables: which number is which open file.
 *
 * A table has room for `size` descriptors in an array and two bit maps, `used` (not NULL) and
 * `cloexec`; it begins with 64 in place and doubles up to RLIMIT_NOFILE. Lock: files->lock
 * (RANK_FILES), taken even where a table has one hold only.
 */
#include "arch/cpu.h"
#include "kernel/fs/fd.h"
#include "kernel/fs/lock.h"
#include "kernel/fs/vfs.h"
#include "kernel/process.h"
#include "mm/kmem.h"

#define INLINE_FDS 64

struct files {
	u32 refs;
	struct spinlock lock;
	u32 size;		/* a multiple of 64 */
	struct file **file;
	u64 *used, *cloexec;
	struct file *inline_file[INLINE_FDS];
	u64 inline_used, inline_cloexec;
};

static KMEM_CACHE(files_cache, "files", struct files);

static void set_bit(u64 *map, unsigned i) { map[i / 64] |= 1UL << i % 64; }
static void clear_bit(u64 *map, unsigned i) { map[i / 64] &= ~(1UL << i % 64); }
static bool test_bit(const u64 *map, unsigned i) { return map[i / 64] >> i % 64 & 1; }

struct files *files_create(void)
{
	struct files *fs = kmem_cache_alloc(&files_cache);

	if (!fs)
		return NULL;
	fs->refs = 1;
	spin_init(&fs->lock, RANK_FILES);
	fs->size = INLINE_FDS;
	fs->file = fs->inline_file;
	fs->used = &fs->inline_used;
	fs->cloexec = &fs->inline_cloexec;
	return fs;
}

/* Grows FS to have descriptor FD; lock held. 0 or -ENOMEM. */
static int files_grow(struct files *fs, unsigned fd)
{
	u32 size = fs->size;
	struct file **table;
	u64 *maps;

	while (size <= fd)
		size *= 2;
	table = kmem_alloc(size * sizeof(*table) + size / 64 * 2 * sizeof(*maps));
	if (!table)
		return -ENOMEM;
	maps = (u64 *)(table + size);
	memcpy(table, fs->file, fs->size * sizeof(*table));
	memcpy(maps, fs->used, fs->size / 8);
	memcpy(maps + size / 64, fs->cloexec, fs->size / 8);
	if (fs->file != fs->inline_file)
		kmem_free(fs->file);
	fs->file = table;
	fs->used = maps;
	fs->cloexec = maps + size / 64;
	fs->size = size;
	return 0;
}

struct files *files_copy(struct files *from)
{
	struct files *fs = files_create();

	if (!fs)
		return NULL;
	spin_lock(&from->lock);
	if (from->size > fs->size && files_grow(fs, from->size - 1)) {
		spin_unlock(&from->lock);
		kmem_cache_free(&files_cache, fs);
		return NULL;
	}
	for (u32 word = 0; word < from->size / 64; word++) {
		fs->used[word] = from->used[word];
		fs->cloexec[word] = from->cloexec[word];
		for (u64 bits = from->used[word]; bits; bits &= bits - 1) {
			u32 fd = word * 64 + __builtin_ctzl(bits);

			fs->file[fd] = from->file[fd];
			file_get(fs->file[fd]);
		}
	}
	spin_unlock(&from->lock);
	return fs;
}

void files_get(struct files *fs)
{
	__atomic_fetch_add(&fs->refs, 1, __ATOMIC_RELAXED);
}

/* Takes FD out of FS; its file with the table's hold, or NULL. */
static struct file *files_take(struct files *fs, unsigned fd)
{
	GUARD(fs->lock);
	struct file *f = fd < fs->size ? fs->file[fd] : NULL;

	if (f) {
		fs->file[fd] = NULL;
		clear_bit(fs->used, fd);
		clear_bit(fs->cloexec, fd);
	}
	return f;
}

/* Drops the table's hold of F, which was one of OWNER's descriptors. */
static void closed(struct files *owner, struct file *f)
{
	if (f->vnode)
		filelock_closed(f->vnode, owner);
	file_put(f);
}

/* Closes the descriptors of FS, which no one else has, that are in map ONLY. */
static void close_all(struct files *fs, const u64 *only)
{
	for (u32 word = 0; word < fs->size / 64; word++) {
		u64 bits = only[word] & fs->used[word];

		for (; bits; bits &= bits - 1) {
			struct file *f = files_take(fs, word * 64 + __builtin_ctzl(bits));

			if (f)
				closed(fs, f);
		}
		cpu_irq_window();
	}
}

void files_put(struct files *fs)
{
	if (!fs || __atomic_sub_fetch(&fs->refs, 1, __ATOMIC_ACQ_REL))
		return;
	close_all(fs, fs->used);
	filelock_closed(NULL, fs);
	if (fs->file != fs->inline_file)
		kmem_free(fs->file);
	kmem_cache_free(&files_cache, fs);
}

int files_exec(struct files **fs)
{
	if (__atomic_load_n(&(*fs)->refs, __ATOMIC_ACQUIRE) > 1) {
		struct files *own = files_copy(*fs);

		if (!own)
			return -ENOMEM;
		struct files *old = *fs;

		spin_lock(&process_lock);	/* who looks from outside holds it */
		*fs = own;
		spin_unlock(&process_lock);
		files_put(old);
	}
	close_all(*fs, (*fs)->cloexec);
	return 0;
}

struct file *files_file(struct files *fs, int fd)
{
	GUARD(fs->lock);
	struct file *f = likely((unsigned)fd < fs->size) ? fs->file[fd] : NULL;

	if (f)
		file_get(f);
	return f;
}

int files_next(struct files *fs, int fd)
{
	GUARD(fs->lock);

	while ((unsigned)fd < fs->size && !fs->file[fd])
		fd++;
	return (unsigned)fd < fs->size ? fd : -1;
}

struct file *fd_get(int fd)
{
	return files_file(current_process->files, fd);
}

struct file *fd_get_io(int fd)
{
	struct file *f = fd_get(fd);

	if (f && f->flags & O_PATH) {
		file_put(f);
		return NULL;
	}
	return f;
}

static u64 fd_limit(void)
{
	return MIN(READ_ONCE(current_process->limits[RLIMIT_NOFILE].cur), (u64)FD_MAX);
}

/* The lowest free descriptor >= MIN, grown to if need be; lock held. */
static int find_free(struct files *fs, unsigned min)
{
	u64 limit = fd_limit();
	unsigned fd = min;

	while (fd < fs->size) {
		u64 free = ~fs->used[fd / 64] & ~0UL << fd % 64;

		if (free) {
			fd = ALIGN_DOWN(fd, 64U) + __builtin_ctzl(free);
			break;
		}
		fd = ALIGN_DOWN(fd, 64U) + 64;
	}
	if (fd >= limit)
		return -EMFILE;
	if (fd >= fs->size) {
		int e = files_grow(fs, fd);

		if (e)
			return e;
	}
	return fd;
}

int fd_install(struct file *f, bool cloexec, int min)
{
	struct files *fs = current_process->files;
	GUARD(fs->lock);
	int fd = find_free(fs, min);

	if (fd >= 0) {
		fs->file[fd] = f;
		set_bit(fs->used, fd);
		if (cloexec)
			set_bit(fs->cloexec, fd);
	}
	return fd;
}

int fd_room(void)
{
	struct files *fs = current_process->files;
	GUARD(fs->lock);
	int fd = find_free(fs, 0);

	return MIN(fd, 0);
}

int fd_install_or_put(struct file *f, u32 flags)
{
	int fd = fd_install(f, flags & O_CLOEXEC, 0);

	if (fd < 0)
		file_put(f);
	return fd;
}

int fd_replace(struct file *f, bool cloexec, int fd)
{
	struct files *fs = current_process->files;
	struct file *old;

	if ((u64)(unsigned)fd >= fd_limit())
		return -EBADF;
	spin_lock(&fs->lock);
	if ((unsigned)fd >= fs->size && files_grow(fs, fd)) {
		spin_unlock(&fs->lock);
		return -ENOMEM;
	}
	old = fs->file[fd];
	fs->file[fd] = f;
	set_bit(fs->used, fd);
	(cloexec ? set_bit : clear_bit)(fs->cloexec, fd);
	spin_unlock(&fs->lock);
	if (old)
		closed(fs, old);
	return fd;
}

int fd_close(int fd)
{
	struct files *fs = current_process->files;
	struct file *f = files_take(fs, fd);

	if (f)
		closed(fs, f);
	return f ? 0 : -EBADF;
}

int fd_cloexec(int fd, int set)
{
	struct files *fs = current_process->files;
	GUARD(fs->lock);
	int was;

	if ((unsigned)fd >= fs->size || !fs->file[fd])
		return -EBADF;
	was = test_bit(fs->cloexec, fd);
	if (set >= 0)
		(set ? set_bit : clear_bit)(fs->cloexec, fd);
	return was;
}
