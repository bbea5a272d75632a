/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* dev_soft.c - the software container: open, close, format.
 *  (1) Format writes the two headers and nothing else: tuple pages of another
 *      id are blank.  Open reads no page.
 *  (2) What is there when it is opened for writing is made durable before it
 *      is read: a process that was killed leaves pages which the host's cache
 *      alone has, and the older ones, which alone are durable, would be
 *      overwritten next.
 *  (3) What was opened to be read and is to be written from now on is made
 *      durable then; pages are loaded anew, so that they know what to mend. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "soft/dev_soft.h"
#include "soft/soft_audit.h"
#include "soft/guess.h"
#include "soft/soft_io.h"
#include "soft/soft_pages.h"

#define SOFT_MAX_IO	(4u << 20)

typedef unsigned long long ull;

/* ---- open ------------------------------------------------------------- */

static int soft_flush_dev(struct eng_dev *dev)
{
	return soft_flush((struct soft *)dev);
}

static void soft_drop_caches(struct eng_dev *dev)
{
	struct soft *s = (struct soft *)dev;

	soft_drop(s);
	if (s->raw->ops->forget)
		s->raw->ops->forget(s->raw, 0, s->head.lay.size);
}

static ull stat_get(const uint64_t *counter)
{
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

static int soft_stats(struct eng_dev *dev, char *buf, size_t size)
{
	struct soft *s = (struct soft *)dev;
	const struct soft_stats *st = &s->stats;
	size_t pages, busy;

	pthread_mutex_lock(&s->lock);
	pages = s->pages;
	busy = s->busy;
	pthread_mutex_unlock(&s->lock);
	return snprintf(buf, size, "{\"backend\":\"soft\","
		"\"data_reads\":%llu,\"data_read_bytes\":%llu,"
		"\"data_writes\":%llu,\"data_write_bytes\":%llu,"
		"\"page_hits\":%llu,\"page_misses\":%llu,"
		"\"page_writes\":%llu,\"page_evictions\":%llu,"
		"\"pages\":%zu,\"pages_busy\":%zu,\"pages_max\":%zu,"
		"\"repairs\":%llu,\"interrupted\":%llu,"
		"\"flushes\":%llu,\"raw_writes\":%llu,"
		"\"raw_write_bytes\":%llu,\"raw_flushes\":%llu,"
		"\"discards\":%llu,\"throttled\":%llu}",
		stat_get(&st->data_reads), stat_get(&st->data_read_bytes),
		stat_get(&st->data_writes), stat_get(&st->data_write_bytes),
		stat_get(&st->page_hits), stat_get(&st->page_misses),
		stat_get(&st->page_writes), stat_get(&st->page_evictions),
		pages, busy, s->max,
		stat_get(&st->repairs), stat_get(&st->interrupted),
		stat_get(&st->flushes),
		stat_get(&st->raw_writes), stat_get(&st->raw_write_bytes),
		stat_get(&st->raw_flushes), stat_get(&st->discards),
		stat_get(&st->throttled));
}

static void soft_close(struct eng_dev *dev)
{
	struct soft *s = (struct soft *)dev;

	soft_stop(s);
	s->raw->ops->close(s->raw);
	soft_pages_exit(s);
	free(s);
}

static int soft_bypass(struct eng_dev *dev, enum eng_op op, uint64_t start,
		       void *buf, size_t bytes, const uint16_t *tags)
{
	struct soft *s = (struct soft *)dev;
	const struct soft_layout *l = &s->head.lay;
	uint64_t zone = start / l->zone_intervals;
	uint32_t first = (uint32_t)(start % l->zone_intervals);
	uint64_t count = bytes / l->profile->interval;

	(void)tags;	/* tuples are what it goes around */
	if (start >= l->intervals || count > soft_zone_count(l, zone) - first)
		return -EINVAL;
	if (op == ENG_WRITE && soft_rdonly(s))
		return -EROFS;
	return eng_raw_direct(s->raw, op == ENG_WRITE,
			      soft_data_off(l, zone, first), buf, bytes);
}

static uint64_t soft_byte_of(const struct eng_dev *dev, uint64_t interval)
{
	const struct soft *s = (const struct soft *)dev;
	const struct soft_layout *l = &s->head.lay;

	return soft_data_off(l, interval / l->zone_intervals,
			     interval % l->zone_intervals);
}

/* (2) */
static int soft_settle(struct soft *s)
{
	int err = s->raw->ops->flush(s->raw);

	if (err)
		eng_log(LOG_ERR, "%s: what is there can't be made durable: %s",
			s->raw->name, strerror(-err));
	return err;
}

/* Its header may say that a newer version may write, and we may not. */
static int soft_reopen(struct eng_dev *dev)
{
	struct soft *s = (struct soft *)dev;
	struct soft_head now;
	int err = s->raw->ops->reopen ? soft_pages_write_too(s) : -EOPNOTSUPP;

	if (!err)
		err = s->raw->ops->reopen(s->raw);
	if (!err)
		err = soft_head_find(s->raw, &now, false);
	if (err)
		s->raw->rdonly = true;
	return err;
}

/* (3) */
static int soft_begin_writes(struct eng_dev *dev)
{
	struct soft *s = (struct soft *)dev;
	int err = soft_settle(s);

	if (err)
		return err;
	__atomic_store_n(&s->rdonly, false, __ATOMIC_RELAXED);
	soft_drop(s);
	return 0;
}

static const struct eng_dev_ops soft_ops = {
	.submit = soft_submit,
	.room = soft_room,
	.flush = soft_flush_dev,
	.discard = soft_discard,
	.drop_caches = soft_drop_caches,
	.bypass = soft_bypass,
	.stats = soft_stats,
	.byte_of = soft_byte_of,
	.audit = soft_audit,
	.reopen = soft_reopen,
	.begin_writes = soft_begin_writes,
	.close = soft_close,
};

static void soft_set_up(struct soft *s, const struct eng_open *how)
{
	s->dev.ops = &soft_ops;
	s->dev.pool = how->pool;
	s->dev.geo.profile = s->head.lay.profile;
	s->dev.geo.intervals = s->head.lay.intervals;
	s->dev.geo.max_io = SOFT_MAX_IO / s->head.lay.profile->interval;
	s->dev.geo.align = 1;
	s->dev.geo.backend = "soft";
	s->dev.geo.image = s->head.compat & SOFT_COMPAT_IMAGE;
}

/* What is opened, or has to be found by its pages.  One that is cut short is
 * none that lost its headers, and what a newer version made is not guessed
 * at. */
static int soft_find(struct soft *s, const struct eng_open *how)
{
	bool rescue = how->flags & ENG_OPEN_RESCUE;
	int err = soft_head_find(s->raw, &s->head, rescue && soft_rdonly(s));

	if (!err || !rescue || s->head.cut || err == -ENOMEM ||
	    err == -EOPNOTSUPP)
		return err;
	return soft_head_guess(s->raw, &s->head, how->id);
}

int eng_soft_open(struct eng_dev **out, struct eng_raw *raw,
		  const struct eng_open *how)
{
	struct soft *s = calloc(1, sizeof(*s));
	int err;

	*out = NULL;
	if (!s)
		return -ENOMEM;
	s->raw = raw;
	s->rdonly = raw->rdonly || how->flags & ENG_OPEN_RDONLY;
	err = soft_rdonly(s) ? 0 : soft_settle(s);
	if (!err)
		err = soft_find(s, how);
	if (err)
		goto out_free;
	soft_set_up(s, how);
	err = soft_pages_init(s, how->cache);
	if (!err)
		err = eng_dev_init(&s->dev);
	if (err)
		goto out_pages;
	*out = &s->dev;
	return 0;

out_pages:
	soft_pages_exit(s);
out_free:
	free(s);
	return err;
}

/* ---- format ----------------------------------------------------------- */

/* Callers may count; a page whose id is mostly zeros would look blank. */
static uint64_t id_spread(uint64_t id)
{
	id += 0x9e3779b97f4a7c15ull;
	id = (id ^ id >> 30) * 0xbf58476d1ce4e5b9ull;
	id = (id ^ id >> 27) * 0x94d049bb133111ebull;
	return id ^ id >> 31;
}

int eng_soft_format_raw(struct eng_raw *raw, const struct eng_profile *p,
			uint64_t id)
{
	struct soft_head head = { .id = id_spread(id) };
	int err = soft_layout(&head.lay, p, raw->size);

	if (err) {
		eng_log(LOG_ERR, "%s: %llu bytes are too small for one zone",
			raw->name, (ull)raw->size);
		return err;
	}
	for (int copy = 1; copy >= 0 && !err; copy--) {
		err = soft_head_write(raw, &head, (unsigned int)copy);
		if (!err)
			err = raw->ops->flush(raw);
	}
	if (err)
		eng_log(LOG_ERR, "%s: writing the container headers: %s",
			raw->name, strerror(-err));
	return err;
}
