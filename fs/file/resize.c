/* SPDX-License-Identifier: GPL-2.0-or-later */
/* resize.c - the extent of a file's content: truncate and fallocate.
 *
 *  (1) A truncate is one transaction: the new size, the last cluster with
 *      its tail zeroed and, as far as the bound allows, the freeing of what
 *      is past it.  What is left over goes in further transactions (cut.c);
 *      if one of them fails, the truncate has succeeded all the same.
 *  (2) A reservation is an extent without clusters; the free space behind it
 *      is counted in fs->reserved.  It promises the nodes for its extents,
 *      too: tfs_reserved_space().
 *  (3) fallocate goes in steps, each of which leaves the file whole.  An
 *      error leaves what the steps before it did: reservations in the first
 *      part of the range; or zeros at its edges and then from its start on,
 *      with old content behind them.  The size changes with the last step. */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "tree/alloc.h"
#include "file/cut.h"
#include "file/extent.h"
#include "file/refs.h"
#include "file/resize.h"
#include "file/write.h"

/* ---- truncate ------------------------------------------------------------- */

struct cut {
	uint32_t	ino;
	uint64_t	size;
	unsigned int	flags;		/* TFS_WRITE_CACHED */
	struct tfs_inode inode;		/* out */
};

/* The new size, and the first step. */
static int resize_fn(struct tfs_txn *tx, void *arg)
{
	struct cut *c = arg;
	bool shrinks;
	int err = tfs_inode_get(tx, c->ino, &c->inode);

	if (err)
		return err;
	shrinks = c->size < c->inode.size;
	c->inode.size = c->size;
	if (!(c->flags & TFS_WRITE_CACHED))
		c->inode.mtime = c->inode.ctime = tfs_now();
	return shrinks ? tfs_cut_step(tx, &c->inode) :
		tfs_inode_put(tx, &c->inode);
}

/* Is there a cluster under the new end whose tail must become zeros? */
static int tail_mapped(struct tfs *fs, uint32_t ino, uint64_t size,
		       bool *mapped)
{
	struct tfs_look look;
	int64_t at;
	int err = tfs_look(fs, ino, 0, 0, &look);

	*mapped = false;
	if (err || !(size % fs->csize) || !look.inode.clusters)
		return err;
	at = tfs_lseek(fs, ino, size / fs->csize * fs->csize, SEEK_DATA);
	if (at < 0)
		return at == -ENXIO ? 0 : at;
	*mapped = (uint64_t)at / fs->csize == size / fs->csize;
	return 0;
}

/* The new size with zeros behind it, in one transaction. */
static int shrink(struct tfs *fs, struct cut *c)
{
	struct tfs_change ch = {
		.fs = fs, .ino = c->ino, .off = c->size,
		.len = fs->csize - c->size % fs->csize,
		.cut = true, .size = c->size, .flags = c->flags,
	};
	bool mapped;
	int err = tail_mapped(fs, c->ino, c->size, &mapped);

	if (err)
		return err;
	if (!mapped)
		return tfs_txn_write(fs, resize_fn, c, TFS_TXN_FREES);
	err = tfs_change_clusters(&ch, NULL);
	c->inode = ch.inode;
	return err;
}

static void finish_or_say(struct tfs *fs, uint32_t ino)
{
	int err = tfs_cut_finish(fs, ino);

	if (!err)
		return;
	atomic_store(&fs->unfinished, true);			/* (1) */
	eng_log(LOG_WARNING, "inode %u: truncated, but not all of its "
		"space is free yet: %s", ino, strerror(-err));
}

int tfs_truncate(struct tfs *fs, uint32_t ino, uint64_t size,
		 unsigned int flags, struct tfs_inode *out)
{
	struct cut c = { .ino = ino, .size = size, .flags = flags };
	struct tfs_look look;
	int err;

	if (size > TFS_FILE_CLUSTERS * fs->csize)
		return -EFBIG;
	err = tfs_range_lock(fs, ino, 0, TFS_FILE_CLUSTERS);
	if (err)
		return err;
	err = tfs_look(fs, ino, 0, 0, &look);
	if (!err)
		err = tfs_unlocked(&look.inode);
	if (!err && size < look.inode.size)
		err = shrink(fs, &c);
	else if (!err)
		err = tfs_txn_write(fs, resize_fn, &c, 0);
	if (!err && c.inode.flags & TFS_INODE_CUT)
		finish_or_say(fs, ino);
	tfs_range_unlock(fs, ino, 0, TFS_FILE_CLUSTERS);
	if (!err)
		*out = c.inode;
	return err;
}

/* ---- fallocate ------------------------------------------------------------ */

struct reserve {
	uint32_t	ino;
	uint64_t	lc, end;	/* whole clusters */
	uint64_t	size;		/* grow the file to this; 0: don't */
	uint64_t	next;
};

/* Fill the holes of [lc, end) with reservations, a bounded number a time. */
static int reserve_holes(struct tfs_txn *tx, struct reserve *r,
			 uint64_t *count)
{
	struct tfs_extent ext, res = { .addr = 0 };
	uint64_t at = r->lc;
	int err = 0;

	*count = 0;
	for (unsigned int i = 0; at < r->end && i < TFS_PUNCH_LIMIT; i++) {
		uint64_t stop = r->end;

		err = tfs_extent_find(tx, r->ino, at, &ext);
		if (err && err != -ENOENT)
			return err;
		if (!err && ext.lc < stop)
			stop = ext.lc > at ? ext.lc : at;
		if (stop - at > UINT32_MAX)
			stop = at + UINT32_MAX;
		res.lc = at;
		res.len = stop - at;
		if (res.len) {
			err = tfs_extent_map(tx, r->ino, &res, false);
			if (err)
				return err;
			*count += res.len;
			at = stop;
		} else {
			at = ext.lc + ext.len;
		}
	}
	r->next = at < r->end ? at : r->end;
	return 0;
}

static int reserve_fn(struct tfs_txn *tx, void *arg)
{
	struct reserve *r = arg;
	struct tfs *fs = tfs_txn_fs(tx);
	struct tfs_inode inode;
	uint64_t count;
	int err = tfs_inode_get(tx, r->ino, &inode);

	if (!err)
		err = reserve_holes(tx, r, &count);
	if (err)
		return err;
	if (count && fs->free < fs->reserve + fs->promised +
	    tfs_reserved_space(fs, fs->reserved + count))
		return TFS_SHORT;
	inode.clusters += count;
	tfs_txn_count(tx, 0, count);
	if (r->next == r->end && r->size > inode.size)
		inode.size = r->size;
	inode.mtime = inode.ctime = tfs_now();
	return tfs_inode_put(tx, &inode);
}

static int do_reserve(struct tfs *fs, struct reserve *r)
{
	int err;

	do {
		err = tfs_txn_write(fs, reserve_fn, r, 0);
		r->lc = r->next;
	} while (!err && r->lc < r->end);
	return err;
}

struct hole {
	uint32_t	ino;
	uint64_t	lc, end;
	uint64_t	next;		/* lc of the next transaction */
};

static int hole_fn(struct tfs_txn *tx, void *arg)
{
	struct hole *h = arg;
	struct tfs_punch punch;
	struct tfs_inode inode;
	int err = tfs_inode_get(tx, h->ino, &inode);

	if (!err)
		err = tfs_extent_punch(tx, h->ino, h->lc, h->end,
				       TFS_PUNCH_LIMIT, &punch);
	if (err)
		return err;
	h->next = punch.next;
	inode.clusters -= punch.mapped + punch.reserved;
	inode.mtime = inode.ctime = tfs_now();
	return tfs_inode_put(tx, &inode);
}

static int zero_edge(struct tfs *fs, uint32_t ino, uint64_t off, uint64_t len)
{
	struct tfs_change c = {
		.fs = fs, .ino = ino, .off = off, .len = len,
		.keep_size = true,
	};
	int64_t at;

	if (!len)
		return 0;
	at = tfs_lseek(fs, ino, off / fs->csize * fs->csize, SEEK_DATA);
	if (at < 0)
		return at == -ENXIO ? 0 : at;
	if ((uint64_t)at / fs->csize != off / fs->csize)
		return 0;
	return tfs_change_clusters(&c, NULL);
}

/* Zeros from off on: whole clusters unmapped, the edges written. */
static int punch(struct tfs *fs, uint32_t ino, uint64_t off, uint64_t end)
{
	uint64_t csize = fs->csize;
	struct hole h = { .ino = ino, .lc = (off + csize - 1) / csize,
			  .end = end / csize };
	int err;

	if (off / csize == end / csize)
		return zero_edge(fs, ino, off, end - off);
	err = zero_edge(fs, ino, off, h.lc * csize - off);
	if (!err)
		err = zero_edge(fs, ino, h.end * csize, end - h.end * csize);
	while (!err && h.lc < h.end) {
		err = tfs_txn_write(fs, hole_fn, &h, TFS_TXN_FREES);
		h.lc = h.next;
	}
	return err;
}

static int fallocate_locked(struct tfs *fs, uint32_t ino, int mode,
			    uint64_t off, uint64_t end)
{
	bool keep = mode & FALLOC_FL_KEEP_SIZE;
	struct reserve r = {
		.ino = ino, .lc = off / fs->csize,
		.end = (end + fs->csize - 1) / fs->csize,
		.size = keep ? 0 : end,
	};
	struct tfs_look look;
	int err = tfs_look(fs, ino, 0, 0, &look);

	if (!err)
		err = keep ? tfs_mutable(&look.inode) :
			tfs_unlocked(&look.inode);
	if (!err && mode & ~FALLOC_FL_KEEP_SIZE)
		err = tfs_unlocked(&look.inode);
	if (!err)
		err = tfs_uninline(fs, ino, &look);
	if (!err && mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
		err = punch(fs, ino, off, end);
	if (!err && !(mode & FALLOC_FL_PUNCH_HOLE))
		err = do_reserve(fs, &r);
	return err;
}

int tfs_fallocate(struct tfs *fs, uint32_t ino, int mode, uint64_t off,
		  uint64_t len)
{
	int known = FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE |
		FALLOC_FL_ZERO_RANGE;
	int err;

	if (mode & ~known || (mode & FALLOC_FL_PUNCH_HOLE &&
			      mode & FALLOC_FL_ZERO_RANGE))
		return -EOPNOTSUPP;
	if (mode & FALLOC_FL_PUNCH_HOLE && !(mode & FALLOC_FL_KEEP_SIZE))
		return -EOPNOTSUPP;
	if (!len)
		return -EINVAL;
	if (off + len < off || off + len > TFS_FILE_CLUSTERS * fs->csize)
		return -EFBIG;
	err = tfs_range_lock(fs, ino, 0, TFS_FILE_CLUSTERS);
	if (err)
		return err;
	err = fallocate_locked(fs, ino, mode, off, off + len);
	tfs_range_unlock(fs, ino, 0, TFS_FILE_CLUSTERS);
	return err;
}
