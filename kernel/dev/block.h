/* SPDX-License-Identifier: MIT */
/*
 * Owns: block devices: what they are called, how large they are, reading them, and the page cache of each as a
 * whole, through which /dev/NAME and the metadata of a file system are read. Nothing is ever written.
 * A driver fills a struct block_device and registers it, at boot; it stays.
 */
#pragma once
#include "mm/pcache.h"

#define SECTOR_SHIFT 9
#define SECTOR_SIZE (1UL << SECTOR_SHIFT)

/* BYTES (a multiple of 512) from sector SECTOR (of 512 bytes) on, to OFFSET within FRAME. */
struct block_piece {
	u64 sector;
	struct frame *frame;
	u32 offset, bytes;
};

struct block_device {
	const char *name;
	u64 bytes;			/* a multiple of 512; constant */
	u64 rdev;			/* Linux's number for it */
	struct pcache cache;		/* of the whole device; the last page may be in part, zeroes after */
	/* The driver's: as block_read, all pieces within the device. */
	int (*read)(struct block_device *d, const struct block_piece *p, unsigned n, struct pcache_io *io);
	struct block_device *next;
};

/* Reads all N pieces; no spin lock is held. IO NULL: asleep meanwhile; 0 or -EIO (then any part may have been read).
 * Else begins to, as parts of IO, and does not sleep: 0; -EAGAIN, -EIO: nothing has been begun. */
int block_read(struct block_device *d, const struct block_piece *p, unsigned n, struct pcache_io *io);

struct block_device *block_find(u64 rdev);	/* NULL: there is none */

/* Boot: finds the virtio disks: vda, vdb ... */
void virtio_blk_init(void);

/* For drivers, at boot: D (name, bytes, rdev, read set) and /dev/NAME are there from now on. 0 or -errno. */
int block_register(struct block_device *d);
