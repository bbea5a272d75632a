/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mirror.c - one device over others that have the same.
 *  (1) A write goes to all legs at once, those that are behind included, and
 *      is over when all have answered.
 *  (2) A read is one leg's, who verifies it against the tags that the caller
 *      expects.  If that fails, others are asked, and what was bad is
 *      rewritten before the read ends; heal.c does both.  Nothing is verified
 *      twice.
 *  (3) A leg that failed a write or flush is lost.  The next flush tells the
 *      owner, and succeeds only when the owner has told the others: nothing
 *      is called durable that a leg misses without their knowing.
 *  (4) A flush is one of each leg, at the same time.  Callers share those that
 *      begin after they came. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "mirror/mirror_priv.h"

typedef unsigned long long ull;

static struct mirror *mirror_of(const struct eng_dev *dev)
{
	return (struct mirror *)(uintptr_t)dev;
}

/* ---- requests ----------------------------------------------------------- */

static bool other_current(const struct mirror *m, unsigned int not)
{
	for (unsigned int i = 0; i < m->n; i++)
		if (i != not && mirror_state(m, i) == ENG_LEG_CURRENT)
			return true;
	return false;
}

static bool any_other(const struct mirror *m, unsigned int not)
{
	for (unsigned int i = 0; i < m->n; i++)
		if (i != not && mirror_state(m, i) != ENG_LEG_LOST)
			return true;
	return false;
}

/* (2) */
static void read_end(struct eng_io *c)
{
	struct mirror_io *mio = c->arg;
	struct mirror *m = mio->m;
	struct eng_io *io = mio->io;
	unsigned int i = mio->leg;
	int err = c->err;

	mirror_note_read(m, i, c, mio->began);
	atomic_store(&mio->err, err);
	if (io->leg || err == -ENOMEM) {
		;	/* this leg's answer and no other */
	} else if (err ? other_current(m, i) :
		   !m->rdonly && mirror_all_legs(io) && any_other(m, i)) {
		mirror_heal(mio);
		return;
	}
	io->fault = c->fault;
	if (!err)
		mirror_take(io, 0, c);
	mirror_done(mio, err);
}

static void submit_read(struct mirror *m, struct mirror_io *mio)
{
	struct eng_io *io = mio->io, *c;
	unsigned int i = io->leg ? io->leg - 1 : mirror_pick(m, io);

	if (i >= m->n || mirror_state(m, i) == ENG_LEG_LOST ||
	    !mio->child[i]) {
		mirror_done(mio, -ENODEV);
		return;
	}
	mio->leg = i;
	c = mirror_child(mio, i);
	c->end = read_end;
	mio->began = mirror_now(m);
	atomic_fetch_add(&m->leg[i].inflight, 1);
	atomic_fetch_add(&m->leg[i].reads, 1);
	eng_io_submit(c);
}

static void write_put(struct mirror_io *mio)
{
	struct mirror *m = mio->m;
	unsigned int ok;

	if (atomic_fetch_sub(&mio->left, 1) != 1)
		return;
	ok = atomic_load(&mio->ok);
	for (unsigned int i = 0; i < m->n; i++)
		if (mirror_state(m, i) != ENG_LEG_CURRENT)
			ok &= ~(1u << i);
	if (ok && atomic_load(&mio->failed))
		mirror_heal(mio);
	else
		mirror_done(mio, ok ? 0 : atomic_load(&mio->err));
}

static void write_end(struct eng_io *c)
{
	struct mirror_io *mio = c->arg;
	unsigned int i = 0;
	int none = 0;

	while (mio->child[i] != c)
		i++;
	atomic_fetch_or(c->err ? &mio->failed : &mio->ok, 1u << i);
	if (c->err) {
		atomic_compare_exchange_strong(&mio->err, &none, c->err);
		if (c->err != -ENOMEM)
			atomic_fetch_add(&mio->m->leg[i].errors, 1);
		mio->io->fault = c->fault;
	}
	write_put(mio);
}

/* (1) */
static void submit_write(struct mirror *m, struct mirror_io *mio)
{
	atomic_init(&mio->left, 1);
	atomic_init(&mio->ok, 0);
	atomic_init(&mio->failed, 0);
	for (unsigned int i = 0; i < m->n; i++) {
		struct eng_io *c;

		if (mirror_state(m, i) == ENG_LEG_LOST || !mio->child[i])
			continue;
		c = mirror_child(mio, i);
		c->end = write_end;
		atomic_fetch_add(&mio->left, 1);
		atomic_fetch_add(&m->leg[i].writes, 1);
		eng_io_submit(c);
	}
	write_put(mio);
}

static void mirror_submit(struct eng_dev *dev, struct eng_io *io)
{
	struct mirror *m = mirror_of(dev);
	struct mirror_io *mio = io->priv;

	memset(mio, 0, sizeof(*mio));
	mio->m = m;
	mio->io = io;
	mio->half = mirror_enter(m);
	mirror_place(m, mio, io->count, io->niov);
	if (io->op == ENG_READ)
		submit_read(m, mio);
	else
		submit_write(m, mio);
}

static size_t room(const struct eng_dev *dev, uint32_t intervals,
		   unsigned int segs)
{
	return sizeof(struct mirror_io) + mirror_room(mirror_of(dev), intervals,
						      segs);
}

/* ---- flush -------------------------------------------------------------- */

/* (4) */
static void *flusher(void *arg)
{
	struct mirror_leg *l = arg;
	struct mirror *m = l->m;
	uint64_t want;
	int err;

	pthread_mutex_lock(&m->lock);
	for (;;) {
		while (l->want == l->done && !l->stop)
			pthread_cond_wait(&m->want, &m->lock);
		if (l->want == l->done)
			break;
		want = l->want;
		pthread_mutex_unlock(&m->lock);
		err = eng_dev_flush(l->dev);
		pthread_mutex_lock(&m->lock);
		l->done = want;
		l->err = err;
		pthread_cond_broadcast(&m->flushed);
	}
	pthread_mutex_unlock(&m->lock);
	return NULL;
}

/* All that are left, each with its result; a mask. */
static unsigned int flush_legs(struct mirror *m, int err[ENG_MIRROR_MAX])
{
	uint64_t want[ENG_MIRROR_MAX];
	unsigned int asked = 0;

	pthread_mutex_lock(&m->lock);
	for (unsigned int i = 0; i < m->n; i++) {
		if (mirror_state(m, i) == ENG_LEG_LOST)
			continue;
		want[i] = ++m->leg[i].want;
		asked |= 1u << i;
	}
	pthread_cond_broadcast(&m->want);
	for (unsigned int i = 0; i < m->n; i++) {
		while (asked & 1u << i && m->leg[i].done < want[i])
			pthread_cond_wait(&m->flushed, &m->lock);
		err[i] = m->leg[i].err;
	}
	pthread_mutex_unlock(&m->lock);
	return asked;
}

static unsigned int take_news(struct mirror *m)
{
	unsigned int news;

	pthread_mutex_lock(&m->lock);
	news = m->news;
	m->news = 0;
	pthread_mutex_unlock(&m->lock);
	return news;
}

/* (3) A flush that comes while another one tells waits for that. */
static int tell_owner(struct mirror *m)
{
	unsigned int news;
	int err = 0;

	pthread_mutex_lock(&m->telling);
	while (!err && (news = take_news(m)))
		err = m->owner.lost ? m->owner.lost(m->owner.arg, news) : -EIO;
	pthread_mutex_unlock(&m->telling);
	return err;
}

/* Who is told takes his time, and perhaps a leg. */
static int mirror_flush(struct eng_dev *dev)
{
	struct mirror *m = mirror_of(dev);
	int err[ENG_MIRROR_MAX] = { 0 }, first = 0;
	unsigned int half = mirror_enter(m);
	unsigned int asked = flush_legs(m, err);

	for (unsigned int i = 0; i < m->n; i++) {
		if (!(asked & 1u << i) || !err[i])
			continue;
		if (!mirror_lose(m, i, err[i], "flush"))
			first = err[i];
	}
	mirror_leave(m, half);
	return first ? first : tell_owner(m);
}

/* ---- the rest ----------------------------------------------------------- */

/* One that can't do it, or fails, is no worse off. */
static int mirror_discard(struct eng_dev *dev, uint64_t start, uint64_t count)
{
	struct mirror *m = mirror_of(dev);
	unsigned int half = mirror_enter(m);
	int err, res = -EOPNOTSUPP;

	for (unsigned int i = 0; i < m->n; i++) {
		if (mirror_state(m, i) == ENG_LEG_LOST)
			continue;
		err = eng_dev_discard(m->leg[i].dev, start, count);
		if (!err || res == -EOPNOTSUPP)
			res = err;
	}
	mirror_leave(m, half);
	return res;
}

static void mirror_drop_caches(struct eng_dev *dev)
{
	struct mirror *m = mirror_of(dev);
	unsigned int half = mirror_enter(m);

	for (unsigned int i = 0; i < m->n; i++)
		if (mirror_state(m, i) != ENG_LEG_LOST)
			eng_dev_drop_caches(m->leg[i].dev);
	mirror_leave(m, half);
}

static int bypass_read(struct mirror *m, uint64_t start, void *buf,
		       size_t bytes)
{
	int err = -ENODEV;

	for (unsigned int i = 0; i < m->n && err; i++)
		if (mirror_state(m, i) == ENG_LEG_CURRENT)
			err = eng_dev_bypass(m->leg[i].dev, ENG_READ, start,
					     buf, bytes, NULL);
	return err;
}

static int bypass_write(struct mirror *m, uint64_t start, void *buf,
			size_t bytes, const uint16_t *tags)
{
	int err[ENG_MIRROR_MAX] = { 0 }, first = -ENODEV;
	bool has = false;

	for (unsigned int i = 0; i < m->n; i++) {
		if (mirror_state(m, i) == ENG_LEG_LOST)
			continue;
		err[i] = eng_dev_bypass(m->leg[i].dev, ENG_WRITE, start, buf,
					bytes, tags);
		if (err[i])
			first = err[i];
		else
			has |= mirror_state(m, i) == ENG_LEG_CURRENT;
	}
	for (unsigned int i = 0; i < m->n && has; i++)
		if (err[i] && err[i] != -ENOMEM)
			mirror_lose(m, i, err[i], "write");
	return has ? 0 : first;
}

static int mirror_bypass(struct eng_dev *dev, enum eng_op op, uint64_t start,
			 void *buf, size_t bytes, const uint16_t *tags)
{
	struct mirror *m = mirror_of(dev);
	unsigned int half = mirror_enter(m);
	int err = op == ENG_READ ? bypass_read(m, start, buf, bytes) :
				   bypass_write(m, start, buf, bytes, tags);

	mirror_leave(m, half);
	return err;
}

static int mirror_set_tags(struct eng_dev *dev, unsigned int tags)
{
	struct mirror *m = mirror_of(dev);
	int err = 0;

	for (unsigned int i = 0; i < m->n && !err; i++)
		if (m->leg[i].dev)
			err = eng_dev_set_tags(m->leg[i].dev, tags);
	return err;
}

static const char *state_name(enum eng_leg_state state)
{
	static const char *const names[] = { "current", "behind", "lost" };

	return names[state];
}

static int one_leg_stats(const struct mirror *m, unsigned int i, char *buf,
			 size_t size)
{
	struct eng_leg_count c;

	eng_mirror_count(&m->dev, i, &c);
	return snprintf(buf, size, "%s{\"leg\":%u,\"state\":\"%s\","
			"\"reads\":%llu,\"writes\":%llu,\"bad\":%llu,"
			"\"errors\":%llu,\"healed\":%llu,\"copied\":%llu,"
			"\"inflight\":%llu,\"read_ns\":%llu}", i ? "," : "", i,
			state_name(mirror_state(m, i)), (ull)c.reads,
			(ull)c.writes, (ull)c.bad, (ull)c.errors,
			(ull)c.healed, (ull)c.copied, (ull)c.inflight,
			(ull)c.nanos);
}

static int mirror_stats(struct eng_dev *dev, char *buf, size_t size)
{
	struct mirror *m = mirror_of(dev);
	size_t at = 0;

	for (unsigned int i = 0; i <= m->n + 1; i++) {
		char *to = at < size ? buf + at : NULL;
		size_t left = at < size ? size - at : 0;

		if (!i)
			at += snprintf(to, left, "{\"backend\":\"mirror\","
				       "\"legs\":[");
		else if (i <= m->n)
			at += one_leg_stats(m, i - 1, to, left);
		else
			at += snprintf(to, left, "]}");
	}
	return (int)at;
}

/* Of the first that can say it. */
static uint64_t mirror_byte_of(const struct eng_dev *dev, uint64_t interval)
{
	struct mirror *m = mirror_of(dev);
	unsigned int half = mirror_enter(m), i = 0;
	uint64_t byte;

	while (i + 1 < m->n && mirror_state(m, i) == ENG_LEG_LOST)
		i++;
	byte = eng_dev_byte(m->leg[i].dev, interval);
	mirror_leave(m, half);
	return byte;
}

/* All of them or none.  Until it is written, none was lost or has left. */
static int mirror_reopen(struct eng_dev *dev)
{
	struct mirror *m = mirror_of(dev);
	unsigned int n = 0;
	int err;

	do
		err = eng_dev_prepare_writes(m->leg[n].dev);
	while (!err && ++n < m->n);
	while (err && n--)
		eng_dev_forgo_writes(m->leg[n].dev);
	return err;
}

static int mirror_begin_writes(struct eng_dev *dev)
{
	struct mirror *m = mirror_of(dev);
	int err = 0;

	for (unsigned int i = 0; i < m->n && !err; i++) {
		struct eng_dev *leg = m->leg[i].dev;

		err = leg->ops->begin_writes(leg);
	}
	return err;
}

void mirror_flusher_stop(struct mirror_leg *l)
{
	struct mirror *m = l->m;

	if (!l->runs)
		return;
	pthread_mutex_lock(&m->lock);
	l->stop = true;
	pthread_cond_broadcast(&m->want);
	pthread_mutex_unlock(&m->lock);
	pthread_join(l->flusher, NULL);
	l->runs = false;
}

static void mirror_free(struct mirror *m)
{
	for (unsigned int i = 0; i < m->n; i++)
		mirror_flusher_stop(&m->leg[i]);
	mirror_heal_stop(m);
	for (unsigned int i = 0; i < m->n; i++)
		free(m->leg[i].name);
	pthread_mutex_destroy(&m->changing);
	pthread_cond_destroy(&m->flushed);
	pthread_cond_destroy(&m->want);
	pthread_cond_destroy(&m->work);
	pthread_mutex_destroy(&m->lock);
	pthread_mutex_destroy(&m->telling);
	free(m);
}

static void mirror_close(struct eng_dev *dev)
{
	struct mirror *m = mirror_of(dev);
	struct eng_dev *leg[ENG_MIRROR_MAX];
	unsigned int n = m->n;

	for (unsigned int i = 0; i < n; i++)
		leg[i] = m->leg[i].dev;
	if (m->owner.close)
		m->owner.close(m->owner.arg);
	mirror_free(m);
	for (unsigned int i = 0; i < n; i++)
		eng_dev_close(leg[i]);
}

static const struct eng_dev_ops mirror_ops = {
	.submit = mirror_submit,
	.room = room,
	.flush = mirror_flush,
	.discard = mirror_discard,
	.drop_caches = mirror_drop_caches,
	.bypass = mirror_bypass,
	.set_tags = mirror_set_tags,
	.stats = mirror_stats,
	.byte_of = mirror_byte_of,
	.audit = mirror_audit,
	.reopen = mirror_reopen,
	.begin_writes = mirror_begin_writes,
	.close = mirror_close,
};

/* ---- making one --------------------------------------------------------- */

/* What all of them can do. */
static int set_geometry(struct mirror *m, const struct eng_mirror_how *how)
{
	struct eng_geometry *geo = &m->dev.geo;

	*geo = *eng_dev_geometry(how->leg[0]);
	geo->backend = "mirror";
	for (unsigned int i = 1; i < how->n; i++) {
		const struct eng_geometry *g = eng_dev_geometry(how->leg[i]);
		const char *what = eng_profile_differs(g->profile,
						       geo->profile);

		if (what) {
			eng_log(LOG_ERR, "%s is %s and %s is %s: legs of a "
				"mirror are alike, and these differ in: %s",
				how->name[i], g->profile->name, how->name[0],
				geo->profile->name, what);
			return -EINVAL;
		}
		eng_dev_set_tags(how->leg[i], geo->profile->tags);
		if (g->intervals < geo->intervals)
			geo->intervals = g->intervals;
		if (g->max_io < geo->max_io)
			geo->max_io = g->max_io;
		if (g->align > geo->align)
			geo->align = g->align;
		geo->shared |= g->shared;
	}
	if (how->intervals && how->intervals < geo->intervals)
		geo->intervals = how->intervals;
	return 0;
}

int mirror_flusher_start(struct mirror_leg *l)
{
	sigset_t all, old;
	int err;

	l->want = l->done = 0;
	l->err = 0;
	l->stop = false;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = -pthread_create(&l->flusher, NULL, flusher, l);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	l->runs = !err;
	return err;
}

static int start(struct mirror *m)
{
	int err = mirror_heal_start(m);

	for (unsigned int i = 0; i < m->n && !err; i++)
		err = mirror_flusher_start(&m->leg[i]);
	return err;
}

static int set_up(struct mirror *m, const struct eng_mirror_how *how)
{
	int err = set_geometry(m, how);

	for (unsigned int i = 0; i < how->n && !err; i++) {
		struct mirror_leg *l = &m->leg[i];

		l->dev = how->leg[i];
		l->m = m;
		l->name = strdup(how->name[i]);
		m->kind[i] = l->dev->ops->room;
		atomic_init(&l->state, how->behind & 1u << i ?
			    ENG_LEG_BEHIND : ENG_LEG_CURRENT);
		m->n = i + 1;
		err = l->name ? 0 : -ENOMEM;
	}
	if (!err)
		err = start(m);
	if (!err)
		err = eng_dev_init(&m->dev);
	if (!err)	/* (2) */
		eng_dev_enable(&m->dev, ENG_READ, false);
	return err;
}

int eng_mirror_create(struct eng_dev **out, const struct eng_mirror_how *how)
{
	struct mirror *m = calloc(1, sizeof(*m));
	int err;

	*out = NULL;
	if (!m)
		return -ENOMEM;
	m->dev.ops = &mirror_ops;
	m->dev.pool = how->pool;
	atomic_init(&m->rdonly, how->rdonly);
	m->now = how->now;
	pthread_mutex_init(&m->lock, NULL);
	pthread_mutex_init(&m->telling, NULL);
	pthread_mutex_init(&m->changing, NULL);
	for (unsigned int i = 0; i < ENG_MIRROR_MAX; i++)
		atomic_init(&m->leg[i].state, ENG_LEG_LOST);
	pthread_cond_init(&m->work, NULL);
	pthread_cond_init(&m->want, NULL);
	pthread_cond_init(&m->flushed, NULL);
	err = set_up(m, how);
	if (err)
		mirror_free(m);
	else
		*out = &m->dev;
	return err;
}

/* ---- asked from outside ------------------------------------------------- */

void eng_mirror_own(struct eng_dev *dev, const struct eng_mirror_owner *owner)
{
	mirror_of(dev)->owner = *owner;
}

unsigned int eng_mirror_legs(const struct eng_dev *dev)
{
	return dev->ops == &mirror_ops ? mirror_of(dev)->n : 0;
}

void *eng_mirror_owner(const struct eng_dev *dev)
{
	return eng_mirror_legs(dev) ? mirror_of(dev)->owner.arg : NULL;
}

struct eng_dev *eng_mirror_leg(const struct eng_dev *dev, unsigned int i)
{
	return mirror_of(dev)->leg[i].dev;
}

const char *eng_mirror_name(const struct eng_dev *dev, unsigned int i)
{
	return mirror_of(dev)->leg[i].name;
}

enum eng_leg_state eng_mirror_state(const struct eng_dev *dev, unsigned int i)
{
	return mirror_state(mirror_of(dev), i);
}

void eng_mirror_count(const struct eng_dev *dev, unsigned int i,
		      struct eng_leg_count *out)
{
	struct mirror_leg *l = &mirror_of(dev)->leg[i];

	*out = (struct eng_leg_count){
		.reads = atomic_load(&l->reads),
		.writes = atomic_load(&l->writes),
		.bad = atomic_load(&l->bad), .errors = atomic_load(&l->errors),
		.healed = atomic_load(&l->healed),
		.copied = atomic_load(&l->copied),
		.inflight = atomic_load(&l->inflight),
		.nanos = atomic_load(&l->nanos),
	};
}

void eng_mirror_rewrite(struct eng_dev *dev)
{
	atomic_store(&mirror_of(dev)->rdonly, false);
}

void eng_mirror_catch_up(struct eng_dev *dev, unsigned int i)
{
	struct mirror *m = mirror_of(dev);

	pthread_mutex_lock(&m->lock);
	if (mirror_state(m, i) == ENG_LEG_BEHIND)
		atomic_store(&m->leg[i].state, ENG_LEG_CURRENT);
	pthread_mutex_unlock(&m->lock);
}

bool eng_mirror_lose(struct eng_dev *dev, unsigned int i, int err)
{
	return mirror_lose(mirror_of(dev), i, err, "write");
}
