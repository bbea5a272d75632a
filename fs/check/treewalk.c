/* SPDX-License-Identifier: GPL-2.0-or-later */
/* treewalk.c - see treewalk.h.
 *
 *  (1) Items come from the tree in memory, so that what was replayed, or is
 *      not written yet, is seen.  Copies are read from the medium, past the
 *      cache, of the nodes that are there as they are in memory.
 *  (2) A node's places are pinned by a ticket from the look to the end of
 *      reading its copies; the ticket is held for one path at most.
 *  (3) Memory is three nodes, whatever the size of the tree. */
#include <string.h>

#include "base/cluster.h"
#include "base/gate.h"
#include "check/treewalk.h"
#include "tree/btree.h"
#include "tree/fetch.h"
#include "tree/ncache.h"

/* Nodes that a step comes upon for the first time. */
struct entered {
	struct tfs_miss at[TFS_LEVEL_MAX + 1];
	bool		dirty[TFS_LEVEL_MAX + 1];
	unsigned int	n;
	struct tfs_miss miss;
	unsigned int	ticket;
};

static struct tfs_miss place_of(const struct tfs_node *node)
{
	return (struct tfs_miss){
		.ptr = node->ptr, .level = node->level,
		.low = tfs_node_low(node), .high = tfs_node_high(node),
	};
}

/* The path to the leaf of w->key, and a copy of that leaf.  What begins
 * where the last node of the path does was not seen before. */
static int look_locked(struct tfs_treewalk *w, struct entered *en)
{
	const struct tfs_node *path[TFS_LEVEL_MAX + 1];
	struct tfs_key low;
	unsigned int n;
	int err = tfs_btree_path(w->fs, w->key, path, &n, &en->miss);

	if (!err) {
		memcpy(w->leaf->buf, path[n - 1]->buf, w->fs->csize);
		w->leaf->level = 0;
		low = tfs_node_low(path[n - 1]);
	} else {
		low = en->miss.low;
	}
	en->n = 0;
	for (unsigned int i = 0; i < n; i++) {
		struct tfs_miss at = place_of(path[i]);

		bool clean = path[i]->state == TFS_NODE_CLEAN;	/* (1) */

		if (tfs_key_cmp(&at.low, &low) ||
		    (!clean && !w->unwritten))
			continue;
		en->dirty[en->n] = !clean;
		en->at[en->n++] = at;
	}
	return err;
}

static bool same_place(const struct tfs_ptr *a, const struct tfs_ptr *b)
{
	return a->addr[0] == b->addr[0] && a->seq == b->seq;
}

/* 0, or why en->miss can't be read; the places are pinned (2). */
static int look(struct tfs_treewalk *w, struct entered *en)
{
	struct tfs_ptr last = { .seq = 0 };
	int err, bad = 0;

	for (;;) {
		pthread_rwlock_rdlock(&w->fs->tree);
		err = look_locked(w, en);
		if (err != TFS_MISS ||
		    (bad && same_place(&last, &en->miss.ptr)))
			break;
		tfs_tree_unlock(w->fs, err, &en->miss);
		last = en->miss.ptr;
		bad = tfs_node_fetch(w->fs, &en->miss);
		if (bad == -ENOMEM)
			return bad;
	}
	en->ticket = tfs_reader_enter(w->fs);
	pthread_rwlock_unlock(&w->fs->tree);
	return err == TFS_MISS ? bad : err;
}

static void read_copy(struct tfs_treewalk *w, struct tfs_treewalk_node *n,
		      unsigned int i)
{
	struct tfs_record rec = {
		.kind = TFS_K_NODE, .owner = n->at.level, .index = i,
		.seq = n->at.ptr.seq,
	};
	struct tfs_treewalk_copy *c = &n->copy[i];

	w->copy[i]->ptr = n->at.ptr;
	c->err = tfs_cluster_try(w->fs, n->at.ptr.addr[i], &rec,
				 w->copy[i]->buf, &c->fault);
	if (c->err)
		return;
	c->why = tfs_node_decode(w->fs, w->copy[i], n->at.level, &n->at.low,
				 &n->at.high);
	c->err = c->why ? -EUCLEAN : 0;
}

static int see_nodes(struct tfs_treewalk *w, const struct entered *en)
{
	int err = 0;

	for (unsigned int i = 0; i < en->n && !err && w->node; i++) {
		struct tfs_treewalk_node n = { .at = en->at[i] };

		if (en->dirty[i] || w->no_copies) {
			err = w->node(w, &n);
			continue;
		}
		read_copy(w, &n, 0);
		read_copy(w, &n, 1);
		if (n.copy[0].err == -ENOMEM || n.copy[1].err == -ENOMEM)
			return -ENOMEM;
		n.differ = !n.copy[0].err && !n.copy[1].err &&
			memcmp(w->copy[0]->buf, w->copy[1]->buf,
			       w->fs->csize);
		err = w->node(w, &n);
	}
	return err;
}

static int see_items(struct tfs_treewalk *w)
{
	unsigned int n = tfs_node_items(w->leaf);
	int err = 0;

	for (unsigned int i = 0; i < n && !err && w->item; i++) {
		struct tfs_item item = tfs_node_item(w->leaf, i);

		if (tfs_key_cmp(&item.key, &w->key) >= 0)
			err = w->item(w, &item);
	}
	return err;
}

int tfs_treewalk_step(struct tfs_treewalk *w)
{
	const struct tfs_key end = TFS_KEY_MAX;
	struct tfs_key next;
	struct entered en;
	int err, bad = look(w, &en);

	if (bad == -ENOMEM)
		return bad;
	err = see_nodes(w, &en);
	tfs_reader_exit(w->fs, en.ticket);
	if (!err && bad)
		err = w->lost ? w->lost(w, &en.miss, bad) : bad;
	else if (!err)
		err = see_items(w);
	if (err)
		return err;
	next = bad ? en.miss.high : tfs_node_high(w->leaf);
	w->key = next;
	w->done = tfs_key_cmp(&next, &end) >= 0;
	return 0;
}

int tfs_treewalk_skip(struct tfs_treewalk *w, const struct tfs_miss *at,
		      int err)
{
	(void)w;
	(void)at;
	(void)err;
	return 0;
}

int tfs_treewalk_run(struct tfs_treewalk *w)
{
	int err = 0;

	while (!err && !w->done)
		err = tfs_treewalk_step(w);
	return err;
}

int tfs_treewalk_begin(struct tfs_treewalk *w)
{
	w->done = false;
	w->leaf = tfs_node_alloc(w->fs);
	w->copy[0] = tfs_node_alloc(w->fs);
	w->copy[1] = tfs_node_alloc(w->fs);
	if (w->leaf && w->copy[0] && w->copy[1])
		return 0;
	tfs_treewalk_end(w);
	return -ENOMEM;
}

void tfs_treewalk_end(struct tfs_treewalk *w)
{
	tfs_node_free(w->leaf);
	tfs_node_free(w->copy[0]);
	tfs_node_free(w->copy[1]);
	w->leaf = w->copy[0] = w->copy[1] = NULL;
}

static int count_lost(struct tfs_treewalk *w, const struct tfs_miss *at,
		      int err)
{
	unsigned int *n = w->arg;

	(void)at;
	(void)err;
	(*n)++;
	return 0;
}

int tfs_treewalk_lost(struct tfs *fs, unsigned int *lost)
{
	struct tfs_treewalk w = { .fs = fs, .arg = lost, .lost = count_lost };
	int err;

	*lost = 0;
	err = tfs_treewalk_begin(&w);
	if (!err)
		err = tfs_treewalk_run(&w);
	tfs_treewalk_end(&w);
	return err;
}
