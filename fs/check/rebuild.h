/* SPDX-License-Identifier: GPL-2.0-or-later */
/* rebuild.h - bring back a filesystem whose tree can't be walked. */
#ifndef TFS_REBUILD_H
#define TFS_REBUILD_H

#include "base/sorter.h"
#include "check/check.h"

/* From low to below high nothing is left that would say what was there. */
struct tfs_gap {
	struct tfs_key	low, high;
};

struct tfs_rebuild {
	/* The caller sets these.  dev is borrowed. */
	struct eng_dev	*dev;
	bool		rdonly;		/* nothing is written: see fs */
	bool		image;		/* what has no content will do, too */
	unsigned int	fence;		/* as of a mount; 0: nobody else can
					 * reach it */
	const uint8_t	*nonce;		/* whose filesystem it is, where no
					 * superblock says it; NULL: find out */
	struct tfs_scratch scratch;	/* where what is found is kept */
	void		*arg;
	/* What became of what was found damaged, and what the check at the
	 * end puts right.  NULL: nobody wants to know. */
	void		(*found)(struct tfs_rebuild *how,
				 const struct tfs_finding *f);
	/* Now and then: which step, of how many, and how far, 0 to 1000.
	 * False: stop, with -EINTR; nothing was written then.  May be NULL. */
	bool		(*progress)(struct tfs_rebuild *how, unsigned int step,
				    unsigned int steps, unsigned int done);

	/* The result. */
	uint64_t	lost;		/* parts of the tree */
	uint64_t	leaves;		/* that came back */
	uint64_t	items;		/* in them */
	uint64_t	inodes;		/* made from the tags of their data */
	uint64_t	clusters;	/* of data, found by their tags alone */
	uint64_t	unreadable;	/* clusters that could not be read */
	uint64_t	problems;	/* that the check put right, or left */
	bool		super_lost, slots_lost;
	/* rdonly: the filesystem as it would be, for the caller to look at and
	 * to tfs_close().  Else NULL. */
	struct tfs	*fs;
	struct tfs_gap	*gap;		/* ascending; the caller frees it */
	size_t		gaps;
};

/* 0: what could be brought back is there, durable, and the check finds it
 * whole.  On an error before the one checkpoint nothing has changed.
 * -ENOBUFS: what is found has no room in how->scratch. */
int tfs_rebuild(struct tfs_rebuild *how);

#endif
