/* SPDX-License-Identifier: GPL-2.0-or-later */
/* legs_set.c - which legs a mirror is of: the first ones, and later others.
 *
 *  (1) A change of the list is the next list, as when a leg is lost; an
 *      interrupted one is on some legs, and a mount goes on with it.
 *  (2) Who joins has the new list before anybody else, and is behind in it,
 *      with everything missing.  Until the others call it one of them, it is
 *      none, and it can't be mounted by itself.
 *  (3) Who leaves is not here, so that nothing of it is written meanwhile.  It
 *      is in no list any more, and nobody takes it for a leg. */
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/cluster.h"
#include "commit/super.h"
#include "mount/legs_priv.h"

uint64_t tfs_intervals(const struct tfs *fs)
{
	return fs->super.clusters * fs->ipc;
}

/* It will have the same superblock. */
static void take_after(struct tfs *at, const struct tfs *fs)
{
	at->super = fs->super;
	at->key = fs->key;
	at->csize = fs->csize;
	at->ipc = fs->ipc;
}

/* ---- a new filesystem --------------------------------------------------- */

static int name_members(struct tfs_legs *ls, const struct tfs *fs)
{
	int err = 0;

	ls->list = (struct tfs_leg_list){ .generation = 1, .n = ls->n };
	for (unsigned int i = 0; i < ls->n && !err; i++) {
		struct tfs_member *m = &ls->list.member[i];

		take_after(ls->leg[i].at, fs);
		ls->leg[i].member = i;
		m->state = TFS_LEG_CURRENT;
		if (getrandom(m->uuid, 16, 0) != 16)
			err = -EIO;
	}
	return err ? err : tfs_legs_new_id(&ls->list.id);
}

int tfs_legs_format(struct tfs *fs)
{
	struct eng_dev *dev[TFS_LEGS_MAX];
	const char *name[TFS_LEGS_MAX];
	unsigned int n = eng_mirror_legs(fs->dev);
	struct tfs_legs *ls;
	int err;

	if (!n)
		return 0;
	for (unsigned int i = 0; i < n; i++) {
		dev[i] = eng_mirror_leg(fs->dev, i);
		name[i] = eng_mirror_name(fs->dev, i);
	}
	ls = tfs_legs_new(n, dev, name);
	if (!ls)
		return -ENOMEM;
	err = name_members(ls, fs);
	for (unsigned int i = 0; i < n && !err; i++)
		err = tfs_legs_write(ls, &ls->leg[i]);
	if (err)
		tfs_legs_free(ls);
	else
		tfs_legs_own(ls, fs->dev);
	return err;
}

/* ---- a filesystem that is in use --------------------------------------- */

/* The whole of it is missing (2). */
static void new_member(struct tfs_legs *ls, const uint8_t uuid[16],
		       unsigned int m)
{
	ls->list.member[m] = (struct tfs_member){
		.state = TFS_LEG_BEHIND, .id = { ls->list.id, ls->list.id },
	};
	memcpy(ls->list.member[m].uuid, uuid, 16);
	if (m == ls->list.n)
		ls->list.n++;
}

/* (1)  All that are left of those that are here. */
static int tell(struct tfs_legs *ls)
{
	int err = 0;

	for (unsigned int i = 0; i < ls->n && !err; i++)
		if (!tfs_legs_lost(ls, &ls->leg[i]))
			err = tfs_legs_write(ls, &ls->leg[i]);
	return err;
}

/* (2) */
static int join_locked(struct tfs_legs *ls, struct tfs *at, unsigned int m)
{
	struct tfs_leg leg = { .at = at, .name = "new", .member = m };
	uint8_t uuid[16];
	int err = getrandom(uuid, 16, 0) == 16 ? 0 : -EIO;

	if (!err)
		err = tfs_legs_next(ls, 0);
	if (err)
		return err;
	new_member(ls, uuid, m);
	err = tfs_super_write(at, 1);
	if (!err)
		err = tfs_legs_write(ls, &leg);
	return err ? err : tell(ls);
}

static unsigned int first_missing(struct tfs_legs *ls)
{
	unsigned int m = 0;

	while (m < ls->list.n && tfs_legs_of(ls, m))
		m++;
	return m;
}

static int may_join(struct tfs *fs, const struct tfs *at, unsigned int m,
		    bool add)
{
	unsigned int n = fs->legs->list.n;

	if (at->geo->intervals < tfs_intervals(fs))
		return -ENOSPC;
	if (!eng_profile_equal(at->geo->profile, fs->geo->profile))
		return -EINVAL;
	if (!add)
		return m < n ? 0 : -ENOENT;
	return m < n ? -ENODEV : n == TFS_LEGS_MAX ? -EMLINK : 0;
}

int tfs_legs_join(struct tfs *fs, struct eng_dev *dev, bool add)
{
	struct tfs_legs *ls = fs->legs;
	struct tfs *at = ls ? tfs_legs_at(dev) : NULL;
	unsigned int m;
	int err;

	if (!at)
		return ls ? -ENOMEM : -ENOENT;
	take_after(at, fs);
	pthread_mutex_lock(&ls->lock);
	m = first_missing(ls);
	err = may_join(fs, at, m, add);
	if (!err)
		err = join_locked(ls, at, m);
	pthread_mutex_unlock(&ls->lock);
	free(at);
	return err;
}

/* Those behind it move up. */
static int leave_locked(struct tfs_legs *ls, unsigned int m)
{
	struct tfs_leg_list *l = &ls->list;
	int err = tfs_legs_next(ls, 0);

	if (err)
		return err;
	l->n--;
	memmove(&l->member[m], &l->member[m + 1],
		(l->n - m) * sizeof(l->member[0]));
	memset(&l->member[l->n], 0, sizeof(l->member[0]));
	for (unsigned int i = 0; i < ls->n; i++)
		ls->leg[i].member -= ls->leg[i].member > m;
	return tell(ls);
}

int tfs_legs_leave(struct tfs *fs, unsigned int leg)
{
	struct tfs_legs *ls = fs->legs;
	int err;

	if (!ls)
		return -ENOENT;
	pthread_mutex_lock(&ls->lock);
	if (leg >= ls->list.n)
		err = -ENOENT;
	else
		err = tfs_legs_of(ls, leg) ? -EBUSY : leave_locked(ls, leg);
	pthread_mutex_unlock(&ls->lock);
	return err;
}
