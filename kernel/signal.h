/* SPDX-License-Identifier: MIT */
/*
 * Owns: signals: actions, masks, queues, delivery on the way to user mode, stops and continues.
 * Lock: signal_lock of the process (RANK_SIGNAL) for actions and both pending queues.
 */
#pragma once
#include "arch/trap.h"
#include "kernel/base/lock.h"
#include "third_party/bsd/queue.h"

struct thread;
struct process;

typedef u64 sigset_t_;		/* bit n - 1 for signal n; 1..64 */
#define SIGBIT(n) (1UL << ((n) - 1))
#define NSIG 64
enum { SIGHUP = 1, SIGINT, SIGQUIT, SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGKILL, SIGUSR1, SIGSEGV, SIGUSR2, SIGPIPE,
       SIGALRM, SIGTERM, SIGSTKFLT, SIGCHLD, SIGCONT, SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU, SIGURG, SIGXCPU, SIGXFSZ,
       SIGVTALRM, SIGPROF, SIGWINCH, SIGIO, SIGPWR, SIGSYS };
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
	sigset_t_ saved;	/* to be restored after sigsuspend, ppoll */
	bool restore_saved;
	struct pending pending;
	vaddr_t alt_sp; u64 alt_size; u32 alt_flags;
};

struct signal_process {
	u32 refs;
	struct spinlock lock;
	struct sigaction_ action[NSIG];
	struct pending pending;		/* for the whole process */
};

struct signal_process *signal_process_create(void);
struct signal_process *signal_process_copy(struct signal_process *from);	/* fork: actions; nothing pending */
void signal_process_put(struct signal_process *s);
void signal_thread_init(struct thread *t, const struct thread *parent);
void signal_thread_destroy(struct thread *t);
void signal_exec(struct process *p);		/* handlers back to default, alternate stack off */

/* Send. INFO may be NULL: from the kernel. 0 or -errno. Any lock up to RANK_PROCESS may be held. */
int signal_send_process(struct process *p, int signo, const struct siginfo *info);
int signal_send_thread(struct thread *t, int signo, const struct siginfo *info);
void signal_send_group(pid_t pgid, int signo);	/* from the kernel: terminals; takes process_lock */

/* The running thread did something that raises SIGNO at ADDR: delivered even if blocked or ignored (then
 * it kills). For faults of user mode. */
void signal_fault(int signo, int code, u64 addr);

/* Is a signal to be delivered to the running thread (or must it die)? */
bool signal_is_pending(const struct thread *t);

/* Recompute WORK_SIGNAL of T after its mask or pending set changed; wakes it if need be. */
void signal_update(struct thread *t);

/* From trap_user_work: deliver what is pending: builds the handler's frame, stops, or does not return. */
void signal_deliver(struct trapframe *f);
