/* SPDX-License-Identifier: GPL-2.0-or-later */
/* treewalk.h - the whole tree, leaf by leaf in the order of keys, both copies of
 * every node read from the medium.  For checks of a filesystem that nobody
 * else uses as well as of one that is in use. */
#ifndef TFS_TREEWALK_H
#define TFS_TREEWALK_H

#include "tree/node.h"

struct tfs_treewalk_copy {
	int		err;		/* 0: good; -EUCLEAN: why */
	const char	*why;
	struct eng_fault fault;		/* -EBADMSG, -EILSEQ */
};

struct tfs_treewalk_node {
	struct tfs_miss at;		/* places, level, bounds */
	struct tfs_treewalk_copy copy[2];
	bool		differ;		/* both are good, with other bytes */
};

/* The caller sets the first part.  A callback may be NULL; one that does not
 * return 0 ends the walk with that.  None runs under a lock, and node() runs
 * before the items of what is below it. */
struct tfs_treewalk {
	struct tfs	*fs;
	void		*arg;
	bool		unwritten;	/* nodes that are not on the medium, too */
	bool		no_copies;	/* node() is not told how copies are */
	/* A node that is on the medium: how its copies are. */
	int		(*node)(struct tfs_treewalk *w,
				const struct tfs_treewalk_node *n);
	/* Valid while the call runs. */
	int		(*item)(struct tfs_treewalk *w,
				const struct tfs_item *item);
	/* What lies below at can't be read.  The walk goes on behind it. */
	int		(*lost)(struct tfs_treewalk *w,
				const struct tfs_miss *at, int err);

	/* May be set before the first step, and be remembered to go on later. */
	struct tfs_key	key;
	bool		done;

	struct tfs_node	*leaf, *copy[2];	/* treewalk.c's own */
};

/* 0 or -ENOMEM. */
int tfs_treewalk_begin(struct tfs_treewalk *w);
/* One leaf with the nodes above it that begin there.  Bounded work; done is
 * set after the last one. */
int tfs_treewalk_step(struct tfs_treewalk *w);
/* A lost() for those who have heard of it already. */
int tfs_treewalk_skip(struct tfs_treewalk *w, const struct tfs_miss *at,
		      int err);
/* All steps. */
int tfs_treewalk_run(struct tfs_treewalk *w);
void tfs_treewalk_end(struct tfs_treewalk *w);
/* How many parts of the tree can't be read in either copy, as far as the walk
 * came. */
int tfs_treewalk_lost(struct tfs *fs, unsigned int *lost);

#endif
