/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* native.c - requests to devices that store protection information.
 *  (1) The device is asked to check guard and reference tag of every transfer
 *      (of type 3 the guard alone, since it has no reference tag and asking
 *      fails everything).  Application tags are compared by us: a device takes
 *      one value per command, and ours differ from interval to interval.
 *  (2) A refused read leaves the buffers as they were.  So that the caller
 *      gets facts, it is repeated without checks, and our own verification
 *      names the interval and the check.  Some devices check all the same;
 *      then the intervals are read one by one, and the one that is refused is
 *      the fault.  Whatever comes out of this was verified, or is an error.
 *  (3) A write's tuples belong to the kernel once submitted: it may put other
 *      reference tags into them.  To start it again it gets ours back.
 *  (4) What is there when the device is opened for writing is made durable
 *      first: what a killed process has written may be in its cache alone,
 *      and whoever reads it takes it for the past.
 *  (5) No error of the device is passed on as one that means something else
 *      to a caller, as ENOSPC does. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "core/io.h"
#include "native/native.h"

typedef unsigned long long ull;

/* How far a read has come: eng_io.priv.  STEP + i: interval i alone. */
enum { CHECKED, UNCHECKED, STEP };

static uintptr_t stage_of(const struct eng_io *io)
{
	return (uintptr_t)io->priv;
}

static void set_stage(struct eng_io *io, uintptr_t stage)
{
	io->priv = (void *)stage;
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

static struct native_xfer xfer_of(const struct eng_io *io, struct iovec *one)
{
	const struct eng_profile *p = io->dev->geo.profile;
	uintptr_t stage = stage_of(io);
	struct native_xfer x = {
		.write = io->op == ENG_WRITE, .check = stage != UNCHECKED,
		.start = io->start, .count = io->count,
		.iov = io->iov, .niov = io->niov, .tuples = io->tuples,
	};

	if (stage >= STEP) {
		uint32_t i = (uint32_t)(stage - STEP);

		one->iov_base = data_at(io, i);
		one->iov_len = p->interval;
		x.start += i;
		x.count = 1;
		x.iov = one;
		x.niov = 1;
		x.tuples += (size_t)i * p->meta_size;
	}
	return x;
}

void native_prep(struct native *n, struct eng_io *io, struct io_uring_sqe *sqe,
		 struct native_attr *attr, struct iovec *iov)
{
	struct native_xfer x = xfer_of(io, iov);

	n->ops->prep(n, sqe, &x, attr);
}

static void restart(struct native *n, struct eng_io *io, uintptr_t stage)
{
	set_stage(io, stage);
	native_ring_start(n->ring, io);
}

/* (2) */
static void refused(struct native *n, struct eng_io *io,
		    enum eng_fault_kind kind)
{
	uintptr_t stage = stage_of(io);

	count(&n->stats.refused, stage == CHECKED);
	if (io->op == ENG_READ && stage < STEP) {
		count(&n->stats.reread, 1);
		restart(n, io, stage + 1);
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

static void advance(struct native *n, struct eng_io *io)
{
	uintptr_t stage = stage_of(io);

	if (stage >= STEP && stage - STEP + 1 < io->count)
		restart(n, io, stage + 1);
	else
		eng_io_done(io, 0);
}

static uint64_t bytes_of(const struct native *n, const struct eng_io *io)
{
	return stage_of(io) < STEP ?
		(uint64_t)io->count * n->dev.geo.profile->interval :
		n->dev.geo.profile->interval;
}

void native_complete(struct native *n, struct eng_io *io, int res)
{
	enum eng_fault_kind kind = ENG_FAULT_NONE;
	int err;

	if (res == -EINTR || res == -EAGAIN) {
		if (io->op == ENG_WRITE)
			eng_io_restore_refs(io);	/* (3) */
		native_ring_start(n->ring, io);
		return;
	}
	err = n->ops->result(res, bytes_of(n, io), &kind);
	if (err == -EILSEQ)
		refused(n, io, kind);
	else if (err)
		eng_io_done(io, plain_error(n, io, err));
	else
		advance(n, io);
}

static void native_submit(struct eng_dev *dev, struct eng_io *io)
{
	struct native *n = (struct native *)dev;
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
	restart(n, io, CHECKED);
}

/* ---- the rest of the operations --------------------------------------- */

static int native_flush(struct eng_dev *dev)
{
	struct native *n = (struct native *)dev;
	int err = n->bdev.rdonly ? 0 : n->ops->flush(n);

	count(&n->stats.flushes, 1);
	if (err)
		eng_log(LOG_ERR, "%s: flush: %s", n->path, strerror(-err));
	return err;
}

static int native_discard(struct eng_dev *dev, uint64_t start, uint64_t n)
{
	struct native *nat = (struct native *)dev;

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
	struct native *n = (struct native *)dev;
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

static void native_close(struct eng_dev *dev)
{
	native_destroy((struct native *)dev);
}

static const struct eng_dev_ops native_dev_ops = {
	.submit = native_submit,
	.flush = native_flush,
	.discard = native_discard,
	.stats = native_stats,
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
	int err = native_ring_create(&n->ring, n);

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
	native_ring_destroy(n->ring);
	if (n->ng >= 0)
		close(n->ng);
	eng_bdev_close(&n->bdev);
	free(n->path);
	free(n);
}
