/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ahead.h - verify clusters with whatever tags they have, several requests on
 * their way at once. */
#ifndef TFS_AHEAD_H
#define TFS_AHEAD_H

#include <pthread.h>

#include "tfs.h"

#define TFS_AHEAD	6u	/* requests */

struct tfs_ahead_io {
	struct tfs_ahead *a;
	uint8_t		*buf;
	struct eng_io	*io;		/* NULL: free */
	unsigned int	leg;
	uint64_t	addr;
	uint32_t	n;
	uint16_t	*tags;
	bool		over;		/* lock */
};

struct tfs_ahead {
	struct tfs	*fs;
	uint32_t	most;		/* clusters of a request */
	/* Could not be read, or does not verify, as a whole: nothing is on its
	 * way in buf, which has room for it.  0, or why to go no further. */
	int		(*failed)(void *arg, unsigned int leg, uint64_t addr,
				  uint32_t n, uint16_t *tags, uint8_t *buf);
	void		*arg;

	/* ahead.c's own */
	pthread_mutex_t	lock;
	pthread_cond_t	cond;
	unsigned int	next;		/* the oldest one is there */
	struct tfs_ahead_io io[TFS_AHEAD];
};

/* fs, most, failed and arg are set.  0 or -ENOMEM. */
int tfs_ahead_begin(struct tfs_ahead *a);
void tfs_ahead_end(struct tfs_ahead *a);
/* n clusters of a leg (tfs_leg_next()), at most as many as a request has; their
 * tags are there when tfs_ahead_wait() has returned 0. */
int tfs_ahead_read(struct tfs_ahead *a, unsigned int leg, uint64_t addr,
		   uint32_t n, uint16_t *tags);
/* Nothing is on its way any more when it returns, whatever that is. */
int tfs_ahead_wait(struct tfs_ahead *a);

#endif
