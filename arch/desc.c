/* SPDX-License-Identifier: MIT */
/*
 * Owns: the descriptor tables: GDT and TSS of each CPU, the one IDT, the stacks that they name. The user
 * may raise #BP and nothing else by int. Interrupt gates all: the kernel never runs with interrupts
 * on by entering it.
 */
#include "arch/platform.h"
#include "arch/trap.h"
#include "kernel/base/percpu.h"

struct tss {
	u32 reserved0;
	u64 rsp[3], reserved1, ist[7];
	u64 reserved2;
	u16 reserved3, io_bitmap;
} __attribute__((packed));

struct gate {
	u16 offset_low, selector;
	u8 ist, type;
	u16 offset_middle;
	u32 offset_high, reserved;
};

struct table_pointer {
	u16 limit;
	u64 base;
} __attribute__((packed));

typedef u64 gdt_words[9];

u8 guarded_stacks[NR_GUARDED_STACKS][GUARDED_STACK]
	__attribute__((section(".bss.guarded_stacks"), aligned(PAGE_SIZE)));

/* Used by name in entry.S and switch.S. */
DEFINE_PERCPU(struct tss, cpu_tss) __attribute__((aligned(64)));
DEFINE_PERCPU(u64, kernel_stack_top);
DEFINE_PERCPU(u64, user_rsp);
static DEFINE_PERCPU(gdt_words, cpu_gdt);
static struct gate idt[256];

extern char trap_stubs[][16];

_Static_assert(sizeof(struct trapframe) == 176, "entry.S: FRAME_SIZE");
_Static_assert(offsetof(struct trapframe, r11) == 48 && offsetof(struct trapframe, rcx) == 88 &&
	       offsetof(struct trapframe, orig_rax) == 120 && offsetof(struct trapframe, rip) == 136 &&
	       offsetof(struct trapframe, cs) == 144 && offsetof(struct trapframe, rflags) == 152, "entry.S");
_Static_assert(offsetof(struct tss, rsp) == 4, "switch.S: rsp0");

/* GDT, TSS and IDT of the running CPU. */
void traps_init_cpu(const u64 stack_top[NR_GUARDED_STACKS])
{
	struct tss *tss = this_cpu_ptr(cpu_tss);
	u64 *gdt = *this_cpu_ptr(cpu_gdt), base = (u64)tss;
	struct table_pointer p = { sizeof(gdt_words) - 1, (u64)gdt }, interrupts = { sizeof(idt) - 1, (u64)idt };

	gdt[KERNEL_CS / 8] = 0x00af9b000000ffff;
	gdt[KERNEL_SS / 8] = 0x00cf93000000ffff;
	gdt[USER_SS / 8] = 0x00cff3000000ffff;
	gdt[USER_CS / 8] = 0x00affb000000ffff;
	gdt[7] = (sizeof(*tss) - 1) | (base & 0xffffff) << 16 | 0x89UL << 40 | (base >> 24 & 0xff) << 56;
	gdt[8] = base >> 32;
	for (unsigned i = IST_NMI; i < NR_GUARDED_STACKS; i++) {
		u64 *top = (u64 *)stack_top[i] - 2;

		*top = this_cpu(percpu_offset);
		tss->ist[i - 1] = (u64)top;
	}
	tss->io_bitmap = sizeof(*tss);
	__asm__ volatile("lgdt %0\n\t"
			 "push %1\n\t"
			 "lea 1f(%%rip), %%rax\n\t"
			 "push %%rax\n\t"
			 "lretq\n"
			 "1:\tltr %w2\n\t"
			 "mov %w3, %%ss"
			 :: "m"(p), "i"(KERNEL_CS), "r"(7 * 8), "r"(KERNEL_SS) : "rax", "memory");
	this_cpu(kernel_stack_top) = stack_top[STACK_BOOT];
	__asm__ volatile("lidt %0" :: "m"(interrupts));
}

void traps_init(void)
{
	u64 stack_top[NR_GUARDED_STACKS];

	for (unsigned i = 0; i < ARRAY_SIZE(idt); i++) {
		u64 stub = (u64)trap_stubs[i];

		idt[i] = (struct gate){
			.offset_low = (u16)stub, .offset_middle = (u16)(stub >> 16), .offset_high = (u32)(stub >> 32),
			.selector = KERNEL_CS, .type = i == TRAP_BP ? 0xee : 0x8e,
		};
	}
	idt[TRAP_NMI].ist = IST_NMI;
	idt[TRAP_DF].ist = IST_DF;
	idt[TRAP_MC].ist = IST_MC;
	idt[TRAP_DB].ist = IST_DB;
	for (unsigned i = 0; i < NR_GUARDED_STACKS; i++)
		stack_top[i] = (u64)(guarded_stacks + i + 1);
	traps_init_cpu(stack_top);
}
