/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* change.c - legs that join and leave a mirror that is in use.
 *  (1) A leg has a place, whose number is its own until it leaves.  Who joins
 *      takes an empty one; everything is there before its state says so.
 *  (2) Requests have the memory for it from the beginning (leg.c): each as
 *      much for each place as the kind of leg wants that wants most.  One of
 *      a kind that was not there then can't join.
 *  (3) Who leaves is lost first, so that whatever begins from then on leaves
 *      it alone.  Its device is given back when everything is over that may
 *      have begun before.
 *  (4) What begins is counted in one of two halves (leg.c).  To wait, the
 *      other half is made the one that counts, and the old one runs empty;
 *      twice, since somebody may have looked which it is and not have counted
 *      yet. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "mirror/mirror_priv.h"

/* (4)  Polls: who leaves must not touch the mirror after that. */
static void wait_begun(struct mirror *m)
{
	const struct timespec tick = { .tv_nsec = 1000000 };

	for (unsigned int i = 0; i < 2; i++) {
		unsigned int old = atomic_fetch_add(&m->half, 1) & 1;

		while (atomic_load(&m->begun[old]))
			nanosleep(&tick, NULL);
	}
}

/* ---- joining ------------------------------------------------------------ */

static bool is_kind(const struct mirror *m, const struct eng_dev *leg)
{
	bool known = !leg->ops->room;

	for (unsigned int i = 0; i < ENG_MIRROR_MAX; i++)
		known |= m->kind[i] == leg->ops->room;
	return known;
}

static int may_join(const struct mirror *m, const struct eng_dev *leg)
{
	const struct eng_geometry *geo = &m->dev.geo, *g = &leg->geo;

	if (!eng_profile_equal(g->profile, geo->profile))
		return -EINVAL;
	if (g->intervals < geo->intervals)
		return -ENOSPC;
	if (g->max_io < geo->max_io || g->align > geo->align ||
	    !is_kind(m, leg))					/* (2) */
		return -EXDEV;
	return 0;
}

static void reset(struct mirror_leg *l, struct mirror *m)
{
	l->m = m;
	atomic_store(&l->reads, 0);
	atomic_store(&l->writes, 0);
	atomic_store(&l->bad, 0);
	atomic_store(&l->errors, 0);
	atomic_store(&l->healed, 0);
	atomic_store(&l->copied, 0);
	atomic_store(&l->inflight, 0);
	atomic_store(&l->nanos, 0);
}

static int join_locked(struct mirror *m, struct eng_dev *leg, const char *name,
		       unsigned int *out)
{
	struct mirror_leg *l;
	unsigned int i = 0;
	int err;

	while (i < m->n && m->leg[i].dev)
		i++;
	if (i == ENG_MIRROR_MAX)
		return -EMLINK;
	l = &m->leg[i];
	reset(l, m);
	l->name = strdup(name);
	l->dev = leg;
	err = l->name ? mirror_flusher_start(l) : -ENOMEM;
	if (err) {
		l->dev = NULL;
		free(l->name);
		l->name = NULL;
		return err;
	}
	if (i == m->n)
		m->n = i + 1;
	atomic_store(&l->state, ENG_LEG_BEHIND);		/* (1) */
	*out = i;
	return 0;
}

int eng_mirror_join(struct eng_dev *dev, struct eng_dev *leg, const char *name,
		    unsigned int *i)
{
	struct mirror *m = (struct mirror *)dev;
	int err = may_join(m, leg);

	if (!err)
		err = eng_dev_set_tags(leg, m->dev.geo.profile->tags);
	if (err)
		return err;
	pthread_mutex_lock(&m->changing);
	err = join_locked(m, leg, name, i);
	pthread_mutex_unlock(&m->changing);
	return err;
}

/* ---- leaving ------------------------------------------------------------ */

bool eng_mirror_drop(struct eng_dev *dev, unsigned int i)
{
	bool was;

	return mirror_drop((struct mirror *)dev, i, &was);
}

/* (3) */
struct eng_dev *eng_mirror_part(struct eng_dev *dev, unsigned int i)
{
	struct mirror *m = (struct mirror *)dev;
	struct mirror_leg *l = &m->leg[i];
	struct eng_dev *leg = l->dev;

	pthread_mutex_lock(&m->changing);
	wait_begun(m);
	mirror_flusher_stop(l);
	free(l->name);
	l->name = NULL;
	l->dev = NULL;
	pthread_mutex_unlock(&m->changing);
	return leg;
}
