/* SPDX-License-Identifier: GPL-2.0-or-later */
/* resize.c - the extent of a file's content: truncate and fallocate.
 *
 *  (1) A truncate is one transaction: the new size, the last cluster with
 *      its tail zeroed and, as far as the bound allows, the freeing of what
 *      is past it.  What is left over goes in further transactions, under an
 *      orphan item that lets the next mount finish them.
 *  (2) A reservation is an extent without clusters; the free space behind it
 *      is counted in fs->reserved. */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "tree/alloc.h"
#include "file/write.h"

/* ---- truncate ------------------------------------------------------------- */

struct cut {
	uint32_t	ino;
	uint64_t	size;
	uint32_t	csize;
	bool		more;
};

static int trim_inline(struct tfs_txn *tx, const struct cut *c)
{
	struct tfs_key key = tfs_key(c->ino, TFS_T_INLINE, 0);
	struct tfs_item item;
	int err = tfs_txn_get(tx, key, &item);

	if (err)
		return err == -ENOENT ? 0 : err;
	if (item.len <= c->size)
		return 0;
	if (!c->size)
		return tfs_txn_del(tx, key);
	return tfs_txn_put(tx, key, item.val, c->size);
}

static int drop_past(struct tfs_txn *tx, struct cut *c,
		     struct tfs_inode *inode)
{
	struct tfs_punch punch;
	int err = tfs_extent_punch(tx, c->ino,
				   (c->size + c->csize - 1) / c->csize,
				   TFS_FILE_CLUSTERS, TFS_PUNCH_LIMIT, &punch);

	inode->clusters -= punch.mapped + punch.reserved;
	c->more = punch.next < TFS_FILE_CLUSTERS;
	return err;
}

/* One step: the inode with what is left of its content. */
static int cut_step(struct tfs_txn *tx, struct cut *c,
		    struct tfs_inode *inode)
{
	int err = tfs_inode_get(tx, c->ino, inode);

	if (!err)
		err = trim_inline(tx, c);
	return err ? err : drop_past(tx, c, inode);
}

static int cut_fn(struct tfs_txn *tx, void *arg)
{
	struct cut *c = arg;
	struct tfs_inode inode;
	int err = cut_step(tx, c, &inode);

	if (!err && c->more)
		err = tfs_txn_put(tx, tfs_key(0, TFS_T_ORPHAN, c->ino), NULL,
				  0);
	inode.size = c->size;
	inode.mtime = inode.ctime = tfs_now();
	return err ? err : tfs_inode_put(tx, &inode);
}

static int items_fn(struct tfs_txn *tx, void *arg)
{
	struct cut *c = arg;
	struct tfs_inode inode;
	int err = cut_step(tx, c, &inode);

	if (!err && !c->more && inode.nlink)
		err = tfs_txn_del(tx, tfs_key(0, TFS_T_ORPHAN, c->ino));
	return err ? err : tfs_inode_put(tx, &inode);
}

int tfs_truncate_items(struct tfs *fs, uint32_t ino, uint64_t size)
{
	struct cut c = { .ino = ino, .size = size, .csize = fs->csize };
	int err;

	do {
		err = tfs_txn_write(fs, items_fn, &c, TFS_TXN_FREES);
	} while (!err && c.more);
	return err;
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

static int shrink(struct tfs *fs, uint32_t ino, uint64_t size)
{
	struct cut c = { .ino = ino, .size = size, .csize = fs->csize };
	struct tfs_change ch = {
		.fs = fs, .ino = ino, .off = size,
		.len = fs->csize - size % fs->csize,
		.cut = true, .size = size,
	};
	bool mapped;
	int err = tail_mapped(fs, ino, size, &mapped);

	if (err)
		return err;
	if (mapped) {
		err = tfs_change_clusters(&ch);
		c.more = ch.more;
	} else {
		err = tfs_txn_write(fs, cut_fn, &c, TFS_TXN_FREES);
	}
	return !err && c.more ? tfs_truncate_items(fs, ino, size) : err;
}

static int grow_fn(struct tfs_txn *tx, void *arg)
{
	struct cut *c = arg;
	struct tfs_inode inode;
	int err = tfs_inode_get(tx, c->ino, &inode);

	if (err)
		return err;
	inode.size = c->size;
	inode.mtime = inode.ctime = tfs_now();
	return tfs_inode_put(tx, &inode);
}

int tfs_truncate(struct tfs *fs, uint32_t ino, uint64_t size)
{
	struct cut c = { .ino = ino, .size = size };
	struct tfs_look look;
	int err;

	if (size > TFS_FILE_CLUSTERS * fs->csize)
		return -EFBIG;
	tfs_range_lock(fs, ino, 0, TFS_FILE_CLUSTERS);
	err = tfs_look(fs, ino, 0, 0, &look);
	if (!err && size < look.inode.size)
		err = shrink(fs, ino, size);
	else if (!err)
		err = tfs_txn_write(fs, grow_fn, &c, 0);
	tfs_range_unlock(fs, ino, 0, TFS_FILE_CLUSTERS);
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
	if (count && fs->free < fs->reserve + fs->reserved + fs->promised +
	    count)
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
	return tfs_change_clusters(&c);
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
	tfs_range_lock(fs, ino, 0, TFS_FILE_CLUSTERS);
	err = fallocate_locked(fs, ino, mode, off, off + len);
	tfs_range_unlock(fs, ino, 0, TFS_FILE_CLUSTERS);
	return err;
}
