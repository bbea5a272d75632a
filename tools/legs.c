/* SPDX-License-Identifier: GPL-2.0-or-later */
/* legs.c - see legs.h. */
#include <errno.h>
#include <syslog.h>
#include <unistd.h>

#include "core/lock.h"
#include "legs.h"

int legs_add(struct legs *l, const char *path)
{
	if (l->n == LEGS_MAX)
		return -ENOSPC;
	l->path[l->n++] = path;
	return 0;
}

int legs_distinct(const struct legs *l)
{
	struct eng_lock *lock[LEGS_MAX];
	unsigned int held = 0;
	char why[512];
	int err = 0;

	for (unsigned int i = 0; i < l->n && !err; i++) {
		if (access(l->path[i], F_OK))
			continue;
		err = eng_lock_get(&lock[held], l->path[i], 0, why,
				   sizeof(why));
		if (err)
			eng_log(LOG_ERR, "%s: %s; two legs of a mirror are not "
				"the same storage", l->path[i], why);
		else
			held++;
	}
	while (held)
		eng_lock_put(lock[--held]);
	return err;
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
