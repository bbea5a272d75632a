/* SPDX-License-Identifier: GPL-2.0-or-later */
/* recover.h - from the checkpoint to what the log proves. */
#ifndef TFS_RECOVER_H
#define TFS_RECOVER_H

#include "commit/super.h"

/* Bring the tree from the checkpoint up to what the log proves, in memory.
 * *how turns read-only if the log is damaged.  *replayed: anything at all. */
int tfs_recover(struct tfs *fs, const struct tfs_slot *slot, bool lost,
		struct tfs_mount *how, bool *replayed);

#endif
