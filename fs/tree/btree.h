/* SPDX-License-Identifier: GPL-2.0-or-later */
/* btree.h - the one tree: looks, and changes that cannot fail.
 *
 * Everything under fs->tree: looks for reading, the rest for writing.  A
 * look returns TFS_MISS and fills *miss where a node is not in memory. */
#ifndef TFS_BTREE_H
#define TFS_BTREE_H

#include "tree/node.h"

int tfs_btree_get(struct tfs *fs, struct tfs_key key, struct tfs_item *out,
		  struct tfs_miss *miss);
int tfs_btree_next(struct tfs *fs, struct tfs_key key, struct tfs_item *out,
		   struct tfs_miss *miss);
int tfs_btree_prev(struct tfs *fs, struct tfs_key key, struct tfs_item *out,
		   struct tfs_miss *miss);

/* Does the tree name the node of f where f says?  0: yes.  -ENOENT: no.
 * TFS_MISS: what lies above it is not in memory. */
int tfs_btree_names(struct tfs *fs, const struct tfs_miss *f);

/* The nodes from the root down to the leaf of key, as far as they are in
 * memory: path[0] is the root, *n how many. */
int tfs_btree_path(struct tfs *fs, struct tfs_key key,
		   const struct tfs_node *path[TFS_LEVEL_MAX + 1],
		   unsigned int *n, struct tfs_miss *miss);

/* What changes will need of tfs_pool_fill(). */
struct tfs_need {
	uint64_t	mark;	/* unique to this count */
	unsigned int	nodes;	/* to copy */
	unsigned int	seen;	/* distinct nodes on the paths */
};

uint64_t tfs_btree_new_mark(struct tfs *fs);
/* Bring the path of key into memory (deletes: with a neighbour to merge
 * with) and count it. 0, TFS_MISS or -EUCLEAN. */
int tfs_btree_touch(struct tfs *fs, struct tfs_key key, bool del,
		    struct tfs_need *need, struct tfs_miss *miss);

/* The same of the path down to level alone. */
int tfs_btree_touch_to(struct tfs *fs, struct tfs_key key, uint8_t level,
		       struct tfs_need *need, struct tfs_miss *miss);

/* Nodes that splitting may need, at most, where so many items, with their
 * heads so many bytes, come in below the nodes that were seen. */
unsigned int tfs_btree_splits(const struct tfs *fs,
			      const struct tfs_need *need, unsigned int puts,
			      size_t bytes);
/* After tfs_btree_touch() of every key and tfs_pool_fill() for the need. */
void tfs_btree_put(struct tfs *fs, struct tfs_key key, const void *val,
		   unsigned int len);
void tfs_btree_del(struct tfs *fs, struct tfs_key key);
/* What lies below at is given up: an empty subtree of the same bounds takes its
 * place, or, in place of the root, an empty leaf.  After tfs_btree_touch_to()
 * of the level above, and tfs_pool_fill() for the need and the new nodes, one of
 * each level up to at's. */
void tfs_btree_replace(struct tfs *fs, const struct tfs_miss *at);
/* Rewrite the node that covers key at level at the next checkpoint, after
 * tfs_btree_touch_to(). */
void tfs_btree_rewrite(struct tfs *fs, struct tfs_key key, uint8_t level);

#endif
