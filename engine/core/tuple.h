/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tuple.h - tuples, for the rest of the engine; see tuple.c. */
#ifndef ENG_TUPLE_H
#define ENG_TUPLE_H

#include "tagpi.h"

/* Where the parts of a tuple lie in it. */
static inline unsigned int eng_app_at(const struct eng_profile *p)
{
	return p->pi_size == 16 ? 8 : 2;
}

static inline unsigned int eng_ref_at(const struct eng_profile *p)
{
	return eng_app_at(p) + 2;
}

/* Where the application tags beside the tuple's lie, if there are any. */
static inline unsigned int eng_more_tags_at(const struct eng_profile *p)
{
	return p->pi_offset ? 0 : p->pi_size;
}

/* As eng_generate(), but the reference tags are there already and stay. */
void eng_generate_app(const struct eng_profile *p, const void *data,
		      uint8_t *tuples, uint32_t count, const uint16_t *tags);
/* meta: all metadata of one interval.  Not for type 3. */
void eng_tuple_set_ref(const struct eng_profile *p, uint8_t *meta,
		       uint64_t ref);
/* An escape, or one whose reference tag is that of the interval; whether it
 * was ever written there, the data must tell. */
bool eng_tuple_in_place(const struct eng_profile *p, const uint8_t *meta,
			uint64_t interval);
bool eng_tuple_escapes(const struct eng_profile *p, const uint8_t *meta);

#endif
