/* SPDX-License-Identifier: GPL-2.0-or-later */
/* legs_open.c - a mirror from the legs that are named: do they belong together?
 *
 *  (1) The newest list in which its own leg has everything is the truth.  A
 *      leg that it calls current has that list, or the one before: the change
 *      was interrupted.  One that it calls behind has a list that it is known
 *      to have had.  Any other list was made by a mount without the rest: the
 *      two went apart, and neither is taken for the other's past. */
#include <stdlib.h>
#include <string.h>

#include "base/fence.h"
#include "commit/super.h"
#include "mount/legs_priv.h"

typedef unsigned long long ull;

/* A leg may be larger than the mirror, so its last superblock is found through
 * its first; where that is bad, another leg knows. */
static int peek(struct tfs_legs *ls, unsigned int i)
{
	int err = tfs_super_peek(ls->leg[i].at, 0);

	for (unsigned int k = 0; k < ls->n && err && err != -ENOMEM; k++) {
		struct tfs *other = ls->leg[k].at;

		if (k != i && !tfs_super_peek(other, 0))
			err = tfs_super_peek(ls->leg[i].at,
					     other->super.clusters);
	}
	return err;
}

static int look(struct tfs_legs *ls, struct tfs_leg_list *list)
{
	const struct tfs *first = ls->leg[0].at;

	for (unsigned int i = 0; i < ls->n; i++) {
		struct tfs *at = ls->leg[i].at;
		int err = peek(ls, i);

		if (err) {
			eng_log(LOG_ERR, "%s: no superblock of a tagfs that "
				"could be used; go on without it, or if no leg "
				"has one, name one alone", ls->leg[i].name);
			return err;
		}
		if (!(at->super.incompat & TFS_INCOMPAT_MIRROR)) {
			eng_log(LOG_ERR, "%s is not a leg of a mirror",
				ls->leg[i].name);
			return -EINVAL;
		}
		/* A UUID can be changed, which may be interrupted. */
		if (memcmp(at->super.nonce, first->super.nonce, TFS_NONCE)) {
			eng_log(LOG_ERR, "%s and %s are legs of different "
				"mirrors", ls->leg[0].name, ls->leg[i].name);
			return -EINVAL;
		}
		err = tfs_legs_read(at, ls->leg[i].name, &list[i]);
		if (err)
			return err;
		ls->leg[i].id = ls->leg[i].tried = list[i].id;
	}
	return 0;
}

/* (1) */
static int choose_list(struct tfs_legs *ls, const struct tfs_leg_list *list)
{
	const struct tfs_leg_list *best = NULL;

	for (unsigned int i = 0; i < ls->n; i++)
		if (list[i].member[list[i].self].state == TFS_LEG_CURRENT &&
		    (!best || list[i].generation > best->generation))
			best = &list[i];
	if (!best) {
		eng_log(LOG_ERR, "%s: this leg of the mirror was left behind, "
			"at commit %llu; one that has everything is needed",
			ls->leg[0].name,
			(ull)list[0].member[list[0].self].left);
		return -ESTALE;
	}
	ls->list = *best;
	return 0;
}

static int find_member(struct tfs_legs *ls, unsigned int i,
		       const uint8_t uuid[16])
{
	unsigned int m = 0;

	while (m < ls->list.n && memcmp(ls->list.member[m].uuid, uuid, 16))
		m++;
	if (m == ls->list.n) {
		eng_log(LOG_ERR, "%s was replaced, and is no leg of this "
			"mirror any more", ls->leg[i].name);
		return -ESTALE;
	}
	for (unsigned int k = 0; k < i; k++)
		if (ls->leg[k].member == m) {
			eng_log(LOG_ERR, "%s and %s are the same leg of the "
				"mirror: one is a copy", ls->leg[k].name,
				ls->leg[i].name);
			return -ENOTUNIQ;
		}
	ls->leg[i].member = m;
	return 0;
}

/* (1) */
bool tfs_legs_belongs(const struct tfs_legs *ls, unsigned int member,
		      const struct tfs_leg_list *own)
{
	const struct tfs_member *m = &ls->list.member[member];

	if (m->state == TFS_LEG_BEHIND)
		return own->id == m->id[0] || own->id == m->id[1] ||
			own->id == ls->list.id;
	return own->id == ls->list.id ||
		(own->id == ls->list.prev &&
		 own->generation + 1 == ls->list.generation);
}

static int judge(struct tfs_legs *ls, const struct tfs_leg_list *list)
{
	int err = choose_list(ls, list);

	for (unsigned int i = 0; i < ls->n && !err; i++)
		err = find_member(ls, i, list[i].member[list[i].self].uuid);
	for (unsigned int i = 0; i < ls->n && !err; i++) {
		if (tfs_legs_belongs(ls, ls->leg[i].member, &list[i]))
			continue;
		eng_log(LOG_ERR, "%s was written without the other legs of "
			"the mirror, and they without it: they went apart and "
			"can't be put together; mount one side alone with -o "
			"degraded, and replace the other", ls->leg[i].name);
		err = -ESTALE;
	}
	return err;
}

static int check_missing(struct tfs_legs *ls, bool degraded)
{
	unsigned int missing = 0;

	for (unsigned int i = 0; i < ls->list.n; i++) {
		if (tfs_legs_of(ls, i))
			continue;
		missing++;
		eng_log(degraded ? LOG_WARNING : LOG_ERR, "%s: leg %u of %u of "
			"the mirror is missing", ls->leg[0].name, i + 1,
			ls->list.n);
	}
	if (!missing || degraded)
		return 0;
	eng_log(LOG_ERR, "%s: name the other legs with -o device=PATH, or "
		"mount without them: -o degraded", ls->leg[0].name);
	return -ENODEV;
}

static int make_mirror(struct tfs_legs *ls, struct eng_dev **out,
		       const struct tfs_legs_how *how)
{
	const struct tfs *first = ls->leg[0].at;
	struct eng_mirror_how m = {
		.n = how->n, .rdonly = how->rdonly, .pool = how->pool,
		.intervals = first->super.clusters * first->ipc,
	};

	for (unsigned int i = 0; i < how->n; i++) {
		m.leg[i] = how->leg[i];
		m.name[i] = how->name[i];
		if (ls->list.member[ls->leg[i].member].state ==
		    TFS_LEG_BEHIND)
			m.behind |= 1u << i;
	}
	return eng_mirror_create(out, &m);
}

/* What is wrong with a single device, its mount will say. */
static bool is_single(struct tfs_legs *ls)
{
	return ls->n == 1 && (tfs_super_peek(ls->leg[0].at, 0) ||
			      !(ls->leg[0].at->super.incompat &
				TFS_INCOMPAT_MIRROR));
}

int tfs_legs_open(struct eng_dev **out, const struct tfs_legs_how *how)
{
	struct tfs_legs *ls = tfs_legs_new(how->n, how->leg, how->name);
	struct tfs_leg_list list[TFS_LEGS_MAX];
	int err;

	*out = NULL;
	if (!ls)
		return -ENOMEM;
	if (is_single(ls)) {
		*out = how->leg[0];
		tfs_legs_free(ls);
		return 0;
	}
	err = look(ls, list);
	if (!err)
		err = judge(ls, list);
	if (!err)
		err = check_missing(ls, how->degraded);
	if (!err)
		err = make_mirror(ls, out, how);
	if (err)
		tfs_legs_free(ls);
	else
		tfs_legs_own(ls, *out);
	return err;
}

int tfs_legs_find(struct tfs *fs)
{
	fs->legs = eng_mirror_owner(fs->dev);
	if (fs->legs || !(fs->super.incompat & TFS_INCOMPAT_MIRROR))
		return 0;
	eng_log(LOG_ERR, "this is one leg of a mirror, which can't be used by "
		"itself");
	return -ENODEV;
}

int tfs_legs_fence(struct tfs *fs)
{
	struct tfs_legs *ls = fs->legs;
	char host[TFS_FENCE_NODE + 1];
	int err = 0;

	for (unsigned int i = 0; ls && fs->opt.fence && i < ls->n && !err;
	     i++) {
		struct tfs *at = ls->leg[i].at;

		at->opt = fs->opt;
		if (!tfs_fence_held(at, host))
			continue;
		err = tfs_fence_watch(at);
		if (err == -EBUSY)
			eng_log(LOG_ERR, "host %s has %s mounted for writing",
				host, ls->leg[i].name);
	}
	return err;
}
