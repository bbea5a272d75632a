/* SPDX-License-Identifier: GPL-2.0-or-later */
/* newleg.h - give a mirror a new leg, while it is not mounted. */
#ifndef TOOLS_NEWLEG_H
#define TOOLS_NEWLEG_H

#include "legs.h"

struct newleg {
	const char	*path;		/* the new one */
	uint64_t	size;		/* of a file; 0: as it is */
	bool		force, keep;	/* see target.h */
	bool		add;		/* one more; else in place of one that
					 * is not among the others */
	struct legs	others;
};

/* 0; -errno; or 1, which was said. */
int newleg_make(const struct newleg *how, struct eng_pool *pool);
/* Open the mirror of these legs, as far as they are here, for a change of
 * membership; both are to be closed in any case. */
int newleg_open(struct eng_dev **dev, struct tfs **fs, const struct legs *l,
		struct eng_pool *pool);

#endif
