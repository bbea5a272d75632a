/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sync.h - promises of space, and waiting; tfs_sync() and tfs_fsync() are in
 * fs.h. */
#ifndef TFS_SYNC_H
#define TFS_SYNC_H

#include "tfs.h"

/* What a handle is promised. */
struct tfs_handle {
	uint64_t	data, meta;	/* clusters */
	uint64_t	claimed;	/* of data, covered by reservations */
	size_t		runs;		/* that it may have to give back */
	bool		frees;		/* it zeroes what is around freed
					 * clusters */
};

/* Hold the running commit open from tag assignment to mapping.  -ENOMEM,
 * -EROFS; -ENOSPC: not even after a checkpoint. */
int tfs_handle_get(struct tfs *fs, const struct tfs_handle *h);
void tfs_handle_put(struct tfs *fs, const struct tfs_handle *h);
/* Before a change: start a commit or checkpoint that is due, wait for one
 * that is overdue.  No handle and no lock held but range locks.  0, or
 * TFS_WAITS on a thread that must not wait. */
int tfs_throttle(struct tfs *fs);

#endif
