/* SPDX-License-Identifier: GPL-2.0-or-later */
/* locate.c - see locate.h.
 *
 *  (1) What the tags say is a claim.  It is true if the tree maps that cluster
 *      of the file there, born in the same commit.
 *  (2) Who asks for a cluster whose tags are no help gets the tree's answer: the
 *      map's, if it has it free, else what a walk over all items comes upon.
 *      That takes as long as the tree is large, so it is done in steps, with
 *      nothing held between them.
 *  (3) Where a part of the tree can't be read, nothing is said to be nobody's. */
#include <string.h>

#include "core/dev.h"
#include "base/cluster.h"
#include "check/locate.h"
#include "check/treewalk.h"
#include "file/extent.h"
#include "tree/freemap.h"

#define LEAVES	64u	/* in one step (2) */

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

/* Which cluster, and which byte of it.  False: none. */
static bool find_cluster(const struct tfs *fs, uint64_t sector, uint64_t *in,
			 struct tfs_place *out)
{
	*out = (struct tfs_place){ .sector = sector,
				   .state = TFS_PLACE_OUTSIDE };
	if (sector > UINT64_MAX / 512 ||
	    eng_dev_interval(fs->dev, sector * 512, &out->interval))
		return false;
	out->cluster = out->interval / fs->ipc;
	*in = out->interval % fs->ipc * (fs->csize / fs->ipc) + sector * 512 -
		eng_dev_byte(fs->dev, out->interval);
	return out->cluster < fs->super.clusters;
}

int tfs_locate_sector(struct tfs *fs, uint64_t sector, struct tfs_place *out)
{
	uint16_t tags[TFS_LANES];
	uint64_t in;
	uint8_t *buf;
	int err;

	if (!find_cluster(fs, sector, &in, out))
		return 0;
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
	out->tags = err ? TFS_TAGS_UNREADABLE : TFS_TAGS_FOREIGN;
	if (err || !tfs_record_decode(&fs->key, tags, out->cluster, &out->rec)) {
		out->rec = (struct tfs_record){ .kind = 0 };
		return 0;
	}
	out->tags = TFS_TAGS_READ;
	out->state = is_mapped(fs, out) ? TFS_PLACE_MAPPED : TFS_PLACE_OTHER;
	if (out->rec.kind == TFS_K_DATA)
		out->off = (uint64_t)out->rec.index * fs->csize + in;
	return 0;
}

/* ---- by the tree (2) ---------------------------------------------------- */

/* What has a fixed place. */
static bool is_fixed(const struct tfs *fs, struct tfs_place *at)
{
	uint64_t c = at->cluster, back = fs->super.clusters - c;
	uint64_t log = fs->super.log_start;
	struct tfs_record *r = &at->rec;

	if (c == TFS_AT_SUPER || back == TFS_END_SUPER)
		*r = (struct tfs_record){ .kind = TFS_K_SUPER, .index = !!c };
	else if (c == TFS_AT_SLOT || c == TFS_AT_SLOT + 1)
		*r = (struct tfs_record){ .kind = TFS_K_SLOT,
					  .owner = c - TFS_AT_SLOT };
	else if (back == TFS_END_SLOT || back == TFS_END_SLOT - 1)
		*r = (struct tfs_record){ .kind = TFS_K_SLOT, .index = 1,
					  .owner = TFS_END_SLOT - back };
	else if (c >= log && c - log < fs->super.log_clusters)
		*r = (struct tfs_record){ .kind = TFS_K_LOG, .index = c - log };
	else if (back <= tfs_end_fixed(&fs->super))
		*r = (struct tfs_record){ .kind = back == TFS_END_FENCE ?
					  TFS_K_FENCE : TFS_K_LEG };
	else
		return false;
	at->state = TFS_PLACE_META;
	return true;
}

struct in_use {
	uint64_t	cluster;
	bool		free;
};

static int map_fn(struct tfs_txn *tx, void *arg)
{
	struct in_use *u = arg;
	uint64_t region = u->cluster / TFS_REGION_BITS;
	unsigned int bit = u->cluster % TFS_REGION_BITS;
	const struct tfs_region *r = tfs_region_peek(tfs_txn_fs(tx), region);
	struct tfs_item item;
	uint64_t word;
	int err = 0;

	if (r) {
		u->free = !(r->map[bit / 64] >> bit % 64 & 1);
		return 0;
	}
	err = tfs_txn_get(tx, tfs_key(0, TFS_T_REGION, region), &item);
	u->free = err == -ENOENT;
	if (!err && item.len == TFS_REGION_BYTES) {
		memcpy(&word, (const uint8_t *)item.val + bit / 64 * 8, 8);
		u->free = !(le64toh(word) >> bit % 64 & 1);
	}
	return err == -ENOENT ? 0 : err;
}

struct hunt {
	struct tfs_hunt *se;
	struct tfs_place *at;
	uint64_t	in;		/* byte of the cluster */
};

static int hunt_node(struct tfs_treewalk *w, const struct tfs_treewalk_node *n)
{
	struct hunt *h = w->arg;

	for (unsigned int i = 0; i < 2; i++) {
		if (n->at.ptr.addr[i] != h->at->cluster)
			continue;
		h->at->state = TFS_PLACE_META;
		h->at->rec = (struct tfs_record){
			.kind = TFS_K_NODE, .owner = n->at.level, .index = i,
			.seq = n->at.ptr.seq,
		};
	}
	return 0;
}

static int hunt_item(struct tfs_treewalk *w, const struct tfs_item *item)
{
	struct hunt *h = w->arg;
	struct tfs_extent ext;
	uint64_t off;

	if (!item->key.obj || item->key.type != TFS_T_EXTENT ||
	    tfs_extent_decode(w->fs, item, &ext) || !ext.addr ||
	    h->at->cluster < ext.addr || h->at->cluster - ext.addr >= ext.len)
		return 0;
	off = ext.lc + (h->at->cluster - ext.addr);
	h->at->state = TFS_PLACE_MAPPED;
	h->at->off = off * w->fs->csize + h->in;
	h->at->rec = (struct tfs_record){
		.kind = TFS_K_DATA, .owner = item->key.obj, .index = off,
		.seq = ext.seq,
	};
	return 0;
}

/* (3), and who asks for a node that can't be read gets it. */
static int hunt_lost(struct tfs_treewalk *w, const struct tfs_miss *at, int err)
{
	const struct tfs_treewalk_node n = { .at = *at };
	struct hunt *h = w->arg;

	(void)err;
	h->se->gap = true;
	return hunt_node(w, &n);
}

static int hunt(struct tfs *fs, struct hunt *h)
{
	struct tfs_treewalk w = {
		.fs = fs, .arg = h, .unwritten = true, .no_copies = true,
		.node = hunt_node, .item = hunt_item, .lost = hunt_lost,
		.key = h->se->from,
	};
	int err = tfs_treewalk_begin(&w);

	for (unsigned int i = 0; i < LEAVES && !err && !w.done &&
	     h->at->state == TFS_PLACE_SEARCH; i++)
		err = tfs_treewalk_step(&w);
	tfs_treewalk_end(&w);
	h->se->from = w.key;
	if (w.done && h->at->state == TFS_PLACE_SEARCH)
		h->at->state = h->se->gap ? TFS_PLACE_UNKNOWN :
			TFS_PLACE_OTHER;
	return err;
}

int tfs_locate_in_tree(struct tfs *fs, uint64_t sector, struct tfs_hunt *se,
		       struct tfs_place *out)
{
	struct hunt h = { .se = se, .at = out };
	struct in_use u;
	int err;

	if (!find_cluster(fs, sector, &h.in, out) || is_fixed(fs, out))
		return 0;
	u = (struct in_use){ .cluster = out->cluster };
	err = tfs_txn_read(fs, map_fn, &u);
	if (err == -ENOMEM)
		return err;
	out->state = !err && u.free ? TFS_PLACE_FREE : TFS_PLACE_SEARCH;
	return out->state == TFS_PLACE_FREE ? 0 : hunt(fs, &h);
}
