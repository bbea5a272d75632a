/* SPDX-License-Identifier: GPL-2.0-or-later */
/* recover.h - from the checkpoint to what the log proves. */
#ifndef TFS_RECOVER_H
#define TFS_RECOVER_H

#include "commit/super.h"

/* Bring the tree from the checkpoint up to what the log proves, in memory.
 * odd: of the slots.  *how turns read-only if that may be older than what
 * was acknowledged.  *replayed: anything at all. */
int tfs_recover(struct tfs *fs, const struct tfs_slot *slot, unsigned int odd,
		struct tfs_mount *how, bool *replayed);

/* Where no checkpoint says where the log begins: the items of all commits above
 * that sequence, of which the tree may have some already.  What is in use must
 * be counted afterwards. */
int tfs_recover_blind(struct tfs *fs, uint64_t above);
/* The same, changing nothing: how far would it come?  0 or -ENOMEM. */
struct tfs_reach {
	uint64_t	first, last;	/* of the commits, 0: there is none */
	uint64_t	durable;	/* the newest that must be there */
};
int tfs_recover_reach(struct tfs *fs, uint64_t above, struct tfs_reach *out);

#endif
