/* SPDX-License-Identifier: GPL-2.0-or-later */
/* scrubber.h - scrubs of a mounted filesystem, one at a time, on a thread of
 * their own.  Any thread, but for create and destroy. */
#ifndef TFS_SCRUBBER_H
#define TFS_SCRUBBER_H

#include "check/scrub.h"

struct tfs_scrubber;	/* fields: scrubber.c */

struct tfs_scrub_how {
	bool		data, meta;
	bool		errors;		/* instead: what is known to be bad */
	unsigned int	rate;		/* MiB/s read; 0: no limit */
};

/* The newest scrub. */
struct tfs_scrub_status {
	enum tfs_scrub_state state;
	struct tfs_scrub_how how;
	int		err;
	int64_t		started, ended;	/* seconds since 1970; 0: not yet */
	uint64_t	bytes, nodes, healed, uncorrectable;
	uint64_t	region, regions;
	int64_t		whole;	/* when the last one of all ended; 0: never */
};

int tfs_scrubber_create(struct tfs_scrubber **out, struct tfs *fs);
/* Before the first starts: how many requests others have made so far.  A scrub
 * with a rate rests between its steps while that number grows. */
void tfs_scrubber_make_room(struct tfs_scrubber *sc,
			    uint64_t (*others)(void *arg), void *arg);
/* Begin to use it: a scrub that a mount's end has interrupted goes on, if the
 * filesystem can be written. */
void tfs_scrubber_go_on(struct tfs_scrubber *sc);
/* Stops first.  NULL is fine. */
void tfs_scrubber_destroy(struct tfs_scrubber *sc);
/* End the thread, and start no other.  It goes on with the next mount. */
void tfs_scrubber_stop(struct tfs_scrubber *sc);

/* -EBUSY: one runs, or is paused. */
int tfs_scrubber_start(struct tfs_scrubber *sc,
		       const struct tfs_scrub_how *how);
/* -ENOENT: there is none that this could be said to. */
int tfs_scrubber_pause(struct tfs_scrubber *sc, bool on);
int tfs_scrubber_cancel(struct tfs_scrubber *sc);
void tfs_scrubber_status(struct tfs_scrubber *sc,
			 struct tfs_scrub_status *out);

#endif
