/* SPDX-License-Identifier: GPL-2.0-or-later */
/* check.h - is a filesystem whole?  Compare all that can be known in two
 * ways, and, where the caller says so, put it right.
 *
 * The filesystem is open and nobody else uses it.  Repairs are transactions
 * like other changes; they are durable after tfs_ckpt_run(), and a crash
 * before that leaves what was there. */
#ifndef TFS_CHECK_H
#define TFS_CHECK_H

#include "fs.h"
#include "check/finding.h"
#include "tree/key.h"

struct tfs_check {
	struct tfs	*fs;
	void		*arg;
	/* One problem.  True: put it right, if it is fixable and the
	 * filesystem can be written. */
	bool		(*found)(struct tfs_check *c,
				 const struct tfs_finding *f);
	/* A repair that was asked for failed; the finding is the last one.
	 * May be NULL. */
	void		(*failed)(struct tfs_check *c, int err);
	/* Now and then: which step, of how many, and how far, 0 to 1000.
	 * False: stop, with -EINTR.  May be NULL. */
	bool		(*progress)(struct tfs_check *c, unsigned int step,
				    unsigned int steps, unsigned int done);
	bool		orphans_in_use;	/* inodes without names are no fault */
	bool		foreign_items;	/* nor are item types from 128 on */
	bool		one_copy;	/* one good copy of a node will do */
	bool		near_copies;	/* they may be near each other */
	bool		data;		/* read all content, too */
	bool		no_space;	/* don't look at what is free */

	/* The result. */
	uint64_t	problems, fixed;
	uint64_t	lost;		/* parts of the tree */
	uint64_t	files, directories, others, bad_files;
};

/* 0: it was checked, see the result; or why it could not be. */
int tfs_check(struct tfs_check *c);

/* What the newest checkpoint uses and its map has as free is marked, as far as
 * found() says so; the next checkpoint stores it.  Before anything else can
 * take it: for tfs_mount.ready.  0 or -errno. */
int tfs_check_mark(struct tfs_check *c);

#endif
