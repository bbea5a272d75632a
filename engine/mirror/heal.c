/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* heal.c - what takes more than one leg: a read that another one must answer,
 * and what is put right of it.
 *  (1) It is done on a thread of its own, which may wait, before the request
 *      ends: whoever reads keeps the place from being used for anything else
 *      as long.
 *  (2) Nothing is written that was not verified, and what was written is read
 *      again.
 *  (3) What no leg has right as a whole is put together from clusters, or what
 *      is as small, of any.  Where nobody says what must be there, nothing is rewritten but at the
 *      caller's wish.
 *  (4) A write that failed on some legs is tried there once more.  It succeeds
 *      if a leg with everything has it, and the others are lost. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "core/tuple.h"
#include "mirror/mirror_priv.h"

#define CHUNK_BYTES	(256u << 10)
#define GROUP		8u	/* tags that are judged together */
#define LINES		100u	/* per leg; then they are only counted */
#define ESCAPE		0xffff

typedef unsigned long long ull;

/* One leg's part of a request, looked at by itself. */
struct look {
	struct mirror_io *mio;
	unsigned int	leg, from;	/* to be put right, from that one */
	bool		behind;
	uint32_t	at, n;		/* of the request: this chunk */
	bool		bad[CHUNK_BYTES / 512 / GROUP];	/* see group_of() */
	struct eng_fault fault;		/* of the first */
	int		err;
};

/* ---- one chunk ---------------------------------------------------------- */

/* The data of n intervals of the request; in: from the buffer to there. */
static void copy(const struct eng_io *io, uint32_t at, uint32_t n,
		 uint8_t *buf, bool in)
{
	uint32_t size = io->dev->geo.profile->interval;
	size_t skip = (size_t)at * size, left = (size_t)n * size;

	for (unsigned int i = 0; i < io->niov && left; i++) {
		size_t len = io->iov[i].iov_len, take;
		uint8_t *data;

		if (skip >= len) {
			skip -= len;
			continue;
		}
		take = len - skip < left ? len - skip : left;
		data = (uint8_t *)io->iov[i].iov_base + skip;
		memcpy(in ? data : buf, in ? buf : data, take);
		buf += take;
		left -= take;
		skip = 0;
	}
}

/* Those of io from its interval at on, for all of c. */
static void copy_tags(struct eng_io *c, const struct eng_io *io, uint32_t at)
{
	size_t per = io->dev->geo.profile->tags;

	memcpy(c->tags, io->tags + at * per,
	       c->max_count * per * sizeof(*c->tags));
}

static int move(struct look *lk, enum eng_op op, uint32_t at, uint32_t n,
		uint8_t *buf, struct eng_io **out)
{
	struct eng_io *io = lk->mio->io, *c;

	c = eng_io_get_wait(lk->mio->m->leg[lk->leg].dev, n, 1);
	*out = c;
	if (!c)
		return -ENOMEM;
	c->op = op;
	c->start = io->start + at;
	if (op == ENG_WRITE)
		copy_tags(c, io, at);
	eng_io_add(c, buf, (size_t)n * io->dev->geo.profile->interval);
	c->flags = op == ENG_WRITE ? 0 : ENG_IO_PROTECTED | ENG_IO_MEDIUM;
	return eng_io_run(c);
}

/* An interval of which nothing is known can't be given to another leg. */
static bool is_known(const struct eng_io *io, uint32_t at, uint32_t n)
{
	unsigned int per = io->dev->geo.profile->tags;

	while (n && io->tags[(size_t)at * per] != ESCAPE)
		at++, n--;
	return !n;
}

/* Groups begin where clusters may, and chunks do. */
static uint32_t group(const struct eng_io *io)
{
	return GROUP / io->dev->geo.profile->tags;
}

static unsigned int group_of(const struct look *lk, uint32_t k)
{
	uint64_t first = lk->mio->io->start + lk->at;
	uint32_t size = group(lk->mio->io);

	return (unsigned int)((first % size + k) / size);
}

/* Intervals from k to the end of its group. */
static uint32_t group_left(const struct look *lk, uint32_t k)
{
	uint64_t first = lk->mio->io->start + lk->at;
	uint32_t size = group(lk->mio->io);
	uint32_t n = size - (uint32_t)((first + k) % size);

	return n < lk->n - k ? n : lk->n - k;
}

/* n intervals from k on, which c read as its j-th and on. */
static bool is_good(struct look *lk, const struct eng_io *c, uint32_t j,
		    uint32_t k, uint32_t n)
{
	struct mirror *m = lk->mio->m;
	const struct eng_profile *p = m->dev.geo.profile;
	size_t skip = (size_t)k * p->interval;
	struct eng_fault fault;
	int err = eng_verify(p, m->found + skip,
			     c->tuples + (size_t)j * p->meta_size, n,
			     c->dev->ref_base + c->start + j,
			     lk->mio->io->tags + (size_t)(lk->at + k) * p->tags,
			     &fault);

	if (!err)
		return !memcmp(m->found + skip, m->good + skip,
			       (size_t)n * p->interval);
	if (!lk->err) {
		lk->err = err;
		lk->fault = fault;
		lk->fault.interval -= c->dev->ref_base;
	}
	return false;
}

/* What the leg has of the chunk from k on; false: no memory. */
static bool judge(struct look *lk, uint32_t k, uint32_t n)
{
	struct mirror *m = lk->mio->m;
	size_t skip = (size_t)k * m->dev.geo.profile->interval;
	bool enough = true;
	struct eng_io *c;
	uint32_t g;
	int err = move(lk, ENG_READ, lk->at + k, n, m->found + skip, &c);

	if (err == -ENOMEM) {
		eng_io_put(c);
		return false;
	}
	for (uint32_t j = 0; j < n && enough; j += g) {
		g = group_left(lk, k + j);
		if (err && g < n) {	/* each by itself */
			enough = judge(lk, k + j, g);
			continue;
		}
		if (err && !lk->err)
			lk->err = err;
		lk->bad[group_of(lk, k + j)] =
			is_known(lk->mio->io, lk->at + k + j, g) &&
			(err || !is_good(lk, c, j, k + j, g));
	}
	eng_io_put(c);
	return enough;
}

static const char *source_of(const struct look *lk)
{
	struct mirror *m = lk->mio->m;

	return lk->from < m->n ? m->leg[lk->from].name : "other legs";
}

static void say(struct look *lk, uint32_t k, uint32_t n, bool healed)
{
	struct mirror *m = lk->mio->m;
	struct mirror_leg *l = &m->leg[lk->leg];
	uint64_t first = lk->mio->io->start + lk->at + k;
	uint64_t so_far = atomic_fetch_add(lk->behind ? &l->copied :
					   &l->healed, healed ? n : 0);

	if (lk->behind || so_far / group(lk->mio->io) > LINES)
		return;
	if (lk->err == -EBADMSG && lk->fault.kind != ENG_FAULT_NONE)
		eng_log(LOG_WARNING, "%s: intervals %llu-%llu are bad: %s "
			"check, expected 0x%llx, found 0x%llx; %s from %s",
			l->name, (ull)first, (ull)first + n - 1,
			eng_fault_name(lk->fault.kind),
			(ull)lk->fault.expected, (ull)lk->fault.actual,
			healed ? "rewritten" : "they can't be rewritten",
			source_of(lk));
	else
		eng_log(LOG_WARNING, "%s: intervals %llu-%llu are bad: %s; %s "
			"from %s", l->name, (ull)first, (ull)first + n - 1,
			lk->err ? strerror(-lk->err) : "other bytes, as good",
			healed ? "rewritten" : "they can't be rewritten",
			source_of(lk));
}

/* (2) */
static bool rewrite(struct look *lk, uint32_t k, uint32_t n)
{
	struct mirror *m = lk->mio->m;
	uint32_t size = m->dev.geo.profile->interval;
	int first = lk->err;
	bool good = true;
	struct eng_io *c;
	int err = move(lk, ENG_WRITE, lk->at + k, n, m->good +
		       (size_t)k * size, &c);

	eng_io_put(c);
	if (err && err != -ENOMEM)
		mirror_lose(m, lk->leg, err, "repair");
	if (err)
		return false;
	if (!judge(lk, k, n))
		return false;
	for (uint32_t i = 0; i < n; i += group_left(lk, k + i)) {
		good &= !lk->bad[group_of(lk, k + i)];
		lk->bad[group_of(lk, k + i)] = false;
	}
	if (first)
		lk->err = first;
	say(lk, k, n, good);
	return good;
}

static void note_bad(struct eng_io *io, unsigned int leg, uint32_t at,
		     uint32_t n)
{
	if (!io->bad_legs || at < io->bad_at)
		io->bad_at = at;
	if (!io->bad_legs || at + n > io->bad_end)
		io->bad_end = at + n;
	io->bad_legs |= 1u << leg;
}

/* All that is bad in a chunk, run by run. */
static void mend(struct look *lk)
{
	struct eng_io *io = lk->mio->io;
	uint32_t k = 0, n;

	while (k < lk->n) {
		for (n = 0; k + n < lk->n && lk->bad[group_of(lk, k + n)]; )
			n += group_left(lk, k + n);
		if (n && !lk->behind)
			note_bad(io, lk->leg, lk->at + k, n);
		if (n && rewrite(lk, k, n))
			io->healed += lk->behind ? 0 : n;
		k += n ? n : group_left(lk, k);
	}
}

/* The request has its data, verified; make the leg have them. */
static void heal(struct mirror_io *mio, unsigned int leg, unsigned int from)
{
	struct mirror *m = mio->m;
	struct eng_io *io = mio->io;
	struct look lk = { .mio = mio, .leg = leg, .from = from };
	uint32_t n;

	lk.behind = mirror_state(m, leg) == ENG_LEG_BEHIND;
	for (uint32_t at = 0; at < io->count; at += n) {
		if (mirror_state(m, leg) == ENG_LEG_LOST)
			return;
		n = m->chunk - (uint32_t)((io->start + at) % group(io));
		n = n < io->count - at ? n : io->count - at;
		lk.at = at;
		lk.n = n;
		lk.err = 0;
		lk.fault = (struct eng_fault){ .kind = ENG_FAULT_NONE };
		memset(lk.bad, 0, sizeof(lk.bad));
		copy(io, at, n, m->good, false);
		if (judge(&lk, 0, n))
			mend(&lk);
	}
}

/* ---- requests ----------------------------------------------------------- */

static int read_leg(struct mirror_io *mio, unsigned int i)
{
	struct eng_io *c = mirror_child(mio, i);
	uint64_t began = mirror_now(mio->m);
	int err;

	atomic_fetch_add(&mio->m->leg[i].reads, 1);
	atomic_fetch_add(&mio->m->leg[i].inflight, 1);
	err = eng_io_run(c);
	mirror_note_read(mio->m, i, c, began);
	return err;
}

/* n intervals, from whichever leg has them. */
static int read_piece(struct mirror_io *mio, uint32_t at, uint32_t n)
{
	struct mirror *m = mio->m;
	struct eng_io *io = mio->io;
	int err = -ENODEV;

	for (unsigned int i = 0; i < m->n && err; i++) {
		struct eng_io *c;

		if (mirror_state(m, i) != ENG_LEG_CURRENT)
			continue;
		c = eng_io_get_wait(m->leg[i].dev, n, 1);
		c->op = ENG_READ;
		c->flags = io->flags & ENG_IO_MEDIUM;
		c->start = io->start + at;
		eng_io_add(c, m->good, (size_t)n *
			   m->dev.geo.profile->interval);
		copy_tags(c, io, at);
		err = eng_io_run(c);
		if (!err) {
			copy(io, at, n, m->good, true);
			mirror_take(io, at, c);
		}
		io->fault = c->fault;
		eng_io_put(c);
	}
	return err;
}

static int read_pieces(struct mirror_io *mio)
{
	struct eng_io *io = mio->io;
	uint32_t n;
	int err = 0;

	for (uint32_t at = 0; at < io->count && !err; at += n) {
		n = group(io) - (uint32_t)((io->start + at) % group(io));
		n = n < io->count - at ? n : io->count - at;
		err = read_piece(mio, at, n);
	}
	return err;
}

/* Those that did not have it, or may not. */
static void heal_others(struct mirror_io *mio, unsigned int tried,
			unsigned int good)
{
	struct mirror *m = mio->m;

	for (unsigned int i = 0; i < m->n && !m->rdonly; i++)
		if (i != good && mirror_state(m, i) != ENG_LEG_LOST &&
		    (mirror_all_legs(mio->io) || (tried & 1u << i &&
					!mirror_unjudged(mio->io))))
			heal(mio, i, good);		/* (1), (3) */
}

/* Nobody looks closer at what is not rewritten. */
static void note_tried(struct mirror_io *mio, unsigned int tried)
{
	struct eng_io *io = mio->io;

	for (unsigned int i = 0; i < mio->m->n; i++) {
		const struct eng_io *c = mio->child[i];

		if (!(tried & 1u << i) || !c->err || c->err == -ENOMEM)
			continue;
		if (c->err == -EBADMSG)
			note_bad(io, i, (uint32_t)(c->fault.interval -
						   c->start), 1);
		else
			note_bad(io, i, 0, io->count);
	}
}

static void serve_read(struct mirror_io *mio)
{
	struct mirror *m = mio->m;
	struct eng_io *io = mio->io;
	int err = atomic_load(&mio->err), first = err;
	unsigned int tried = 1u << mio->leg, good = mio->leg;

	for (unsigned int i = 0; err && i < m->n; i++) {
		if (tried & 1u << i || !mio->child[i] ||
		    mirror_state(m, i) != ENG_LEG_CURRENT)
			continue;
		err = read_leg(mio, i);
		tried |= 1u << i;
		good = i;
	}
	if (!err) {
		mirror_take(io, 0, mio->child[good]);
	} else if (!mirror_unjudged(io) && io->count > 1) {
		err = read_pieces(mio);
		good = m->n;				/* all are bad */
		first = err;
	} else {
		io->fault = mio->child[mio->leg]->fault;
	}
	if (!err && m->rdonly && !mirror_unjudged(io))
		note_tried(mio, tried);
	else if (!err)
		heal_others(mio, tried, good);
	mirror_done(mio, err ? first : 0);
}

/* (4) */
static void serve_write(struct mirror_io *mio)
{
	struct mirror *m = mio->m;
	unsigned int failed = atomic_load(&mio->failed);
	unsigned int ok = atomic_load(&mio->ok);
	bool has = false;

	for (unsigned int i = 0; i < m->n; i++) {
		int err;

		if (!(failed & 1u << i) || mirror_state(m, i) == ENG_LEG_LOST)
			continue;
		err = eng_io_run(mirror_child(mio, i));
		if (err)
			mirror_lose(m, i, err, "write");
		else
			ok |= 1u << i;
	}
	for (unsigned int i = 0; i < m->n; i++)
		has |= ok & 1u << i && mirror_state(m, i) == ENG_LEG_CURRENT;
	mirror_done(mio, has ? 0 : atomic_load(&mio->err));
}

static struct mirror_io *next(struct mirror *m)
{
	struct mirror_io *mio;

	pthread_mutex_lock(&m->lock);
	while (!m->head && !m->stop)
		pthread_cond_wait(&m->work, &m->lock);
	mio = m->head;
	if (mio) {
		m->head = mio->next;
		if (!m->head)
			m->tail = &m->head;
	}
	pthread_mutex_unlock(&m->lock);
	return mio;
}

static void *work(void *arg)
{
	struct mirror_io *mio;

	while ((mio = next(arg))) {
		if (mio->io->op == ENG_READ)
			serve_read(mio);
		else
			serve_write(mio);
	}
	return NULL;
}

void mirror_heal(struct mirror_io *mio)
{
	struct mirror *m = mio->m;

	mio->next = NULL;
	pthread_mutex_lock(&m->lock);
	*m->tail = mio;
	m->tail = &mio->next;
	pthread_cond_signal(&m->work);
	pthread_mutex_unlock(&m->lock);
}

int mirror_heal_start(struct mirror *m)
{
	uint32_t size = m->dev.geo.profile->interval;
	sigset_t all, old;
	int err;

	m->tail = &m->head;
	m->chunk = CHUNK_BYTES / size;
	if (m->chunk > m->dev.geo.max_io)
		m->chunk = m->dev.geo.max_io;
	m->found = aligned_alloc(4096, CHUNK_BYTES);
	m->good = aligned_alloc(4096, CHUNK_BYTES);
	if (!m->found || !m->good)
		return -ENOMEM;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&m->worker, NULL, work, m);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	m->works = !err;
	return -err;
}

void mirror_heal_stop(struct mirror *m)
{
	pthread_mutex_lock(&m->lock);
	m->stop = true;
	pthread_cond_broadcast(&m->work);
	pthread_mutex_unlock(&m->lock);
	if (m->works)
		pthread_join(m->worker, NULL);
	free(m->found);
	free(m->good);
}
