/* SPDX-License-Identifier: GPL-2.0-or-later */
/* extent.c - the extents of a file: find, unmap, map.
 *
 *  (1) Extents of a file do not overlap.  Their clusters lie inside the
 *      device and clear of its fixed places.
 *  (2) One extent has one sequence, so that the record of each of its
 *      clusters follows from it. */
#include <string.h>

#include "base/about.h"
#include "tree/freemap.h"
#include "file/extent.h"

int tfs_extent_decode(struct tfs *fs, const struct tfs_item *item,
		      struct tfs_extent *out)
{
	uint64_t end = tfs_end_fixed(&fs->super);
	struct tfs_disk_extent d;
	const char *bad = NULL;

	*out = (struct tfs_extent){ .lc = item->key.off };
	if (item->len != sizeof(d)) {
		bad = "length";
		goto out;
	}
	memcpy(&d, item->val, sizeof(d));
	out->len = le32toh(d.len);
	out->addr = le64toh(d.addr);
	out->seq = le64toh(d.seq);
	if (!out->len || d.pad ||
	    out->lc + out->len > TFS_FILE_CLUSTERS || out->lc > UINT32_MAX)
		bad = "range in the file";
	else if (!out->addr != !out->seq || out->seq > fs->seq)
		bad = "sequence";
	else if (out->addr && (out->addr < tfs_freemap_fixed(fs) -
			       end || out->addr + out->len >
			       fs->super.clusters - end ||
			       out->addr > fs->super.clusters))
		bad = "range on the device";	/* (1) */
out:
	if (!bad)
		return 0;
	tfs_log_about(LOG_ERR, &(struct tfs_about){
			.ino = item->key.obj, .check = "structure" },
		      "inode %u: extent at cluster %llu: wrong %s",
		      item->key.obj, (unsigned long long)out->lc, bad);
	return -EUCLEAN;
}

int tfs_extent_find(struct tfs_txn *tx, uint32_t ino, uint64_t lc,
		    struct tfs_extent *out)
{
	struct tfs_key key = tfs_key(ino, TFS_T_EXTENT, lc);
	struct tfs *fs = tfs_txn_fs(tx);
	struct tfs_item item;
	int err = tfs_txn_prev_of(tx, key, &item);

	if (!err) {
		err = tfs_extent_decode(fs, &item, out);
		if (err || out->lc + out->len > lc)
			return err;
	}
	if (err && err != -ENOENT)
		return err;
	err = tfs_txn_next_of(tx, key, &item);
	return err ? err : tfs_extent_decode(fs, &item, out);
}

static int put_extent(struct tfs_txn *tx, uint32_t ino,
		      const struct tfs_extent *ext)
{
	struct tfs_disk_extent d = {
		.addr = htole64(ext->addr),
		.seq = htole64(ext->seq),
		.len = htole32(ext->len),
	};

	return tfs_txn_put(tx, tfs_key(ino, TFS_T_EXTENT, ext->lc), &d,
			   sizeof(d));
}

static int del_extent(struct tfs_txn *tx, uint32_t ino,
		      const struct tfs_extent *ext)
{
	return tfs_txn_del(tx, tfs_key(ino, TFS_T_EXTENT, ext->lc));
}

struct tfs_extent tfs_extent_slice(const struct tfs_extent *ext, uint64_t lc,
				   uint64_t len)
{
	struct tfs_extent s = *ext;

	s.lc = lc;
	s.len = len;
	if (s.addr)
		s.addr += lc - ext->lc;
	return s;
}

/* Take [lc, end) out of one extent that overlaps it. */
static int cut(struct tfs_txn *tx, uint32_t ino, const struct tfs_extent *ext,
	       uint64_t lc, uint64_t end, struct tfs_punch *p)
{
	uint64_t from = ext->lc > lc ? ext->lc : lc;
	uint64_t stop = ext->lc + ext->len, to = stop < end ? stop : end;
	struct tfs_extent part;
	int err;

	if (from > ext->lc) {
		part = tfs_extent_slice(ext, ext->lc, from - ext->lc);
		err = put_extent(tx, ino, &part);
	} else {
		err = del_extent(tx, ino, ext);
	}
	if (!err && to < stop) {
		part = tfs_extent_slice(ext, to, stop - to);
		err = put_extent(tx, ino, &part);
	}
	part = tfs_extent_slice(ext, from, to - from);
	if (!part.addr) {
		p->reserved += part.len;
		return err;
	}
	p->mapped += part.len;
	return err ? err : tfs_txn_free(tx, part.addr, part.len);
}

int tfs_extent_punch(struct tfs_txn *tx, uint32_t ino, uint64_t lc,
		     uint64_t end, unsigned int limit, struct tfs_punch *out)
{
	struct tfs_extent ext;
	uint64_t at = lc;
	int err = 0;

	*out = (struct tfs_punch){ .next = end };
	while (at < end) {
		err = tfs_extent_find(tx, ino, at, &ext);
		if (err || ext.lc >= end)
			break;
		if (out->items++ == limit) {
			out->next = at;
			break;
		}
		err = cut(tx, ino, &ext, lc, end, out);
		if (err)
			break;
		at = ext.lc + ext.len;
	}
	if (err == -ENOENT)
		err = 0;
	if (!err)
		tfs_txn_count(tx, 0, -(int64_t)out->reserved);
	return err;
}

int tfs_extent_map(struct tfs_txn *tx, uint32_t ino,
		   const struct tfs_extent *ext, bool join)
{
	struct tfs_extent new = *ext, prev;
	struct tfs_item item;
	int err;

	if (!ext->lc || !join)
		return put_extent(tx, ino, ext);
	err = tfs_txn_prev_of(tx, tfs_key(ino, TFS_T_EXTENT, ext->lc - 1),
			      &item);
	if (err == -ENOENT)
		return put_extent(tx, ino, ext);
	if (!err)
		err = tfs_extent_decode(tfs_txn_fs(tx), &item, &prev);
	if (err)
		return err;
	if (prev.seq == ext->seq && prev.lc + prev.len == ext->lc &&
	    (!ext->addr || prev.addr + prev.len == ext->addr) &&
	    prev.len + ext->len <= UINT32_MAX) {
		new = prev;
		new.len += ext->len;
	}
	return put_extent(tx, ino, &new);
}
