/* SPDX-License-Identifier: GPL-2.0-or-later */
/* access.h - access times; tfs_accessed() is in fs.h. */
#ifndef TFS_ACCESS_H
#define TFS_ACCESS_H

#include "tfs.h"

/* Is it time to keep that the inode was read? */
bool tfs_access_due(const struct tfs *fs, const struct tfs_inode *in,
		    struct timespec now);

#endif
