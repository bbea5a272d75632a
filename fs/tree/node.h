/* SPDX-License-Identifier: GPL-2.0-or-later */
/* node.h - one B+tree node and its bytes: no locks, no tree. */
#ifndef TFS_NODE_H
#define TFS_NODE_H

#include "tfs.h"
#include "tree/key.h"
#include "tree/park.h"

enum tfs_node_state {
	TFS_NODE_CLEAN,		/* as on the medium */
	TFS_NODE_DIRTY,		/* of the running checkpoint; may change */
	TFS_NODE_FROZEN,	/* being written; must not change */
};

/* All fields: fs->tree, except used. */
struct tfs_node {
	struct tfs_ptr	ptr;
	uint8_t		level;
	enum tfs_node_state state;
	bool		stale;		/* nobody points here any more */
	atomic_bool	used;		/* since the cache last looked */
	uint64_t	mark;		/* of the transaction that counted it */
	uint32_t	live;		/* bytes of items and values */
	struct tfs_node	*hash_next;
	struct tfs_node	*prev, *next;	/* all nodes, or the dirty ones */
	uint8_t		*buf;		/* the cluster, struct tfs_disk_node;
					 * NULL: it is parked */
	struct tfs_chunk *chunk;	/* that buf is a piece of */
	bool		is_parked;	/* the park has what it is to be */
	struct tfs_parked parked;
};

/* What must be done with no lock held before a transaction can go on. */
enum tfs_miss_kind {
	TFS_MISS_NODE,		/* read a node */
	TFS_MISS_SPACE,		/* the same, for free space: not all is lost */
	TFS_MISS_PAUSE,		/* nothing, but let others have the lock */
};

struct tfs_miss {
	enum tfs_miss_kind kind;
	struct tfs_ptr	ptr;
	uint8_t		level;
	struct tfs_key	low, high;
	unsigned int	ticket;		/* a reader's; see tfs_tree_unlock() */
};

struct tfs_ptr tfs_ptr_decode(const void *val);
void tfs_ptr_encode(struct tfs_disk_ptr *d, const struct tfs_ptr *ptr);

void tfs_node_init(const struct tfs *fs, struct tfs_node *node, uint8_t level,
		   struct tfs_key low, struct tfs_key high);
unsigned int tfs_node_items(const struct tfs_node *node);
struct tfs_key tfs_node_low(const struct tfs_node *node);
struct tfs_key tfs_node_high(const struct tfs_node *node);
struct tfs_key tfs_node_key(const struct tfs_node *node, unsigned int i);
struct tfs_item tfs_node_item(const struct tfs_node *node, unsigned int i);
/* Number of items before key: the place where it is or belongs. */
unsigned int tfs_node_find(const struct tfs_node *node,
			   const struct tfs_key *key, bool *exact);
/* In a node above the leaves: which child holds key. */
unsigned int tfs_node_child(const struct tfs_node *node,
			    const struct tfs_key *key);
struct tfs_ptr tfs_node_ptr(const struct tfs_node *node, unsigned int i);
void tfs_node_set_ptr(struct tfs_node *node, unsigned int i,
		      const struct tfs_ptr *ptr);
bool tfs_node_fits(const struct tfs *fs, const struct tfs_node *node,
		   unsigned int len);
/* The item must fit. */
void tfs_node_insert(const struct tfs *fs, struct tfs_node *node,
		     unsigned int i, const struct tfs_key *key,
		     const void *val, unsigned int len);
void tfs_node_remove(struct tfs_node *node, unsigned int i);
/* Move the upper part of node into the empty right, as if (key, val) had
 * been inserted at i, and insert it. */
void tfs_node_split(const struct tfs *fs, struct tfs_node *node,
		    struct tfs_node *right, unsigned int i,
		    const struct tfs_key *key, const void *val,
		    unsigned int len);
bool tfs_node_can_merge(const struct tfs *fs, const struct tfs_node *left,
			const struct tfs_node *right);
/* All of right's items to the end of left, with its upper bound. */
void tfs_node_merge(const struct tfs *fs, struct tfs_node *left,
		    const struct tfs_node *right);
/* Less than a third used: a neighbour may take it in. */
bool tfs_node_sparse(const struct tfs *fs, const struct tfs_node *node);
/* Stamp sequence and checksum into the bytes that will be written. */
void tfs_node_seal(const struct tfs *fs, void *buf, uint64_t seq);
/* Check every field of a node just read against what its parent says.  NULL
 * or what is wrong with it; sets level and live. */
const char *tfs_node_decode(const struct tfs *fs, struct tfs_node *node,
			    uint8_t level, const struct tfs_key *low,
			    const struct tfs_key *high);

#endif
