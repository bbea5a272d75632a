/* SPDX-License-Identifier: GPL-2.0-or-later */
/* orphan.h - inodes that have neither names nor users. */
#ifndef TFS_ORPHAN_H
#define TFS_ORPHAN_H

#include "fs.h"

/* Free an inode that has no name and no reference. */
int tfs_orphan_reclaim(struct tfs *fs, uint32_t ino);
/* All that a crash left; at a read-write mount. */
int tfs_orphan_reclaim_all(struct tfs *fs);
/* Once more what has failed since the last time. */
void tfs_orphan_retry(struct tfs *fs);

#endif
