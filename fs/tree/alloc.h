/* SPDX-License-Identifier: GPL-2.0-or-later */
/* alloc.h - free space, as the tree stores it.  All under fs->tree, held for
 * writing. */
#ifndef TFS_ALLOC_H
#define TFS_ALLOC_H

#include "tree/freemap.h"

#define TFS_SHORT	(-518)	/* no space at hand; a checkpoint may help */

/* A region and its group, in memory from here on. */
int tfs_region_load(struct tfs *fs, uint64_t idx, struct tfs_region **out,
		    struct tfs_miss *miss);

/* A run of at most want clusters for file data. 0, TFS_MISS, -ENOSPC or
 * -EUCLEAN. */
int tfs_alloc_data(struct tfs *fs, uint64_t want, uint64_t *addr,
		   uint64_t *len, struct tfs_miss *miss);
/* Take clusters at a place that is known to be in use; *len, at most to the
 * end of the region, is how many it were.  -EUCLEAN: they are not free. */
int tfs_alloc_claim(struct tfs *fs, uint64_t addr, uint64_t *len,
		    struct tfs_miss *miss);

/* Places and memory for nodes that changes will need.  TFS_SHORT if that
 * would leave fewer than floor clusters free.  Sets aside spare further
 * nodes for optional work. */
int tfs_pool_fill(struct tfs *fs, unsigned int nodes, unsigned int spare,
		  uint64_t floor, struct tfs_miss *miss);

/* A checkpoint's part.  Prepare until it returns 0; then, without giving
 * the lock up, serialise: the free space as of this commit is in the tree.
 * When it is durable and its reads are over: tfs_freemap_release(). */
int tfs_alloc_prepare(struct tfs *fs, struct tfs_miss *miss);
void tfs_alloc_serialise(struct tfs *fs);

#endif
