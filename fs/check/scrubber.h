/* SPDX-License-Identifier: GPL-2.0-or-later */
/* scrubber.h - scrubs of a mounted filesystem, one at a time, on a thread of
 * their own.  Any thread, but for create and destroy. */
#ifndef TFS_SCRUBBER_H
#define TFS_SCRUBBER_H

#include "check/scrub.h"

struct tfs_scrubber;	/* fields: scrubber.c */

enum tfs_scrub_state {
	TFS_SCRUB_NEVER,	/* since it was mounted */
	TFS_SCRUB_RUNNING,
	TFS_SCRUB_PAUSED,
	TFS_SCRUB_FINISHED,
	TFS_SCRUB_CANCELLED,
	TFS_SCRUB_FAILED,	/* see err */
};

struct tfs_scrub_how {
	bool		data, meta;
	unsigned int	rate;		/* MiB/s of data; 0: no limit */
};

/* The newest scrub. */
struct tfs_scrub_status {
	enum tfs_scrub_state state;
	struct tfs_scrub_how how;
	int		err;
	int64_t		started, ended;	/* seconds since 1970; 0: not yet */
	uint64_t	bytes, nodes, healed, uncorrectable;
	uint64_t	region, regions;
};

int tfs_scrubber_create(struct tfs_scrubber **out, struct tfs *fs);
/* Stops first.  NULL is fine. */
void tfs_scrubber_destroy(struct tfs_scrubber *sc);
/* Cancel, wait for the thread, and start no other. */
void tfs_scrubber_stop(struct tfs_scrubber *sc);

/* -EBUSY: one runs. */
int tfs_scrubber_start(struct tfs_scrubber *sc,
		       const struct tfs_scrub_how *how);
/* -ENOENT: there is none that this could be said to. */
int tfs_scrubber_pause(struct tfs_scrubber *sc, bool on);
int tfs_scrubber_cancel(struct tfs_scrubber *sc);
void tfs_scrubber_status(struct tfs_scrubber *sc,
			 struct tfs_scrub_status *out);

#endif
