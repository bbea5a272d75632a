/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* audit.c - what each leg of a mirror keeps for itself, all copies of it.
 *  (1) A part of the mirror is that part of each leg.  So a position means the
 *      same whichever legs there are, and intervals are looked at together on
 *      all of them.
 *  (2) A leg that is behind is looked at, too: what it keeps for itself is its
 *      own. */
#include "mirror/mirror_priv.h"

struct leg_audit {
	struct eng_audit a;
	struct eng_audit *whole;
	unsigned int	leg;
};

static void leg_found(struct eng_audit *a, const struct eng_spare *s)
{
	struct leg_audit *la = a->arg;
	struct eng_spare spare = *s;

	spare.leg = la->leg + 1;
	la->whole->found(la->whole, &spare);
}

/* As far as the others, at least. */
static int leg_audit(struct mirror *m, struct leg_audit *la, uint64_t to)
{
	int err;

	do
		err = eng_dev_audit(m->leg[la->leg].dev, &la->a);
	while (!err && la->a.at < to && la->a.at < la->a.all);
	return err;
}

/* (1) */
int mirror_audit(struct eng_dev *dev, struct eng_audit *a)
{
	struct mirror *m = (struct mirror *)dev;
	uint64_t to = 0, all = 0, next = UINT64_MAX, reached = UINT64_MAX;
	unsigned int half = mirror_enter(m);
	int err = 0;

	for (unsigned int i = 0; i < m->n && !err; i++) {
		struct leg_audit la = {
			.a = { .found = leg_found, .arg = &la, .at = a->at,
			       .rewrite = a->rewrite },
			.whole = a, .leg = i,
		};

		if (mirror_state(m, i) == ENG_LEG_LOST)
			continue;			/* (2) */
		err = leg_audit(m, &la, to);
		to = la.a.at > to ? la.a.at : to;
		all = la.a.all > all ? la.a.all : all;
		if (la.a.at < la.a.all && la.a.at < next)
			next = la.a.at;
		reached = la.a.reached < reached ? la.a.reached : reached;
	}
	mirror_leave(m, half);
	if (err)
		return err;
	a->all = all;
	a->at = next < all ? next : all;
	a->reached = reached;
	return 0;
}
