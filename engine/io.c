/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* io.c - one request from submit to end().
 *  (1) end() is called exactly once for every submit, whatever happens.
 *  (2) Nothing reaches the backend that its geometry does not allow, and no
 *      write with a tag that is an escape.
 *  (3) A read ends with err 0 only if every interval of it was verified.
 *      A failed transfer is not verified: its error is passed on.
 *  (4) Verification never runs on a thread that reaps completions, but where
 *      somebody waits anyway: in the submitter, if the transfer was over
 *      before ops->submit() returned; in eng_io_run(); else in the pool.
 *  (5) The last thing done with a device is to count inflight down, after
 *      end() or ops->submit() returned; eng_dev_close() waits for that.
 *  (6) A failed flush is for ever: nobody knows what it left undone. */
#include <assert.h>
#include <errno.h>
#include <semaphore.h>
#include <stdio.h>
#include <time.h>

#include "buf.h"
#include "dev_priv.h"

#define ESCAPE	0xffff

/* The io whose ops->submit() this thread is inside of, until it is done. */
static __thread struct eng_io *submitting;

/* ---- payloads --------------------------------------------------------- */

struct eng_io *eng_io_get(struct eng_dev *dev, uint32_t count,
			  unsigned int segs)
{
	struct eng_io *io = eng_bufs_get_io(dev->bufs, count, segs);

	if (io)
		io->dev = dev;
	return io;
}

void eng_io_put(struct eng_io *io)
{
	if (io)
		eng_bufs_put_io(io->dev->bufs, io);
}

int eng_io_add(struct eng_io *io, void *data, size_t bytes)
{
	const struct eng_geometry *geo = &io->dev->geo;
	uint32_t interval = geo->profile->interval;

	if (!bytes || bytes % interval)
		return -EINVAL;
	if (geo->align > 1 && (uintptr_t)data % geo->align)
		return -EINVAL;
	if (io->niov == io->max_iov ||
	    bytes / interval > io->max_count - io->count)
		return -ENOSPC;
	io->iov[io->niov].iov_base = data;
	io->iov[io->niov++].iov_len = bytes;
	io->count += (uint32_t)(bytes / interval);
	return 0;
}

void *eng_buf_get(struct eng_dev *dev, size_t bytes)
{
	return eng_bufs_get(dev->bufs, bytes);
}

void eng_buf_put(struct eng_dev *dev, void *buf, size_t bytes)
{
	eng_bufs_put(dev->bufs, buf, bytes);
}

/* ---- tuples of all segments ------------------------------------------- */

static void generate(struct eng_io *io)
{
	const struct eng_profile *p = io->dev->geo.profile;
	uint32_t done = 0;

	for (unsigned int i = 0; i < io->niov; i++) {
		uint32_t n = (uint32_t)(io->iov[i].iov_len / p->interval);

		eng_generate(p, io->iov[i].iov_base,
			     io->tuples + (size_t)done * p->meta_size, n,
			     io->start + done, io->tags + done);
		done += n;
	}
}

static int verify(struct eng_io *io)
{
	const struct eng_profile *p = io->dev->geo.profile;
	bool out = io->flags & ENG_IO_TAGS_OUT;
	uint32_t done = 0;
	int err;

	for (unsigned int i = 0; i < io->niov; i++) {
		uint32_t n = (uint32_t)(io->iov[i].iov_len / p->interval);

		err = eng_verify(p, io->iov[i].iov_base,
				 io->tuples + (size_t)done * p->meta_size, n,
				 io->start + done, out ? NULL : io->tags + done,
				 &io->fault);
		if (err)
			return err;
		done += n;
	}
	for (uint32_t i = 0; out && i < done; i++)
		io->tags[i] = eng_tuple_tag(p, io->tuples +
					    (size_t)i * p->meta_size);
	return 0;
}

/* ---- the way of a request --------------------------------------------- */

static void let_go(struct eng_dev *dev)
{
	/* (5) */
	__atomic_sub_fetch(&dev->inflight, 1, __ATOMIC_RELEASE);
}

static void finish(struct eng_io *io, int err)
{
	struct eng_dev *dev = io->dev;

	io->err = err;
	io->end(io);	/* may have freed it */
	let_go(dev);
}

void eng_io_verify(struct eng_io *io)
{
	finish(io, verify(io));
}

static void run_end(struct eng_io *io)
{
	sem_post(io->arg);
}

void eng_io_done(struct eng_io *io, int err)
{
	bool here = io == submitting;

	if (here)
		submitting = NULL;
	if (err || io->op == ENG_WRITE || io->end == run_end)
		finish(io, err);	/* (3), (4) */
	else if (here)
		eng_io_verify(io);
	else
		eng_pool_submit(io->dev->pool, io);
}

static bool has_escape(const struct eng_io *io)
{
	for (uint32_t i = 0; i < io->count; i++)
		if (io->tags[i] == ESCAPE)
			return true;
	return false;
}

static int check(const struct eng_io *io)
{
	const struct eng_geometry *geo = &io->dev->geo;
	unsigned int known = ENG_IO_TAGS_OUT | ENG_IO_MEDIUM;

	if (!io->count || io->count > geo->intervals ||
	    io->start > geo->intervals - io->count)
		return -EINVAL;
	if (io->op == ENG_READ)
		return io->flags & ~known ? -EINVAL : 0;
	if (io->op != ENG_WRITE || io->flags || has_escape(io))
		return -EINVAL;
	return 0;
}

void eng_io_submit(struct eng_io *io)
{
	struct eng_dev *dev = io->dev;
	struct eng_io *outer = submitting;
	int err = check(io);

	assert(io->end);
	/* One for the io, one for this call. */
	__atomic_add_fetch(&dev->inflight, 2, __ATOMIC_RELAXED);
	io->err = 0;
	io->fault = (struct eng_fault){ .kind = ENG_FAULT_NONE };
	if (err) {
		finish(io, err);
	} else {
		if (io->op == ENG_WRITE)
			generate(io);
		submitting = io;
		dev->ops->submit(dev, io);
		submitting = outer;
	}
	let_go(dev);
}

int eng_io_run(struct eng_io *io)
{
	sem_t moved;

	sem_init(&moved, 0, 0);
	io->end = run_end;
	io->arg = &moved;
	eng_io_submit(io);
	while (sem_wait(&moved))
		;	/* EINTR */
	sem_destroy(&moved);
	if (!io->err && io->op == ENG_READ)
		io->err = verify(io);	/* (4) */
	return io->err;
}

/* ---- devices ---------------------------------------------------------- */

int eng_dev_init(struct eng_dev *dev)
{
	dev->inflight = 0;
	dev->flush_err = 0;
	dev->geo.format = eng_profile_format(dev->geo.profile);
	dev->geo.tag_size = eng_profile_tag_size(dev->geo.profile);
	return eng_bufs_create(&dev->bufs, &dev->geo);
}

/* Polls: whoever counts down must not touch the device after that, so it
 * can't wake us. */
static void wait_idle(struct eng_dev *dev)
{
	const struct timespec tick = { .tv_nsec = 100000 };

	while (__atomic_load_n(&dev->inflight, __ATOMIC_ACQUIRE))
		nanosleep(&tick, NULL);
}

void eng_dev_close(struct eng_dev *dev)
{
	if (!dev)
		return;
	wait_idle(dev);
	eng_bufs_destroy(dev->bufs);
	dev->bufs = NULL;
	dev->ops->close(dev);
}

const struct eng_geometry *eng_dev_geometry(const struct eng_dev *dev)
{
	return &dev->geo;
}

int eng_dev_flush(struct eng_dev *dev)
{
	int err = __atomic_load_n(&dev->flush_err, __ATOMIC_ACQUIRE);
	int first = 0;

	if (err || !dev->ops->flush)
		return err;
	err = dev->ops->flush(dev);
	if (err)
		__atomic_compare_exchange_n(&dev->flush_err, &first, err, false,
					    __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
	/* (6), and not err: another flush may have failed meanwhile, and
	 * taken with it what this one would have to vouch for. */
	return __atomic_load_n(&dev->flush_err, __ATOMIC_ACQUIRE);
}

int eng_dev_discard(struct eng_dev *dev, uint64_t start, uint64_t count)
{
	uint64_t size = dev->geo.intervals;

	if (count > size || start > size - count)
		return -EINVAL;
	if (!dev->ops->discard)
		return -EOPNOTSUPP;
	return count ? dev->ops->discard(dev, start, count) : 0;
}

void eng_dev_drop_caches(struct eng_dev *dev)
{
	if (dev->ops->drop_caches)
		dev->ops->drop_caches(dev);
}

int eng_dev_stats(struct eng_dev *dev, char *buf, size_t size)
{
	return dev->ops->stats ? dev->ops->stats(dev, buf, size) :
				 snprintf(buf, size, "{}");
}

const char *eng_fault_name(enum eng_fault_kind kind)
{
	static const char *const names[] = {
		"none", "guard", "ref", "app", "escape"
	};

	return kind <= ENG_FAULT_ESCAPE ? names[kind] : "?";
}
