/* SPDX-License-Identifier: GPL-2.0-or-later */
/* replay.h - one commit of the log, made again. */
#ifndef TFS_REPLAY_H
#define TFS_REPLAY_H

#include "commit/log.h"
#include "file/extent.h"

/* A commit as the log has it; its operations are checked. */
struct tfs_logged {
	uint64_t	seq, prev, hash, checkpoint, durable, proof;
	uint64_t	inodes, reserved;
	uint32_t	next_ino, blocks;
	uint8_t		*ops;		/* malloced */
	size_t		bytes;
};

struct tfs_logged_op {
	struct tfs_key	key;
	bool		del;
	uint8_t		value[TFS_VALUE_MAX];
	unsigned int	len;
};

/* The operation at *at, and on to the next; false: that was the last. */
bool tfs_logged_next(const struct tfs_logged *c, size_t *at,
		     struct tfs_logged_op *op);
int tfs_logged_extent(struct tfs *fs, const struct tfs_logged_op *op,
		      struct tfs_extent *out);

/* Make its changes in memory.  The clusters that were born in it are taken
 * already. */
int tfs_replay(struct tfs *fs, const struct tfs_logged *c);
/* The same of items alone: nothing is freed, and no counter set. */
int tfs_replay_items(struct tfs *fs, const struct tfs_logged *c);
/* The clusters are in use, though the checkpoint has them free. */
int tfs_claim(struct tfs *fs, uint64_t addr, uint64_t len);

#endif
