/* SPDX-License-Identifier: GPL-2.0-or-later */
/* locate.c - see locate.h.
 *
 *  (1) What the tags say is a claim.  It is true if the tree maps that cluster
 *      of the file there, born in the same commit. */
#include "core/dev.h"
#include "base/cluster.h"
#include "check/locate.h"
#include "file/extent.h"

struct look {
	uint32_t	ino;
	uint64_t	lc;
	bool		in_tree;
	struct tfs_extent ext;		/* len 0: a hole */
};

static int look_fn(struct tfs_txn *tx, void *arg)
{
	struct look *l = arg;
	struct tfs_inode in;
	struct tfs_item item;
	int err = tfs_inode_get(tx, l->ino, &in);

	l->ext = (struct tfs_extent){ .len = 0 };
	l->in_tree = false;
	if (err)
		return err;
	err = tfs_txn_get(tx, tfs_key(l->ino, TFS_T_INLINE, 0), &item);
	if (err != -ENOENT) {
		l->in_tree = !err;
		return err;
	}
	err = tfs_extent_find(tx, l->ino, l->lc, &l->ext);
	if (err == -ENOENT || (!err && l->ext.lc > l->lc))
		l->ext.len = 0;
	return err == -ENOENT ? 0 : err;
}

static void set_place(const struct tfs *fs, uint64_t cluster, uint64_t skip,
		      struct tfs_place *out)
{
	uint32_t isize = fs->csize / fs->ipc;

	out->cluster = cluster;
	out->interval = cluster * fs->ipc + skip / isize;
	out->sector = (eng_dev_byte(fs->dev, out->interval) + skip % isize) /
		512;
}

int tfs_locate_byte(struct tfs *fs, uint32_t ino, uint64_t off,
		    struct tfs_place *out)
{
	struct look l = { .ino = ino, .lc = off / fs->csize };
	int err = tfs_txn_read(fs, look_fn, &l);

	*out = (struct tfs_place){ .off = off };
	if (err)
		return err;
	if (l.in_tree)
		out->state = TFS_PLACE_INLINE;
	if (l.in_tree || !l.ext.len || !l.ext.addr)
		return 0;
	out->state = TFS_PLACE_MAPPED;
	out->rec = (struct tfs_record){
		.kind = TFS_K_DATA, .owner = ino, .index = l.lc,
		.seq = l.ext.seq,
	};
	set_place(fs, l.ext.addr + (l.lc - l.ext.lc), off % fs->csize, out);
	return 0;
}

/* (1) */
static bool is_mapped(struct tfs *fs, const struct tfs_place *at)
{
	struct look l = { .ino = at->rec.owner, .lc = at->rec.index };

	return at->rec.kind == TFS_K_DATA && !tfs_txn_read(fs, look_fn, &l) &&
		l.ext.len && l.ext.addr + (l.lc - l.ext.lc) == at->cluster &&
		l.ext.seq == at->rec.seq;
}

int tfs_locate_sector(struct tfs *fs, uint64_t sector, struct tfs_place *out)
{
	uint16_t tags[TFS_LANES];
	uint64_t in = 0;
	uint8_t *buf;
	int err;

	*out = (struct tfs_place){ .sector = sector,
				   .state = TFS_PLACE_OUTSIDE };
	if (sector > UINT64_MAX / 512 ||
	    eng_dev_interval(fs->dev, sector * 512, &out->interval))
		return 0;
	out->cluster = out->interval / fs->ipc;
	if (out->cluster >= fs->super.clusters)
		return 0;
	in = out->interval % fs->ipc * (fs->csize / fs->ipc) + sector * 512 -
		eng_dev_byte(fs->dev, out->interval);
	buf = eng_buf_get(fs->dev, fs->csize);
	if (!buf)
		return -ENOMEM;
	/* Who asks has heard that something is wrong there.  Damaged data
	 * leave the tags readable, as a rule. */
	err = tfs_cluster_claim(fs, out->cluster, buf, tags);
	eng_buf_put(fs->dev, buf, fs->csize);
	if (err == -ENOMEM)
		return err;
	out->state = TFS_PLACE_UNKNOWN;
	if (err || !tfs_record_decode(&fs->key, tags, out->cluster, &out->rec)) {
		out->rec = (struct tfs_record){ .kind = 0 };
		return 0;
	}
	out->state = is_mapped(fs, out) ? TFS_PLACE_MAPPED : TFS_PLACE_OTHER;
	if (out->rec.kind == TFS_K_DATA)
		out->off = (uint64_t)out->rec.index * fs->csize + in;
	return 0;
}
