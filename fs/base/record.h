/* SPDX-License-Identifier: GPL-2.0-or-later */
/* record.h - who a cluster is, as its application tags say it. */
#ifndef TFS_RECORD_H
#define TFS_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "format.h"

#define TFS_LANES	8	/* of 15 bits; one a protection interval */

struct tfs_record {
	enum tfs_kind	kind;
	uint32_t	owner;
	uint32_t	index;
	uint64_t	seq;	/* TFS_SEQ_BITS */
};

#define TFS_RECORD_ROUNDS 4

struct tfs_record_key {
	uint64_t	round[TFS_RECORD_ROUNDS];
	uint64_t	tweak;
};

void tfs_record_key_init(struct tfs_record_key *key,
			 const uint8_t nonce[TFS_NONCE]);
/* The lanes of that record at that cluster address. */
void tfs_record_encode(const struct tfs_record_key *key,
		       const struct tfs_record *rec, uint64_t addr,
		       uint16_t lanes[TFS_LANES]);
/* The record behind lanes read at addr; false: none of this filesystem. */
bool tfs_record_decode(const struct tfs_record_key *key,
		       const uint16_t lanes[TFS_LANES], uint64_t addr,
		       struct tfs_record *rec);

#endif
