/* SPDX-License-Identifier: GPL-2.0-or-later */
/* medium.h - what there is beside tree and content: what the device keeps for
 * itself, superblocks, checkpoint slots, lists of a mirror's legs, the log.
 * Each copy is looked at.
 *
 * For a filesystem that is open, also beside others who use it. */
#ifndef TFS_MEDIUM_H
#define TFS_MEDIUM_H

#include "check/finding.h"
#include "core/dev.h"
#include "tfs.h"

/* The caller sets the first part. */
struct tfs_medium {
	struct tfs	*fs;
	bool		alone;		/* nobody else uses it, or is told
					 * that something is durable */
	bool		rewrite;	/* with alone: what the device keeps for
					 * itself and can't read, too */
	void		*arg;
	/* What is fixable is put right where the filesystem can be written: it
	 * is already, or the next flush or checkpoint does it. */
	void		(*found)(struct tfs_medium *m,
				 const struct tfs_finding *f);

	/* The result, so far. */
	bool		done;
	uint64_t	at, all;	/* how far */
	uint64_t	problems;

	/* medium.c's own */
	struct eng_audit audit;
	bool		audited, looked;
	uint64_t	pos;		/* in the log */
	uint8_t		*buf;
	size_t		buf_size;
	uint16_t	*tags;
};

/* 0 or -ENOMEM. */
int tfs_medium_begin(struct tfs_medium *m);
/* A few parts of what the device keeps for itself, which comes first. */
int tfs_medium_audit(struct tfs_medium *m);
/* A few of anything.  0, also where something is found, or why it can't go on. */
int tfs_medium_step(struct tfs_medium *m);
void tfs_medium_end(struct tfs_medium *m);

#endif
