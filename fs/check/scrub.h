/* SPDX-License-Identifier: GPL-2.0-or-later */
/* scrub.h - read and verify all that is in use, beside others who use the
 * filesystem. */
#ifndef TFS_SCRUB_H
#define TFS_SCRUB_H

#include "check/ahead.h"
#include "check/medium.h"
#include "check/treewalk.h"
#include "file/flaws.h"

enum tfs_scrub_kind {
	TFS_SCRUB_DATA,		/* a cluster of a file does not verify */
	TFS_SCRUB_NODE,		/* a copy of a tree node */
	TFS_SCRUB_LOST,		/* both: a part of the tree can't be read */
	/* One copy of: */
	TFS_SCRUB_DEVICE,	/* what a container keeps for itself */
	TFS_SCRUB_SUPER,
	TFS_SCRUB_SLOT,
	TFS_SCRUB_LOG,		/* (the only one) */
	TFS_SCRUB_LEGS,		/* a leg's own list of the legs */
};

struct tfs_scrub_finding {
	enum tfs_scrub_kind kind;
	uint32_t	ino;	/* data; of what is lost, the first one */
	uint64_t	off, len;	/* data: bytes of the file; container:
					 * byte on the storage below, and 0 */
	uint64_t	cluster;	/* where it is */
	uint64_t	seq;		/* data: of the extent */
	int		err;		/* -EBADMSG: see fault; -EUCLEAN: why */
	const char	*why;
	struct eng_fault fault;
	bool		healed;		/* or the next checkpoint does it */
	unsigned int	copy, leg;	/* beside the tree: see tfs_finding */
};

/* The caller sets the first part. */
struct tfs_scrub {
	struct tfs	*fs;
	void		*arg;
	bool		data, meta;	/* what to read */
	bool		errors;		/* instead: what is on the list of
					 * flaws; and the tree, if nodes are */
	/* No lock is held while it runs. */
	void		(*found)(struct tfs_scrub *s,
				 const struct tfs_scrub_finding *f);

	/* The result, so far. */
	bool		done;
	uint64_t	bytes;		/* read and verified, of files */
	uint64_t	nodes;		/* of the tree, both copies */
	uint64_t	moved;		/* bytes read for all of it, roughly */
	uint64_t	healed, uncorrectable;	/* findings */

	/* How far.  May be set before it begins, to what it was between two
	 * steps, together with the result. */
	uint64_t	region, regions;	/* with data */
	unsigned int	bit;			/* of the region */
	uint64_t	parts;			/* the device's own; meta */
	uint32_t	ino;			/* and then with the tree */
	struct tfs_runs	suspect;	/* yet to be looked up */

	/* scrub.c's own */
	bool		walking, resolving;
	struct tfs_flaws_at listing;
	bool		listed;		/* all of it was */
	struct tfs_treewalk w;
	struct tfs_medium m;
	bool		beside;			/* there is one */
	struct tfs_ahead ahead;
	bool		reads_ahead;
	uint8_t		*buf;
	size_t		buf_size;
	uint16_t	*tags;		/* of the batch, of each leg */
	unsigned int	legs;		/* that it was read from */
	uint32_t	*at;		/* which clusters of the region */
};

/* 0 or -ENOMEM; then what was set is gone. */
int tfs_scrub_begin(struct tfs_scrub *s);
/* At most 8 MiB of data, or one leaf of the tree and what was to be looked up
 * in it, or a few of the copies that lie beside it.  0, also where something is found, or why it can't go on. */
int tfs_scrub_step(struct tfs_scrub *s);
void tfs_scrub_end(struct tfs_scrub *s);

#endif
