/* SPDX-License-Identifier: GPL-2.0-or-later */
/* alloc.h - free space.  All under fs->tree, held for writing. */
#ifndef TFS_ALLOC_H
#define TFS_ALLOC_H

#include "tree/node.h"

#define TFS_SHORT	(-518)	/* no space at hand; a checkpoint may help */

int tfs_alloc_create(struct tfs_alloc **out, const struct tfs *fs);
void tfs_alloc_destroy(struct tfs_alloc *al);
/* Clusters that superblocks, slots and log take. */
uint64_t tfs_alloc_fixed(const struct tfs *fs);

/* A run of at most want clusters for file data. 0, TFS_FAULT, -ENOSPC or
 * -EUCLEAN. */
int tfs_alloc_data(struct tfs *fs, uint64_t want, uint64_t *addr,
		   uint64_t *len, struct tfs_fault *fault);
/* Free with the running commit: reusable after its checkpoint is durable
 * and every read that could look at them is over.  There is room in the
 * list (tfs_free_reserve()). */
void tfs_free_later(struct tfs *fs, uint64_t addr, uint64_t len);
/* Take clusters at a place that is known to be in use; *len, at most to the
 * end of the region, is how many it were.  -EUCLEAN: they are not free. */
int tfs_alloc_claim(struct tfs *fs, uint64_t addr, uint64_t *len,
		    struct tfs_fault *fault);
int tfs_free_reserve(struct tfs *fs, size_t runs);

/* Places and memory for nodes that changes will need.  TFS_SHORT if that
 * would leave fewer than floor clusters free.  Sets aside spare further
 * nodes for optional work. */
int tfs_pool_fill(struct tfs *fs, unsigned int nodes, unsigned int spare,
		  uint64_t floor, struct tfs_fault *fault);
struct tfs_node *tfs_pool_take(struct tfs *fs);
/* May an optional change take one more? Counts down. */
bool tfs_pool_spare(struct tfs *fs);
uint64_t tfs_pool_clusters(const struct tfs *fs);

/* A checkpoint's part.  Prepare until it returns 0; then, without giving
 * the lock up, serialise: the free space as of this commit is in the tree.
 * When the checkpoint is durable and its reads are over, release. */
int tfs_alloc_prepare(struct tfs *fs, struct tfs_fault *fault);
void tfs_alloc_serialise(struct tfs *fs);
void tfs_alloc_release(struct tfs *fs, const struct tfs_extents *freed);
/* Regions that a checkpoint would write, about. */
size_t tfs_alloc_dirty(const struct tfs *fs);

#endif
