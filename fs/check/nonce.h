/* SPDX-License-Identifier: GPL-2.0-or-later */
/* nonce.h - whose filesystem it is, where no superblock says so. */
#ifndef TFS_NONCE_H
#define TFS_NONCE_H

#include "tfs.h"

#define TFS_VOTES	8u

/* How many nodes and clusters of the log name a nonce. */
struct tfs_votes {
	struct tfs_vote {
		uint8_t	nonce[TFS_NONCE];
		uint64_t n;
	}		at[TFS_VOTES];
	unsigned int	n;
};

/* Count one; where there is no room for another nonce, nothing. */
void tfs_vote(struct tfs_votes *v, const uint8_t nonce[TFS_NONCE]);
/* The one with most, but for `not` (may be NULL); NULL: there is none. */
const struct tfs_vote *tfs_votes_most(const struct tfs_votes *v,
				      const uint8_t *not);
/* Who says it. */
enum tfs_nonce_at {
	TFS_NONCE_SLOTS,
	TFS_NONCE_LOG,
	TFS_NONCE_NODES,	/* the first that lie there: this is not sure */
};
/* -EMEDIUMTYPE: nothing of a tagfs is there. */
int tfs_nonce_find(struct tfs *fs, uint8_t nonce[TFS_NONCE],
		   enum tfs_nonce_at *at);
/* How many tags an interval has, where no superblock says it: look() is asked of
 * each number, and the last one is the answer.  It returns what tfs_nonce_find()
 * did, or -EMEDIUMTYPE where there can't be so many. */
int tfs_nonce_tags(int (*look)(void *arg, unsigned int tags,
			       enum tfs_nonce_at *at), void *arg);
/* 32 hexadecimal digits. */
void tfs_nonce_text(const uint8_t nonce[TFS_NONCE], char out[33]);

#endif
