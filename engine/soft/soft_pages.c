/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* soft_pages.c - tuple pages: a bounded cache, written behind.
 *  (1) A version is written from a private copy, never over the newest
 *      durable one, and no new version of a zone starts before the last is
 *      durable: a page is snapshotted once per flush, flushes don't overlap,
 *      and generations alternate between the zone's two pages.
 *  (2) Flush returns 0 only if every tuple put before it began is durable:
 *      all dirty pages are written, then one raw flush covers them and the
 *      data.  What is dirtied meanwhile stays dirty.
 *  (3) Callers that arrive while a flush runs share the next one.
 *  (4) Only PAGE_CLEAN is evicted.  s->busy counts the others; s->max may be
 *      exceeded by pages in flight; eviction comes back to it.
 *  (5) The first error is final: what a failed write or flush left on the
 *      medium is unknown.
 *  (6) The flusher thread exists from the first time that more than s->high
 *      pages are busy, and never on serial storage. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "soft/soft_load.h"
#include "soft/soft_pages.h"

#define SOFT_CACHE	(64u << 20)
#define SOFT_MIN_PAGES	64u
#define SOFT_SNAPS	64u

/* A version on its way to the medium. */
struct soft_snap {
	struct eng_raw_io raw;
	struct iovec	iov;
	struct soft	*s;
	struct soft_snap *next;		/* s->lock: s->free_snaps */
	struct soft_disk_page *buf;
};

/* ---- lists and hash --------------------------------------------------- */

static void list_del(struct soft_list *l, struct soft_page *page)
{
	*(page->prev ? &page->prev->next : &l->head) = page->next;
	*(page->next ? &page->next->prev : &l->tail) = page->prev;
	page->prev = page->next = NULL;
}

static void list_add(struct soft_list *l, struct soft_page *page)
{
	page->prev = l->tail;
	page->next = NULL;
	*(l->tail ? &l->tail->next : &l->head) = page;
	l->tail = page;
}

static struct soft_page **hash_slot(struct soft *s, uint64_t zone)
{
	struct soft_page **p;

	p = &s->hash[(zone * 0x9e3779b97f4a7c15ull >> 32) & s->hash_mask];
	while (*p && (*p)->zone != zone)
		p = &(*p)->hash;
	return p;
}

/* The page is on no list. */
static void page_free_locked(struct soft *s, struct soft_page *page)
{
	*hash_slot(s, page->zone) = page->hash;
	s->pages--;
	free(page);
}

static void evict_locked(struct soft *s, size_t limit)
{
	struct soft_page *page;

	while (s->pages > limit && (page = s->lru.head)) {
		list_del(&s->lru, page);
		page_free_locked(s, page);
		soft_count(&s->stats.page_evictions, 1);
	}
}

/* ---- putting and getting tuples --------------------------------------- */

void soft_req_put(struct soft_req *req, int err)
{
	int none = 0;

	if (err)
		__atomic_compare_exchange_n(&req->err, &none, err, false,
					    __ATOMIC_RELAXED,
					    __ATOMIC_RELAXED);
	if (!__atomic_sub_fetch(&req->pending, 1, __ATOMIC_ACQ_REL))
		req->end(req);
}

static void page_dirty_locked(struct soft *s, struct soft_page *page)
{
	if (page->state == PAGE_WRITING)
		page->again = true;
	if (page->state != PAGE_CLEAN)
		return;
	list_del(&s->lru, page);
	list_add(&s->dirty, page);
	page->state = PAGE_DIRTY;
	s->busy++;
}

static bool is_escape(const uint8_t *tuples, size_t len)
{
	while (len && *tuples == 0xff)
		tuples++, len--;
	return !len;
}

static void page_act_locked(struct soft *s, struct soft_page *page,
			    struct soft_seg *seg)
{
	size_t meta = s->head.lay.profile->meta_size, len = seg->count * meta;
	uint8_t *at = page->tuples + seg->first * meta;

	if (seg->req->act == SEG_GET) {
		memcpy(seg->tuples, at, len);
		return;
	}
	if (seg->req->act == SEG_PUT) {
		memcpy(at, seg->tuples, len);
	} else {
		if (is_escape(at, len))
			return;
		memset(at, 0xff, len);
	}
	page_dirty_locked(s, page);
}

/* The page is loaded.  Serves its waiters, in any order, and returns them. */
static struct soft_seg *page_ready_locked(struct soft *s,
					  struct soft_page *page)
{
	struct soft_seg *waiters = page->waiters, *seg;

	page->waiters = NULL;
	page->state = PAGE_CLEAN;
	list_add(&s->lru, page);
	s->busy--;
	if (page->heal)
		page_dirty_locked(s, page);
	for (seg = waiters; seg; seg = seg->next)
		page_act_locked(s, page, seg);
	evict_locked(s, s->max);
	return waiters;
}

static void page_loaded(struct soft *s, struct soft_page *page, int err)
{
	struct soft_seg *seg, *next;

	pthread_mutex_lock(&s->lock);
	if (err) {
		seg = page->waiters;
		s->busy--;
		page_free_locked(s, page);
	} else {
		seg = page_ready_locked(s, page);
	}
	pthread_mutex_unlock(&s->lock);
	for (; seg; seg = next) {
		next = seg->next;	/* put may free it */
		soft_req_put(seg->req, err);
	}
}

/* A page to load into: a new one, or a clean one that is read again. */
static struct soft_page *page_loading_locked(struct soft *s, uint64_t zone,
					     struct soft_page *old)
{
	struct soft_page *page = old, **slot;

	if (old) {
		list_del(&s->lru, old);
	} else {
		evict_locked(s, s->max - 1);
		page = malloc(sizeof(*page));
		if (!page)
			return NULL;
		slot = hash_slot(s, zone);
		page->zone = zone;
		page->hash = *slot;
		page->prev = page->next = NULL;
		*slot = page;
		s->pages++;
	}
	page->state = PAGE_LOADING;
	page->waiters = NULL;
	page->again = false;
	page->heal = 0;
	s->busy++;
	return page;
}

static int page_miss_locked(struct soft *s, struct soft_seg *seg,
			    struct soft_page *page)
{
	page = page_loading_locked(s, seg->zone, page);
	if (!page)
		return -ENOMEM;
	seg->load = soft_load_create(s, page, seg->req->medium, page_loaded);
	if (!seg->load) {
		s->busy--;
		page_free_locked(s, page);
		return -ENOMEM;
	}
	page->waiters = seg;
	seg->next = NULL;
	soft_count(&s->stats.page_misses, 1);
	return 1;
}

static int page_do_locked(struct soft *s, struct soft_seg *seg)
{
	struct soft_page *page = *hash_slot(s, seg->zone);

	if (!page || (page->state == PAGE_CLEAN && seg->req->medium))
		return page_miss_locked(s, seg, page);
	soft_count(&s->stats.page_hits, 1);
	if (page->state == PAGE_LOADING) {
		seg->next = page->waiters;
		page->waiters = seg;
		return 1;
	}
	if (page->state == PAGE_CLEAN && page != s->lru.tail) {
		list_del(&s->lru, page);
		list_add(&s->lru, page);
	}
	page_act_locked(s, page, seg);
	return 0;
}

int soft_page_do(struct soft *s, struct soft_seg *seg)
{
	int ret;

	seg->load = NULL;
	pthread_mutex_lock(&s->lock);
	ret = page_do_locked(s, seg);
	pthread_mutex_unlock(&s->lock);
	return ret;
}

void soft_drop(struct soft *s)
{
	pthread_mutex_lock(&s->lock);
	evict_locked(s, 0);
	pthread_mutex_unlock(&s->lock);
}

/* ---- flush ------------------------------------------------------------ */

void soft_wait(struct soft *s, pthread_cond_t *cond)
{
	if (!s->raw->ops->pump) {
		pthread_cond_wait(cond, &s->lock);
		return;
	}
	pthread_mutex_unlock(&s->lock);
	s->raw->ops->pump(s->raw);
	pthread_mutex_lock(&s->lock);
}

static void soft_fail_locked(struct soft *s, int err, const char *what)
{
	if (s->error)
		return;
	s->error = err;
	eng_log(LOG_ERR, "%s: %s: %s; nothing written since the last flush "
		"can be relied on", s->raw->name, what, strerror(-err));
}

static void snap_end(struct eng_raw_io *raw, int err)
{
	struct soft_snap *snap = raw->arg;
	struct soft *s = snap->s;

	pthread_mutex_lock(&s->lock);
	if (err)
		soft_fail_locked(s, err, "writing a tuple page");
	snap->next = s->free_snaps;
	s->free_snaps = snap;
	s->writes--;
	pthread_cond_broadcast(&s->room);
	pthread_mutex_unlock(&s->lock);
}

static void snap_encode(struct soft *s, struct soft_disk_page *buf,
			uint64_t zone, uint64_t gen)
{
	buf->magic = put_le64(SOFT_PAGE_MAGIC);
	buf->id = put_le64(s->head.id);
	buf->zone = put_le64(zone);
	buf->gen = put_le64(gen);
	soft_page_seal(buf);
}

static void snap_submit(struct soft *s, struct soft_snap *snap,
			uint64_t zone, uint64_t gen)
{
	snap_encode(s, snap->buf, zone, gen);
	snap->iov.iov_base = snap->buf;
	snap->iov.iov_len = SOFT_BLOCK;
	snap->raw.write = true;
	snap->raw.off = soft_zone_off(&s->head.lay, zone) + gen % 2 * SOFT_BLOCK;
	snap->raw.iov = &snap->iov;
	snap->raw.niov = 1;
	snap->raw.end = snap_end;
	snap->raw.arg = snap;
	soft_count(&s->stats.page_writes, 1);
	soft_count_raw(s, 1, SOFT_BLOCK);
	s->raw->ops->submit(s->raw, &snap->raw);
}

/* (1): called once per page and flush. */
static void page_write_locked(struct soft *s, struct soft_page *page)
{
	struct soft_snap *snap;
	uint64_t zone = page->zone, gen = page->gen++;

	while (!(snap = s->free_snaps))
		soft_wait(s, &s->room);
	s->free_snaps = snap->next;
	s->writes++;
	memcpy(snap->buf->tuples, page->tuples, SOFT_ROOM);
	page->state = PAGE_WRITING;
	page->again = false;
	if (page->heal)
		page->heal--;
	pthread_mutex_unlock(&s->lock);
	snap_submit(s, snap, zone, gen);
	pthread_mutex_lock(&s->lock);
}

static void flush_pages_locked(struct soft *s)
{
	struct soft_page *page;

	while ((page = s->dirty.head)) {
		list_del(&s->dirty, page);
		list_add(&s->batch, page);
		page->state = PAGE_QUEUED;
	}
	/* Batch pages stay where they are until flush_done_locked(). */
	for (page = s->batch.head; page && !s->error; page = page->next)
		page_write_locked(s, page);
	while (s->writes)
		soft_wait(s, &s->room);
}

static void flush_done_locked(struct soft *s)
{
	struct soft_page *page;

	while ((page = s->batch.head)) {
		list_del(&s->batch, page);
		if (s->error || page->again || page->heal) {
			page->state = PAGE_DIRTY;
			list_add(&s->dirty, page);
		} else {
			page->state = PAGE_CLEAN;
			list_add(&s->lru, page);
			s->busy--;
		}
	}
	evict_locked(s, s->max);
}

/* There is one flush at a time. */
static int heal_heads(struct soft *s)
{
	int err;

	for (unsigned int i = 0; i < 2; i++) {
		if (!s->head.bad[i])
			continue;
		err = soft_head_write(s->raw, &s->head, i);
		if (err == -ENOMEM)
			continue;	/* it can wait for another flush */
		if (err)
			return err;
		s->head.bad[i] = false;
		soft_count_raw(s, 1, SOFT_BLOCK);
		soft_count(&s->stats.repairs, 1);
	}
	return 0;
}

static void flush_run_locked(struct soft *s)
{
	int err;

	flush_pages_locked(s);
	if (!s->error) {
		pthread_mutex_unlock(&s->lock);
		err = heal_heads(s);
		if (!err)
			err = s->raw->ops->flush(s->raw);	/* (2) */
		soft_count(&s->stats.raw_flushes, 1);
		pthread_mutex_lock(&s->lock);
		if (err)
			soft_fail_locked(s, err, "flush");
	}
	flush_done_locked(s);
}

int soft_flush(struct soft *s)
{
	uint64_t need;
	int err;

	if (soft_rdonly(s))
		return 0;
	soft_count(&s->stats.flushes, 1);
	pthread_mutex_lock(&s->lock);
	need = s->started + 1;		/* (3) */
	while (s->finished < need && !s->error) {
		if (s->flushing) {
			pthread_cond_wait(&s->flushed, &s->lock);
			continue;
		}
		s->flushing = true;
		s->started++;
		flush_run_locked(s);
		s->flushing = false;
		if (!s->error)
			s->finished = s->started;
		pthread_cond_broadcast(&s->flushed);
	}
	err = s->finished < need ? s->error : 0;
	pthread_mutex_unlock(&s->lock);
	return err;
}

/* ---- writing behind --------------------------------------------------- */

static void *soft_flusher(void *arg)
{
	struct soft *s = arg;

	pthread_mutex_lock(&s->lock);
	while (!s->stop) {
		if (!s->kick) {
			pthread_cond_wait(&s->kicked, &s->lock);
			continue;
		}
		s->kick = false;
		pthread_mutex_unlock(&s->lock);
		soft_flush(s);
		pthread_mutex_lock(&s->lock);
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

static void soft_kick_locked(struct soft *s)
{
	if (s->raw->serial || s->kick)
		return;
	if (!s->has_flusher)	/* (6); if it fails, writers do the work */
		s->has_flusher = !pthread_create(&s->flusher, NULL,
						 soft_flusher, s);
	s->kick = true;
	pthread_cond_signal(&s->kicked);
}

int soft_throttle(struct soft *s)
{
	bool hard;
	int err;

	pthread_mutex_lock(&s->lock);
	hard = s->busy >= s->hard && !eng_raw_in_end();
	if (s->busy >= s->high)
		soft_kick_locked(s);
	err = s->error;
	pthread_mutex_unlock(&s->lock);
	if (err || !hard)
		return err;
	soft_count(&s->stats.throttled, 1);
	return soft_flush(s);
}

/* ---- init, exit ------------------------------------------------------- */

static int snaps_init(struct soft *s)
{
	s->snaps = calloc(SOFT_SNAPS, sizeof(*s->snaps));
	if (!s->snaps)
		return -ENOMEM;
	for (unsigned int i = 0; i < SOFT_SNAPS; i++) {
		struct soft_snap *snap = &s->snaps[i];

		snap->buf = aligned_alloc(SOFT_BLOCK, SOFT_BLOCK);
		if (!snap->buf)
			return -ENOMEM;
		snap->s = s;
		snap->next = s->free_snaps;
		s->free_snaps = snap;
	}
	return 0;
}

static void snaps_exit(struct soft *s)
{
	for (unsigned int i = 0; s->snaps && i < SOFT_SNAPS; i++)
		free(s->snaps[i].buf);
	free(s->snaps);
	s->snaps = s->free_snaps = NULL;
}

int soft_pages_write_too(struct soft *s)
{
	int err = s->snaps ? 0 : snaps_init(s);

	if (err)
		snaps_exit(s);
	return err;
}

int soft_pages_init(struct soft *s, size_t cache)
{
	size_t slots = 64;

	s->max = (cache ? cache : SOFT_CACHE) / sizeof(struct soft_page);
	if (s->max < SOFT_MIN_PAGES)
		s->max = SOFT_MIN_PAGES;
	s->high = s->max / 2;
	s->hard = s->max - s->max / 8;
	while (slots < s->max)
		slots *= 2;
	s->hash_mask = slots - 1;
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->room, NULL);
	pthread_cond_init(&s->flushed, NULL);
	pthread_cond_init(&s->kicked, NULL);
	s->hash = calloc(slots, sizeof(*s->hash));
	if (!s->hash)
		return -ENOMEM;
	return soft_rdonly(s) ? 0 : snaps_init(s);
}

void soft_stop(struct soft *s)
{
	pthread_mutex_lock(&s->lock);
	s->stop = true;
	pthread_cond_signal(&s->kicked);
	pthread_mutex_unlock(&s->lock);
	if (s->has_flusher)	/* only submitters set it, and they are gone */
		pthread_join(s->flusher, NULL);
}

void soft_pages_exit(struct soft *s)
{
	for (size_t i = 0; s->hash && i <= s->hash_mask; i++)
		while (s->hash[i])
			page_free_locked(s, s->hash[i]);
	snaps_exit(s);
	free(s->hash);
	pthread_mutex_destroy(&s->lock);
	pthread_cond_destroy(&s->room);
	pthread_cond_destroy(&s->flushed);
	pthread_cond_destroy(&s->kicked);
}
