/* SPDX-License-Identifier: MIT */
/*
 * Owns: the memory calls of Linux, decoded into the verbs of mm/vm.h: each checks its flags, turns
 * descriptors into page caches, and passes on. Nothing here knows a region's inside. No locks.
 */
#include "kernel/abi.h"
#include "kernel/fs/file.h"
#include "kernel/process.h"
#include "kernel/syscalls.h"
#include "mm/fault.h"
#include "mm/kmem.h"
#include "mm/ptreclaim.h"
#include "mm/vm.h"

/* A call that failed for want of memory, once more after memory has been given up elsewhere. */
#define WITH_RECLAIM(call) ({ \
	u64 failed_ = this_cpu(cpu_counters[C_alloc_failed]); \
	long r_ = (call); \
	if (unlikely(r_ < 0 && this_cpu(cpu_counters[C_alloc_failed]) != failed_) && reclaim_all()) \
		r_ = (call); \
	r_; \
})

#define MAPPABLE (MAP_TYPE | MAP_FIXED | MAP_FIXED_NOREPLACE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_LOCKED | \
		  MAP_NORESERVE | MAP_POPULATE | MAP_STACK | 0x800 | 0x1000 | 0x10000)

/* The page cache to map for descriptor FD, with a hold; checks what the descriptor allows. */
static long cache_of(int fd, u64 prot, bool shared, struct vm_map_args *a)
{
	struct file *f = fd_get(fd);
	u32 mode = f ? f->flags & O_ACCMODE : 0;
	long err = -EACCES;

	if (!f || f->flags & O_PATH)
		err = -EBADF;
	else if (!f->ops->mmap)
		err = -ENODEV;
	else if (mode != O_WRONLY && !(shared && prot & PROT_WRITE && mode != O_RDWR))
		err = f->ops->mmap(f, &a->cache);
	if (!err && a->cache)
		a->cache->ops->get(a->cache);
	if (!err && (!shared || mode == O_RDWR))
		a->flags |= R_MAY_WRITE;
	if (f)
		file_put(f);
	return err;
}

long sys_mmap(u64 addr, u64 length, u64 prot, u64 flags, u64 fd, u64 offset)
{
	u64 type = flags & MAP_TYPE;
	bool shared = type != MAP_PRIVATE;
	struct vm_map_args a = {
		.addr = addr, .length = length, .fixed = flags & (MAP_FIXED | MAP_FIXED_NOREPLACE),
		.noreplace = flags & MAP_FIXED_NOREPLACE, .populate = flags & MAP_POPULATE, .pgoff = offset >> PAGE_SHIFT,
		.flags = prot & (PROT_READ | PROT_WRITE | PROT_EXEC),
	};

	if (!length || offset & ~PAGE_MASK || type == 0 || type > MAP_SHARED_VALIDATE)
		return -EINVAL;
	if (!(flags & MAP_ANONYMOUS) && (offset > ~0UL >> 1 || length > (~0UL >> 1) - offset))
		return -EOVERFLOW;
	if (flags & MAP_HUGETLB)
		return flags & MAP_ANONYMOUS ? -ENOMEM : -EINVAL;
	if (type == MAP_SHARED_VALIDATE && flags & ~(u64)MAPPABLE)
		return -EOPNOTSUPP;
	if (shared)
		a.flags |= R_SHARED;
	if (flags & MAP_LOCKED)
		a.flags |= R_LOCKED;
	if (flags & MAP_GROWSDOWN && flags & MAP_ANONYMOUS && !shared)
		a.flags |= R_GROWSDOWN;
	if (!(flags & MAP_ANONYMOUS)) {
		long err = cache_of((int)fd, prot, shared, &a);

		if (err)
			return err;
	} else {
		a.flags |= R_MAY_WRITE;
	}
	if (!a.cache) {		/* anonymous, or /dev/zero */
		a.pgoff = 0;
		if (shared && !(a.cache = shm_create(ALIGN_UP(length, PAGE_SIZE))))
			return -ENOMEM;
	}
	long result = WITH_RECLAIM(vm_map(current->space, &a));
	if (a.cache)
		a.cache->ops->put(a.cache);
	return result;
}

long sys_munmap(u64 addr, u64 length, REST2) { return WITH_RECLAIM(vm_unmap(current->space, addr, length)); }

long sys_mprotect(u64 addr, u64 length, u64 prot, REST3)
{
	if (prot & ~(u64)(PROT_READ | PROT_WRITE | PROT_EXEC))
		return -EINVAL;
	return WITH_RECLAIM(vm_protect(current->space, addr, length, prot));
}

long sys_mremap(u64 old, u64 old_len, u64 new_len, u64 flags, u64 new_addr, REST5)
{
	if (flags >> 32)
		return -EINVAL;
	return WITH_RECLAIM(vm_remap(current->space, old, old_len, new_len, flags, new_addr));
}

long sys_madvise(u64 addr, u64 length, u64 advice, REST3)
{
	return WITH_RECLAIM(vm_advise(current->space, addr, length, (int)advice));
}

long sys_brk(u64 brk, REST1) { return vm_brk(current->space, brk); }
long sys_msync(u64 addr, u64 length, u64 flags, REST3) { return vm_sync(current->space, addr, length, (int)flags); }

long sys_mincore(u64 addr, u64 length, u64 vec, REST3)
{
	u64 pages = ALIGN_UP(length, PAGE_SIZE) >> PAGE_SHIFT;
	long err = 0;

	if (addr & ~PAGE_MASK)
		return -EINVAL;
	if (addr >= USER_END || length > USER_END - addr)
		return -ENOMEM;
	u8 *bytes = kmem_alloc(PAGE_SIZE);
	if (!bytes)
		return -EAGAIN;
	while (pages && !err) {
		u64 n = MIN(pages, PAGE_SIZE);

		err = vm_mincore(current->space, addr, n, bytes);
		if (!err && user_copy_out(vec, bytes, n))
			err = -EFAULT;
		pages -= n;
		addr += n << PAGE_SHIFT;
		vec += n;
		if (sched_pause())
			err = -EINTR;
	}
	kmem_free(bytes);
	return err;
}

long sys_mlock(u64 addr, u64 length, REST2) { return vm_lock(current->space, addr, length, true); }
long sys_munlock(u64 addr, u64 length, REST2) { return vm_lock(current->space, addr, length, false); }

long sys_mlock2(u64 addr, u64 length, u64 flags, REST3)
{
	return flags & ~1UL ? -EINVAL : vm_lock(current->space, addr, length, true);
}

long sys_mlockall(u64 flags, REST1)
{
	if (!flags || flags & ~7UL)
		return -EINVAL;
	return flags & 1 ? vm_lock_all(current->space, true) : 0;
}

long sys_munlockall(ARGS) { return vm_lock_all(current->space, false); }
