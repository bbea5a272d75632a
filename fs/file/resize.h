/* SPDX-License-Identifier: GPL-2.0-or-later */
/* resize.h - the end of a file; tfs_fallocate() is in fs.h. */
#ifndef TFS_RESIZE_H
#define TFS_RESIZE_H

#include "file/inode.h"

/* Set the size, zeroing the tail of the last cluster; *out is the
 * inode then.  flags: TFS_WRITE_CACHED. */
int tfs_truncate(struct tfs *fs, uint32_t ino, uint64_t size,
		 unsigned int flags, struct tfs_inode *out);

#endif
