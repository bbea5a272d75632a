/* SPDX-License-Identifier: GPL-2.0-or-later */
/* find.h - block devices by what is on them. */
#ifndef TAGFS_FIND_H
#define TAGFS_FIND_H

#include "legs.h"

/* "UUID=..." and "LABEL=..." become the path of a device, anything else stays
 * as it is; malloced.  NULL: there is no such device, and that was said, or no
 * memory. */
char *find_source(const char *spec);
/* The other legs of the mirror that the only one of l is a leg of, if that is
 * a block device: malloced into found, and added to l.  How many there are;
 * -E2BIG: more than a mirror has. */
int find_legs(struct legs *l, char *found[LEGS_MAX]);

#endif
