/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* native.c - requests to devices that store protection information.
 *  (1) The device is asked to check guard and reference tag of every transfer
 *      (of type 3 the guard alone, since it has no reference tag and asking
 *      fails everything).  Application tags are compared by us: a device takes
 *      one value per command, and ours differ from interval to interval.  It
 *      is not asked where the reader takes what he finds, as it may be
 *      nothing: that is for our own verification, or for him, to say.
 *  (2) A refused read leaves the buffers as they were.  So that the caller
 *      gets facts, it is repeated without checks, and our own verification
 *      names the interval and the check.  Some devices check all the same;
 *      then the intervals are read one by one, and the one that is refused is
 *      the fault.  Whatever comes out of this was verified, or is an error.
 *  (3) A write's tuples belong to the kernel once submitted: it may put other
 *      reference tags into them.  To start it again it gets ours back.
 *  (4) What is there when the device is opened for writing, or anew for that,
 *      is made durable first: what a killed process has written may be in its
 *      cache alone, and whoever reads it takes it for the past.
 *  (5) No error of the device is passed on as one that means something else
 *      to a caller, as ENOSPC does.
 *  (6) A short transfer goes on where it stopped, with the interval that it
 *      stopped in.  One that moves nothing is an error. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "core/io.h"
#include "core/lock.h"
#include "native/native.h"

typedef unsigned long long ull;

/* How far a read has come.  STEP + i: interval i alone. */
enum { CHECKED, UNCHECKED, STEP };

/* What a request is to the ring: eng_io.priv. */
struct native_op {
	struct eng_ring_op op;		/* first */
	struct eng_io	*io;
	uintptr_t	stage;
	uint32_t	done;		/* intervals moved in this stage */
	bool		again;		/* started before in this stage */
	struct native_attr attr;
	struct iovec	iov;		/* of one interval */
};

static struct native *to_native(struct eng_dev *dev)
{
	return (struct native *)dev;
}

static void count(uint64_t *counter, uint64_t n)
{
	__atomic_add_fetch(counter, n, __ATOMIC_RELAXED);
}

/* ---- transfers -------------------------------------------------------- */

/* Where the data of interval i of io are. */
static void *data_at(const struct eng_io *io, uint32_t i)
{
	size_t skip = (size_t)i * io->dev->geo.profile->interval;
	const struct iovec *v = io->iov;

	for (; skip >= v->iov_len; v++)
		skip -= v->iov_len;
	return (char *)v->iov_base + skip;
}

static struct native_xfer xfer_of(struct native_op *op)
{
	const struct eng_io *io = op->io;
	const struct eng_profile *p = io->dev->geo.profile;
	struct native_xfer x = {
		.write = io->op == ENG_WRITE, .check = op->stage != UNCHECKED,
		.start = io->start, .count = io->count, .done = op->done,
		.iov = io->iov, .niov = io->niov, .tuples = io->tuples,
	};

	if (op->stage >= STEP) {
		uint32_t i = (uint32_t)(op->stage - STEP);

		op->iov.iov_base = data_at(io, i);
		op->iov.iov_len = p->interval;
		x.start += i;
		x.count = 1;
		x.iov = &op->iov;
		x.niov = 1;
		x.tuples += (size_t)i * p->meta_size;
	}
	return x;
}

static void prep(struct eng_ring_op *ring_op, struct io_uring_sqe *sqe)
{
	struct native_op *op = (struct native_op *)ring_op;
	struct native *n = to_native(op->io->dev);
	struct native_xfer x = xfer_of(op);

	if (op->again && op->io->op == ENG_WRITE)
		eng_io_restore_refs(op->io);	/* (3) */
	op->again = true;
	n->ops->prep(n, sqe, &x, &op->attr);
}

/* The thread's own queue has not what every kind of command needs. */
static void start(struct native *n, struct native_op *op)
{
	if (op->io->flags & ENG_IO_HERE && !n->ops->ring_flags)
		eng_ring_start_here(n->ring, &op->op);
	else
		eng_ring_start(n->ring, &op->op);
}

static void start_stage(struct native *n, struct native_op *op,
			uintptr_t stage)
{
	op->stage = stage;
	op->done = 0;
	op->again = false;
	start(n, op);
}

/* (2) */
static void refused(struct native *n, struct native_op *op,
		    enum eng_fault_kind kind)
{
	struct eng_io *io = op->io;
	uintptr_t stage = op->stage;

	count(&n->stats.refused, stage == CHECKED);
	if (io->op == ENG_READ && stage < STEP) {
		count(&n->stats.reread, 1);
		start_stage(n, op, stage + 1);
		return;
	}
	io->fault.kind = kind == ENG_FAULT_NONE ? ENG_FAULT_DEVICE : kind;
	io->fault.interval = io->start + (stage < STEP ? 0 : stage - STEP);
	eng_io_done(io, -EILSEQ);
}

/* (5) */
static int plain_error(const struct native *n, const struct eng_io *io,
		       int err)
{
	if (err == -EROFS || err == -ENODEV || err == -ENOMEM || err == -EIO)
		return err;
	eng_log(LOG_ERR, "%s: %s of %u intervals at %llu: %s", n->path,
		io->op == ENG_WRITE ? "write" : "read", io->count,
		(ull)io->start, strerror(-err));
	return -EIO;
}

static uint32_t count_of(const struct native_op *op)
{
	return op->stage < STEP ? op->io->count : 1;
}

/* bytes more were moved.  (6): part of an interval is moved again. */
static void advance(struct native *n, struct native_op *op, uint64_t bytes)
{
	struct eng_io *io = op->io;
	uint64_t more = bytes / n->dev.geo.profile->interval;

	if (!more || more > count_of(op) - op->done) {
		eng_io_done(io, -EIO);
		return;
	}
	op->done += (uint32_t)more;
	if (op->done < count_of(op))
		start(n, op);
	else if (op->stage >= STEP && op->stage - STEP + 1 < io->count)
		start_stage(n, op, op->stage + 1);
	else
		eng_io_done(io, 0);
}

static void complete(struct eng_ring_op *ring_op, int res)
{
	struct native_op *op = (struct native_op *)ring_op;
	struct native *n = to_native(op->io->dev);
	enum eng_fault_kind kind = ENG_FAULT_NONE;
	uint64_t bytes = (uint64_t)(count_of(op) - op->done) *
			 n->dev.geo.profile->interval;
	int err = n->ops->result(res, &bytes, &kind);

	if (err == -EILSEQ)
		refused(n, op, kind);
	else if (err)
		eng_io_done(op->io, plain_error(n, op->io, err));
	else
		advance(n, op, bytes);
}

static void native_submit(struct eng_dev *dev, struct eng_io *io)
{
	struct native *n = to_native(dev);
	struct native_op *op = io->priv;
	uint64_t bytes = (uint64_t)io->count * dev->geo.profile->interval;

	if (io->op == ENG_WRITE && n->bdev.rdonly) {
		eng_io_done(io, -EROFS);
		return;
	}
	if (io->op == ENG_WRITE) {
		count(&n->stats.writes, 1);
		count(&n->stats.write_bytes, bytes);
	} else {
		count(&n->stats.reads, 1);
		count(&n->stats.read_bytes, bytes);
	}
	op->op.prep = prep;
	op->op.end = complete;
	op->io = io;
	start_stage(n, op, io->op == ENG_READ && io->flags &
		    (ENG_IO_TAGS_OUT | ENG_IO_PROTECTED) ? UNCHECKED : CHECKED);
}

static size_t native_room(const struct eng_dev *dev, uint32_t intervals,
			  unsigned int segs)
{
	(void)dev, (void)intervals, (void)segs;
	return sizeof(struct native_op);
}

/* ---- the rest of the operations --------------------------------------- */

static int native_flush(struct eng_dev *dev)
{
	struct native *n = to_native(dev);
	int err = n->bdev.rdonly ? 0 : n->ops->flush(n);

	count(&n->stats.flushes, 1);
	if (err)
		eng_log(LOG_ERR, "%s: flush: %s", n->path, strerror(-err));
	return err;
}

static int native_discard(struct eng_dev *dev, uint64_t start, uint64_t n)
{
	struct native *nat = to_native(dev);

	if (nat->bdev.rdonly)
		return -EROFS;
	count(&nat->stats.discards, 1);
	return nat->ops->discard(nat, start, n);
}

static ull stat_get(const uint64_t *counter)
{
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

static int native_stats(struct eng_dev *dev, char *buf, size_t size)
{
	struct native *n = to_native(dev);
	const struct native_stats *st = &n->stats;

	return snprintf(buf, size, "{\"backend\":\"%s\",\"format\":\"%s\","
		"\"data_reads\":%llu,\"data_read_bytes\":%llu,"
		"\"data_writes\":%llu,\"data_write_bytes\":%llu,"
		"\"refused\":%llu,\"reread\":%llu,"
		"\"flushes\":%llu,\"discards\":%llu}",
		n->ops->name, dev->geo.profile->name,
		stat_get(&st->reads), stat_get(&st->read_bytes),
		stat_get(&st->writes), stat_get(&st->write_bytes),
		stat_get(&st->refused), stat_get(&st->reread),
		stat_get(&st->flushes), stat_get(&st->discards));
}

/* Both descriptors or none, under their numbers: requests are under way. */
static int native_reopen(struct eng_dev *dev)
{
	struct native *n = to_native(dev);
	int ng = n->ng < 0 ? -1 : eng_fd_reopen(n->ng, O_RDWR), err;

	if (n->ng >= 0 && ng < 0)
		return ng;
	err = eng_bdev_reopen(&n->bdev);
	if (ng < 0)
		return err;
	if (!err)
		dup3(ng, n->ng, O_CLOEXEC);
	close(ng);
	return err;
}

static void native_close(struct eng_dev *dev)
{
	native_destroy(to_native(dev));
}

static const struct eng_dev_ops native_dev_ops = {
	.submit = native_submit,
	.room = native_room,
	.flush = native_flush,
	.discard = native_discard,
	.stats = native_stats,
	.reopen = native_reopen,
	.begin_writes = native_flush,	/* (4) */
	.close = native_close,
};

/* ---- open ------------------------------------------------------------- */

static void set_geometry(struct native *n, const struct eng_profile *p)
{
	struct eng_geometry *geo = &n->dev.geo;

	geo->profile = p;
	geo->intervals = n->bdev.size / p->interval;
	geo->max_io = n->bdev.max_bytes / p->interval;
	geo->align = n->bdev.align;
	geo->backend = n->ops->name;
}

int native_create(struct native **out, const struct native_ops *ops,
		  struct eng_bdev *bdev, const struct eng_profile *p,
		  const struct eng_open *how)
{
	struct native *n = calloc(1, sizeof(*n));
	char *path = strdup(bdev->path);

	*out = NULL;
	if (!n || !path) {
		free(path);
		free(n);
		eng_bdev_close(bdev);
		return -ENOMEM;
	}
	n->dev.ops = &native_dev_ops;
	n->dev.pool = how->pool;
	n->ops = ops;
	n->bdev = *bdev;
	n->bdev.path = n->path = path;
	n->ng = -1;
	set_geometry(n, p);
	*out = n;
	return 0;
}

int native_start(struct native *n, struct eng_dev **out)
{
	int err = eng_ring_create(&n->ring, n->path, n->ops->ring_flags);

	if (!err)
		err = native_flush(&n->dev);		/* (4) */
	if (!err)
		err = eng_dev_init(&n->dev);
	if (err)
		native_destroy(n);
	else
		*out = &n->dev;
	return err;
}

void native_destroy(struct native *n)
{
	eng_ring_destroy(n->ring);
	if (n->ng >= 0)
		close(n->ng);
	eng_bdev_close(&n->bdev);
	free(n->path);
	free(n);
}
