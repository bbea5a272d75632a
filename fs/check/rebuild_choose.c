/* SPDX-License-Identifier: GPL-2.0-or-later */
/* rebuild_choose.c - what of all that was found is to come back: (3), (5), (6)
 * of rebuild.c. */
#include <stdlib.h>

#include "check/rebuild_priv.h"
#include "tree/node.h"

static void drop_leaves(struct rebuild *rb, bool by_map)
{
	struct tfs_spans *s = &rb->sv.leaves;
	size_t n = 0;

	for (size_t i = 0; i < s->n; i++) {
		struct tfs_span *span = &s->at[i];
		bool dead = span->seq > rb->limit;

		for (int k = 0; k < 2 && by_map; k++)
			dead |= span->addr[k] &&
				tfs_rb_is_dead(rb, span->addr[k], span->seq);
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
		if (at < n && !tfs_rb_is_dead(rb, s->addr[0] + at, s->seq))
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

		err = tfs_rb_claim(rb, s->addr[0], s->high.off - s->low.off);
		if (s->seq <= rb->limit)
			live.at[n++] = *s;
	}
	rb->sv.data.n = n;
	return err;
}

static int map_leaf(struct rebuild *rb, const struct range *r, uint64_t seq)
{
	int err = 0;

	if (r->low.obj)
		return 0;
	tfs_rb_know_maps(rb, &r->low, &r->high, seq);
	for (unsigned int i = 0; i < tfs_node_items(rb->node) && !err; i++) {
		struct tfs_item item = tfs_node_item(rb->node, i);

		if (!item.key.obj && item.key.type == TFS_T_REGION &&
		    tfs_range_has(r, &item.key))
			err = tfs_rb_take_map(rb, &item, seq);
	}
	return err;
}

static int claim_leaf(struct rebuild *rb, const struct range *r, uint64_t seq)
{
	int err = 0;

	(void)seq;
	for (unsigned int i = 0; i < tfs_node_items(rb->node) && !err; i++) {
		struct tfs_item item = tfs_node_item(rb->node, i);

		if (tfs_range_has(r, &item.key))
			err = tfs_rb_claim_extent(rb, &item);
	}
	return err;
}

static int again(struct tfs_spans *s, struct tfs_pieces *p)
{
	free(p->at);
	return tfs_spans_win(s, p);
}

int tfs_rb_choose(struct rebuild *rb)
{
	int err;

	drop_leaves(rb, false);
	err = again(&rb->sv.leaves, &rb->leaves);
	if (!err)
		err = tfs_rb_each_leaf(rb, map_leaf);
	if (err)
		return err;
	drop_leaves(rb, true);
	for (size_t i = 0; i < rb->sv.leaves.n && !err; i++)
		for (int k = 0; k < 2 && !err; k++)
			if (rb->sv.leaves.at[i].addr[k])
				err = tfs_rb_claim(rb, rb->sv.leaves.at[i].addr[k],
					    1);
	if (!err)
		err = again(&rb->sv.leaves, &rb->leaves);
	if (!err)
		err = tfs_rb_each_leaf(rb, claim_leaf);
	if (!err)
		err = drop_data(rb);
	return err ? err : again(&rb->sv.data, &rb->data);
}
