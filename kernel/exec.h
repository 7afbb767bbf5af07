/* SPDX-License-Identifier: MIT */
/*
 * Owns: what the files of exec share: exec.c (the order of things, scripts), exec_elf.c (the program file),
 * exec_args.c (its strings and first stack). All that can fail is done before anything of the running
 * program is touched; what has been made then is an exec_image.
 */
#pragma once
#include "kernel/fs/file.h"
#include "kernel/thread.h"

#define EXEC_HEAD 512		/* bytes at the start of a file that decide what it is */
#define ELF_HEADER 64		/* bytes, at the least, of a program */
#define STACK_TOP (USER_END - PAGE_SIZE)
#define ELF_END (USER_END - GiB(1))	/* no segment reaches the area of stacks */

/* The program file. */
struct elf_segment { u32 type, flags; u64 offset, vaddr, paddr, filesz, memsz, align; };
struct elf {
	struct file *file;
	struct elf_segment *segment;	/* all program headers; kmem */
	unsigned nr_segments;
	unsigned interp;		/* index of the header that names its interpreter; NO_INTERP */
	bool exec_stack;
	bool movable;			/* position independent */
	u64 bias;			/* added to addresses of the file */
	u64 align;			/* of the bias */
	vaddr_t start, entry, phdr, end;	/* where they will be; START of the first page, END of the last one */
};
#define NO_INTERP (~0U)
/* Reads and checks all of FILE's headers, of which HEAD are the first N bytes. 0, -ENOEXEC, -ENOMEM, -EIO. */
int elf_read(struct elf *e, struct file *file, const void *head, size_t n);
/* The path of its interpreter (e->interp is one) into PATH. 0, -ENOEXEC, -EIO. */
int elf_interpreter(const struct elf *e, char path[PAGE_SIZE]);
void elf_done(struct elf *e);
/* Moves E, if it is movable, to where mmap would put it in S. 0 or -ENOMEM. */
int elf_move(struct elf *e, struct space *s);
/* Maps it all into S, where nothing is in its way. 0 or -errno (-EEXIST: something is). */
int elf_map(const struct elf *e, struct space *s);
/* Says that E, mapped, is the program of S: its code, its data, its heap after the end. */
void elf_own(const struct elf *e, struct space *s);

/* Strings and words on their way to the new stack, in pages. */
struct arg_page;
struct arg_buffer { struct arg_page *first, *last; size_t size; };
struct exec_args {
	struct arg_buffer strings;	/* argv's, envp's, then what auxv points to */
	struct arg_buffer words;	/* argc, argv, 0, envp, 0, auxv; strings as offsets */
	u64 argc, envc;
	size_t limit, env_start, env_end;	/* offsets of strings */
};
/* Starts with the strings PREFIX (N of them), which stand for argv[0]. 0, -E2BIG, -EFAULT, -ENOMEM. */
int args_collect(struct exec_args *a, const struct exec_strings *from, const char *const *prefix, unsigned n);
/* Makes S's stack with it all and the auxiliary vector of E, started as PATH, with its interpreter at
 * INTERP (0: none). 0 or -errno; *SP is where the stack pointer starts. */
int args_push(struct exec_args *a, struct space *s, const struct elf *e, vaddr_t interp, const char *path, vaddr_t *sp);
/* Sets where mmap begins, by the limit of S's stack. */
void args_place_mmap(struct space *s);
void args_free(struct exec_args *a);

/* A program ready to be run. */
struct exec_image {
	struct file *file;
	struct space *space;
	vaddr_t entry, sp;
	char comm[16];
};
/* 0 or -errno. For the limits and credentials of the running process. */
int exec_build(struct exec_image *image, const char *path, const struct exec_strings *strings);
/* F becomes the program's first frame. */
void exec_frame(struct trapframe *f, const struct exec_image *image);
