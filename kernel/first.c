/* SPDX-License-Identifier: MIT */
/*
 * Owns: the first process. It is built by the boot thread, which meanwhile counts as one of its threads, so
 * that files are opened and limits looked up as for any other; from then on every process is a child of it.
 */
#include "arch/machine.h"
#include "kernel/base/errno.h"
#include "kernel/base/print.h"
#include "kernel/base/string.h"
#include "kernel/exec.h"
#include "mm/kmem.h"

#define UNLIMITED (~0UL)
#define FRAMES_A_THREAD 32	/* as many threads as leave each this many frames */

static void set_limits(struct process *p)
{
	for (unsigned i = 0; i < NR_RLIMITS; i++)
		p->limits[i] = (struct rlimit){ UNLIMITED, UNLIMITED };
	p->limits[RLIM_STACK].cur = MiB(8);
	p->limits[RLIM_CORE].cur = 0;
	p->limits[RLIM_NPROC] = (struct rlimit){ max_threads, max_threads };
	p->limits[RLIM_NOFILE] = (struct rlimit){ 1024, 65536 };
	p->limits[RLIM_MEMLOCK] = (struct rlimit){ MiB(8), MiB(8) };
	p->limits[RLIM_SIGPENDING] = (struct rlimit){ max_threads, max_threads };
	p->limits[RLIM_NICE] = p->limits[RLIM_RTPRIO] = (struct rlimit){ 0, 0 };
}

/* Standard input, output and error of init. */
static void open_console(void)
{
	struct file *f;
	int err = file_open("/dev/console", O_RDWR | O_NOCTTY, 0, &f);

	for (int i = 0; !err && i < 3; i++) {
		file_get(f);
		if (fd_install(f, false, 0) < 0) {
			err = -EMFILE;
			file_put(f);
		}
	}
	if (err)
		printk(LOG_WARN, "init has no console: error %d", -err);
	else
		file_put(f);
}

static void enter_program(void *unused __unused)
{
	trap_return(context_frame(&current->context));
}

static int build(struct process *p, const char *path)
{
	const char *const argv[] = { path, NULL }, *const envp[] = { "HOME=/", "TERM=linux", NULL };
	struct exec_strings strings = { .kernel_argv = argv, .kernel_envp = envp };
	struct exec_image image;
	struct thread *t;
	int err;

	p->files = files_create();
	p->fs = fs_context_create();
	p->sig = signal_process_create();
	if (!p->files || !p->fs || !p->sig)
		return -ENOMEM;
	set_limits(p);
	open_console();
	err = exec_build(&image, path, &strings);
	if (err)
		return err;
	p->space = image.space;
	t = thread_alloc(p, true, enter_program, NULL);
	if (!t) {
		file_put(image.file);
		return -ENOMEM;
	}
	file_path(image.file, p->exe, sizeof(p->exe));
	file_put(image.file);
	t->space = image.space;
	t->domain = domain_create();
	memcpy(t->comm, image.comm, sizeof(t->comm));
	memcpy(p->comm, image.comm, sizeof(p->comm));
	fpu_init(t->context.fpu);
	exec_frame(context_frame(&t->context), &image);
	spin_lock(&process_lock);
	p->pid = p->pgid = p->sid = pid_alloc();
	process_link(p, &kernel_process);
	thread_link(t, p, p->pid);
	spin_unlock(&process_lock);
	sched_ready(t);
	return 0;
}

int process_start_init(const char *path)
{
	struct process *p;
	int err = -ENOMEM;

	max_threads = (u32)MIN(MAX(frame_nr_total() / FRAMES_A_THREAD, 64UL), PID_MAX - 2UL);
	p = process_alloc(&kernel_process);
	if (p) {
		init_process = p;
		current->process = p;
		err = build(p, path);
		current->process = &kernel_process;
		if (err)
			process_free(p);
	}
	return err;
}
