/* SPDX-License-Identifier: GPL-2.0-or-later */
/* seek.c - lseek: where a file has content and where it has none. */
#include <unistd.h>

#include "file/extent.h"

struct seek {
	uint32_t	ino;
	uint64_t	off;
	int		whence;
	int64_t		result;
};

/* The first byte at or after off that a mapped cluster holds (or none). */
static int seek_extents(struct tfs_txn *tx, struct seek *s, uint64_t size)
{
	uint64_t csize = tfs_txn_fs(tx)->csize, at = s->off;
	struct tfs_extent ext;
	int err;

	while (at < size) {
		err = tfs_extent_find(tx, s->ino, at / csize, &ext);
		if (err && err != -ENOENT)
			return err;
		if (err || ext.lc > at / csize || !ext.addr) {	/* a hole */
			if (s->whence == SEEK_HOLE)
				break;
			if (err)
				return -ENXIO;
			if (!ext.addr)
				at = (ext.lc + ext.len) * csize;
			else
				at = ext.lc * csize;
			continue;
		}
		if (s->whence == SEEK_DATA)
			break;
		at = (ext.lc + ext.len) * csize;
	}
	if (at >= size && s->whence == SEEK_DATA)
		return -ENXIO;
	s->result = at < size ? at : size;
	return 0;
}

static int seek_fn(struct tfs_txn *tx, void *arg)
{
	struct seek *s = arg;
	struct tfs_inode inode;
	struct tfs_item item;
	int err = tfs_inode_get(tx, s->ino, &inode);

	if (err)
		return err;
	if (s->off >= inode.size)
		return -ENXIO;
	if (inode.clusters)
		return seek_extents(tx, s, inode.size);
	err = tfs_txn_get(tx, tfs_key(s->ino, TFS_T_INLINE, 0), &item);
	if (err && err != -ENOENT)
		return err;
	if (err || s->off >= item.len) {	/* nothing but a hole */
		s->result = s->off;
		return s->whence == SEEK_DATA ? -ENXIO : 0;
	}
	s->result = s->whence == SEEK_DATA ? s->off : inode.size;
	if (s->whence == SEEK_HOLE && item.len < inode.size)
		s->result = item.len;
	return 0;
}

int64_t tfs_lseek(struct tfs *fs, uint32_t ino, uint64_t off, int whence)
{
	struct seek s = { .ino = ino, .off = off, .whence = whence };
	int err;

	if (whence != SEEK_DATA && whence != SEEK_HOLE)
		return -EINVAL;
	err = tfs_txn_read(fs, seek_fn, &s);
	return err ? err : s.result;
}
