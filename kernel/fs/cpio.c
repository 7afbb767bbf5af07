/* SPDX-License-Identifier: MIT */
/*
 * Owns: the `newc` format: a header of 110 characters (magic, thirteen numbers of 8 hex digits), the name
 * with its NUL, the data; name and data end on a multiple of 4. "TRAILER!!!" ends an archive; zeroes
 * may follow, then another. An error is final: after a header that lies nothing can be trusted.
 */
#include "kernel/fs/cpio.h"
#include "kernel/base/string.h"

#define HEADER 110
#define NUMBERS 13
enum { INO, MODE, UID, GID, NLINK, MTIME, FILESIZE, DEVMAJOR, DEVMINOR, RDEVMAJOR, RDEVMINOR, NAMESIZE, CHECK };

void cpio_begin(struct cpio *c, const void *data, size_t size)
{
	*c = (struct cpio){ .data = data, .size = size };
}

static bool parse_hex(const u8 *text, u32 *value)
{
	*value = 0;
	for (unsigned i = 0; i < 8; i++) {
		u8 c = text[i], low = c | 32;

		if (c >= '0' && c <= '9')
			*value = *value << 4 | (c - '0');
		else if (low >= 'a' && low <= 'f')
			*value = *value << 4 | (low - 'a' + 10);
		else
			return false;
	}
	return true;
}

static bool fail(struct cpio *c, const char *why)
{
	c->error = why;
	return false;
}

/* AT, counted from the start of this archive, up to a multiple of 4. */
static size_t aligned(const struct cpio *c, size_t at)
{
	return c->base + ALIGN_UP(at - c->base, 4);
}

/* Writes the path TEXT of LEN bytes into OUT, tidied up. NULL, or why it cannot be used. */
static const char *tidy_name(const char *text, size_t len, char *out)
{
	size_t n = 0;

	for (size_t i = 0; i < len;) {
		size_t start = i, part;

		while (i < len && text[i] != '/')
			i++;
		part = i++ - start;
		if (part == 0 || (part == 1 && text[start] == '.'))
			continue;
		if (part == 2 && text[start] == '.' && text[start + 1] == '.')
			return "a name with '..'";
		if (part > 255)
			return "a name that is too long";
		if (n)
			out[n++] = '/';
		memcpy(out + n, text + start, part);
		n += part;
	}
	out[n] = 0;
	return NULL;
}

/* Skips zeroes between archives; false: the end. */
static bool find_archive(struct cpio *c)
{
	while (c->at < c->size && !c->data[c->at])
		c->at++;
	c->base = c->at;
	return c->at < c->size;
}

static bool next_entry(struct cpio *c, struct cpio_entry *e, bool *trailer)
{
	const u8 *header = c->data + c->at;
	u32 v[NUMBERS];
	size_t name, data;

	if (c->size - c->at < 6 || memcmp(header, "07070", 5) || (header[5] != '1' && header[5] != '2'))
		return fail(c, c->at == c->base && c->size - c->at > 1 && header[0] == 0x1f && header[1] == 0x8b ?
			       "it is compressed: only plain newc cpio is read" : "not a newc cpio header");
	if (c->size - c->at < HEADER)
		return fail(c, "cut off within a header");
	for (unsigned i = 0; i < NUMBERS; i++)
		if (!parse_hex(header + 6 + 8 * i, &v[i]))
			return fail(c, "a number that is not hexadecimal");
	name = c->at + HEADER;
	if (v[NAMESIZE] == 0 || v[NAMESIZE] > sizeof(e->name))
		return fail(c, "a name of impossible length");
	if (v[NAMESIZE] > c->size - name)
		return fail(c, "cut off within a name");
	if (strnlen((const char *)c->data + name, v[NAMESIZE]) != v[NAMESIZE] - 1)
		return fail(c, "a name that does not end where it should");
	data = aligned(c, name + v[NAMESIZE]);
	*trailer = !strcmp((const char *)c->data + name, "TRAILER!!!");
	if (data > c->size || v[FILESIZE] > c->size - data) {
		if (!*trailer)
			return fail(c, "cut off within a file");
		data = c->size;		/* the padding behind a trailer may lack */
		v[FILESIZE] = 0;
	}
	e->skip = tidy_name((const char *)c->data + name, v[NAMESIZE] - 1, e->name);
	e->ino = v[INO];
	e->mode = v[MODE];
	e->uid = v[UID];
	e->gid = v[GID];
	e->nlink = v[NLINK];
	e->mtime = v[MTIME];
	e->dev_major = v[DEVMAJOR];
	e->dev_minor = v[DEVMINOR];
	e->rdev_major = v[RDEVMAJOR];
	e->rdev_minor = v[RDEVMINOR];
	e->data = c->data + data;
	e->size = v[FILESIZE];
	e->archive = c->archives;
	c->at = MIN(aligned(c, data + v[FILESIZE]), c->size);
	return true;
}

bool cpio_next(struct cpio *c, struct cpio_entry *e)
{
	bool trailer = true;

	while (!c->error && trailer) {
		if (c->at == c->base) {
			if (!find_archive(c))
				return c->archives ? false : fail(c, "it is empty");
		} else if (c->at == c->size) {
			return fail(c, "cut off: no trailer at the end");
		}
		if (!next_entry(c, e, &trailer))
			return false;
		if (trailer) {
			c->archives++;
			c->base = c->at;
		}
	}
	return !c->error;
}
