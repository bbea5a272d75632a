/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mem_dev.h - a protected device in memory, for tests of what is above
 * backends.  Metadata begins as escapes.  It completes either inside submit
 * or on a thread of its own. */
#ifndef MEM_DEV_H
#define MEM_DEV_H

#include <pthread.h>

#include "core/dev.h"

enum { MEM_INTERVALS = 4096, MEM_MAX_IO = 2048 };

struct mem_dev {
	struct eng_dev	dev;
	uint8_t		*data, *meta;
	bool		threaded;	/* complete on the ring thread */
	int		err;		/* what transfers return */
	int		flush_err;
	/* The rest of the medium's life, from here to submits: set them while
	 * nothing is in flight. */
	unsigned int	delay;		/* some reads take up to so many us */
	uint64_t	*clock, takes;	/* NULL, or what a read adds there */
	bool		discards;	/* what is discarded is overwritten */
	unsigned int	submits, flushes;
	pthread_t	ring;
	pthread_mutex_t	lock;
	pthread_cond_t	more;
	struct eng_io	*head, **tail;	/* lock */
	bool		stop;		/* lock */
};

struct mem_dev *mem_open(const char *profile, struct eng_pool *pool,
			 bool threaded);
/* Of another size than MEM_INTERVALS. */
struct mem_dev *mem_open_size(const char *profile, struct eng_pool *pool,
			      bool threaded, uint64_t intervals);

/* Bytes that look random, the same for the same seed. */
void fill(void *buf, size_t len, unsigned int seed);

#endif
