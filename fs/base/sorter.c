/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sorter.c - sorted runs in a file that has no name, merged as they are read.
 *
 *  (1) A buffer is filled, sorted and written as a run of whole blocks.  When
 *      there are FAN runs, they become one, and their place is given back.
 *  (2) Memory is the buffer, while records are put in, and then a block for
 *      each run.  With a directory each sorter may have an eighth of what all
 *      may have, since three are in use at once, beside others; without one
 *      they may have all, whoever asks first.
 *  (3) A block has a checksum: what comes back wrong is an error and no record. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/sorter.h"

#define FAN		32u	/* (1) */
#define BLOCK		(64u << 10)
#define FLOOR		64u	/* records before a file is written */

/* In memory only, so in the order of this machine. */
struct head {
	uint32_t	crc, n;
};

struct run {
	off_t		at, end;	/* in the file */
	off_t		pos;		/* of the next block */
	uint8_t		*block;
	unsigned int	i;		/* next record in it */
};

struct tfs_sorter {
	struct tfs_scratch *scratch;
	int		(*cmp)(const void *a, const void *b);
	size_t		size;
	uint8_t		*buf;		/* records that are in no run */
	size_t		n, room, at;	/* at: the next one */
	uint64_t	count;
	int		fd;
	off_t		end;
	struct run	run[FAN];
	unsigned int	runs;
	unsigned int	heap[FAN], heap_n;	/* runs, least record first */
	uint8_t		*out;		/* the block that is being filled */
};

/* ---- the file --------------------------------------------------------------- */

static int write_block(struct tfs_sorter *s, uint8_t *block)
{
	int err;

	((struct head *)block)->crc = tfs_crc32c(block, BLOCK, 0);
	err = tfs_scratch_write(s->scratch, s->fd, block, BLOCK,
				(uint64_t)s->end);
	s->end += BLOCK;
	memset(block, 0, BLOCK);
	return err;
}

static uint8_t *record_of(const struct tfs_sorter *s, uint8_t *block,
			  unsigned int i)
{
	return block + sizeof(struct head) + i * s->size;
}

static unsigned int per_block(const struct tfs_sorter *s)
{
	return (BLOCK - sizeof(struct head)) / s->size;
}

/* (3) */
static int read_block(struct tfs_sorter *s, struct run *r)
{
	const struct head *h = (const struct head *)r->block;
	int err = tfs_scratch_read(s->scratch, s->fd, r->block, BLOCK,
				   (uint64_t)r->pos);

	if (err)
		return err;
	if (h->crc != tfs_crc32c(r->block, BLOCK, 0) ||
	    h->n > per_block(s) || !h->n)
		return tfs_scratch_bad(s->scratch);
	r->pos += BLOCK;
	r->i = 0;
	return 0;
}

/* ---- a run that is being written -------------------------------------------- */

static int put(struct tfs_sorter *s, const void *rec)
{
	struct head *h = (struct head *)s->out;

	memcpy(record_of(s, s->out, h->n++), rec, s->size);
	return h->n == per_block(s) ? write_block(s, s->out) : 0;
}

static int put_end(struct tfs_sorter *s)
{
	return ((struct head *)s->out)->n ? write_block(s, s->out) : 0;
}

/* ---- runs that are being read ------------------------------------------------- */

static const uint8_t *first_of(const struct tfs_sorter *s, unsigned int run)
{
	const struct run *r = &s->run[run];

	return record_of(s, r->block, r->i);
}

static bool before(const struct tfs_sorter *s, unsigned int a, unsigned int b)
{
	int c = s->cmp(first_of(s, s->heap[a]), first_of(s, s->heap[b]));

	return c ? c < 0 : s->heap[a] < s->heap[b];
}

static void sift(struct tfs_sorter *s, unsigned int i)
{
	for (;;) {
		unsigned int k = 2 * i + 1, t;

		if (k >= s->heap_n)
			return;
		k += k + 1 < s->heap_n && before(s, k + 1, k);
		if (!before(s, k, i))
			return;
		t = s->heap[i];
		s->heap[i] = s->heap[k];
		s->heap[k] = t;
		i = k;
	}
}

static int begin_merge(struct tfs_sorter *s)
{
	int err = 0;

	s->heap_n = 0;
	for (unsigned int i = 0; i < s->runs && !err; i++) {
		struct run *r = &s->run[i];

		if (!r->block)
			r->block = malloc(BLOCK);
		if (!r->block)
			return -ENOMEM;
		r->pos = r->at;
		err = read_block(s, r);
		s->heap[s->heap_n++] = i;
	}
	for (unsigned int i = s->heap_n / 2; i-- && !err; )
		sift(s, i);
	return err;
}

static int merge_pop(struct tfs_sorter *s)
{
	struct run *r = &s->run[s->heap[0]];
	int err = 0;

	if (++r->i == ((struct head *)r->block)->n) {
		if (r->pos < r->end)
			err = read_block(s, r);
		else
			s->heap[0] = s->heap[--s->heap_n];
	}
	if (!err)
		sift(s, 0);
	return err;
}

/* (1) */
static int join_runs(struct tfs_sorter *s)
{
	off_t at = s->end;
	int err = begin_merge(s);

	while (!err && s->heap_n) {
		err = put(s, first_of(s, s->heap[0]));
		if (!err)
			err = merge_pop(s);
	}
	if (!err)
		err = put_end(s);
	if (err)
		return err;
	fallocate(s->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, at);
	s->run[0].at = at;
	s->run[0].end = s->end;
	s->runs = 1;
	return 0;
}

/* ---- memory -------------------------------------------------------------------- */

static size_t bytes_of(const struct tfs_sorter *s, size_t room)
{
	/* qsort() takes two pointers for each large record. */
	return room * (s->size + (s->cmp ? 2 * sizeof(void *) : 0));
}

/* (2) */
static size_t allowed(const struct tfs_sorter *s)
{
	const struct tfs_scratch *sc = s->scratch;
	size_t own = bytes_of(s, s->room), max = SIZE_MAX;

	if (sc->dir && sc->bytes)
		max = sc->bytes / 8;
	else if (sc->bytes)
		max = sc->bytes > sc->used ? sc->bytes - sc->used + own : own;
	return max;
}

static void give_back(struct tfs_sorter *s)
{
	s->scratch->used -= bytes_of(s, s->room);
	free(s->buf);
	s->buf = NULL;
	s->room = 0;
}

/* Room for more.  -ENOBUFS: not any more. */
static int grow(struct tfs_sorter *s)
{
	size_t most = allowed(s) / bytes_of(s, 1);
	size_t want = s->room ? 2 * s->room : FLOOR;
	uint8_t *p;

	if (s->scratch->dir && most < FLOOR)
		most = FLOOR;
	if (want > most)
		want = most;
	if (want <= s->room)
		return -ENOBUFS;
	p = realloc(s->buf, want * s->size);
	if (!p)
		return s->room ? -ENOBUFS : -ENOMEM;
	s->scratch->used += bytes_of(s, want) - bytes_of(s, s->room);
	s->buf = p;
	s->room = want;
	return 0;
}

static void sort(struct tfs_sorter *s)
{
	if (s->cmp && s->n)
		qsort(s->buf, s->n, s->size, s->cmp);
}

/* What is in memory becomes a run; without order it prolongs the only one. */
static int spill(struct tfs_sorter *s)
{
	int err = 0;
	off_t at;

	if (s->fd < 0)
		s->fd = tfs_scratch_open(s->scratch);
	if (s->fd < 0)
		return s->fd;
	if (!s->out && !(s->out = calloc(1, BLOCK)))
		err = -ENOMEM;
	if (!err && s->runs == FAN)
		err = join_runs(s);
	if (err)
		return err;
	at = s->end;
	sort(s);
	for (size_t i = 0; i < s->n && !err; i++)
		err = put(s, s->buf + i * s->size);
	if (!err)
		err = put_end(s);
	if (err)
		return err;
	s->n = 0;
	if (s->cmp || !s->runs)
		s->run[s->runs++].at = at;
	s->run[s->runs - 1].end = s->end;
	return 0;
}

/* ---- all ------------------------------------------------------------------------ */

int tfs_sorter_create(struct tfs_sorter **out, struct tfs_scratch *scratch,
		      size_t size, int (*cmp)(const void *a, const void *b))
{
	struct tfs_sorter *s = calloc(1, sizeof(*s));

	*out = s;
	if (!s)
		return -ENOMEM;
	s->scratch = scratch;
	s->size = size;
	s->cmp = cmp;
	s->fd = -1;
	return 0;
}

void tfs_sorter_destroy(struct tfs_sorter *s)
{
	if (!s)
		return;
	give_back(s);
	for (unsigned int i = 0; i < FAN; i++)
		free(s->run[i].block);
	free(s->out);
	if (s->fd >= 0)
		close(s->fd);
	free(s);
}

int tfs_sorter_add(struct tfs_sorter *s, const void *rec)
{
	int err = s->n == s->room ? grow(s) : 0;

	if (err == -ENOBUFS && s->scratch->dir)
		err = spill(s);
	if (err)
		return err;
	memcpy(s->buf + s->n++ * s->size, rec, s->size);
	s->count++;
	return 0;
}

int tfs_sorter_rewind(struct tfs_sorter *s)
{
	int err = 0;

	s->at = 0;
	if (s->runs && s->n)
		err = spill(s);
	else
		sort(s);
	if (err || !s->runs)
		return err;
	give_back(s);
	return begin_merge(s);
}

int tfs_sorter_next(struct tfs_sorter *s, void *rec)
{
	int err;

	if (s->runs) {
		if (!s->heap_n)
			return 0;
		memcpy(rec, first_of(s, s->heap[0]), s->size);
		err = merge_pop(s);
		return err ? err : 1;
	}
	if (s->at == s->n)
		return 0;
	memcpy(rec, s->buf + s->at++ * s->size, s->size);
	return 1;
}

uint64_t tfs_sorter_count(const struct tfs_sorter *s)
{
	return s->count;
}
