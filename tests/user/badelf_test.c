/* SPDX-License-Identifier: MIT */
/*
 * badelf_test.c - programs that are none: truncated files, lying headers, segments that overlap,
 * reach the kernel or wrap. Each must be refused with the caller unharmed; then headers with
 * random bytes, of which anything may come but harm.
 *
 * The good program is made here, two segments and a few instructions: it exits with 200. Quire
 * refuses by ENOEXEC; Linux has more words for it, and sometimes starts the program to kill it.
 *
 * tests/run: limit=60
 */
#include "tests/user/test.h"
#include <elf.h>
#include <stddef.h>

#define RAN  200
#define BASE 0x400000UL

static const char path[] = "/tmp/badelf_test.x";

/* The file: header, three program headers, code at 0x1000, data at 0x2000. */
static struct image {
	Elf64_Ehdr eh;
	Elf64_Phdr ph[3];
	char interp[64];
	char pad[0x1000 - sizeof(Elf64_Ehdr) - 3 * sizeof(Elf64_Phdr) - 64];
	unsigned char code[0x1000];
	char data[0x1000];
} image;

static size_t file_size;

static void make_good(void)
{
	/* check that the zeroed part of the data segment is zero, then exit(200) */
	static const unsigned char code[] = {
		0x8b, 0x04, 0x25, 0x00, 0x38, 0x40, 0x00, /* mov 0x403800, %eax */
		0x8d, 0xb8, RAN,  0x00, 0x00, 0x00,	  /* lea 200(%rax), %edi */
		0xb8, 60,   0,	  0,	0,    0x0f, 0x05, /* mov $60, %eax; syscall */
	};

	memset(&image, 0, sizeof(image));
	memcpy(image.eh.e_ident, ELFMAG, 4);
	image.eh.e_ident[EI_CLASS] = ELFCLASS64;
	image.eh.e_ident[EI_DATA] = ELFDATA2LSB;
	image.eh.e_ident[EI_VERSION] = EV_CURRENT;
	image.eh.e_type = ET_EXEC;
	image.eh.e_machine = EM_X86_64;
	image.eh.e_version = EV_CURRENT;
	image.eh.e_entry = BASE + 0x1000;
	image.eh.e_phoff = offsetof(struct image, ph);
	image.eh.e_ehsize = sizeof(image.eh);
	image.eh.e_phentsize = sizeof(image.ph[0]);
	image.eh.e_phnum = 2;
	image.ph[0] = (Elf64_Phdr){ .p_type = PT_LOAD,
				    .p_flags = PF_R | PF_X,
				    .p_offset = 0x1000,
				    .p_vaddr = BASE + 0x1000,
				    .p_filesz = 0x1000,
				    .p_memsz = 0x1000,
				    .p_align = 0x1000 };
	image.ph[1] = (Elf64_Phdr){ .p_type = PT_LOAD,
				    .p_flags = PF_R | PF_W,
				    .p_offset = 0x2000,
				    .p_vaddr = BASE + 0x2000,
				    .p_filesz = 0x800,
				    .p_memsz = 0x3000,
				    .p_align = 0x1000 };
	memcpy(image.code, code, sizeof(code));
	memset(image.data, 0x55, sizeof(image.data));
	file_size = sizeof(image);
}

static void write_file(const char *name, const void *bytes, size_t size)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);

	REQUIRE(fd >= 0);
	REQUIRE(write(fd, bytes, size) == (ssize_t)size);
	close(fd);
}

/* Execute the file: the errno of the refusal, RAN, or minus the signal. */
static int outcome(void)
{
	char *argv[] = { "x", NULL };
	int status;
	pid_t pid;

	write_file(path, &image, file_size);
	pid = fork();
	if (pid == 0) {
		volatile int intact = 12345;

		alarm(2);
		if (!on_quire() && setuid(65534))
			_exit(1);
		execve(path, argv, argv + 1);
		_exit(intact == 12345 ? errno : 1);
	}
	if (waitpid(pid, &status, 0) != pid)
		return 999;
	unlink(path);
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static void refused_as(const char *what, int also)
{
	int result = outcome();
	bool fine = result == ENOEXEC || (also && result == also);

	if (!on_quire())
		fine = result != RAN && result != 999;
	if (!fine) {
		printf("# %s: %s%d\n", what,
		       result < 0    ? "signal " :
		       result == RAN ? "it ran: " :
				       "errno ",
		       abs(result));
		EXPECT(!"refused");
	}
	make_good();
}

#define REFUSED(change)		 (change, refused_as(#change, 0))
#define REFUSED_OR(change, also) (change, refused_as(#change, also))

static void the_good_one(void)
{
	make_good();
	EXPECT_EQ(outcome(), RAN);
	image.eh.e_shoff = 0x7fffffff; /* sections are nobody's business */
	image.eh.e_shnum = 99;
	EXPECT_EQ(outcome(), RAN);
	make_good();
	image.ph[2] = (Elf64_Phdr){ .p_type = PT_NOTE, .p_offset = ~0UL, .p_filesz = ~0UL };
	image.eh.e_phnum = 3;
	EXPECT_EQ(outcome(), RAN);
	make_good();
}

static void truncated(void)
{
	static const size_t sizes[] = { 0, 1, 3, 4, 16, 63, 64, 65, 119, 120, 175 };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		REFUSED(file_size = sizes[i]);
	REFUSED(file_size = 0x1000);
	if (on_quire()) /* Linux maps what is not there, and the program may never look */
		REFUSED(file_size = 0x2100);
}

static void lying_header(void)
{
	for (int i = 0; i < 4; i++)
		REFUSED(image.eh.e_ident[i] ^= 1);
	if (on_quire()) { /* Linux does not look */
		REFUSED(image.eh.e_ident[EI_CLASS] = ELFCLASS32);
		REFUSED(image.eh.e_ident[EI_DATA] = ELFDATA2MSB);
	}
	REFUSED(image.eh.e_machine = EM_AARCH64);
	REFUSED(image.eh.e_machine = 0);
	REFUSED(image.eh.e_type = ET_REL);
	REFUSED(image.eh.e_type = ET_CORE);
	REFUSED(image.eh.e_type = 0);
	REFUSED(image.eh.e_phentsize = 55);
	REFUSED(image.eh.e_phentsize = 0);
	REFUSED(image.eh.e_phnum = 0);
	REFUSED(image.eh.e_phnum = 0xffff);
	REFUSED(image.eh.e_phoff = 0x100000);
	REFUSED(image.eh.e_phoff = ~0UL);
	REFUSED(image.eh.e_phoff = ~0UL - 100);
	REFUSED(image.eh.e_phoff = 1UL << 63);
	REFUSED(image.ph[0].p_type = image.ph[1].p_type = PT_NULL);
}

static void lying_segments(void)
{
	REFUSED(image.ph[1].p_filesz = 0x4000);	  /* more than memsz */
	REFUSED(image.ph[0].p_offset = 0x100000); /* past the end of the file */
	REFUSED(image.ph[0].p_offset = ~0UL - 0xfff);
	REFUSED(image.ph[0].p_offset = 0x1001); /* not where its address says */
	if (on_quire())
		REFUSED((image.ph[0].p_filesz = 0x100000, image.ph[0].p_memsz = 0x100000));
	REFUSED((image.ph[0].p_filesz = ~0UL, image.ph[0].p_memsz = ~0UL));
	REFUSED(image.ph[1].p_memsz = ~0UL);
	REFUSED(image.ph[1].p_memsz = 1UL << 47);
	REFUSED(image.ph[1].p_memsz = ~0UL - BASE - 0x2000 + 1);
	REFUSED((image.ph[1].p_vaddr = 0xffffffff80000000UL));
	REFUSED((image.ph[1].p_vaddr = 0xffff800000000000UL));
	REFUSED((image.ph[1].p_vaddr = 0x8000000000000000UL));
	REFUSED((image.ph[1].p_vaddr = 0x0000800000000000UL));
	REFUSED((image.ph[1].p_vaddr = 0x00007ffffffff000UL));
	REFUSED((image.ph[1].p_vaddr = ~0UL - 0xfff));
}

static void overlapping_segments(void)
{
	if (!on_quire())
		return; /* Linux lets later segments cover earlier ones */
	REFUSED(image.ph[1].p_vaddr = image.ph[0].p_vaddr);
	REFUSED((image.ph[0].p_memsz = 0x2000, image.ph[0].p_flags = PF_R | PF_W | PF_X));
}

static void entry_points(void)
{
	image.eh.e_entry = BASE + 0x2000;
	refused_as("entry in data", -SIGSEGV);
	image.eh.e_entry = 0;
	refused_as("entry 0", -SIGSEGV);
	image.eh.e_entry = 0xffffffff80000000UL;
	refused_as("entry in the kernel", -SIGSEGV);
	image.eh.e_entry = 0x8000000000000000UL;
	refused_as("entry at no address", -SIGSEGV);
}

static void interpreters(void)
{
	Elf64_Phdr interp = { .p_type = PT_INTERP,
			      .p_offset = offsetof(struct image, interp),
			      .p_flags = PF_R };

	for (int kind = 0; kind < 6; kind++) {
		image.ph[2] = image.ph[1];
		image.ph[1] = image.ph[0];
		image.ph[0] = interp;
		image.eh.e_phnum = 3;
		strcpy(image.interp, "/nowhere/ld.so");
		image.ph[0].p_filesz = image.ph[0].p_memsz =
			(const size_t[]){ sizeof("/nowhere/ld.so"), 5, 0, 1, 1UL << 40, 15 }[kind];
		if (kind == 5)
			image.ph[0].p_offset = ~0UL - 10;
		refused_as("interpreter", kind == 0 ? ENOENT : ENOEXEC);
	}
}

/* Make the good program one that asks for the interpreter NAME. */
static void ask_for(const char *name)
{
	make_good();
	image.ph[2] = (Elf64_Phdr){ .p_type = PT_INTERP,
				    .p_flags = PF_R,
				    .p_offset = offsetof(struct image, interp),
				    .p_filesz = strlen(name) + 1 };
	image.eh.e_phnum = 3;
	strcpy(image.interp, name);
}

/* Interpreters that are there: a good one runs instead of the program, others are refused. */
static void interpreters_found(void)
{
	static const char ld[] = "/tmp/badelf_test.ld";
	static struct image other;
	static const unsigned char code[] = {
		0xbf, RAN + 1, 0, 0, 0, 0xb8, 60, 0, 0, 0, 0x0f, 0x05, /* exit(RAN + 1) */
	};

	make_good();
	other = image;
	memcpy(other.code, code, sizeof(code));
	ask_for(ld);
	write_file(ld, &other, sizeof(other));
	EXPECT(outcome() != RAN + 1 && outcome() != RAN); /* both want the same addresses */
	for (int i = 0; i < 2; i++)
		other.ph[i].p_vaddr += 0x10000000;
	other.eh.e_entry += 0x10000000;
	write_file(ld, &other, sizeof(other));
	EXPECT_EQ(outcome(), RAN + 1);
	for (int i = 0; i < 2; i++)
		other.ph[i].p_vaddr &= 0xffff;
	other.eh.e_entry &= 0xffff;
	other.eh.e_type = ET_DYN;
	write_file(ld, &other, sizeof(other));
	EXPECT_EQ(outcome(), RAN + 1);
	other.ph[1].p_align = 1 << 24;
	write_file(ld, &other, sizeof(other));
	EXPECT_EQ(outcome(), RAN + 1);

	other.eh.e_machine = EM_386;
	write_file(ld, &other, sizeof(other));
	EXPECT_EQ(outcome(), ELIBBAD);
	memset(&other, '#', sizeof(other));
	write_file(ld, &other, sizeof(other));
	EXPECT_EQ(outcome(), ELIBBAD);
	write_file(ld, &other, 10);
	EXPECT_EQ(outcome(), EIO);
	chmod(ld, 0644);
	EXPECT_EQ(outcome(), EACCES);
	ask_for("/tmp");
	EXPECT_EQ(outcome(), EACCES);
	ask_for("/tmp/badelf_test.ld/x");
	EXPECT_EQ(outcome(), ENOTDIR);
	unlink(ld);
	make_good();
}

static void random_headers(void)
{
	uint64_t seed = 42;
	const size_t headers = offsetof(struct image, interp) - sizeof(Elf64_Phdr);

	for (int round = 0; round < 400; round++) {
		make_good();
		for (int n = 0; n < 1 + round % 4; n++) {
			seed = seed * 6364136223846793005UL + 1442695040888963407UL;
			size_t at = (seed >> 33) % headers;
			unsigned char value = (unsigned char)(seed >> 56);

			((unsigned char *)&image)[at] =
				round % 3 ? value : (unsigned char)(value & 1 ? 0xff : 0);
		}
		EXPECT(outcome() != 999);
	}
	make_good();
	EXPECT_EQ(outcome(), RAN);
}

int main(void)
{
	make_good();
	RUN(the_good_one);
	RUN(truncated);
	RUN(lying_header);
	RUN(lying_segments);
	RUN(overlapping_segments);
	RUN(entry_points);
	RUN(interpreters);
	RUN(interpreters_found);
	RUN(random_headers);
	return test_end();
}
