/* SPDX-License-Identifier: MIT */
/*
 * Owns: what ext2_test.c reads: a tree of files on the host, images that mke2fs makes of it, in memory, and a device
 * that hands out exact copies of their bytes, so that the sanitizers see every step beyond. It remembers where
 * metadata was read, for the fuzzer to aim at, and what is still held.
 */
#pragma once
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include <cmocka.h>
#include "fake.h"
#include "kernel/base/string.h"
#include "kernel/fs/ext2.h"

#define MARKS 4096

static u8 *image;
static u64 image_bytes, gets, held;
static bool marking;
static struct { u64 at; u32 n; } mark[MARKS];
static unsigned nr_marks;
static char tree[512];

static void note(u64 at, u32 n)
{
	for (unsigned i = 0; i < nr_marks; i++)
		if (mark[i].at == at && mark[i].n == n)
			return;
	if (nr_marks < MARKS) {
		mark[nr_marks].at = at;
		mark[nr_marks++].n = n;
	}
}

static int device_get(struct ext2 *fs, u64 at, u32 n, const void **data)
{
	assert_int_equal(fs->bytes, image_bytes);
	assert_true(n && at < image_bytes && n <= image_bytes - at);
	assert_int_equal(at >> PAGE_SHIFT, (at + n - 1) >> PAGE_SHIFT);
	if (marking)
		note(at, n);
	gets++;
	held++;
	*data = memcpy(malloc(n), image + at, n);
	return 0;
}

static void device_put(struct ext2 *fs, const void *data)
{
	(void)fs;
	held--;
	free((void *)data);
}

static struct ext2 device(void)
{
	return (struct ext2){ .bytes = image_bytes, .get = device_get, .put = device_put };
}

static __attribute__((format(printf, 1, 2))) char *text(const char *fmt, ...)
{
	static char buf[8][6000];
	static unsigned next;
	char *s = buf[next++ % 8];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(s, sizeof(buf[0]), fmt, ap);
	va_end(ap);
	return s;
}

static void shell(const char *command)
{
	if (system(command)) {
		print_error("%s\n", command);
		fail();
	}
}

/* Writes N bytes that depend on SEED at AT of the file. */
static void put_bytes(const char *name, u64 at, size_t n, u64 seed)
{
	int fd = open(text("%s/%s", tree, name), O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
	u8 *bytes = malloc(n);

	assert_true(fd >= 0);
	for (size_t i = 0; i < n; i++)
		bytes[i] = (u8)(fake_random(&seed) >> 24);
	assert_int_equal(pwrite(fd, bytes, n, (off_t)at), n);
	free(bytes);
	close(fd);
}

static void make_tree(void)
{
	static const u64 sizes[] = { 0, 1, 59, 1023, 1024, 4096, 4097, 12288, 12289, 49152, 50000, 300000, 1200001 };
	char target[4096];

	snprintf(tree, sizeof(tree), "%s/ext2-tree", getenv("SCRATCH") ?: "/tmp");
	shell(text("rm -rf %s; mkdir -p %s/d/e/f %s/many", tree, tree, tree));
	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		put_bytes(text("file%u", i), 0, 0, i);
		put_bytes(text("file%u", i), 0, sizes[i], i);
	}
	put_bytes("holes", 0, 5000, 1);			/* direct, single, double and, at 5 GiB, triple */
	put_bytes("holes", 100000, 5000, 2);
	put_bytes("holes", 700000, 9000, 3);
	put_bytes("holes", 80000000, 5000, 4);
	put_bytes("holes", 0x140000123, 7000, 5);
	assert_int_equal(truncate(text("%s/holes", tree), 0x150000777), 0);
	put_bytes("d/e/f/deep", 0, 777, 6);
	for (unsigned i = 0; i < 300; i++)
		put_bytes(text("many/%u%.*s", i, (int)(i % 7 == 0 ? 240 : i % 30), text("%0240d", 0)), 0, i, i);
	assert_int_equal(link(text("%s/file3", tree), text("%s/d/again", tree)), 0);
	memset(target, 'x', sizeof(target));
	for (unsigned n = 1; n <= 1000; n = n < 57 ? n + 56 : n < 61 ? n + 1 : n + 900) {
		target[n] = 0;
		assert_int_equal(symlink(target, text("%s/link%u", tree, n)), 0);
		target[n] = 'x';
	}
	chmod(text("%s/file5", tree), 04751);
	if (!geteuid()) {
		assert_int_equal(mknod(text("%s/null", tree), S_IFCHR | 0600, makedev(1, 3)), 0);
		assert_int_equal(chown(text("%s/file2", tree), 70000, 80000), 0);
	}
	mkfifo(text("%s/fifo", tree), 0640);
}

/* An image of the tree, made with OPTIONS of mke2fs, in memory. */
static void make_image(const char *options)
{
	const char *path = text("%s.img", tree);
	FILE *f;

	shell(text("PATH=$PATH:/usr/sbin:/sbin; rm -f %s; mke2fs -q -F -t ext2 %s -d %s %s 8M >/dev/null", path, options,
		   tree, path));
	f = fopen(path, "r");
	assert_non_null(f);
	free(image);
	image_bytes = 8 << 20;
	image = malloc(image_bytes);
	assert_int_equal(fread(image, 1, image_bytes, f), image_bytes);
	fclose(f);
	unlink(path);
	nr_marks = 0;
}
