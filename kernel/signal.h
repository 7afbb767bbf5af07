/* SPDX-License-Identifier: MIT */
/*
 * Owns: signals: actions, masks, queues, delivery on the way to user mode, stops and continues.
 *
 * A signal is pending for a thread or for a process; a thread that shall look at what is pending has
 * sig.work set (and, while it runs, WORK_SIGNAL), which only the thread itself takes back, in signal_deliver.
 * So a call that was broken off always meets signal_deliver, which begins it again or has it return EINTR.
 * Locks: signal_process.lock (RANK_SIGNAL) for actions, masks and pending queues; process_lock for stops.
 */
#pragma once
#include "arch/trap.h"
#include "kernel/base/lock.h"
#include "kernel/sched.h"
#include "third_party/bsd/queue.h"

struct thread;
struct process;

typedef u64 sigset_t_;		/* bit n - 1 for signal n; 1..64 */
#define SIGBIT(n) (1UL << ((n) - 1))
#define NSIG 64
enum { SIGHUP = 1, SIGINT, SIGQUIT, SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGKILL, SIGUSR1, SIGSEGV, SIGUSR2, SIGPIPE,
       SIGALRM, SIGTERM, SIGSTKFLT, SIGCHLD, SIGCONT, SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU, SIGURG, SIGXCPU, SIGXFSZ,
       SIGVTALRM, SIGPROF, SIGWINCH, SIGIO, SIGPWR, SIGSYS };
#define SIG_STOPS (SIGBIT(SIGSTOP) | SIGBIT(SIGTSTP) | SIGBIT(SIGTTIN) | SIGBIT(SIGTTOU))
#define SIG_DEFAULT_IGNORED (SIGBIT(SIGCHLD) | SIGBIT(SIGCONT) | SIGBIT(SIGURG) | SIGBIT(SIGWINCH))
#define SIG_UNMASKABLE (SIGBIT(SIGKILL) | SIGBIT(SIGSTOP))
enum { SIG_DFL = 0, SIG_IGN = 1 };	/* handlers */
enum { SIG_BLOCK, SIG_UNBLOCK, SIG_SETMASK };
#define SA_NOCLDSTOP 1UL
#define SA_NOCLDWAIT 2UL
#define SA_SIGINFO 4UL
#define SA_RESTORER 0x04000000UL
#define SA_ONSTACK 0x08000000UL
#define SA_RESTART 0x10000000UL
#define SA_NODEFER 0x40000000UL
#define SA_RESETHAND 0x80000000UL
enum { SI_USER = 0, SI_KERNEL = 0x80, SI_QUEUE = -1, SI_TIMER = -2, SI_TKILL = -6,
       ILL_ILLOPN = 2, FPE_INTDIV = 1, FPE_FLTINV = 7, SEGV_MAPERR = 1, SEGV_ACCERR = 2, BUS_ADRALN = 1, BUS_ADRERR = 2,
       TRAP_BRKPT = 1, TRAP_TRACE = 2,
       CLD_EXITED = 1, CLD_KILLED = 2, CLD_DUMPED = 3, CLD_STOPPED = 5, CLD_CONTINUED = 6 };

/* Linux's siginfo_t: 128 bytes, of which this much means something. */
struct siginfo {
	s32 signo, errno_, code, pad;
	union {
		struct { s32 pid; u32 uid; union { s32 status; u64 value; }; } by;	/* kill, SIGCHLD, sigqueue */
		struct { u64 addr; u16 addr_lsb; } fault;
		u8 raw[112];
	};
};
_Static_assert(sizeof(struct siginfo) == 128, "siginfo_t");

struct sigaction_ { u64 handler, flags, restorer; sigset_t_ mask; };	/* the kernel's struct sigaction */

struct pending_signal { TAILQ_ENTRY(pending_signal) link; struct siginfo info; };
TAILQ_HEAD(pending_list, pending_signal);
struct pending { sigset_t_ set; struct pending_list queue; };

struct signal_thread {
	sigset_t_ blocked;
	sigset_t_ real_blocked;	/* during sigtimedwait: blocked as seen by the program; else 0 */
	sigset_t_ saved;	/* to be restored after sigsuspend, ppoll */
	bool restore_saved;
	bool work;		/* look at what is pending before returning to user mode */
	struct pending pending;
	struct siginfo fault;	/* raised by the thread's own instruction, delivered first; signo 0: none */
	u64 trapno, error, cr2;	/* of that instruction, for mcontext */
	vaddr_t alt_sp; u64 alt_size; u32 alt_flags;
};

/* ITIMER_VIRTUAL and ITIMER_PROF, in ns of CPU time used; expires 0: off (process_lock) */
struct cpu_itimer { u64 expires, interval; };
LIST_HEAD(posix_timer_list, posix_timer);

/* Flags, masks and functions of a process's actions; shared after a fork until one of them changes any. */
struct signal_actions { u32 refs; struct sigaction_ of[NSIG]; };

struct signal_process {
	u32 refs;
	u32 nr_queued;			/* pending_signals of this process, limited by RLIMIT_SIGPENDING */
	struct spinlock lock;
	bool stop_dequeued;		/* a stop signal was taken and no SIGCONT has come since */
	/* Which handler: SIG_IGN, a function, else SIG_DFL. An action's flags count in any case. */
	sigset_t_ ignored, caught;
	struct signal_actions *actions;	/* NULL: all zero */
	struct pending pending;		/* for the whole process */
	struct cpu_itimer cpu_itimer[2];
	struct timer cpu_timer;		/* when to look at these */
	struct process *cpu_timer_owner;
	struct mutex timer_mutex;	/* who sets timers; taken first */
	struct posix_timer_list timers;	/* timer_mutex */
	int next_timer_id;
};

struct signal_process *signal_process_create(void);
struct signal_process *signal_process_copy(struct signal_process *from);	/* fork: actions; nothing pending */
void signal_process_put(struct signal_process *s);
void signal_thread_init(struct thread *t, const struct thread *parent);
void signal_thread_destroy(struct thread *t);
void signal_exec(struct process *p);		/* handlers back to default, alternate stack off */
/* What is pending for T alone counts from now on at TO, not FROM. */
void signal_move_count(const struct thread *t, struct signal_process *from, struct signal_process *to);

/* Send. INFO may be NULL: from the kernel. 0 or -errno. Any lock up to RANK_PROCESS may be held. */
int signal_send_process(struct process *p, int signo, const struct siginfo *info);
int signal_send_thread(struct thread *t, int signo, const struct siginfo *info);
void signal_send_group(pid_t pgid, int signo);	/* from the kernel: terminals; takes process_lock */

/* The running thread did something that raises SIGNO at ADDR: delivered even if blocked or ignored (then
 * it kills). For faults of user mode. */
void signal_fault(int signo, int code, u64 addr);

/* For a file operation that must not go on: is SIGNO blocked or ignored by the running thread? */
bool signal_is_ignored(int signo);
/* Does P ignore its children's ends (SIG_IGN or SA_NOCLDWAIT for SIGCHLD), so that no zombie stays? */
bool signal_reaps_children(const struct process *p);

/* Is a signal to be delivered to the running thread (or must it die)? */
bool signal_is_pending(const struct thread *t);

/* For long copies, now and then, with no lock held but a mutex: interrupts and other threads have their turn.
 * True: a signal has come, return what is done. */
bool signal_pause(void);

/* Recompute WORK_SIGNAL of T after its mask or pending set changed; wakes it if need be. */
void signal_update(struct thread *t);

/* From trap_user_work: deliver what is pending: builds the handler's frame, stops, or does not return. */
void signal_deliver(struct trapframe *f);

/*
 * Masks of the running thread. signal_set_mask replaces what is blocked. A call that blocks SET only while
 * it sleeps (ppoll) begins with signal_mask_enter, and ends with signal_mask_leave(interrupted): when it was
 * interrupted the old mask comes back only after the handler (signal_deliver sees to that).
 */
void signal_set_mask(sigset_t_ set);
void signal_mask_enter(sigset_t_ set);
void signal_mask_leave(bool interrupted);
/* For calls with (sigset_t *, size) arguments: *SET from user memory. 0, -EINVAL, -EFAULT. */
int signal_get_set(vaddr_t va, u64 size, sigset_t_ *set);

/* Between the files kernel/signal*.c, sys_signal.c, sys_*timer.c: */
/* The action of SIGNO, and its change (false: no memory). Under s->lock. */
struct sigaction_ signal_action(const struct signal_process *s, int signo);
bool signal_set_action(struct signal_process *s, int signo, const struct sigaction_ *act);
/* Takes the first pending signal within SET off its queue; its number, or 0. Under p->sig->lock. */
int signal_dequeue(struct thread *t, sigset_t_ set, struct siginfo *info);
void signal_discard(struct signal_process *s, struct pending *p, sigset_t_ set);	/* under s->lock */
void signal_recalculate(void);		/* sig.work and WORK_SIGNAL of the running thread, exactly */
/* Under process_lock: the job P stops by SIGNO, or goes on; tells its parent. */
void signal_stop(struct process *p, int signo);
/* SIGSEGV for a frame that cannot be written or read back, of signal SIGNO (0: any). */
#define SIGNAL_NO_TRAP 255
void signal_bad_frame(int signo);
/* Pushes the handler's frame. False: it cannot be written. kernel/signal_frame.c */
bool signal_frame_push(struct trapframe *f, const struct siginfo *info, const struct sigaction_ *act, sigset_t_ mask);
/* Timers: a signal that may be a timer's was dequeued; exec; the last put. No lock. kernel/sys_timer.c */
void itimer_dequeued(struct siginfo *info);
void itimer_exec(struct signal_process *s);
/* P ends: what fires for it does so no more. P leaves S, which it shared: its timers there end. */
void itimer_exit(struct process *p);
void itimer_leave(struct process *p, struct signal_process *s);
void itimer_destroy(struct signal_process *s);
