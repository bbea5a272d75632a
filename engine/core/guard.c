/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* guard.c - guard tags as numbers; tuple.c knows how they are stored. */
#include <endian.h>
#include <string.h>

#include "core/guard.h"

/* Ones' complement addition does not care for byte order until its end, so
 * words are summed as the machine loads them.  Four sums keep it from
 * waiting for itself. */
uint16_t eng_ip_sum(uint16_t sum, const void *data, size_t len)
{
	const uint8_t *p = data;
	uint64_t s[4] = { htobe16((uint16_t)~sum) };
	uint32_t v[4];
	uint16_t w;

	for (; len >= sizeof(v); p += sizeof(v), len -= sizeof(v)) {
		memcpy(v, p, sizeof(v));
		for (int i = 0; i < 4; i++)
			s[i] += v[i];
	}
	for (; len >= sizeof(w); p += sizeof(w), len -= sizeof(w)) {
		memcpy(&w, p, sizeof(w));
		s[0] += w;
	}
	s[0] += s[1] + s[2] + s[3];
	while (s[0] >> 16)
		s[0] = (s[0] & 0xffff) + (s[0] >> 16);
	return (uint16_t)~be16toh((uint16_t)s[0]);
}

uint64_t eng_guard_compute(enum eng_guard guard, const void *data, size_t len)
{
	return eng_guard_update(guard, eng_guard_start(guard), data, len);
}
