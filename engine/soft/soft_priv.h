/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* soft_priv.h - the software container in memory.
 *
 * dev_soft.c	headers, layout, open, close
 * soft_io.c	requests: data and tuples of an eng_io to raw I/O
 * soft_pages.c	the cache of tuple pages, flush
 * soft_load.c	one zone's tuples from what its two pages still hold
 *
 * One lock, s->lock, a leaf: no I/O and no completion is called under it.  It
 * protects the cache, its lists and all fields marked so.  A page that is
 * PAGE_LOADING belongs to its struct soft_load instead, contents included. */
#ifndef ENG_SOFT_PRIV_H
#define ENG_SOFT_PRIV_H

#include <endian.h>
#include <pthread.h>

#include "core/dev_priv.h"
#include "io/raw.h"
#include "soft/soft_format.h"

#ifdef __CHECKER__
#define SOFT_FORCE __attribute__((force))
#else
#define SOFT_FORCE
#endif

static inline uint64_t get_le64(__le64 v)
{
	return le64toh((SOFT_FORCE uint64_t)v);
}

static inline uint32_t get_le32(__le32 v)
{
	return le32toh((SOFT_FORCE uint32_t)v);
}

static inline uint16_t get_le16(__le16 v)
{
	return le16toh((SOFT_FORCE uint16_t)v);
}

static inline __le64 put_le64(uint64_t v)
{
	return (SOFT_FORCE __le64)htole64(v);
}

static inline __le32 put_le32(uint32_t v)
{
	return (SOFT_FORCE __le32)htole32(v);
}

static inline __le16 put_le16(uint16_t v)
{
	return (SOFT_FORCE __le16)htole16(v);
}

/* Where everything is; follows from profile and size. */
struct soft_layout {
	const struct eng_profile *profile;
	uint32_t	group;		/* intervals */
	uint32_t	zone_intervals;
	uint64_t	zone_bytes;	/* of a whole zone, pages included */
	uint64_t	zones;
	uint64_t	intervals;
	uint64_t	size;
};

/* -ENOSPC: too small for one zone. */
int soft_layout(struct soft_layout *l, const struct eng_profile *p,
		uint64_t size);

static inline uint64_t soft_zone_off(const struct soft_layout *l,
				     uint64_t zone)
{
	return SOFT_BLOCK + zone * l->zone_bytes;
}

/* Intervals of that zone. */
static inline uint32_t soft_zone_count(const struct soft_layout *l,
				       uint64_t zone)
{
	uint64_t left = l->intervals - zone * l->zone_intervals;

	return left < l->zone_intervals ? (uint32_t)left : l->zone_intervals;
}

static inline uint64_t soft_data_off(const struct soft_layout *l,
				     uint64_t zone, uint32_t first)
{
	return soft_zone_off(l, zone) + SOFT_PAGES +
	       (uint64_t)first * l->profile->interval;
}

uint32_t soft_crc(const void *buf, size_t len);

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
	uint8_t		heal;		/* versions to write yet */
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
	struct soft_load *load;		/* this request is to start it */
	uint64_t	zone;
	uint32_t	first, count;	/* intervals in the zone */
	uint8_t		*tuples;
};

struct soft_req {
	struct soft	*s;
	enum soft_act	act;
	bool		medium;		/* clean pages don't count */
	int		pending;	/* atomic: end() at 0 */
	int		err;		/* atomic: the first one */
	void		(*end)(struct soft_req *req);
	void		*arg;
};

struct soft_snap;

struct soft {
	struct eng_dev	dev;
	struct eng_raw	*raw;
	struct soft_layout lay;
	uint64_t	id;
	uint64_t	compat;		/* of the header, kept as it is */
	bool		rdonly;
	bool		heal_head[2];	/* only the running flush, after open */

	pthread_mutex_t	lock;
	pthread_cond_t	room;		/* a snapshot came back */
	pthread_cond_t	flushed;	/* a flush is over */
	pthread_cond_t	kicked;		/* work for the flusher */

	/* All below: lock. */
	struct soft_page **hash;
	size_t		hash_mask;
	struct soft_list lru, dirty, batch;
	size_t		pages, busy;	/* all; those not to be evicted */
	size_t		max, high, hard;

	struct soft_snap *snaps, *free_snaps;
	unsigned int	writes;		/* snapshots on their way */
	bool		flushing;
	uint64_t	started, finished;	/* flushes */
	int		error;		/* the first; final */

	bool		kick, stop, has_flusher;
	pthread_t	flusher;

	struct soft_stats {		/* atomic, not under the lock */
		uint64_t data_reads, data_writes, data_read_bytes,
			data_write_bytes, page_hits, page_misses,
			page_writes, page_evictions, repairs, flushes,
			raw_writes, raw_write_bytes, raw_flushes, discards,
			throttled;
	} stats;
};

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

/* soft_pages.c */
int soft_pages_init(struct soft *s, size_t cache);
void soft_stop(struct soft *s);		/* no thread any more */
void soft_pages_exit(struct soft *s);	/* and no I/O */
/* Do what seg's request wants of its zone's page.  0: done; 1: req will be
 * put once when it is (and if seg->load is set then, the caller starts that);
 * or -errno. */
int soft_page_do(struct soft *s, struct soft_seg *seg);
/* The load is over: err, or page->tuples, gen and heal are set. */
void soft_page_loaded(struct soft *s, struct soft_page *page, int err);
int soft_flush(struct soft *s);
/* Called before tuples are put; may flush.  The final error, if any. */
int soft_throttle(struct soft *s);
void soft_drop(struct soft *s);
/* Wait for cond, or let storage without threads go on. */
void soft_wait(struct soft *s, pthread_cond_t *cond);

/* soft_load.c */
struct soft_load *soft_load_create(struct soft *s, struct soft_page *page);
void soft_load_destroy(struct soft_load *load);
/* Read both pages. */
void soft_load_start(struct soft_load *load);
/* Room for both pages, if somebody else is to read them, and the word that
 * he has. */
void *soft_load_buf(struct soft_load *load);
void soft_load_filled(struct soft_load *load);
/* Loads that the same read fills are kept in a list. */
struct soft_load **soft_load_next(struct soft_load *load);

/* soft_io.c */
void soft_submit(struct eng_dev *dev, struct eng_io *io);
int soft_discard(struct eng_dev *dev, uint64_t start, uint64_t count);
void soft_req_put(struct soft_req *req, int err);
/* Depth of raw completions on this thread: one must not wait in them. */
extern __thread unsigned int soft_in_end;

/* dev_soft.c: rewrite the header copy that open found bad. */
int soft_heads_heal(struct soft *s);

#endif
