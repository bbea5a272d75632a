/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fill.h - places of a sparse file made the host's before they are needed. */
#ifndef ENG_FILL_H
#define ENG_FILL_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define FILL_RANGES	16u

struct eng_fill {
	int		fd;		/* fixed from eng_fill_use() on */
	bool		on;		/* fixed, too */
	pthread_mutex_t	lock;
	pthread_cond_t	filled;
	/* All below: lock. */
	bool		filling;
	bool		failed;		/* for good */
	unsigned int	writes;		/* under way */
	unsigned int	little;		/* flushes one after the other */
	uint64_t	bytes;		/* written since the last flush */
	unsigned int	n;		/* FILL_RANGES + 1: more than those */
	struct eng_fill_range {
		uint64_t	off, end;
	} range[FILL_RANGES];		/* written since the last flush */
};

/* The size of the hole that begins at off, most bytes at most; 0 if there is
 * none, or -errno. */
ssize_t eng_hole_at(int fd, uint64_t off, size_t most);

void eng_fill_init(struct eng_fill *f);
/* From here on, unless it does not help on the filesystem that fd is of.  The
 * descriptor stays the caller's. */
void eng_fill_use(struct eng_fill *f, int fd);
void eng_fill_exit(struct eng_fill *f);
/* Around each write, from before it begins until it has ended. */
void eng_fill_enter(struct eng_fill *f, uint64_t off, uint64_t len);
void eng_fill_leave(struct eng_fill *f);
/* Before a flush, which makes what was filled the host's. */
void eng_fill_flush(struct eng_fill *f);

#endif
