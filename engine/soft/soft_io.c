/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* soft_io.c - an eng_io on the container: raw I/O for the data, the page
 * cache for the tuples.
 *  (1) Tuple pages that a request misses are read while its data moves.
 *  (2) A read is one raw read, however many zones it crosses: what lies
 *      between goes to scratch, or is the missing page.
 *  (3) A write never touches tuple pages: one raw write per zone.
 *  (4) A request ends when its data has moved and every page it waits for
 *      has come.  No order is kept between tuples and data of an interval:
 *      a read beside a write of the same interval may find either, as on any
 *      disk, and the filesystem never does that.
 *  (5) Where a read that goes over tuple pages fails, the data is read once
 *      more without them: an unreadable page is no error of the data.
 *  (6) Others may wait for a page, and must not for whoever asks for it: no
 *      read of one completes on the thread that submits. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/io.h"
#include "soft/soft_io.h"
#include "soft/soft_load.h"
#include "soft/soft_pages.h"

struct soft_xfer {
	struct eng_raw_io raw;
	struct soft_req	*req;
	struct soft_load *loads;	/* their pages come with this read */
	bool		pages;		/* goes over tuple pages */
	bool		apart;		/* there is no room for them */
	struct iovec	*iov;		/* (5): not yet read, and from where */
	int		niov;
	uint64_t	off;
};

/* In eng_io.priv. */
struct soft_io {
	struct soft_req	req;
	bool		here;
	unsigned int	nsegs, nxfers;
	struct soft_seg	*segs;
	struct soft_xfer *xfers;
	struct iovec	*iov;
	void		*scratch;	/* takes pages that aren't needed; may
					 * be NULL */
};

/* Where the building of xfers has come to. */
struct soft_map {
	struct soft_io	*sio;
	struct soft_xfer *x;		/* the current one */
	struct iovec	*iov;		/* next to fill */
	const struct iovec *src;	/* the caller's, and how far used */
	size_t		used;
};

/* ---- completion ------------------------------------------------------- */

static void soft_io_end(struct soft_req *req)
{
	struct soft_io *sio = (struct soft_io *)req;

	free(sio->scratch);
	eng_io_done(req->arg, req->err);
}

/* (5) Set x->raw to the next run of data in x->iov.  False: none is left. */
static bool xfer_next_run(struct soft_xfer *x)
{
	const struct soft_layout *l = &x->req->s->head.lay;
	uint64_t off = x->off;
	bool pages;
	int n = 0;

	while (x->niov) {
		pages = (off - SOFT_BLOCK) % l->zone_bytes < SOFT_PAGES;
		if (pages && n)
			break;
		if (!pages && !n) {
			x->raw.iov = x->iov;
			x->raw.off = off;
		}
		n += !pages;
		off += x->iov->iov_len;
		x->iov++, x->niov--;
	}
	x->off = off;
	x->raw.niov = n;
	return n;
}

static void xfer_data_end(struct eng_raw_io *raw, int err)
{
	struct soft_xfer *x = raw->arg;

	if (!err && xfer_next_run(x))
		x->req->s->raw->ops->submit(x->req->s->raw, raw);
	else
		soft_req_put(x->req, err);
}

/* (5) */
static void xfer_apart(struct soft_xfer *x)
{
	struct soft_load *load, *next;

	for (load = x->loads; load; load = next) {
		next = *soft_load_next(load);
		soft_load_start(load);
	}
	x->iov = x->raw.iov;
	x->niov = x->raw.niov;
	x->off = x->raw.off;
	x->raw.end = xfer_data_end;
	xfer_data_end(&x->raw, 0);
}

static void xfer_end(struct eng_raw_io *raw, int err)
{
	struct soft_xfer *x = raw->arg;
	struct soft_load *load, *next;

	if (err && x->pages) {
		xfer_apart(x);
		return;
	}
	for (load = x->loads; load; load = next) {
		next = *soft_load_next(load);
		soft_load_filled(load);
	}
	soft_req_put(x->req, err);
}

/* ---- building --------------------------------------------------------- */

static void map_begin(struct soft_map *m, uint64_t off)
{
	struct soft_xfer *x = &m->sio->xfers[m->sio->nxfers++];

	memset(x, 0, sizeof(*x));
	x->raw.write = m->sio->req.act == SEG_PUT;
	x->raw.direct = m->sio->req.medium;
	x->raw.off = off;
	x->raw.iov = m->iov;
	x->raw.end = xfer_end;
	x->raw.arg = x;
	x->req = &m->sio->req;
	m->x = x;
}

static void map_add(struct soft_map *m, void *base, size_t len)
{
	struct soft_xfer *x = m->x;

	if (x->raw.niov == UIO_MAXIOV) {
		map_begin(m, x->raw.off + x->raw.len);
		x = m->x;
	}
	m->iov->iov_base = base;
	m->iov->iov_len = len;
	m->iov++;
	x->raw.niov++;
	x->raw.len += len;
}

static void map_data(struct soft_map *m, size_t bytes)
{
	while (bytes) {
		size_t n = m->src->iov_len - m->used;

		if (n > bytes)
			n = bytes;
		map_add(m, (char *)m->src->iov_base + m->used, n);
		bytes -= n;
		m->used += n;
		if (m->used == m->src->iov_len) {
			m->src++;
			m->used = 0;
		}
	}
}

/* (2) */
static void map_pages(struct soft_map *m, struct soft_seg *seg)
{
	struct soft_load *load = seg->load;

	map_add(m, load ? soft_load_buf(load) : m->sio->scratch, SOFT_PAGES);
	m->x->pages = true;
	if (!load && !m->sio->scratch)
		m->x->apart = true;
	if (!load)
		return;
	*soft_load_next(load) = m->x->loads;
	m->x->loads = load;
	seg->load = NULL;
}

static void soft_map_read(struct soft_map *m, const struct soft_layout *l)
{
	struct soft_seg *seg = m->sio->segs;

	for (unsigned int i = 0; i < m->sio->nsegs; i++, seg++) {
		bool pages = i || (!seg->first && seg->load);

		if (!i)
			map_begin(m, soft_data_off(l, seg->zone, seg->first) -
				     (pages ? SOFT_PAGES : 0));
		if (pages)
			map_pages(m, seg);
		map_data(m, (size_t)seg->count * l->profile->interval);
	}
}

static void soft_map_write(struct soft_map *m, const struct soft_layout *l)
{
	struct soft_seg *seg = m->sio->segs;

	for (unsigned int i = 0; i < m->sio->nsegs; i++, seg++) {
		map_begin(m, soft_data_off(l, seg->zone, seg->first)); /* (3) */
		map_data(m, (size_t)seg->count * l->profile->interval);
	}
}

/* The common case needs no iovecs of its own. */
static void soft_map(struct soft_io *sio, struct eng_io *io)
{
	const struct soft_layout *l = &sio->req.s->head.lay;
	struct soft_seg *seg = sio->segs;
	struct soft_map m = {
		.sio = sio, .iov = sio->iov, .src = io->iov,
	};

	if (sio->nsegs == 1 && io->niov <= UIO_MAXIOV &&
	    (io->op == ENG_WRITE || seg->first || !seg->load)) {
		map_begin(&m, soft_data_off(l, seg->zone, seg->first));
		m.x->raw.iov = io->iov;
		m.x->raw.niov = (int)io->niov;
	} else if (io->op == ENG_WRITE) {
		soft_map_write(&m, l);
	} else {
		soft_map_read(&m, l);
	}
}

/* ---- submit ----------------------------------------------------------- */

struct soft_room {
	size_t		nsegs, nxfers, niov;
};

static size_t room_for(struct soft_room *r, size_t nsegs, size_t niov)
{
	r->nsegs = nsegs;
	r->niov = niov + 2 * nsegs;
	r->nxfers = nsegs + r->niov / UIO_MAXIOV + 1;
	return sizeof(struct soft_io) + r->nsegs * sizeof(struct soft_seg) +
	       r->nxfers * sizeof(struct soft_xfer) +
	       r->niov * sizeof(struct iovec);
}

size_t soft_room(const struct eng_dev *dev, uint32_t intervals,
		 unsigned int segs)
{
	const struct soft *s = (const struct soft *)dev;
	struct soft_room r;

	return room_for(&r, (intervals + s->head.lay.zone_intervals - 2) /
			    s->head.lay.zone_intervals + 1, segs);
}

static void *scratch_get(void)
{
	void *mem;

	return eng_bufs_alloc(&mem, SOFT_BLOCK, SOFT_PAGES) ? NULL : mem;
}

static struct soft_io *soft_io_create(struct soft *s, struct eng_io *io)
{
	uint32_t per = s->head.lay.zone_intervals;
	uint64_t last = (io->start + io->count - 1) / per;
	struct soft_io *sio = io->priv;
	struct soft_room r;

	room_for(&r, (size_t)(last - io->start / per + 1), io->niov);
	memset(sio, 0, sizeof(*sio));
	sio->segs = (struct soft_seg *)(sio + 1);
	sio->xfers = (struct soft_xfer *)(sio->segs + r.nsegs);
	sio->iov = (struct iovec *)(sio->xfers + r.nxfers);
	if (r.nsegs > 1 && io->op == ENG_READ)
		sio->scratch = scratch_get();
	sio->nsegs = (unsigned int)r.nsegs;
	sio->req.s = s;
	sio->req.act = io->op == ENG_WRITE ? SEG_PUT : SEG_GET;
	sio->req.medium = io->op == ENG_READ && io->flags & ENG_IO_MEDIUM;
	sio->here = io->flags & ENG_IO_HERE;
	sio->req.pending = 1;
	sio->req.end = soft_io_end;
	sio->req.arg = io;
	return sio;
}

/* Tuples of pages that are there are moved now, those of others when they
 * have come. */
static int soft_io_tuples(struct soft_io *sio, struct eng_io *io)
{
	struct soft_req *req = &sio->req;
	const struct soft_layout *l = &req->s->head.lay;
	uint32_t done = 0, room;
	int ret;

	for (unsigned int i = 0; i < sio->nsegs; i++) {
		struct soft_seg *seg = &sio->segs[i];

		seg->req = req;
		seg->zone = (io->start + done) / l->zone_intervals;
		seg->first = (io->start + done) % l->zone_intervals;
		room = l->zone_intervals - seg->first;
		seg->count = room < io->count - done ? room : io->count - done;
		seg->tuples = io->tuples +
			      (size_t)done * l->profile->meta_size;
		done += seg->count;
		__atomic_add_fetch(&req->pending, 1, __ATOMIC_RELAXED);
		ret = soft_page_do(req->s, seg);
		if (ret <= 0)
			soft_req_put(req, ret);
		if (ret < 0) {
			sio->nsegs = i;	/* loads before it go on */
			return ret;
		}
	}
	return 0;
}

/* Ends in the last put, and sio with it. */
static void soft_io_start(struct soft_io *sio)
{
	struct soft *s = sio->req.s;

	__atomic_add_fetch(&sio->req.pending, (int)sio->nxfers,
			   __ATOMIC_RELAXED);
	for (unsigned int i = 0; i < sio->nsegs; i++)
		if (sio->segs[i].load)
			soft_load_start(sio->segs[i].load);	/* (1) */
	for (unsigned int i = 0; i < sio->nxfers; i++) {
		struct soft_xfer *x = &sio->xfers[i];

		x->raw.here = sio->here && !x->loads;		/* (6) */
		if (x->apart)
			xfer_apart(x);
		else
			s->raw->ops->submit(s->raw, &x->raw);
	}
	soft_req_put(&sio->req, 0);
}

static uint64_t soft_io_bytes(const struct soft *s, const struct eng_io *io)
{
	return (uint64_t)io->count * s->head.lay.profile->interval;
}

static void soft_io_count(struct soft *s, const struct eng_io *io)
{
	uint64_t bytes = soft_io_bytes(s, io);
	struct soft_stats *st = &s->stats;

	soft_count(io->op == ENG_WRITE ? &st->data_writes : &st->data_reads,
		   1);
	soft_count(io->op == ENG_WRITE ? &st->data_write_bytes :
		   &st->data_read_bytes, bytes);
}

static int soft_io_check(struct soft *s, const struct eng_io *io)
{
	if (!io->count || io->start > s->head.lay.intervals ||
	    io->count > s->head.lay.intervals - io->start)
		return -EINVAL;
	if (io->op != ENG_WRITE)
		return 0;
	return soft_rdonly(s) ? -EROFS : soft_throttle(s);
}

void soft_submit(struct eng_dev *dev, struct eng_io *io)
{
	struct soft *s = (struct soft *)dev;
	struct soft_io *sio;
	int err = soft_io_check(s, io);

	if (err) {
		eng_io_done(io, err);
		return;
	}
	sio = soft_io_create(s, io);
	soft_io_count(s, io);
	if (!soft_io_tuples(sio, io)) {
		soft_map(sio, io);
		if (io->op == ENG_WRITE)
			soft_count_raw(s, sio->nxfers,
				       soft_io_bytes(s, io));
	}
	soft_io_start(sio);
}

/* ---- discard ---------------------------------------------------------- */

struct soft_escape {
	struct soft_req	req;
	pthread_cond_t	cond;
	bool		done;		/* s->lock */
};

static void soft_escape_end(struct soft_req *req)
{
	struct soft_escape *e = (struct soft_escape *)req;

	pthread_mutex_lock(&req->s->lock);
	e->done = true;
	pthread_cond_signal(&e->cond);
	pthread_mutex_unlock(&req->s->lock);
}

/* The tuples of one zone's part become escapes; waits for the page. */
static int soft_escape(struct soft *s, uint64_t zone, uint32_t first,
		       uint32_t count)
{
	struct soft_escape e = {
		.req = { .s = s, .act = SEG_ESCAPE, .pending = 1,
			 .end = soft_escape_end },
		.cond = PTHREAD_COND_INITIALIZER,
	};
	struct soft_seg seg = {
		.req = &e.req, .zone = zone, .first = first, .count = count,
	};
	int ret = soft_page_do(s, &seg);

	if (ret <= 0)
		return ret;
	if (seg.load)
		soft_load_start(seg.load);
	pthread_mutex_lock(&s->lock);
	while (!e.done)
		soft_wait(s, &e.cond);
	pthread_mutex_unlock(&s->lock);
	pthread_cond_destroy(&e.cond);
	return e.req.err;
}

int soft_discard(struct eng_dev *dev, uint64_t start, uint64_t count)
{
	struct soft *s = (struct soft *)dev;
	const struct soft_layout *l = &s->head.lay;
	uint32_t n;
	int err = 0;

	if (start > l->intervals || count > l->intervals - start)
		return -EINVAL;
	if (soft_rdonly(s))
		return -EROFS;
	soft_count(&s->stats.discards, 1);
	for (; count && !err; start += n, count -= n) {
		uint64_t zone = start / l->zone_intervals;
		uint32_t first = start % l->zone_intervals;

		n = l->zone_intervals - first;
		if (n > count)
			n = (uint32_t)count;
		err = soft_throttle(s);
		if (!err)
			err = s->raw->ops->discard(s->raw,
				soft_data_off(l, zone, first),
				(uint64_t)n * l->profile->interval);
		if (!err)
			err = soft_escape(s, zone, first, n);
	}
	return err;
}
