/* SPDX-License-Identifier: GPL-2.0-or-later */
/* read.c - verified reads of file content.
 *
 *  (1) Not one byte is answered before guard, reference tag and tag record
 *      of its interval were checked; a request with any bad part gets an
 *      error, never a short answer.
 *  (2) Neighbouring clusters are one device request.
 *  (3) The clusters looked at are pinned by the reader's ticket, taken under
 *      the same hold of the tree lock as the map was read: none is reused
 *      before the read is over.
 *  (4) Nothing waits: the last completion answers, on whatever thread.  Who
 *      has the answer may close the filesystem, which waits for the tickets
 *      of its readers: they are given back last.
 *  (5) On a thread that must not wait, a read in one piece completes by that
 *      thread's own queue.  It has no memory then that somebody who waits may
 *      need; without, or in several pieces, the call is made elsewhere. */
#include <stdlib.h>
#include <string.h>

#include "base/cluster.h"
#include "base/gate.h"
#include "base/notes.h"
#include "base/nowait.h"
#include "core/io.h"
#include "file/access.h"
#include "file/extent.h"

struct piece {			/* of one extent, in intervals */
	struct tfs_record rec;
	uint64_t	addr;
	uint32_t	skip;		/* intervals before it in its cluster */
	uint32_t	count;
	uint64_t	at;		/* bytes from the buffer's start */
};

struct request {
	struct tfs	*fs;
	struct tfs_read	*rd;
	uint64_t	first;		/* byte offset of the buffer */
	uint64_t	end;		/* of the answer, clipped to the size */
	uint8_t		*buf;
	size_t		size;
	bool		own;		/* buf is from the device's pools */
	struct piece	*piece;
	size_t		n, room;
	unsigned int	ticket;		/* (3) */
	atomic_uint	left;
	atomic_int	err;
	bool		done;		/* answered from the tree alone */
	bool		due;		/* its access time, with no ticket yet */
};

static int add_piece(struct request *rq, const struct tfs_extent *ext,
		     uint64_t from, uint64_t to)
{
	uint32_t csize = rq->fs->csize, isize = csize / rq->fs->ipc;
	uint64_t lc = from / csize;

	if (tfs_array_grow(&rq->piece, &rq->room, rq->n + 1,
			   sizeof(rq->piece[0])))
		return -ENOMEM;
	rq->piece[rq->n++] = (struct piece){
		.rec = { .kind = TFS_K_DATA, .owner = rq->rd->ino,
			 .index = lc, .seq = ext->seq },
		.addr = ext->addr + (lc - ext->lc),
		.skip = from % csize / isize,
		.count = (to - from) / isize,
		.at = from - rq->first,
	};
	return 0;
}

/* Whole intervals around the range.  May wait for memory, so not under the
 * tree lock. */
static int make_buffer(struct request *rq)
{
	const struct tfs_read *rd = rq->rd;
	uint32_t isize = rq->fs->csize / rq->fs->ipc;

	if (!rd->len || rd->off > TFS_FILE_CLUSTERS * rq->fs->csize)
		return 0;
	rq->first = rd->off / isize * isize;
	rq->size = (rd->off + rd->len + isize - 1) / isize * isize - rq->first;
	rq->own = !rd->room || rq->size > rd->room_size;
	if (!rq->own)
		rq->buf = rd->room;
	else if (tfs_must_not_wait())
		rq->buf = eng_buf_get_spare(rq->fs->dev, rq->size);
	else
		rq->buf = eng_buf_get(rq->fs->dev, rq->size);
	if (!rq->buf)
		return tfs_must_not_wait() ? TFS_WAITS : -ENOMEM;
	return 0;
}

static int read_inline(struct tfs_txn *tx, struct request *rq)
{
	struct tfs_item item;
	uint64_t n;
	int err = tfs_txn_get(tx, tfs_key(rq->rd->ino, TFS_T_INLINE, 0),
			      &item);

	if (err)
		return err == -ENOENT ? 0 : err;
	if (rq->first >= item.len)
		return 0;
	n = item.len - rq->first;
	memcpy(rq->buf, (const uint8_t *)item.val + rq->first,
	       n < rq->size ? n : rq->size);
	return 0;
}

/* Holes and reservations read as zeros, so clear what no piece fills. */
static int read_extents(struct tfs_txn *tx, struct request *rq)
{
	uint32_t csize = rq->fs->csize, isize = csize / rq->fs->ipc;
	uint64_t at = rq->first, stop = (rq->end + isize - 1) / isize * isize;
	struct tfs_extent ext;

	while (at < stop) {
		uint64_t from = stop, to = stop;
		int err = tfs_extent_find(tx, rq->rd->ino, at / csize, &ext);

		if (err && err != -ENOENT)
			return err;
		if (!err) {
			from = ext.lc * csize > at ? ext.lc * csize : at;
			to = (ext.lc + ext.len) * csize;
		}
		if (from > stop)
			from = stop;
		if (to > stop)
			to = stop;
		if (!err && !ext.addr)
			from = to;
		memset(rq->buf + (at - rq->first), 0, from - at);
		if (from < to) {
			err = add_piece(rq, &ext, from, to);
			if (err)
				return err;
		}
		at = to;
	}
	return 0;
}

static int gather(struct tfs_txn *tx, void *arg)
{
	struct request *rq = arg;
	struct tfs_read *rd = rq->rd;
	struct tfs_inode inode;
	int err = tfs_inode_get(tx, rd->ino, &inode);

	if (err)
		return err;
	if (S_ISDIR(inode.mode))
		return -EISDIR;
	rq->due = rd->accessed && tfs_access_due(rq->fs, &inode, tfs_now());
	if (rq->due)
		return 0;
	rq->n = 0;
	rq->done = rd->off >= inode.size || !rq->buf;
	if (rq->done) {
		rq->end = rd->off;
		return 0;
	}
	rq->end = inode.size - rd->off > rd->len ? rd->off + rd->len :
		inode.size;
	err = read_extents(tx, rq);
	if (!err && !inode.clusters)
		err = read_inline(tx, rq);
	if (!err)
		rq->ticket = tfs_reader_enter(rq->fs);	/* (3) */
	return err;
}

static void answer(struct request *rq, int err)
{
	struct eng_dev *dev = rq->fs->dev;
	struct tfs_read *rd = rq->rd;
	size_t len = err ? 0 : rq->end - rd->off;

	if (!err) {
		atomic_fetch_add(&rq->fs->count.reads, 1);
		atomic_fetch_add(&rq->fs->count.read_bytes, len);
	}
	/* Whoever waited for the last read may close the filesystem now; the
	 * device waits until its completions have returned. */
	rd->end(rd, err, len ? rq->buf + (rd->off - rq->first) : NULL, len);
	if (rq->own)
		eng_buf_put(dev, rq->buf, rq->size);
	free(rq->piece);
	free(rq);
}

static void put_request(struct request *rq)
{
	struct tfs *fs = rq->fs;
	unsigned int ticket = rq->ticket;

	if (atomic_fetch_sub(&rq->left, 1) != 1)
		return;
	answer(rq, atomic_load(&rq->err));
	tfs_reader_exit(fs, ticket);				/* (4) */
}

static void set_error(struct request *rq, int err)
{
	int none = 0;

	atomic_compare_exchange_strong(&rq->err, &none, err);
}

/* Which of them is this? */
static const struct piece *piece_at(const struct request *rq, uint64_t at)
{
	const struct piece *p = rq->piece;

	while (p + 1 < rq->piece + rq->n && p[1].at <= at)
		p++;
	return p;
}

static void note_fault(struct request *rq, const struct eng_io *io)
{
	struct tfs *fs = rq->fs;
	uint32_t isize = fs->geo->profile->interval;
	uint64_t at = (uint8_t *)io->iov[0].iov_base - rq->buf;
	struct tfs_report r = {
		.ino = rq->rd->ino, .off = rq->first + at,
		.len = (uint64_t)io->count * isize, .addr = io->start / fs->ipc,
		.seq = piece_at(rq, at)->rec.seq, .err = io->err,
		.fault = io->fault,
	};

	if (io->err == -EBADMSG) {	/* one interval is known to be bad */
		r.off += (io->fault.interval - io->start) * isize;
		r.len = isize;
		r.addr = io->fault.interval / fs->ipc;
	}
	tfs_note_fault(fs, &r);
}

static void piece_done(struct eng_io *io)
{
	struct request *rq = io->arg;

	if (io->bad_legs && !io->err)
		tfs_note_legs(rq->fs, rq->rd->ino, rq->first +
			      ((uint8_t *)io->iov[0].iov_base - rq->buf), io);
	if (io->err) {
		note_fault(rq, io);
		set_error(rq, -EIO);
	}
	eng_io_put(io);
	put_request(rq);
}

/* (2) */
static void submit_io(struct request *rq, const struct piece *p, uint32_t from,
		      uint32_t count, struct eng_io *io)
{
	struct tfs *fs = rq->fs;
	uint32_t isize = fs->csize / fs->ipc;
	uint32_t skip = p->skip + from;
	struct tfs_record rec = p->rec;

	rec.index += skip / fs->ipc;
	io->op = ENG_READ;
	io->start = p->addr * fs->ipc + skip;
	io->end = piece_done;
	io->arg = rq;
	eng_io_add(io, rq->buf + p->at + (size_t)from * isize,
		   (size_t)count * isize);
	tfs_tag_fill(fs, &rec, p->addr + skip / fs->ipc, skip % fs->ipc,
		     count, io->tags);
	atomic_fetch_add(&rq->left, 1);
	eng_io_submit(io);
}

static void submit_piece(struct request *rq, const struct piece *p)
{
	struct tfs *fs = rq->fs;
	uint32_t max = fs->geo->max_io, n;
	struct eng_io *io;

	for (uint32_t from = 0; from < p->count; from += n) {
		n = p->count - from < max ? p->count - from : max;
		io = eng_io_get(fs->dev, n, 1);
		if (io)
			submit_io(rq, p, from, n, io);
		else
			set_error(rq, -ENOMEM);
	}
}

/* (5) */
static int submit_here(struct request *rq)
{
	const struct piece *p = rq->piece;
	struct eng_io *io = NULL;

	if (!rq->n)
		return 0;
	if (rq->n == 1 && p->count <= rq->fs->geo->max_io)
		io = eng_io_get_spare(rq->fs->dev, p->count, 1);
	if (!io)
		return TFS_WAITS;
	io->flags |= ENG_IO_HERE;
	submit_io(rq, p, 0, p->count, io);
	return 0;
}

static void submit(struct request *rq)
{
	if (tfs_must_not_wait()) {
		int err = submit_here(rq);

		if (err)
			set_error(rq, err);
		return;
	}
	for (size_t i = 0; i < rq->n; i++)
		submit_piece(rq, &rq->piece[i]);
}

void tfs_read(struct tfs *fs, struct tfs_read *rd)
{
	struct request *rq = calloc(1, sizeof(*rq));
	int err;

	if (!rq) {
		rd->end(rd, -ENOMEM, NULL, 0);
		return;
	}
	rq->fs = fs;
	rq->rd = rd;
	atomic_init(&rq->left, 1);
	err = make_buffer(rq);
	if (!err)
		err = tfs_txn_read(fs, gather, rq);
	if (!err && rq->due) {
		err = tfs_accessed(fs, rd->ino);
		rd->accessed = false;
		err = err ?: tfs_txn_read(fs, gather, rq);
	}
	if (err || rq->done) {
		answer(rq, err);
		return;
	}
	submit(rq);
	put_request(rq);
}

/* ---- waiting -------------------------------------------------------------- */

struct waiter {
	pthread_mutex_t	lock;
	pthread_cond_t	cond;
	bool		done;
	ssize_t		result;
	void		*buf;
};

static void wake(struct tfs_read *rd, int err, const void *data, size_t len)
{
	struct waiter *w = rd->arg;

	if (len)
		memcpy(w->buf, data, len);
	pthread_mutex_lock(&w->lock);
	w->result = err ? err : (ssize_t)len;
	w->done = true;
	pthread_cond_signal(&w->cond);
	pthread_mutex_unlock(&w->lock);
}

ssize_t tfs_read_sync(struct tfs *fs, uint32_t ino, uint64_t off, void *buf,
		      size_t len)
{
	struct waiter w = {
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.cond = PTHREAD_COND_INITIALIZER,
		.buf = buf,
	};
	struct tfs_read rd = { .ino = ino, .off = off, .len = len,
			       .end = wake, .arg = &w };

	tfs_read(fs, &rd);
	pthread_mutex_lock(&w.lock);
	while (!w.done)
		pthread_cond_wait(&w.cond, &w.lock);
	pthread_mutex_unlock(&w.lock);
	return w.result;
}
