/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* leg.c - one leg of a mirror: its part of a request, and how it is doing.
 *  (1) A leg's part has tuples of its own: another start on the disk means
 *      other reference tags, and kernels write into what they are given.
 *  (2) Its memory comes with the request, so no leg lacks any later.
 *  (3) The last leg that has everything is never given up: what fails there
 *      fails.
 *  (4) Only where a caller says what must be there is something else bad.  Who
 *      does not know may look where nothing was ever written. */
#include <errno.h>
#include <string.h>
#include <syslog.h>

#include "core/clock.h"
#include "core/tuple.h"
#include "mirror/mirror_priv.h"

#define ALIGN		512u	/* the strictest seen for metadata */
#define FORGET		64u	/* of a leg not asked, after so many reads */
#define PART		(2u << 20)	/* bytes: no page of tuples is in two */
#define FAR		2u	/* as slow as another, at least */

static size_t up(size_t n, size_t to)
{
	return (n + to - 1) / to * to;
}

static size_t room_of(const struct eng_dev *dev, uint32_t count,
		      unsigned int segs)
{
	return dev->ops->room ? dev->ops->room(dev, count, segs) : 0;
}

/* A leg's part: its tuples and segments, itself, and what its device wants. */
static size_t part_of(const struct mirror *m, uint32_t count,
		      unsigned int segs, size_t priv)
{
	size_t tuples = up((size_t)count * m->dev.geo.profile->meta_size, 64);

	return up(tuples + up(segs * sizeof(struct iovec), 64) +
		  up(sizeof(struct eng_io), 16) + priv, ALIGN);
}

/* (2)  As many as there may be, of the kind that wants most. */
size_t mirror_room(const struct mirror *m, uint32_t count, unsigned int segs)
{
	size_t most = 0;

	for (unsigned int i = 0; i < m->n; i++) {
		size_t room = room_of(m->leg[i].dev, count, segs);

		most = room > most ? room : most;
	}
	return ENG_MIRROR_MAX * part_of(m, count, segs, most) + ALIGN;
}

void mirror_place(const struct mirror *m, struct mirror_io *mio,
		  uint32_t count, unsigned int segs)
{
	size_t tuples = up((size_t)count * m->dev.geo.profile->meta_size, 64);
	size_t self = tuples + up(segs * sizeof(struct iovec), 64);
	uint8_t *at = (uint8_t *)up((uintptr_t)(mio + 1), ALIGN);

	for (unsigned int i = 0; i < m->n; i++) {
		struct eng_io *c;

		if (mirror_state(m, i) == ENG_LEG_LOST)
			continue;
		c = mio->child[i] = (struct eng_io *)(at + self);
		memset(c, 0, sizeof(*c));
		c->tuples = at;
		c->iov = (struct iovec *)(at + tuples);
		c->priv = at + self + up(sizeof(*c), 16);
		at += part_of(m, count, segs,
			      room_of(m->leg[i].dev, count, segs));
	}
}

/* (1) */
static void copy_tuples(const struct eng_io *io, struct eng_io *c)
{
	memcpy(c->tuples, io->tuples, (size_t)io->count *
	       io->dev->geo.profile->meta_size);
	if (c->dev->ref_base && io->dev->geo.profile->type != 3)
		eng_io_restore_refs(c);
}

struct eng_io *mirror_child(struct mirror_io *mio, unsigned int i)
{
	struct eng_io *io = mio->io, *c = mio->child[i];
	struct eng_io keep = *c;

	*c = (struct eng_io){
		.dev = mio->m->leg[i].dev, .tags = io->tags, .op = io->op,
		.flags = io->flags & ~(unsigned int)(ENG_IO_LEGS | ENG_IO_HERE),
		.start = io->start, .iov = keep.iov, .niov = io->niov,
		.max_iov = io->niov, .count = io->count,
		.max_count = io->count, .tuples = keep.tuples,
		.priv = keep.priv, .users = 1, .arg = mio,
	};
	memcpy(c->iov, io->iov, io->niov * sizeof(*c->iov));
	if (io->op == ENG_WRITE) {
		copy_tuples(io, c);
		c->flags |= ENG_IO_PROTECTED;
	}
	return c;
}

/* Reference tags are those of the mirror's own intervals. */
void mirror_take(struct eng_io *io, uint32_t at, const struct eng_io *c)
{
	const struct eng_profile *p = io->dev->geo.profile;
	uint64_t base = c->dev->ref_base;

	memcpy(io->tuples + (size_t)at * p->meta_size, c->tuples,
	       (size_t)c->count * p->meta_size);
	for (uint32_t k = at; base && p->type != 3 && k < at + c->count; k++) {
		uint8_t *meta = io->tuples + (size_t)k * p->meta_size;

		if (!eng_tuple_escapes(p, meta) &&
		    eng_tuple_in_place(p, meta, base + io->start + k))
			eng_tuple_set_ref(p, meta, io->start + k);
	}
}

enum eng_leg_state mirror_state(const struct mirror *m, unsigned int i)
{
	return (enum eng_leg_state)atomic_load(&m->leg[i].state);
}

bool mirror_unjudged(const struct eng_io *io)
{
	return io->flags & (ENG_IO_TAGS_OUT | ENG_IO_PROTECTED);
}

bool mirror_all_legs(const struct eng_io *io)
{
	return io->flags & ENG_IO_LEGS && !(io->flags & ENG_IO_PROTECTED);
}

uint64_t mirror_now(const struct mirror *m)
{
	return m->now ? m->now() : eng_now_ns();
}

/* How long a read there would take, as far as is known. */
static uint64_t wait_of(const struct mirror_leg *l)
{
	return (atomic_load(&l->inflight) + 1ull) *
		(atomic_load(&l->nanos) + 1000);
}

/* Each part of the device has a leg of its own, so that what a leg keeps in
 * memory for it (the tuples of a container) is not read and kept twice.  It is
 * asked unless it is the slower one by far: a leg that is has more of its reads
 * under way, and each of them counts for longer; who is not asked is forgiven
 * with time.  What nobody can judge always goes to the same leg: it may be that
 * two have different things there, and both are right. */
unsigned int mirror_pick(struct mirror *m, const struct eng_io *io)
{
	uint64_t part = io->start * io->dev->geo.profile->interval / PART;
	uint64_t least = UINT64_MAX, wait, old;
	unsigned int best = m->n;

	for (unsigned int k = 0; k < m->n; k++) {
		unsigned int i = mirror_unjudged(io) ? k : (part + k) % m->n;

		if (mirror_state(m, i) != ENG_LEG_CURRENT)
			continue;
		if (mirror_unjudged(io))
			return i;
		wait = wait_of(&m->leg[i]) * (best == m->n ? 1 : FAR);
		if (wait < least) {
			least = wait;
			best = i;
		}
	}
	for (unsigned int i = 0; i < m->n; i++) {
		old = atomic_load(&m->leg[i].nanos);
		if (i != best)
			atomic_store(&m->leg[i].nanos, old - old / FORGET);
	}
	return best;
}

/* (4) */
void mirror_note_read(struct mirror *m, unsigned int i,
		      const struct eng_io *c, uint64_t began)
{
	struct mirror_leg *l = &m->leg[i];
	uint64_t took = mirror_now(m) - began, old = atomic_load(&l->nanos);
	int err = c->err;

	atomic_fetch_sub(&l->inflight, 1);
	atomic_store(&l->nanos, old ? old - old / 8 + took / 8 : took);
	if (err == -EBADMSG || err == -EILSEQ)
		atomic_fetch_add(&l->bad, !mirror_unjudged(c));
	else if (err && err != -ENOMEM)
		atomic_fetch_add(&l->errors, 1);
}

/* (3) */
bool mirror_drop(struct mirror *m, unsigned int i, bool *was)
{
	bool spare;

	pthread_mutex_lock(&m->lock);
	*was = mirror_state(m, i) == ENG_LEG_LOST;
	spare = *was || mirror_state(m, i) == ENG_LEG_BEHIND;
	for (unsigned int k = 0; k < m->n; k++)
		spare |= k != i && mirror_state(m, k) == ENG_LEG_CURRENT;
	if (spare && !*was) {
		atomic_store(&m->leg[i].state, ENG_LEG_LOST);
		m->news |= 1u << i;
	}
	pthread_mutex_unlock(&m->lock);
	return spare;
}

bool mirror_lose(struct mirror *m, unsigned int i, int err, const char *what)
{
	bool was, spare = mirror_drop(m, i, &was);

	if (spare && !was)
		eng_log(LOG_CRIT, "%s: a %s failed: %s; it is no longer used",
			m->leg[i].name, what, strerror(-err));
	return spare;
}

unsigned int mirror_enter(struct mirror *m)
{
	unsigned int half = atomic_load(&m->half) & 1;

	atomic_fetch_add(&m->begun[half], 1);
	return half;
}

void mirror_leave(struct mirror *m, unsigned int half)
{
	atomic_fetch_sub(&m->begun[half], 1);
}

void mirror_done(struct mirror_io *mio, int err)
{
	struct eng_io *io = mio->io;

	mirror_leave(mio->m, mio->half);
	eng_io_done(io, err);
}
