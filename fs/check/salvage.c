/* SPDX-License-Identifier: GPL-2.0-or-later */
/* salvage.c - one pass over the medium.
 *
 *  (1) What verifies counts: guard, reference tag, a record of this filesystem
 *      for this address, and of nodes and the log the checksum.  A cluster that
 *      can't be read costs itself alone.
 *  (2) 56 bytes are kept for a leaf, and as much for a run of data clusters
 *      that continue one another in file, place and commit: in memory or, where
 *      that is short, in a scratch file (sorter.c).
 *  (3) Of the spans that have a key the one with the highest sequence has it.
 *  (4) Tags of something else decode to a record one time in 4096, with any
 *      sequence.  So that of data counts as the highest only if it is no more
 *      than a few lives above one that does.
 *  (5) What a rebuild wrote that did not end is kept as any other, since others
 *      decide; it is no more than the highest sequence.
 */
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "base/cluster.h"
#include "base/runs.h"
#include "check/pass.h"
#include "check/salvage.h"
#include "commit/log.h"
#include "mount/legs.h"

#define LIVES	16u		/* (4) */
#define NEAR	(LIVES * TFS_SEQ_JUMP)

/* (4) The lowest and the highest sequence of data in each NEAR of them: within
 * one all follow each other. */
struct tfs_lives {
	struct {
		uint32_t	low, high;	/* and one; 0: none */
	} at[(TFS_SEQ_MAX + 1) / NEAR];
};

/* ---- spans -------------------------------------------------------------------- */

/* Both copies are one. */
static void see_root(struct tfs_salvage *sv, const struct tfs_miss *at,
		     unsigned int copy)
{
	unsigned int i = sv->roots;

	while (i && sv->root[i - 1].ptr.seq < at->ptr.seq)
		i--;
	for (unsigned int k = i; k && sv->root[k - 1].ptr.seq == at->ptr.seq;
	     k--) {
		struct tfs_miss *r = &sv->root[k - 1];

		if (r->level != at->level || r->ptr.addr[copy])
			continue;
		r->ptr.addr[copy] = at->ptr.addr[copy];
		return;
	}
	if (i == TFS_ROOTS)
		return;
	sv->roots += sv->roots < TFS_ROOTS;
	memmove(&sv->root[i + 1], &sv->root[i],
		(sv->roots - 1 - i) * sizeof(sv->root[0]));
	sv->root[i] = *at;
}

static bool has_all_keys(const struct tfs_span *span)
{
	const struct tfs_key low = tfs_key(0, 0, 0), high = TFS_KEY_MAX;

	return !tfs_key_cmp(&span->low, &low) &&
		!tfs_key_cmp(&span->high, &high);
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
	if (rec->seq > sv->seq)
		sv->seq = rec->seq;
	if (rec->seq > sv->node_seq && (!sv->mark || rec->seq <= sv->mark))
		sv->node_seq = rec->seq;
	span.addr[rec->index] = addr;
	if (has_all_keys(&span) && (!sv->mark || rec->seq <= sv->mark))
		see_root(sv, &(struct tfs_miss){
			.ptr = { { span.addr[0], span.addr[1] }, rec->seq },
			.level = rec->owner, .low = span.low,
			.high = span.high }, rec->index);
	return rec->owner ? 0 : tfs_sorter_add(sv->leaves, &span);
}

static void note_life(struct tfs_lives *l, uint64_t seq)
{
	uint32_t off = seq % NEAR + 1, n = seq / NEAR;

	if (!l->at[n].low || l->at[n].low > off)
		l->at[n].low = off;
	if (l->at[n].high < off)
		l->at[n].high = off;
}

static int end_run(struct tfs_salvage *sv)
{
	bool any = tfs_key_cmp(&sv->run.low, &sv->run.high);

	return any ? tfs_sorter_add(sv->data, &sv->run) : 0;
}

static int see_data(struct tfs_salvage *sv, uint64_t addr,
		    const struct tfs_record *rec)
{
	struct tfs_span *run = &sv->run;
	struct tfs_span span = {
		.low = tfs_key(rec->owner, TFS_T_EXTENT, rec->index),
		.high = tfs_key(rec->owner, TFS_T_EXTENT,
				(uint64_t)rec->index + 1),
		.seq = rec->seq, .addr = { addr },
	};
	int err;

	if (!rec->owner)
		return 0;
	if (run->seq == span.seq && !tfs_key_cmp(&run->high, &span.low) &&
	    run->addr[0] + (run->high.off - run->low.off) == addr) {
		run->high = span.high;
		return 0;
	}
	note_life(sv->lives, rec->seq);
	err = end_run(sv);
	*run = span;
	return err;
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

static void see_leg(struct tfs_salvage *sv, const uint8_t *data,
		    const struct tfs_record *rec)
{
	bool behind;

	if (rec->seq < sv->leg_list ||
	    !tfs_legs_self(sv->fs, rec, data, &behind))
		return;
	sv->leg = rec->owner + 1u;
	sv->leg_list = rec->seq;
	sv->leg_behind = behind;
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
	if (rec.kind == TFS_K_LEG)
		see_leg(sv, data, &rec);
	return 0;
}

static bool progress(struct tfs_pass *p, unsigned int done)
{
	struct tfs_salvage *sv = p->arg;

	return !sv->progress || sv->progress(sv, done);
}

int tfs_span_cmp(const void *a, const void *b)
{
	const struct tfs_span *x = a, *y = b;
	int c = tfs_key_cmp(&x->low, &y->low);

	if (!c && x->seq != y->seq)
		c = x->seq < y->seq ? -1 : 1;
	if (!c)
		c = tfs_key_cmp(&x->high, &y->high);
	for (int i = 0; i < 2 && !c; i++)
		if (x->addr[i] != y->addr[i])
			c = x->addr[i] < y->addr[i] ? -1 : 1;
	return c;
}

/* (4) */
static void find_top(struct tfs_salvage *sv)
{
	const struct tfs_lives *l = sv->lives;

	for (uint64_t i = sv->seq / NEAR; i <= TFS_SEQ_MAX / NEAR; i++) {
		uint64_t low = i * NEAR + l->at[i].low - 1;
		uint64_t high = i * NEAR + l->at[i].high - 1;

		if (!l->at[i].high || high <= sv->seq)
			continue;
		if (low > sv->seq && low - sv->seq > NEAR)
			break;
		sv->seq = high;
	}
}

static int begin(struct tfs_salvage *sv)
{
	int err = tfs_sorter_create(&sv->leaves, sv->scratch,
				    sizeof(struct tfs_span), tfs_span_cmp);

	if (!err)
		err = tfs_sorter_create(&sv->data, sv->scratch,
					sizeof(struct tfs_span), NULL);
	sv->lives = calloc(1, sizeof(*sv->lives));
	return sv->lives ? err : -ENOMEM;
}

/* How much would do. */
static void say_full(const struct tfs_salvage *sv, unsigned int done)
{
	eng_log(LOG_ERR, "%zu MiB of memory are full of what was found in "
		"the first %u.%u %% of the medium; about %llu MiB are needed",
		sv->scratch->bytes >> 20, done / 10, done % 10,
		(sv->scratch->used >> 20) * 1000ull / (done ? done : 1) + 1);
}

int tfs_salvage_scan(struct tfs_salvage *sv)
{
	struct tfs_pass p = { .fs = sv->fs, .arg = sv, .see = see,
			  .progress = progress };
	int err = begin(sv);

	if (!err)
		err = tfs_pass_run(&p);
	if (!err)
		err = end_run(sv);
	if (err == -ENOBUFS)
		say_full(sv, p.done);
	sv->unreadable = p.unreadable;
	if (!err)
		find_top(sv);
	free(sv->lives);
	sv->lives = NULL;
	return err;
}

void tfs_salvage_clear(struct tfs_salvage *sv)
{
	tfs_sorter_destroy(sv->leaves);
	tfs_sorter_destroy(sv->data);
	*sv = (struct tfs_salvage){
		.fs = sv->fs, .arg = sv->arg, .progress = sv->progress,
		.scratch = sv->scratch, .mark = sv->mark,
	};
}

/* ---- who has a key ------------------------------------------------------------ */

/* Spans that begin at or before the place of the sweep, the newest on top: as
 * many as there are versions that each reach further than all newer ones. */
struct heap {
	struct tfs_span	*at;
	size_t		n, room;
};

/* Where spans come from, and the next one. */
struct source {
	int		(*next)(void *arg, struct tfs_span *span);
	void		*arg;
	struct tfs_span	span;
	int		more;		/* as next() returned */
};

static void advance(struct source *src)
{
	src->more = src->next(src->arg, &src->span);
}

static bool newer(const struct heap *h, size_t a, size_t b)
{
	return h->at[a].seq > h->at[b].seq;
}

static void swap(struct heap *h, size_t a, size_t b)
{
	struct tfs_span t = h->at[a];

	h->at[a] = h->at[b];
	h->at[b] = t;
}

static int push(struct heap *h, const struct tfs_span *span)
{
	size_t i = h->n;

	if (tfs_array_grow(&h->at, &h->room, h->n + 1, sizeof(h->at[0])))
		return -ENOMEM;
	h->at[h->n++] = *span;
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

/* (3): the piece that begins at pos ends where its span does, or a newer one
 * begins.  What lies within it and is not newer has no key. */
static int next_piece(struct heap *h, struct source *src, struct tfs_key *pos,
		      struct tfs_sorter *out)
{
	const struct tfs_span top = h->at[0];
	struct tfs_piece p = { *pos, top.high, top };
	int err = 0;

	for (; src->more > 0 && !err; advance(src)) {
		const struct tfs_span *s = &src->span;

		if (tfs_key_cmp(&s->low, &p.high) >= 0)
			break;
		if (s->seq > top.seq) {
			p.high = s->low;
			break;
		}
		if (tfs_key_cmp(&s->high, &top.high) > 0)
			err = push(h, s);
	}
	*pos = p.high;
	if (!err && tfs_key_cmp(&p.low, &p.high) < 0)
		err = tfs_sorter_add(out, &p);
	return err;
}

int tfs_spans_win(int (*next)(void *arg, struct tfs_span *span), void *arg,
		  struct tfs_sorter *out)
{
	struct source src = { .next = next, .arg = arg };
	struct heap h = { .n = 0 };
	struct tfs_key pos = tfs_key(0, 0, 0);
	int err = 0;

	advance(&src);
	while (!err) {
		for (; src.more > 0 && !err &&
		       tfs_key_cmp(&src.span.low, &pos) <= 0; advance(&src))
			err = push(&h, &src.span);
		while (h.n && tfs_key_cmp(&h.at[0].high, &pos) <= 0)
			pop(&h);
		if (!err && h.n)
			err = next_piece(&h, &src, &pos, out);
		else if (src.more > 0)
			pos = src.span.low;
		else
			break;
	}
	free(h.at);
	return err ? err : src.more < 0 ? src.more : 0;
}
