/* SPDX-License-Identifier: GPL-2.0-or-later */
/* replace.c - an empty subtree in the place of one that can't be read. */
#include "base/state.h"
#include "check/salvage.h"
#include "tree/alloc.h"
#include "tree/btree.h"
#include "tree/fetch.h"

static int replace_once(struct tfs *fs, const struct tfs_miss *lost,
			struct tfs_miss *miss)
{
	struct tfs_need need = { .mark = tfs_btree_new_mark(fs) };
	bool root = lost->level == fs->root_level;
	int err = root ? 0 : tfs_btree_touch_to(fs, lost->low,
						lost->level + 1, &need, miss);

	if (!err)
		err = tfs_pool_fill(fs, need.nodes + lost->level + 1, 0, 0,
				    miss);
	if (!err)
		err = tfs_free_reserve(fs, 2 * (need.nodes + 1));
	if (!err)
		tfs_btree_replace(fs, lost);
	return err;
}

int tfs_tree_replace(struct tfs *fs, const struct tfs_miss *lost)
{
	struct tfs_miss miss;
	int err;

	do {
		pthread_rwlock_wrlock(&fs->tree);
		err = tfs_rdonly(fs) && !fs->replaying ? -EROFS :
			replace_once(fs, lost, &miss);
		err = tfs_tree_unlock(fs, err, &miss);
		if (err == TFS_MISS) {
			err = tfs_node_fetch(fs, &miss);
			err = err ? err : TFS_MISS;
		}
	} while (err == TFS_MISS);
	return err == TFS_SHORT ? -ENOSPC : err;
}
