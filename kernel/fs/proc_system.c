/* SPDX-License-Identifier: MIT */
/*
 * Owns: the files of /proc that tell of the whole machine, in Linux's formats, which programs parse; a
 * field is left out rather than made up. All numbers are taken anew at each read, under the locks
 * of those who own them; nothing is stored here but the load averages, which a timer moves.
 */
#include "arch/machine.h"
#include "kernel/base/tunables.h"
#include "kernel/fs/proc.h"
#include "kernel/sysrq.h"
#include "kernel/thread.h"
#include "kernel/version.h"
#include "mm/report.h"

static int show_vmstat(struct proc_file *pf __unused, struct text *t)
{
	struct memory_usage m;

	cpus_drain();
	memory_usage(&m);
	text_printf(t, "nr_free_pages %lu\nnr_anon_pages %lu\nnr_file_pages %lu\nnr_shmem %lu\n", m.free, m.anon,
		    m.file + m.shmem, m.shmem);
	text_printf(t, "nr_page_table_pages %lu\nnr_slab_pages %lu\nnr_kernel_pages %lu\n", m.tables, m.slab, m.kernel);
	for (unsigned i = 0; i < NR_COUNTERS; i++)
		text_printf(t, "%s %lu\n", counter_names[i], counter_sum(i));
	return 0;
}

static int show_meminfo(struct proc_file *pf __unused, struct text *t)
{
	struct memory_usage m;

	cpus_drain();
	memory_usage(&m);
	const struct { const char *name; u64 pages; } line[] = {
		{ "MemTotal:", m.total }, { "MemFree:", m.free }, { "MemAvailable:", m.free + m.clean }, { "Buffers:", 0 },
		{ "Cached:", m.file + m.shmem }, { "SwapCached:", 0 }, { "SwapTotal:", 0 }, { "SwapFree:", 0 },
		{ "Dirty:", 0 }, { "Writeback:", 0 }, { "AnonPages:", m.anon }, { "Shmem:", m.shmem }, { "Slab:", m.slab },
		{ "SReclaimable:", 0 }, { "SUnreclaim:", m.slab }, { "PageTables:", m.tables },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(line); i++)
		text_printf(t, "%-15s %8lu kB\n", line[i].name, KB(line[i].pages));
	return 0;
}

struct cpu_times { u64 user, kernel, idle; };	/* ns */

static struct cpu_times cpu_times(u32 cpu)
{
	u64 all = clock_ns(), idle = MIN(sched_idle_ns(cpu), all), kernel = MIN(times_kernel_ns(cpu), all - idle);

	return (struct cpu_times){ all - idle - kernel, kernel, idle };
}

static struct cpu_times machine_times(void)
{
	struct cpu_times sum = { 0 };

	for (u32 cpu = 0; cpu < nr_cpus; cpu++) {
		struct cpu_times one = cpu_times(cpu);

		sum.user += one.user;
		sum.kernel += one.kernel;
		sum.idle += one.idle;
	}
	return sum;
}

static void put_times(struct text *t, struct cpu_times c)
{
	text_printf(t, " %lu 0 %lu %lu 0 0 0 0 0 0\n", proc_ticks(c.user), proc_ticks(c.kernel), proc_ticks(c.idle));
}

static int show_stat(struct proc_file *pf __unused, struct text *t)
{
	text_printf(t, "cpu ");
	put_times(t, machine_times());
	for (u32 cpu = 0; cpu < nr_cpus; cpu++) {
		text_printf(t, "cpu%u", cpu);
		put_times(t, cpu_times(cpu));
	}
	text_printf(t, "intr %lu\nctxt %lu\nbtime %lu\nprocesses %lu\nprocs_running %lu\nprocs_blocked 0\n",
		    counter_sum(C_interrupts), counter_sum(C_switches), clock_boot_epoch(), nr_processes_started,
		    sched_runnable());
	return 0;
}

static int show_cpuinfo(struct proc_file *pf __unused, struct text *t)
{
	char buf[2048];

	for (u32 cpu = 0; cpu < nr_cpus; cpu++)
		text_write(t, buf, MIN(arch_cpuinfo(cpu, buf, sizeof(buf)), sizeof(buf)));
	return 0;
}

static int show_uptime(struct proc_file *pf __unused, struct text *t)
{
	u64 now = proc_ticks(clock_ns()), idle = proc_ticks(machine_times().idle);

	text_printf(t, "%lu.%02lu %lu.%02lu\n", now / 100, now % 100, idle / 100, idle % 100);
	return 0;
}

/* Averages of the runnable threads over 1, 5 and 15 minutes, in 2048ths: each sample of 5 s counts e^(-5 s/T)
 * of what it counted at the one before. */
#define LOAD_ONE 2048UL
#define LOAD_PERIOD 5000000000UL
static u64 load[3];
static struct timer load_timer;

static void load_sample(struct timer *timer)
{
	static const u64 keep[3] = { 1884, 2014, 2037 };
	u64 now = sched_runnable() * LOAD_ONE;

	for (int i = 0; i < 3; i++)
		load[i] = (load[i] * keep[i] + now * (LOAD_ONE - keep[i]) + LOAD_ONE / 2) / LOAD_ONE;
	timer_start(timer, timer->deadline + LOAD_PERIOD, load_sample);
}

void proc_load_start(void)
{
	if (!load_timer.fn)
		timer_start(&load_timer, clock_ns() + LOAD_PERIOD, load_sample);
}

void proc_load(u64 average[3])
{
	for (int i = 0; i < 3; i++)
		average[i] = load[i] * (65536 / LOAD_ONE);
}

static int show_loadavg(struct proc_file *pf __unused, struct text *t)
{
	GUARD(process_lock);
	struct process *p;
	pid_t last = 0;		/* the youngest that is still there */

	for (int i = 0; i < 3; i++)
		text_printf(t, "%lu.%02lu ", load[i] / LOAD_ONE, load[i] % LOAD_ONE * 100 / LOAD_ONE);
	LIST_FOREACH(p, &all_processes, all)
		last = p->pid;
	text_printf(t, "%lu/%u %d\n", sched_runnable(), nr_threads, last);
	return 0;
}

int proc_show_mounts(struct proc_file *pf __unused, struct text *t)
{
	vfs_mounts_text(t);
	return 0;
}

static int show_version(struct proc_file *pf __unused, struct text *t)
{
	text_printf(t, "Linux version %s (Quire) %s\n", VERSION_RELEASE, VERSION_VERSION);
	return 0;
}

static int show_filesystems(struct proc_file *pf __unused, struct text *t)
{
	text_printf(t, "nodev\tproc\nnodev\ttmpfs\n\text2\n");
	return 0;
}

static int show_tunables(struct proc_file *pf __unused, struct text *t)
{
	char value[32], range[64];

	for (unsigned i = 0; i < tunable_count(); i++) {
		tunable_format(i, value, sizeof(value));
		tunable_range(i, range, sizeof(range));
		text_printf(t, "%s %s %s %s\n", tunable_name(i), value, range, tunable_help(i));
	}
	return 0;
}

static int show_cmdline(struct proc_file *pf __unused, struct text *t)
{
	text_printf(t, "%s\n", boot_info.cmdline);
	return 0;
}

static int show_swaps(struct proc_file *pf __unused, struct text *t)
{
	text_printf(t, "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n");
	return 0;
}

static int store_sysrq(struct proc_file *pf __unused, const char *text)
{
	return sysrq(text[0]) ? 0 : -EINVAL;
}

static int link_self(struct proc_node *n __unused, char *buf, size_t size)
{
	return MIN(snprintf(buf, size, "%d", current_process->pid), (int)size);
}

static int link_thread_self(struct proc_node *n __unused, char *buf, size_t size)
{
	return MIN(snprintf(buf, size, "%d/task/%d", current_process->pid, current->tid), (int)size);
}

static const struct proc_entry root_list[] = {
	PROC_TEXT("cmdline", show_cmdline),
	PROC_TEXT("cpuinfo", show_cpuinfo),
	PROC_TEXT("filesystems", show_filesystems),
	PROC_TEXT("loadavg", show_loadavg),
	PROC_TEXT("meminfo", show_meminfo),
	PROC_TEXT("mounts", proc_show_mounts),
	PROC_TEXT("stat", show_stat),
	PROC_TEXT("swaps", show_swaps),
	PROC_TEXT("tunables", show_tunables),
	PROC_TEXT("uptime", show_uptime),
	PROC_TEXT("version", show_version),
	PROC_TEXT("vmstat", show_vmstat),
	{ .name = "sysrq-trigger", .mode = S_IFREG | 0200, .store = store_sysrq },
	PROC_DIR("sys", 0555, .list = proc_sys_list, PROC_TUNABLES),
	PROC_LINK("self", link_self),
	PROC_LINK("thread-self", link_thread_self),
	{ 0 }
};

const struct proc_entry proc_root = PROC_DIR("", 0555, .list = root_list, .member = proc_pid_member, .of = &proc_pid);
