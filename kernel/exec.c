/* SPDX-License-Identifier: MIT */
/*
 * Owns: execve: first everything that can fail (find the file, follow `#!` lines, read its headers, gather the
 * strings, build the new space), then the step that cannot: the other threads end, the space is exchanged,
 * and what the old program had set up is reset.
 *
 * Only between becoming the only thread and the end of the call is there no way back: an error there kills the
 * process. Locks: process_lock where the process's parts change under others' eyes.
 */
#include "kernel/exec.h"
#include "arch/user.h"
#include "kernel/base/errno.h"
#include "kernel/base/string.h"
#include "kernel/fs/vfs.h"
#include "kernel/syscalls.h"
#include "mm/check.h"
#include "mm/kmem.h"

#define SCRIPT_DEPTH 4
#define SCRIPT_LINE 256

/* The file to run in the end, and the `#!` lines that led there. */
struct program {
	struct file *file;
	char head[EXEC_HEAD];
	size_t head_size;
	unsigned depth;
	struct { char text[SCRIPT_LINE]; const char *interpreter, *argument; } line[SCRIPT_DEPTH];
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* Cuts the first line of a script into interpreter and the rest as one argument. 0, -ENOEXEC. */
static int parse_line(struct program *p)
{
	__auto_type line = &p->line[p->depth];
	size_t n = MIN(p->head_size, (size_t)SCRIPT_LINE) - 2;
	char *s = line->text, *end;

	memcpy(s, p->head + 2, n);
	s[n] = 0;
	end = strchr(s, '\n');
	if (!end && p->head_size >= SCRIPT_LINE)
		return -ENOEXEC;
	if (!end)
		end = s + strlen(s);
	while (end > s && is_blank(end[-1]))
		end--;
	*end = 0;
	while (is_blank(*s))
		s++;
	if (!*s)
		return -ENOEXEC;
	line->interpreter = s;
	while (*s && !is_blank(*s))
		s++;
	while (is_blank(*s))
		*s++ = 0;
	line->argument = *s ? s : NULL;
	p->depth++;
	return 0;
}

/* Opens PATH, and as long as it is a script, its interpreter. On 0 the caller puts p->file. */
static int find_program(struct program *p, const char *path)
{
	p->depth = 0;
	for (;;) {
		int err = file_open_exec(path, &p->file);
		ssize_t n;

		if (err)
			return err;
		n = file_read_kernel(p->file, p->head, sizeof(p->head), 0);
		if (n >= 0 && (n < 2 || memcmp(p->head, "#!", 2))) {
			p->head_size = (size_t)n;
			return 0;
		}
		file_put(p->file);
		if (n < 0)
			return (int)n;
		if (p->depth == SCRIPT_DEPTH)
			return -ELOOP;
		p->head_size = (size_t)n;
		err = parse_line(p);
		if (err)
			return err;
		path = p->line[p->depth - 1].interpreter;
	}
}

/* What stands for argv[0] of a script: the last interpreter and its argument, ..., the script's path. */
static unsigned script_prefix(const struct program *p, const char *path, const char *prefix[2 * SCRIPT_DEPTH + 1])
{
	unsigned n = 0;

	for (unsigned i = p->depth; i-- > 0;) {
		prefix[n++] = p->line[i].interpreter;
		if (p->line[i].argument)
			prefix[n++] = p->line[i].argument;
	}
	if (n)
		prefix[n++] = path;
	return n;
}

/* Opens E's interpreter and reads its headers. The caller puts interp->file, if there is one then. */
static int find_interpreter(struct elf *interp, const struct elf *e)
{
	char *page = path_page();	/* for its path, then its head */
	ssize_t n;
	int err;

	if (!page)
		return -ENOMEM;
	err = elf_interpreter(e, page) ?: file_open_exec(page, &interp->file);
	if (!err) {
		n = file_read_kernel(interp->file, page, EXEC_HEAD, 0);
		err = n < 0 ? (int)n : n < ELF_HEADER ? -EIO : elf_read(interp, interp->file, page, n);
		if (err == -ENOEXEC)
			err = -ELIBBAD;
	}
	path_page_free(page);
	return err;
}

/* The new space with all in it. */
static int build_space(struct exec_image *image, const struct elf *e, struct elf *interp, struct exec_args *args,
		       const char *path)
{
	struct space *s = space_create();
	int err;

	if (!s)
		return -ENOMEM;
	process_apply_limits(current_process, s);
	args_place_mmap(s);
	err = elf_map(e, s);
	elf_own(e, s);
	if (!err && interp->file)
		err = elf_move(interp, s) ?: elf_map(interp, s);
	if (!err)
		err = args_push(args, s, e, interp->bias, path, &image->sp);
	if (err) {
		space_put(s);
		return err;
	}
	image->space = s;
	image->entry = interp->file ? interp->entry : e->entry;
	return 0;
}

static void name_after(char comm[16], const char *path)
{
	const char *slash = strrchr(path, '/');

	strlcpy(comm, slash ? slash + 1 : path, 16);
}

int exec_build(struct exec_image *image, const char *path, const struct exec_strings *strings)
{
	const char *prefix[2 * SCRIPT_DEPTH + 1];
	struct program p;
	struct exec_args args = { .argc = 0 };
	struct elf e, interp = { .file = NULL };
	int err = find_program(&p, path);

	if (err)
		return err;
	err = elf_read(&e, p.file, p.head, p.head_size);
	if (!err && e.interp != NO_INTERP)
		err = find_interpreter(&interp, &e);
	if (!err)
		err = args_collect(&args, strings, prefix, script_prefix(&p, path, prefix));
	if (!err)
		err = build_space(image, &e, &interp, &args, path);
	args_free(&args);
	elf_done(&e);
	elf_done(&interp);
	if (interp.file)
		file_put(interp.file);
	if (err) {
		file_put(p.file);
		return err;
	}
	image->file = p.file;
	name_after(image->comm, path);
	return 0;
}

void exec_frame(struct trapframe *f, const struct exec_image *image)
{
	*f = (struct trapframe){
		.rip = image->entry, .rsp = image->sp, .cs = USER_CS, .ss = USER_SS, .rflags = RFLAGS_ALWAYS | RFLAGS_IF,
		.orig_rax = (u64)-1,
	};
}

/* Ends the other threads; this one becomes the first. -EINTR: it is to end itself. */
static int become_only_thread(struct thread *t, struct process *p)
{
	struct thread *other;
	int err = 0;

	spin_lock(&process_lock);
	if (t->exiting)
		err = -EINTR;
	if (!err && p->nr_threads > 1) {
		p->exec_thread = t;
		TAILQ_FOREACH(other, &p->threads, sibling) {
			if (other != t) {
				other->exiting = true;
				signal_update(other);
			}
		}
		while (!err && p->nr_threads > 1)
			err = waitq_sleep(&p->thread_wait, &process_lock, SLEEP_FOREVER, SLEEP_KILLABLE);
		p->exec_thread = NULL;
	}
	if (!err && t->tid != p->pid)
		thread_renumber(t, p->pid);
	spin_unlock(&process_lock);
	return err;
}

/* Signal actions shared with another process (CLONE_SIGHAND) become the process's own. */
static int unshare_signals(struct process *p)
{
	struct signal_process *old = p->sig, *own;

	if (READ_ONCE(old->refs) == 1)
		return 0;
	own = signal_process_copy(old);
	if (!own)
		return -ENOMEM;
	itimer_leave(p, old);
	spin_lock(&process_lock);
	p->sig = own;
	signal_move_count(current, old, own);
	spin_unlock(&process_lock);
	signal_process_put(old);
	return 0;
}

/* What /proc shows of the process changes with its space, at once. */
static void exchange_space(struct thread *t, struct process *p, const struct exec_image *image)
{
	struct space *old = p->space, *s = image->space;
	char exe[sizeof(p->exe)];

	file_path(image->file, exe, sizeof(exe));
	thread_release_user(t);
	check_after(old, true);
	spin_lock(&process_lock);
	p->space = t->space = s;
	memcpy(p->exe, exe, sizeof(p->exe));
	memcpy(t->comm, image->comm, sizeof(t->comm));
	memcpy(p->comm, image->comm, sizeof(p->comm));
	spin_unlock(&process_lock);
	tlb_switch_space(s);
	p->max_rss_pages = MAX(p->max_rss_pages, space_put(old));
}

static void reset_thread(struct thread *t)
{
	fpu_init(t->context.fpu);
	fpu_load(&t->context);
	if (context_get_fs(&t->context))
		context_set_fs(&t->context, 0);
	if (context_get_gs(&t->context))
		context_set_gs(&t->context, 0);
	t->restart_deadline = 0;
	t->set_child_tid = 0;
}

long process_exec(struct trapframe *f, const char *path, const struct exec_strings *strings)
{
	struct thread *t = current;
	struct process *p = t->process;
	struct exec_image image;
	bool alone = p->nr_threads == 1;
	int err = exec_build(&image, path, strings);

	if (err)
		return err;
	err = become_only_thread(t, p);
	if (!err)
		err = unshare_signals(p);
	p->did_exec = true;		/* before the descriptors close: their end may be what tells of it */
	if (!err)
		err = files_exec(&p->files);
	if (err) {
		space_put(image.space);
		file_put(image.file);
		if (!alone && !t->exiting)
			process_exit_group(SIGKILL);
		return err;
	}
	exchange_space(t, p, &image);
	file_put(image.file);
	p->dumpable = true;
	signal_exec(p);
	reset_thread(t);
	exec_frame(f, &image);
	count(execs);
	thread_release_vfork(t);
	return 0;
}

/* PATH in user memory, into a page of its own. */
static long exec_user(vaddr_t path, vaddr_t argv, vaddr_t envp)
{
	struct frame *page = frame_alloc(FRAME_KERNEL);
	struct exec_strings strings = { .argv = argv, .envp = envp };
	long err;

	if (!page)
		return -ENOMEM;
	err = user_copy_string(frame_ptr(page), path, PAGE_SIZE);
	if (err >= 0)
		err = err ? process_exec(syscall_frame(), frame_ptr(page), &strings) : -ENOENT;
	frame_put(page);
	return err;
}

long sys_execve(u64 path, u64 argv, u64 envp, u64 a3 __unused, u64 a4 __unused, u64 a5 __unused)
{
	return exec_user(path, argv, envp);
}

enum { AT_SYMLINK_NOFOLLOW_ = 0x100, AT_EMPTY_PATH_ = 0x1000 };

/* Relative to a directory, or with an empty path the open file itself: by its absolute path. */
long sys_execveat(u64 fd, u64 path, u64 argv, u64 envp, u64 flags, u64 a5 __unused)
{
	struct exec_strings strings = { .argv = argv, .envp = envp };
	struct file *dir;
	char *full, first;
	size_t n;
	long err;

	if (flags & ~(u64)(AT_SYMLINK_NOFOLLOW_ | AT_EMPTY_PATH_))
		return -EINVAL;
	if (user_get(&first, path))
		return -EFAULT;
	if (first == '/' || (first && (int)fd == AT_FDCWD))
		return exec_user(path, argv, envp);
	if (!first && !(flags & AT_EMPTY_PATH_))
		return -ENOENT;
	dir = fd_get((int)fd);
	if (!dir)
		return -EBADF;
	full = kmem_alloc(2 * PATH_MAX);
	if (full) {
		file_path(dir, full, PATH_MAX);
		n = strlen(full);
		if (first)
			full[n++] = '/';
		err = first ? user_copy_string(full + n, path, PATH_MAX) : 0;
		if (err >= 0)
			err = process_exec(syscall_frame(), full, &strings);
	} else {
		err = -ENOMEM;
	}
	kmem_free(full);
	file_put(dir);
	return err;
}
