/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ioctl.h - tagfs_ioctl.h answered. */
#ifndef TFS_IOCTL_H
#define TFS_IOCTL_H

#include <fuse_lowlevel.h>

void tfs_op_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned int cmd, void *arg,
		  struct fuse_file_info *fi, unsigned int flags,
		  const void *in, size_t in_size, size_t out_size);

#endif
