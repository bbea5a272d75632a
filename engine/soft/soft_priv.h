/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* soft_priv.h - the software container in memory.
 *
 * Each of these calls only those below it:
 *
 * dev_soft.c	open, close, format
 * soft_audit.c	all that is kept twice, looked at
 * soft_io.c	requests: data and tuples of an eng_io to raw I/O
 * soft_pages.c	the cache of tuple pages, flush
 * soft_load.c	one zone's tuples from what its two pages still hold
 * guess.c	a container without headers
 * head.c	the two headers
 * layout.c	where everything is
 *
 * One lock, s->lock, a leaf: no I/O and no completion is called under it.  It
 * protects the cache, its lists and all fields marked so.  A page that is
 * PAGE_LOADING belongs to its struct soft_load instead, contents included. */
#ifndef ENG_SOFT_PRIV_H
#define ENG_SOFT_PRIV_H

#include <pthread.h>

#include "core/dev.h"
#include "soft/head.h"

/* ---- pages ------------------------------------------------------------ */

enum soft_state {
	PAGE_LOADING,	/* owned by its load */
	PAGE_CLEAN,	/* as on the medium, durable; on s->lru */
	PAGE_DIRTY,	/* newer than the medium; on s->dirty */
	PAGE_QUEUED,	/* dirty, in the running flush; on s->batch */
	PAGE_WRITING,	/* its private copy is on its way; on s->batch */
};

struct soft_list {
	struct soft_page *head, *tail;
};

struct soft_page {
	struct soft_page *hash;
	struct soft_page *prev, *next;	/* of its list */
	uint64_t	zone;
	uint64_t	gen;		/* of the next version */
	enum soft_state	state;
	bool		again;		/* dirtied while PAGE_WRITING */
	uint8_t		heal;		/* versions still to be written until
					 * both pages are good again */
	struct soft_seg	*waiters;	/* while PAGE_LOADING */
	uint8_t		tuples[SOFT_ROOM];
};

enum soft_act {
	SEG_GET,	/* page to tuples */
	SEG_PUT,	/* tuples to page */
	SEG_ESCAPE,	/* make the page's tuples escapes */
};

/* The part of a request that is in one zone. */
struct soft_seg {
	struct soft_seg	*next;		/* among waiters */
	struct soft_req	*req;
	struct soft_load *load;		/* if set, the request starts it */
	uint64_t	zone;
	uint32_t	first, count;	/* intervals in the zone */
	uint8_t		*tuples;
};

struct soft_req {
	struct soft	*s;
	enum soft_act	act;
	bool		medium;		/* no cache counts, but dirty pages */
	int		pending;	/* atomic: end() at 0 */
	int		err;		/* atomic: the first one */
	void		(*end)(struct soft_req *req);
	void		*arg;
};

struct soft_snap;

struct soft {
	struct eng_dev	dev;
	struct eng_raw	*raw;
	struct soft_head head;		/* fixed after open, except head.bad,
					 * which the running flush changes */
	bool		rdonly;		/* atomic */

	pthread_mutex_t	lock;
	pthread_cond_t	room;		/* a snapshot came back */
	pthread_cond_t	flushed;	/* a flush is over */
	pthread_cond_t	kicked;		/* work for the flusher */

	/* All below: lock. */
	struct soft_page **hash;
	size_t		hash_mask;
	struct soft_list lru, dirty, batch;
	size_t		pages;		/* in the cache */
	size_t		busy;		/* of these, not PAGE_CLEAN */
	size_t		max;		/* pages to keep */
	size_t		high;		/* busy: the flusher begins */
	size_t		hard;		/* busy: writers flush themselves */

	struct soft_snap *snaps, *free_snaps;
	unsigned int	writes;		/* snapshots on their way */
	bool		flushing;
	uint64_t	started, finished;	/* number of the last flush */
	int		error;		/* the first one, for good */

	bool		kick, stop, has_flusher;
	pthread_t	flusher;

	struct soft_stats {		/* atomic, not under the lock */
		uint64_t data_reads, data_writes, data_read_bytes,
			data_write_bytes, page_hits, page_misses,
			page_writes, page_evictions, repairs, interrupted,
			flushes, raw_writes, raw_write_bytes, raw_flushes, discards,
			throttled;
	} stats;
};

static inline bool soft_rdonly(const struct soft *s)
{
	return __atomic_load_n(&s->rdonly, __ATOMIC_RELAXED);
}

static inline void soft_count(uint64_t *counter, uint64_t n)
{
	__atomic_fetch_add(counter, n, __ATOMIC_RELAXED);
}

/* What is handed to the raw storage: data, tuple pages and headers. */
static inline void soft_count_raw(struct soft *s, uint64_t writes,
				  uint64_t bytes)
{
	soft_count(&s->stats.raw_writes, writes);
	soft_count(&s->stats.raw_write_bytes, bytes);
}

#endif
