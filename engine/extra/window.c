/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* window.c - parts of requests: advance, trim, split, clone.
 *  (1) One unit: intervals of the device, for start, count, tags, tuples and
 *      the cut of the data alike.
 *  (2) Interval n of a device keeps its data, tag and tuple in every window
 *      that holds it; so what was generated for the whole is right for each
 *      part.
 *  (3) A clone owns its segments' list and nothing else.  Nothing can be
 *      added to it, since the tags and tuples behind its window belong to
 *      other intervals of the owner.
 *  (4) The owner of tags and tuples is the request that they were made for,
 *      also of a clone of a clone, and it stays while any clone does. */
#include <errno.h>
#include <string.h>

#include "core/buf.h"
#include "core/dev.h"

static bool within(const struct eng_io *io, uint32_t first, uint32_t count)
{
	return first <= io->count && count <= io->count - first;
}

/* (1), (2): n is at most io->count. */
static void cut_front(struct eng_io *io, uint32_t n)
{
	const struct eng_profile *p = io->dev->geo.profile;
	size_t bytes = (size_t)n * p->interval;

	io->start += n;
	io->count -= n;
	io->max_count -= n;
	io->tags += (size_t)n * p->tags;
	io->tuples += (size_t)n * p->meta_size;
	while (bytes && bytes >= io->iov->iov_len) {
		bytes -= io->iov->iov_len;
		io->iov++;
		io->niov--;
		io->max_iov--;
	}
	if (bytes) {
		io->iov->iov_base = (char *)io->iov->iov_base + bytes;
		io->iov->iov_len -= bytes;
	}
}

static void cut_back(struct eng_io *io, uint32_t count)
{
	size_t bytes = (size_t)(io->count - count) *
		       io->dev->geo.profile->interval;

	io->count = count;
	while (bytes && bytes >= io->iov[io->niov - 1].iov_len)
		bytes -= io->iov[--io->niov].iov_len;
	if (bytes)
		io->iov[io->niov - 1].iov_len -= bytes;
}

int eng_io_advance(struct eng_io *io, uint32_t n)
{
	if (!within(io, n, 0))
		return -EINVAL;
	cut_front(io, n);
	return 0;
}

int eng_io_trim(struct eng_io *io, uint32_t first, uint32_t count)
{
	if (!within(io, first, count))
		return -EINVAL;
	cut_front(io, first);
	cut_back(io, count);
	return 0;
}

int eng_io_clone(struct eng_io **out, struct eng_io *io, uint32_t first,
		 uint32_t count)
{
	struct eng_io *owner = io->owner ? io->owner : io;
	struct eng_io *clone;

	*out = NULL;
	if (!count || io->add_err || !within(io, first, count))
		return -EINVAL;
	clone = eng_bufs_get_clone(io->dev->bufs, io->niov);
	clone->dev = io->dev;
	clone->op = io->op;
	clone->flags = io->flags;
	clone->start = io->start;
	clone->tags = io->tags;
	clone->tuples = io->tuples;
	clone->filled = io->filled;
	clone->refs = io->refs;
	clone->count = clone->max_count = io->count;
	clone->niov = io->niov;
	memcpy(clone->iov, io->iov, io->niov * sizeof(*io->iov));
	clone->owner = owner;		/* (4) */
	__atomic_add_fetch(&owner->users, 1, __ATOMIC_RELAXED);
	cut_front(clone, first);
	cut_back(clone, count);
	clone->max_count = clone->count;	/* (3) */
	clone->max_iov = clone->niov;
	*out = clone;
	return 0;
}

int eng_io_split(struct eng_io **out, struct eng_io *io, uint32_t n)
{
	int err;

	*out = NULL;
	if (n >= io->count)
		return -EINVAL;
	err = eng_io_clone(out, io, 0, n);
	if (!err)
		cut_front(io, n);
	return err;
}
