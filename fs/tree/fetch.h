/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fetch.h - read a node that is not in memory. */
#ifndef TFS_FETCH_H
#define TFS_FETCH_H

#include "tree/node.h"

/* Let go of fs->tree after a look that returned err, which is returned.  If
 * that is TFS_MISS, the node is pinned: its place is not used again before
 * tfs_node_fetch(), which must follow, has returned. */
int tfs_tree_unlock(struct tfs *fs, int err, struct tfs_miss *miss);
/* Do what the miss says.  A missing node is read and put in the cache, but
 * TFS_WAITS on a thread that must not wait.  0: look again, though the tree
 * may have moved on and need another one now. */
int tfs_node_fetch(struct tfs *fs, const struct tfs_miss *miss);

#endif
