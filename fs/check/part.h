/* SPDX-License-Identifier: GPL-2.0-or-later */
/* part.h - the content of a file of a filesystem in use, part by part, verified
 * from the medium. */
#ifndef TFS_PART_H
#define TFS_PART_H

#include "file/extent.h"

/* The caller sets the first part. */
struct tfs_part {
	struct tfs	*fs;
	uint32_t	ino;
	uint64_t	lc, end;	/* clusters of the file, yet to come */
	uint64_t	most;		/* at once */
	uint64_t	since;		/* only what was born later */

	struct tfs_extent ext;		/* len 0: none left */
	bool		pinned;		/* there, and to be looked at */
	unsigned int	ticket;
};

/* What is pinned stays where it is until tfs_part_done(), which is to be
 * called after each that was found.  0 or -errno. */
int tfs_part_next(struct tfs_part *p);
void tfs_part_done(struct tfs_part *p);

/* As a read of the file, with more flags; buf has room for all of ext.  0, or
 * -errno and the fault. */
int tfs_part_verify(struct tfs *fs, uint32_t ino, const struct tfs_extent *ext,
		    unsigned int flags, void *buf, struct eng_fault *fault);

#endif
