/* SPDX-License-Identifier: GPL-2.0-or-later */
/* rebuild_choose.c - what of all that was found is to come back: (3), (5), (6)
 * of rebuild.c. */
#include "check/rebuild_priv.h"
#include "tree/node.h"

/* ---- leaves ------------------------------------------------------------- */

struct leaves {
	struct rebuild	*rb;
	bool		by_map;		/* not those that a map calls free */
	struct tfs_span	ahead;
	int		more;		/* 1: ahead is one */
};

/* The two copies of a leaf are one; they follow one another. */
static int next_folded(struct leaves *l, struct tfs_span *span)
{
	int res = l->more;

	if (res <= 0)
		return res;
	*span = l->ahead;
	while ((l->more = tfs_sorter_next(l->rb->sv.leaves, &l->ahead)) > 0) {
		if (tfs_key_cmp(&span->low, &l->ahead.low) ||
		    tfs_key_cmp(&span->high, &l->ahead.high) ||
		    span->seq != l->ahead.seq)
			break;
		for (int k = 0; k < 2; k++)
			if (l->ahead.addr[k])
				span->addr[k] = l->ahead.addr[k];
	}
	return res;
}

static bool is_over(const struct leaves *l, const struct tfs_span *span)
{
	bool over = span->seq > l->rb->limit;

	for (int k = 0; k < 2 && l->by_map; k++)
		over |= span->addr[k] && tfs_rb_is_dead(l->rb, span->addr[k],
							span->seq);
	return over;
}

static int claim_copies(struct rebuild *rb, const struct tfs_span *span)
{
	int err = 0;

	for (int k = 0; k < 2 && !err; k++)
		if (span->addr[k])
			err = tfs_rb_claim(rb, span->addr[k], 1);
	return err;
}

static int next_leaf(void *arg, struct tfs_span *span)
{
	struct leaves *l = arg;
	int res, err = 0;

	do
		res = next_folded(l, span);
	while (res > 0 && is_over(l, span));
	if (res > 0 && l->by_map)
		err = claim_copies(l->rb, span);		/* (5) */
	return err ? err : res;
}

static int choose_leaves(struct rebuild *rb, bool by_map)
{
	struct leaves l = { .rb = rb, .by_map = by_map };
	int err = tfs_sorter_rewind(rb->sv.leaves);

	tfs_sorter_destroy(rb->leaves);
	rb->leaves = NULL;
	if (!err)
		err = tfs_sorter_create(&rb->leaves, &rb->how->scratch,
					sizeof(struct tfs_piece), NULL);
	if (err)
		return err;
	l.more = tfs_sorter_next(rb->sv.leaves, &l.ahead);
	return tfs_spans_win(next_leaf, &l, rb->leaves);
}

/* ---- data --------------------------------------------------------------- */

static struct tfs_span part_of(const struct tfs_span *s, uint64_t from,
			       uint64_t n)
{
	struct tfs_span p = *s;

	p.low.off += from;
	p.high.off = p.low.off + n;
	p.addr[0] += from;
	return p;
}

/* (3), (5), (6): what is newer than the limit may be the log's. */
static int take_part(struct rebuild *rb, const struct tfs_span *s,
		     struct tfs_sorter *live)
{
	int err = tfs_rb_claim(rb, s->addr[0], s->high.off - s->low.off);

	return err || s->seq > rb->limit ? err : tfs_sorter_add(live, s);
}

/* The parts of one run that live. */
static int live_parts(struct rebuild *rb, const struct tfs_span *s,
		      struct tfs_sorter *live)
{
	uint64_t n = s->high.off - s->low.off, from = 0, at;
	struct tfs_span part;
	int err = 0;

	for (at = 0; at <= n && !err; at++) {
		if (at < n && !tfs_rb_is_dead(rb, s->addr[0] + at, s->seq))
			continue;
		part = part_of(s, from, at - from);
		if (at > from)
			err = take_part(rb, &part, live);
		from = at + 1;
	}
	return err;
}

static int drop_data(struct rebuild *rb, struct tfs_sorter *live)
{
	struct tfs_span span;
	int err = tfs_sorter_rewind(rb->sv.data), more = 0;

	while (!err && (more = tfs_sorter_next(rb->sv.data, &span)) > 0)
		err = live_parts(rb, &span, live);
	tfs_sorter_destroy(rb->sv.data);
	rb->sv.data = NULL;
	return err ? err : more;
}

static int next_live(void *arg, struct tfs_span *span)
{
	return tfs_sorter_next(arg, span);
}

static int count_data(struct rebuild *rb)
{
	struct pieces p;
	int err;

	for (err = tfs_pieces_begin(&p, rb->data); !err && p.more > 0;
	     tfs_pieces_next(&p))
		rb->data_clusters += p.at.high.off - p.at.low.off;
	return err ? err : p.more;
}

static int choose_data(struct rebuild *rb)
{
	struct tfs_sorter *live;
	int err = tfs_sorter_create(&live, &rb->how->scratch,
				    sizeof(struct tfs_span), tfs_span_cmp);

	if (!err)
		err = drop_data(rb, live);
	if (!err)
		err = tfs_sorter_rewind(live);
	if (!err)
		err = tfs_sorter_create(&rb->data, &rb->how->scratch,
					sizeof(struct tfs_piece), NULL);
	if (!err)
		err = tfs_spans_win(next_live, live, rb->data);
	tfs_sorter_destroy(live);
	return err ? err : count_data(rb);
}

/* ---- all ---------------------------------------------------------------- */

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

int tfs_rb_choose(struct rebuild *rb)
{
	int err = choose_leaves(rb, false);

	if (!err)
		err = tfs_rb_each_leaf(rb, map_leaf);
	if (!err)
		err = choose_leaves(rb, true);
	tfs_sorter_destroy(rb->sv.leaves);
	rb->sv.leaves = NULL;
	if (!err)
		err = tfs_rb_each_leaf(rb, claim_leaf);
	return err ? err : choose_data(rb);
}
