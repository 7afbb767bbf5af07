/* SPDX-License-Identifier: MIT */
/*
 * Owns: the last report: reason, registers, the decoded error code, the walk of CR2, a backtrace with
 * names; then the way out. Trusts nothing: memory is read only where the tables map it, loops are bounded,
 * and a fault in the report ends the machine with what has been said. No lock is taken.
 */
#include "arch/cpu.h"
#include "arch/platform.h"
#include "arch/pte.h"
#include "arch/trap.h"
#include "kernel/base/percpu.h"
#include "kernel/base/print.h"

enum { MOST_FRAMES = 32 };

void (*panic_describe)(char *buf, size_t size);
static u32 panics;		/* begun so far, on panic_cpu */
static u32 panic_cpu;		/* number + 1 of the CPU that began: atomic */

/* Can the word at VA be read? By the tables in force; their own addresses are checked against RAM. */
static bool readable(vaddr_t va)
{
	paddr_t table = pte_pa(read_cr3());

	if (va & 7 || (va >= USER_END && va < DIRECT_BASE))
		return false;
	for (unsigned level = PT_LEVELS; level; level--) {
		pte_t e;

		if (table >= boot_info.ram_end)
			return false;
		e = ((const pte_t *)(DIRECT_BASE + table))[pt_index(va, level)];
		if (!pte_present(e))
			return false;
		if (level == 1 || pte_large(e))
			return pte_pa(e) < boot_info.ram_end;
		table = pte_pa(e);
	}
	return false;
}

static void print_walk(vaddr_t va)
{
	paddr_t table = pte_pa(read_cr3());

	for (unsigned level = PT_LEVELS; level; level--) {
		pte_t e;

		if (table >= boot_info.ram_end) {
			printk(LOG_EMERG, "  L%u table at 0x%lx is not in memory", level, table);
			return;
		}
		e = ((const pte_t *)(DIRECT_BASE + table))[pt_index(va, level)];
		printk(LOG_EMERG, "  L%u[%3u] 0x%016lx %s%s%s%s%s%s%s", level, pt_index(va, level), e,
		       pte_empty(e) ? "empty" : pte_present(e) ? level == 1 || pte_large(e) ? "page" : "table" : "barred",
		       pte_writable(e) ? " W" : "", pte_user(e) ? " U" : "", pte_young(e) ? " A" : "",
		       level == 1 && pte_dirty(e) ? " D" : "", pte_exec(e) ? "" : " NX",
		       level > 1 && pte_present(e) && pte_large(e) ? " large" : "");
		if (!pte_present(e) || pte_large(e))
			return;
		table = pte_pa(e);
	}
}

/* BACK is 1 for a return address: the call may be its function's last instruction. */
static void print_address(u64 addr, unsigned back)
{
	u64 offset;
	const char *name = ksym_lookup(addr - back, &offset);

	if (name)
		printk(LOG_EMERG, "  %016lx %s+0x%lx", addr, name, offset + back);
	else
		printk(LOG_EMERG, "  %016lx", addr);
}

/* Frame pointers form a chain upwards, within one stack or, after a trap, on to another's. */
static void print_backtrace(u64 rip, u64 rbp, unsigned back)
{
	printk(LOG_EMERG, "backtrace:");
	print_address(rip, back);
	for (int i = 0; i < MOST_FRAMES && rbp >= DIRECT_BASE && readable(rbp) && readable(rbp + 8); i++) {
		const u64 *frame = (const u64 *)rbp;

		if (frame[1] < (u64)__kernel_start || frame[1] >= (u64)__text_end)
			break;
		print_address(frame[1], 1);
		if (frame[0] <= rbp)
			break;
		rbp = frame[0];
	}
}

static void print_registers(const struct trapframe *f)
{
	u64 cr0, cr4;

	__asm__ volatile("mov %%cr0, %0\n\tmov %%cr4, %1" : "=r"(cr0), "=r"(cr4));
	printk(LOG_EMERG, "rip %04lx:%016lx rsp %04lx:%016lx rflags %08lx", f->cs, f->rip, f->ss, f->rsp, f->rflags);
	printk(LOG_EMERG, "rax %016lx rbx %016lx rcx %016lx rdx %016lx", f->rax, f->rbx, f->rcx, f->rdx);
	printk(LOG_EMERG, "rsi %016lx rdi %016lx rbp %016lx r8  %016lx", f->rsi, f->rdi, f->rbp, f->r8);
	printk(LOG_EMERG, "r9  %016lx r10 %016lx r11 %016lx r12 %016lx", f->r9, f->r10, f->r11, f->r12);
	printk(LOG_EMERG, "r13 %016lx r14 %016lx r15 %016lx", f->r13, f->r14, f->r15);
	printk(LOG_EMERG, "cr0 %016lx cr2 %016lx cr3 %016lx cr4 %016lx", cr0, read_cr2(), read_cr3(), cr4);
}

static void print_error(const struct trapframe *f)
{
	u64 vector = ~f->orig_rax, e = f->error;

	if (vector == TRAP_PF)
		printk(LOG_EMERG, "error 0x%lx: %s %s by the %s%s", e,
		       e & FAULT_EXEC ? "execution of" : e & FAULT_WRITE ? "write to" : "read of",
		       e & FAULT_PRESENT ? "a page that forbids it" : "an address without a page",
		       e & FAULT_USER ? "program" : "kernel", e & FAULT_RESERVED ? ", reserved bit set in a table" : "");
	else
		printk(LOG_EMERG, "vector %lu error 0x%lx: selector 0x%lx%s%s", vector, e, e & 0xfff8,
		       e & 2 ? " of the IDT" : "", e & 1 ? ", raised outside the program" : "");
}

static void __noreturn halt_for_good(void)
{
	for (;;)
		__asm__ volatile("cli\n\thlt");
}

/* The first panic gets through; one within it, or after it, does not return here. */
static void begin(const char *reason)
{
	u32 nobody = 0, me = this_cpu(cpu_number) + 1, before;
	char who[80] = "";

	__asm__ volatile("cli");
	if (!__atomic_compare_exchange_n(&panic_cpu, &nobody, me, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST) && nobody != me)
		halt_for_good();
	before = panics++;
	if (!before)
		ipi_stop_others();
	print_panic();
	if (before == 1)
		printk(LOG_EMERG, "panic within the panic: %s", reason);
	if (before)
		machine_panic_exit();
	console_loglevel = LOG_DEBUG;
	printk(LOG_EMERG, "PANIC: %s", reason);
	if (panic_describe)
		panic_describe(who, sizeof(who));
	printk(LOG_EMERG, "CPU %u %s", this_cpu(cpu_number), who);
}

void panic_trap(const struct trapframe *f, const char *reason)
{
	begin(reason);
	print_registers(f);
	print_error(f);
	printk(LOG_EMERG, "walk of CR2 0x%lx:", read_cr2());
	print_walk(read_cr2());
	print_backtrace(f->rip, trap_from_user(f) ? 0 : f->rbp, 0);
	machine_panic_exit();
}

void panic(const char *fmt, ...)
{
	struct trapframe f;
	char reason[256];
	va_list ap;

	/* The registers as they are here: those of the caller are partly gone. */
	__asm__ volatile("movq %%rax, %c1(%0)\n\tmovq %%rbx, %c2(%0)\n\tmovq %%rcx, %c3(%0)\n\tmovq %%rdx, %c4(%0)\n\t"
			 "movq %%rsi, %c5(%0)\n\tmovq %%rdi, %c6(%0)\n\tmovq %%r8, %c7(%0)\n\tmovq %%r9, %c8(%0)\n\t"
			 "movq %%r10, %c9(%0)\n\tmovq %%r11, %c10(%0)\n\tmovq %%r12, %c11(%0)\n\tmovq %%r13, %c12(%0)\n\t"
			 "movq %%r14, %c13(%0)\n\tmovq %%r15, %c14(%0)"
			 :: "r"(&f), "i"(offsetof(struct trapframe, rax)), "i"(offsetof(struct trapframe, rbx)),
			 "i"(offsetof(struct trapframe, rcx)), "i"(offsetof(struct trapframe, rdx)),
			 "i"(offsetof(struct trapframe, rsi)), "i"(offsetof(struct trapframe, rdi)),
			 "i"(offsetof(struct trapframe, r8)), "i"(offsetof(struct trapframe, r9)),
			 "i"(offsetof(struct trapframe, r10)), "i"(offsetof(struct trapframe, r11)),
			 "i"(offsetof(struct trapframe, r12)), "i"(offsetof(struct trapframe, r13)),
			 "i"(offsetof(struct trapframe, r14)), "i"(offsetof(struct trapframe, r15)) : "memory");
	f.rip = (u64)__builtin_return_address(0);
	f.rbp = *(u64 *)__builtin_frame_address(0);
	f.rsp = (u64)__builtin_frame_address(0) + 16;
	f.cs = KERNEL_CS;
	f.ss = KERNEL_SS;
	__asm__ volatile("pushfq\n\tpop %0" : "=r"(f.rflags));
	va_start(ap, fmt);
	vsnprintf(reason, sizeof(reason), fmt, ap);
	va_end(ap);
	begin(reason);
	print_registers(&f);
	printk(LOG_EMERG, "walk of CR2 0x%lx:", read_cr2());
	print_walk(read_cr2());
	print_backtrace(f.rip, f.rbp, 1);
	machine_panic_exit();
}

/* From entry.S: NMI, double fault, machine check; and #DB in the kernel, a program's single step that ran
 * into it: the step goes on in user mode or is lost, never into the kernel. */
void trap_paranoid(struct trapframe *f, unsigned vector)
{
	u64 cr2 = read_cr2();

	switch (vector) {
	case TRAP_DB:
		f->rflags &= ~(u64)RFLAGS_TF;
		return;
	case TRAP_DF:
		panic_trap(f, f->rsp >= DIRECT_BASE && cr2 - (f->rsp - PAGE_SIZE) < 2 * PAGE_SIZE &&
			      !readable(ALIGN_DOWN(cr2, 8)) ? "kernel stack overflow" : "double fault");
	case TRAP_MC:
		machine_check_print();
		panic_trap(f, "machine check");
	default:
		if (__atomic_load_n(&panic_cpu, __ATOMIC_SEQ_CST))
			halt_for_good();	/* ipi_stop_others */
		panic_trap(f, "non-maskable interrupt");
	}
}
