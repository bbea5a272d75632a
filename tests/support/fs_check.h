/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fs_check.h - is a filesystem whole?  A small fsck for tests. */
#ifndef FS_CHECK_H
#define FS_CHECK_H

#include "fs.h"

enum {
	FS_CHECK_FOREIGN = 1,	/* item types from 128 on are a test's own */
	FS_CHECK_ORPHANS = 2,	/* inodes without names are in use */
	FS_CHECK_ONE_COPY = 4,	/* one copy of a node is enough */
	FS_CHECK_WAS_FULL = 8,	/* in another mount: copies may be near */
};

/* Walk the tree as the medium has it, both copies of each node, past the
 * node cache, and compare all that can be known in two ways: references of
 * clusters with the bitmaps, these with the summaries and counters, links
 * with entries, and so on.  A read-write filesystem is synced first; nobody
 * else uses it meanwhile.  NULL: whole; else what is wrong, static. */
const char *fs_check(struct tfs *fs, unsigned int flags);

/* All nodes of the tree as the medium has it, parents first; malloced. */
struct tfs_miss;
size_t fs_nodes(struct tfs *fs, struct tfs_miss **out);

#endif
