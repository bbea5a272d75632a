/* SPDX-License-Identifier: GPL-2.0-or-later */
/* hash.h - keyed hashes, and the checksum of structures. */
#ifndef TFS_HASH_H
#define TFS_HASH_H

#include <stddef.h>
#include <stdint.h>

struct tfs;

uint64_t tfs_siphash(const uint8_t key[16], const void *data, size_t len);

/* Keyed 64-bit hash of a name, from the filesystem's nonce.  A weak
 * symbol: tests put another in its place to make names collide. */
uint64_t tfs_name_hash(const struct tfs *fs, const char *name, size_t len);

/* CRC-32C (Castagnoli, as iSCSI's) of a structure with the four bytes of its
 * own checksum at crc_at taken as 0. */
uint32_t tfs_crc32c(const void *data, size_t len, size_t crc_at);

#endif
