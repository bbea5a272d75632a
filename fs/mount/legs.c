/* SPDX-License-Identifier: GPL-2.0-or-later */
/* legs.c - the legs of a mirror: which of them have everything.
 *
 *  (1) Each leg has a list of all, with an id that is new with every change.
 *      A change is on every leg that is left before anything is acknowledged
 *      that another one misses.
 *  (2) The newest list in which its own leg has everything is the truth.  A
 *      leg that it calls current has that list, or the one before: the change
 *      was interrupted.  One that it calls behind has a list that it is known
 *      to have had.  Any other list was made by a mount without the rest: the
 *      two went apart, and neither is taken for the other's past.
 *  (3) A leg is left behind at the commit of a durable checkpoint: whatever
 *      is as old as that was flushed on it, nodes included.
 *  (4) A leg that is behind and here is written as the others are, and has
 *      their list, which says so: it can't be mounted by itself.
 *  (5) A read-only mount changes no list.
 *  (6) Nor does one with all legs that the last one had, if nothing happens to
 *      them.  So as long as the list is the same, a leg that is behind got
 *      every write: how far its resilver was holds.
 *  (7) A place of ls->leg is that of the mirror; it may be empty.
 *  (8) A copy that is older than the other one is what an interrupted change
 *      leaves, and no damage.  It is written anew as damage is. */
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "core/text.h"
#include "base/cluster.h"
#include "base/fence.h"
#include "base/hash.h"
#include "commit/super.h"
#include "mount/legs_priv.h"

typedef unsigned long long ull;

/* ---- the list on a leg -------------------------------------------------- */

static uint64_t list_addr(const struct tfs *at, unsigned int copy)
{
	return at->super.clusters - TFS_END_LEG + copy;
}

static void list_encode(const struct tfs *at, struct tfs_disk_leg *d,
			const struct tfs_leg_list *l, unsigned int self,
			unsigned int copy)
{
	*d = (struct tfs_disk_leg){
		.magic = htole32(TFS_LEG_MAGIC),
		.generation = htole64(l->generation),
		.id = htole64(l->id), .prev = htole64(l->prev),
		.legs = (uint8_t)l->n, .self = (uint8_t)self,
		.copy = (uint8_t)copy,
	};
	memcpy(d->nonce, tfs_nonce(at), TFS_NONCE);
	for (unsigned int i = 0; i < l->n; i++) {
		const struct tfs_member *m = &l->member[i];

		d->member[i] = (struct tfs_disk_member){
			.left = htole64(m->left),
			.id = { htole64(m->id[0]), htole64(m->id[1]) },
			.state = (uint8_t)m->state,
		};
		memcpy(d->member[i].uuid, m->uuid, 16);
	}
	d->crc = htole32(tfs_crc32c(d, sizeof(*d),
				    offsetof(struct tfs_disk_leg, crc)));
}

static const char *member_decode(struct tfs_member *m,
				 const struct tfs_disk_member *d, bool there)
{
	if (!there)
		return tfs_all_zero(d, sizeof(*d)) ? NULL : "padding";
	*m = (struct tfs_member){
		.state = d->state, .left = le64toh(d->left),
		.id = { le64toh(d->id[0]), le64toh(d->id[1]) },
	};
	memcpy(m->uuid, d->uuid, 16);
	if (!tfs_all_zero(d->pad, sizeof(d->pad)))
		return "padding";
	if (m->state != TFS_LEG_CURRENT && m->state != TFS_LEG_BEHIND)
		return "state";
	if (m->left >= TFS_SEQ_MAX || (m->state == TFS_LEG_CURRENT &&
				       (m->left || m->id[0] || m->id[1])))
		return "commit";
	return NULL;
}

/* Everything of it is checked here. */
static const char *list_decode(const struct tfs *at,
			       const struct tfs_disk_leg *d,
			       unsigned int copy, struct tfs_leg_list *l)
{
	const char *bad = NULL;

	if (le32toh(d->magic) != TFS_LEG_MAGIC)
		return "magic";
	if (le32toh(d->crc) != tfs_crc32c(d, sizeof(*d),
					  offsetof(struct tfs_disk_leg, crc)))
		return "checksum";
	if (memcmp(d->nonce, tfs_nonce(at), TFS_NONCE))
		return "nonce";
	*l = (struct tfs_leg_list){
		.generation = le64toh(d->generation), .id = le64toh(d->id),
		.prev = le64toh(d->prev), .n = d->legs, .self = d->self,
	};
	if (!l->n || l->n > TFS_LEGS_MAX || l->self >= l->n ||
	    d->copy != copy || !tfs_all_zero(d->pad, sizeof(d->pad)))
		return "number, copy or padding";
	if (!l->generation || l->generation >= TFS_SEQ_MAX || !l->id)
		return "generation";
	for (unsigned int i = 0; i < TFS_LEGS_MAX && !bad; i++)
		bad = member_decode(&l->member[i], &d->member[i], i < l->n);
	return bad;
}

bool tfs_legs_self(const struct tfs *at, const struct tfs_record *rec,
		   const void *buf, bool *behind)
{
	struct tfs_leg_list l;

	if (list_decode(at, buf, rec->index, &l) || l.self != rec->owner ||
	    l.generation != rec->seq)
		return false;
	*behind = l.member[l.self].state == TFS_LEG_BEHIND;
	return true;
}

/* NULL: it is good, and *l. */
static const char *copy_read(struct tfs *at, unsigned int copy,
			     unsigned int flags, uint8_t *buf,
			     struct tfs_leg_list *l, char text[TFS_LEGS_TEXT],
			     int *err)
{
	uint64_t addr = list_addr(at, copy);
	struct tfs_record rec = { .kind = TFS_K_LEG, .index = copy };
	uint16_t tags[TFS_LANES], lanes[TFS_LANES];
	struct eng_fault fault;
	const char *why;

	*err = tfs_cluster_tags(at, addr, 1, flags, buf, tags, &fault);
	if (*err)
		return tfs_fault_text(*err, &fault, text, TFS_LEGS_TEXT);
	why = list_decode(at, (void *)buf, copy, l);
	if (why)
		return why;
	rec.owner = l->self;
	rec.seq = l->generation;
	tfs_record_encode(&at->key, &rec, addr, lanes);
	return memcmp(lanes, tags, sizeof(lanes)) ? "application tags" : NULL;
}

/* The newer of two good copies. */
int tfs_legs_read(struct tfs *at, const char *name, struct tfs_leg_list *out)
{
	uint8_t *buf = eng_buf_get(at->dev, at->csize);
	const char *why[2] = { NULL };
	char text[2][TFS_LEGS_TEXT];
	int err, good = 0;

	if (!buf)
		return -ENOMEM;
	for (unsigned int i = 0; i < 2; i++) {
		struct tfs_leg_list l;

		why[i] = copy_read(at, i, 0, buf, &l, text[i], &err);
		if (err == -ENOMEM)
			break;
		if (!why[i] && (!good++ || l.generation > out->generation))
			*out = l;
	}
	eng_buf_put(at->dev, buf, at->csize);
	if (err == -ENOMEM)
		return err;
	if (!good)
		eng_log(LOG_ERR, "%s: its list of the legs of the mirror is "
			"damaged: %s; %s", name, why[0], why[1]);
	return good ? 0 : -EUCLEAN;
}

static int copy_write(struct tfs_legs *ls, struct tfs_leg *leg,
		      unsigned int copy, uint8_t *buf)
{
	struct tfs *at = leg->at;
	struct tfs_record rec = { .kind = TFS_K_LEG, .owner = leg->member,
				  .index = copy, .seq = ls->list.generation };
	int err;

	memset(buf, 0, at->csize);
	list_encode(at, (void *)buf, &ls->list, leg->member, copy);
	err = tfs_cluster_write(at, list_addr(at, copy), &rec, buf);
	return err ? err : eng_dev_flush(at->dev);
}

/* One copy after the other. */
int tfs_legs_write(struct tfs_legs *ls, struct tfs_leg *leg)
{
	struct tfs *at = leg->at;
	uint8_t *buf = eng_buf_get(at->dev, at->csize);
	int err = 0;

	if (!buf)
		return -ENOMEM;
	leg->tried = ls->list.id;
	for (unsigned int i = 0; i < 2 && !err; i++)
		err = copy_write(ls, leg, i, buf);
	eng_buf_put(at->dev, buf, at->csize);
	if (!err)
		leg->id = ls->list.id;
	return err;
}

/* ---- are both copies there? --------------------------------------------- */

/* Of the list in use every byte is known. */
static bool as_given(struct tfs_legs *ls, const struct tfs_leg *leg,
		     unsigned int copy, const uint8_t *buf)
{
	struct tfs_disk_leg d;

	if (leg->id != ls->list.id)
		return true;
	list_encode(leg->at, &d, &ls->list, leg->member, copy);
	return !memcmp(&d, buf, sizeof(d)) &&
		tfs_all_zero(buf + sizeof(d), leg->at->csize - sizeof(d));
}

/* (8)  The one that is good is not touched. */
static int look_locked(struct tfs_legs *ls, struct tfs_leg *leg, bool fix,
		       struct tfs_legs_look *out)
{
	uint8_t *buf = eng_buf_get(leg->at->dev, leg->at->csize);
	bool older[2] = { false };
	int err = buf ? 0 : -ENOMEM;

	for (unsigned int i = 0; i < 2 && err != -ENOMEM; i++) {
		struct tfs_leg_list l;

		out->why[i] = copy_read(leg->at, i, ENG_IO_MEDIUM, buf, &l,
					out->text[i], &err);
		older[i] = !out->why[i] && l.id != leg->id;
		if (!out->why[i] && !older[i] && !as_given(ls, leg, i, buf))
			out->why[i] = "not what was written";
	}
	if (err == -ENOMEM)
		goto out;
	err = fix && leg->id == ls->list.id ? 0 : -EROFS;
	for (unsigned int i = 0; i < 2 && !err; i++)
		if (out->why[i] || older[i])
			err = copy_write(ls, leg, i, buf);
	out->mended = !err;
	err = 0;
out:
	eng_buf_put(leg->at->dev, buf, leg->at->csize);
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
		err = look_locked(ls, &ls->leg[leg - 1], fix, out);
	pthread_mutex_unlock(&ls->lock);
	return err;
}

/* ---- changes ------------------------------------------------------------ */

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
 * list, and is not here any more (6)? */
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
			m->left = settled;			/* (3) */
			m->id[0] = leg ? leg->id : old;
			m->id[1] = leg ? leg->tried : old;
		} else if (m->state == TFS_LEG_BEHIND && !tfs_legs_lost(ls, leg)) {
			m->id[0] = leg->id;			/* (4) */
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

/* ---- putting them together ---------------------------------------------- */

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

/* (2) */
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

/* (2) */
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
