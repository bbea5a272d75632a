/* SPDX-License-Identifier: GPL-2.0-or-later */
/* flaws.h - the list of what was found bad: bounded, kept in the filesystem. */
#ifndef TFS_FLAWS_H
#define TFS_FLAWS_H

#include "file/flaw.h"

int tfs_flaws_create(struct tfs *fs);
void tfs_flaws_destroy(struct tfs *fs);
/* What is stored; once, before the list is used.  0 or -ENOMEM: what can't be
 * read is said and left out. */
int tfs_flaws_load(struct tfs *fs);

/* It was seen now.  No I/O.  True: nothing was known of that place or its
 * neighbours, and there was room for it. */
bool tfs_flaws_add(struct tfs *fs, const struct tfs_flaw *f);
/* So many others, of which nothing else is known any more. */
void tfs_flaws_add_unlisted(struct tfs *fs, uint64_t n);
/* This content of a file, whole clusters, was read and verified. */
void tfs_flaws_good(struct tfs *fs, const struct tfs_flaw *f);
/* Nobody has seen them since: of data, of all else. */
void tfs_flaws_expire(struct tfs *fs, bool data, bool meta, uint64_t since);
/* All of the tree was read: no part of it is lost any more. */
void tfs_flaws_tree_whole(struct tfs *fs);
void tfs_flaws_clear(struct tfs *fs);
/* Take away what no longer stands, of the next max of the list; 0: of all. */
void tfs_flaws_sweep(struct tfs *fs, unsigned int max);

/* Where a look at the list is. */
struct tfs_flaws_at {
	struct tfs_key	key;
	uint64_t	lc;
};

/* The next one that stands, of a file only the part that does; zeros to begin
 * with.  -ENOENT: no more.  *stored: it outlives the mount. */
int tfs_flaws_next(struct tfs *fs, struct tfs_flaws_at *at,
		   struct tfs_flaw *out, bool *stored);

struct tfs_flaws_count {
	uint64_t	listed, healed;	/* of them */
	uint64_t	unlisted;
};

/* Of the list as it is, without a look at what stands. */
void tfs_flaws_count(struct tfs *fs, struct tfs_flaws_count *out);

/* Bring to the tree what has changed, as part of the running commit; all: also
 * that something known was seen again.  0, -EROFS, -ENOSPC, ... */
int tfs_flaws_store(struct tfs *fs, bool all);

#endif
