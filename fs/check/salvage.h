/* SPDX-License-Identifier: GPL-2.0-or-later */
/* salvage.h - what the medium has, found by the tags and not by the tree. */
#ifndef TFS_SALVAGE_H
#define TFS_SALVAGE_H

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

struct tfs_spans {
	struct tfs_span	*at;
	size_t		n, room;
};

/* A part of a span that no newer one covers. */
struct tfs_piece {
	struct tfs_key	low, high;
	size_t		span;
};

struct tfs_pieces {
	struct tfs_piece *at;
	size_t		n, room;
};

struct tfs_salvage {
	struct tfs	*fs;
	void		*arg;
	/* 0 to 1000.  False: stop, with -EINTR. */
	bool		(*progress)(struct tfs_salvage *sv, unsigned int done);

	/* The result. */
	struct tfs_spans leaves, data;
	uint64_t	clusters, unreadable, nodes;
	uint64_t	node_seq;	/* the highest of a node */
	uint64_t	seq;		/* the highest of all: salvage.c (4) */
	uint64_t	checkpoint;	/* the highest that the log names */
	uint64_t	log_end;	/* highest position in the log, and one */
	struct tfs_votes votes;		/* whose nodes and log are there */
};

/* Read all of the medium once, in order. */
int tfs_salvage_scan(struct tfs_salvage *sv);
void tfs_salvage_clear(struct tfs_salvage *sv);
/* Sorts them, and says for all keys whose the newest span is. */
int tfs_spans_win(struct tfs_spans *all, struct tfs_pieces *out);

/* replace.c: a part of the tree that can't be read is given up: an empty one
 * of the same bounds takes its place, as a change in memory like any other. */
int tfs_tree_replace(struct tfs *fs, const struct tfs_miss *lost);

#endif
