/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tag.c - the caller's bytes of a request as one string.
 *  (1) An interval has tag_size of them: application tag, type 3's reference
 *      tag, metadata before the tuple, metadata behind it.  One function,
 *      cells(), knows where they lie.
 *  (2) Bytes of the string are bytes of the medium, in that order, whatever
 *      the machine's own order is.
 *  (3) All counts are intervals.
 *  (4) Setting happens before generating: a guard may cover some of them. */
#include <errno.h>
#include <string.h>

#include "core/dev.h"
#include "core/tuple.h"

/* A piece of an interval's metadata. */
struct cell {
	uint16_t	at, size;
};

enum { CELLS = 3 };

/* (1): the tuple's part, what is before it, what is behind it. */
static void cells(const struct eng_profile *p, struct cell cell[CELLS])
{
	uint16_t end = p->pi_offset + p->pi_size;

	cell[0].at = (uint16_t)(p->pi_offset + eng_app_at(p));
	cell[0].size = p->type == 3 ? end - cell[0].at : 2;
	cell[1].at = 0;
	cell[1].size = p->pi_offset;
	cell[2].at = end;
	cell[2].size = p->meta_size - end;
}

size_t eng_io_tag_size(const struct eng_io *io)
{
	return (size_t)io->count * io->dev->geo.tag_size;
}

/* Copies what there is of the string, and zeros for the rest. */
static void scatter(uint8_t *to, size_t n, const uint8_t **tag, size_t *len)
{
	size_t have = n < *len ? n : *len;

	memcpy(to, *tag, have);
	memset(to + have, 0, n - have);
	*tag += have;
	*len -= have;
}

static bool has_escape(const uint8_t *tag, size_t len, size_t size)
{
	for (size_t at = 0; at + 2 <= len; at += size)
		if (tag[at] == 0xff && tag[at + 1] == 0xff)
			return true;
	return false;
}

int eng_io_set_tag(struct eng_io *io, const void *tag, size_t len)
{
	const struct eng_profile *p = io->dev->geo.profile;
	const uint8_t *from = tag;
	uint8_t *meta = io->tuples;
	struct cell cell[CELLS];

	if (io->op != ENG_WRITE || io->flags & ENG_IO_PROTECTED)
		return -EINVAL;		/* (4) */
	if (len > eng_io_tag_size(io))
		return -ENOSPC;
	if (has_escape(tag, len, io->dev->geo.tag_size))
		return -EINVAL;
	cells(p, cell);
	for (uint32_t i = 0; i < io->count; i++, meta += p->meta_size) {
		for (int c = 0; c < CELLS; c++)
			scatter(meta + cell[c].at, cell[c].size, &from, &len);
		eng_tuple_tags(p, meta, io->tags + (size_t)i * p->tags);
	}
	io->refs = p->type == 3;
	return 0;
}

static void gather(uint8_t **tag, size_t *len, const uint8_t *from, size_t n)
{
	if (n > *len)
		n = *len;
	memcpy(*tag, from, n);
	*tag += n;
	*len -= n;
}

int eng_io_get_tag(const struct eng_io *io, void *tag, size_t len)
{
	const struct eng_profile *p = io->dev->geo.profile;
	const uint8_t *meta = io->tuples;
	struct cell cell[CELLS];
	uint8_t *to = tag;

	if (io->err)
		return io->err;
	if (!io->filled && (io->op == ENG_READ ||
			    !(io->flags & ENG_IO_PROTECTED)))
		return -EINVAL;
	if (len > eng_io_tag_size(io))
		return -ENOSPC;
	cells(p, cell);
	for (; len; meta += p->meta_size)
		for (int c = 0; c < CELLS; c++)
			gather(&to, &len, meta + cell[c].at, cell[c].size);
	return 0;
}
