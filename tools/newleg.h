/* SPDX-License-Identifier: GPL-2.0-or-later */
/* newleg.h - give a mirror a new leg: all of it while it is not mounted, and
 * what comes before that where it is. */
#ifndef TOOLS_NEWLEG_H
#define TOOLS_NEWLEG_H

#include "legs.h"
#include "target.h"

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
/* What a leg has to be like. */
struct newleg_mirror {
	const struct eng_profile *profile;
	uint64_t	intervals;	/* at least */
};

/* It may be overwritten; else 1, which was said.  Nothing is changed. */
int newleg_target(const struct newleg *how, struct target *t);
/* Then it can be opened with that backend and joined: 0 or -errno. */
int newleg_format(const struct newleg *how, struct target *t,
		  const struct newleg_mirror *m, const char **backend);
/* Open the mirror of these legs, as far as they are here, for a change of
 * membership; both are to be closed in any case. */
int newleg_open(struct eng_dev **dev, struct tfs **fs, const struct legs *l,
		struct eng_pool *pool);

#endif
