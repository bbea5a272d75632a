/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mirror.h - a filesystem on several devices that have the same. */
#ifndef MKFS_MIRROR_H
#define MKFS_MIRROR_H

#include "legs.h"
#include "target.h"

#define MIRROR_LEGS	LEGS_MAX

struct mirror_leg {
	const char	*path;
	struct target	target;
	struct eng_probe probe;		/* what it will be */
};

/* No two of those that exist are the same storage, by whatever names. */
int mirror_check(const struct mirror_leg *leg, unsigned int n);
/* Open all, as one device. */
int mirror_open(struct eng_dev **out, const struct mirror_leg *leg,
		unsigned int n, struct eng_pool *pool);

#endif
