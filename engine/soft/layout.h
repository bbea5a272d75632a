/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* layout.h - where everything is in a container, and how its numbers are
 * stored. */
#ifndef ENG_SOFT_LAYOUT_H
#define ENG_SOFT_LAYOUT_H

#include <endian.h>

#include "soft/soft_format.h"
#include "tagpi.h"

#ifdef __CHECKER__
#define SOFT_FORCE __attribute__((force))
#else
#define SOFT_FORCE
#endif

static inline uint64_t get_le64(__le64 v)
{
	return le64toh((SOFT_FORCE uint64_t)v);
}

static inline uint32_t get_le32(__le32 v)
{
	return le32toh((SOFT_FORCE uint32_t)v);
}

static inline uint16_t get_le16(__le16 v)
{
	return le16toh((SOFT_FORCE uint16_t)v);
}

static inline __le64 put_le64(uint64_t v)
{
	return (SOFT_FORCE __le64)htole64(v);
}

static inline __le32 put_le32(uint32_t v)
{
	return (SOFT_FORCE __le32)htole32(v);
}

static inline __le16 put_le16(uint16_t v)
{
	return (SOFT_FORCE __le16)htole16(v);
}

/* Where everything is; follows from profile and size. */
struct soft_layout {
	const struct eng_profile *profile;
	uint32_t	group;		/* intervals */
	uint32_t	zone_intervals;
	uint64_t	zone_bytes;	/* of a whole zone, pages included */
	uint64_t	zones;
	uint64_t	intervals;
	uint64_t	size;
};

/* -ENOSPC: too small for one zone. */
int soft_layout(struct soft_layout *l, const struct eng_profile *p,
		uint64_t size);

static inline uint64_t soft_zone_off(const struct soft_layout *l,
				     uint64_t zone)
{
	return SOFT_BLOCK + zone * l->zone_bytes;
}

/* Intervals of that zone. */
static inline uint32_t soft_zone_count(const struct soft_layout *l,
				       uint64_t zone)
{
	uint64_t left = l->intervals - zone * l->zone_intervals;

	return left < l->zone_intervals ? (uint32_t)left : l->zone_intervals;
}

static inline uint64_t soft_data_off(const struct soft_layout *l,
				     uint64_t zone, uint32_t first)
{
	return soft_zone_off(l, zone) + SOFT_PAGES +
	       (uint64_t)first * l->profile->interval;
}

static inline bool soft_is_zero(const uint8_t *buf, size_t len)
{
	return !*buf && !memcmp(buf, buf + 1, len - 1);
}

uint32_t soft_crc(const void *buf, size_t len);
/* Put the checksums right, of all its sectors. */
void soft_page_seal(struct soft_disk_page *page);

#endif
