/* SPDX-License-Identifier: GPL-2.0-or-later */
/* rebuild_newest.c - without a slot: which checkpoint was the newest that came
 * to its end, (6) of rebuild.c.
 *
 *  (1) A checkpoint that is cut has written nothing over the one before, and not
 *      over the log since.  So a tree that is whole, with a log that goes on
 *      from it, is all that was acknowledged, and what is newer on the medium
 *      is of a checkpoint that was cut.
 *  (2) A node's sequence is that of its first change since the checkpoint
 *      before.  So all of a tree is older than any node of the next one; and
 *      replaying may begin too early, as long as it does not end too early.
 *  (3) Where newer nodes are damaged and were not cut, an old tree may be whole
 *      by chance.  Then the log has come round since: its first commit above
 *      that tree is newer than the next tree's first node, or it ends before
 *      what it calls durable itself.
 *  (4) Nodes have bounds, and a child has those that its parent gives.  So a walk
 *      meets no node twice, whatever they say.
 *  (5) The scan has seen all leaves, and they come sorted as a walk meets them.
 *      So only the nodes above them are read again. */
#include "base/cluster.h"
#include "check/rebuild_priv.h"
#include "mount/recover.h"
#include "tree/ncache.h"

struct whole {
	struct rebuild	*rb;
	uint64_t	newest;		/* sequence of its nodes */
	struct tfs_span	leaf;		/* (5), the next one, if more is 1 */
	int		more;
};

/* Either copy; -ENOENT: neither is what at says. */
static int read_node(struct rebuild *rb, const struct tfs_miss *at,
		     struct tfs_node *node)
{
	struct tfs_record rec = {
		.kind = TFS_K_NODE, .owner = at->level, .seq = at->ptr.seq,
	};
	struct eng_fault fault;
	int err = -ENOENT;

	for (; rec.index < 2 && err; rec.index++) {
		if (!at->ptr.addr[rec.index])
			continue;
		err = tfs_cluster_try(rb->fs, at->ptr.addr[rec.index], &rec,
				      node->buf, &fault);
		if (err == -ENOMEM)
			return err;
		node->ptr = at->ptr;
		if (err || tfs_node_decode(rb->fs, node, at->level, &at->low,
					   &at->high))
			err = -ENOENT;
	}
	return err;
}

static void next_leaf(struct whole *w)
{
	w->more = tfs_sorter_next(w->rb->sv.leaves, &w->leaf);
}

/* (5) -ENOENT: neither copy was seen. */
static int find_leaf(struct whole *w, const struct tfs_miss *at)
{
	bool found = false;

	while (w->more > 0 && tfs_key_cmp(&w->leaf.low, &at->low) < 0)
		next_leaf(w);
	while (w->more > 0 && !tfs_key_cmp(&w->leaf.low, &at->low)) {
		const struct tfs_span *l = &w->leaf;

		for (unsigned int copy = 0; copy < 2; copy++)
			if (l->addr[copy] && l->seq == at->ptr.seq &&
			    l->addr[copy] == at->ptr.addr[copy] &&
			    !tfs_key_cmp(&l->high, &at->high))
				found = true;
		next_leaf(w);
	}
	if (w->more < 0)
		return w->more;
	return found ? 0 : -ENOENT;
}

static int walk(struct whole *w, const struct tfs_miss *at);

/* (4) */
static int walk_children(struct whole *w, const struct tfs_miss *at)
{
	struct tfs_node *node = tfs_node_alloc(w->rb->fs);
	int err = node ? read_node(w->rb, at, node) : -ENOMEM;
	unsigned int n = err ? 0 : tfs_node_items(node);

	for (unsigned int i = 0; i < n && !err; i++) {
		struct tfs_miss child = {
			.ptr = tfs_node_ptr(node, i), .level = at->level - 1,
			.low = tfs_node_key(node, i),
			.high = i + 1 < n ? tfs_node_key(node, i + 1) :
				at->high,
		};

		err = walk(w, &child);
	}
	tfs_node_free(node);
	return err;
}

static int walk(struct whole *w, const struct tfs_miss *at)
{
	if (at->ptr.seq > w->newest)
		w->newest = at->ptr.seq;
	return at->level ? walk_children(w, at) : find_leaf(w, at);
}

/* The lowest sequence above that; 0: there is none. */
static int next_above(struct rebuild *rb, uint64_t seq, uint64_t *next)
{
	const struct tfs_salvage *sv = &rb->sv;
	struct tfs_span span;
	int err = tfs_sorter_rewind(sv->leaves), more = 0;

	*next = 0;
	for (unsigned int i = 0; i < sv->roots; i++)
		if (sv->root[i].ptr.seq > seq &&
		    (!*next || sv->root[i].ptr.seq < *next))
			*next = sv->root[i].ptr.seq;
	while (!err && (more = tfs_sorter_next(sv->leaves, &span)) > 0)
		if (span.seq > seq && (!*next || span.seq < *next))
			*next = span.seq;
	return err ? err : more;
}

/* (3) */
static int goes_on(struct rebuild *rb, uint64_t seq, bool *yes)
{
	struct tfs_reach reach;
	uint64_t next;
	int err = next_above(rb, seq, &next);

	if (!err)
		err = tfs_recover_reach(rb->fs, seq, &reach);
	*yes = !err && reach.first && reach.last >= reach.durable &&
		(!next || reach.first <= next);
	return err;
}

/* The newest root of all that have a whole tree below them.  -ENOENT: none. */
static int find_whole(struct whole *w)
{
	const struct tfs_salvage *sv = &w->rb->sv;
	int err = -ENOENT;

	for (unsigned int i = 0; i < sv->roots && err == -ENOENT; i++) {
		w->newest = 0;
		err = tfs_sorter_rewind(sv->leaves);
		if (err)
			break;
		next_leaf(w);
		err = walk(w, &sv->root[i]);
	}
	return err;
}

int tfs_rb_newest(struct rebuild *rb)
{
	struct whole w = { .rb = rb };
	bool yes = false;
	int err = find_whole(&w);

	if (!err && w.newest < rb->sv.node_seq)
		err = goes_on(rb, w.newest, &yes);
	if (yes) {
		rb->limit = rb->above = w.newest;
		eng_log(LOG_NOTICE, "a checkpoint was cut; what it wrote does "
			"not count, the one before and the log do");
	}
	return err == -ENOENT ? 0 : err;
}
