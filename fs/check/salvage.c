/* SPDX-License-Identifier: GPL-2.0-or-later */
/* salvage.c - one pass over the medium.
 *
 *  (1) What verifies counts: guard, reference tag, a record of this filesystem
 *      for this address, and of nodes and the log the checksum.  A cluster that
 *      can't be read costs itself alone.
 *  (2) Memory is 56 bytes for a leaf, and as much for a run of data clusters
 *      that continue one another in file, place and commit.
 *  (3) Of the spans that have a key the one with the highest sequence has it.
 *  (4) Tags of something else decode to a record one time in 4096, with any
 *      sequence.  So that of data counts as the highest only if it is no more
 *      than a few lives above one that does.
 */
#include <stdlib.h>
#include <string.h>

#include "base/cluster.h"
#include "check/pass.h"
#include "check/salvage.h"
#include "commit/log.h"

#define LIVES	16u		/* (4) */

/* ---- spans -------------------------------------------------------------------- */

static int add_span(struct tfs_spans *s, const struct tfs_span *span)
{
	int err = tfs_array_grow(&s->at, &s->room, s->n + 1, sizeof(*s->at));

	if (!err)
		s->at[s->n++] = *span;
	return err;
}

static int see_node(struct tfs_salvage *sv, uint64_t addr, uint8_t *data,
		    const struct tfs_record *rec)
{
	struct tfs_node node = { .buf = data, .ptr.seq = rec->seq };
	struct tfs_span span = {
		.low = tfs_node_low(&node), .high = tfs_node_high(&node),
		.seq = rec->seq,
	};

	if (rec->owner > TFS_LEVEL_MAX || rec->index > 1 ||
	    tfs_node_decode(sv->fs, &node, rec->owner, &span.low, &span.high))
		return 0;
	sv->nodes++;
	if (rec->seq > sv->node_seq)
		sv->node_seq = rec->seq;
	span.addr[rec->index] = addr;
	return rec->owner ? 0 : add_span(&sv->leaves, &span);
}

static int see_data(struct tfs_salvage *sv, uint64_t addr,
		    const struct tfs_record *rec)
{
	struct tfs_span *last = sv->data.n ? &sv->data.at[sv->data.n - 1] :
		NULL;
	struct tfs_span span = {
		.low = tfs_key(rec->owner, TFS_T_EXTENT, rec->index),
		.high = tfs_key(rec->owner, TFS_T_EXTENT,
				(uint64_t)rec->index + 1),
		.seq = rec->seq, .addr = { addr },
	};

	if (!rec->owner)
		return 0;
	if (!last || tfs_key_cmp(&last->high, &span.low) ||
	    last->seq != span.seq ||
	    last->addr[0] + (last->high.off - last->low.off) != addr)
		return add_span(&sv->data, &span);
	last->high = span.high;
	return 0;
}

static void see_log(struct tfs_salvage *sv, const uint8_t *data,
		    const struct tfs_record *rec)
{
	const struct tfs_disk_log *h = (const void *)data;

	if (!tfs_cluster_is_sound(sv->fs, data) || le64toh(h->seq) != rec->seq)
		return;
	if (rec->seq > sv->seq)
		sv->seq = rec->seq;
	if (le64toh(h->checkpoint) > sv->checkpoint)
		sv->checkpoint = le64toh(h->checkpoint);
	if (rec->index + 1ull > sv->log_end)
		sv->log_end = rec->index + 1ull;
}

static int see(struct tfs_pass *p, uint64_t addr, uint8_t *data,
	       const uint16_t *tags)
{
	struct tfs_salvage *sv = p->arg;
	struct tfs_record rec;

	sv->clusters++;
	if (tfs_cluster_is_sound(sv->fs, data))
		tfs_vote(&sv->votes, ((struct tfs_disk_node *)data)->nonce);
	if (!tfs_record_decode(&sv->fs->key, tags, addr, &rec))
		return 0;
	if (rec.kind == TFS_K_NODE)
		return see_node(sv, addr, data, &rec);
	if (rec.kind == TFS_K_DATA)
		return see_data(sv, addr, &rec);
	if (rec.kind == TFS_K_LOG)
		see_log(sv, data, &rec);
	return 0;
}

static bool progress(struct tfs_pass *p, unsigned int done)
{
	struct tfs_salvage *sv = p->arg;

	return !sv->progress || sv->progress(sv, done);
}

static int by_low(const void *a, const void *b)
{
	const struct tfs_span *x = a, *y = b;
	int c = tfs_key_cmp(&x->low, &y->low);

	if (!c && x->seq != y->seq)
		c = x->seq < y->seq ? -1 : 1;
	return c ? c : tfs_key_cmp(&x->high, &y->high);
}

/* The two copies of a leaf are one. */
static void fold(struct tfs_spans *s)
{
	size_t n = 0;

	qsort(s->at, s->n, sizeof(s->at[0]), by_low);
	for (size_t i = 0; i < s->n; i++) {
		if (n && !by_low(&s->at[n - 1], &s->at[i])) {
			for (int k = 0; k < 2; k++)
				if (s->at[i].addr[k])
					s->at[n - 1].addr[k] =
						s->at[i].addr[k];
			continue;
		}
		s->at[n++] = s->at[i];
	}
	s->n = n;
}

static int by_seq(const void *a, const void *b)
{
	const struct tfs_span *x = a, *y = b;

	return x->seq < y->seq ? -1 : x->seq > y->seq;
}

/* (4) */
static void find_top(struct tfs_salvage *sv)
{
	if (sv->seq < sv->node_seq)
		sv->seq = sv->node_seq;
	if (sv->data.n)
		qsort(sv->data.at, sv->data.n, sizeof(sv->data.at[0]), by_seq);
	for (size_t i = 0; i < sv->data.n; i++) {
		uint64_t seq = sv->data.at[i].seq;

		if (seq > sv->seq + LIVES * TFS_SEQ_JUMP)
			break;
		if (seq > sv->seq)
			sv->seq = seq;
	}
}

int tfs_salvage_scan(struct tfs_salvage *sv)
{
	struct tfs_pass p = { .fs = sv->fs, .arg = sv, .see = see,
			  .progress = progress };
	int err = tfs_pass_run(&p);

	sv->unreadable = p.unreadable;
	if (!err && sv->leaves.n)
		fold(&sv->leaves);
	if (!err)
		find_top(sv);
	return err;
}

void tfs_salvage_clear(struct tfs_salvage *sv)
{
	free(sv->leaves.at);
	free(sv->data.at);
	*sv = (struct tfs_salvage){
		.fs = sv->fs, .arg = sv->arg, .progress = sv->progress,
	};
}

/* ---- who has a key ------------------------------------------------------------ */

/* Spans that begin at or before the place of the sweep, the newest on top. */
struct heap {
	const struct tfs_spans *all;
	size_t		*at;
	size_t		n, room;
};

static bool newer(const struct heap *h, size_t a, size_t b)
{
	return h->all->at[h->at[a]].seq > h->all->at[h->at[b]].seq;
}

static void swap(struct heap *h, size_t a, size_t b)
{
	size_t t = h->at[a];

	h->at[a] = h->at[b];
	h->at[b] = t;
}

static int push(struct heap *h, size_t span)
{
	size_t i = h->n;

	if (tfs_array_grow(&h->at, &h->room, h->n + 1, sizeof(h->at[0])))
		return -ENOMEM;
	h->at[h->n++] = span;
	for (; i && newer(h, i, (i - 1) / 2); i = (i - 1) / 2)
		swap(h, i, (i - 1) / 2);
	return 0;
}

static void pop(struct heap *h)
{
	size_t i = 0, k;

	h->at[0] = h->at[--h->n];
	for (;;) {
		k = 2 * i + 1;
		if (k >= h->n)
			return;
		k += k + 1 < h->n && newer(h, k + 1, k);
		if (!newer(h, k, i))
			return;
		swap(h, i, k);
		i = k;
	}
}

static int add_piece(struct tfs_pieces *out, const struct tfs_piece *p)
{
	int err = tfs_array_grow(&out->at, &out->room, out->n + 1,
				 sizeof(out->at[0]));

	if (!err)
		out->at[out->n++] = *p;
	return err;
}

/* (3): the piece that begins at pos ends where its span does, or a newer one
 * begins. */
static int next_piece(struct heap *h, size_t *i, struct tfs_key *pos,
		      struct tfs_pieces *out)
{
	const struct tfs_spans *all = h->all;
	size_t top = h->at[0];
	struct tfs_piece p = { *pos, all->at[top].high, top };
	int err = 0;

	for (; *i < all->n && !err; ++*i) {
		if (tfs_key_cmp(&all->at[*i].low, &p.high) >= 0)
			break;
		if (all->at[*i].seq > all->at[top].seq) {
			p.high = all->at[*i].low;
			break;
		}
		err = push(h, *i);
	}
	*pos = p.high;
	if (!err && tfs_key_cmp(&p.low, &p.high) < 0)
		err = add_piece(out, &p);
	return err;
}

int tfs_spans_win(struct tfs_spans *all, struct tfs_pieces *out)
{
	struct heap h = { .all = all };
	struct tfs_key pos = tfs_key(0, 0, 0);
	size_t i = 0;
	int err = 0;

	*out = (struct tfs_pieces){ .n = 0 };
	if (all->n)
		qsort(all->at, all->n, sizeof(all->at[0]), by_low);
	while (!err) {
		while (i < all->n && !err &&
		       tfs_key_cmp(&all->at[i].low, &pos) <= 0)
			err = push(&h, i++);
		while (h.n && tfs_key_cmp(&all->at[h.at[0]].high, &pos) <= 0)
			pop(&h);
		if (!err && h.n)
			err = next_piece(&h, &i, &pos, out);
		else if (i < all->n)
			pos = all->at[i].low;
		else
			break;
	}
	free(h.at);
	return err;
}
