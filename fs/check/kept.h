/* SPDX-License-Identifier: GPL-2.0-or-later */
/* kept.h - a scrub as it is kept in the filesystem: what it did, and how far it
 * is. */
#ifndef TFS_KEPT_H
#define TFS_KEPT_H

#include "base/runs.h"
#include "tfs.h"
#include "tree/key.h"

struct tfs_kept {
	enum tfs_scrub_state state;	/* active: it can go on */
	bool		data, meta, errors;
	unsigned int	rate;
	int		err;
	int64_t		started, ended;	/* seconds since 1970; 0: not yet */
	uint64_t	bytes, nodes, healed, uncorrectable;
	uint64_t	region;		/* it goes on with content there */
	uint32_t	bit;		/* and this cluster of it */
	uint32_t	ino;		/* and then with the tree, from there */
	uint64_t	parts;		/* of the device's own, looked at */
	unsigned int	suspects;	/* runs that it has yet to look up */
};

/* NULL, or what is wrong with the item. */
const char *tfs_kept_decode(const struct tfs *fs, const struct tfs_item *item,
			    struct tfs_kept *out);
/* The same of an item with some of the suspects, which are added to runs, if
 * that is not NULL. */
const char *tfs_kept_suspects(const struct tfs *fs,
			      const struct tfs_item *item,
			      struct tfs_runs *runs, int *err);

/* The newest scrub.  suspect: what it has yet to look up; may be NULL.
 * -ENOENT: there never was one.  -EUCLEAN: what is there makes no sense. */
int tfs_kept_load(struct tfs *fs, struct tfs_kept *out,
		  struct tfs_runs *suspect);
/* When the last one ended that read everything; 0: none did. */
int tfs_kept_whole(struct tfs *fs, int64_t *when);
/* Part of the running commit, all or nothing.  whole: it has read everything.
 * What is suspect may become more, never less. */
int tfs_kept_store(struct tfs *fs, const struct tfs_kept *kept,
		   const struct tfs_runs *suspect, bool whole);

#endif
