/* SPDX-License-Identifier: MIT */
/*
 * Owns: the calls poll, ppoll, select, pselect6: their arguments, time-outs and signal masks. The waiting is
 * kernel/fs/poll.c. Files are held while they are asked and, by the poll_table, while waited for.
 */
#include "kernel/base/string.h"
#include "kernel/fs/fd.h"
#include "kernel/fs/poll.h"
#include "kernel/process.h"
#include "kernel/syscalls.h"
#include "kernel/timespec.h"
#include "mm/kmem.h"

#define POLLFD_INLINE 16

struct pollfd { s32 fd; u16 events, revents; };

/* poll ------------------------------------------------------------------------- */

struct poll_call {
	struct pollfd *fds;
	u64 n;
};

static long poll_scan(void *arg, struct poll_table *pt)
{
	const struct poll_call *c = arg;
	long ready = 0;

	for (struct pollfd *p = c->fds; p < c->fds + c->n; p++) {
		struct file *f = p->fd >= 0 ? fd_get_io(p->fd) : NULL;

		if (f) {
			p->revents = (u16)(poll_file_bits(f, ready ? NULL : pt) & (p->events | POLL_ERR | POLL_HUP));
			file_put(f);
		} else {
			p->revents = p->fd >= 0 ? POLL_NVAL : 0;
		}
		ready += p->revents != 0;
	}
	return ready;
}

static long do_poll(u64 va, u64 n, u64 deadline)
{
	struct pollfd few[POLLFD_INLINE];
	struct poll_call c = { .fds = few, .n = n };
	long result;

	if (n > MIN(current_process->limits[RLIMIT_NOFILE].cur, (u64)FD_MAX))
		return -EINVAL;
	if (n > POLLFD_INLINE && !(c.fds = kmem_alloc(n * sizeof(*c.fds))))
		return -ENOMEM;
	result = -EFAULT;
	if (!user_copy_in(c.fds, va, n * sizeof(*c.fds)))
		result = poll_loop(poll_scan, &c, deadline);
	for (u64 i = 0; result >= 0 && i < n; i++)
		if (user_put(va + i * sizeof(*c.fds) + offsetof(struct pollfd, revents), &c.fds[i].revents))
			result = -EFAULT;
	if (c.fds != few)
		kmem_free(c.fds);
	return result;
}

long sys_poll(u64 fds, u64 n, u64 timeout, REST3)
{
	u64 deadline = current->restart_deadline;
	long result;

	current->restart_deadline = 0;
	if (!deadline)
		deadline = (int)timeout < 0 ? SLEEP_FOREVER : deadline_in((u64)(u32)timeout * 1000000);
	result = do_poll(fds, (u32)n, deadline);
	if (result != -EINTR)
		return result;
	current->restart_deadline = deadline;
	return -ERESTART_BLOCK;
}

/* The deadline of a timeout that may be NULL; 0 or -errno. */
static int get_deadline(u64 va, u64 *deadline)
{
	struct timespec ts;

	*deadline = SLEEP_FOREVER;
	if (!va)
		return 0;
	if (user_get(&ts, va))
		return -EFAULT;
	if (!timespec_valid(&ts))
		return -EINVAL;
	*deadline = deadline_in(timespec_ns(&ts));
	return 0;
}

static void put_left(u64 va, u64 deadline)
{
	struct timespec left = timespec_of(deadline_left(deadline));

	if (va)
		(void)user_put(va, &left);	/* a constant there is no error, as in Linux */
}

long sys_ppoll(u64 fds, u64 n, u64 timeout, u64 mask, u64 size, REST5)
{
	sigset_t_ set;
	u64 deadline;
	long result = get_deadline(timeout, &deadline);

	if (!result && mask)
		result = signal_get_set(mask, size, &set);
	if (result)
		return result;
	if (mask)
		signal_mask_enter(set);
	result = do_poll(fds, (u32)n, deadline);
	if (mask)
		signal_mask_leave(result == -EINTR);
	put_left(timeout, deadline);
	return result == -EINTR ? -ERESTART_NOHAND : result;
}

/* select ----------------------------------------------------------------------- */

enum { SET_IN, SET_OUT, SET_EXCEPT, NR_SETS };
static const unsigned set_wants[NR_SETS] = { POLL_IN | POLL_HUP | POLL_ERR, POLL_OUT | POLL_ERR, POLL_PRI };

struct select_call {
	u64 n;				/* descriptors below this */
	u64 *want[NR_SETS], *got[NR_SETS];
};

static long select_scan(void *arg, struct poll_table *pt)
{
	const struct select_call *c = arg;
	long ready = 0;

	for (u64 fd = 0; fd < c->n; fd++) {
		u64 word = fd / 64, bit = 1UL << fd % 64;
		struct file *f;
		unsigned now;

		if (!((c->want[SET_IN][word] | c->want[SET_OUT][word] | c->want[SET_EXCEPT][word]) & bit))
			continue;
		f = fd_get_io((int)fd);
		if (!f)
			return -EBADF;
		now = poll_file(f, ready ? NULL : pt);
		file_put(f);
		for (int i = 0; i < NR_SETS; i++) {
			bool on = c->want[i][word] & bit && now & set_wants[i];

			c->got[i][word] = (c->got[i][word] & ~bit) | (on ? bit : 0);
			ready += on;
		}
	}
	return ready;
}

static long do_select(int n, const u64 sets[NR_SETS], u64 deadline)
{
	struct select_call c = { .n = MIN((u64)(u32)n, (u64)FD_MAX) };
	size_t words = (c.n + 63) / 64, bytes = words * 8;
	long result = 0;
	u64 *bits;

	if (n < 0)
		return -EINVAL;
	bits = kmem_alloc(2 * NR_SETS * bytes + 8);
	if (!bits)
		return -ENOMEM;
	for (int i = 0; i < NR_SETS; i++) {
		c.want[i] = bits + i * words;
		c.got[i] = bits + (NR_SETS + i) * words;
		if (sets[i] && user_copy_in(c.want[i], sets[i], bytes))
			result = -EFAULT;
	}
	if (!result)
		result = poll_loop(select_scan, &c, deadline);
	for (int i = 0; result >= 0 && i < NR_SETS; i++)
		if (sets[i] && user_copy_out(sets[i], c.got[i], bytes))
			result = -EFAULT;
	kmem_free(bits);
	return result;
}

long sys_select(u64 n, u64 in, u64 out, u64 except, u64 timeout, REST5)
{
	const u64 sets[NR_SETS] = { in, out, except };
	u64 deadline = SLEEP_FOREVER;
	struct timeval tv;
	long result;

	if (timeout) {
		if (user_get(&tv, timeout))
			return -EFAULT;
		if (tv.sec < 0 || tv.usec < 0)
			return -EINVAL;
		tv.sec += tv.usec / 1000000;
		tv.usec %= 1000000;
		deadline = deadline_in(timeval_ns(&tv));
	}
	result = do_select((int)n, sets, deadline);
	if (timeout) {
		tv = timeval_of(deadline_left(deadline));
		(void)user_put(timeout, &tv);
	}
	return result == -EINTR ? -ERESTART_NOHAND : result;
}

long sys_pselect6(u64 n, u64 in, u64 out, u64 except, u64 timeout, u64 mask_arg)
{
	const u64 sets[NR_SETS] = { in, out, except };
	struct { u64 va, size; } mask = { 0, 0 };
	sigset_t_ set;
	u64 deadline;
	long result = get_deadline(timeout, &deadline);

	if (!result && mask_arg)
		result = user_get(&mask, mask_arg);
	if (!result && mask.va)
		result = signal_get_set(mask.va, mask.size, &set);
	if (result)
		return result;
	if (mask.va)
		signal_mask_enter(set);
	result = do_select((int)n, sets, deadline);
	if (mask.va)
		signal_mask_leave(result == -EINTR);
	put_left(timeout, deadline);
	return result == -EINTR ? -ERESTART_NOHAND : result;
}
