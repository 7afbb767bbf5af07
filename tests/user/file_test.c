/* SPDX-License-Identifier: MIT */
/*
 * file_test.c - files and folders of the memory file system: contents, sizes, names,
 * positions, holes, and the errors of each call. Works in a folder of its own in /tmp.
 */
#include "tests/user/test.h"
#include <sys/mount.h>
#include <sys/xattr.h>
#include <dirent.h>
#include <sys/statfs.h>
#include <sys/uio.h>

static char folder[64];

static void write_read_seek(void)
{
	char buffer[32] = { 0 };
	int fd = open("a", O_RDWR | O_CREAT | O_EXCL, 0640);

	REQUIRE(fd >= 0);
	EXPECT_EQ(write(fd, "hello world", 11), 11);
	EXPECT_EQ(lseek(fd, 0, SEEK_CUR), 11);
	EXPECT_EQ(read(fd, buffer, 5), 0);
	EXPECT_EQ(lseek(fd, 6, SEEK_SET), 6);
	EXPECT_EQ(read(fd, buffer, 32), 5);
	EXPECT(!strcmp(buffer, "world"));
	EXPECT_EQ(lseek(fd, -5, SEEK_END), 6);
	EXPECT_EQ(pwrite(fd, "W", 1, 6), 1);
	EXPECT_EQ(lseek(fd, 0, SEEK_CUR), 6);
	EXPECT_EQ(pread(fd, buffer, 32, 0), 11);
	EXPECT(!memcmp(buffer, "hello World", 11));
	EXPECT_EQ(pread(fd, buffer, 32, 100), 0);
	EXPECT_ERRNO(lseek(fd, -1, SEEK_SET), EINVAL);
	EXPECT_ERRNO(lseek(fd, 0, 77), EINVAL);
	EXPECT_ERRNO(pread(fd, buffer, 1, -1), EINVAL);
	EXPECT_ERRNO(open("a", O_RDWR | O_CREAT | O_EXCL, 0600), EEXIST);
	close(fd);
	EXPECT_ERRNO(read(fd, buffer, 1), EBADF);
	EXPECT_ERRNO(close(fd), EBADF);
}

static void open_flags(void)
{
	char buffer[16] = { 0 };
	int fd, second;

	fd = open("b", O_WRONLY | O_CREAT | O_TRUNC, 0600);
	REQUIRE(fd >= 0);
	EXPECT_EQ(write(fd, "one", 3), 3);
	EXPECT_ERRNO(read(fd, buffer, 1), EBADF);
	close(fd);
	fd = open("b", O_WRONLY | O_APPEND);
	second = open("b", O_RDONLY);
	EXPECT_ERRNO(write(second, "x", 1), EBADF);
	EXPECT_EQ(lseek(fd, 0, SEEK_SET), 0);
	EXPECT_EQ(write(fd, "two", 3), 3);
	EXPECT_EQ(read(second, buffer, 16), 6);
	EXPECT(!memcmp(buffer, "onetwo", 6));
	EXPECT_EQ(fcntl(fd, F_GETFL) & O_ACCMODE, O_WRONLY);
	EXPECT(fcntl(fd, F_GETFL) & O_APPEND);
	close(fd), close(second);
	fd = open("b", O_RDWR | O_TRUNC);
	EXPECT_EQ(lseek(fd, 0, SEEK_END), 0);
	close(fd);
	EXPECT_ERRNO(open("none", O_RDONLY), ENOENT);
	EXPECT_ERRNO(open("none/x", O_RDWR | O_CREAT, 0600), ENOENT);
	EXPECT_ERRNO(open("b/x", O_RDONLY), ENOTDIR);
	EXPECT_ERRNO(open("b", O_RDONLY | O_DIRECTORY), ENOTDIR);
	EXPECT_ERRNO(open(".", O_RDWR), EISDIR);
	EXPECT_ERRNO(open("", O_RDONLY), ENOENT);
	EXPECT_ERRNO(read(open(".", O_RDONLY), buffer, 16), EISDIR);
}

static void long_names(void)
{
	char name[300], path[5000];

	memset(name, 'n', sizeof(name));
	name[255] = 0;
	int fd = open(name, O_RDWR | O_CREAT, 0600);

	EXPECT(fd >= 0);
	close(fd);
	EXPECT(unlink(name) == 0);
	name[255] = 'n';
	name[256] = 0;
	EXPECT_ERRNO(open(name, O_RDWR | O_CREAT, 0600), ENAMETOOLONG);
	memset(path, '/', sizeof(path));
	path[4999] = 0;
	EXPECT_ERRNO(open(path, O_RDONLY), ENAMETOOLONG);
}

static void holes_and_truncation(void)
{
	static char block[3 * PAGE];
	struct stat st;
	int fd = open("sparse", O_RDWR | O_CREAT, 0600);

	REQUIRE(fd >= 0);
	EXPECT_EQ(pwrite(fd, "end", 3, 10 * MIB), 3);
	EXPECT(fstat(fd, &st) == 0);
	EXPECT_EQ(st.st_size, 10 * MIB + 3);
	EXPECT(st.st_blocks < 1024);
	memset(block, 1, sizeof(block));
	EXPECT_EQ(pread(fd, block, sizeof(block), 5 * MIB + 7), (long)sizeof(block));
	for (size_t i = 0; i < sizeof(block); i++)
		if (!EXPECT_EQ(block[i], 0))
			break;
	memset(block, 7, sizeof(block));
	EXPECT_EQ(pwrite(fd, block, sizeof(block), 0), (long)sizeof(block));
	EXPECT(ftruncate(fd, 100) == 0);
	EXPECT(ftruncate(fd, 2 * PAGE) == 0);
	EXPECT_EQ(pread(fd, block, sizeof(block), 0), 2 * (long)PAGE);
	EXPECT_EQ(block[99], 7);
	for (size_t i = 100; i < 2 * PAGE; i++)
		if (!EXPECT_EQ(block[i], 0))
			break;
	EXPECT_ERRNO(ftruncate(fd, -1), EINVAL);
	close(fd);
	fd = open("sparse", O_RDONLY);
	EXPECT_ERRNO(ftruncate(fd, 0), EINVAL);
	close(fd);
	EXPECT(truncate("sparse", 3) == 0);
	EXPECT(stat("sparse", &st) == 0 && st.st_size == 3);
	EXPECT_ERRNO(truncate(".", 0), EISDIR);
	EXPECT_ERRNO(truncate("none", 0), ENOENT);
}

static void allocation(void)
{
	struct stat st;
	int fd = open("alloc", O_RDWR | O_CREAT, 0600);
	char byte = 1;

	EXPECT(fallocate(fd, 0, 0, 5 * PAGE) == 0);
	EXPECT(fstat(fd, &st) == 0 && st.st_size == 5 * (long)PAGE);
	EXPECT(pread(fd, &byte, 1, 4 * PAGE) == 1 && byte == 0);
	EXPECT(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 20 * PAGE) == 0);
	EXPECT(fstat(fd, &st) == 0 && st.st_size == 5 * (long)PAGE);
	EXPECT_EQ(pwrite(fd, "abcdef", 6, 2 * PAGE), 6);
	if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 2 * PAGE + 2, 2) == 0) {
		char six[6];

		EXPECT(pread(fd, six, 6, 2 * PAGE) == 6 && !memcmp(six, "ab\0\0ef", 6));
	} else {
		EXPECT(errno == EOPNOTSUPP);
	}
	EXPECT_ERRNO(fallocate(fd, 0, -1, 5), EINVAL);
	EXPECT_ERRNO(fallocate(fd, 0, 0, 0), EINVAL);
	close(fd);
	EXPECT_ERRNO(fallocate(fd, 0, 0, 5), EBADF);
}

static void unlink_keeps_open_file(void)
{
	char buffer[4];
	struct stat st;
	int fd = open("gone", O_RDWR | O_CREAT, 0600), copy;

	EXPECT_EQ(write(fd, "data", 4), 4);
	EXPECT(unlink("gone") == 0);
	EXPECT_ERRNO(unlink("gone"), ENOENT);
	EXPECT_ERRNO(stat("gone", &st), ENOENT);
	EXPECT(fstat(fd, &st) == 0 && st.st_nlink == 0);
	EXPECT_EQ(pread(fd, buffer, 4, 0), 4);
	copy = dup(fd);
	EXPECT_EQ(lseek(copy, 0, SEEK_CUR), 4);
	EXPECT_EQ(lseek(copy, 1, SEEK_SET), 1);
	EXPECT_EQ(lseek(fd, 0, SEEK_CUR), 1);
	close(fd);
	EXPECT_EQ(read(copy, buffer, 4), 3);
	close(copy);
	EXPECT(unlink(".") == -1 && (errno == EISDIR || errno == EPERM));
}

static void folders(void)
{
	char cwd[256], name[80];
	struct stat st;

	EXPECT(mkdir("d", 0755) == 0);
	EXPECT_ERRNO(mkdir("d", 0755), EEXIST);
	EXPECT(mkdir("d/e", 0755) == 0);
	EXPECT(stat("d", &st) == 0 && S_ISDIR(st.st_mode));
	EXPECT_ERRNO(rmdir("d"), ENOTEMPTY);
	EXPECT_ERRNO(rmdir("none"), ENOENT);
	EXPECT(chdir("d/e") == 0);
	EXPECT(getcwd(cwd, sizeof(cwd)) == cwd);
	snprintf(name, sizeof(name), "%s/d/e", folder);
	EXPECT(!strcmp(cwd, name));
	EXPECT_ERRNO(syscall(SYS_getcwd, cwd, 3), ERANGE);
	EXPECT(chdir("../..") == 0);
	EXPECT(access("d/e/../../d/./e", F_OK) == 0);
	EXPECT(rmdir("d/e") == 0 && chdir("d") == 0 && rmdir("../d") == 0);
	EXPECT_ERRNO(mount("none", ".", "tmpfs", 0, NULL), getuid() ? EPERM : ENOENT);
	EXPECT(chdir(folder) == 0);
	EXPECT_ERRNO(chdir("d"), ENOENT);
	close(open("plain", O_RDWR | O_CREAT, 0600));
	EXPECT_ERRNO(chdir("plain"), ENOTDIR);
	EXPECT_ERRNO(rmdir("plain"), ENOTDIR);
}

static void reading_folders(void)
{
	bool seen[200] = { false };
	int entries = 0, fd;
	struct dirent *entry;
	DIR *dir;

	EXPECT(mkdir("many", 0700) == 0);
	for (int i = 0; i < 200; i++) {
		char name[32];

		snprintf(name, sizeof(name), "many/f%03d", i);
		close(open(name, O_RDWR | O_CREAT, 0600));
	}
	dir = opendir("many");
	REQUIRE(dir != NULL);
	while ((entry = readdir(dir))) {
		entries++;
		if (entry->d_name[0] == 'f') {
			int i = atoi(entry->d_name + 1);

			EXPECT(i >= 0 && i < 200 && !seen[i]);
			EXPECT(entry->d_type == DT_REG || entry->d_type == DT_UNKNOWN);
			seen[i] = true;
		} else {
			EXPECT(!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."));
		}
	}
	EXPECT_EQ(entries, 202);
	rewinddir(dir);
	entries = 0;
	/* names removed while reading must not hide the others */
	while ((entry = readdir(dir)))
		if (entry->d_name[0] == 'f') {
			char name[300];

			snprintf(name, sizeof(name), "many/%s", entry->d_name);
			EXPECT(unlink(name) == 0);
			entries++;
		}
	EXPECT_EQ(entries, 200);
	closedir(dir);
	EXPECT(rmdir("many") == 0);
	fd = open("plain", O_RDONLY);
	char buffer[512];

	EXPECT_ERRNO(syscall(SYS_getdents64, fd, buffer, sizeof(buffer)), ENOTDIR);
	close(fd);
	fd = open(".", O_RDONLY);
	EXPECT_ERRNO(syscall(SYS_getdents64, fd, buffer, 4), EINVAL);
	close(fd);
}

static void renaming(void)
{
	struct stat a, b;
	int fd = open("from", O_RDWR | O_CREAT, 0600);

	EXPECT_EQ(write(fd, "1", 1), 1);
	fstat(fd, &a);
	EXPECT(rename("from", "to") == 0);
	EXPECT(stat("to", &b) == 0 && a.st_ino == b.st_ino);
	EXPECT_ERRNO(stat("from", &a), ENOENT);
	close(fd);
	fd = open("other", O_RDWR | O_CREAT, 0600);
	EXPECT(rename("to", "other") == 0);
	EXPECT(stat("other", &a) == 0 && a.st_ino == b.st_ino);
	EXPECT(fstat(fd, &b) == 0 && b.st_nlink == 0);
	close(fd);
	EXPECT_ERRNO(rename("none", "x"), ENOENT);
	EXPECT(mkdir("dir", 0700) == 0 && mkdir("dir/sub", 0700) == 0);
	EXPECT_ERRNO(rename("other", "dir"), EISDIR);
	EXPECT_ERRNO(rename("dir", "other"), ENOTDIR);
	EXPECT_ERRNO(rename("dir", "dir/sub/x"), EINVAL);
	EXPECT(mkdir("empty", 0700) == 0);
	EXPECT(rename("dir", "empty") == 0);
	EXPECT(stat("empty/sub", &a) == 0);
	EXPECT(mkdir("dir", 0700) == 0);
	EXPECT_ERRNO(rename("dir", "empty"), ENOTEMPTY);
	EXPECT(rename("other", "other") == 0);
	EXPECT(stat("other", &a) == 0);
	EXPECT(rmdir("empty/sub") == 0 && rmdir("empty") == 0 && rmdir("dir") == 0);
}

static void links(void)
{
	char buffer[64];
	struct stat st;

	EXPECT(symlink("plain", "sym") == 0);
	EXPECT_EQ(readlink("sym", buffer, sizeof(buffer)), 5);
	EXPECT(!memcmp(buffer, "plain", 5));
	EXPECT_EQ(readlink("sym", buffer, 2), 2);
	EXPECT(lstat("sym", &st) == 0 && S_ISLNK(st.st_mode));
	EXPECT(stat("sym", &st) == 0 && S_ISREG(st.st_mode));
	EXPECT_ERRNO(readlink("plain", buffer, 4), EINVAL);
	EXPECT(symlink("loop2", "loop1") == 0 && symlink("loop1", "loop2") == 0);
	EXPECT_ERRNO(open("loop1", O_RDONLY), ELOOP);
	EXPECT_ERRNO(open("sym", O_RDONLY | O_NOFOLLOW), ELOOP);
	EXPECT(unlink("sym") == 0 && unlink("loop1") == 0 && unlink("loop2") == 0);
	if (link("plain", "hard") == 0) {
		EXPECT(stat("hard", &st) == 0 && st.st_nlink == 2);
		EXPECT(unlink("hard") == 0);
	} else {
		EXPECT(on_quire() && (errno == ENOSYS || errno == EPERM));
	}
}

static void attributes(void)
{
	struct stat st;
	int fd;

	umask(022);
	fd = open("mode", O_RDWR | O_CREAT, 0666);
	EXPECT(fstat(fd, &st) == 0);
	EXPECT_EQ(st.st_mode, S_IFREG | 0644);
	EXPECT_EQ(st.st_nlink, 1);
	EXPECT_EQ(st.st_blksize, PAGE);
	EXPECT(chmod("mode", 0700) == 0);
	EXPECT(stat("mode", &st) == 0 && (st.st_mode & 07777) == 0700);
	EXPECT(fchmod(fd, 0600) == 0);
	EXPECT(access("mode", R_OK | W_OK) == 0);
	EXPECT_ERRNO(access("mode", X_OK), EACCES);
	close(fd);
	unlink("mode");
	EXPECT(stat("/dev/null", &st) == 0 && S_ISCHR(st.st_mode));
}

static void no_extended_attributes(void)
{
	char value[8];

	EXPECT_ERRNO(getxattr("/proc/version", "user.x", value, sizeof(value)), EOPNOTSUPP);
	EXPECT_ERRNO(lgetxattr("/proc/self/exe", "user.x", value, sizeof(value)), EOPNOTSUPP);
	EXPECT_ERRNO(getxattr("/nowhere", "user.x", value, sizeof(value)), ENOENT);
	EXPECT_ERRNO(fsetxattr(99, "user.x", value, sizeof(value), 0), EBADF);
	EXPECT_EQ(flistxattr(0, NULL, 0), 0);
}

static void vectors_and_copies(void)
{
	struct iovec out[3] = { { "ab", 2 }, { "", 0 }, { "cde", 3 } };
	char x[3], y[8];
	struct iovec in[2] = { { x, 3 }, { y, 8 } };
	int fd = open("vec", O_RDWR | O_CREAT, 0600), copy;

	EXPECT_EQ(writev(fd, out, 3), 5);
	EXPECT_EQ(lseek(fd, 0, SEEK_SET), 0);
	EXPECT_EQ(readv(fd, in, 2), 5);
	EXPECT(!memcmp(x, "abc", 3) && !memcmp(y, "de", 2));
	EXPECT_ERRNO(writev(fd, out, -1), EINVAL);
	copy = fcntl(fd, F_DUPFD, 50);
	EXPECT_EQ(copy, 50);
	EXPECT_EQ(fcntl(copy, F_GETFD), 0);
	copy = fcntl(fd, F_DUPFD_CLOEXEC, 50);
	EXPECT_EQ(copy, 51);
	EXPECT_EQ(fcntl(copy, F_GETFD), FD_CLOEXEC);
	EXPECT_EQ(dup2(fd, 50), 50);
	EXPECT_EQ(dup2(fd, fd), fd);
	EXPECT_ERRNO(dup2(99, 5), EBADF);
	EXPECT_ERRNO(syscall(SYS_dup3, fd, fd, 0), EINVAL);
	close(50), close(51), close(fd);
}

static void devices(void)
{
	char buffer[64];
	int fd = open("/dev/null", O_RDWR);

	EXPECT_EQ(write(fd, "x", 1), 1);
	EXPECT_EQ(read(fd, buffer, 64), 0);
	close(fd);
	fd = open("/dev/zero", O_RDWR);
	memset(buffer, 1, 64);
	EXPECT_EQ(read(fd, buffer, 64), 64);
	EXPECT_EQ(buffer[63], 0);
	char *at = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);

	EXPECT(at != MAP_FAILED && at[PAGE] == 0);
	if (at != MAP_FAILED)
		at[PAGE] = 1;
	close(fd);
}

static void statistics(void)
{
	struct statfs fs;

	EXPECT(statfs("/tmp", &fs) == 0);
	EXPECT(fs.f_bsize >= 512 && fs.f_blocks > 0);
}

int main(void)
{
	snprintf(folder, sizeof(folder), "/tmp/file_test.%d", getpid());
	REQUIRE(mkdir(folder, 0700) == 0 && chdir(folder) == 0);
	RUN(write_read_seek);
	RUN(open_flags);
	RUN(long_names);
	RUN(holes_and_truncation);
	RUN(allocation);
	RUN(unlink_keeps_open_file);
	RUN(folders);
	RUN(reading_folders);
	RUN(renaming);
	RUN(links);
	RUN(attributes);
	RUN(no_extended_attributes);
	RUN(vectors_and_copies);
	RUN(devices);
	RUN(statistics);
	unlink("a"), unlink("b"), unlink("sparse"), unlink("alloc"), unlink("plain"),
		unlink("other");
	unlink("vec");
	EXPECT(chdir("/") == 0 && rmdir(folder) == 0);
	return test_end();
}
