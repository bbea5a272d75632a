/* SPDX-License-Identifier: GPL-2.0-or-later */
/* legs.c - see legs.h. */
#include <errno.h>

#include "legs.h"

int legs_add(struct legs *l, const char *path)
{
	if (l->n == LEGS_MAX)
		return -ENOSPC;
	l->path[l->n++] = path;
	return 0;
}

int legs_open(struct eng_dev **out, const struct legs *l,
	      const struct eng_open *how)
{
	struct tfs_legs_how legs = {
		.n = 0, .degraded = l->degraded, .pool = how->pool,
		.rdonly = how->flags & ENG_OPEN_RDONLY,
	};
	int err = 0;

	*out = NULL;
	for (; legs.n < l->n && !err; legs.n += !err) {
		legs.name[legs.n] = l->path[legs.n];
		err = eng_dev_open(&legs.leg[legs.n], l->path[legs.n], how);
	}
	if (!err)
		err = tfs_legs_open(out, &legs);
	for (unsigned int i = 0; err && i < legs.n; i++)
		eng_dev_close(legs.leg[i]);
	return err;
}
