/* SPDX-License-Identifier: GPL-2.0-or-later */
/* copy.h - from file to file, in the daemon. */
#ifndef TFS_COPY_H
#define TFS_COPY_H

#include <fuse_lowlevel.h>

/* copy_file_range of struct fuse_lowlevel_ops. */
void tfs_op_copy(fuse_req_t req, fuse_ino_t from, off_t from_off,
		 struct fuse_file_info *from_fi, fuse_ino_t to, off_t to_off,
		 struct fuse_file_info *to_fi, size_t len, int flags);

#endif
