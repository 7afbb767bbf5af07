/* SPDX-License-Identifier: MIT */
/* mprotect_test.c - protections change, exactly where asked, and faults say why. */
#include "tests/user/test.h"

static char *at;

static void take_away_and_give_back(void)
{
	at = anon_pages(4);
	memset(at, 3, 4 * PAGE);
	EXPECT(mprotect(at, 4 * PAGE, PROT_READ) == 0);
	EXPECT_EQ(try_read(at), 0);
	EXPECT_EQ(try_write(at + 2 * PAGE + 17), SIGSEGV);
	EXPECT_EQ(fault_code, SEGV_ACCERR);
	EXPECT(fault_address == at + 2 * PAGE + 17);
	EXPECT(mprotect(at, 4 * PAGE, PROT_NONE) == 0);
	EXPECT_EQ(try_read(at + PAGE), SIGSEGV);
	EXPECT_EQ(fault_code, SEGV_ACCERR);
	EXPECT(mprotect(at, 4 * PAGE, PROT_READ | PROT_WRITE) == 0);
	EXPECT_EQ(at[PAGE], 3);
	EXPECT_EQ(try_write(at + PAGE), 0);
	munmap(at, 4 * PAGE);
}

static void middle_only(void)
{
	uintptr_t from, to;

	at = anon_pages(6);
	memset(at, 1, 6 * PAGE);
	EXPECT(mprotect(at + 2 * PAGE, 2 * PAGE, PROT_READ) == 0);
	EXPECT_EQ(try_write(at + 2 * PAGE - 1), 0);
	EXPECT_EQ(try_write(at + 2 * PAGE), SIGSEGV);
	EXPECT_EQ(try_write(at + 4 * PAGE - 1), SIGSEGV);
	EXPECT_EQ(try_write(at + 4 * PAGE), 0);
	EXPECT(!strcmp(map_perms(at + 2 * PAGE, &from, &to), "r--p"));
	EXPECT_EQ(from, (uintptr_t)at + 2 * PAGE);
	EXPECT_EQ(to, (uintptr_t)at + 4 * PAGE);
	EXPECT(mprotect(at + 2 * PAGE, 2 * PAGE, PROT_READ | PROT_WRITE) == 0);
	EXPECT(!strcmp(map_perms(at, &from, &to), "rw-p"));
	EXPECT(from <= (uintptr_t)at && to >= (uintptr_t)at + 6 * PAGE);
	EXPECT_EQ(at[3 * PAGE], 1);
	munmap(at, 6 * PAGE);
}

static void execute(void)
{
	at = anon_pages(1);
	at[0] = (char)0xc3;
	EXPECT_EQ(try_execute(at), SIGSEGV);
	EXPECT_EQ(fault_code, SEGV_ACCERR);
	EXPECT(fault_address == at);
	EXPECT(mprotect(at, PAGE, PROT_READ | PROT_EXEC) == 0);
	EXPECT_EQ(try_execute(at), 0);
	EXPECT_EQ(try_write(at), SIGSEGV);
	EXPECT(mprotect(at, PAGE, PROT_READ) == 0);
	EXPECT_EQ(try_execute(at), SIGSEGV);
	munmap(at, PAGE);
}

static void zero_page_stays_zero(void)
{
	at = anon_pages(4);
	EXPECT_EQ(try_read(at), 0);
	EXPECT(mprotect(at, 4 * PAGE, PROT_READ) == 0);
	EXPECT_EQ(try_write(at), SIGSEGV);
	EXPECT(mprotect(at, 4 * PAGE, PROT_READ | PROT_WRITE) == 0);
	EXPECT_EQ(try_write(at), 0);
	EXPECT_EQ(at[PAGE], 0);
	EXPECT_EQ(at[0], 1);
	munmap(at, 4 * PAGE);
}

static void nothing_mapped(void)
{
	at = anon_pages(4);
	EXPECT_EQ(try_read((char *)64), SIGSEGV);
	EXPECT_EQ(fault_code, SEGV_MAPERR);
	EXPECT(fault_address == (char *)64);
	munmap(at + PAGE, PAGE);
	EXPECT_ERRNO(mprotect(at, 4 * PAGE, PROT_READ), ENOMEM);
	EXPECT_ERRNO(mprotect(at + PAGE, PAGE, PROT_READ), ENOMEM);
	EXPECT_ERRNO(syscall(SYS_mprotect, at + 1, PAGE, PROT_READ), EINVAL);
	EXPECT_ERRNO(syscall(SYS_mprotect, at, PAGE, 0x40), EINVAL);
	EXPECT(mprotect(at + 2 * PAGE, 0, PROT_NONE) == 0);
	EXPECT_EQ(try_read(at + 2 * PAGE), 0);
	munmap(at, 4 * PAGE);
}

static void after_fork(void)
{
	at = anon_pages(2);
	at[0] = 5;

	pid_t pid = fork();
	int status;

	if (pid == 0) {
		if (mprotect(at, PAGE, PROT_READ) || try_write(at) != SIGSEGV)
			_exit(1);
		if (mprotect(at, PAGE, PROT_READ | PROT_WRITE) || try_write(at) || at[0] != 1)
			_exit(2);
		_exit(0);
	}
	EXPECT(waitpid(pid, &status, 0) == pid && status == 0);
	EXPECT_EQ(at[0], 5);
	EXPECT_EQ(try_write(at), 0);
	munmap(at, 2 * PAGE);
}

static void file_rights(void)
{
	int fd = open("/tmp/mprotect_test.ro", O_RDWR | O_CREAT, 0600), reading;

	REQUIRE(fd >= 0 && ftruncate(fd, PAGE) == 0);
	reading = open("/tmp/mprotect_test.ro", O_RDONLY);
	unlink("/tmp/mprotect_test.ro");
	at = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, reading, 0);
	REQUIRE(at != MAP_FAILED);
	EXPECT_ERRNO(mprotect(at, PAGE, PROT_READ | PROT_WRITE), EACCES);
	munmap(at, PAGE);
	at = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, reading, 0);
	REQUIRE(at != MAP_FAILED);
	EXPECT(mprotect(at, PAGE, PROT_READ | PROT_WRITE) == 0);
	EXPECT_EQ(try_write(at), 0);
	munmap(at, PAGE);
	close(fd), close(reading);
}

static void non_canonical(void)
{
	/* the fault's address is not known to the CPU: a general protection, si_code SI_KERNEL */
	EXPECT_EQ(try_read((char *)0x8000000000000000UL), SIGSEGV);
	EXPECT_EQ(fault_code, SI_KERNEL);
	EXPECT_EQ(try_write((char *)0xffff800000000000UL), SIGSEGV);
	EXPECT_EQ(try_read((char *)0xffffffff80000000UL), SIGSEGV);
	EXPECT(fault_code == SEGV_MAPERR || fault_code == SEGV_ACCERR);
}

int main(void)
{
	catch_faults(0);
	RUN(take_away_and_give_back);
	RUN(middle_only);
	RUN(execute);
	RUN(zero_page_stays_zero);
	RUN(nothing_mapped);
	RUN(after_fork);
	RUN(file_rights);
	RUN(non_canonical);
	return test_end();
}
