/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* inject.c - faults on purpose, for programs that test their own handling.
 * It is the hook of a device, and returns verdicts: it ends no request.
 *  (1) A device without rules pays one load per request.
 *  (2) Of the rules that apply to a request, the first does, alone.
 *  (3) Wrong bytes go to the medium (write) or to the caller (read).
 *      A write's data, tuples and start are the caller's again when end()
 *      runs; its data were never touched.
 *  (4) All choices come from one seed, under the lock: the same requests in
 *      the same order meet the same faults. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core/dev.h"
#include "core/tuple.h"

struct rule {
	struct eng_inject_rule r;
	struct rule	*next;
	unsigned int	left;		/* if r.times */
};

struct eng_injector {
	struct eng_hook	hook;		/* first */
	pthread_mutex_t	lock;
	struct rule	*rules;		/* lock */
	struct rule	**tail;		/* lock */
	uint64_t	seed;		/* lock; never 0 */
	uint64_t	hits;		/* lock */
};

/* What was decided for a request, and what to put back. */
struct eng_undo {
	struct eng_inject_rule r;
	uint32_t	at;		/* interval of the request */
	uint64_t	start;
	uint8_t		tuple[16];
	struct iovec	*iov;		/* NULL: no bounce */
	void		*base;
};

/* ---- choosing --------------------------------------------------------- */

/* (4): xorshift, its high bits. */
static uint32_t dice_locked(struct eng_injector *j, uint64_t sides)
{
	j->seed ^= j->seed << 13;
	j->seed ^= j->seed >> 7;
	j->seed ^= j->seed << 17;
	return (uint32_t)((j->seed >> 32) % sides);
}

static bool spend_locked(struct eng_injector *j, struct rule *rule)
{
	if (rule->r.times && !rule->left)
		return false;
	if (rule->r.chance > 1 && dice_locked(j, rule->r.chance))
		return false;
	rule->left -= rule->r.times != 0;
	j->hits++;
	return true;
}

/* Which interval of the request, if any, is one of the rule's. */
static bool applies_locked(struct eng_injector *j, struct rule *rule,
			   const struct eng_io *io, uint32_t *at)
{
	const struct eng_inject_rule *r = &rule->r;
	uint64_t first = io->start, end = io->start + io->count;

	if (r->kind == ENG_INJECT_FLUSH || r->op != io->op)
		return false;
	if (r->count) {
		if (first < r->start)
			first = r->start;
		if (end > r->start + r->count)
			end = r->start + r->count;
	}
	if (first >= end || !spend_locked(j, rule))
		return false;
	*at = (uint32_t)(first - io->start);
	if (end - first > 1)
		*at += dice_locked(j, end - first);
	return true;
}

static bool choose(struct eng_injector *j, const struct eng_io *io,
		   struct eng_undo *u)
{
	struct rule *rule;

	pthread_mutex_lock(&j->lock);
	for (rule = j->rules; rule; rule = rule->next)
		if (applies_locked(j, rule, io, &u->at)) {
			u->r = rule->r;		/* (2) */
			break;
		}
	pthread_mutex_unlock(&j->lock);
	return rule;
}

/* ---- doing ------------------------------------------------------------ */

static uint8_t *tuple_of(const struct eng_io *io, uint32_t at)
{
	const struct eng_profile *p = io->dev->geo.profile;

	return io->tuples + (size_t)at * p->meta_size + p->pi_offset;
}

static void flip(uint8_t *p, size_t size, uint32_t bit)
{
	bit %= size * 8;
	p[bit / 8] ^= (uint8_t)(1 << bit % 8);
}

static void spoil_tuple(const struct eng_io *io, const struct eng_undo *u)
{
	const struct eng_profile *p = io->dev->geo.profile;
	unsigned int app = eng_app_at(p), ref = eng_ref_at(p);
	uint8_t *tuple = tuple_of(io, u->at);

	switch (u->r.kind) {
	case ENG_INJECT_GUARD:
		flip(tuple, app, u->r.bit);
		break;
	case ENG_INJECT_APP:
		flip(tuple + app, 2, u->r.bit);
		break;
	case ENG_INJECT_REF:
		flip(tuple + ref, p->pi_size - ref, u->r.bit);
		break;
	case ENG_INJECT_ESCAPE:
		memset(tuple, 0xff, p->pi_size);
		break;
	default:
		break;
	}
}

/* The segment that interval at is in, and how far. */
static struct iovec *segment_of(const struct eng_io *io, uint32_t at,
				size_t *off)
{
	struct iovec *iov = io->iov;

	*off = (size_t)at * io->dev->geo.profile->interval;
	for (; *off >= iov->iov_len; iov++)
		*off -= iov->iov_len;
	return iov;
}

/* (3): a write goes out from a copy. */
static int spoil_write_data(struct eng_io *io, struct eng_undo *u)
{
	size_t off, interval = io->dev->geo.profile->interval;
	struct iovec *iov = segment_of(io, u->at, &off);
	void *copy;

	if (posix_memalign(&copy, 4096, iov->iov_len))
		return -ENOMEM;
	memcpy(copy, iov->iov_base, iov->iov_len);
	flip((uint8_t *)copy + off, interval, u->r.bit);
	u->base = iov->iov_base;
	u->iov = iov;
	iov->iov_base = copy;
	return 0;
}

static void misdirect(struct eng_io *io, const struct eng_undo *u)
{
	uint64_t last = io->dev->geo.intervals - io->count;

	io->start = u->r.to < last ? u->r.to : last;
}

static int spoil_before(struct eng_io *io, struct eng_undo *u)
{
	u->start = io->start;
	memcpy(u->tuple, tuple_of(io, u->at), io->dev->geo.profile->pi_size);
	if (u->r.kind == ENG_INJECT_MISDIRECT)
		misdirect(io, u);
	else if (io->op == ENG_READ)
		return 0;
	else if (u->r.kind == ENG_INJECT_DATA)
		return spoil_write_data(io, u);
	else
		spoil_tuple(io, u);
	return 0;
}

static bool inject_begin(struct eng_hook *hook, struct eng_io *io, int *err)
{
	struct eng_undo *u, chosen = { .iov = NULL };

	*err = 0;
	if (!choose((struct eng_injector *)hook, io, &chosen))
		return true;
	if (chosen.r.kind == ENG_INJECT_FAIL)
		*err = chosen.r.err;
	if (chosen.r.kind == ENG_INJECT_FAIL ||
	    chosen.r.kind == ENG_INJECT_LOSE)
		return false;
	u = malloc(sizeof(*u));
	if (!u) {
		*err = -ENOMEM;
		return false;
	}
	*u = chosen;
	*err = spoil_before(io, u);
	if (*err) {
		free(u);
		return false;
	}
	io->undo = u;
	return true;
}

static void spoil_after(struct eng_io *io, const struct eng_undo *u)
{
	struct iovec *iov;
	size_t off;

	if (u->r.kind != ENG_INJECT_DATA) {
		spoil_tuple(io, u);
		return;
	}
	iov = segment_of(io, u->at, &off);
	flip((uint8_t *)iov->iov_base + off, io->dev->geo.profile->interval,
	     u->r.bit);
}

static void inject_end(struct eng_hook *hook, struct eng_io *io, int err)
{
	struct eng_undo *u = io->undo;

	(void)hook;
	io->undo = NULL;
	io->start = u->start;
	if (u->iov) {
		free(u->iov->iov_base);
		u->iov->iov_base = u->base;
	}
	if (io->op == ENG_WRITE)	/* (3) */
		memcpy(tuple_of(io, u->at), u->tuple,
		       io->dev->geo.profile->pi_size);
	else if (!err)
		spoil_after(io, u);
	free(u);
}

static int inject_flush(struct eng_hook *hook)
{
	struct eng_injector *j = (struct eng_injector *)hook;
	int err = 0;

	pthread_mutex_lock(&j->lock);
	for (struct rule *rule = j->rules; rule && !err; rule = rule->next)
		if (rule->r.kind == ENG_INJECT_FLUSH && spend_locked(j, rule))
			err = rule->r.err;
	pthread_mutex_unlock(&j->lock);
	return err;
}

/* ---- rules ------------------------------------------------------------ */

static void inject_free(struct eng_hook *hook)
{
	struct eng_injector *j = (struct eng_injector *)hook;

	while (j->rules) {
		struct rule *rule = j->rules;

		j->rules = rule->next;
		free(rule);
	}
	pthread_mutex_destroy(&j->lock);
	free(j);
}

static struct eng_injector *injector_create(void)
{
	struct eng_injector *j = calloc(1, sizeof(*j));

	if (!j)
		return NULL;
	j->hook = (struct eng_hook){
		.begin = inject_begin, .end = inject_end,
		.flush = inject_flush, .free = inject_free,
	};
	pthread_mutex_init(&j->lock, NULL);
	j->tail = &j->rules;
	j->seed = 1;
	return j;
}

static struct eng_injector *injector_of(const struct eng_dev *dev)
{
	return (struct eng_injector *)eng_dev_hook(dev);
}

/* Once there, it stays until the device is closed: requests use it. */
static struct eng_injector *injector_get(struct eng_dev *dev)
{
	struct eng_hook *old = eng_dev_hook(dev);
	struct eng_injector *j;

	if (old)
		return (struct eng_injector *)old;
	j = injector_create();
	if (j && !__atomic_compare_exchange_n(&dev->hook, &old, &j->hook,
					      false, __ATOMIC_ACQ_REL,
					      __ATOMIC_ACQUIRE)) {
		inject_free(&j->hook);
		j = (struct eng_injector *)old;
	}
	return j;
}

static bool rule_is_possible(const struct eng_dev *dev,
			     const struct eng_inject_rule *r)
{
	uint64_t size = dev->geo.intervals;

	if (r->start > size || r->count > size - r->start)
		return false;
	switch (r->kind) {
	case ENG_INJECT_FAIL:
	case ENG_INJECT_FLUSH:
		return r->err < 0;
	case ENG_INJECT_LOSE:
		return r->op == ENG_WRITE;
	case ENG_INJECT_MISDIRECT:
		return r->to < size;
	case ENG_INJECT_REF:
	case ENG_INJECT_GUARD:
	case ENG_INJECT_APP:
	case ENG_INJECT_DATA:
	case ENG_INJECT_ESCAPE:
		return r->op == ENG_READ || r->op == ENG_WRITE;
	}
	return false;
}

int eng_inject_add(struct eng_dev *dev, const struct eng_inject_rule *r)
{
	struct eng_injector *j;
	struct rule *rule;

	if (!rule_is_possible(dev, r))
		return -EINVAL;
	j = injector_get(dev);
	rule = j ? calloc(1, sizeof(*rule)) : NULL;
	if (!rule)
		return -ENOMEM;
	rule->r = *r;
	rule->left = r->times;
	pthread_mutex_lock(&j->lock);
	*j->tail = rule;
	j->tail = &rule->next;
	pthread_mutex_unlock(&j->lock);
	return 0;
}

void eng_inject_clear(struct eng_dev *dev)
{
	struct eng_injector *j = injector_of(dev);
	struct rule *rule, *next;

	if (!j)
		return;
	pthread_mutex_lock(&j->lock);
	rule = j->rules;
	j->rules = NULL;
	j->tail = &j->rules;
	pthread_mutex_unlock(&j->lock);
	for (; rule; rule = next) {
		next = rule->next;
		free(rule);
	}
}

int eng_inject_seed(struct eng_dev *dev, uint64_t seed)
{
	struct eng_injector *j = injector_get(dev);

	if (!j)
		return -ENOMEM;
	pthread_mutex_lock(&j->lock);
	j->seed = seed * 2 + 1;
	pthread_mutex_unlock(&j->lock);
	return 0;
}

uint64_t eng_inject_hits(struct eng_dev *dev)
{
	struct eng_injector *j = injector_of(dev);
	uint64_t hits;

	if (!j)
		return 0;
	pthread_mutex_lock(&j->lock);
	hits = j->hits;
	pthread_mutex_unlock(&j->lock);
	return hits;
}
