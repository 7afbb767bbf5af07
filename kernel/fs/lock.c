/* SPDX-License-Identifier: MIT */
/*
 * Owns: advisory locks. One list of all of them: programs hold few. A lock belongs to an open file (flock,
 * F_OFD_SETLK) or to a descriptor table (F_SETLK), and goes with it; flock's locks and fcntl's do not see each
 * other. Who waits may be interrupted; circles of waiters are not looked for (no EDEADLK).
 *
 * Lock: filelock_lock (RANK_PIPE) for the list. A vnode in it is only compared, and stays while a
 * descriptor of the owner has it open.
 */
#include "kernel/fs/lock.h"
#include "kernel/fs/fd.h"
#include "kernel/fs/vfs.h"
#include "kernel/process.h"
#include "kernel/syscalls.h"
#include "mm/kmem.h"

enum { F_RDLCK, F_WRLCK, F_UNLCK };
enum { LOCK_SH = 1, LOCK_EX = 2, LOCK_NB = 4, LOCK_UN = 8 };
#define NO_END (~0UL >> 1)

struct filelock {
	TAILQ_ENTRY(filelock) link;
	const struct vnode *vnode;
	const void *owner;	/* struct files, or struct file */
	u64 start, end;		/* both within */
	pid_t pid;		/* as F_GETLK reports; -1: an open file's */
	u8 type;
	bool flock;
};
TAILQ_HEAD(filelock_list, filelock);

static struct spinlock filelock_lock = SPINLOCK(RANK_PIPE);
static struct filelock_list locks = TAILQ_HEAD_INITIALIZER(locks);
static unsigned nr_locks;	/* every close walks them */
#define MOST_LOCKS 4096
static struct waitq waiting = WAITQ(waiting);

static bool overlaps(const struct filelock *l, const struct filelock *r)
{
	return l->vnode == r->vnode && l->flock == r->flock && l->start <= r->end && r->start <= l->end;
}

/* A lock that is in the way of R, or NULL. */
static struct filelock *conflict(const struct filelock *r)
{
	struct filelock *l;

	TAILQ_FOREACH(l, &locks, link)
		if (overlaps(l, r) && l->owner != r->owner && (l->type == F_WRLCK || r->type == F_WRLCK))
			return l;
	return NULL;
}

static void forget(struct filelock *l)
{
	TAILQ_REMOVE(&locks, l, link);
	kmem_free(l);
	nr_locks--;
}

/* Takes R's range away from its owner's other locks. *SPARE is used, and NULL then, if one falls in two. */
static void carve(const struct filelock *r, struct filelock **spare)
{
	struct filelock *l, *next;

	TAILQ_FOREACH_SAFE(l, &locks, link, next) {
		if (!overlaps(l, r) || l->owner != r->owner)
			continue;
		if (l->start < r->start && l->end > r->end) {
			**spare = *l;
			(*spare)->start = r->end + 1;
			TAILQ_INSERT_AFTER(&locks, l, *spare, link);
			nr_locks++;
			*spare = NULL;
			l->end = r->start - 1;
		} else if (l->start < r->start) {
			l->end = r->start - 1;
		} else if (l->end > r->end) {
			l->start = r->end + 1;
		} else {
			forget(l);
		}
	}
}

/* Does R's owner have a lock there already? Then there will hardly be more locks than before. */
static bool converts(const struct filelock *r)
{
	struct filelock *l;

	TAILQ_FOREACH(l, &locks, link)
		if (overlaps(l, r) && l->owner == r->owner)
			return true;
	return false;
}

/* Sets what R asks for. 0, -EAGAIN, -ENOMEM, -ENOLCK, -ERESTART. */
static int filelock_set(const struct filelock *r, bool wait)
{
	struct filelock *fresh = kmem_alloc(sizeof(*fresh)), *spare = kmem_alloc(sizeof(*spare));
	int e = fresh && spare ? 0 : -ENOMEM;

	spin_lock(&filelock_lock);
	if (!e && r->type != F_UNLCK && nr_locks >= MOST_LOCKS && !converts(r))
		e = -ENOLCK;
	if (!e && wait && r->flock)
		carve(r, &spare);	/* an upgrade lets go first, or two would wait for each other */
	while (!e && r->type != F_UNLCK && conflict(r)) {
		if (!wait)
			e = -EAGAIN;
		else if (waitq_sleep(&waiting, &filelock_lock, SLEEP_FOREVER, SLEEP_INTERRUPTIBLE))
			e = -ERESTART;
	}
	if (!e) {
		carve(r, &spare);
		if (r->type != F_UNLCK) {
			*fresh = *r;
			TAILQ_INSERT_TAIL(&locks, fresh, link);
			nr_locks++;
			fresh = NULL;
		}
	}
	spin_unlock(&filelock_lock);
	waitq_wake_all(&waiting);
	kmem_free(fresh);
	kmem_free(spare);
	return e;
}

void filelock_closed(const struct vnode *v, const void *owner)
{
	struct filelock *l, *next;

	if (likely(TAILQ_EMPTY(&locks)))
		return;
	spin_lock(&filelock_lock);
	TAILQ_FOREACH_SAFE(l, &locks, link, next) {
		if (l->owner != owner || (v && l->vnode != v))
			continue;
		forget(l);
	}
	spin_unlock(&filelock_lock);
	waitq_wake_all(&waiting);
}

struct flock {
	int16_t type, whence;
	s64 start, len;
	s32 pid;
};
_Static_assert(sizeof(struct flock) == 32, "struct flock");

/* *R from the program's FL. 0, -EINVAL, -EOVERFLOW, -EBADF. */
static int parse(struct file *f, const struct flock *fl, bool ofd, struct filelock *r)
{
	s64 start = fl->whence == 1 ? (s64)f->pos : fl->whence == 2 ? (s64)file_size(f) : 0, end;

	if (fl->type < F_RDLCK || fl->type > F_UNLCK || fl->whence < 0 || fl->whence > 2 || (ofd && fl->pid))
		return -EINVAL;
	if (!f->vnode)
		return -EBADF;
	if (__builtin_add_overflow(start, fl->start, &start))
		return -EOVERFLOW;
	end = NO_END;
	if (fl->len && __builtin_add_overflow(start, fl->len - (fl->len > 0), &end))
		return -EOVERFLOW;
	if (fl->len < 0) {
		s64 low = end;

		end = start - 1;
		start = low;
	}
	if (start < 0)
		return -EINVAL;
	*r = (struct filelock){
		.vnode = f->vnode, .owner = ofd ? (void *)f : current_process->files, .start = start, .end = end,
		.pid = ofd ? -1 : current_process->pid, .type = fl->type,
	};
	return 0;
}

long filelock_fcntl_get(struct file *f, vaddr_t arg, bool ofd)
{
	struct filelock r, *l;
	struct flock fl;
	int e;

	if (user_get(&fl, arg))
		return -EFAULT;
	e = parse(f, &fl, ofd, &r);
	if (!e && r.type == F_UNLCK)
		e = -EINVAL;
	if (e)
		return e;
	fl.type = F_UNLCK;
	spin_lock(&filelock_lock);
	l = conflict(&r);
	if (l)
		fl = (struct flock){ l->type, 0, l->start, l->end == NO_END ? 0 : l->end - l->start + 1, l->pid };
	spin_unlock(&filelock_lock);
	return user_put(arg, &fl);
}

long filelock_fcntl_set(struct file *f, vaddr_t arg, bool ofd, bool wait)
{
	u32 mode = f->flags & O_ACCMODE;
	struct filelock r;
	struct flock fl;
	int e;

	if (user_get(&fl, arg))
		return -EFAULT;
	e = parse(f, &fl, ofd, &r);
	if (e)
		return e;
	if ((r.type == F_RDLCK && mode == O_WRONLY) || (r.type == F_WRLCK && mode == O_RDONLY))
		return -EBADF;
	return filelock_set(&r, wait);
}

long sys_flock(u64 fd, u64 how, REST2)
{
	HELD(file) f = fd_get_io(fd);
	struct filelock r = { .flock = true, .end = NO_END, .pid = -1, .owner = f };
	u32 what = how & ~LOCK_NB;

	if (!f)
		return -EBADF;
	if (what != LOCK_SH && what != LOCK_EX && what != LOCK_UN)
		return -EINVAL;
	r.vnode = f->vnode;
	r.type = what == LOCK_SH ? F_RDLCK : what == LOCK_EX ? F_WRLCK : F_UNLCK;
	return f->vnode ? filelock_set(&r, !(how & LOCK_NB)) : 0;
}
