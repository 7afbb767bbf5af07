/* SPDX-License-Identifier: MIT */
/*
 * Owns: the ways out of the machine. The verdict goes to the debug console, a line of text; then the
 * exit device ends QEMU. Where neither exists the CPU halts for good.
 */
#include "arch/cpu.h"
#include "arch/machine.h"
#include "kernel/base/print.h"

enum { PORT_VERDICT = 0xe9, PORT_EXIT = 0xf4 };
enum { LEAVE_ORDERLY = 0x10, LEAVE_PANIC = 0x20, LEAVE_BOOT_FAILED = 0x30 };

static void __noreturn leave(u32 code)
{
	outl(PORT_EXIT, code);
	for (;;)
		__asm__ volatile("cli\n\thlt");
}

static void say(const char *text)
{
	while (*text)
		outb(PORT_VERDICT, (u8)*text++);
}

void machine_exit(unsigned status)
{
	char line[24];

	snprintf(line, sizeof(line), "exit %u\n", status & 255);
	say(line);
	leave(LEAVE_ORDERLY);
}

void machine_panic_exit(void)
{
	say("panic\n");
	leave(LEAVE_PANIC);
}

void machine_boot_failed(const char *why)
{
	printk(LOG_EMERG, "cannot start: %s", why);
	say("boot-failed ");
	say(why);
	say("\n");
	leave(LEAVE_BOOT_FAILED);
}
