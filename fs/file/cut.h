/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cut.h - free what is past the end of a file, in bounded steps. */
#ifndef TFS_CUT_H
#define TFS_CUT_H

#include "file/inode.h"

/* The inode and its orphan item say whether items past the size are left; the
 * caller puts the inode. */
int tfs_cut_note(struct tfs_txn *tx, struct tfs_inode *inode, bool more);
/* One step, which puts the inode. */
int tfs_cut_step(struct tfs_txn *tx, struct tfs_inode *inode);
/* All that an earlier change left past the size, if it left anything. */
int tfs_cut_finish(struct tfs *fs, uint32_t ino);

#endif
