/* SPDX-License-Identifier: GPL-2.0-or-later */
/* place.h - our mount in the namespace, told apart from all others. */
#ifndef TAGFS_PLACE_H
#define TAGFS_PLACE_H

#include "mounts.h"

struct place {
	struct mounts_id id;		/* zeros: not known, not mounted */
};

/* What has just been mounted on point.  -ESTALE: something else is there
 * already. */
int place_learn(struct place *pl, const char *point);
/* Have it answer a request.  0 or -errno. */
int place_ask(const struct place *pl);
/* Its root for reading, or -errno: -ENOENT it is not in this namespace any
 * more, -EBUSY something is mounted over it. */
int place_open(const struct place *pl);
/* Take it out of the namespace, also if it is in use.  0 also if it was not
 * there; -EBUSY: others are mounted on it and would go with it. */
int place_detach(const struct place *pl);

#endif
