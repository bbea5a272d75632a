/* SPDX-License-Identifier: GPL-2.0-or-later */
/* legs_set.c - which legs a mirror is of: the first ones, and later others.
 *
 *  (1) A change of the list is the next list, as when a leg is lost; an
 *      interrupted one is on some legs, and a mount goes on with it.
 *  (2) Who joins has the new list before anybody else, and is behind in it,
 *      with everything missing.  Until the others call it one of them, it is
 *      none, and it can't be mounted by itself.
 *  (3) Who leaves is not here, so that nothing of it is written meanwhile.  It
 *      is in no list any more, and nobody takes it for a leg.
 *  (4) Beneath a mount who joins is written by everybody before the others
 *      have the list.  What was begun before is in the tree after a checkpoint,
 *      where a resilver that begins then finds it.
 *  (5) Beneath a mount who leaves is left behind first, and knows it: it can't
 *      be mounted by itself afterwards, wherever a cut came.
 *  (6) No resilver runs meanwhile: it would call a leg complete that joined
 *      behind its back.
 *  (7) Beneath a mount a leg that failed keeps its place, with a device that
 *      may be dead, until it comes back with another one.  The others know by
 *      then that it was left behind, and with which list. */
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/cluster.h"
#include "base/state.h"
#include "commit/ckpt.h"
#include "commit/super.h"
#include "mount/legs_priv.h"

uint64_t tfs_intervals(const struct tfs *fs)
{
	return fs->super.clusters * fs->ipc;
}

/* It will have the same superblock, and is of the same format. */
static void take_after(struct tfs *at, const struct tfs *fs)
{
	at->super = fs->super;
	at->key = fs->key;
	at->csize = fs->csize;
	at->ipc = fs->ipc;
	eng_dev_set_tags(at->dev, fs->geo->profile->tags);
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
static void close_up(struct tfs_legs *ls, unsigned int m)
{
	struct tfs_leg_list *l = &ls->list;

	l->n--;
	memmove(&l->member[m], &l->member[m + 1],
		(l->n - m) * sizeof(l->member[0]));
	memset(&l->member[l->n], 0, sizeof(l->member[0]));
	for (unsigned int i = 0; i < ls->n; i++)
		ls->leg[i].member -= ls->leg[i].at && ls->leg[i].member > m;
}

static int leave_locked(struct tfs_legs *ls, unsigned int m)
{
	int err = tfs_legs_next(ls, 0);

	if (err)
		return err;
	close_up(ls, m);
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

/* ---- a filesystem that is mounted --------------------------------------- */

/* Who changes legs holds both; NULL: nothing may be changed. */
static struct tfs_legs *lock_live(struct tfs *fs, int *err)
{
	struct tfs_legs *ls = fs->legs;

	*err = ls ? 0 : -ENOTBLK;
	if (!ls)
		return NULL;
	pthread_mutex_lock(&fs->remount);
	if (tfs_rdonly(fs)) {
		pthread_mutex_unlock(&fs->remount);
		*err = -EROFS;
		return NULL;
	}
	pthread_mutex_lock(&ls->lock);
	return ls;
}

static void unlock_live(struct tfs_legs *ls)
{
	pthread_mutex_unlock(&ls->lock);
	pthread_mutex_unlock(&ls->fs->remount);
}

/* From now on everybody writes to it.  at is the place's own then. */
static int take_place(struct tfs_legs *ls, struct tfs *at, const char *name,
		      struct tfs_leg **out)
{
	unsigned int i;
	int err = eng_mirror_join(ls->dev, at->dev, name, &i);

	if (err)
		return err;
	ls->leg[i] = (struct tfs_leg){
		.at = at, .name = eng_mirror_name(ls->dev, i),
		.member = TFS_LEGS_MAX,
	};
	if (i == ls->n)
		ls->n++;
	*out = &ls->leg[i];
	return 0;
}

/* A leg's place is empty from here on; its device is to be had back when the
 * lock is not held any more. */
static struct tfs *leave_place(struct tfs_leg *leg)
{
	struct tfs *at = leg->at;

	*leg = (struct tfs_leg){ .member = TFS_LEGS_MAX };
	return at;
}

/* (2), (4)  A member that is not here, or one more. */
static int fill_place(struct tfs_legs *ls, struct tfs_leg *leg, unsigned int m)
{
	struct tfs_leg_list old = ls->list;
	uint64_t settled = atomic_load(&ls->fs->settled);
	uint8_t uuid[16];
	int err = getrandom(uuid, 16, 0) == 16 ? 0 : -EIO;

	if (!err)
		err = tfs_legs_next(ls, settled);
	if (!err) {
		new_member(ls, uuid, m);
		leg->member = m;
		err = tfs_super_write(leg->at, 1);
	}
	if (!err)
		err = tfs_legs_write(ls, leg);
	if (err) {
		ls->list = old;		/* nobody else has heard of it */
		return err;
	}
	return tfs_legs_tell(ls, settled);
}

/* One that was left behind. */
static int find_behind(struct tfs_legs *ls, struct tfs *at, const char *name,
		       struct tfs_leg_list *own, unsigned int *m)
{
	const struct tfs *first = ls->fs;
	int err = tfs_super_peek(at, 0);

	if (err)
		err = tfs_super_peek(at, first->super.clusters);
	if (err)
		return err == -EMEDIUMTYPE || err == -EUCLEAN ? -ENOENT : err;
	if (!(at->super.incompat & TFS_INCOMPAT_MIRROR) ||
	    memcmp(at->super.nonce, first->super.nonce, TFS_NONCE))
		return -ENOENT;
	err = tfs_legs_read(at, name, own);
	if (err)
		return err;
	for (*m = 0; *m < ls->list.n; ++*m)
		if (!memcmp(ls->list.member[*m].uuid,
			    own->member[own->self].uuid, 16))
			break;
	if (*m == ls->list.n)
		return -ENOENT;
	if (!tfs_legs_lost(ls, tfs_legs_of(ls, *m)))
		return -ENOTUNIQ;
	return ls->list.member[*m].state == TFS_LEG_BEHIND &&
		tfs_legs_belongs(ls, *m, own) ? 0 : -ESTALE;
}

/* It is behind since it left, as in the list that it gets now. */
static int return_to_place(struct tfs_legs *ls, struct tfs_leg *leg,
			   unsigned int m, const struct tfs_leg_list *own)
{
	uint64_t settled = atomic_load(&ls->fs->settled);

	leg->member = m;
	leg->id = leg->tried = own->id;
	return tfs_super_write(leg->at, 1) ?: tfs_legs_change(ls, settled);
}

static int join_live(struct tfs_legs *ls, struct tfs *at, const char *name,
		     enum tfs_legs_as as, struct tfs_leg **leg)
{
	struct tfs_leg_list own;
	unsigned int m = first_missing(ls);
	int err = 0;

	if (as == TFS_LEGS_RETURN)
		err = find_behind(ls, at, name, &own, &m);
	if (err)
		return err;
	take_after(at, ls->fs);
	err = as == TFS_LEGS_RETURN ? 0 :
		may_join(ls->fs, at, m, as == TFS_LEGS_ADD);
	if (!err)
		err = take_place(ls, at, name, leg);
	if (err)
		return err;
	return as == TFS_LEGS_RETURN ? return_to_place(ls, *leg, m, &own) :
		fill_place(ls, *leg, m);
}

/* (7)  The place of a leg that is to come back is empty. */
static int part_failed(struct tfs *fs, struct tfs *at, const char *name)
{
	struct tfs_leg_list own;
	struct tfs *old = NULL;
	struct tfs_leg *leg = NULL;
	unsigned int m, i = 0;
	struct tfs_legs *ls;
	int err = eng_dev_flush(fs->dev);

	if (err)
		return err;
	ls = lock_live(fs, &err);
	if (!ls)
		return err;
	err = find_behind(ls, at, name, &own, &m);
	if (!err)
		leg = tfs_legs_of(ls, m);
	if (leg) {
		i = (unsigned int)(leg - ls->leg);
		old = leave_place(leg);
	}
	unlock_live(ls);
	if (leg)
		eng_dev_close(eng_mirror_part(ls->dev, i));
	free(old);
	return err;
}

int tfs_legs_join_live(struct tfs *fs, struct eng_dev *dev, const char *name,
		       enum tfs_legs_as as)
{
	struct tfs *at = tfs_legs_at(dev);
	struct tfs_leg *leg = NULL;
	struct tfs_legs *ls;
	unsigned int i = 0;
	int err = at ? 0 : -ENOMEM;

	if (!err && as == TFS_LEGS_RETURN)
		err = part_failed(fs, at, name);
	ls = err ? NULL : lock_live(fs, &err);
	if (!ls) {
		free(at);
		return err;
	}
	err = join_live(ls, at, name, as, &leg);
	if (err && leg) {
		i = (unsigned int)(leg - ls->leg);
		leave_place(leg);
		eng_mirror_drop(ls->dev, i);
	}
	unlock_live(ls);
	if (err && leg)
		eng_mirror_part(ls->dev, i);
	if (err)
		free(at);
	else
		tfs_ckpt_force(fs, false);	/* (4); or no resilver begins */
	return err;
}

/* Somebody else has everything, and is here. */
static bool can_go(struct tfs_legs *ls, unsigned int m)
{
	for (unsigned int i = 0; i < ls->list.n; i++)
		if (i != m && ls->list.member[i].state == TFS_LEG_CURRENT &&
		    !tfs_legs_lost(ls, tfs_legs_of(ls, i)))
			return true;
	return false;
}

/* (5)  The others may fail meanwhile. */
static int leave_behind(struct tfs_legs *ls, unsigned int m,
			struct tfs_leg *leg)
{
	uint64_t settled = atomic_load(&ls->fs->settled);
	struct tfs_member *member = &ls->list.member[m], old = *member;
	int err;

	if (member->state == TFS_LEG_CURRENT) {
		member->state = TFS_LEG_BEHIND;
		member->left = settled;
		err = tfs_legs_change(ls, settled);
		if (err)
			return err;
	}
	if (eng_mirror_drop(ls->dev, (unsigned int)(leg - ls->leg)))
		return 0;
	*member = old;
	return tfs_legs_change(ls, settled) ?: -EBUSY;
}

/* It is none, and those behind it move up. */
static int strike(struct tfs_legs *ls, unsigned int m)
{
	uint64_t settled = atomic_load(&ls->fs->settled);
	int err = tfs_legs_next(ls, settled);

	if (err)
		return err;
	close_up(ls, m);
	return tfs_legs_tell(ls, settled);
}

static int leave_live(struct tfs_legs *ls, unsigned int m, struct tfs **at,
		      unsigned int *place)
{
	struct tfs_leg *leg = tfs_legs_of(ls, m);
	int err = 0;

	if (m >= ls->list.n)
		return -ENOENT;
	if (!can_go(ls, m))
		return -EBUSY;
	if (leg && !tfs_legs_lost(ls, leg))
		err = leave_behind(ls, m, leg);
	if (err)
		return err;
	if (leg) {
		*place = (unsigned int)(leg - ls->leg);
		*at = leave_place(leg);
	}
	return strike(ls, m);
}

int tfs_legs_leave_live(struct tfs *fs, unsigned int leg)
{
	struct tfs *at = NULL;
	unsigned int place = 0;
	struct tfs_legs *ls;
	int err;

	ls = lock_live(fs, &err);
	if (!ls)
		return err;
	err = leave_live(ls, leg, &at, &place);
	unlock_live(ls);
	if (at) {
		eng_dev_close(eng_mirror_part(ls->dev, place));
		free(at);
	}
	return err;
}
