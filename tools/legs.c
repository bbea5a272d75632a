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

/* Of those found, the ones in the mask. */
static int open_some(struct eng_dev **out, const struct legs *l,
		     unsigned int mask, const struct eng_open *how)
{
	struct tfs_legs_how legs = {
		.n = 0, .degraded = l->degraded, .pool = how->pool,
		.rdonly = how->flags & ENG_OPEN_RDONLY,
	};
	unsigned int named = l->n - l->found;
	int err = 0;

	*out = NULL;
	for (unsigned int i = 0; i < l->n && !err; i++) {
		if (i >= named && !(mask & 1u << (i - named)))
			continue;
		legs.name[legs.n] = l->path[i];
		err = eng_dev_open(&legs.leg[legs.n], l->path[i], how);
		legs.n += !err;
	}
	if (!err)
		err = tfs_legs_open(out, &legs);
	for (unsigned int i = 0; err && i < legs.n; i++)
		eng_dev_close(legs.leg[i]);
	return err;
}

static void say_left_out(const struct legs *l, unsigned int mask)
{
	for (unsigned int i = 0; i < l->found; i++)
		if (!(mask & 1u << i))
			eng_log(LOG_WARNING, "%s: it was found, and is not "
				"used", l->path[l->n - l->found + i]);
}

int legs_open(struct eng_dev **out, const struct legs *l,
	      const struct eng_open *how)
{
	unsigned int all = (1u << l->found) - 1;
	int first = open_some(out, l, all, how), err = first;

	for (unsigned int size = l->found; err && err != -ENOMEM && size--; )
		for (unsigned int mask = 0; mask < all && err; mask++) {
			if ((unsigned int)__builtin_popcount(mask) != size)
				continue;
			err = open_some(out, l, mask, how);
			if (!err)
				say_left_out(l, mask);
		}
	return err ? first : 0;
}
