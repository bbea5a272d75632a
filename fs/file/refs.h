/* SPDX-License-Identifier: GPL-2.0-or-later */
/* refs.h - the inodes in use: references, and locks on ranges. */
#ifndef TFS_REFS_H
#define TFS_REFS_H

#include "fs.h"

struct tfs_refs;

int tfs_refs_create(struct tfs_refs **out);
void tfs_refs_destroy(struct tfs_refs *refs);
/* The memory that a first reference takes; free() what is left of it.  NULL:
 * there is none. */
struct tfs_inuse;
struct tfs_inuse *tfs_ref_spare(void);
/* Count n references; takes *spare and sets it NULL, if it is needed.  The tree
 * lock may be held. */
void tfs_ref_with(struct tfs *fs, uint32_t ino, uint64_t n,
		  struct tfs_inuse **spare);
/* Count n down.  True: that was the last one of an orphan, which the caller
 * must reclaim. */
bool tfs_refs_drop(struct tfs *fs, uint32_t ino, uint64_t n);
bool tfs_refs_held(struct tfs *fs, uint32_t ino);
/* The inode has lost its last name.  True if it is held: then the last
 * tfs_unref() reclaims it, else the caller must. */
bool tfs_refs_orphan(struct tfs *fs, uint32_t ino);

/* Byte ranges are serialised per inode, by cluster: (first, last).  0 or
 * -ENOMEM. */
int tfs_range_lock(struct tfs *fs, uint32_t ino, uint64_t first,
		   uint64_t last);
void tfs_range_unlock(struct tfs *fs, uint32_t ino, uint64_t first,
		      uint64_t last);

#endif
