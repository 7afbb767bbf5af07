/* SPDX-License-Identifier: MIT */
/*
 * Owns: what the files of threads and processes (sched, waitq, timer, kstack, process, clone, exec, exit,
 * wait, trap) share among themselves and with nobody else.
 */
#pragma once
#include "kernel/process.h"

/* kernel/sched.c */
#define SCHED_SLICE_NS 4000000UL
void sched_switched(void);		/* first act of a thread that has got the CPU */
void thread_wake(struct thread *t);	/* for waitq_wake_*: T sleeps no more. Lock below RANK_SCHED may be held */
u32 sched_nr_ready(void);		/* threads queued on this CPU */

void sched_init_cpu(u32 cpu);		/* the variables of CPU, which does not run yet */
void sched_kicked(void);		/* from the interrupt that other CPUs send */
void sched_move(struct thread *t);	/* T's affinity has changed. Under process_lock */
u64 sched_idle_ns(u32 cpu);		/* since boot */

/* kernel/times.c: at a switch; PREV was the idle thread; from the timer of a busy CPU, F being where it was. */
void times_switch(struct thread *prev, struct thread *next, u64 now);
void times_busy(u64 now);
void times_tick(const struct trapframe *f);
u64 times_kernel_ns(u32 cpu);		/* in the kernel, busy, since boot */
DECLARE_PERCPU(u64, fault_rip);		/* of the last page fault from user mode */

/* kernel/cpus.c: starts the other CPUs; each ends in sched_start. */
void cpus_start(void);
/* Has every CPU give back the free objects and stacks it keeps, for exact counts of memory; and what a CPU
 * does so from the interrupt that asks. No spin lock is held. */
void cpus_drain(void);
void cpus_drain_here(void);

/* kernel/timer.c */
void timer_need(u64 deadline);		/* an IRQ_TIMER on this CPU by DEADLINE at the latest */
void timers_init_cpu(u32 cpu);		/* of CPU, which does not run yet */

/* Kernel stacks of KSTACK_PAGES pages above a guard page: kernel/kstack.c */
#define KSTACK_PAGES 4
u64 kstack_alloc(void);			/* one past its end; 0: no memory */
void kstack_free(u64 top);
void kstack_drain(void);		/* frees those that this CPU keeps */

/* kernel/process.c */
extern struct process kernel_process;	/* pid 0: of idle and kernel threads */

/* A thread that nobody knows yet, with a stack, and if it is to run a program, with room for FPU state and
 * the mask of the running thread. NULL: no memory. ENTRY(ARG) is called when it first runs. */
struct thread *thread_alloc(struct process *p, bool user, void (*entry)(void *), void *arg);
void thread_free(struct thread *t);	/* never linked, or unlinked and off its stack */

/* A process that nobody knows yet, with what it inherits from PARENT, but neither memory, files nor
 * signals. NULL: no memory. */
struct process *process_alloc(struct process *parent);
/* Drops what P has of memory, files, context and signals, and P itself; never linked, or unlinked. */
void process_free(struct process *p);

/* Under process_lock. A new id, or -EAGAIN; T known as TID, one of P's threads; P known as its pid. */
pid_t pid_alloc(void);
void thread_link(struct thread *t, struct process *p, pid_t tid);
void thread_unlink(struct thread *t);
void thread_renumber(struct thread *t, pid_t tid);
void process_link(struct process *p, struct process *parent);
void process_unlink(struct process *p);	/* its children have gone elsewhere */

#define PID_MAX 32768
extern u32 max_threads;

/* Resources of getrlimit. */
enum { RLIM_CPU, RLIM_FSIZE, RLIM_DATA, RLIM_STACK, RLIM_CORE, RLIM_RSS, RLIM_NPROC, RLIM_NOFILE, RLIM_MEMLOCK, RLIM_AS,
       RLIM_LOCKS, RLIM_SIGPENDING, RLIM_MSGQUEUE, RLIM_NICE, RLIM_RTPRIO, RLIM_RTTIME };
void process_apply_limits(struct process *p, struct space *s);	/* to a space that P (to be) runs in */

/* kernel/exit.c: what the running thread T leaves in its memory when it ends or execs: the robust list, the
 * word that says it is gone. No lock. */
void thread_release_user(struct thread *t);
/* The parent that waits in vfork for T goes on. No lock. */
void thread_release_vfork(struct thread *t);
/* kernel/exec.c. *F becomes the frame of the program at PATH (kernel memory); 0 or -errno. ARGV and ENVP
 * are the program's own arrays of pointers, or with KERNEL_ARGS, kernel arrays (init). */
struct exec_strings { vaddr_t argv, envp; const char *const *kernel_argv, *const *kernel_envp; };
long process_exec(struct trapframe *f, const char *path, const struct exec_strings *args);

/* kernel/wait.c */
struct rusage_times { u64 user_ns, kernel_ns, max_rss_pages, min_faults, maj_faults; };
/* P's own, under process_lock; those of its children that were waited for, or both. */
enum rusage_whose { USAGE_SELF, USAGE_CHILDREN, USAGE_BOTH };
void process_usage(struct process *p, enum rusage_whose whose, struct rusage_times *u);
/* As struct rusage to user address VA; 0 or -EFAULT. */
int rusage_put(vaddr_t va, const struct rusage_times *u);

/* kernel/futex.c */
void futex_exit_robust(struct thread *t);	/* T, running, ends: its robust locks are given up */
int futex_wake(vaddr_t va, int count, u32 bitset, bool private_hint);

/* kernel/strace.c: the names of calls (NULL: Linux has no such call); the text of a call, and its line. */
const char *syscall_name(u64 number);
void strace_begin(char *buf, size_t size, u64 number, const u64 arg[6]);
void strace_end(const char *line, u64 result);
