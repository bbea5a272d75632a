/* SPDX-License-Identifier: GPL-2.0-or-later */
/* legs.h - open what one filesystem is on: a device, or the legs of a
 * mirror. */
#ifndef TOOLS_LEGS_H
#define TOOLS_LEGS_H

#include "fs.h"

#define LEGS_MAX	4u

/* The paths of the others of a mirror, as given. */
struct legs {
	const char	*path[LEGS_MAX];	/* the first is the device */
	unsigned int	n;
	unsigned int	found;		/* the last ones: nobody has named
					 * them, and they may not belong */
	bool		degraded;		/* without some is fine */
};

/* -ENOSPC: no more of them. */
int legs_add(struct legs *l, const char *path);
/* No two of those that exist are the same storage, by whatever names.  -errno:
 * two are, or one is in use; a line went to the log. */
int legs_distinct(const struct legs *l);
/* As eng_dev_open() of all, and tfs_legs_open().  What was only found is left
 * out where the others are complete, or may be incomplete, without it. */
int legs_open(struct eng_dev **out, const struct legs *l,
	      const struct eng_open *how);

#endif
