/* SPDX-License-Identifier: MIT */
/*
 * Owns: the order in which the kernel starts, on one page, and the boot parameters. boot/start.S calls
 * kernel_main on the boot stack with the early tables; it ends as the idle thread. What can go wrong on
 * the way is said in one line, as the verdict too (machine_boot_failed), never by a hang.
 */
#include "arch/machine.h"
#include "arch/platform.h"
#include "boot/boot.h"
#include "kernel/base/errno.h"
#include "kernel/base/print.h"
#include "kernel/base/string.h"
#include "kernel/base/lock.h"
#include "kernel/base/tunables.h"
#include "kernel/dev/block.h"
#include "kernel/dev/tty.h"
#include "kernel/dev/uart.h"
#include "kernel/fs/file.h"
#include "kernel/process.h"
#include "kernel/thread.h"
#include "mm/init.h"
#include "mm/vm.h"

static char init_path[256] = "/sbin/init";

void kernel_main(u32 magic, paddr_t info) __noreturn;

static void demand(const char *why_not)
{
	if (why_not)
		machine_boot_failed(why_not);
}

static void describe_thread(char *buf, size_t size)
{
	struct thread *t = current;

	snprintf(buf, size, "thread %d of process %d (%s)", t->tid, t->process ? t->process->pid : 0, t->comm);
}

static void refuse(const char *name, const char *value, const char *range)
{
	printk(LOG_WARN, "boot parameter %.64s: \"%.64s\" is not in its range %s; the default stays", name, value,
	       range);
}

static void refuse_tunable(const char *name, const char *value)
{
	char range[128] = "";

	for (unsigned i = 0; i < tunable_count(); i++)
		if (!strcmp(tunable_name(i), name))
			tunable_range(i, range, sizeof(range));
	refuse(name, value, range);
}

/* NAME=VALUE: one of ours, or a tunable. (winsize= is read by kernel/dev/console.c.) */
static void take_parameter(const char *name, const char *value)
{
	u64 level;
	int err;

	if (!strcmp(name, "init")) {
		strlcpy(init_path, value, sizeof(init_path));
	} else if (!strcmp(name, "loglevel")) {
		if (!parse_u64(value, &level) && level <= LOG_DEBUG)
			console_loglevel = (int)level;
		else
			refuse(name, value, "0..7");
	} else if (strcmp(name, "winsize")) {
		err = tunable_set(name, value);
		if (err == -EINVAL)
			refuse_tunable(name, value);
		else if (err)
			printk(LOG_WARN, "unknown boot parameter %.64s", name);
	}
}

static void take_parameters(void)
{
	static char line[sizeof(boot_info.cmdline)];
	char *next = line;

	strlcpy(line, boot_info.cmdline, sizeof(line));
	while (next) {
		char *word = next, *value;

		next = strchr(word, ' ');
		if (next)
			*next++ = 0;
		if (!*word)
			continue;
		value = strchr(word, '=');
		if (value)
			*value++ = 0;
		take_parameter(word, value ? value : "");
	}
}

static void follow_tunables(void)
{
	lock_debug = tune.debug_check != 0;
}

static void print_tunables(void)
{
	for (unsigned i = 0; i < tunable_count(); i++) {
		char value[64];

		if (tunable_is_default(i))
			continue;
		tunable_format(i, value, sizeof(value));
		printk(LOG_INFO, "tunable %s=%s", tunable_name(i), value);
	}
}

static void print_memory(void)
{
	u64 bytes = 0;

	for (unsigned i = 0; i < boot_info.nr_ram; i++) {
		bytes += boot_info.ram[i].end - boot_info.ram[i].start;
		printk(LOG_DEBUG, "ram 0x%010lx-0x%010lx", boot_info.ram[i].start, boot_info.ram[i].end);
	}
	printk(LOG_INFO, "Quire, x86-64, by %s; %lu KiB of memory, TSC %lu.%03lu MHz, %s", boot_info.loader,
	       bytes >> 10, clock_tsc_khz() / 1000, clock_tsc_khz() % 1000, platform.madt ? "I/O APIC" : "8259");
	if (boot_info.cmdline[0])
		printk(LOG_INFO, "command line: %s", boot_info.cmdline);
}

/* The root file system from the initial archive, whose memory is free afterwards. */
static void start_files(void)
{
	paddr_t start = boot_info.initrd_start, end = boot_info.initrd_end;

	if (!end)
		machine_boot_failed("no initial file system: give a cpio archive as boot module");
	demand(fs_init((const void *)(DIRECT_BASE + start), end - start));
	frame_add_range(ALIGN_UP(start, PAGE_SIZE), ALIGN_DOWN(end, PAGE_SIZE));
}

void kernel_main(u32 magic, paddr_t info)
{
	char why[320];
	paddr_t root;
	int err;

	percpu_save_image();
	uart_init();
	console_write = uart_console_write;
	console_clock = clock_ns;
	traps_init();
	panic_describe = describe_thread;
	demand(boot_read(magic, info));
	boot_read_acpi();
	cpu_init();
	demand(boot_map(&root));
	boot_reserve_low();
	demand(apic_init());
	clock_init();
	print_memory();
	tunable_changed = follow_tunables;
	take_parameters();
	print_tunables();
	demand(mm_init(&boot_info, root));
	vm_pause = sched_pause;
	vm_major = process_count_major;
	console_init();
	virtio_blk_init();
	start_files();
	cpus_start();
	err = process_start_init(init_path);
	if (err) {
		snprintf(why, sizeof(why), "cannot run %s: error %d", init_path, -err);
		machine_boot_failed(why);
	}
	sched_start();
}
