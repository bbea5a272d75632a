/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* io.c - one request from submit to end().
 *  (1) end() is called exactly once for every submit, whatever happens.
 *  (2) Nothing reaches the backend that its geometry does not allow, and no
 *      write with a tag that is an escape.
 *  (3) A read ends with err 0 only if every interval of it was verified,
 *      but for what its caller or the device's switch excepts.  A failed
 *      transfer is not verified: its error is passed on.
 *  (4) Verification never runs on a thread that reaps completions of others,
 *      but where somebody waits anyway: in the submitter, if the transfer was
 *      over before ops->submit() returned; in eng_io_run(); for a few
 *      intervals on the thread that completes its own; else in the pool.
 *  (5) The last thing done with a device is to count inflight down, after
 *      end() or ops->submit() returned; eng_dev_close() waits for that.
 *  (6) A payload goes back to its pool when it and all of its clones were
 *      put, whichever was last.
 *  (7) What could not be attached is not left out: such a request fails. */
#include <assert.h>
#include <errno.h>
#include <semaphore.h>
#include <string.h>

#include "core/buf.h"
#include "core/io.h"
#include "core/pool.h"
#include "core/tuple.h"

#define ESCAPE	0xffff

/* The request that this thread is submitting; NULL once it is over. */
static __thread struct eng_io *submitting;
static __thread bool completes_here;		/* (4) */

/* (4): what takes no longer than waking somebody who does it. */
#define HERE_BYTES	(64u << 10)

const char *eng_fault_name(enum eng_fault_kind kind)
{
	static const char *const names[] = {
		"none", "guard", "ref", "app", "escape", "device"
	};

	return kind <= ENG_FAULT_DEVICE ? names[kind] : "?";
}

static int check_range(const struct eng_io *io)
{
	uint64_t size = io->dev->geo.intervals;

	if (io->add_err)
		return io->add_err;	/* (7) */
	return !io->count || io->count > size ||
	       io->start > size - io->count ? -EINVAL : 0;
}

/* ---- payloads --------------------------------------------------------- */

static struct eng_io *get(struct eng_dev *dev, uint32_t count,
			  unsigned int segs, enum eng_bufs_how how)
{
	struct eng_io *io = eng_bufs_get_io(dev->bufs, count, segs, how);

	if (io)
		io->dev = dev;
	return io;
}

struct eng_io *eng_io_get(struct eng_dev *dev, uint32_t count,
			  unsigned int segs)
{
	return get(dev, count, segs, ENG_BUFS_TRY);
}

struct eng_io *eng_io_get_wait(struct eng_dev *dev, uint32_t count,
			       unsigned int segs)
{
	return get(dev, count, segs, ENG_BUFS_WAIT);
}

struct eng_io *eng_io_get_spare(struct eng_dev *dev, uint32_t count,
				unsigned int segs)
{
	return get(dev, count, segs, ENG_BUFS_SPARE);
}

void eng_io_put(struct eng_io *io)
{
	struct eng_io *owner;

	for (; io; io = owner) {
		if (__atomic_load_n(&io->users, __ATOMIC_ACQUIRE) != 1 &&
		    __atomic_sub_fetch(&io->users, 1, __ATOMIC_ACQ_REL))
			return;		/* (6) */
		owner = io->owner;
		eng_bufs_put_io(io->dev->bufs, io);
	}
}

static int try_add(struct eng_io *io, void *data, size_t bytes)
{
	const struct eng_geometry *geo = &io->dev->geo;
	uint32_t interval = geo->profile->interval;

	if (!bytes || bytes % interval || io->flags & ENG_IO_PROTECTED)
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

int eng_io_add(struct eng_io *io, void *data, size_t bytes)
{
	int err = try_add(io, data, bytes);

	if (!io->add_err)
		io->add_err = err;
	return err;
}

static int add_all(struct eng_io *io, const struct iovec *iov,
		   unsigned int niov)
{
	int err = 0;

	for (unsigned int i = 0; i < niov && !err; i++)
		err = eng_io_add(io, iov[i].iov_base, iov[i].iov_len);
	return err;
}

int eng_io_prep(struct eng_io **out, struct eng_dev *dev, enum eng_op op,
		uint64_t start, const struct iovec *iov, unsigned int niov)
{
	struct eng_io *io;
	size_t bytes = 0;
	int err;

	*out = NULL;
	for (unsigned int i = 0; i < niov; i++)
		bytes += iov[i].iov_len;
	bytes /= dev->geo.profile->interval;
	if (bytes > dev->geo.max_io)
		return -EINVAL;
	io = eng_io_get_wait(dev, (uint32_t)bytes, niov);
	if (!io)
		return -EINVAL;
	io->op = op;
	io->start = start;
	err = add_all(io, iov, niov);
	if (!err)
		err = check_range(io);
	if (err)
		eng_io_put(io);
	else
		*out = io;
	return err;
}

void *eng_buf_get(struct eng_dev *dev, size_t bytes)
{
	return eng_bufs_get(dev->bufs, bytes, ENG_BUFS_TRY);
}

void *eng_buf_get_spare(struct eng_dev *dev, size_t bytes)
{
	return eng_bufs_get(dev->bufs, bytes, ENG_BUFS_SPARE);
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
		uint8_t *tuples = io->tuples + (size_t)done * p->meta_size;
		const uint16_t *tags = io->tags + (size_t)done * p->tags;

		if (io->refs)
			eng_generate_app(p, io->iov[i].iov_base, tuples, n,
					 tags);
		else
			eng_generate(p, io->iov[i].iov_base, tuples, n,
				     io->dev->ref_base + io->start + done,
				     tags);
		done += n;
	}
	io->filled = true;
}

void eng_io_restore_refs(struct eng_io *io)
{
	const struct eng_profile *p = io->dev->geo.profile;
	uint64_t ref = io->dev->ref_base + io->start;

	for (uint32_t i = 0; p->type != 3 && i < io->count; i++)
		eng_tuple_set_ref(p, io->tuples + (size_t)i * p->meta_size,
				  ref + i);
}

/* Of one segment, whose first interval is number at of the request. */
static int verify_segment(struct eng_io *io, const struct iovec *iov,
			  uint32_t at)
{
	const struct eng_profile *p = io->dev->geo.profile;
	const uint16_t *tags = io->flags & ENG_IO_TAGS_OUT ? NULL : io->tags;
	uint32_t end = at + (uint32_t)(iov->iov_len / p->interval);
	const uint8_t *data = iov->iov_base;
	int err;

	for (;;) {
		uint64_t next, base = io->dev->ref_base;

		err = eng_verify(p, data, io->tuples + (size_t)at *
				 p->meta_size, end - at, base + io->start + at,
				 tags ? tags + (size_t)at * p->tags : NULL,
				 &io->fault);
		if (!err)
			return 0;
		io->fault.interval -= base;
		if (io->fault.kind != ENG_FAULT_ESCAPE ||
		    !(io->flags & ENG_IO_ESCAPES))
			return err;
		next = io->fault.interval + 1 - io->start;
		data += (next - at) * p->interval;
		at = (uint32_t)next;
	}
}

static int verify_all(struct eng_io *io)
{
	uint32_t at = 0;
	int err = 0;

	for (unsigned int i = 0; i < io->niov && !err; i++) {
		err = verify_segment(io, &io->iov[i], at);
		at += (uint32_t)(io->iov[i].iov_len /
				 io->dev->geo.profile->interval);
	}
	if (!err)	/* escapes that were passed over */
		io->fault = (struct eng_fault){ .kind = ENG_FAULT_NONE };
	return err;
}

static void report_tags(struct eng_io *io)
{
	const struct eng_profile *p = io->dev->geo.profile;

	for (uint32_t i = 0; i < io->count; i++)
		eng_tuple_tags(p, io->tuples + (size_t)i * p->meta_size,
			       io->tags + (size_t)i * p->tags);
}

/* Of a read that was transferred. */
static int verify(struct eng_io *io)
{
	int err = 0;

	io->filled = true;
	if (eng_io_enabled(io))
		err = verify_all(io);
	if (!err && io->flags & ENG_IO_TAGS_OUT)
		report_tags(io);
	return err;
}

static bool has_tuples(const struct eng_io *io)
{
	return io->filled || (io->op == ENG_WRITE &&
			      io->flags & ENG_IO_PROTECTED);
}

int eng_io_verify(struct eng_io *io)
{
	int err;

	if (!has_tuples(io) || check_range(io))
		return -EINVAL;
	err = verify_all(io);
	if (!err && io->flags & ENG_IO_TAGS_OUT)
		report_tags(io);
	return err;
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

static void settle(struct eng_io *io)
{
	finish(io, verify(io));
}

static void run_end(struct eng_io *io)
{
	sem_post(io->arg);
}

void eng_io_complete_here(bool on)
{
	completes_here = on;
}

/* (4) */
static bool is_settled_here(const struct eng_io *io)
{
	return !eng_io_enabled(io) ||
	       (completes_here && io->flags & ENG_IO_HERE &&
		(uint64_t)io->count * io->dev->geo.profile->interval <=
		HERE_BYTES);
}

void eng_io_done(struct eng_io *io, int err)
{
	bool here = io == submitting;

	if (here)
		submitting = NULL;
	if (io->undo)
		io->dev->hook->end(io->dev->hook, io, err);
	if (err || io->op == ENG_WRITE || io->end == run_end)
		finish(io, err);	/* (3), (4) */
	else if (here || is_settled_here(io))
		settle(io);
	else
		eng_pool_submit(io->dev->pool, io, settle);
}

/* Of what a write would store. */
static bool has_escape(const struct eng_io *io)
{
	const struct eng_profile *p = io->dev->geo.profile;

	if (!(io->flags & ENG_IO_PROTECTED)) {
		for (size_t i = 0; i < (size_t)io->count * p->tags; i++)
			if (io->tags[i] == ESCAPE)
				return true;
		return false;
	}
	for (uint32_t i = 0; i < io->count; i++)
		if (eng_tuple_escapes(p, io->tuples +
				      (size_t)i * p->meta_size))
			return true;
	return false;
}

static int check(const struct eng_io *io)
{
	int err = check_range(io);
	unsigned int known;

	if (err)
		return err;
	if (io->op == ENG_READ)
		known = ENG_IO_TAGS_OUT | ENG_IO_MEDIUM | ENG_IO_PROTECTED |
			ENG_IO_ESCAPES | ENG_IO_LEGS | ENG_IO_HERE;
	else if (io->op == ENG_WRITE)
		known = ENG_IO_PROTECTED;
	else
		return -EINVAL;
	if (io->flags & ~known)
		return -EINVAL;
	if (io->op == ENG_READ)
		return 0;
	if (!(io->flags & ENG_IO_PROTECTED) && !eng_io_enabled(io))
		return -EINVAL;		/* its tuples would never be made */
	return has_escape(io) ? -EINVAL : 0;
}

bool eng_io_enabled(const struct eng_io *io)
{
	return !(io->flags & ENG_IO_PROTECTED) &&
	       eng_dev_enabled(io->dev, io->op);
}

int eng_io_generate(struct eng_io *io)
{
	int err = check_range(io);

	if (err)
		return err;
	if (io->op != ENG_WRITE || io->flags & ENG_IO_PROTECTED ||
	    has_escape(io))
		return -EINVAL;
	generate(io);
	io->flags |= ENG_IO_PROTECTED;
	return 0;
}

/* False: io is over, with *err, and the backend must not see it. */
static bool hook_lets_pass(struct eng_dev *dev, struct eng_io *io, int *err)
{
	struct eng_hook *hook = eng_dev_hook(dev);

	return !hook || hook->begin(hook, io, err);
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
	io->filled = false;
	io->healed = io->bad_legs = 0;
	if (err) {
		finish(io, err);
	} else {
		if (io->op == ENG_WRITE && !(io->flags & ENG_IO_PROTECTED))
			generate(io);
		submitting = io;
		if (hook_lets_pass(dev, io, &err))
			dev->ops->submit(dev, io);
		else
			eng_io_done(io, err);
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

int eng_dev_bypass(struct eng_dev *dev, enum eng_op op, uint64_t start,
		   void *buf, size_t bytes, const uint16_t *tags)
{
	uint32_t count = (uint32_t)(bytes / dev->geo.profile->interval);
	struct eng_io *io;
	int err;

	if (dev->ops->bypass)
		return dev->ops->bypass(dev, op, start, buf, bytes, tags);
	io = eng_io_get(dev, count, 1);
	if (!io)
		return -ENOMEM;
	io->op = op;
	io->start = start;
	eng_io_add(io, buf, bytes);
	if (op == ENG_READ)
		io->flags = ENG_IO_PROTECTED;	/* nothing is added to such */
	else
		memcpy(io->tags, tags, (size_t)count *
		       dev->geo.profile->tags * sizeof(*tags));
	err = eng_io_run(io);
	eng_io_put(io);
	return err;
}
