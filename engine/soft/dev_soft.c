/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* dev_soft.c - the software container: headers, layout, open and close.
 *  (1) Everything but profile and size follows from them, so the other
 *      fields of a header are checked against what must be there.
 *  (2) Copy 0 of the header is the container; copy 1 stands in for it when
 *      it is damaged.  A bad copy is rewritten by the next flush.  One
 *      with a good checksum and a bad content is no damage but a lie, and
 *      final.
 *  (3) Format writes the two headers and nothing else: tuple pages of
 *      another id are blank.  Open reads no page. */
#include <errno.h>
#include <isa-l/crc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "soft/soft_priv.h"

#define SOFT_MAX_IO	(4u << 20)

typedef unsigned long long ull;

uint32_t soft_crc(const void *buf, size_t len)
{
	return ~crc32_iscsi((unsigned char *)buf, (int)len, ~0u);
}

/* ---- layout ----------------------------------------------------------- */

int soft_layout(struct soft_layout *l, const struct eng_profile *p,
		uint64_t size)
{
	uint32_t run = eng_profile_run(p, 16), groups;
	uint64_t left;

	memset(l, 0, sizeof(*l));
	l->profile = p;
	l->group = run / p->interval;
	groups = SOFT_ROOM / p->meta_size / l->group;
	l->zone_intervals = groups * l->group;
	l->zone_bytes = SOFT_PAGES + (uint64_t)groups * run;
	l->size = size / SOFT_BLOCK * SOFT_BLOCK;
	if (l->size < 2 * SOFT_BLOCK)
		return -ENOSPC;
	left = l->size - 2 * SOFT_BLOCK;
	l->zones = left / l->zone_bytes;
	l->intervals = l->zones * l->zone_intervals;
	left %= l->zone_bytes;
	if (left >= SOFT_PAGES + run) {
		l->intervals += (left - SOFT_PAGES) / run * l->group;
		l->zones++;
	}
	return l->zones ? 0 : -ENOSPC;
}

int eng_soft_geometry(const struct eng_profile *p, uint64_t size,
		      struct eng_soft_geometry *out)
{
	struct soft_layout l;
	int err = soft_layout(&l, p, size);

	if (err)
		return err;
	out->intervals = l.intervals;
	out->overhead = size - l.intervals * p->interval;
	return 0;
}

/* ---- header: encode --------------------------------------------------- */

static uint8_t guard_encode(enum eng_guard guard)
{
	return guard == ENG_GUARD_CRC64 ? SOFT_GUARD_CRC64 :
	       guard == ENG_GUARD_IP ? SOFT_GUARD_IP : SOFT_GUARD_CRC16;
}

static void head_encode(struct soft_disk_head *disk,
			const struct soft_layout *l, uint64_t id,
			uint64_t compat, unsigned int copy)
{
	const struct eng_profile *p = l->profile;

	memset(disk, 0, sizeof(*disk));
	disk->magic = put_le64(SOFT_HEAD_MAGIC);
	disk->version = put_le32(SOFT_VERSION);
	disk->copy = put_le32(copy);
	disk->compat = put_le64(compat);
	disk->id = put_le64(id);
	disk->interval = put_le32(p->interval);
	disk->meta_size = put_le16(p->meta_size);
	disk->pi_offset = put_le16(p->pi_offset);
	disk->pi_size = p->pi_size;
	disk->type = p->type;
	disk->guard = guard_encode(p->guard);
	disk->zone_intervals = put_le32(l->zone_intervals);
	disk->zones = put_le64(l->zones);
	disk->intervals = put_le64(l->intervals);
	disk->size = put_le64(l->size);
	disk->crc = put_le32(soft_crc(disk, offsetof(struct soft_disk_head,
						     crc)));
}

static uint64_t head_off(const struct soft_layout *l, unsigned int copy)
{
	return copy ? l->size - SOFT_BLOCK : 0;
}

static int head_write(struct eng_raw *raw, const struct soft_layout *l,
		      uint64_t id, uint64_t compat, unsigned int copy)
{
	struct soft_disk_head *disk = aligned_alloc(SOFT_BLOCK, SOFT_BLOCK);
	int err;

	if (!disk)
		return -ENOMEM;
	head_encode(disk, l, id, compat, copy);
	err = eng_raw_rw(raw, true, head_off(l, copy), disk, SOFT_BLOCK);
	free(disk);
	return err;
}

/* (2) Runs in a flush, of which there is one at a time. */
int soft_heads_heal(struct soft *s)
{
	int err;

	for (unsigned int i = 0; i < 2; i++) {
		if (!s->heal_head[i])
			continue;
		err = head_write(s->raw, &s->lay, s->id, s->compat, i);
		if (err)
			return err;
		s->heal_head[i] = false;
		soft_count_raw(s, 1, SOFT_BLOCK);
		soft_count(&s->stats.repairs, 1);
	}
	return 0;
}

/* ---- header: decode --------------------------------------------------- */

struct soft_head {
	struct soft_layout lay;
	uint64_t	id;
	uint64_t	compat;
};

/* One copy, as far as it has come. */
struct soft_try {
	struct eng_raw	*raw;
	unsigned int	copy;
	uint64_t	off;
	int		level;		/* of messages */
};

static int head_bad(const struct soft_try *t, int err, const char *what,
		    uint64_t expected, uint64_t found)
{
	eng_log(t->level, "%s: container header at byte %llu: %s: "
		"expected %#llx, found %#llx", t->raw->name, (ull)t->off,
		what, (ull)expected, (ull)found);
	return err;
}

static const struct eng_profile *head_profile(const struct soft_disk_head *d)
{
	const struct eng_profile *p;

	for (unsigned int i = 0; (p = eng_profile_at(i)); i++)
		if (p->interval == get_le32(d->interval) &&
		    p->meta_size == get_le16(d->meta_size) &&
		    p->pi_offset == get_le16(d->pi_offset) &&
		    p->pi_size == d->pi_size && p->type == d->type &&
		    guard_encode(p->guard) == d->guard)
			return p;
	return NULL;
}

/* Is it one, undamaged?  That it is none is for the caller to say. */
static int head_identify(const struct soft_try *t,
			 const struct soft_disk_head *d)
{
	uint32_t crc = soft_crc(d, offsetof(struct soft_disk_head, crc));

	if (get_le64(d->magic) != SOFT_HEAD_MAGIC)
		return -EMEDIUMTYPE;
	if (get_le32(d->crc) != crc)
		return head_bad(t, -EUCLEAN, "checksum", crc, get_le32(d->crc));
	if (get_le32(d->copy) != t->copy)
		return head_bad(t, -EUCLEAN, "copy", t->copy,
				get_le32(d->copy));
	return 0;
}

/* Does this version understand it? */
static int head_check_version(const struct soft_try *t,
			      const struct soft_disk_head *d)
{
	uint64_t bits;

	if (get_le32(d->version) != SOFT_VERSION)
		return head_bad(t, -EOPNOTSUPP, "made by a newer version",
				SOFT_VERSION, get_le32(d->version));
	bits = get_le64(d->incompat);
	if (bits & ~SOFT_INCOMPAT_KNOWN)
		return head_bad(t, -EOPNOTSUPP, "features of a newer version",
				SOFT_INCOMPAT_KNOWN, bits);
	bits = get_le64(d->ro_compat);
	if (bits & ~SOFT_RO_COMPAT_KNOWN && !t->raw->rdonly)
		return head_bad(t, -EOPNOTSUPP, "features of a newer version "
				"(it can be opened read-only)",
				SOFT_RO_COMPAT_KNOWN, bits);
	return 0;
}

static int head_check_pads(const struct soft_try *t,
			   const struct soft_disk_head *d)
{
	if (d->pad0)
		return head_bad(t, -EUCLEAN, "padding at 03b", 0, d->pad0);
	for (size_t i = 0; i < sizeof(d->pad); i++)
		if (d->pad[i])
			return head_bad(t, -EUCLEAN, "padding after 058", 0,
					d->pad[i]);
	return 0;
}

/* (1) */
static int head_check_layout(const struct soft_try *t,
			     const struct soft_disk_head *d,
			     const struct soft_layout *l)
{
	if (get_le32(d->zone_intervals) != l->zone_intervals)
		return head_bad(t, -EUCLEAN, "intervals of a zone",
				l->zone_intervals,
				get_le32(d->zone_intervals));
	if (get_le64(d->zones) != l->zones)
		return head_bad(t, -EUCLEAN, "zones", l->zones,
				get_le64(d->zones));
	if (get_le64(d->intervals) != l->intervals)
		return head_bad(t, -EUCLEAN, "intervals", l->intervals,
				get_le64(d->intervals));
	if (head_off(l, t->copy) != t->off)
		return head_bad(t, -EUCLEAN, "place of this copy",
				head_off(l, t->copy), t->off);
	return 0;
}

static int head_check_size(const struct soft_try *t, uint64_t size)
{
	if (size % SOFT_BLOCK)
		return head_bad(t, -EUCLEAN, "size modulo 4096", 0,
				size % SOFT_BLOCK);
	if (size <= t->raw->size)
		return 0;
	eng_log(t->level, "%s: is truncated: the container has %llu bytes, "
		"here are %llu", t->raw->name, (ull)size, (ull)t->raw->size);
	return -EUCLEAN;
}

static const struct eng_profile *head_profile_or_log(const struct soft_try *t,
					     const struct soft_disk_head *d)
{
	const struct eng_profile *p = head_profile(d);

	if (!p)
		eng_log(t->level, "%s: container header at byte %llu: unknown "
			"profile %u+%u, pi %u at %u, type %u, guard %u",
			t->raw->name, (ull)t->off, get_le32(d->interval),
			get_le16(d->meta_size), d->pi_size,
			get_le16(d->pi_offset), d->type, d->guard);
	return p;
}

/* Everything after head_identify(). */
static int head_decode(const struct soft_try *t, struct soft_head *head,
		       const struct soft_disk_head *d)
{
	const struct eng_profile *p;
	int err = head_check_version(t, d);

	if (!err)
		err = head_check_pads(t, d);
	if (err)
		return err;
	p = head_profile_or_log(t, d);
	if (!p)
		return -EUCLEAN;
	err = head_check_size(t, get_le64(d->size));
	if (err)
		return err;
	if (soft_layout(&head->lay, p, get_le64(d->size)))
		return head_bad(t, -EUCLEAN, "size, with room for a zone",
				head->lay.zone_bytes, get_le64(d->size));
	head->id = get_le64(d->id);
	head->compat = get_le64(d->compat);
	return head_check_layout(t, d, &head->lay);
}

static int head_read(const struct soft_try *t, struct soft_disk_head *d)
{
	int err = eng_raw_rw(t->raw, false, t->off, d, SOFT_BLOCK);

	if (!err)
		return head_identify(t, d);
	eng_log(t->level, "%s: container header at byte %llu: %s",
		t->raw->name, (ull)t->off, strerror(-err));
	return err;
}

/* ---- open ------------------------------------------------------------- */

static int soft_no_head(const struct soft_try *t, int err0, int err1)
{
	if (err0 == -EMEDIUMTYPE && err1 == -EMEDIUMTYPE)
		eng_log(LOG_ERR, "%s: no container: its header's magic \"%s\" "
			"is neither at byte 0 nor at byte %llu", t->raw->name,
			"TAGPISW1", (ull)t->off);
	else
		eng_log(LOG_ERR, "%s: no container header is undamaged",
			t->raw->name);
	return err0 == -EMEDIUMTYPE ? err1 : err0;
}

/* Copy 0 is bad, for the reason err0. */
static int soft_find_copy1(struct soft *s, struct soft_head *head,
			   struct soft_disk_head *d, int err0)
{
	struct soft_try t = {
		.raw = s->raw, .copy = 1, .level = LOG_ERR,
		.off = (s->raw->size / SOFT_BLOCK - 1) * SOFT_BLOCK,
	};
	int err = head_read(&t, d);

	if (err)
		return soft_no_head(&t, err0, err);
	err = head_decode(&t, head, d);
	if (err)
		return err;
	eng_log(LOG_WARNING, "%s: the first container header is bad, using "
		"the last", s->raw->name);
	s->heal_head[0] = !s->rdonly;
	return 0;
}

/* Copy 0 is good: is copy 1 the same? */
static void soft_check_copy1(struct soft *s, const struct soft_head *head,
			     struct soft_disk_head *d)
{
	struct soft_try t = {
		.raw = s->raw, .copy = 1, .level = LOG_WARNING,
		.off = head_off(&head->lay, 1),
	};
	struct soft_head other;

	if (!head_read(&t, d) && !head_decode(&t, &other, d) &&
	    other.id == head->id && other.lay.profile == head->lay.profile)
		return;
	eng_log(LOG_WARNING, "%s: the last container header is bad, using "
		"the first", s->raw->name);
	s->heal_head[1] = !s->rdonly;
}

static int soft_find_in(struct soft *s, struct soft_head *head,
			struct soft_disk_head *d)
{
	struct soft_try t = { .raw = s->raw, .level = LOG_WARNING };
	int err = head_read(&t, d);

	if (err)
		return soft_find_copy1(s, head, d, err);
	t.level = LOG_ERR;
	err = head_decode(&t, head, d);
	if (!err)
		soft_check_copy1(s, head, d);
	return err;
}

static int soft_find(struct soft *s, struct soft_head *head)
{
	struct soft_disk_head *d;
	int err;

	if (s->raw->size < 3 * SOFT_BLOCK) {
		eng_log(LOG_ERR, "%s: no container: only %llu bytes",
			s->raw->name, (ull)s->raw->size);
		return -EMEDIUMTYPE;
	}
	d = aligned_alloc(SOFT_BLOCK, SOFT_BLOCK);
	if (!d)
		return -ENOMEM;
	err = soft_find_in(s, head, d);
	free(d);
	return err;
}

static int soft_flush_dev(struct eng_dev *dev)
{
	return soft_flush((struct soft *)dev);
}

static void soft_drop_caches(struct eng_dev *dev)
{
	struct soft *s = (struct soft *)dev;

	soft_drop(s);
	if (s->raw->ops->forget)
		s->raw->ops->forget(s->raw, 0, s->lay.size);
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
		"\"repairs\":%llu,\"flushes\":%llu,\"raw_writes\":%llu,"
		"\"raw_write_bytes\":%llu,\"raw_flushes\":%llu,"
		"\"discards\":%llu,\"throttled\":%llu}",
		stat_get(&st->data_reads), stat_get(&st->data_read_bytes),
		stat_get(&st->data_writes), stat_get(&st->data_write_bytes),
		stat_get(&st->page_hits), stat_get(&st->page_misses),
		stat_get(&st->page_writes), stat_get(&st->page_evictions),
		pages, busy, s->max,
		stat_get(&st->repairs), stat_get(&st->flushes),
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

static const struct eng_dev_ops soft_ops = {
	.submit = soft_submit,
	.flush = soft_flush_dev,
	.discard = soft_discard,
	.drop_caches = soft_drop_caches,
	.stats = soft_stats,
	.close = soft_close,
};

static void soft_set_up(struct soft *s, const struct soft_head *head,
			const struct eng_open *how)
{
	s->lay = head->lay;
	s->id = head->id;
	s->compat = head->compat;
	s->dev.ops = &soft_ops;
	s->dev.pool = how->pool;
	s->dev.geo.profile = s->lay.profile;
	s->dev.geo.intervals = s->lay.intervals;
	s->dev.geo.max_io = SOFT_MAX_IO / s->lay.profile->interval;
	s->dev.geo.align = 1;
	s->dev.geo.backend = "soft";
}

int eng_soft_open(struct eng_dev **out, struct eng_raw *raw,
		  const struct eng_open *how)
{
	struct soft *s = calloc(1, sizeof(*s));
	struct soft_head head;
	int err;

	*out = NULL;
	if (!s)
		return -ENOMEM;
	s->raw = raw;
	s->rdonly = raw->rdonly || how->flags & ENG_OPEN_RDONLY;
	err = soft_find(s, &head);
	if (err)
		goto out_free;
	soft_set_up(s, &head, how);
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
	struct soft_layout l;
	int err = soft_layout(&l, p, raw->size);

	if (err) {
		eng_log(LOG_ERR, "%s: %llu bytes are too small for one zone",
			raw->name, (ull)raw->size);
		return err;
	}
	id = id_spread(id);
	for (int copy = 1; copy >= 0 && !err; copy--) {
		err = head_write(raw, &l, id, 0, (unsigned int)copy);
		if (!err)
			err = raw->ops->flush(raw);
	}
	if (err)
		eng_log(LOG_ERR, "%s: writing the container headers: %s",
			raw->name, strerror(-err));
	return err;
}
