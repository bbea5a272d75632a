/* SPDX-License-Identifier: GPL-2.0-or-later */
/* freemap.h - free space in memory.  All under fs->tree, held for writing. */
#ifndef TFS_FREEMAP_H
#define TFS_FREEMAP_H

#include "tree/node.h"

#define TFS_REGION_WORDS	(TFS_REGION_BITS / 64)
#define TFS_FREEMAP_TABLE	1024
#define TFS_FREEMAP_RECENT	8

struct tfs_region {
	uint64_t	idx;
	uint64_t	map[TFS_REGION_WORDS];	/* freemap.c (1) */
	uint64_t	hide[TFS_REGION_WORDS];	/* freemap.c (2) */
	unsigned int	hidden;		/* bits in it */
	bool		dirty;
	bool		lost;		/* freemap.c (7) */
	bool		guessed;	/* freemap.c (8) */
	struct tfs_region *next;
};

struct tfs_group {
	uint64_t	idx;
	uint16_t	free[TFS_GROUP_REGIONS];	/* clear bits of map */
	bool		dirty;
	bool		lost;		/* freemap.c (7) */
	struct tfs_group *next;
};

/* A search for free clusters, which goes on where it was left. */
struct tfs_search {
	uint64_t	at;		/* cluster */
	uint64_t	full;		/* regions passed since it found any */
};

struct tfs_freemap {
	struct tfs_region *region[TFS_FREEMAP_TABLE];
	struct tfs_group *group[TFS_FREEMAP_TABLE];
	size_t		regions, dirty;
	struct tfs_search	data, node, copy;
	uint64_t	copy_from;	/* nothing was free from here to copy.at */
	uint64_t	half;		/* for a node, in want of its copy; or 0 */
	struct tfs_lost {		/* keys whose leaf can't be read */
		struct tfs_key low, high;
	}		*lost;
	size_t		lost_n, lost_room;
	uint64_t	aside;		/* free clusters that trim.c holds */
	uint64_t	unreachable;	/* free clusters, as far as known (7) */
	struct tfs_node	**pool;
	size_t		pool_n, pool_room;
	unsigned int	spare;
	struct tfs_region *last;	/* the one found last */
	/* Regions with something to be freed, about; see freed_in(). */
	size_t		freed;
	uint64_t	recent[TFS_FREEMAP_RECENT];
	unsigned int	recent_at;
};

int tfs_freemap_create(struct tfs_freemap **out, const struct tfs *fs);
void tfs_freemap_destroy(struct tfs_freemap *fm);
/* Clusters that superblocks, slots and log take. */
uint64_t tfs_freemap_fixed(const struct tfs *fs);

/* ---- the bits of one region ----------------------------------------------- */

void tfs_bits_put(uint64_t *map, unsigned int from, unsigned int n, bool on);
/* The first bit at or after i that is on (or off), TFS_REGION_BITS if none. */
unsigned int tfs_bits_next(const uint64_t *map, unsigned int i, bool on);
unsigned int tfs_bits_clear(const uint64_t *map);
/* Set those of region idx that are in use whatever the tree says. */
void tfs_bits_fixed(const struct tfs *fs, uint64_t idx, uint64_t *map);

/* ---- regions -------------------------------------------------------------- */

uint64_t tfs_region_count(const struct tfs *fs);
/* The count of its group, which is in memory. */
uint16_t *tfs_region_free(struct tfs *fs, uint64_t region);
/* NULL: not in memory. */
struct tfs_region *tfs_region_find(struct tfs_freemap *fm, uint64_t idx);
/* The same for who holds fs->tree for reading only, and does not change it. */
const struct tfs_region *tfs_region_peek(const struct tfs *fs, uint64_t idx);
/* May the tree have something at addr?  Yes, where that isn't in memory.
 * fs->tree held for reading will do. */
bool tfs_region_may_hold(const struct tfs *fs, uint64_t addr);
/* NULL: not in memory. */
struct tfs_group *tfs_group_find(struct tfs_freemap *fm, uint64_t idx);
void tfs_region_dirty(struct tfs *fs, struct tfs_region *r);
/* It can't be read, or not be stored any more. */
void tfs_region_lose(struct tfs *fs, struct tfs_region *r);
/* The items from low to high can't be read.  0 or -ENOMEM. */
int tfs_freemap_lose(struct tfs *fs, const struct tfs_key *low,
		     const struct tfs_key *high);
bool tfs_freemap_lost(const struct tfs *fs, const struct tfs_key *key);
/* So many clusters that were taken for free can't be had. */
void tfs_freemap_strand(struct tfs *fs, uint64_t clusters);
/* The region is as map says, whatever the tree has; (8).  Neither it nor, before
 * the first of its regions, its group is in memory.  0 or -ENOMEM. */
int tfs_region_guess(struct tfs *fs, uint64_t idx, const uint64_t *map);
void tfs_region_hide(struct tfs_region *r, unsigned int from,
		     unsigned int n);
void tfs_region_unhide(struct tfs_region *r, unsigned int from,
		       unsigned int n);
/* The first run of want clear bits from bit on, else the longest one of the
 * whole region, none of them in [low, high).  0: the region is full. */
unsigned int tfs_region_run(const struct tfs_region *r, unsigned int bit,
			    unsigned int want, unsigned int low,
			    unsigned int high, unsigned int *at);
void tfs_region_take(struct tfs *fs, struct tfs_region *r, unsigned int bit,
		     unsigned int n);
/* Run fn on the part of every region that the list touches. */
int tfs_region_each(struct tfs *fs, const struct tfs_runs *list,
		    int (*fn)(struct tfs *fs, uint64_t region,
			      unsigned int bit, unsigned int n,
			      struct tfs_miss *miss),
		    struct tfs_miss *miss);

/* ---- freeing -------------------------------------------------------------- */

/* Free with the running commit: reusable after its checkpoint is durable
 * and every read that could look at them is over.  There is room in the
 * list (tfs_free_reserve()). */
void tfs_free_later(struct tfs *fs, uint64_t addr, uint64_t len);
/* For that many runs, besides those that handles may free. */
int tfs_free_reserve(struct tfs *fs, size_t runs);
/* What reservations of that many clusters promise: these and, however little
 * is written at a time, the nodes that the extents will need. */
uint64_t tfs_reserved_space(const struct tfs *fs, uint64_t reserved);
/* A checkpoint frees what was freed until now.  The regions are in memory. */
int tfs_freemap_hide(struct tfs *fs);
/* That checkpoint is durable and its reads are over. */
void tfs_freemap_release(struct tfs *fs, const struct tfs_runs *freed);
/* Regions that a checkpoint would write, about. */
size_t tfs_freemap_dirty(const struct tfs *fs);

/* ---- the pool: places and memory for nodes, filled by alloc.c ------------- */

struct tfs_node *tfs_pool_take(struct tfs *fs);
/* Begin to look for the copy of the node at half. */
void tfs_pool_aim(struct tfs *fs, uint64_t half);
/* These clusters of the region are in use after all: what was set aside there
 * is given back. */
void tfs_pool_drop(struct tfs *fs, const struct tfs_region *r,
		   const uint64_t *used);
/* May an optional change take one more? Counts down. */
bool tfs_pool_spare(struct tfs *fs);
uint64_t tfs_pool_clusters(const struct tfs *fs);

#endif
