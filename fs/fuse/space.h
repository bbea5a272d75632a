/* SPDX-License-Identifier: GPL-2.0-or-later */
/* space.h - a program hears from write() that the filesystem is full, or the
 * file immutable. */
#ifndef TFS_SPACE_H
#define TFS_SPACE_H

#include <fuse_lowlevel.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tfs_inode;
struct tfs_ops;

/* The kernel has just got the attributes of that inode. */
void tfs_space_watch(struct tfs_ops *ops, const struct tfs_inode *in);
/* Is that always needed of it? */
bool tfs_space_watched(const struct tfs_inode *in);
/* A request for attributes of the file in; open: of who has it open.  True: it
 * will be answered. */
bool tfs_space_ask(fuse_req_t req, const struct tfs_inode *in, bool open);
/* What the kernel sent late, of that file, failed. */
void tfs_space_lost(struct tfs_ops *ops, uint32_t ino, uint64_t off,
		    size_t len, int err);

#endif
