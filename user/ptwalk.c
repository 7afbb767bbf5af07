/* SPDX-License-Identifier: MIT */
/*
 * ptwalk.c - the hardware's way to one address: the entry of each level, from
 * /proc/PID/ptwalk (the file offset read from is the address). Without a PID it
 * walks its own tables, where a few words name interesting addresses.
 */
#include "user/quire.h"

static int in_data = 1;
static int in_bss;

static void usage(void)
{
	fputs("usage: ptwalk [PID] ADDRESS\n"
	      "  Print the page-table entries on the way to ADDRESS in process PID. Without PID,\n"
	      "  in ptwalk itself, where ADDRESS may be a word: code data bss heap stack zero\n"
	      "  (zero: a fresh page that was only read) fresh (one that was never touched).\n",
	      stdout);
}

/* An address in this process by name; exits 2 when text is neither name nor number. */
static uint64_t address_of(const char *text)
{
	static const char *const names[] = { "code", "data", "bss", "heap",
					     "stack", "zero", "fresh", NULL };
	char *end, *page;
	uint64_t address;

	address = strtoull(text, &end, 0);
	if (end > text && !*end)
		return address;
	switch (parse_choice("address", text, names)) {
	case 0: return (uintptr_t)&usage;
	case 1: in_data++; return (uintptr_t)&in_data;
	case 2: in_bss++; return (uintptr_t)&in_bss;
	case 3:
		page = malloc(PAGE);
		if (page)
			poke(page, 1);
		return (uintptr_t)page;
	case 4: return (uintptr_t)__builtin_frame_address(0);
	case 5:
		page = map_anon(PAGE, PAGE);
		peek(page);
		return (uintptr_t)page;
	default: return (uintptr_t)map_anon(PAGE, PAGE);
	}
}

int main(int argc, char **argv)
{
	const char *pid = argc == 3 ? argv[1] : "self";
	char path[64], text[4 * KIB];
	uint64_t address;
	ssize_t got;
	int fd;

	prog = "ptwalk";
	if (argc > 1 && (!strcmp(argv[1], "-h") || !strcmp(argv[1], "--help"))) {
		usage();
		return 0;
	}
	no_more_words(3, argc, argv);
	if (argc < 2)
		refuse("no address", "to walk");
	if (strcmp(pid, "self"))
		parse_number("process", pid, 1, INT32_MAX);
	address = address_of(argv[argc - 1]);
	snprintf(path, sizeof(path), "/proc/%s/ptwalk", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		die(0, errno == ENOENT ? "no process %s" : "process %s cannot be looked into", pid);
	got = pread(fd, text, sizeof(text), (off_t)address);
	if (got < 0)
		die(errno, "address %#llx", (unsigned long long)address);
	printf("%#llx\n", (unsigned long long)address);
	fwrite(text, 1, (size_t)got, stdout);
	return 0;
}
