/* SPDX-License-Identifier: GPL-2.0-or-later */
/* key.h - keys of the tree, and items as a look finds them. */
#ifndef TFS_KEY_H
#define TFS_KEY_H

#include <endian.h>
#include <stdint.h>

#include "format.h"

#define TFS_MISS	(-517)	/* no errno that anybody else returns */

struct tfs_key {
	uint32_t	obj;
	uint8_t		type;
	uint64_t	off;
};

#define TFS_KEY_MAX \
	((struct tfs_key){ .obj = UINT32_MAX, .type = UINT8_MAX, \
			   .off = UINT64_MAX })

static inline struct tfs_key tfs_key(uint32_t obj, uint8_t type, uint64_t off)
{
	return (struct tfs_key){ .obj = obj, .type = type, .off = off };
}

static inline int tfs_key_cmp(const struct tfs_key *a, const struct tfs_key *b)
{
	if (a->obj != b->obj)
		return a->obj < b->obj ? -1 : 1;
	if (a->type != b->type)
		return a->type < b->type ? -1 : 1;
	if (a->off != b->off)
		return a->off < b->off ? -1 : 1;
	return 0;
}

/* The smallest key above; the last offset of a type has one, too. */
static inline struct tfs_key tfs_key_after(struct tfs_key key)
{
	if (!++key.off && !++key.type)
		key.obj++;
	return key;
}

static inline void tfs_key_encode(struct tfs_disk_key *d, const struct tfs_key *key)
{
	*d = (struct tfs_disk_key){
		.off = htole64(key->off),
		.obj = htole32(key->obj),
		.type = key->type,
	};
}

static inline struct tfs_key tfs_key_decode(const struct tfs_disk_key *d)
{
	return tfs_key(le32toh(d->obj), d->type, le64toh(d->off));
}

/* An item where it lies in memory: val is valid until the function returns,
 * read-only, and not aligned for anything. */
struct tfs_item {
	struct tfs_key	key;
	const void	*val;
	unsigned int	len;
};

#endif
