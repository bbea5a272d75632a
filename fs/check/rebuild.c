/* SPDX-License-Identifier: GPL-2.0-or-later */
/* rebuild.c - from what salvage.c finds to a tree that can be walked.
 *
 *  (1) All of it happens in memory, as replaying a log does, and is written by
 *      one checkpoint: cut short, it leaves what was there.
 *  (2) What can be walked is as it is.  In the place of what can't be comes an
 *      empty subtree, and into that the items of leaves: of those that have a
 *      key the newest one.  Where it is known which leaf is missing, none that
 *      is older stands in for it.
 *  (3) A cluster that a bitmap calls free was free when that was stored: what
 *      its tags say of an earlier commit is over.  So what was deleted stays
 *      deleted, also if the bitmap itself is not the newest one.
 *  (4) What no leaf has comes from the tags of data: the newest cluster of each
 *      place in a file, unless a leaf that is there says otherwise.
 *      Where there is no checkpoint and most of the data is in no extent, the
 *      leaves that are there are old ones, and say nothing about what has none.
 *  (5) Before any place is given away, all that (2) and (4) may need is in use.
 *  (6) Nothing is newer than the newest checkpoint, or, where there is none,
 *      than the newest node or commit.  The log comes last, as in a mount.
 *  (7) Counts, links, names and the map are the checker's, in memory, too. */
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/cluster.h"
#include "base/fence.h"
#include "check/check.h"
#include "check/rebuild.h"
#include "check/salvage.h"
#include "check/treewalk.h"
#include "commit/ckpt.h"
#include "commit/super.h"
#include "file/extent.h"
#include "mount/helper.h"
#include "mount/mount.h"
#include "mount/recover.h"
#include "tree/freemap.h"
#include "tree/ncache.h"

#define STEP	64u		/* items in one transaction */
#define STEPS	4u
#define PASSES	6u		/* of the checker, until it finds nothing */
#define MARK	"user.tagfs.salvaged"

struct range {
	struct tfs_key	low, high;
};

struct rebuild {
	struct tfs_rebuild *how;
	struct tfs	*fs;
	struct tfs_slot	slot;
	unsigned int	odd;
	struct tfs_salvage sv;
	uint64_t	limit;		/* (6) */
	uint64_t	mapped;		/* clusters of extents that are left */
	struct tfs_miss	*lost;
	size_t		lost_n, lost_room;
	struct range	*hole;		/* what no leaf has */
	size_t		holes, hole_room;
	uint64_t	**map;		/* by region: in use, as stored */
	uint64_t	*map_seq;	/* at that commit; 0: not known */
	uint64_t	**claim;	/* by region: (5) */
	struct tfs_pieces leaves, data;
	uint32_t	*made;		/* inodes that were lost, ascending */
	size_t		made_n, made_room;
	struct tfs_node	*node;		/* a leaf that is being read */
};

/* ---- bits --------------------------------------------------------------------- */

static uint64_t *bits_of(uint64_t **maps, uint64_t region)
{
	if (!maps[region])
		maps[region] = calloc(TFS_REGION_WORDS, sizeof(uint64_t));
	return maps[region];
}

static int claim(struct rebuild *rb, uint64_t addr, uint64_t len)
{
	while (len && addr < rb->fs->super.clusters) {
		unsigned int bit = addr % TFS_REGION_BITS;
		unsigned int n = TFS_REGION_BITS - bit;
		uint64_t *map = bits_of(rb->claim, addr / TFS_REGION_BITS);

		if (!map)
			return -ENOMEM;
		if (n > len)
			n = len;
		tfs_bits_put(map, bit, n, true);
		addr += n;
		len -= n;
	}
	return 0;
}

/* (3) */
static bool is_dead(const struct rebuild *rb, uint64_t addr, uint64_t seq)
{
	uint64_t region = addr / TFS_REGION_BITS;
	unsigned int bit = addr % TFS_REGION_BITS;
	const uint64_t *map = rb->map[region];

	return seq <= rb->map_seq[region] &&
		(!map || !(map[bit / 64] >> bit % 64 & 1));
}

static int take_map(struct rebuild *rb, const struct tfs_item *item,
		    uint64_t seq)
{
	uint64_t region = item->key.off, *map;

	if (region >= tfs_region_count(rb->fs) ||
	    item->len != TFS_REGION_BYTES)
		return 0;
	map = bits_of(rb->map, region);
	if (!map)
		return -ENOMEM;
	for (unsigned int i = 0; i < TFS_REGION_WORDS; i++) {
		uint64_t w;

		memcpy(&w, (const uint8_t *)item->val + 8 * i, 8);
		map[i] = le64toh(w);
	}
	rb->map_seq[region] = seq;
	return 0;
}

/* Between these keys all bitmaps are known; those that are not there are of
 * regions that were free. */
static void know_maps(struct rebuild *rb, const struct tfs_key *low,
		      const struct tfs_key *high, uint64_t seq)
{
	uint64_t n = tfs_region_count(rb->fs);

	for (uint64_t i = 0; i < n; i++) {
		struct tfs_key key = tfs_key(0, TFS_T_REGION, i);

		if (tfs_key_cmp(&key, low) >= 0 &&
		    tfs_key_cmp(&key, high) < 0)
			rb->map_seq[i] = seq;
	}
}

/* ---- what can be walked --------------------------------------------------------- */

static int see_node(struct tfs_treewalk *w, const struct tfs_treewalk_node *n)
{
	struct rebuild *rb = w->arg;
	int err = claim(rb, n->at.ptr.addr[0], 1);

	return err ? err : claim(rb, n->at.ptr.addr[1], 1);
}

static int claim_extent(struct rebuild *rb, const struct tfs_item *item)
{
	struct tfs_extent ext;

	if (!item->key.obj || item->key.type != TFS_T_EXTENT ||
	    tfs_extent_decode(rb->fs, item, &ext) || !ext.addr)
		return 0;
	rb->mapped += ext.len;
	return claim(rb, ext.addr, ext.len);
}

static int see_item(struct tfs_treewalk *w, const struct tfs_item *item)
{
	struct rebuild *rb = w->arg;

	if (!item->key.obj && item->key.type == TFS_T_REGION)
		return take_map(rb, item, rb->limit);
	return claim_extent(rb, item);
}

static int add_lost(struct rebuild *rb, const struct tfs_miss *at)
{
	int err = tfs_array_grow(&rb->lost, &rb->lost_room, rb->lost_n + 1,
				 sizeof(rb->lost[0]));

	if (!err)
		rb->lost[rb->lost_n++] = *at;
	return err;
}

static int see_lost(struct tfs_treewalk *w, const struct tfs_miss *at, int err)
{
	struct rebuild *rb = w->arg;

	(void)err;
	return add_lost(rb, at);
}

static int walk(struct rebuild *rb)
{
	struct tfs_treewalk w = {
		.fs = rb->fs, .arg = rb, .node = see_node, .item = see_item,
		.lost = see_lost,
	};
	const struct tfs_miss all = {
		.low = tfs_key(0, 0, 0), .high = TFS_KEY_MAX,
	};
	int err;

	if (rb->how->slots_lost)
		return add_lost(rb, &all);
	know_maps(rb, &all.low, &all.high, rb->limit);
	err = tfs_treewalk_begin(&w);
	if (!err)
		err = tfs_treewalk_run(&w);
	tfs_treewalk_end(&w);
	for (size_t i = 0; i < rb->lost_n && !err; i++)
		know_maps(rb, &rb->lost[i].low, &rb->lost[i].high, 0);
	return err;
}

/* ---- leaves ---------------------------------------------------------------------- */

/* 0 and rb->node, or -ENOENT. */
static int read_leaf(struct rebuild *rb, const struct tfs_span *span)
{
	struct tfs_record rec = { .kind = TFS_K_NODE, .seq = span->seq };
	struct eng_fault fault;
	int err = -ENOENT;

	for (rec.index = 0; rec.index < 2 && err; rec.index++) {
		if (!span->addr[rec.index])
			continue;
		err = tfs_cluster_try(rb->fs, span->addr[rec.index], &rec,
				      rb->node->buf, &fault);
		rb->node->ptr.seq = span->seq;
		if (err == -ENOMEM)
			return err;
		if (err || tfs_node_decode(rb->fs, rb->node, 0, &span->low,
					   &span->high))
			err = -ENOENT;
	}
	return err;
}

/* (2) May it stand for that part of the tree? */
static bool may_fill(const struct tfs_miss *lost, const struct tfs_span *span)
{
	/* A node's sequence is that of its first change since a checkpoint, so
	 * above the leaves a child may have a higher one. */
	return lost->level || !lost->ptr.seq || span->seq == lost->ptr.seq;
}

static struct range meet(const struct tfs_key *low, const struct tfs_key *high,
			 const struct tfs_piece *p)
{
	return (struct range){
		tfs_key_cmp(low, &p->low) > 0 ? *low : p->low,
		tfs_key_cmp(high, &p->high) < 0 ? *high : p->high,
	};
}

/* The first piece that ends above key. */
static size_t first_piece(const struct tfs_pieces *all,
			  const struct tfs_key *key)
{
	size_t lo = 0, hi = all->n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (tfs_key_cmp(&all->at[mid].high, key) <= 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static int add_hole(struct rebuild *rb, struct tfs_key low,
		    struct tfs_key high)
{
	int err;

	if (tfs_key_cmp(&low, &high) >= 0)
		return 0;
	err = tfs_array_grow(&rb->hole, &rb->hole_room, rb->holes + 1,
			     sizeof(rb->hole[0]));
	if (!err)
		rb->hole[rb->holes++] = (struct range){ low, high };
	return err;
}

/* Run fn for each leaf of that lost part, which is in rb->node then; what none
 * has is a hole. */
static int each_leaf(struct rebuild *rb, const struct tfs_miss *lost,
		     int (*fn)(struct rebuild *rb, const struct range *r,
			       uint64_t seq))
{
	const struct tfs_pieces *all = &rb->leaves;
	struct tfs_key pos = lost->low;
	int err = 0;

	for (size_t i = first_piece(all, &pos); i < all->n && !err; i++) {
		const struct tfs_span *span =
			&rb->sv.leaves.at[all->at[i].span];
		struct range r = meet(&pos, &lost->high, &all->at[i]);

		if (tfs_key_cmp(&r.low, &lost->high) >= 0)
			break;
		if (!may_fill(lost, span))
			continue;
		err = read_leaf(rb, span);
		if (err == -ENOENT) {
			err = 0;
			continue;
		}
		if (!err)
			err = add_hole(rb, pos, r.low);
		if (!err)
			err = fn(rb, &r, span->seq);
		pos = r.high;
	}
	return err ? err : add_hole(rb, pos, lost->high);
}

static bool inside(const struct range *r, const struct tfs_key *key)
{
	return tfs_key_cmp(key, &r->low) >= 0 && tfs_key_cmp(key, &r->high) < 0;
}

static int map_leaf(struct rebuild *rb, const struct range *r, uint64_t seq)
{
	int err = 0;

	if (r->low.obj)
		return 0;
	know_maps(rb, &r->low, &r->high, seq);
	for (unsigned int i = 0; i < tfs_node_items(rb->node) && !err; i++) {
		struct tfs_item item = tfs_node_item(rb->node, i);

		if (!item.key.obj && item.key.type == TFS_T_REGION &&
		    inside(r, &item.key))
			err = take_map(rb, &item, seq);
	}
	return err;
}

static int claim_leaf(struct rebuild *rb, const struct range *r, uint64_t seq)
{
	int err = 0;

	(void)seq;
	for (unsigned int i = 0; i < tfs_node_items(rb->node) && !err; i++) {
		struct tfs_item item = tfs_node_item(rb->node, i);

		if (inside(r, &item.key))
			err = claim_extent(rb, &item);
	}
	return err;
}

struct put {
	struct rebuild	*rb;
	const struct range *r;
	unsigned int	from, next;
};

static int put_fn(struct tfs_txn *tx, void *arg)
{
	struct put *p = arg;
	const struct tfs_node *node = p->rb->node;
	unsigned int n = tfs_node_items(node), room = STEP;
	int err = 0;

	for (p->next = p->from; p->next < n && room && !err; p->next++) {
		struct tfs_item item = tfs_node_item(node, p->next);

		if (!inside(p->r, &item.key) ||
		    (!item.key.obj && (item.key.type == TFS_T_REGION ||
				       item.key.type == TFS_T_SUMMARY)))
			continue;
		room--;
		err = tfs_txn_put(tx, item.key, item.val, item.len);
	}
	return err;
}

static int put_leaf(struct rebuild *rb, const struct range *r, uint64_t seq)
{
	struct put p = { .rb = rb, .r = r };
	unsigned int n = tfs_node_items(rb->node);
	int err = 0;

	(void)seq;
	rb->how->leaves++;
	rb->how->items += n;
	if (n && tfs_node_key(rb->node, n - 1).obj >= rb->fs->next_ino)
		rb->fs->next_ino = tfs_node_key(rb->node, n - 1).obj + 1;
	for (; p.from < n && !err; p.from = p.next)
		err = tfs_txn_write(rb->fs, put_fn, &p, 0);
	return err;
}

/* For every lost part. */
static int each_lost(struct rebuild *rb,
		     int (*fn)(struct rebuild *rb, const struct range *r,
			       uint64_t seq))
{
	int err = 0;

	rb->holes = 0;
	for (size_t i = 0; i < rb->lost_n && !err; i++)
		err = each_leaf(rb, &rb->lost[i], fn);
	return err;
}

/* ---- what to choose from ----------------------------------------------------------- */

static void drop_leaves(struct rebuild *rb, bool by_map)
{
	struct tfs_spans *s = &rb->sv.leaves;
	size_t n = 0;

	for (size_t i = 0; i < s->n; i++) {
		struct tfs_span *span = &s->at[i];
		bool dead = span->seq > rb->limit;

		for (int k = 0; k < 2 && by_map; k++)
			dead |= span->addr[k] && is_dead(rb, span->addr[k],
							 span->seq);
		if (!dead)
			s->at[n++] = *span;
	}
	s->n = n;
}

static struct tfs_span part_of(const struct tfs_span *s, uint64_t from,
			       uint64_t n)
{
	struct tfs_span p = *s;

	p.low.off += from;
	p.high.off = p.low.off + n;
	p.addr[0] += from;
	return p;
}

/* The parts of one run that live. */
static int live_parts(struct rebuild *rb, const struct tfs_span *s,
		      struct tfs_spans *out)
{
	uint64_t n = s->high.off - s->low.off, from = 0, at;
	int err = 0;

	for (at = 0; at <= n && !err; at++) {
		if (at < n && !is_dead(rb, s->addr[0] + at, s->seq))
			continue;
		if (at > from) {
			err = tfs_array_grow(&out->at, &out->room, out->n + 1,
					     sizeof(out->at[0]));
			if (!err)
				out->at[out->n++] = part_of(s, from,
							    at - from);
		}
		from = at + 1;
	}
	return err;
}

/* (3), (5), (6): what is newer than the limit may be the log's. */
static int drop_data(struct rebuild *rb)
{
	struct tfs_spans all = rb->sv.data, live = { .n = 0 };
	size_t n = 0;
	int err = 0;

	for (size_t i = 0; i < all.n && !err; i++)
		err = live_parts(rb, &all.at[i], &live);
	free(all.at);
	rb->sv.data = live;
	for (size_t i = 0; i < live.n && !err; i++) {
		struct tfs_span *s = &live.at[i];

		err = claim(rb, s->addr[0], s->high.off - s->low.off);
		if (s->seq <= rb->limit)
			live.at[n++] = *s;
	}
	rb->sv.data.n = n;
	return err;
}

static int again(struct tfs_spans *s, struct tfs_pieces *p)
{
	free(p->at);
	return tfs_spans_win(s, p);
}

static int choose(struct rebuild *rb)
{
	int err;

	drop_leaves(rb, false);
	err = again(&rb->sv.leaves, &rb->leaves);
	if (!err)
		err = each_lost(rb, map_leaf);
	if (err)
		return err;
	drop_leaves(rb, true);
	for (size_t i = 0; i < rb->sv.leaves.n && !err; i++)
		for (int k = 0; k < 2 && !err; k++)
			if (rb->sv.leaves.at[i].addr[k])
				err = claim(rb, rb->sv.leaves.at[i].addr[k],
					    1);
	if (!err)
		err = again(&rb->sv.leaves, &rb->leaves);
	if (!err)
		err = each_lost(rb, claim_leaf);
	if (!err)
		err = drop_data(rb);
	return err ? err : again(&rb->sv.data, &rb->data);
}

/* (5) */
static int guess_maps(struct rebuild *rb)
{
	struct tfs *fs = rb->fs;
	uint64_t n = tfs_region_count(fs), map[TFS_REGION_WORDS], sum = 0;
	int err = 0;

	for (uint64_t i = 0; i < n && !err; i++) {
		memset(map, 0, sizeof(map));
		for (unsigned int k = 0; k < TFS_REGION_WORDS; k++)
			map[k] |= (rb->map[i] ? rb->map[i][k] : 0) |
				(rb->claim[i] ? rb->claim[i][k] : 0);
		pthread_rwlock_wrlock(&fs->tree);
		err = tfs_region_guess(fs, i, map);
		pthread_rwlock_unlock(&fs->tree);
		sum += err ? 0 : *tfs_region_free(fs, i);
	}
	fs->free = sum;
	return err;
}

/* ---- from tags ----------------------------------------------------------------------- */

struct gap {
	struct rebuild	*rb;
	struct tfs_extent ext;		/* what tags say, from here on */
	uint32_t	ino;
	bool		lost;		/* its inode is */
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
	return lo < rb->holes && inside(&rb->hole[lo], key);
}

/* (4) How many clusters of the file may come from tags; 0: none. */
static int allowed(struct tfs_txn *tx, struct gap *g, uint64_t *end)
{
	struct tfs_key key = tfs_key(g->ino, TFS_T_INODE, 0);
	struct tfs *fs = tfs_txn_fs(tx);
	struct tfs_inode in;
	int err = tfs_inode_get(tx, g->ino, &in);

	*end = TFS_FILE_CLUSTERS;
	g->lost = err == -ENOENT;
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

static int note_made(struct rebuild *rb, uint32_t ino)
{
	int err;

	if (rb->made_n && rb->made[rb->made_n - 1] == ino)
		return 0;
	err = tfs_array_grow(&rb->made, &rb->made_room, rb->made_n + 1,
			     sizeof(rb->made[0]));
	if (!err)
		rb->made[rb->made_n++] = ino;
	return err;
}

static int fill_run(struct rebuild *rb, const struct range *r,
		    const struct tfs_piece *p)
{
	const struct tfs_span *s = &rb->sv.data.at[p->span];
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
		if (!err && g.mapped && g.lost)
			err = note_made(rb, g.ino);
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
	uint64_t sum = 0;

	for (size_t i = 0; i < rb->data.n; i++)
		sum += rb->data.at[i].high.off - rb->data.at[i].low.off;
	return rb->how->slots_lost && rb->mapped < sum / 2;
}

static int fill_holes(struct rebuild *rb)
{
	const struct tfs_pieces *all = &rb->data;
	int err = 0;

	if (all_old(rb)) {
		rb->holes = 0;
		err = add_hole(rb, tfs_key(0, 0, 0), TFS_KEY_MAX);
	}
	if (err)
		return err;

	for (size_t k = 0; k < rb->holes; k++) {
		struct range *h = &rb->hole[k];

		for (size_t i = first_piece(all, &h->low);
		     i < all->n && !err; i++) {
			struct range r = meet(&h->low, &h->high, &all->at[i]);

			if (tfs_key_cmp(&r.low, &r.high) >= 0)
				break;
			err = fill_run(rb, &r, &all->at[i]);
		}
		if (err)
			break;
	}
	return err;
}

/* ---- a filesystem again ----------------------------------------------------------------- */

static int root_fn(struct tfs_txn *tx, void *arg)
{
	struct timespec now = tfs_now();
	struct tfs_inode root = {
		.ino = TFS_ROOT_INO, .mode = S_IFDIR | 0755, .nlink = 2,
		.parent = TFS_ROOT_INO, .birth = tfs_txn_seq(tx),
		.atime = now, .mtime = now, .ctime = now, .btime = now,
	};
	struct tfs_item item;
	int err = tfs_txn_get(tx, tfs_key(TFS_ROOT_INO, TFS_T_INODE, 0),
			      &item);

	(void)arg;
	if (err != -ENOENT)
		return err;
	tfs_txn_count(tx, 1, 0);
	return tfs_inode_put(tx, &root);
}

static bool found(struct tfs_check *c, const struct tfs_finding *f)
{
	struct rebuild *rb = c->arg;

	if (rb->how->found)
		rb->how->found(rb->how, f);
	rb->how->problems++;
	if (f->kind == TFS_F_STRAY && note_made(rb, f->ino))
		return false;
	return true;
}

/* (7) Until all that belongs to inodes is right; then the map. */
static int reconcile(struct rebuild *rb)
{
	int err = 0;

	for (unsigned int i = 0; i < PASSES && !err; i++) {
		struct tfs_check c = {
			.fs = rb->fs, .arg = rb, .found = found,
			.near_copies = true, .one_copy = true,
			.no_space = true,
		};

		err = tfs_check(&c);
		if (!err && !c.fixed) {
			c.no_space = false;
			c.problems = c.fixed = 0;
			return tfs_check(&c);
		}
	}
	return err ? err : -EUCLEAN;
}

static int mark_made(struct rebuild *rb)
{
	static const char text[] = "content and number are known by its tags; "
		"owner, mode, times and name are lost, the size is that of "
		"whole clusters";
	uint32_t last = 0;
	int err = 0;

	for (size_t i = 0; i < rb->made_n && !err; i++) {
		if (rb->made[i] == last)
			continue;
		last = rb->made[i];
		err = tfs_setxattr(rb->fs, last, MARK, text, strlen(text), 0,
				   false);
		if (err == -ENOENT)
			err = 0;	/* it did not come back */
		else if (!err)
			rb->how->inodes++;
	}
	return err;
}

static int mend(struct rebuild *rb)
{
	int err = walk(rb);

	rb->how->lost = rb->lost_n;
	if (err || !rb->lost_n)
		return err;
	err = choose(rb);
	if (!err)
		err = guess_maps(rb);
	for (size_t i = 0; i < rb->lost_n && !err; i++)
		err = tfs_tree_replace(rb->fs, &rb->lost[i]);	/* (2) */
	if (!err)
		err = each_lost(rb, put_leaf);
	return err ? err : fill_holes(rb);
}

/* ---- open -------------------------------------------------------------------------------- */

/* Is there a fence?  It says so itself. */
static int guess_fence(struct tfs *fs)
{
	uint64_t at = fs->super.clusters - TFS_END_FENCE;
	uint8_t *buf = eng_buf_get(fs->dev, fs->csize);
	const struct tfs_disk_fence *d = (const void *)buf;

	if (!buf)
		return -ENOMEM;
	if (!eng_dev_bypass(fs->dev, ENG_READ, at * fs->ipc, buf, fs->csize,
			    NULL) &&
	    le32toh(d->magic) == TFS_FENCE_MAGIC &&
	    !memcmp(d->nonce, fs->super.nonce, TFS_NONCE))
		fs->super.ro_compat |= TFS_RO_COMPAT_FENCE;
	eng_buf_put(fs->dev, buf, fs->csize);
	return 0;
}

/* As mkfs would have made it on this device. */
static int guess_super(struct tfs *fs)
{
	struct tfs_super *s = &fs->super;
	int err;

	*s = (struct tfs_super){
		.seq = 1, .cluster_size = fs->csize,
		.interval = fs->geo->profile->interval,
		.log_start = TFS_AT_LOG, .incompat = TFS_INCOMPAT_LOG,
		.created = (uint64_t)time(NULL),
		.clusters = fs->geo->intervals / fs->ipc,
	};
	if (s->clusters > TFS_CLUSTERS_MAX)
		s->clusters = TFS_CLUSTERS_MAX;
	s->log_clusters = tfs_log_size(s->clusters, fs->csize);
	err = tfs_salvage_nonce(fs, s->nonce);
	if (!err)
		err = guess_fence(fs);
	tfs_record_key_init(&fs->key, s->nonce);
	if (!err && getrandom(s->uuid, sizeof(s->uuid), 0) < 0)
		err = -EIO;
	fs->super_outdated = 0;
	return err;
}

/* Other hosts stay away, if a superblock says where the fence is. */
static int keep_out(struct rebuild *rb)
{
	struct tfs *fs = rb->fs;
	bool waited;
	int err;

	fs->opt.fence = rb->how->fence;
	err = tfs_fence_take(fs, &waited);
	if (!err && waited) {
		eng_dev_drop_caches(fs->dev);
		err = tfs_super_read(fs);
	}
	return err ? err : tfs_fence_start(fs);
}

static int open_fs(struct rebuild *rb)
{
	struct tfs_rebuild *how = rb->how;
	struct tfs *fs = rb->fs;
	int err = tfs_super_read(fs);

	if (!err && !how->rdonly)
		err = keep_out(rb);
	if (err == -EBUSY)
		return err;

	how->super_lost = err == -EUCLEAN || err == -EMEDIUMTYPE ||
		err == -EIO || err == -EBADMSG || err == -EILSEQ;
	if (how->super_lost)
		err = guess_super(fs);
	if (!err)
		err = tfs_slot_read(fs, &rb->slot, &rb->odd);
	how->slots_lost = err == -EUCLEAN;
	if (!err || how->slots_lost)
		err = tfs_setup(fs);
	if (!err && !how->slots_lost)
		tfs_take_slot(fs, &rb->slot);
	return err;
}

static bool scanned(struct tfs_salvage *sv, unsigned int done)
{
	struct rebuild *rb = sv->arg;

	return !rb->how->progress ||
		rb->how->progress(rb->how, 1, STEPS, done);
}

static int scan(struct rebuild *rb)
{
	struct tfs *fs = rb->fs;
	struct tfs_salvage *sv = &rb->sv;
	int err;

	sv->fs = fs;
	sv->arg = rb;
	sv->progress = scanned;
	err = tfs_salvage_scan(sv);
	rb->how->unreadable = sv->unreadable;
	rb->limit = rb->how->slots_lost ? sv->seq : rb->slot.seq;
	if (fs->seq <= sv->seq)
		fs->seq = sv->seq + TFS_SEQ_JUMP + 1;
	if (!err && fs->seq >= TFS_SEQ_MAX - TFS_SEQ_JUMP)
		err = -EOVERFLOW;
	if (rb->how->slots_lost)
		fs->slot_number = sv->checkpoint + 2;
	if (rb->how->super_lost && sv->log_end > fs->super.log_clusters)
		fs->super.log_clusters = sv->log_end;
	return err;
}

static int prepare(struct rebuild *rb)
{
	uint64_t n;

	rb->fs->replaying = true;				/* (1) */
	n = tfs_region_count(rb->fs);
	rb->map = calloc(n, sizeof(rb->map[0]));
	rb->map_seq = calloc(n, sizeof(rb->map_seq[0]));
	rb->claim = calloc(n, sizeof(rb->claim[0]));
	rb->node = tfs_node_alloc(rb->fs);
	return rb->map && rb->map_seq && rb->claim && rb->node ? scan(rb) :
		-ENOMEM;
}

/* The log, as far as it follows; what it can't give is left out. */
static int recover(struct rebuild *rb)
{
	struct tfs_mount opt = { .rdonly = true };
	bool replayed;
	int err;

	if (rb->how->slots_lost)
		err = tfs_recover_blind(rb->fs, rb->sv.node_seq);
	else
		err = tfs_recover(rb->fs, &rb->slot, rb->odd, &opt,
				  &replayed);
	rb->fs->replaying = true;
	if (err && err != -ENOMEM) {
		eng_log(LOG_WARNING, "the log could not be replayed to its "
			"end: what was done last may be missing");
		err = 0;
	}
	return err;
}

static void release(struct rebuild *rb)
{
	uint64_t n = rb->fs->super.clusters ? tfs_region_count(rb->fs) : 0;

	for (uint64_t i = 0; i < n; i++) {
		if (rb->map)
			free(rb->map[i]);
		if (rb->claim)
			free(rb->claim[i]);
	}
	free(rb->map);
	free(rb->claim);
	free(rb->map_seq);
	free(rb->lost);
	free(rb->hole);
	free(rb->made);
	free(rb->leaves.at);
	free(rb->data.at);
	tfs_node_free(rb->node);
	tfs_salvage_clear(&rb->sv);
}

/* ---- writing it ---------------------------------------------------------------------------- */

/* (1) Both slots, then superblocks: as mkfs does. */
static int write_all(struct rebuild *rb)
{
	struct tfs_rebuild *how = rb->how;
	struct tfs *fs = rb->fs;
	int err = 0;

	fs->replaying = false;
	fs->opt.rdonly = false;
	fs->log.newest = fs->ckpt.durable = fs->seq - 1;
	tfs_fence_look(fs);	/* all that took long */
	err = atomic_load(&fs->error);
	if (!err && !how->slots_lost)
		err = tfs_begin_life(fs, &rb->slot, true);
	if (!err)
		err = tfs_ckpt_force(fs, false);
	if (!err)
		err = tfs_ckpt_force(fs, false);
	if (!err && how->super_lost)
		err = tfs_fence_format(fs);
	if (!err && fs->super_outdated >= 0) {
		fs->super.seq++;
		err = tfs_super_write(fs, how->super_lost ||
				      fs->super_outdated > 0);
	}
	return err;
}

static bool left(struct tfs_check *c, const struct tfs_finding *f)
{
	struct rebuild *rb = c->arg;

	if (rb->how->found)
		rb->how->found(rb->how, f);
	return false;
}

/* What was written is whole. */
static int look_again(struct rebuild *rb)
{
	struct tfs_check c = {
		.fs = rb->fs, .arg = rb, .found = left, .near_copies = true,
	};
	int err = tfs_check(&c);

	return err ? err : c.problems ? -EUCLEAN : 0;
}

static int bring_back(struct rebuild *rb)
{
	int err = open_fs(rb);

	if (!err)
		err = prepare(rb);
	if (!err)
		err = mend(rb);
	if (!err)
		err = recover(rb);
	if (!err)
		err = tfs_txn_write(rb->fs, root_fn, NULL, 0);
	if (!err)
		err = reconcile(rb);
	if (!err)
		err = mark_made(rb);
	return err;
}

int tfs_rebuild(struct tfs_rebuild *how)
{
	struct rebuild rb = { .how = how, .fs = tfs_alloc_fs(how->dev) };
	int err, bad;

	how->fs = NULL;
	if (!rb.fs)
		return -ENOMEM;
	rb.fs->opt.rdonly = true;
	err = bring_back(&rb);
	if (!err && !how->rdonly)
		err = write_all(&rb);
	release(&rb);
	if (!err && how->rdonly) {
		rb.fs->replaying = false;
		how->fs = rb.fs;
		return 0;
	}
	if (!err)
		err = look_again(&rb);
	if (rb.fs->opt.rdonly) {
		tfs_fence_leave(rb.fs);
		tfs_free_fs(rb.fs);
		return err;
	}
	bad = tfs_close(rb.fs);
	return err ? err : bad;
}
