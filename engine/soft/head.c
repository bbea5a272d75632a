/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* head.c - the two container headers: written, found, checked.
 *  (1) Everything but profile and size follows from them, so the other
 *      fields of a header are checked against what must be there.
 *  (2) Copy 0 of the header is the container; copy 1 stands in for it when
 *      it is damaged.  A bad copy is rewritten by the next flush.  One with a
 *      good checksum and a content that is not possible was made so, and is
 *      an error: no copy stands in for it.
 *  (3) Of a container that is cut short whole groups are used, as many as
 *      are there; it is for reading what is left of it, and nothing else. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "soft/head.h"

typedef unsigned long long ull;

/* ---- encode ----------------------------------------------------------- */

static uint8_t guard_encode(enum eng_guard guard)
{
	return guard == ENG_GUARD_CRC64 ? SOFT_GUARD_CRC64 :
	       guard == ENG_GUARD_IP ? SOFT_GUARD_IP : SOFT_GUARD_CRC16;
}

static void head_encode(struct soft_disk_head *disk,
			const struct soft_head *head, unsigned int copy)
{
	const struct soft_layout *l = &head->lay;
	const struct eng_profile *p = l->profile;

	memset(disk, 0, sizeof(*disk));
	disk->magic = put_le64(SOFT_HEAD_MAGIC);
	disk->version = put_le32(SOFT_VERSION);
	disk->copy = put_le32(copy);
	disk->compat = put_le64(head->compat);
	disk->id = put_le64(head->id);
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

int soft_head_write(struct eng_raw *raw, const struct soft_head *head,
		    unsigned int copy)
{
	struct soft_disk_head *disk = aligned_alloc(SOFT_BLOCK, SOFT_BLOCK);
	int err;

	if (!disk)
		return -ENOMEM;
	head_encode(disk, head, copy);
	err = eng_raw_rw(raw, true, head_off(&head->lay, copy), disk,
			 SOFT_BLOCK);
	free(disk);
	return err;
}

/* ---- decode ----------------------------------------------------------- */

/* One copy, as far as it has come. */
struct soft_try {
	struct eng_raw	*raw;
	unsigned int	copy;
	uint64_t	off;
	int		level;		/* of messages */
	bool		short_ok;	/* (3) */
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

static int head_check_size(const struct soft_try *t, struct soft_head *head,
			   uint64_t size)
{
	if (size % SOFT_BLOCK)
		return head_bad(t, -EUCLEAN, "size modulo 4096", 0,
				size % SOFT_BLOCK);
	if (size <= t->raw->size)
		return 0;
	head->cut = true;
	eng_log(t->short_ok ? LOG_WARNING : t->level, "%s: is truncated: the "
		"container has %llu bytes, here are %llu", t->raw->name,
		(ull)size, (ull)t->raw->size);
	return t->short_ok ? 0 : -EUCLEAN;
}

/* (3) */
static int head_clip(struct soft_head *head, uint64_t size)
{
	struct soft_layout *l = &head->lay;
	uint64_t zone, left, n;

	if (!head->cut)
		return 0;
	if (size <= SOFT_BLOCK + SOFT_PAGES)
		return -EUCLEAN;
	zone = (size - SOFT_BLOCK) / l->zone_bytes;
	left = (size - SOFT_BLOCK) % l->zone_bytes;
	n = zone * l->zone_intervals;
	if (left > SOFT_PAGES)
		n += (left - SOFT_PAGES) / l->profile->interval / l->group *
			l->group;
	if (n < l->intervals)
		l->intervals = n;
	return n ? 0 : -EUCLEAN;
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
	err = head_check_size(t, head, get_le64(d->size));
	if (err)
		return err;
	if (soft_layout(&head->lay, p, get_le64(d->size)))
		return head_bad(t, -EUCLEAN, "size, with room for a zone",
				head->lay.zone_bytes, get_le64(d->size));
	head->id = get_le64(d->id);
	head->compat = get_le64(d->compat);
	err = head_check_layout(t, d, &head->lay);
	return err ? err : head_clip(head, t->raw->size);
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

/* ---- find ------------------------------------------------------------- */

static int no_head(const struct soft_try *t, int err0, int err1)
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

/* Copy 0 is bad; err0 says why. */
static int find_copy1(struct eng_raw *raw, struct soft_head *head,
		      struct soft_disk_head *d, int err0)
{
	struct soft_try t = {
		.raw = raw, .copy = 1, .level = LOG_ERR,
		.off = (raw->size / SOFT_BLOCK - 1) * SOFT_BLOCK,
	};
	int err = head_read(&t, d);

	if (err)
		return no_head(&t, err0, err);
	err = head_decode(&t, head, d);
	if (err)
		return err;
	eng_log(LOG_WARNING, "%s: the first container header is bad, using "
		"the last", raw->name);
	head->bad[0] = true;
	return 0;
}

/* Copy 0 is good, and must say the same as copy 1. */
static void check_copy1(struct eng_raw *raw, struct soft_head *head,
			struct soft_disk_head *d)
{
	struct soft_try t = {
		.raw = raw, .copy = 1, .level = LOG_WARNING,
		.off = head_off(&head->lay, 1),
	};
	struct soft_head other = { .cut = false };

	if (head->cut) {
		head->bad[1] = true;
		return;
	}
	if (!head_read(&t, d) && !head_decode(&t, &other, d) &&
	    other.id == head->id && other.lay.profile == head->lay.profile)
		return;
	eng_log(LOG_WARNING, "%s: the last container header is bad, using "
		"the first", raw->name);
	head->bad[1] = true;
}

static int find_in(struct eng_raw *raw, struct soft_head *head,
		   struct soft_disk_head *d, bool short_ok)
{
	struct soft_try t = { .raw = raw, .level = LOG_WARNING,
			      .short_ok = short_ok };
	int err = head_read(&t, d);

	if (err)
		return find_copy1(raw, head, d, err);
	t.level = LOG_ERR;
	err = head_decode(&t, head, d);
	if (!err)
		check_copy1(raw, head, d);
	return err;
}

int soft_head_find(struct eng_raw *raw, struct soft_head *head, bool short_ok)
{
	struct soft_disk_head *d;
	int err;

	memset(head->bad, 0, sizeof(head->bad));
	head->cut = false;
	if (raw->size < 3 * SOFT_BLOCK) {
		eng_log(LOG_ERR, "%s: no container: only %llu bytes",
			raw->name, (ull)raw->size);
		return -EMEDIUMTYPE;
	}
	d = aligned_alloc(SOFT_BLOCK, SOFT_BLOCK);
	if (!d)
		return -ENOMEM;
	err = find_in(raw, head, d, short_ok);
	free(d);
	return err;
}
