/* SPDX-License-Identifier: GPL-2.0-or-later */
/* park.h - places for nodes in a scratch file. */
#ifndef TFS_PARK_H
#define TFS_PARK_H

#include <stdint.h>

#include "base/scratch.h"

struct tfs_park;

/* Where a node is, and what it is to be when it comes back. */
struct tfs_parked {
	uint32_t	place, crc;
};

/* For nodes of that size. */
int tfs_park_create(struct tfs_park **out, const struct tfs_scratch *scratch,
		    size_t size);
/* NULL is fine. */
void tfs_park_destroy(struct tfs_park *park);
int tfs_park_put(struct tfs_park *park, const void *buf,
		 struct tfs_parked *out);
/* The place stays taken.  Any thread. */
int tfs_park_get(struct tfs_park *park, const struct tfs_parked *at,
		 void *buf);
void tfs_park_drop(struct tfs_park *park, const struct tfs_parked *at);

#endif
