/* SPDX-License-Identifier: GPL-2.0-or-later */
/* legs.c - the legs of a mirror: which of them have everything.
 *
 *  (1) Each leg has a list of all, with an id that is new with every change.
 *      A change is on every leg that is left before anything is acknowledged
 *      that another one misses.
 *  (2) A leg is left behind at the commit of a durable checkpoint: whatever
 *      is as old as that was flushed on it, nodes included.
 *  (3) A leg that is behind and here is written as the others are, and has
 *      their list, which says so: it can't be mounted by itself.
 *  (4) A read-only mount changes no list.
 *  (5) Nor does one with all legs that the last one had, if nothing happens to
 *      them.  So as long as the list is the same, a leg that is behind got
 *      every write: how far its resilver was holds.
 *  (6) A place of ls->leg is that of the mirror; it may be empty. */
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "core/text.h"
#include "mount/legs_priv.h"

typedef unsigned long long ull;

int tfs_legs_new_id(uint64_t *id)
{
	uint64_t old = *id;

	do
		if (getrandom(id, sizeof(*id), 0) != sizeof(*id))
			return -EIO;
	while (!*id || *id == old);
	return 0;
}

struct tfs_leg *tfs_legs_of(struct tfs_legs *ls, unsigned int member)
{
	for (unsigned int i = 0; i < ls->n; i++)
		if (ls->leg[i].at && ls->leg[i].member == member)
			return &ls->leg[i];
	return NULL;
}

bool tfs_legs_lost(struct tfs_legs *ls, const struct tfs_leg *leg)
{
	return !leg || eng_mirror_state(ls->dev, (unsigned int)
					(leg - ls->leg)) == ENG_LEG_LOST;
}

/* Is there one that is called current and is not; or that is behind, had the
 * list, and is not here any more (5)? */
static bool any_news(struct tfs_legs *ls)
{
	for (unsigned int i = 0; i < ls->list.n; i++) {
		const struct tfs_member *m = &ls->list.member[i];

		if (tfs_legs_lost(ls, tfs_legs_of(ls, i)) &&
		    (m->state == TFS_LEG_CURRENT ||
		     m->id[0] == ls->list.id || m->id[1] == ls->list.id))
			return true;
	}
	return false;
}

int tfs_legs_next(struct tfs_legs *ls, uint64_t settled)
{
	uint64_t old = ls->list.id;
	int err = tfs_legs_new_id(&ls->list.id);

	if (err)
		return err;
	ls->list.prev = old;
	ls->list.generation++;
	for (unsigned int i = 0; i < ls->list.n; i++) {
		struct tfs_member *m = &ls->list.member[i];
		struct tfs_leg *leg = tfs_legs_of(ls, i);

		if (m->state == TFS_LEG_CURRENT && tfs_legs_lost(ls, leg)) {
			m->state = TFS_LEG_BEHIND;
			m->left = settled;			/* (2) */
			m->id[0] = leg ? leg->id : old;
			m->id[1] = leg ? leg->tried : old;
		} else if (m->state == TFS_LEG_BEHIND && !tfs_legs_lost(ls, leg)) {
			m->id[0] = leg->id;			/* (3) */
			m->id[1] = ls->list.id;
		}
	}
	return 0;
}

/* (1) Who can't be told is lost as well, and the rest hear of that. */
int tfs_legs_tell(struct tfs_legs *ls, uint64_t settled)
{
	int err = 0, failed;

	for (;;) {
		failed = 0;
		for (unsigned int i = 0; i < ls->n && !err; i++) {
			struct tfs_leg *leg = &ls->leg[i];

			if (tfs_legs_lost(ls, leg) || leg->id == ls->list.id)
				continue;
			failed = tfs_legs_write(ls, leg) ?: failed;
			if (leg->id != ls->list.id &&
			    !eng_mirror_lose(ls->dev, i, failed))
				err = failed;
		}
		if (err || !failed)
			return err;
		err = tfs_legs_next(ls, settled);
		if (err)
			return err;
	}
}

int tfs_legs_change(struct tfs_legs *ls, uint64_t settled)
{
	return tfs_legs_next(ls, settled) ?: tfs_legs_tell(ls, settled);
}

static void say_left(struct tfs_legs *ls)
{
	for (unsigned int i = 0; i < ls->list.n; i++) {
		const struct tfs_member *m = &ls->list.member[i];
		const struct tfs_leg *leg = tfs_legs_of(ls, i);

		if (m->state == TFS_LEG_BEHIND)
			eng_log(LOG_WARNING, "leg %u of the mirror (%s) is "
				"behind: what came after commit %llu may be "
				"missing there", i + 1, leg ? leg->name :
				"not here", (ull)m->left);
	}
}

/* Within a flush. */
static int on_lost(void *arg, unsigned int legs)
{
	struct tfs_legs *ls = arg;
	int err = 0;

	(void)legs;	/* the states say it */
	pthread_mutex_lock(&ls->lock);
	if (!ls->fs)
		err = -EIO;	/* nobody knows yet what they have */
	else if (any_news(ls))
		err = tfs_legs_change(ls, atomic_load(&ls->fs->settled));
	if (!err)
		say_left(ls);
	pthread_mutex_unlock(&ls->lock);
	return err;
}

int tfs_legs_same(struct tfs *fs)
{
	struct tfs_legs *ls = fs->legs;
	struct tfs_leg_list now;
	int err = 0;

	if (!ls)
		return 0;
	pthread_mutex_lock(&ls->lock);
	for (unsigned int i = 0; i < ls->n && !err; i++) {
		err = tfs_legs_read(ls->leg[i].at, ls->leg[i].name, &now);
		if (!err ? now.id != ls->leg[i].id : err != -ENOMEM)
			err = -ESTALE;
	}
	pthread_mutex_unlock(&ls->lock);
	return err;
}

int tfs_legs_begin(struct tfs *fs, uint64_t settled)
{
	struct tfs_legs *ls = fs->legs;
	bool news = false;
	int err = 0;

	if (!ls)
		return 0;
	pthread_mutex_lock(&ls->lock);
	for (unsigned int i = 0; i < ls->n; i++)
		news |= ls->leg[i].id != ls->list.id;
	if (news || any_news(ls))
		err = tfs_legs_change(ls, settled);
	if (!err) {
		ls->fs = fs;
		eng_mirror_rewrite(ls->dev);
		say_left(ls);
	}
	pthread_mutex_unlock(&ls->lock);
	return err;
}

void tfs_legs_end(struct tfs *fs)
{
	if (!fs->legs)
		return;
	pthread_mutex_lock(&fs->legs->lock);
	fs->legs->fs = NULL;
	pthread_mutex_unlock(&fs->legs->lock);
}

bool tfs_legs_behind(struct tfs *fs, uint64_t *left)
{
	struct tfs_legs *ls = fs->legs;
	bool any = false;

	if (!ls)
		return false;
	pthread_mutex_lock(&ls->lock);
	for (unsigned int i = 0; i < ls->list.n; i++) {
		const struct tfs_member *m = &ls->list.member[i];

		if (m->state != TFS_LEG_BEHIND ||
		    tfs_legs_lost(ls, tfs_legs_of(ls, i)))
			continue;
		if (!any || m->left < *left)
			*left = m->left;
		any = true;
	}
	pthread_mutex_unlock(&ls->lock);
	return any;
}

uint64_t tfs_legs_list(struct tfs *fs)
{
	uint64_t id;

	pthread_mutex_lock(&fs->legs->lock);
	id = fs->legs->list.id;
	pthread_mutex_unlock(&fs->legs->lock);
	return id;
}

int tfs_legs_caught_up(struct tfs *fs)
{
	struct tfs_legs *ls = fs->legs;
	int err;

	pthread_mutex_lock(&ls->lock);
	for (unsigned int i = 0; i < ls->list.n; i++) {
		struct tfs_member *m = &ls->list.member[i];

		if (m->state == TFS_LEG_BEHIND &&
		    !tfs_legs_lost(ls, tfs_legs_of(ls, i))) {
			m->state = TFS_LEG_CURRENT;
			m->left = m->id[0] = m->id[1] = 0;
		}
	}
	err = tfs_legs_change(ls, atomic_load(&fs->settled));
	for (unsigned int i = 0; i < ls->n && !err; i++)
		if (ls->leg[i].at && ls->list.member[ls->leg[i].member].state ==
		    TFS_LEG_CURRENT)
			eng_mirror_catch_up(ls->dev, i);
	pthread_mutex_unlock(&ls->lock);
	return err;
}

int tfs_legs_look(struct tfs *fs, unsigned int leg, bool fix,
		  struct tfs_legs_look *out)
{
	struct tfs_legs *ls = fs->legs;
	int err = 0;

	out->why[0] = out->why[1] = NULL;
	out->mended = false;
	if (!ls)
		return 0;
	pthread_mutex_lock(&ls->lock);
	if (leg <= ls->n && ls->leg[leg - 1].at &&
	    !tfs_legs_lost(ls, &ls->leg[leg - 1]))
		err = tfs_leg_look(ls, &ls->leg[leg - 1], fix, out);
	pthread_mutex_unlock(&ls->lock);
	return err;
}

/* ---- what is said of them ----------------------------------------------- */

static const char *state_of(struct tfs_legs *ls, const struct tfs_member *m,
			    const struct tfs_leg *leg)
{
	if (!leg)
		return "missing";
	if (tfs_legs_lost(ls, leg))
		return "failed";
	return m->state == TFS_LEG_BEHIND ? "behind" : "current";
}

const char *tfs_legs_name(struct tfs *fs, unsigned int mask, char *buf,
			  size_t size)
{
	struct tfs_legs *ls = fs->legs;
	size_t at = 0;

	*buf = '\0';
	if (!ls)
		return buf;
	pthread_mutex_lock(&ls->lock);
	for (unsigned int i = 0; i < ls->n; i++) {
		const struct tfs_leg *leg = &ls->leg[i];

		if (mask & 1u << i && leg->at && at < size)
			at += (size_t)snprintf(buf + at, size - at,
					       "%sleg %u (%s)", at ? ", " : "",
					       leg->member + 1, leg->name);
	}
	pthread_mutex_unlock(&ls->lock);
	return buf;
}

static void info_locked(struct tfs_legs *ls, unsigned int i,
			struct tfs_leg_info *out)
{
	const struct tfs_member *m = &ls->list.member[i];
	const struct tfs_leg *leg = tfs_legs_of(ls, i);

	*out = (struct tfs_leg_info){
		.name = leg ? leg->name : NULL, .left = m->left,
		.state = state_of(ls, m, leg),
	};
}

bool tfs_legs_info(const struct eng_dev *dev, unsigned int leg,
		   struct tfs_leg_info *out)
{
	struct tfs_legs *ls = eng_mirror_owner(dev);
	bool there = false;

	if (!ls)
		return false;
	pthread_mutex_lock(&ls->lock);
	there = leg < ls->list.n;
	if (there)
		info_locked(ls, leg, out);
	pthread_mutex_unlock(&ls->lock);
	return there;
}

static void put_leg(struct tfs_legs *ls, unsigned int i, FILE *f)
{
	const struct tfs_leg *leg = tfs_legs_of(ls, i);
	struct eng_leg_count c = { .reads = 0 };
	struct tfs_leg_info info;

	info_locked(ls, i, &info);
	if (leg)
		eng_mirror_count(ls->dev, (unsigned int)(leg - ls->leg), &c);
	fprintf(f, "    {\"leg\": %u, \"name\": ", i + 1);
	eng_text_json(f, info.name ? info.name : "");
	fprintf(f, ", \"state\": \"%s\", \"left\": %llu, \"reads\": %llu, "
		"\"writes\": %llu, \"bad\": %llu, \"errors\": %llu, "
		"\"healed\": %llu, \"copied\": %llu}", info.state,
		(ull)info.left, (ull)c.reads, (ull)c.writes, (ull)c.bad,
		(ull)c.errors, (ull)c.healed, (ull)c.copied);
}

void tfs_legs_stats(struct tfs *fs, FILE *f)
{
	struct tfs_legs *ls = fs->legs;

	pthread_mutex_lock(&ls->lock);
	for (unsigned int i = 0; i < ls->list.n; i++) {
		put_leg(ls, i, f);
		fprintf(f, "%s\n", i + 1 < ls->list.n ? "," : "");
	}
	pthread_mutex_unlock(&ls->lock);
}

void tfs_legs_text(struct tfs *fs, char **out)
{
	struct tfs_legs *ls = fs->legs;
	size_t size;
	FILE *f = open_memstream(out, &size);

	if (!f) {
		*out = NULL;
		return;
	}
	pthread_mutex_lock(&ls->lock);
	for (unsigned int i = 0; i < ls->list.n; i++) {
		const struct tfs_member *m = &ls->list.member[i];
		const struct tfs_leg *leg = tfs_legs_of(ls, i);

		fprintf(f, "%sleg %u ", i ? ", " : "", i + 1);
		if (!leg)
			fprintf(f, "missing since commit %llu", (ull)m->left);
		else
			fprintf(f, "%s %s", leg->name, state_of(ls, m, leg));
	}
	pthread_mutex_unlock(&ls->lock);
	if (fclose(f)) {
		free(*out);
		*out = NULL;
	}
}

/* ---- a mirror's ---------------------------------------------------------- */

void tfs_legs_free(void *arg)
{
	struct tfs_legs *ls = arg;

	for (unsigned int i = 0; i < ls->n; i++)
		free(ls->leg[i].at);
	pthread_mutex_destroy(&ls->lock);
	free(ls);
}

/* A device as it is, for clusters alone. */
struct tfs *tfs_legs_at(struct eng_dev *dev)
{
	struct tfs *at = calloc(1, sizeof(*at));

	if (at) {
		at->dev = dev;
		at->geo = eng_dev_geometry(dev);
	}
	return at;
}

struct tfs_legs *tfs_legs_new(unsigned int n, struct eng_dev *const *dev,
				 const char *const *name)
{
	struct tfs_legs *ls = calloc(1, sizeof(*ls));

	if (!ls)
		return NULL;
	pthread_mutex_init(&ls->lock, NULL);
	for (; ls->n < n; ls->n++) {
		ls->leg[ls->n].name = name[ls->n];
		ls->leg[ls->n].at = tfs_legs_at(dev[ls->n]);
		if (!ls->leg[ls->n].at) {
			tfs_legs_free(ls);
			return NULL;
		}
	}
	return ls;
}

/* From here on the names are the mirror's. */
void tfs_legs_own(struct tfs_legs *ls, struct eng_dev *dev)
{
	const struct eng_mirror_owner owner = {
		.lost = on_lost, .close = tfs_legs_free, .arg = ls,
	};

	ls->dev = dev;
	for (unsigned int i = 0; i < ls->n; i++)
		ls->leg[i].name = eng_mirror_name(dev, i);
	eng_mirror_own(dev, &owner);
}
