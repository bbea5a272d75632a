/* SPDX-License-Identifier: GPL-2.0-or-later */
/* extent.h - where the clusters of a file are; inside transactions. */
#ifndef TFS_EXTENT_H
#define TFS_EXTENT_H

#include "file/inode.h"
#include "tfs.h"

struct tfs_extent {
	uint64_t	lc;		/* first logical cluster */
	uint64_t	len;		/* clusters */
	uint64_t	addr;		/* 0: a reservation */
	uint64_t	seq;
};

/* Every field checked; -EUCLEAN and a log line. */
int tfs_extent_decode(struct tfs *fs, const struct tfs_item *item,
		      struct tfs_extent *out);
/* The extent that holds lc or the first one after it; -ENOENT. */
int tfs_extent_find(struct tfs_txn *tx, uint32_t ino, uint64_t lc,
		    struct tfs_extent *out);

/* The part of it from lc on, len clusters. */
struct tfs_extent tfs_extent_slice(const struct tfs_extent *ext, uint64_t lc,
				   uint64_t len);

struct tfs_punch {
	uint64_t	mapped, reserved;	/* clusters that went */
	unsigned int	items;			/* looked at */
	uint64_t	next;	/* not yet done from here on; end: all done */
};

#define TFS_PUNCH_LIMIT	64u	/* items that one transaction looks at */

/* Unmap [lc, end), freeing its clusters; at most limit items. */
int tfs_extent_punch(struct tfs_txn *tx, uint32_t ino, uint64_t lc,
		     uint64_t end, unsigned int limit, struct tfs_punch *out);
/* Map a run where nothing is mapped (any more).  join: with the extent
 * before it, if they continue one another; only if this transaction did not
 * change that one. */
int tfs_extent_map(struct tfs_txn *tx, uint32_t ino,
		   const struct tfs_extent *ext, bool join);

#endif
