/* SPDX-License-Identifier: MIT */
/*
 * Owns: the strings that a program starts with, and its first stack. Both are gathered in pages of the
 * kernel while the old program's memory is there, then written to the new space in one piece each:
 *
 *	sp -> argc, argv[]…, 0, envp[]…, 0, auxv…        words
 *	      argv strings, envp strings, auxv's strings  strings, up to just below STACK_TOP
 *
 * Limits as Linux has them: a string 128 KiB; all, with their pointers, a quarter of the stack's limit.
 */
#include "arch/platform.h"
#include "arch/user.h"
#include "kernel/base/errno.h"
#include "kernel/base/string.h"
#include "kernel/exec.h"
#include "kernel/random.h"
#include "mm/fault.h"
#include "mm/vm.h"

#define MAX_STRING KiB(128)
#define MIN_ARGS KiB(128)
#define MAX_ARGS MiB(6)
#define STACK_AT_FIRST KiB(128)	/* besides the strings */
#define MMAP_GAP_MIN MiB(128)
#define RANDOM_BYTES 16

enum {
	AT_NULL, AT_PHDR = 3, AT_PHENT, AT_PHNUM, AT_PAGESZ, AT_BASE, AT_FLAGS, AT_ENTRY, AT_UID = 11, AT_EUID, AT_GID,
	AT_EGID, AT_PLATFORM, AT_HWCAP, AT_CLKTCK, AT_SECURE = 23, AT_RANDOM = 25, AT_EXECFN = 31, AT_MINSIGSTKSZ = 51,
};

struct arg_page {
	struct arg_page *next;
	size_t used;
	char data[PAGE_SIZE - 16];
};
_Static_assert(sizeof(struct arg_page) == PAGE_SIZE, "a page");

static __noinline struct arg_page *new_page(struct arg_buffer *b)
{
	struct frame *f = frame_alloc(FRAME_KERNEL);
	struct arg_page *p;

	if (!f)
		return NULL;
	p = frame_ptr(f);
	p->next = NULL;
	p->used = 0;
	if (b->last)
		b->last->next = p;
	else
		b->first = p;
	b->last = p;
	return p;
}

/* The last page of B, with room for something. NULL: no memory. */
static inline struct arg_page *room(struct arg_buffer *b)
{
	struct arg_page *p = b->last;

	return likely(p && p->used < sizeof(p->data)) ? p : new_page(b);
}

static int append(struct arg_buffer *b, const void *data, size_t n)
{
	while (n) {
		struct arg_page *p = room(b);

		if (!p)
			return -ENOMEM;
		size_t part = MIN(n, sizeof(p->data) - p->used);
		memcpy(p->data + p->used, data, part);
		p->used += part;
		b->size += part;
		data = (const char *)data + part;
		n -= part;
	}
	return 0;
}

/* Nothing but words goes into a buffer of words, so that one never lies across two pages. */
static int append_word(struct arg_buffer *b, u64 word)
{
	struct arg_page *p = room(b);

	if (!p)
		return -ENOMEM;
	*(u64 *)(p->data + p->used) = word;
	p->used += sizeof(word);
	b->size += sizeof(word);
	return 0;
}

static int append_user_string(struct arg_buffer *b, vaddr_t from)
{
	size_t begin = b->size;

	for (;;) {
		struct arg_page *p = room(b);

		if (!p)
			return -ENOMEM;
		size_t space = sizeof(p->data) - p->used;
		ssize_t n = user_copy_string(p->data + p->used, from, space);
		if (n < 0 && n != -ENAMETOOLONG)
			return (int)n;
		size_t got = n < 0 ? space : (size_t)n + 1;
		p->used += got;
		b->size += got;
		from += got;
		if (b->size - begin > MAX_STRING)
			return -E2BIG;
		if (n >= 0)
			return 0;
	}
}

/* One more string of argv or envp: KERNEL if not NULL, else the program's at USER. */
static int add_string(struct exec_args *a, const char *kernel, vaddr_t user)
{
	int err = append_word(&a->words, a->strings.size);

	if (!err)
		err = kernel ? append(&a->strings, kernel, strlen(kernel) + 1) : append_user_string(&a->strings, user);
	if (!err && a->strings.size + a->words.size > a->limit)
		err = -E2BIG;
	return err;
}

/* The strings of one array from its word FIRST on, and the 0 that ends it; *COUNT goes up. */
static int add_array(struct exec_args *a, vaddr_t user, const char *const *kernel, unsigned first, u64 *count)
{
	for (u64 i = first;; i++) {
		u64 at = 0;
		int err;

		if (kernel ? !kernel[i] : !user)
			break;
		if (!kernel && user_get(&at, user + i * sizeof(at)))
			return -EFAULT;
		if (!kernel && !at)
			break;
		err = add_string(a, kernel ? kernel[i] : NULL, at);
		if (err)
			return err;
		++*count;
	}
	return append_word(&a->words, 0);
}

int args_collect(struct exec_args *a, const struct exec_strings *from, const char *const *prefix, unsigned n)
{
	u64 stack = current_process->limits[RLIM_STACK].cur, first = 0;
	const char *nameless = "";
	int err = 0;

	*a = (struct exec_args){ .limit = MAX(MIN(stack / 4, MAX_ARGS), MIN_ARGS) };
	if (from->kernel_argv)
		first = from->kernel_argv[0] != NULL;
	else if (from->argv)
		err = user_get(&first, from->argv);
	if (!first && !n) {			/* a program always has a name, if an empty one */
		prefix = &nameless;
		n = 1;
	}
	if (!err)
		err = append_word(&a->words, 0);	/* argc, when it is known */
	for (unsigned i = 0; !err && i < n; i++, a->argc++)
		err = add_string(a, prefix[i], 0);
	if (!err)
		err = add_array(a, from->argv, from->kernel_argv, n && first, &a->argc);
	a->env_start = a->strings.size;
	if (!err)
		err = add_array(a, from->envp, from->kernel_envp, 0, &a->envc);
	a->env_end = a->strings.size;
	return err;
}

void args_free(struct exec_args *a)
{
	struct arg_buffer *b[] = { &a->strings, &a->words };

	for (unsigned i = 0; i < ARRAY_SIZE(b); i++) {
		for (struct arg_page *p = b[i]->first, *next; p; p = next) {
			next = p->next;
			frame_put(frame_of_ptr(p));
		}
		*b[i] = (struct arg_buffer){ 0 };
	}
}

/* Adds the auxiliary vector; strings that it points to are words from BASE on, once that is known. */
static int add_auxv(struct exec_args *a, const struct elf *e, vaddr_t interp, const char *path, vaddr_t *base)
{
	const struct credentials *c = &current_process->cred;
	size_t execfn = a->strings.size, platform = execfn + strlen(path) + 1, random = platform + sizeof("x86_64");
	u8 bytes[RANDOM_BYTES];
	u32 r[4];
	int err;

	cpuid(1, 0, r);
	random_bytes(bytes, sizeof(bytes));
	err = append(&a->strings, path, strlen(path) + 1);
	if (!err)
		err = append(&a->strings, "x86_64", sizeof("x86_64"));
	if (!err)
		err = append(&a->strings, bytes, sizeof(bytes));
	*base = ALIGN_DOWN(STACK_TOP - 16 - a->strings.size, 16);
	u64 auxv[] = {
		AT_HWCAP, r[3], AT_PAGESZ, PAGE_SIZE, AT_CLKTCK, 100, AT_PHDR, e->phdr,
		AT_PHENT, sizeof(struct elf_segment), AT_PHNUM, e->nr_segments, AT_BASE, interp, AT_FLAGS, 0,
		AT_ENTRY, e->entry, AT_UID, c->uid, AT_EUID, c->euid, AT_GID, c->gid, AT_EGID, c->egid, AT_SECURE, 0,
		AT_RANDOM, *base + random, AT_EXECFN, *base + execfn, AT_PLATFORM, *base + platform,
		AT_MINSIGSTKSZ, fpu_size + 1024, AT_NULL, 0,
	};
	return err ? err : append(&a->words, auxv, sizeof(auxv));
}

/* Word 0 becomes argc, the offsets of argv and envp addresses. */
static void resolve(struct exec_args *a, vaddr_t base)
{
	u64 pointers = a->argc + a->envc + 3, i = 0;

	for (struct arg_page *p = a->words.first; p && i < pointers; p = p->next)
		for (u64 *w = (u64 *)p->data; i < pointers && (char *)w < p->data + p->used; w++, i++)
			if (i == 0)
				*w = a->argc;
			else if (i != a->argc + 1 && i != pointers - 1)
				*w += base;
}

static int write_out(const struct arg_buffer *b, struct space *s, vaddr_t to)
{
	for (const struct arg_page *p = b->first; p; p = p->next) {
		if (space_write(s, to, p->data, p->used) != (ssize_t)p->used)
			return -ENOMEM;
		to += p->used;
	}
	return 0;
}

/* The stack, written after every fork, has an entry of the root of its own: the tables copied for that first write
 * are small, whatever mmap has brought. */
void args_place_mmap(struct space *s)
{
	u64 gap = MIN(MAX(s->limit_stack, MMAP_GAP_MIN), USER_END / 6 * 5);

	s->mmap_top = ALIGN_DOWN(STACK_TOP - gap, GiB(512));
}

static int make_stack(struct space *s, vaddr_t sp, bool executable)
{
	u64 size = MIN(ALIGN_UP(STACK_TOP - sp + STACK_AT_FIRST, PAGE_SIZE),
		       MAX(ALIGN_DOWN(s->limit_stack, PAGE_SIZE), ALIGN_UP(STACK_TOP - sp, PAGE_SIZE)));
	int err = (int)vm_map_stack(s, STACK_TOP, size);

	if (!err && executable)
		err = (int)vm_protect(s, STACK_TOP - size, size, R_READ | R_WRITE | R_EXEC);
	return err;
}

int args_push(struct exec_args *a, struct space *s, const struct elf *e, vaddr_t interp, const char *path, vaddr_t *sp)
{
	vaddr_t base;
	int err = add_auxv(a, e, interp, path, &base);

	if (err)
		return err;
	*sp = ALIGN_DOWN(base - a->words.size, 16);
	resolve(a, base);
	err = make_stack(s, *sp, e->exec_stack);
	if (!err)
		err = write_out(&a->strings, s, base);
	if (!err)
		err = write_out(&a->words, s, *sp);
	s->stack_start = *sp;
	s->arg_start = base;
	s->arg_end = s->env_start = base + a->env_start;
	s->env_end = base + a->env_end;
	return err;
}
