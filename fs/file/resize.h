/* SPDX-License-Identifier: GPL-2.0-or-later */
/* resize.h - the end of a file; tfs_fallocate() is in fs.h. */
#ifndef TFS_RESIZE_H
#define TFS_RESIZE_H

#include "file/inode.h"

/* Free what a truncate left past the size, if it left anything, at
 * most a bounded number of items per transaction. */
int tfs_cut_finish(struct tfs *fs, uint32_t ino);
/* Set the size, zeroing the tail of the last cluster; *out is the
 * inode then.  flags: TFS_WRITE_CACHED. */
int tfs_truncate(struct tfs *fs, uint32_t ino, uint64_t size,
		 unsigned int flags, struct tfs_inode *out);
/* The inode and its orphan item say whether items past the size are
 * left; the caller puts the inode. */
int tfs_cut_note(struct tfs_txn *tx, struct tfs_inode *inode, bool more);

#endif
