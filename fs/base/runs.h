/* SPDX-License-Identifier: GPL-2.0-or-later */
/* runs.h - lists of cluster runs, and arrays that grow.  No locks. */
#ifndef TFS_RUNS_H
#define TFS_RUNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tfs_runs {
	struct tfs_run {
		uint64_t addr, len;
	}		*run;
	size_t		n, room;
	uint64_t	clusters;	/* sum of len */
};

/* Append, merging with the last run. 0 or -ENOMEM. */
int tfs_runs_add(struct tfs_runs *list, uint64_t addr, uint64_t len);
/* Room for that many more runs, so that adding cannot fail. */
int tfs_runs_reserve(struct tfs_runs *list, size_t runs);
void tfs_runs_clear(struct tfs_runs *list);
/* Sort by address and join neighbours.  False: some overlap. */
bool tfs_runs_sort(struct tfs_runs *list);

/* Room for n elements of that size in an array that grows.  array: the
 * address of the pointer to it.  0 or -ENOMEM. */
int tfs_array_grow(void *array, size_t *room, size_t n, size_t size);

#endif
