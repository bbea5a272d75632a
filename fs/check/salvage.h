/* SPDX-License-Identifier: GPL-2.0-or-later */
/* salvage.h - what the medium has, found by the tags and not by the tree. */
#ifndef TFS_SALVAGE_H
#define TFS_SALVAGE_H

#include "base/sorter.h"
#include "check/nonce.h"
#include "tree/node.h"

/* Keys that one leaf, or a run of data clusters, has; of the latter those of
 * extents, one a cluster. */
struct tfs_span {
	struct tfs_key	low, high;
	uint64_t	seq;
	uint64_t	addr[2];	/* of both copies, 0: none; of the first
					 * cluster */
};

/* A part of a span that no newer one covers. */
struct tfs_piece {
	struct tfs_key	low, high;
	struct tfs_span	span;
};

#define TFS_ROOTS	16u	/* that are remembered */

struct tfs_salvage {
	struct tfs	*fs;
	void		*arg;
	/* 0 to 1000.  False: stop, with -EINTR. */
	bool		(*progress)(struct tfs_salvage *sv, unsigned int done);

	struct tfs_scratch *scratch;	/* for what is found */
	uint64_t	mark;		/* nodes above it are of nobody; 0: none
					 * are */

	/* The result. */
	struct tfs_sorter *leaves;	/* spans, ascending */
	struct tfs_sorter *data;	/* spans, as they lie on the medium */
	uint64_t	clusters, unreadable, nodes;
	uint64_t	node_seq;	/* the highest of a node up to mark */
	uint64_t	seq;		/* the highest of all: salvage.c (4) */
	/* Nodes that have all keys, the newest first. */
	struct tfs_miss	root[TFS_ROOTS];
	unsigned int	roots;
	uint64_t	checkpoint;	/* the highest that the log names */
	uint64_t	log_end;	/* highest position in the log, and one */
	/* It was a leg of a mirror: which, from 1, or 0; by its newest list. */
	unsigned int	leg;
	uint64_t	leg_list;	/* generation of that */
	bool		leg_behind;
	struct tfs_votes votes;		/* whose nodes and log are there */

	struct tfs_span	run;		/* of data, that may go on */
	struct tfs_lives *lives;	/* salvage.c (4) */
};

/* Read all of the medium once, in order. */
int tfs_salvage_scan(struct tfs_salvage *sv);
void tfs_salvage_clear(struct tfs_salvage *sv);
/* By their keys, then by sequence. */
int tfs_span_cmp(const void *a, const void *b);
/* Says for all keys whose the newest span is, in their order.  next gives the
 * spans ascending: 1, 0 at their end, or -errno.  out takes the pieces. */
int tfs_spans_win(int (*next)(void *arg, struct tfs_span *span), void *arg,
		  struct tfs_sorter *out);

/* replace.c: a part of the tree that can't be read is given up: an empty one
 * of the same bounds takes its place, as a change in memory like any other. */
int tfs_tree_replace(struct tfs *fs, const struct tfs_miss *lost);

#endif
