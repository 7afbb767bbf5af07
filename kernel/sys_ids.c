/* SPDX-License-Identifier: MIT */
/*
 * Owns: user and group ids, groups, capabilities. They are numbers that a process may set as Linux would let
 * it; nothing else in the kernel asks for them: everybody may do what root may. Lock: none, a process changes
 * only its own.
 */
#include "arch/user.h"
#include "kernel/base/string.h"
#include "kernel/syscalls.h"
#include "kernel/thread.h"

#define CRED (&current_process->cred)
#define KEEP (~0U)		/* -1: leave as it is */

/* One family of ids: user's or group's. */
struct ids { u32 *real, *effective, *saved, *fs; };

static struct ids user_ids(void)
{
	return (struct ids){ &CRED->uid, &CRED->euid, &CRED->suid, &CRED->fsuid };
}

static struct ids group_ids(void)
{
	return (struct ids){ &CRED->gid, &CRED->egid, &CRED->sgid, &CRED->fsgid };
}

static bool may_take(const struct ids *i, u32 id)
{
	return id == KEEP || !CRED->euid || id == *i->real || id == *i->effective || id == *i->saved;
}

static long set_all(struct ids i, u32 real, u32 effective, u32 saved)
{
	if (!may_take(&i, real) || !may_take(&i, effective) || !may_take(&i, saved))
		return -EPERM;
	if (real != KEEP)
		*i.real = real;
	if (effective != KEEP)
		*i.effective = *i.fs = effective;
	if (saved != KEEP)
		*i.saved = saved;
	return 0;
}

static long set_one(struct ids i, u32 id)
{
	if (id == KEEP)
		return -EINVAL;
	return CRED->euid ? set_all(i, KEEP, id, KEEP) : set_all(i, id, id, id);
}

static long set_two(struct ids i, u32 real, u32 effective)
{
	u32 old = *i.real, new = effective != KEEP ? effective : *i.effective;

	return set_all(i, real, effective, real != KEEP || (effective != KEEP && effective != old) ? new : KEEP);
}

static long get_all(struct ids i, vaddr_t real, vaddr_t effective, vaddr_t saved)
{
	return user_put(real, i.real) || user_put(effective, i.effective) || user_put(saved, i.saved) ? -EFAULT : 0;
}

static long set_fs(struct ids i, u32 id)
{
	u32 old = *i.fs;

	if (id != KEEP && (may_take(&i, id) || id == old))
		*i.fs = id;
	return old;
}

long sys_getuid(ARGS) { return CRED->uid; }
long sys_geteuid(ARGS) { return CRED->euid; }
long sys_getgid(ARGS) { return CRED->gid; }
long sys_getegid(ARGS) { return CRED->egid; }
long sys_setuid(ARGS) { return set_one(user_ids(), (u32)a0); }
long sys_setgid(ARGS) { return set_one(group_ids(), (u32)a0); }
long sys_setreuid(ARGS) { return set_two(user_ids(), (u32)a0, (u32)a1); }
long sys_setregid(ARGS) { return set_two(group_ids(), (u32)a0, (u32)a1); }
long sys_setresuid(ARGS) { return set_all(user_ids(), (u32)a0, (u32)a1, (u32)a2); }
long sys_setresgid(ARGS) { return set_all(group_ids(), (u32)a0, (u32)a1, (u32)a2); }
long sys_getresuid(ARGS) { return get_all(user_ids(), a0, a1, a2); }
long sys_getresgid(ARGS) { return get_all(group_ids(), a0, a1, a2); }
long sys_setfsuid(ARGS) { return set_fs(user_ids(), (u32)a0); }
long sys_setfsgid(ARGS) { return set_fs(group_ids(), (u32)a0); }

long sys_getgroups(ARGS)
{
	struct credentials *c = CRED;

	if ((int)a0 < 0 || (a0 && (u32)a0 < c->nr_groups))
		return -EINVAL;
	if (a0 && user_copy_out(a1, c->groups, c->nr_groups * sizeof(u32)))
		return -EFAULT;
	return c->nr_groups;
}

long sys_setgroups(ARGS)
{
	struct credentials *c = CRED;
	u32 groups[ARRAY_SIZE(c->groups)];

	if (c->euid)
		return -EPERM;
	if (a0 > ARRAY_SIZE(groups))
		return -EINVAL;
	if (user_copy_in(groups, a1, a0 * sizeof(u32)))
		return -EFAULT;
	memcpy(c->groups, groups, a0 * sizeof(u32));
	c->nr_groups = (u32)a0;
	return 0;
}

#define CAP_VERSION_1 0x19980330U
#define CAP_VERSION_2 0x20071026U
#define CAP_VERSION_3 0x20080522U
struct cap_header { u32 version; s32 pid; };
struct cap_data { u32 effective, permitted, inheritable; };

/* Words of data that VERSION has; an unknown one is answered with the newest, as capget(2) says. */
static long cap_words(vaddr_t va, struct cap_header *h)
{
	u32 newest = CAP_VERSION_3;

	if (user_get(h, va))
		return -EFAULT;
	if (h->version == CAP_VERSION_1)
		return 1;
	if (h->version == CAP_VERSION_2 || h->version == CAP_VERSION_3)
		return 2;
	return user_put(va, &newest) ? -EFAULT : -EINVAL;
}

long sys_capget(ARGS)
{
	struct cap_data data[2] = { { 0 } };
	struct cap_header h;
	long words = cap_words(a0, &h);

	if (words < 0)
		return words == -EINVAL && !a1 ? 0 : words;
	if (!CRED->euid) {
		data[0].effective = data[0].permitted = ~0U;
		data[1].effective = data[1].permitted = 0x1ff;
	}
	return user_copy_out(a1, data, (size_t)words * sizeof(*data)) ? -EFAULT : 0;
}

/* Taken note of by nobody: there is nothing that a capability guards. */
long sys_capset(ARGS)
{
	struct cap_data data[2];
	struct cap_header h;
	long words = cap_words(a0, &h);

	if (words < 0)
		return words;
	if (h.pid && h.pid != current->tid)
		return -EPERM;
	return user_copy_in(data, a1, (size_t)words * sizeof(*data)) ? -EFAULT : 0;
}
