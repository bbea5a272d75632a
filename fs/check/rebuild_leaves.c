/* SPDX-License-Identifier: GPL-2.0-or-later */
/* rebuild_leaves.c - what of the tree can be walked, and the leaves that stand
 * in for what can't: (2) of rebuild.c. */
#include <string.h>

#include "base/cluster.h"
#include "check/rebuild_priv.h"
#include "check/treewalk.h"
#include "commit/txn.h"
#include "tree/freemap.h"
#include "tree/node.h"

#define STEP	64u		/* items in one transaction */

/* ---- what can be walked ------------------------------------------------- */

static int see_node(struct tfs_treewalk *w, const struct tfs_treewalk_node *n)
{
	struct rebuild *rb = w->arg;
	int err = tfs_rb_claim(rb, n->at.ptr.addr[0], 1);

	return err ? err : tfs_rb_claim(rb, n->at.ptr.addr[1], 1);
}

static int see_item(struct tfs_treewalk *w, const struct tfs_item *item)
{
	struct rebuild *rb = w->arg;

	if (!item->key.obj && item->key.type == TFS_T_REGION)
		return tfs_rb_take_map(rb, item, rb->limit);
	return tfs_rb_claim_extent(rb, item);
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

int tfs_rb_walk(struct rebuild *rb)
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
	tfs_rb_know_maps(rb, &all.low, &all.high, rb->limit);
	err = tfs_treewalk_begin(&w);
	if (!err)
		err = tfs_treewalk_run(&w);
	tfs_treewalk_end(&w);
	for (size_t i = 0; i < rb->lost_n && !err; i++)
		tfs_rb_know_maps(rb, &rb->lost[i].low, &rb->lost[i].high, 0);
	return err;
}

/* ---- leaves ------------------------------------------------------------- */

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

void tfs_pieces_next(struct pieces *p)
{
	p->more = tfs_sorter_next(p->all, &p->at);
}

int tfs_pieces_begin(struct pieces *p, struct tfs_sorter *all)
{
	int err = tfs_sorter_rewind(all);

	p->all = all;
	p->more = err;
	if (!err)
		tfs_pieces_next(p);
	return p->more < 0 ? p->more : 0;
}

void tfs_pieces_seek(struct pieces *p, const struct tfs_key *key)
{
	while (p->more > 0 && tfs_key_cmp(&p->at.high, key) <= 0)
		tfs_pieces_next(p);
}

int tfs_rb_add_hole(struct rebuild *rb, struct tfs_key low,
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
 * has is a hole.  A piece may reach into the next lost part. */
static int one_lost(struct rebuild *rb, const struct tfs_miss *lost,
		    struct pieces *p, tfs_rb_leaf_fn fn)
{
	struct tfs_key pos = lost->low;
	int err = 0;

	for (tfs_pieces_seek(p, &pos); p->more > 0 && !err;
	     tfs_pieces_seek(p, &pos)) {
		const struct tfs_span *span = &p->at.span;
		struct range r = tfs_piece_meet(&pos, &lost->high, &p->at);

		if (tfs_key_cmp(&r.low, &lost->high) >= 0)
			break;
		err = may_fill(lost, span) ? read_leaf(rb, span) : -ENOENT;
		if (!err) {
			err = tfs_rb_add_hole(rb, pos, r.low);
			if (!err)
				err = fn(rb, &r, span->seq);
			pos = r.high;
		} else if (err == -ENOENT && !tfs_key_cmp(&r.high, &lost->high)) {
			err = 0;
			break;
		} else if (err == -ENOENT) {
			err = 0;
			tfs_pieces_next(p);
		}
	}
	if (!err)
		err = p->more < 0 ? p->more : 0;
	return err ? err : tfs_rb_add_hole(rb, pos, lost->high);
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

		if (!tfs_range_has(p->r, &item.key) ||
		    (!item.key.obj && (item.key.type == TFS_T_REGION ||
				       item.key.type == TFS_T_SUMMARY)))
			continue;
		room--;
		err = tfs_txn_put(tx, item.key, item.val, item.len);
	}
	return err;
}

int tfs_rb_put_leaf(struct rebuild *rb, const struct range *r, uint64_t seq)
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
int tfs_rb_each_leaf(struct rebuild *rb, tfs_rb_leaf_fn fn)
{
	struct pieces p;
	int err = tfs_pieces_begin(&p, rb->leaves);

	rb->holes = 0;
	for (size_t i = 0; i < rb->lost_n && !err; i++)
		err = one_lost(rb, &rb->lost[i], &p, fn);
	return err;
}
