/* SPDX-License-Identifier: GPL-2.0-or-later */
/* resilver.h - give the legs of a mirror what was written while they were
 * away, beside others who use the filesystem. */
#ifndef TFS_RESILVER_H
#define TFS_RESILVER_H

#include "check/treewalk.h"

struct tfs_resilver;	/* fields: resilver.c */

/* On a thread of its own, if a leg is behind; else *out is NULL.  rate: MiB a
 * second that are compared at most; 0: as fast as it goes. */
int tfs_resilver_start(struct tfs_resilver **out, struct tfs *fs,
		       unsigned int rate);
/* Waits for its end, or makes it end; the next one goes on there, if nothing
 * happened to the legs meanwhile.  0: it was done.  NULL is fine. */
int tfs_resilver_stop(struct tfs_resilver *r, bool wait);

/* NULL, or what is wrong with the item that keeps how far one is. */
const char *tfs_resilver_item(const struct tfs_item *item);

#endif
