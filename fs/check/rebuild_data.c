/* SPDX-License-Identifier: GPL-2.0-or-later */
/* rebuild_data.c - content that no leaf maps, from its tags: (4) of
 * rebuild.c. */
#include "check/rebuild_priv.h"
#include "commit/txn.h"
#include "file/extent.h"
#include "file/inode.h"

struct gap {
	struct rebuild	*rb;
	struct tfs_extent ext;		/* what tags say, from here on */
	uint32_t	ino;
	uint64_t	done, mapped;
};

static bool in_hole(const struct rebuild *rb, const struct tfs_key *key)
{
	size_t lo = 0, hi = rb->holes;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (tfs_key_cmp(&rb->hole[mid].high, key) <= 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < rb->holes && tfs_range_has(&rb->hole[lo], key);
}

/* (4) How many clusters of the file may come from tags; 0: none. */
static int allowed(struct tfs_txn *tx, struct gap *g, uint64_t *end)
{
	struct tfs_key key = tfs_key(g->ino, TFS_T_INODE, 0);
	struct tfs *fs = tfs_txn_fs(tx);
	struct tfs_inode in;
	int err = tfs_inode_get(tx, g->ino, &in);

	*end = TFS_FILE_CLUSTERS;
	if (err == -ENOENT && in_hole(g->rb, &key))
		return 0;
	*end = 0;
	if (err == -ENOENT || err == -EUCLEAN)
		return 0;
	if (!err && S_ISREG(in.mode) && in.clusters &&
	    g->ext.seq >= in.birth)
		*end = (in.size + fs->csize - 1) / fs->csize;
	return err;
}

/* Map what of it nothing is mapped to; one piece of it. */
static int gap_fn(struct tfs_txn *tx, void *arg)
{
	struct gap *g = arg;
	struct tfs_extent there, part;
	uint64_t end = g->ext.lc + g->ext.len, max;
	int err = allowed(tx, g, &max);

	g->done = end;
	g->mapped = 0;
	end = end < max ? end : max;
	if (err || g->ext.lc >= end)
		return err;
	err = tfs_extent_find(tx, g->ino, g->ext.lc, &there);
	if (err && err != -ENOENT)
		return err;
	if (!err && there.lc <= g->ext.lc) {
		g->done = there.lc + there.len;
		return 0;
	}
	if (!err && there.lc < end)
		end = there.lc;
	g->done = end;
	g->mapped = end - g->ext.lc;
	part = tfs_extent_slice(&g->ext, g->ext.lc, g->mapped);
	return tfs_extent_map(tx, g->ino, &part, false);
}

static int fill_run(struct rebuild *rb, const struct range *r,
		    const struct tfs_piece *p)
{
	const struct tfs_span *s = &p->span;
	struct gap g = {
		.rb = rb, .ino = r->low.obj,
		.ext = { .lc = r->low.off, .seq = s->seq,
			 .addr = s->addr[0] + (r->low.off - s->low.off) },
	};
	uint64_t end = r->high.off;
	int err = 0;

	while (g.ext.lc < end && !err) {
		g.ext.len = end - g.ext.lc;
		err = tfs_txn_write(rb->fs, gap_fn, &g, 0);
		if (err == -EUCLEAN)	/* an extent makes no sense */
			return 0;
		rb->how->clusters += g.mapped;
		if (g.mapped && g.ino >= rb->fs->next_ino)
			rb->fs->next_ino = g.ino + 1;
		g.ext.addr += g.done - g.ext.lc;
		g.ext.lc = g.done;
	}
	return err;
}

/* (4) */
static bool all_old(const struct rebuild *rb)
{
	return rb->how->slots_lost && rb->mapped < rb->data_clusters / 2;
}

/* A piece may reach into the next hole. */
static int fill_hole(struct rebuild *rb, const struct range *h,
		     struct pieces *p)
{
	int err = 0;

	tfs_pieces_seek(p, &h->low);
	while (p->more > 0 && !err) {
		struct range r = tfs_piece_meet(&h->low, &h->high, &p->at);

		if (tfs_key_cmp(&r.low, &r.high) >= 0)
			break;
		err = fill_run(rb, &r, &p->at);
		if (tfs_key_cmp(&p->at.high, &h->high) > 0)
			break;
		tfs_pieces_next(p);
	}
	return err ? err : p->more < 0 ? p->more : 0;
}

int tfs_rb_fill(struct rebuild *rb)
{
	struct pieces p;
	int err = tfs_pieces_begin(&p, rb->data);

	if (!err && all_old(rb)) {
		rb->holes = 0;
		err = tfs_rb_add_hole(rb, tfs_key(0, 0, 0), TFS_KEY_MAX);
	}
	for (size_t k = 0; k < rb->holes && !err; k++)
		err = fill_hole(rb, &rb->hole[k], &p);
	return err;
}
