/* SPDX-License-Identifier: MIT */
/*
 * Owns: the frame of a signal handler on the user stack, exactly as Linux x86-64 lays it out: return
 * address (the restorer), ucontext, siginfo, and above them the FPU image with its magic words.
 *
 * Nothing of what sigreturn reads back is trusted: flags are masked, segments stay the user's, addresses
 * must be the user's, and an FPU image that the CPU would not load is refused, so that loading
 * it cannot fault. Called by the thread itself with no lock held.
 */
#include "arch/user.h"
#include "kernel/base/errno.h"
#include "kernel/base/string.h"
#include "kernel/process.h"
#include "kernel/syscalls.h"
#include "mm/kmem.h"

#define RED_ZONE 128
#define USER_LIMIT 0x0000800000000000UL

enum { SS_ONSTACK = 1, SS_DISABLE = 2 };
#define SS_AUTODISARM 0x80000000U
#define MINSIGSTKSZ 2048

struct altstack { u64 sp; u32 flags, pad; u64 size; };

struct mcontext {
	u64 r8, r9, r10, r11, r12, r13, r14, r15, rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip, rflags;
	u16 cs, gs, fs, ss;
	u64 err, trapno, oldmask, cr2, fpstate, reserved[8];
};

struct ucontext {
	u64 flags, link;
	struct altstack stack;
	struct mcontext mc;
	sigset_t_ mask;
};
enum { UC_FP_XSTATE = 1, UC_SIGCONTEXT_SS = 2, UC_STRICT_RESTORE_SS = 4 };

struct sigframe {
	u64 restorer;
	struct ucontext uc;
	struct siginfo info;
};
_Static_assert(sizeof(struct mcontext) == 256 && sizeof(struct ucontext) == 304 && sizeof(struct sigframe) == 440,
	       "Linux's rt_sigframe");

/* The FPU image: FXSAVE's 512 bytes, in which software's words lie at 464; with XSAVE a header and more follow,
 * and a second magic word. */
#define FX_SIZE 512
#define FX_MXCSR 24
#define FX_MXCSR_MASK 28
#define FX_SOFTWARE 464
#define XSAVE_HEADER 64
#define MAGIC1 0x46505853U
#define MAGIC2 0x46505845U
struct fx_software {
	u32 magic1, extended_size;
	u64 features;
	u32 xstate_size, pad[7];
};
_Static_assert(sizeof(struct fx_software) == 48, "software bytes of FXSAVE");

static bool has_xsave(void)
{
	return fpu_size > FX_SIZE;
}

static u64 enabled_features(void)
{
	u32 lo, hi;

	__asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
	return (u64)hi << 32 | lo;
}

static size_t fpu_image_size(void)
{
	return has_xsave() ? fpu_size + sizeof(u32) : fpu_size;
}

static bool fpu_push(u64 to)
{
	struct context *c = &current->context;
	struct fx_software sw = {
		.magic1 = MAGIC1, .extended_size = (u32)fpu_image_size(), .xstate_size = (u32)fpu_size,
	};
	u32 magic2 = MAGIC2;

	fpu_save(c);
	if (user_copy_out(to, c->fpu, fpu_size))
		return false;
	if (has_xsave()) {
		sw.features = enabled_features();
		if (user_put(to + FX_SOFTWARE, &sw) || user_put(to + fpu_size, &magic2))
			return false;
	}
	fpu_init(c->fpu);
	fpu_load(c);
	return true;
}

/* Will the CPU load IMAGE, read from a program? FULL: its part beyond FXSAVE's is the program's as well. */
static bool fpu_check(u8 *image, bool full)
{
	u32 mask = *(const u32 *)((u8 *)current->context.fpu + FX_MXCSR_MASK);
	u64 *header = (u64 *)(image + FX_SIZE), rest = 0;

	if (*(const u32 *)(image + FX_MXCSR) & ~(mask ? mask : 0xffbf))
		return false;
	if (!has_xsave())
		return true;
	if (!full)
		header[0] = 3;
	for (unsigned i = 1; i < XSAVE_HEADER / sizeof(u64); i++)
		rest |= header[i];
	return !(header[0] & ~enabled_features()) && !rest;
}

/* Loads the image at FROM (0: a fresh state). */
static bool fpu_pop(u64 from)
{
	struct context *c = &current->context;
	struct fx_software sw;
	bool full = false, good;
	u32 magic2;
	u8 *image;

	if (!from) {
		fpu_init(c->fpu);
		fpu_load(c);
		return true;
	}
	if (has_xsave()) {
		if (user_get(&sw, from + FX_SOFTWARE))
			return false;
		full = sw.magic1 == MAGIC1 && sw.xstate_size == fpu_size && sw.extended_size >= fpu_image_size() &&
		       !user_get(&magic2, from + fpu_size) && magic2 == MAGIC2;
	}
	image = kmem_alloc(fpu_size);	/* not the save area itself: the copy may sleep */
	if (!image)
		return false;
	good = !user_copy_in(image, from, full ? fpu_size : FX_SIZE);
	fpu_save(c);		/* for mxcsr_mask */
	good = good && fpu_check(image, full);
	if (good) {
		memcpy(c->fpu, image, fpu_size);
		fpu_load(c);
	}
	kmem_free(image);
	return good;
}

static bool in_altstack(u64 sp)
{
	const struct signal_thread *ts = &current->sig;

	return sp > ts->alt_sp && sp - ts->alt_sp <= ts->alt_size;
}

static bool on_altstack(u64 sp)
{
	return !(current->sig.alt_flags & SS_AUTODISARM) && in_altstack(sp);
}

bool signal_frame_push(struct trapframe *f, const struct siginfo *info, const struct sigaction_ *act, sigset_t_ mask)
{
	struct signal_thread *ts = &current->sig;
	bool nested = on_altstack(f->rsp);
	u64 sp = f->rsp - RED_ZONE, fpu;
	struct sigframe sf = {
		.restorer = act->restorer,
		.uc = {
			.flags = (has_xsave() ? UC_FP_XSTATE : 0) | UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS,
			.stack = { .sp = ts->alt_sp, .flags = ts->alt_flags, .size = ts->alt_size },
			.mc = {
				.r8 = f->r8, .r9 = f->r9, .r10 = f->r10, .r11 = f->r11,
				.r12 = f->r12, .r13 = f->r13, .r14 = f->r14, .r15 = f->r15,
				.rdi = f->rdi, .rsi = f->rsi, .rbp = f->rbp, .rbx = f->rbx,
				.rdx = f->rdx, .rax = f->rax, .rcx = f->rcx, .rsp = f->rsp,
				.rip = f->rip, .rflags = f->rflags, .cs = (u16)f->cs, .ss = (u16)f->ss,
				.err = ts->error, .trapno = ts->trapno, .oldmask = mask, .cr2 = ts->cr2,
			},
			.mask = mask,
		},
		.info = *info,
	};
	bool entering = act->flags & SA_ONSTACK && ts->alt_size && !on_altstack(sp);

	if (!(act->flags & SA_RESTORER) || act->handler >= USER_LIMIT)
		return false;
	if (entering)
		sp = ts->alt_sp + ts->alt_size;
	fpu = ALIGN_DOWN(sp - fpu_image_size(), 64);
	sp = ALIGN_DOWN(fpu - sizeof(sf), 16) - 8;
	if ((nested || entering) && !in_altstack(sp))
		return false;
	sf.uc.mc.fpstate = fpu;
	if (user_put(sp, &sf) || !fpu_push(fpu))
		return false;
	if (ts->alt_flags & SS_AUTODISARM) {
		ts->alt_sp = ts->alt_size = 0;
		ts->alt_flags = SS_DISABLE;
	}
	f->rdi = (u64)info->signo;
	f->rsi = sp + offsetof(struct sigframe, info);
	f->rdx = sp + offsetof(struct sigframe, uc);
	f->rax = 0;
	f->rip = act->handler;
	f->rsp = sp;
	f->rflags &= ~(u64)(RFLAGS_DF | RFLAGS_RF | RFLAGS_TF);
	return true;
}

static long set_altstack(const struct altstack *as, u64 sp, u64 least)
{
	struct signal_thread *ts = &current->sig;
	u32 mode = as->flags & ~SS_AUTODISARM;

	if (on_altstack(sp))
		return -EPERM;
	if (mode != SS_DISABLE && mode != SS_ONSTACK && mode != 0)
		return -EINVAL;
	if (mode != SS_DISABLE && as->size < least)
		return -ENOMEM;
	ts->alt_sp = mode == SS_DISABLE ? 0 : as->sp;
	ts->alt_size = mode == SS_DISABLE ? 0 : as->size;
	ts->alt_flags = as->flags;
	return 0;
}

long sys_sigaltstack(u64 new, u64 old, REST2)
{
	const struct signal_thread *ts = &current->sig;
	u64 sp = syscall_frame()->rsp;
	struct altstack as, was = { .sp = ts->alt_sp, .size = ts->alt_size };
	long err = 0;

	was.flags = (!ts->alt_size ? SS_DISABLE : on_altstack(sp) ? SS_ONSTACK : 0) | (ts->alt_flags & SS_AUTODISARM);
	if (new) {
		if (user_get(&as, new))
			return -EFAULT;
		err = set_altstack(&as, sp, MINSIGSTKSZ);
	}
	if (!err && old)
		err = user_put(old, &was);
	return err;
}

long sys_rt_sigreturn(ARGS)
{
	struct trapframe *f = syscall_frame();
	struct ucontext uc;
	const struct mcontext *mc = &uc.mc;

	if (user_get(&uc, f->rsp - 8 + offsetof(struct sigframe, uc)) || mc->rip >= USER_LIMIT ||
	    !fpu_pop(mc->fpstate)) {
		signal_bad_frame(0);
		return 0;
	}
	f->r8 = mc->r8, f->r9 = mc->r9, f->r10 = mc->r10, f->r11 = mc->r11;
	f->r12 = mc->r12, f->r13 = mc->r13, f->r14 = mc->r14, f->r15 = mc->r15;
	f->rdi = mc->rdi, f->rsi = mc->rsi, f->rbp = mc->rbp, f->rbx = mc->rbx;
	f->rdx = mc->rdx, f->rcx = mc->rcx, f->rsp = mc->rsp, f->rip = mc->rip;
	f->rflags = (f->rflags & ~(u64)RFLAGS_PROGRAM) | (mc->rflags & RFLAGS_PROGRAM);
	f->orig_rax = (u64)-1;	/* no call to begin again */
	signal_set_mask(uc.mask);
	set_altstack(&uc.stack, f->rsp, 0);
	return (long)mc->rax;
}
