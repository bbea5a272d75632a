/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ncache.h - nodes in memory.  Under fs->tree, unless said otherwise. */
#ifndef TFS_NCACHE_H
#define TFS_NCACHE_H

#include "tree/node.h"

int tfs_ncache_create(struct tfs_ncache **out, size_t bytes, uint32_t csize);
void tfs_ncache_destroy(struct tfs_ncache *nc);

/* A node of zeros that the caller fills in, or NULL.  Any thread. */
struct tfs_node *tfs_node_alloc(struct tfs *fs);
void tfs_node_free(struct tfs_node *node);

struct tfs_node *tfs_ncache_find(struct tfs *fs, const struct tfs_ptr *ptr);
void tfs_ncache_insert(struct tfs *fs, struct tfs_node *node);
void tfs_ncache_remove(struct tfs *fs, struct tfs_node *node);
void tfs_ncache_dirty(struct tfs *fs, struct tfs_node *node);
size_t tfs_ncache_dirty_count(const struct tfs *fs);
size_t tfs_ncache_count(const struct tfs *fs);
/* Freeze all dirty nodes and hand their list over (linked by next). */
struct tfs_node *tfs_ncache_freeze(struct tfs *fs, size_t *count);
/* The frozen ones are durable: clean now, stale ones gone. */
void tfs_ncache_thaw(struct tfs *fs, struct tfs_node *list);
/* Make room for one more, as long as there are clean ones. */
void tfs_ncache_evict(struct tfs *fs);

/* From now on dirty nodes that take more memory than that are parked, in a
 * scratch file, until the checkpoint.  For who is alone: see tfs.replaying. */
int tfs_ncache_park_in(struct tfs *fs, const struct tfs_scratch *scratch,
		       size_t bytes);
/* Is there one?  It is there before others are, so with no lock held, too. */
bool tfs_ncache_parks(const struct tfs *fs);
/* Do so.  No pointers to nodes are held.  0 or -errno. */
int tfs_ncache_park(struct tfs *fs);
bool tfs_ncache_is_parked(const struct tfs *fs, const struct tfs_ptr *ptr);
/* 1: it is in memory (again); 0: not known here; or -errno. */
int tfs_ncache_unpark(struct tfs *fs, const struct tfs_ptr *ptr);
/* The bytes of a frozen one; with no lock held. */
int tfs_ncache_copy(struct tfs *fs, const struct tfs_node *node, void *buf);

/* Nodes to be rewritten: a list of limited length.  What it has no room for is
 * found again when it is read again. */
void tfs_ncache_heal_note(struct tfs *fs, const struct tfs_miss *f);
/* How many there are; a checkpoint will look at these. */
size_t tfs_ncache_heals(struct tfs *fs);
/* Has any come in since? */
bool tfs_ncache_heal_new(const struct tfs *fs);
struct tfs_miss tfs_ncache_heal_at(const struct tfs *fs, size_t i);
/* Forget it; another one takes its place. */
void tfs_ncache_heal_drop(struct tfs *fs, size_t i);

#endif
