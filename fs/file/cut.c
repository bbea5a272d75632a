/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cut.c - free what is past the end of a file, in bounded steps.
 *
 *  (1) As long as there is more, the inode has TFS_INODE_CUT and an orphan
 *      item, so that the next change of the file, or the next mount, goes on;
 *      both come and go together. */
#include "file/cut.h"
#include "file/extent.h"

int tfs_cut_note(struct tfs_txn *tx, struct tfs_inode *inode, bool more)
{
	bool before = inode->flags & TFS_INODE_CUT;

	inode->flags &= ~TFS_INODE_CUT;
	if (more)
		inode->flags |= TFS_INODE_CUT;
	if (more)
		return tfs_orphan_put(tx, inode->ino);
	/* Without a name it has an orphan item in any case. */
	return before && inode->nlink ? tfs_orphan_del(tx, inode->ino) : 0;
}

static int trim_inline(struct tfs_txn *tx, uint32_t ino, uint64_t size)
{
	struct tfs_key key = tfs_key(ino, TFS_T_INLINE, 0);
	struct tfs_item item;
	int err = tfs_txn_get(tx, key, &item);

	if (err)
		return err == -ENOENT ? 0 : err;
	if (item.len <= size)
		return 0;
	if (!size)
		return tfs_txn_del(tx, key);
	return tfs_txn_put(tx, key, item.val, size);
}

int tfs_cut_step(struct tfs_txn *tx, struct tfs_inode *inode)
{
	uint32_t csize = tfs_txn_fs(tx)->csize;
	struct tfs_punch punch;
	int err = trim_inline(tx, inode->ino, inode->size);

	if (!err)
		err = tfs_extent_punch(tx, inode->ino,
				       (inode->size + csize - 1) / csize,
				       TFS_FILE_CLUSTERS, TFS_PUNCH_LIMIT,
				       &punch);
	if (err)
		return err;
	inode->clusters -= punch.mapped + punch.reserved;
	err = tfs_cut_note(tx, inode, punch.next < TFS_FILE_CLUSTERS);
	return err ? err : tfs_inode_put(tx, inode);
}

/* Somebody else may have finished it, and the file may have grown since. */
static int finish_fn(struct tfs_txn *tx, void *arg)
{
	struct tfs_inode *inode = arg;
	int err = tfs_inode_get(tx, inode->ino, inode);

	if (err || !(inode->flags & TFS_INODE_CUT))
		return err;
	return tfs_cut_step(tx, inode);
}

int tfs_cut_finish(struct tfs *fs, uint32_t ino)
{
	struct tfs_inode inode = { .ino = ino };
	int err;

	do {
		err = tfs_txn_write(fs, finish_fn, &inode, TFS_TXN_FREES);
	} while (!err && inode.flags & TFS_INODE_CUT);
	return err;
}
