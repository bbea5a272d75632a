/* SPDX-License-Identifier: GPL-2.0-or-later */
/* seek.c - lseek: where a file has content and where it has none.
 *
 *  (1) A step looks at a bounded number of extents under one hold of the
 *      tree lock.  The place reached survives a missing node and the end of
 *      a step, so that a walk costs what it walks, however cold the tree is.
 *  (2) What changes behind that place while the walk goes on is not seen:
 *      the answer says of each extent what was true when it was passed. */
#include <unistd.h>

#include "file/extent.h"

#define STEP	256u	/* extents */

struct step {
	struct tfs_seek	*sk;
	unsigned int	left;		/* extents that may still be looked at */
};

/* Go on over one extent or hole.  1: the place is the answer. */
static int pass_extent(struct tfs_txn *tx, struct tfs_seek *sk)
{
	uint64_t csize = tfs_txn_fs(tx)->csize;
	struct tfs_extent ext;
	int err = tfs_extent_find(tx, sk->ino, sk->at / csize, &ext);
	bool none = err == -ENOENT, data;

	if (err && !none)
		return err;
	data = !none && ext.addr && ext.lc <= sk->at / csize;
	if (data == (sk->whence == SEEK_DATA))
		return 1;
	if (none)
		return -ENXIO;
	sk->at = (data || !ext.addr ? ext.lc + ext.len : ext.lc) * csize;
	return 0;
}

static int seek_extents(struct tfs_txn *tx, struct step *st, uint64_t size)
{
	struct tfs_seek *sk = st->sk;

	while (sk->at < size) {
		int err;

		if (!st->left)
			return 0;
		err = pass_extent(tx, sk);	/* (1) */
		sk->done = err == 1;
		if (err)
			return err < 0 ? err : 0;
		st->left--;
	}
	sk->at = size;
	sk->done = true;
	return sk->whence == SEEK_DATA ? -ENXIO : 0;
}

static int seek_inline(struct tfs_txn *tx, struct tfs_seek *sk, uint64_t size)
{
	struct tfs_item item;
	int err = tfs_txn_get(tx, tfs_key(sk->ino, TFS_T_INLINE, 0), &item);
	uint64_t end = err ? 0 : item.len < size ? item.len : size;

	if (err && err != -ENOENT)
		return err;
	sk->done = true;
	if (sk->at >= end)		/* nothing but a hole */
		return sk->whence == SEEK_DATA ? -ENXIO : 0;
	if (sk->whence == SEEK_HOLE)
		sk->at = end;
	return 0;
}

static int seek_fn(struct tfs_txn *tx, void *arg)
{
	struct step *st = arg;
	struct tfs_seek *sk = st->sk;
	struct tfs_inode inode;
	int err = tfs_inode_get(tx, sk->ino, &inode);

	if (err)
		return err;
	if (!sk->begun && sk->at >= inode.size)
		return -ENXIO;
	sk->begun = true;
	if (inode.clusters)
		return seek_extents(tx, st, inode.size);
	return seek_inline(tx, sk, inode.size);
}

int tfs_seek_step(struct tfs *fs, struct tfs_seek *sk)
{
	struct step st = { .sk = sk, .left = STEP };

	if (sk->whence != SEEK_DATA && sk->whence != SEEK_HOLE)
		return -EINVAL;
	return tfs_txn_read(fs, seek_fn, &st);
}

int64_t tfs_lseek(struct tfs *fs, uint32_t ino, uint64_t off, int whence)
{
	struct tfs_seek sk = { .ino = ino, .at = off, .whence = whence };
	int err = 0;

	while (!err && !sk.done)
		err = tfs_seek_step(fs, &sk);
	return err ? err : (int64_t)sk.at;
}
