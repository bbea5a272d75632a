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

#endif
