/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* crc64.h - CRC-64/NVMe. */
#ifndef ENG_CRC64_H
#define ENG_CRC64_H

#include <stddef.h>
#include <stdint.h>

/* The CRC of what crc is the CRC of, followed by data; begin with 0. */
uint64_t eng_crc64(uint64_t crc, const void *data, size_t len);
/* The same without special instructions. */
uint64_t eng_crc64_table(uint64_t crc, const void *data, size_t len);

#endif
