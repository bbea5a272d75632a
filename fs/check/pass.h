/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pass.h - one look at each cluster of the medium. */
#ifndef TFS_PASS_H
#define TFS_PASS_H

#include "tfs.h"

struct tfs_pass {
	struct tfs	*fs;
	void		*arg;
	/* A cluster whose guards and reference tags verify.  Not 0: stop. */
	int		(*see)(struct tfs_pass *p, uint64_t addr, uint8_t *data,
			       const uint16_t *tags);
	/* 0 to 1000.  False: stop, with -EINTR.  May be NULL. */
	bool		(*progress)(struct tfs_pass *p, unsigned int done);
	/* The result. */
	uint64_t	unreadable;
	unsigned int	done;		/* 0 to 1000, also after an error */
};

int tfs_pass_run(struct tfs_pass *p);
/* Has it the magic and the checksum of a node, or of the log? */
bool tfs_cluster_is_sound(const struct tfs *fs, const uint8_t *data);

#endif
