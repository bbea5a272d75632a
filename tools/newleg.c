/* SPDX-License-Identifier: GPL-2.0-or-later */
/* newleg.c - see newleg.h.
 *
 *  (1) The others are mounted before the new one is touched, so that nothing is
 *      overwritten for a mirror that can't be used.
 *  (2) What the new one is given is only what makes it a leg; the next mount
 *      fills it. */
#include <errno.h>
#include <string.h>

#include "core/lock.h"
#include "mirror/mirror.h"
#include "newleg.h"
#include "target.h"

#define FENCE_MS	5000u

struct job {
	const struct newleg *how;
	struct target	target;
	struct eng_pool	*pool;
	struct eng_dev	*dev;		/* of the others */
	struct tfs	*fs;
};

int newleg_open(struct eng_dev **dev, struct tfs **fs, const struct legs *l,
		struct eng_pool *pool)
{
	const struct eng_open how = { .pool = pool };
	struct tfs_mount mount = { .commit = 0 };
	struct legs legs = *l;
	int err;

	legs.degraded = true;
	err = legs_open(dev, &legs, &how);
	if (err)
		return err;
	if (!eng_mirror_legs(*dev)) {
		say("%s is no leg of a mirror", l->path[0]);
		return 1;
	}
	if (eng_dev_geometry(*dev)->shared)
		mount.fence = FENCE_MS;
	err = tfs_open(fs, *dev, &mount);
	return err ? err : mount.rdonly ? -EROFS : 0;
}

/* As the others are protected, if it can be; else a container. */
static int look(const struct newleg *how, const struct target *t,
		const struct newleg_mirror *m, struct eng_probe *probe)
{
	struct eng_soft_geometry geo = { .intervals = 0 };
	int err = 0;

	*probe = (struct eng_probe){ .backend = "soft" };
	if (t->exists)
		err = eng_dev_probe(probe, how->path);
	if (err || (probe->profile &&
		    eng_profile_equal(probe->profile, m->profile)))
		return err;
	probe->profile = NULL;
	probe->backend = "soft";
	err = eng_soft_geometry(m->profile, t->size, &geo);
	if (!err && geo.intervals < m->intervals)
		err = -ENOSPC;
	if (err == -ENOSPC)
		say("%s is smaller than the mirror", how->path);
	return err;
}

int newleg_format(const struct newleg *how, struct target *t,
		  const struct newleg_mirror *m, const char **backend)
{
	struct eng_probe probe;
	int err = look(how, t, m, &probe);

	if (!err)
		err = target_prepare(t, how->keep);
	if (!err && !probe.profile)
		err = eng_soft_format(how->path, m->profile);
	*backend = probe.backend;
	return err;
}

/* Before anything is overwritten for it. */
static int has_place(const struct job *j)
{
	struct tfs_leg_info info;
	unsigned int n = 0, missing = 0;

	for (; tfs_legs_info(j->dev, n, &info); n++)
		missing += !info.name;
	if (!j->how->add && !missing)
		say("no leg of the mirror is missing");
	else if (j->how->add && missing)
		say("%u legs of the mirror are missing: replace one, or remove "
		    "it, or name all", missing);
	else if (j->how->add && n == LEGS_MAX)
		say("a mirror has at most %u legs", LEGS_MAX);
	else
		return 0;
	return 1;
}

static int make(struct job *j)
{
	const struct newleg_mirror mirror = {
		.profile = eng_dev_geometry(j->dev)->profile,
		.intervals = tfs_intervals(j->fs),
	};
	struct eng_open how = { .pool = j->pool };
	struct eng_dev *dev = NULL;
	int err = newleg_format(j->how, &j->target, &mirror, &how.backend);

	if (!err)
		err = eng_dev_open(&dev, j->how->path, &how);
	if (!err)
		err = tfs_legs_join(j->fs, dev, j->how->add);
	eng_dev_close(dev);
	return err;
}

/* (1), (2) */
static int run(struct job *j)
{
	int err = newleg_open(&j->dev, &j->fs, &j->how->others, j->pool);

	if (!err)
		err = has_place(j);
	if (!err)
		err = make(j);
	if (err)
		target_undo(&j->target);
	return err;
}

int newleg_target(const struct newleg *how, struct target *t)
{
	return target_look(t, how->path, how->size) ||
		target_check(t, how->force);
}

int newleg_make(const struct newleg *how, struct eng_pool *pool)
{
	struct job j = { .how = how, .pool = pool };
	struct legs all = how->others;
	int err, last;

	if (newleg_target(how, &j.target))
		return 1;
	if (legs_add(&all, how->path)) {
		say("a mirror has at most %u legs", LEGS_MAX);
		return 1;
	}
	if (legs_distinct(&all))
		return 1;
	err = run(&j);
	last = tfs_close(j.fs);
	eng_dev_close(j.dev);
	return err ? err : last;
}
