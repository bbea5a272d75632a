/* SPDX-License-Identifier: GPL-2.0-or-later */
/* record.c - mix a cluster's record into its application tags, and back.
 *
 *  (1) Every lane depends on every field, on the filesystem's nonce and on
 *      the cluster's own address: one stale sector in a torn cluster shows
 *      in its own tag, and nothing decodes elsewhere or elsewhen.
 *  (2) A lane has 15 bits, so no tag is ever the escape 0xFFFF.
 *  (3) The mixing is a permutation: the record can be read back.
 *
 * It is a balanced Feistel network over two halves of 60 bits.  Four rounds
 * of a good mixing function make every output bit depend on every input bit;
 * this is no cipher, it need only be as random as a 15-bit lane can show. */
#include "base/record.h"

#define CHECK	0x5aull		/* 8 bits of redundancy for decode */

static uint64_t mix(uint64_t x)
{
	x ^= x >> 32;
	x *= 0xd6e8feb86659fd93ull;
	x ^= x >> 29;
	x *= 0x9e3779b97f4a7c15ull;
	return x ^ x >> 32;
}

void tfs_record_key_init(struct tfs_record_key *key,
			 const uint8_t nonce[TFS_NONCE])
{
	uint64_t a = 0, b = 0;

	for (int i = 0; i < 8; i++) {
		a |= (uint64_t)nonce[i] << 8 * i;
		b |= (uint64_t)nonce[8 + i] << 8 * i;
	}
	for (unsigned int i = 0; i < TFS_RECORD_ROUNDS; i++)
		key->round[i] = mix(mix(a + i * 0xa0761d6478bd642full) ^ b);
	key->tweak = mix(mix(b ^ 0xe7037ed1a0b428dbull) ^ a);
}

static uint64_t round_fn(const struct tfs_record_key *key, unsigned int i,
			 uint64_t tweak, uint64_t half)
{
	return mix(half ^ key->round[i] ^ (tweak << i | tweak >> (64 - i) % 64))
		>> 4;
}

void tfs_record_encode(const struct tfs_record_key *key,
		       const struct tfs_record *rec, uint64_t addr,
		       uint16_t lanes[TFS_LANES])
{
	uint64_t tweak = mix(addr ^ key->tweak);
	uint64_t l = (uint64_t)rec->kind << 56 | (uint64_t)rec->owner << 24 |
		CHECK << 16 | rec->seq >> 28;
	uint64_t r = (uint64_t)rec->index << 28 | (rec->seq & 0xfffffff);

	for (unsigned int i = 0; i < TFS_RECORD_ROUNDS; i++) {
		uint64_t next = l ^ round_fn(key, i, tweak, r);

		l = r;
		r = next;
	}
	for (int i = 0; i < 4; i++) {
		lanes[i] = l >> 15 * i & 0x7fff;
		lanes[4 + i] = r >> 15 * i & 0x7fff;
	}
}

bool tfs_record_decode(const struct tfs_record_key *key,
		       const uint16_t lanes[TFS_LANES], uint64_t addr,
		       struct tfs_record *rec)
{
	uint64_t tweak = mix(addr ^ key->tweak), l = 0, r = 0;

	for (int i = 0; i < 4; i++) {
		if ((lanes[i] | lanes[4 + i]) & 0x8000)
			return false;
		l |= (uint64_t)lanes[i] << 15 * i;
		r |= (uint64_t)lanes[4 + i] << 15 * i;
	}
	for (unsigned int i = TFS_RECORD_ROUNDS; i--; ) {
		uint64_t prev = r ^ round_fn(key, i, tweak, l);

		r = l;
		l = prev;
	}
	rec->kind = l >> 56;
	rec->owner = l >> 24;
	rec->index = r >> 28;
	rec->seq = (l & 0xffff) << 28 | (r & 0xfffffff);
	return (l >> 16 & 0xff) == CHECK && rec->kind >= TFS_K_SUPER &&
		rec->kind <= TFS_K_LEG;
}
