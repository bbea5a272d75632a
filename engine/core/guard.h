/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* guard.h - the three checksums behind one tag. */
#ifndef ENG_GUARD_H
#define ENG_GUARD_H

#include <isa-l/crc.h>

#include "core/crc64.h"
#include "tagpi.h"

/* RFC 1071, over len bytes (even) after what sum is the checksum of;
 * begin with 0xffff, the checksum of nothing. */
uint16_t eng_ip_sum(uint16_t sum, const void *data, size_t len);

static inline uint64_t eng_guard_start(enum eng_guard kind)
{
	return kind == ENG_GUARD_IP ? 0xffff : 0;
}

static inline uint64_t eng_guard_update(enum eng_guard kind, uint64_t guard,
					const void *data, size_t len)
{
	switch (kind) {
	case ENG_GUARD_IP:
		return eng_ip_sum((uint16_t)guard, data, len);
	case ENG_GUARD_CRC64:
		return eng_crc64(guard, data, len);
	default:
		return crc16_t10dif((uint16_t)guard, data, len);
	}
}

#endif
