/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mirror.c - see mirror.h. */
#include <errno.h>
#include <string.h>

#include "core/lock.h"
#include "mirror/mirror.h"
#include "legs.h"
#include "mirror.h"

int mirror_check(const struct mirror_leg *leg, unsigned int n)
{
	struct eng_lock *lock[MIRROR_LEGS];
	unsigned int held = 0;
	char why[512];
	int err = 0;

	for (unsigned int i = 0; i < n && !err; i++) {
		if (!leg[i].target.exists)
			continue;
		err = eng_lock_get(&lock[held], leg[i].path, 0, why,
				   sizeof(why));
		if (err)
			say("%s: %s; two legs of a mirror are not the same "
			    "storage", leg[i].path, why);
		else
			held++;
	}
	while (held)
		eng_lock_put(lock[--held]);
	return err;
}

int mirror_open(struct eng_dev **out, const struct mirror_leg *leg,
		unsigned int n, struct eng_pool *pool)
{
	struct eng_mirror_how how = { .n = 0, .pool = pool };
	int err = 0;

	*out = NULL;
	for (; how.n < n && !err; how.n += !err) {
		struct eng_open one = { .pool = pool,
					.backend = leg[how.n].probe.backend };

		how.name[how.n] = leg[how.n].path;
		err = eng_dev_open(&how.leg[how.n], leg[how.n].path, &one);
	}
	if (!err)
		err = eng_mirror_create(out, &how);
	for (unsigned int i = 0; err && i < how.n; i++)
		eng_dev_close(how.leg[i]);
	return err;
}

/* ---- a new leg ---------------------------------------------------------- */

#define FENCE_MS	5000u

static int open_rest(struct eng_dev **dev, struct tfs **fs,
		     const struct mirror_leg *leg, unsigned int n,
		     struct eng_pool *pool)
{
	const struct eng_open how = { .pool = pool };
	struct legs legs = { .degraded = true };
	struct tfs_mount mount = { .commit = 0 };
	int err;

	for (unsigned int i = 1; i < n; i++)
		legs_add(&legs, leg[i].path);
	err = legs_open(dev, &legs, &how);
	if (err)
		return err;
	if (eng_dev_geometry(*dev)->shared)
		mount.fence = FENCE_MS;
	err = tfs_open(fs, *dev, &mount);
	return err ? err : mount.rdonly ? -EROFS : 0;
}

/* As the others are protected, if it can be; else a container. */
static int look_new(struct mirror_leg *leg, const struct eng_profile *p,
		    uint64_t intervals)
{
	struct eng_soft_geometry geo = { .intervals = 0 };
	int err = 0;

	leg->probe = (struct eng_probe){ .backend = "soft" };
	if (leg->target.exists)
		err = eng_dev_probe(&leg->probe, leg->path);
	if (err || (leg->probe.profile &&
		    eng_profile_equal(leg->probe.profile, p)))
		return err;
	leg->probe.profile = NULL;
	leg->probe.backend = "soft";
	err = eng_soft_geometry(p, leg->target.size, &geo);
	if (!err && geo.intervals < intervals)
		err = -ENOSPC;
	if (err == -ENOSPC)
		say("%s is smaller than the mirror", leg->path);
	return err;
}

static int make_leg(struct mirror_leg *leg, struct tfs *fs,
		    const struct eng_profile *p, bool keep,
		    struct eng_pool *pool)
{
	struct eng_open how = { .pool = pool, .backend = leg->probe.backend };
	struct eng_dev *dev = NULL;
	int err = target_prepare(&leg->target, keep);

	if (!err && !leg->probe.profile)
		err = eng_soft_format(leg->path, p);
	if (!err)
		err = eng_dev_open(&dev, leg->path, &how);
	if (!err)
		err = tfs_legs_replace(fs, dev);
	eng_dev_close(dev);
	if (err == -ENOENT)
		say("no leg of the mirror is missing");
	return err;
}

int mirror_replace(struct mirror_leg *leg, unsigned int n, bool force,
		   bool keep, struct eng_pool *pool)
{
	const struct eng_profile *p;
	struct eng_dev *dev = NULL;
	struct tfs *fs = NULL;
	int err = target_check(&leg->target, force), last;

	if (err || mirror_check(leg, n))
		return 1;
	err = open_rest(&dev, &fs, leg, n, pool);
	if (!err && !eng_mirror_legs(dev)) {
		say("%s is no leg of a mirror", leg[1].path);
		err = 1;
	}
	if (!err) {
		p = eng_dev_geometry(dev)->profile;
		err = look_new(leg, p, tfs_intervals(fs));
		if (!err)
			err = make_leg(leg, fs, p, keep, pool);
		if (err)
			target_undo(&leg->target);
	}
	last = tfs_close(fs);
	eng_dev_close(dev);
	return err ? err : last;
}
