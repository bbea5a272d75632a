/* SPDX-License-Identifier: GPL-2.0-or-later */
/* logscan.h - what lies in the log: its sound clusters, and commits of them. */
#ifndef TFS_LOGSCAN_H
#define TFS_LOGSCAN_H

#include "mount/replay.h"

struct tfs_logscan {
	struct tfs	*fs;
	uint64_t	after;		/* commits up to this one are no matter */
	uint64_t	last;		/* that may follow it */
	uint64_t	*seq;		/* by position: a sound cluster's, or 0 */
	bool		*bad;		/* by position: damaged, or torn */
	uint64_t	durable, checkpoint, newest;	/* that any names */
	uint64_t	ahead;		/* the highest above last; 0: none */
	unsigned int	count;		/* of sound clusters up to last */
	unsigned int	leg;		/* of a mirror, that is asked */
};

/* Read the log: all of it, or, from this position on, a few places of it.
 * The caller has set fs, after and last; tfs_logscan_end() follows in any
 * case.  0 or -errno. */
int tfs_logscan(struct tfs_logscan *ls, uint64_t from, bool all);
void tfs_logscan_end(struct tfs_logscan *ls);

/* So many clusters of the commit at pos, read again; malloced into *out.
 * -ENOENT: they are not all there. */
int tfs_logscan_read(struct tfs_logscan *ls, uint64_t pos, uint32_t blocks,
		     uint8_t **out);
/* The commit that begins at pos, if it is that one, follows the one with that
 * hash, and is whole.  -ENOENT: it is not; -EUCLEAN: it is, and lies.  c->ops
 * is freed by the caller in any case. */
int tfs_logscan_commit(struct tfs_logscan *ls, uint64_t pos, uint64_t seq,
		       uint64_t prev, struct tfs_logged *c);

/* Clusters of the log from one leg of a mirror (0: whichever), without a word.
 * -ENOENT: never written; -EBADMSG and others: damaged, or unreadable. */
int tfs_log_read(struct tfs *fs, unsigned int leg, uint64_t pos, uint32_t n,
		 uint8_t *buf, uint16_t *tags);
/* The sequence of a sound cluster of the log, which was read at pos; 0: it is
 * none. */
uint64_t tfs_log_check(const struct tfs *fs, const uint8_t *buf,
		       const uint16_t *tags, uint64_t pos);

#endif
