/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sync.h - promises of space, and waiting; tfs_sync() and tfs_fsync() are in
 * fs.h. */
#ifndef TFS_SYNC_H
#define TFS_SYNC_H

#include "tfs.h"

/* Hold the running commit open from tag assignment to mapping; promises data
 * and meta clusters, claimed of which reservations cover.  frees: it zeroes
 * what is around freed clusters.  -ENOSPC: not even after a checkpoint. */
int tfs_handle_get(struct tfs *fs, uint64_t data, uint64_t claimed,
		   uint64_t meta, bool frees);
/* promised: data + meta. */
void tfs_handle_put(struct tfs *fs, uint64_t promised);
/* Before a change: start a commit or checkpoint that is due, wait for one
 * that is overdue.  No handle and no lock held but range locks. */
void tfs_throttle(struct tfs *fs);

#endif
