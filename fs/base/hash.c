/* SPDX-License-Identifier: GPL-2.0-or-later */
/* hash.c - SipHash-2-4 (Aumasson and Bernstein, 2012), keyed by the nonce.
 *  (1) The result is part of the format: it orders entries and attributes.
 *  (2) Without the nonce nobody can make names that collide. */
#include <endian.h>
#include <string.h>

#include <isa-l/crc.h>

#include "tfs.h"
#include "base/hash.h"

static inline uint64_t rotl(uint64_t x, unsigned int n)
{
	return x << n | x >> (64 - n);
}

static void sip_rounds(uint64_t v[4], unsigned int n)
{
	while (n--) {
		v[0] += v[1];
		v[2] += v[3];
		v[1] = rotl(v[1], 13) ^ v[0];
		v[3] = rotl(v[3], 16) ^ v[2];
		v[0] = rotl(v[0], 32);
		v[2] += v[1];
		v[0] += v[3];
		v[1] = rotl(v[1], 17) ^ v[2];
		v[3] = rotl(v[3], 21) ^ v[0];
		v[2] = rotl(v[2], 32);
	}
}

static void sip_word(uint64_t v[4], uint64_t word)
{
	v[3] ^= word;
	sip_rounds(v, 2);
	v[0] ^= word;
}

static uint64_t le64(const void *p)
{
	uint64_t x;

	memcpy(&x, p, sizeof(x));
	return le64toh(x);
}

uint64_t tfs_siphash(const uint8_t key[16], const void *data, size_t len)
{
	const uint64_t k0 = le64(key), k1 = le64(key + 8);
	uint64_t v[4] = {
		k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d,
		k0 ^ 0x6c7967656e657261, k1 ^ 0x7465646279746573,
	};
	const uint8_t *p = data;
	uint8_t tail[8] = { 0 };
	size_t left = len;

	for (; left >= 8; left -= 8, p += 8)
		sip_word(v, le64(p));
	memcpy(tail, p, left);
	tail[7] = (uint8_t)len;
	sip_word(v, le64(tail));
	v[2] ^= 0xff;
	sip_rounds(v, 4);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

__attribute__((weak))
uint64_t tfs_name_hash(const struct tfs *fs, const char *name, size_t len)
{
	return tfs_siphash(tfs_nonce(fs), name, len);
}

uint32_t tfs_crc32c(const void *data, size_t len, size_t crc_at)
{
	unsigned char *p = (unsigned char *)data, zero[4] = { 0 };
	uint32_t crc = crc32_iscsi(p, crc_at, ~0u);

	crc = crc32_iscsi(zero, 4, crc);
	return ~crc32_iscsi(p + crc_at + 4, len - crc_at - 4, crc);
}
