/* SPDX-License-Identifier: GPL-2.0-or-later */
/* reply.h - answers to the kernel; each one ends its request. */
#ifndef TFS_REPLY_H
#define TFS_REPLY_H

#include <fuse_lowlevel.h>

#include "format.h"
#include "fs.h"

/* Names and attributes stay valid in the kernel: a day; ops.c (3). */
#define TFS_VALID	86400
/* Of attributes: for ever, of what is immutable, see space.c. */
#define TFS_VALID_ATTR(in) \
	((in)->flags & TFS_INODE_IMMUTABLE ? 1000000000 : TFS_VALID)

void tfs_inode_stat(struct tfs *fs, const struct tfs_inode *in,
		    struct stat *st);
/* An inode as the kernel takes it, with a reference. */
void tfs_inode_entry(struct tfs *fs, const struct tfs_inode *in,
		     struct fuse_entry_param *e);

/* What stands for TFS_WAITS in a reply that the transport keeps from the
 * kernel (uring.c). */
#define TFS_REPLY_WAITS	900

/* 0 or the errno of the system call, from 0 or -errno. */
int tfs_errno(int err);
/* err: 0 or -errno.  Replies with more are replies with err, if there is
 * one. */
void tfs_reply_err(fuse_req_t req, int err);
void tfs_reply_attr(fuse_req_t req, int err, const struct tfs_inode *in);
/* The reference that *in comes with goes to the kernel. */
void tfs_reply_entry(fuse_req_t req, int err, const struct tfs_inode *in);
/* The same, for an open file. */
void tfs_reply_create(fuse_req_t req, int err, const struct tfs_inode *in,
		      const struct fuse_file_info *fi);
/* len: of the value, or -errno.  size 0: the length was asked for. */
void tfs_reply_xattr(fuse_req_t req, ssize_t len, const char *value,
		     size_t size);

#endif
