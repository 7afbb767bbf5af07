/* SPDX-License-Identifier: MIT */
/*
 * Owns: devices: the table from device number to file_ops, and their nodes in /dev (a tmpfs).
 * Registered at boot by whoever drives them, before or after fs_init; never taken back. Opening a node sets
 * file->ops and file->data to what was registered, then calls ops->open, if any.
 */
#pragma once
#include "kernel/fs/file.h"

/* Linux's encoding of a device number. */
#define DEV(major, minor) ((u64)(major) << 8 | ((minor) & 0xff) | ((u64)(minor) & ~0xffUL) << 12)

/* NAME (kept by the caller) under /dev; MODE is the permission bits, with S_IFBLK for a block device; RDEV a
 * DEV(). 0, -ENOMEM, -EEXIST. */
int dev_register(const char *name, u32 mode, u64 rdev, const struct file_ops *ops, void *data);

/* For opening F, whose vnode is a device. 0 or -ENXIO. */
int dev_open(struct file *f);

/* Fills /dev, just mounted at DEV: nodes, links; registers null zero full random urandom kmsg. */
struct vnode;
int dev_init(struct vnode *dev);
