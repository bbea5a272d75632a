/* SPDX-License-Identifier: GPL-2.0-or-later */
/* rebuild_priv.h - shared by the files that make up tfs_rebuild().
 *
 * Numbers in parentheses are those of rebuild.c. */
#ifndef TFS_REBUILD_PRIV_H
#define TFS_REBUILD_PRIV_H

#include "check/rebuild.h"
#include "check/salvage.h"
#include "commit/super.h"

struct range {
	struct tfs_key	low, high;
};

struct rebuild {
	struct tfs_rebuild *how;
	struct tfs	*fs;
	struct tfs_slot	slot;
	unsigned int	odd;
	struct tfs_salvage sv;
	bool		unsure;		/* whose filesystem it is */
	uint64_t	limit;		/* (6) */
	uint64_t	above;		/* the log counts from there on */
	uint64_t	mapped;		/* clusters of extents that are left */
	struct tfs_miss	*lost;
	size_t		lost_n, lost_room;
	struct range	*hole;		/* what no leaf has */
	size_t		holes, hole_room;
	uint64_t	**map;		/* by region: in use, as stored */
	uint64_t	*map_seq;	/* at that commit; 0: not known */
	uint64_t	**claim;	/* by region: (5) */
	struct tfs_sorter *leaves;	/* pieces, ascending */
	struct tfs_sorter *data;
	uint64_t	data_clusters;	/* in these */
	uint32_t	*made;		/* inodes lost, in the log as well */
	size_t		made_n, made_room;
	struct tfs_node	*node;		/* a leaf that is being read */
};

/* Pieces in their order, with the one that comes next. */
struct pieces {
	struct tfs_sorter *all;
	struct tfs_piece at;
	int		more;		/* 1: at is one; 0; or -errno */
};

/* What is to be done with a leaf, which is in rb->node, and that part of it. */
typedef int (*tfs_rb_leaf_fn)(struct rebuild *rb, const struct range *r,
			      uint64_t seq);

static inline bool tfs_range_has(const struct range *r,
				 const struct tfs_key *key)
{
	return tfs_key_cmp(key, &r->low) >= 0 && tfs_key_cmp(key, &r->high) < 0;
}

/* What of a piece lies between these keys. */
static inline struct range tfs_piece_meet(const struct tfs_key *low,
					  const struct tfs_key *high,
					  const struct tfs_piece *p)
{
	return (struct range){
		tfs_key_cmp(low, &p->low) > 0 ? *low : p->low,
		tfs_key_cmp(high, &p->high) < 0 ? *high : p->high,
	};
}

/* ---- rebuild_open.c ----------------------------------------------------- */

/* The superblock and the slots, or what takes their place. */
int tfs_rb_open(struct rebuild *rb);

/* ---- rebuild_claims.c: what is in use ----------------------------------- */

/* (5) */
int tfs_rb_claim(struct rebuild *rb, uint64_t addr, uint64_t len);
int tfs_rb_claim_extent(struct rebuild *rb, const struct tfs_item *item);
/* (3) */
bool tfs_rb_is_dead(const struct rebuild *rb, uint64_t addr, uint64_t seq);
/* A bitmap as it was stored at that commit. */
int tfs_rb_take_map(struct rebuild *rb, const struct tfs_item *item,
		    uint64_t seq);
/* Between these keys all bitmaps are known; those that are not there are of
 * regions that were free. */
void tfs_rb_know_maps(struct rebuild *rb, const struct tfs_key *low,
		      const struct tfs_key *high, uint64_t seq);
/* (5) The filesystem's own map, from both. */
int tfs_rb_guess_maps(struct rebuild *rb);

/* ---- rebuild_leaves.c --------------------------------------------------- */

/* What can be walked is claimed; the rest is rb->lost. */
int tfs_rb_walk(struct rebuild *rb);
/* Run fn for each leaf of each lost part, in the order of keys; what none has
 * is a hole. */
int tfs_rb_each_leaf(struct rebuild *rb, tfs_rb_leaf_fn fn);
int tfs_rb_add_hole(struct rebuild *rb, struct tfs_key low,
		    struct tfs_key high);
/* From the first one; from the first one that ends above key; and the next. */
int tfs_pieces_begin(struct pieces *p, struct tfs_sorter *all);
void tfs_pieces_seek(struct pieces *p, const struct tfs_key *key);
void tfs_pieces_next(struct pieces *p);
/* The items of a leaf are put into the tree. */
int tfs_rb_put_leaf(struct rebuild *rb, const struct range *r, uint64_t seq);

/* ---- rebuild_choose.c --------------------------------------------------- */

/* Which leaves and data are to come back: rb->leaves, rb->data.  What the
 * scan found is gone then. */
int tfs_rb_choose(struct rebuild *rb);

/* ---- rebuild_newest.c --------------------------------------------------- */

/* Without slots, after the scan: what is newer than the newest checkpoint that
 * came to its end does not count, if that can be told. */
int tfs_rb_newest(struct rebuild *rb);

/* ---- rebuild_data.c ----------------------------------------------------- */

/* (4) */
int tfs_rb_fill(struct rebuild *rb);

#endif
