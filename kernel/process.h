/* SPDX-License-Identifier: MIT */
/*
 * Owns: processes (thread groups) and threads, their family tree and identity; birth (fork, clone), exec,
 * death, wait. Signals are kernel/signal.h's, descriptors kernel/fs/file.h's, memory mm/space.h's.
 *
 * Locks: process_lock (RANK_PROCESS) guards the tree, pids, groups, sessions, thread lists, states and exit
 * codes. A process stays while a thread or its parent's wait can find it; a thread while it runs.
 */
#pragma once
#include "kernel/base/counters.h"
#include "kernel/sched.h"
#include "kernel/signal.h"
#include "mm/space.h"

struct files;		/* descriptor table: kernel/fs/file.h */
struct fs_context;	/* cwd, umask */
struct tty;

/* What counters moved by while the threads of some processes ran: kernel/domain.c. */
struct counter_domain {
	u32 refs;
	struct spinlock lock;
	u64 value[NR_COUNTERS];
	u64 ticks;
};

struct rlimit { u64 cur, max; };
#define NR_RLIMITS 16

TAILQ_HEAD(thread_list, thread);
LIST_HEAD(process_list, process);

struct thread {
	struct context context;		/* must be first */
	void (*entry)(void *);		/* what it does first, and with what */
	void *entry_arg;
	struct process *process;
	pid_t tid;
	enum thread_state state;
	TAILQ_ENTRY(thread) sibling;	/* process->threads */
	TAILQ_ENTRY(thread) run_link;	/* run queue */
	struct space *space;		/* == process->space; NULL for kernel threads */
	LIST_ENTRY(thread) by_tid;	/* process_lock */
	/* sleeping: sleep_lock (RANK_SCHED) guards state, woken, poked, how */
	bool on_cpu;			/* a CPU is on its stack, or leaving it: only that CPU may queue and run it */
	struct spinlock sleep_lock;
	bool woken;			/* one of its waiters was, or its time is over */
	bool poked;			/* a signal came while it was about to sleep */
	u8 how;				/* enum sleep_flag while sleeping */
	u32 nr_waiters;			/* of its own, queued or woken and not yet removed */
	struct timer sleep_timer;
	u32 cpu;
	u64 affinity;			/* bit per CPU */
	u64 slice_end;
	u64 run_start;			/* when it got the CPU; 0: it has none */
	u32 time_seq;			/* odd while run_start and user_ns change */
	u64 user_ns, kernel_ns;		/* times used until then: kernel/times.c */
	u64 min_faults;			/* of this thread; process_usage adds them up */
	/* signals: kernel/signal.c */
	struct signal_thread sig;
	/* threads library */
	vaddr_t clear_child_tid, robust_list;
	vaddr_t set_child_tid;		/* its tid goes there when it first runs; 0: nowhere */
	struct vfork_wait *vfork;	/* the parent waits here (process_lock) */
	bool exiting;			/* told to die: exec or exit_group of another */
	struct counter_domain *domain;
	char comm[16];
	/* restart of a call after ERESTART_BLOCK (nanosleep and the like): time it was to end */
	u64 restart_deadline;
};

/* On the stack of a parent that waits for its vfork child to exec or end. */
struct vfork_wait {
	struct waitq queue;
	bool done;			/* process_lock */
};

/* Numbers only: nothing asks for them but the calls that set them, and they decide nothing else. */
struct credentials {
	u32 uid, euid, suid, fsuid, gid, egid, sgid, fsgid;
	u32 nr_groups, groups[16];
	bool no_new_privs;
};

struct process {
	pid_t pid, pgid, sid;
	struct process *parent;
	pid_t ppid;			/* parent->pid, to be read without the lock */
	struct process_list children;
	LIST_ENTRY(process) sibling;
	LIST_ENTRY(process) all;	/* every process, in order of birth */
	LIST_ENTRY(process) by_pid;
	struct thread_list threads;
	u32 nr_threads;
	struct space *space;
	struct files *files;
	struct fs_context *fs;
	struct signal_process *sig;	/* actions and shared pending signals; CLONE_SIGHAND shares */
	struct tty *tty;		/* controlling terminal */
	struct waitq child_wait;	/* of parents: a child changed */
	struct waitq thread_wait;	/* of an exec: the other threads end */
	int exit_code;			/* as wait4 reports it; of a stopped one too */
	int leader_exit_code;		/* of its first thread, which counts if there was no group_exit */
	bool zombie, stopped, continued, stop_reported, group_exit, did_exec, dumpable;
	bool subreaper;			/* gets the orphans among its descendants */
	struct thread *exec_thread;	/* has told the others to end (process_lock) */
	u8 exit_signal, parent_death_signal;
	int nice;
	struct credentials cred;
	char comm[16];			/* as its first thread's; stays while a zombie */
	u64 start_ns;
	u64 min_faults, maj_faults;	/* of threads that ended: process_min_faults has all */
	u64 child_min_faults, child_maj_faults;
	u64 user_ns, kernel_ns, child_user_ns, child_kernel_ns;	/* of threads that ended; of waited children */
	u64 user_told;			/* by process_times: never less again */
	u64 max_rss_pages, child_max_rss_pages;
	struct rlimit limits[NR_RLIMITS];
	struct timer alarm;		/* ITIMER_REAL */
	u64 alarm_interval;
	char exe[256];			/* path for /proc; last, as it is not zeroed */
};

extern struct spinlock process_lock;
extern struct process_list all_processes;	/* by number; process_lock */
extern struct process *init_process;

#define current_process (current->process)

struct process *process_find(pid_t pid);	/* under process_lock; zombies too */
struct thread *thread_find(pid_t tid);		/* under process_lock */
extern u64 nr_processes_started;
extern u32 nr_threads, nr_processes;		/* there are now, zombies too; process_lock */

/* CPU time of T in ns so far, and of all threads P ever had; P's under process_lock. */
u64 thread_cpu_ns(const struct thread *t);
u64 process_cpu_ns(const struct process *p);
void process_times(struct process *p, u64 *user, u64 *kernel);	/* the two parts of that */
u64 process_min_faults(const struct process *p);	/* the same for faults */
void process_count_major(void);			/* the current one has waited for a page */

/* PID 1 from the program PATH; -errno if it cannot be. */
int process_start_init(const char *path);

/* clone(2) with Linux's flags. Returns the new tid, or -errno. Called with the caller's trapframe. */
struct clone_args { u64 flags; vaddr_t stack, parent_tid, child_tid, tls; u8 exit_signal; };
long process_clone(struct trapframe *f, const struct clone_args *a);

/* Ends the running process, or thread. EXIT_CODE as wait4 reports it: status << 8 | signal. */
void process_exit_group(int exit_code) __noreturn;
void thread_exit(int exit_code) __noreturn;
/* Tells every thread of P to end with EXIT_CODE: they do on their way to user mode. Under process_lock. */
void process_kill(struct process *p, int exit_code);

/* Must this thread die (group exit)? Looked at by everything that sleeps. */
static inline bool thread_must_exit(void) { return READ_ONCE(current->exiting); }

/* Counter domains. */
struct counter_domain *domain_create(void);
void domain_get(struct counter_domain *d);
void domain_put(struct counter_domain *d);
void domain_switch(struct counter_domain *from, struct counter_domain *to);	/* at context switch */
void domain_read(struct counter_domain *d, u64 values[NR_COUNTERS], u64 *ticks);
