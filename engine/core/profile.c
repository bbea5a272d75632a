/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* profile.c - the formats that the engine knows.
 *  (1) This table is the only place that enumerates formats: all other code
 *      reads the fields of a row.
 *  (2) A name picks the first row that agrees with everything it says, so
 *      the order of rows is the meaning of what a name leaves out.
 *  (3) Every row's own name picks that row.
 *  (4) A row of the second table is one of the first, but for its tags and
 *      its name, which ends in ":tags8".  A medium does not tell the two
 *      apart, so whoever looks for the format of one sees only the first. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tagpi.h"

#define PROFILE(i, m, t, off, size, g, opt, n) {		\
	.name = #i "+" #m ":type" #t opt, .interval = i,	\
	.meta_size = m, .pi_offset = off, .pi_size = size,	\
	.type = t, .guard = ENG_GUARD_##g, .tags = n }
#define TAGS(i, m, off, size, g, opt, n)		\
	PROFILE(i, m, 1, off, size, g, opt, n),		\
	PROFILE(i, m, 2, off, size, g, opt, n),		\
	PROFILE(i, m, 3, off, size, g, opt, n)
#define TYPES(i, m, off, size, g, opt)			\
	TAGS(i, m, off, size, g, opt, 1)

static const struct eng_profile profiles[] = {
	TYPES(512, 8, 0, 8, CRC16, ""),
	TYPES(4096, 8, 0, 8, CRC16, ""),
	TYPES(512, 8, 0, 8, IP, ":ip"),
	TYPES(4096, 8, 0, 8, IP, ":ip"),
	/* NVMe.  The 64-bit guard needs intervals of at least 4096. */
	TYPES(4096, 16, 0, 16, CRC64, ":crc64"),
	TYPES(4096, 16, 8, 8, CRC16, ":crc16"),
	TYPES(4096, 16, 0, 8, CRC16, ":first:crc16"),
	TYPES(512, 16, 8, 8, CRC16, ""),
	TYPES(512, 16, 0, 8, CRC16, ":first"),
	TYPES(4096, 64, 56, 8, CRC16, ""),
	TYPES(4096, 64, 0, 8, CRC16, ":first"),
	TYPES(4096, 64, 48, 16, CRC64, ":crc64"),
	TYPES(4096, 64, 0, 16, CRC64, ":first:crc64"),
	TYPES(512, 64, 56, 8, CRC16, ""),
	TYPES(512, 64, 0, 8, CRC16, ":first"),
};

/* (4) */
static const struct eng_profile tagged[] = {
	TAGS(4096, 64, 56, 8, CRC16, ":tags8", ENG_TAGS),
	TAGS(4096, 64, 0, 8, CRC16, ":first:tags8", ENG_TAGS),
	TAGS(4096, 64, 48, 16, CRC64, ":crc64:tags8", ENG_TAGS),
	TAGS(4096, 64, 0, 16, CRC64, ":first:crc64:tags8", ENG_TAGS),
};

/* What a name asks for; -1: it does not say. */
struct wanted {
	unsigned long	interval, meta;
	int		type;
	int		guard;
	bool		first;
	unsigned int	tags;
};

static bool parse_option(struct wanted *w, const char *opt, size_t len)
{
	static const struct {
		const char *word;
		int type, guard;
		bool first;
		unsigned int tags;
	} words[] = {
		{ "type1", 1, -1, false, 0 },
		{ "type2", 2, -1, false, 0 },
		{ "type3", 3, -1, false, 0 },
		{ "crc16", -1, ENG_GUARD_CRC16, false, 0 },
		{ "ip", -1, ENG_GUARD_IP, false, 0 },
		{ "crc64", -1, ENG_GUARD_CRC64, false, 0 },
		{ "first", -1, -1, true, 0 },
		{ "tags8", -1, -1, false, ENG_TAGS },
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		if (strlen(words[i].word) != len ||
		    memcmp(words[i].word, opt, len))
			continue;
		if (words[i].type >= 0)
			w->type = words[i].type;
		if (words[i].guard >= 0)
			w->guard = words[i].guard;
		w->first |= words[i].first;
		if (words[i].tags)
			w->tags = words[i].tags;
		return true;
	}
	return false;
}

static bool parse(struct wanted *w, const char *name)
{
	char *s;

	if (*name < '0' || *name > '9')
		return false;
	w->interval = strtoul(name, &s, 10);
	if (*s++ != '+' || *s < '0' || *s > '9')
		return false;
	w->meta = strtoul(s, &s, 10);
	while (*s == ':') {
		size_t len = strcspn(++s, ":");

		if (!parse_option(w, s, len))
			return false;
		s += len;
	}
	return !*s;
}

static bool matches(const struct eng_profile *p, const struct wanted *w)
{
	bool place = w->first ? !p->pi_offset :
		     p->pi_offset + p->pi_size == p->meta_size;

	return place && p->interval == w->interval && p->meta_size == w->meta &&
	       p->type == w->type &&
	       (w->guard < 0 || (int)p->guard == w->guard);
}

const struct eng_profile *eng_profile_find(const char *name)
{
	struct wanted w = { .type = 1, .guard = -1, .tags = 1 };
	const struct eng_profile *p;

	if (!parse(&w, name))
		return NULL;
	for (unsigned int i = 0; (p = eng_profile_at(i)); i++)
		if (matches(p, &w))	/* (2) */
			return eng_profile_tags(p, w.tags);
	return NULL;
}

const struct eng_profile *eng_profile_at(unsigned int i)
{
	return i < sizeof(profiles) / sizeof(*profiles) ? &profiles[i] : NULL;
}

const char *eng_profile_differs(const struct eng_profile *a,
				const struct eng_profile *b)
{
	return a->interval != b->interval ? "interval" :
	       a->meta_size != b->meta_size ? "metadata size" :
	       a->pi_size != b->pi_size ? "tuple size" :
	       a->pi_offset != b->pi_offset ? "place of the tuple" :
	       a->type != b->type ? "type" :
	       a->guard != b->guard ? "guard" : NULL;
}

bool eng_profile_equal(const struct eng_profile *a, const struct eng_profile *b)
{
	return !eng_profile_differs(a, b);
}

const struct eng_profile *eng_profile_tags(const struct eng_profile *p,
					   unsigned int tags)
{
	const struct eng_profile *row;

	if (p->tags == tags)
		return p;
	for (unsigned int i = 0; tags == 1 && (row = eng_profile_at(i)); i++)
		if (eng_profile_equal(row, p))
			return row;
	for (unsigned int i = 0; i < sizeof(tagged) / sizeof(*tagged); i++)
		if (tagged[i].tags == tags && eng_profile_equal(&tagged[i], p))
			return &tagged[i];
	return NULL;
}

const char *eng_profile_format(const struct eng_profile *p)
{
	static const char *const formats[][3] = {
		[ENG_GUARD_CRC16] = { "T10-DIF-TYPE1-CRC", "T10-DIF-TYPE2-CRC",
				      "T10-DIF-TYPE3-CRC" },
		[ENG_GUARD_IP] = { "T10-DIF-TYPE1-IP", "T10-DIF-TYPE2-IP",
				   "T10-DIF-TYPE3-IP" },
		[ENG_GUARD_CRC64] = { "EXT-DIF-TYPE1-CRC64",
				      "EXT-DIF-TYPE2-CRC64",
				      "EXT-DIF-TYPE3-CRC64" },
	};

	return formats[p->guard][p->type - 1];
}

uint16_t eng_profile_tag_size(const struct eng_profile *p)
{
	unsigned int ref = p->type != 3 ? 0 : p->pi_size == 16 ? 6 : 4;

	return (uint16_t)(2 + ref + p->meta_size - p->pi_size);
}

int eng_profile_intervals(const struct eng_profile *p, uint64_t sectors,
			  uint64_t *intervals)
{
	uint32_t per = p->interval / 512;

	if (sectors % per)
		return -EINVAL;
	*intervals = sectors / per;
	return 0;
}

uint32_t eng_profile_run(const struct eng_profile *p, unsigned int tag_bytes)
{
	uint32_t run = p->interval > 4096 ? p->interval : 4096;

	while (run / p->interval * p->tags * sizeof(uint16_t) < tag_bytes)
		run *= 2;
	return run;
}
