/* SPDX-License-Identifier: MIT */
/*
 * Owns: what becomes of exceptions and interrupts: page faults go to mm/fault.c, what a program does wrong
 * becomes a signal, what the kernel does wrong a panic; and the last work before user mode.
 *
 * Called by the entry code with interrupts off and no lock held. A fault of the kernel itself is legal only
 * at the instructions that touch programs' memory (arch/user.h), which trap_fixup knows.
 */
#include "arch/cpu.h"
#include "arch/machine.h"
#include "kernel/base/epoch.h"
#include "kernel/base/print.h"
#include "kernel/thread.h"
#include "mm/fault.h"

/* The running process asked for memory that there is not. The caller lets go, the process ends. */
static void out_of_memory(void)
{
	struct process *p = current_process;

	count(oom_kill);
	printk(LOG_ERR, "out of memory: killed %d %s", p->pid, current->comm);
	spin_lock(&process_lock);
	process_kill(p, SIGKILL);
	spin_unlock(&process_lock);
}

void process_count_major(void)
{
	__atomic_fetch_add(&current_process->maj_faults, 1, __ATOMIC_RELAXED);
}

/* A fault of the program that was not simply served. */
static __noinline void user_fault_else(enum fault_result result, vaddr_t va)
{
	switch (result) {
	case FAULT_MAJOR:
		process_count_major();
		break;
	case FAULT_BUS:
		signal_fault(SIGBUS, BUS_ADRERR, va);
		break;
	case FAULT_OOM:
		out_of_memory();
		break;
	default:
		signal_fault(SIGSEGV, result == FAULT_ACCERR ? SEGV_ACCERR : SEGV_MAPERR, va);
	}
}

/* An access with the kernel's rights: a user copy met a page that is not there, or may not be touched so. Or,
 * from user mode, an instruction had the CPU itself touch memory (a far return under SMAP, on some CPUs). */
static __noinline void kernel_fault(struct trapframe *f, vaddr_t va)
{
	struct thread *t = current;
	u64 rip = f->rip;
	enum fault_result result;

	if (trap_from_user(f)) {
		signal_fault(SIGSEGV, SEGV_ACCERR, va);
		return;
	}
	if (va >= USER_END || !t->space || !trap_fixup(f))
		panic_trap(f, va < PAGE_SIZE ? "null pointer" : "page fault in the kernel");
	if (unlikely(lock_debug))
		lock_debug_none();	/* the page may have to be fetched */
	count(fault_kernel);
	result = fault_handle(t->space, va, (unsigned)f->error | FAULT_USER);
	if (result <= FAULT_MAJOR) {
		f->rip = rip;
		if (result == FAULT_OK)
			t->min_faults++;
		else
			process_count_major();
	} else if (result == FAULT_OOM) {
		out_of_memory();
	}
}

static inline void page_fault(struct trapframe *f)
{
	vaddr_t va = read_cr2();
	struct thread *t = current;
	enum fault_result result;

	if (unlikely(!(f->error & FAULT_USER))) {
		kernel_fault(f, va);
		return;
	}
	this_cpu(fault_rip) = f->rip;
	result = fault_handle(t->space, va, (unsigned)f->error);
	if (likely(result == FAULT_OK))
		t->min_faults++;
	else
		user_fault_else(result, va);
}

static const struct { u8 signo, code; } exception_signal[] = {
	[TRAP_DE] = { SIGFPE, FPE_INTDIV },
	[TRAP_DB] = { SIGTRAP, TRAP_TRACE },
	[TRAP_BP] = { SIGTRAP, SI_KERNEL },
	[TRAP_OF] = { SIGSEGV, SI_KERNEL },
	[TRAP_BR] = { SIGSEGV, SI_KERNEL },
	[TRAP_UD] = { SIGILL, ILL_ILLOPN },
	[TRAP_TS] = { SIGSEGV, SI_KERNEL },
	[TRAP_NP] = { SIGBUS, SI_KERNEL },
	[TRAP_SS] = { SIGBUS, SI_KERNEL },
	[TRAP_GP] = { SIGSEGV, SI_KERNEL },
	[TRAP_MF] = { SIGFPE, FPE_FLTINV },
	[TRAP_AC] = { SIGBUS, BUS_ADRALN },
	[TRAP_XM] = { SIGFPE, FPE_FLTINV },
	[TRAP_CP] = { SIGSEGV, SI_KERNEL },
};

static __noinline void other_exception(struct trapframe *f, unsigned vector)
{
	if (!trap_from_user(f)) {
		if (!trap_fixup(f))
			panic_trap(f, "exception in the kernel");
		return;
	}
	if (vector >= ARRAY_SIZE(exception_signal) || !exception_signal[vector].signo)
		panic_trap(f, "unexpected exception");
	/* The address is that of the instruction where the signal is about the instruction itself. */
	bool about_rip = vector == TRAP_DE || vector == TRAP_UD || vector == TRAP_DB || vector == TRAP_MF ||
			 vector == TRAP_XM;
	signal_fault(exception_signal[vector].signo, exception_signal[vector].code, about_rip ? f->rip : 0);
}

void trap_exception(struct trapframe *f, unsigned vector)
{
	if (likely(vector == TRAP_PF))
		page_fault(f);
	else
		other_exception(f, vector);
}

void trap_interrupt(struct trapframe *f, unsigned vector)
{
	u32 ready = sched_nr_ready();
	bool idle = !this_cpu(epoch_here);

	if (idle) {
		arch_idle_over();
		epoch_enter();
	}
	count(interrupts);
	switch (vector) {
	case IRQ_TIMER:
		irq_ack();
		timers_run();
		sched_tick(f);
		break;
	case IRQ_IPI_RESCHED:
		irq_ack();
		sched_kicked();
		break;
	case IRQ_SPURIOUS:
		break;
	default:
		arch_interrupt(f, vector);
	}
	/* Who was woken by an interrupt has waited for it: it goes first. */
	if (sched_nr_ready() > ready)
		this_cpu(thread_work) |= WORK_RESCHED;
	if (idle)
		epoch_leave();
}

void trap_user_work(struct trapframe *f)
{
	if (this_cpu(thread_work) & WORK_RESCHED) {
		this_cpu(thread_work) &= ~WORK_RESCHED;
		sched_yield();
	}
	if (this_cpu(thread_work) & WORK_SIGNAL) {
		this_cpu(thread_work) &= ~WORK_SIGNAL;
		signal_deliver(f);
	}
}
