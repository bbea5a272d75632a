/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tuple.c - protection tuples: build them, check them.
 *  (1) A tuple is big-endian: guard, application tag, reference tag.  It is
 *      built, stored and compared as one 64-bit word (two with the 64-bit
 *      guard), never field by field.
 *  (2) Loops only notice that a tuple is not the expected one.  Which check
 *      failed is sorted out in one place, fault_of(), which is allowed to be
 *      slow.
 *  (3) An escape is a fault, whatever was expected; it is never generated.
 *  (4) The guard covers the data and, when PI is last, the metadata bytes
 *      before it.  Those belong to the caller: generating leaves them alone,
 *      but for application tags of the interval that have their place there.
 *  (5) Reference tags of types 1 and 2 are the low 32 (or 48) bits of the
 *      interval number.  Type 3 has none: written 0, or what the owner of
 *      the tags put there; never compared.
 * The budget beside the checksum is a tenth of it, some ten instructions per
 * tuple.  Loops per profile with constants in them were measured: no gain. */
#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "core/guard.h"
#include "core/tuple.h"

#define ESCAPE		0xffffu
#define REF48		((1ull << 48) - 1)
#define unlikely(x)	__builtin_expect(!!(x), 0)

/* A tuple in memory. */
struct pi {
	uint64_t	guard;
	uint16_t	app;
	uint64_t	ref;
};

static inline uint64_t load64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return be64toh(v);
}

static inline void store64(uint8_t *p, uint64_t v)
{
	v = htobe64(v);
	memcpy(p, &v, sizeof(v));
}

static inline uint64_t ref_mask(const struct eng_profile *p)
{
	return p->pi_size == 16 ? REF48 : UINT32_MAX;
}

static inline uint64_t ref_of(const struct eng_profile *p, uint64_t interval)
{
	return p->type == 3 ? 0 : interval & ref_mask(p);
}

/* meta: all metadata of the interval. */
static inline uint64_t guard_of(const struct eng_profile *p,
				const uint8_t *data, const uint8_t *meta)
{
	uint64_t guard = eng_guard_start(p->guard);

	guard = eng_guard_update(p->guard, guard, data, p->interval);
	if (p->pi_offset)	/* (4) */
		guard = eng_guard_update(p->guard, guard, meta, p->pi_offset);
	return guard;
}

/* Number k, from 1, of those beside the tuple. */
static inline uint16_t more_tag(const struct eng_profile *p,
				const uint8_t *meta, unsigned int k)
{
	const uint8_t *at = meta + eng_more_tags_at(p) + 2 * (k - 1);

	return (uint16_t)(at[0] << 8 | at[1]);
}

static inline void put_more_tags(const struct eng_profile *p, uint8_t *meta,
				 const uint16_t *tags)
{
	uint8_t *at = meta + eng_more_tags_at(p);

	for (unsigned int k = 1; k < p->tags; k++, at += 2) {
		at[0] = (uint8_t)(tags[k] >> 8);
		at[1] = (uint8_t)tags[k];
	}
}

/* The first, from 1, that is another; p->tags: none. */
static inline unsigned int differs_at(const struct eng_profile *p,
				      const uint8_t *meta,
				      const uint16_t *tags)
{
	unsigned int k = 1;

	while (k < p->tags && more_tag(p, meta, k) == tags[k])
		k++;
	return k;
}

static void decode(const struct eng_profile *p, const uint8_t *tuple,
		   struct pi *pi)
{
	uint64_t v = load64(tuple);

	if (p->pi_size == 16) {
		pi->guard = v;
		v = load64(tuple + 8);
		pi->app = (uint16_t)(v >> 48);
		pi->ref = v & REF48;
	} else {
		pi->guard = v >> 48;
		pi->app = (uint16_t)(v >> 32);
		pi->ref = v & UINT32_MAX;
	}
}

static bool is_escape(const struct eng_profile *p, const struct pi *pi)
{
	return pi->app == ESCAPE &&
	       (p->type != 3 || pi->ref == ref_mask(p));
}

static int set_fault(struct eng_fault *fault, enum eng_fault_kind kind,
		     uint64_t expected, uint64_t actual)
{
	fault->kind = kind;
	fault->expected = expected;
	fault->actual = actual;
	return -EBADMSG;
}

/* All checks of one interval, in the order in which they are reported.
 * tags: NULL if any will do. */
static int fault_of(const struct eng_profile *p, const uint8_t *data,
		    const uint8_t *meta, uint64_t interval,
		    const uint16_t *tags, struct eng_fault *fault)
{
	uint64_t guard = guard_of(p, data, meta);
	uint64_t ref = ref_of(p, interval);
	unsigned int k = tags ? differs_at(p, meta, tags) : p->tags;
	struct pi pi;

	decode(p, meta + p->pi_offset, &pi);
	fault->interval = interval;
	if (is_escape(p, &pi))
		return set_fault(fault, ENG_FAULT_ESCAPE, tags ? *tags : 0,
				 pi.app);
	if (pi.guard != guard)
		return set_fault(fault, ENG_FAULT_GUARD, guard, pi.guard);
	if (p->type != 3 && pi.ref != ref)
		return set_fault(fault, ENG_FAULT_REF, ref, pi.ref);
	if (tags && pi.app != *tags)
		return set_fault(fault, ENG_FAULT_APP, *tags, pi.app);
	if (k < p->tags)
		return set_fault(fault, ENG_FAULT_APP, tags[k],
				 more_tag(p, meta, k));
	return 0;
}

void eng_generate(const struct eng_profile *p, const void *data,
		  uint8_t *tuples, uint32_t count, uint64_t ref,
		  const uint16_t *tags)
{
	const uint8_t *bytes = data;

	for (; count--; bytes += p->interval, tuples += p->meta_size) {
		uint8_t *tuple = tuples + p->pi_offset;
		uint64_t guard, app = tags[0], low = ref_of(p, ref++);

		assert(app != ESCAPE);	/* (3) */
		put_more_tags(p, tuples, tags);
		guard = guard_of(p, bytes, tuples);
		tags += p->tags;
		if (p->pi_size == 16) {
			store64(tuple, guard);
			store64(tuple + 8, app << 48 | low);
		} else {
			store64(tuple, guard << 48 | app << 32 | low);
		}
	}
}

void eng_generate_app(const struct eng_profile *p, const void *data,
		      uint8_t *tuples, uint32_t count, const uint16_t *tags)
{
	const uint8_t *bytes = data;
	struct pi pi;

	for (; count--; bytes += p->interval, tuples += p->meta_size) {
		uint8_t *tuple = tuples + p->pi_offset;
		uint64_t guard, app = tags[0];

		assert(app != ESCAPE);	/* (3) */
		put_more_tags(p, tuples, tags);
		guard = guard_of(p, bytes, tuples);
		tags += p->tags;
		decode(p, tuple, &pi);
		if (p->pi_size == 16) {
			store64(tuple, guard);
			store64(tuple + 8, app << 48 | pi.ref);
		} else {
			store64(tuple, guard << 48 | app << 32 | pi.ref);
		}
	}
}

void eng_tuple_set_ref(const struct eng_profile *p, uint8_t *meta, uint64_t ref)
{
	uint8_t *at = meta + p->pi_offset + (p->pi_size == 16 ? 8 : 0);

	store64(at, (load64(at) & ~ref_mask(p)) | ref_of(p, ref));
}

bool eng_tuple_in_place(const struct eng_profile *p, const uint8_t *meta,
			uint64_t interval)
{
	struct pi pi;

	decode(p, meta + p->pi_offset, &pi);
	return is_escape(p, &pi) || pi.ref == ref_of(p, interval);
}

bool eng_tuple_escapes(const struct eng_profile *p, const uint8_t *meta)
{
	struct pi pi;

	decode(p, meta + p->pi_offset, &pi);
	return is_escape(p, &pi);
}

/* The first interval from i on that may not be as expected, or count. */
static uint32_t first_suspect(const struct eng_profile *p, const uint8_t *data,
			      const uint8_t *meta, uint32_t i, uint32_t count,
			      uint64_t ref, const uint16_t *tags)
{
	const bool wide = p->pi_size == 16;
	const unsigned int shift = wide ? 48 : 32;
	/* (5): type 3 compares everything but the reference tag */
	const uint64_t care = p->type == 3 ? ~ref_mask(p) : ~0ull;

	data += (size_t)i * p->interval;
	meta += (size_t)i * p->meta_size;
	for (; i < count; i++, data += p->interval, meta += p->meta_size) {
		const uint8_t *tuple = meta + p->pi_offset;
		uint64_t guard = guard_of(p, data, meta);
		uint64_t found = load64(wide ? tuple + 8 : tuple);
		const uint16_t *mine = tags ? tags + (size_t)i * p->tags : NULL;
		uint64_t app = mine ? *mine : found >> shift & 0xffff;
		uint64_t want = app << shift | ref_of(p, ref + i);

		if (!wide)
			want |= guard << 48;
		else if (unlikely(load64(tuple) != guard))
			break;
		if (unlikely(((want ^ found) & care) || app == ESCAPE))
			break;
		if (p->tags > 1 && mine &&
		    unlikely(differs_at(p, meta, mine) < p->tags))
			break;
	}
	return i;
}

int eng_verify(const struct eng_profile *p, const void *data,
	       const uint8_t *tuples, uint32_t count, uint64_t ref,
	       const uint16_t *tags, struct eng_fault *fault)
{
	const uint8_t *bytes = data;
	uint32_t i = 0;
	int err = 0;

	/* Again after a good one: type 3 may expect the tag 0xffff, which
	 * the loop takes for an escape. */
	for (; !err; i++) {
		i = first_suspect(p, bytes, tuples, i, count, ref, tags);
		if (i == count)
			break;
		err = fault_of(p, bytes + (size_t)i * p->interval,
			       tuples + (size_t)i * p->meta_size, ref + i,
			       tags ? tags + (size_t)i * p->tags : NULL, fault);
	}
	return err;
}

uint16_t eng_tuple_tag(const struct eng_profile *p, const uint8_t *meta)
{
	struct pi pi;

	decode(p, meta + p->pi_offset, &pi);
	return pi.app;
}

void eng_tuple_tags(const struct eng_profile *p, const uint8_t *meta,
		    uint16_t *tags)
{
	bool none = eng_tuple_escapes(p, meta);

	tags[0] = eng_tuple_tag(p, meta);
	for (unsigned int k = 1; k < p->tags; k++)
		tags[k] = none ? ESCAPE : more_tag(p, meta, k);
}
