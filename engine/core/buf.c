/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* buf.c - payloads and data buffers, by size class.
 *  (1) A class keeps at most `limit` free items; the rest goes back to the C
 *      library.
 *  (2) Of its largest class each kind owns one item from the start, the
 *      reserve, which is always either free or in use by a caller that will
 *      put it back.  So a caller that finds no memory waits until that
 *      happens.  The wait ends if callers take a payload before a data buffer
 *      and never hold two of a kind before they submit.  Payloads and their
 *      clones are two kinds.  Who puts it back must not need a thread that
 *      waits: threads that complete their own transfers leave the reserve
 *      (ENG_BUFS_SPARE).
 *  (3) An item is put into the class that it came from. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core/buf.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(p, n)		((void)(p), (void)(n))
#define ASAN_UNPOISON_MEMORY_REGION(p, n)	((void)(p), (void)(n))
#endif

enum {
	DATA_ALIGN	= 4096,
	ROOM_ALIGN	= 16,
	PAYLOAD_ALIGN	= 512,		/* the strictest seen for metadata */
	CACHE_BYTES	= 8 << 20,	/* of free items per class, but */
	CACHE_MIN	= 4,		/* at least */
	CACHE_MAX	= 256,		/* and at most so many */
	SEG_CLASSES	= 6,
	SEG_INTERVALS	= 8,		/* a class's room per segment */
	CLONE_CLASSES	= 2,
	CLONES		= SEG_CLASSES,	/* number of the first clone class */
	DATA_CLASSES	= 20,		/* 4 KiB << class */
};

int (*eng_bufs_alloc)(void **out, size_t align, size_t bytes) = posix_memalign;

struct item {
	struct item	*next;
};

struct class {
	pthread_mutex_t	lock;
	pthread_cond_t	put;
	struct item	*free;		/* lock */
	unsigned int	nfree;		/* lock */
	unsigned int	waiting;	/* lock */
	/* fixed after create: */
	unsigned int	limit;
	bool		reserve;	/* this is a largest class */
	size_t		size, align;
};

struct eng_bufs {
	struct class	payload[SEG_CLASSES + CLONE_CLASSES];
	struct class	data[DATA_CLASSES];
	/* fixed after create: */
	unsigned int	ndata;
	uint32_t	max_io;
	uint16_t	meta_size, pi_size;
	unsigned int	tags;		/* most of an interval */
	unsigned int	segs[SEG_CLASSES];
	uint32_t	intervals[SEG_CLASSES];
};

/* ---- one class -------------------------------------------------------- */

static void class_push(struct class *c, struct item *item)
{
	item->next = c->free;
	c->free = item;
	c->nfree++;
	ASAN_POISON_MEMORY_REGION(item, c->size);
}

static struct item *class_pop(struct class *c)
{
	struct item *item = c->free;

	ASAN_UNPOISON_MEMORY_REGION(item, c->size);
	c->free = item->next;
	c->nfree--;
	return item;
}

static struct item *class_alloc(const struct class *c)
{
	void *mem;

	return eng_bufs_alloc(&mem, c->align, c->size) ? NULL : mem;
}

/* Have the kernel allocate its pages.  A sanitizer's allocator gives others each
 * time, and that would be most of what it takes to open a device. */
static void touch(uint8_t *mem, size_t size)
{
#if !defined(__SANITIZE_ADDRESS__)
	for (size_t at = 0; at < size; at += DATA_ALIGN)
		mem[at] = 0;
	mem[size - 1] = 0;
#else
	(void)mem;
	(void)size;
#endif
}

static int class_init(struct class *c, size_t size, size_t align, bool reserve)
{
	size_t limit = CACHE_BYTES / size;

	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->put, NULL);
	c->size = size;
	c->align = align;
	c->reserve = reserve;
	c->limit = limit < CACHE_MIN ? CACHE_MIN :
		   limit > CACHE_MAX ? CACHE_MAX : (unsigned int)limit;
	if (reserve) {
		struct item *item = class_alloc(c);

		if (!item)
			return -ENOMEM;
		touch((uint8_t *)item, size);
		class_push(c, item);
	}
	return 0;
}

static void class_destroy(struct class *c)
{
	if (!c->size)
		return;
	while (c->free)
		free(class_pop(c));
	pthread_cond_destroy(&c->put);
	pthread_mutex_destroy(&c->lock);
}

static struct item *class_wait(struct class *c)
{
	struct item *item;

	pthread_mutex_lock(&c->lock);
	while (!c->free) {
		c->waiting++;
		pthread_cond_wait(&c->put, &c->lock);
		c->waiting--;
	}
	item = class_pop(c);
	pthread_mutex_unlock(&c->lock);
	return item;
}

static void *class_get(struct class *c)
{
	struct item *item = NULL;

	pthread_mutex_lock(&c->lock);
	if (c->free)
		item = class_pop(c);
	pthread_mutex_unlock(&c->lock);
	if (!item)
		item = class_alloc(c);
	if (!item && c->reserve)
		item = class_wait(c);	/* (2) */
	return item;
}

/* The reserve may be any of those that are free. */
static void *class_spare(struct class *c)
{
	struct item *item = NULL;

	pthread_mutex_lock(&c->lock);
	if (c->nfree > c->reserve)
		item = class_pop(c);
	pthread_mutex_unlock(&c->lock);
	return item ? item : class_alloc(c);
}

static void class_put(struct class *c, void *mem)
{
	struct item *item = mem;

	pthread_mutex_lock(&c->lock);
	if (c->nfree < c->limit) {
		class_push(c, item);
		item = NULL;
		if (c->waiting)
			pthread_cond_signal(&c->put);
	}
	pthread_mutex_unlock(&c->lock);
	free(item);	/* (1) */
}

/* ---- payloads --------------------------------------------------------- */

static size_t round_up(size_t n, size_t to)
{
	return (n + to - 1) / to * to;
}

/* Behind a request of that size comes what its backend needs. */
static size_t with_room(const struct eng_dev *dev, size_t size,
			uint32_t intervals, unsigned int segs)
{
	size = round_up(size, ROOM_ALIGN);
	return dev->ops->room ? size + dev->ops->room(dev, intervals, segs) :
				size;
}

/* The tuples, which come first, are what a device may want aligned.  Returns
 * where the request itself is. */
static size_t payload_layout(struct eng_bufs *b, unsigned int class,
			     struct eng_io *io, uint8_t *mem)
{
	size_t tuples = (size_t)b->intervals[class] * b->meta_size;
	size_t iov = round_up(tuples, 64);
	size_t tags = iov + b->segs[class] * sizeof(struct iovec);
	size_t self = round_up(tags + (size_t)b->intervals[class] * b->tags *
			       sizeof(uint16_t), 64);

	if (io) {
		io->tuples = mem;
		io->iov = (struct iovec *)(mem + iov);
		io->tags = (uint16_t *)(mem + tags);
	}
	return self;
}

static int init_payloads(struct eng_bufs *b, const struct eng_dev *dev)
{
	static const unsigned int segs[SEG_CLASSES] = {
		1, 4, 16, 64, 128, ENG_MAX_SEGS
	};
	int err = 0;

	for (unsigned int i = 0; i < SEG_CLASSES && !err; i++) {
		bool last = i == SEG_CLASSES - 1;

		b->segs[i] = segs[i];
		b->intervals[i] = last || segs[i] * SEG_INTERVALS > b->max_io ?
				  b->max_io : segs[i] * SEG_INTERVALS;
		err = class_init(&b->payload[i],
				 with_room(dev, sizeof(struct eng_io) +
					   payload_layout(b, i, NULL, NULL),
					   b->intervals[i], segs[i]),
				 PAYLOAD_ALIGN, last);
	}
	return err;
}

struct eng_io *eng_bufs_get_io(struct eng_bufs *b, uint32_t count,
			       unsigned int segs, enum eng_bufs_how how)
{
	struct eng_io *io;
	unsigned int i = 0;
	uint8_t *mem;

	if (!count || count > b->max_io || !segs || segs > ENG_MAX_SEGS)
		return NULL;
	while (b->segs[i] < segs || b->intervals[i] < count)
		i++;
	mem = how == ENG_BUFS_SPARE ? class_spare(&b->payload[i]) :
				      class_get(&b->payload[i]);
	if (!mem && how == ENG_BUFS_WAIT) {
		i = SEG_CLASSES - 1;
		mem = class_get(&b->payload[i]);
	}
	if (!mem)
		return NULL;
	if (b->meta_size > b->pi_size)	/* not another owner's metadata */
		memset(mem, 0, (size_t)count * b->meta_size);
	io = (struct eng_io *)(mem + payload_layout(b, i, NULL, NULL));
	memset(io, 0, sizeof(*io));
	io->priv = mem + round_up(payload_layout(b, i, io, mem) +
				  sizeof(*io), ROOM_ALIGN);
	io->mem = mem;
	io->pool_class = i;
	io->users = 1;
	io->max_count = count;
	io->max_iov = segs;
	return io;
}

static const unsigned int clone_segs[CLONE_CLASSES] = { 16, ENG_MAX_SEGS };

static size_t clone_size(unsigned int i)
{
	return sizeof(struct eng_io) + clone_segs[i] * sizeof(struct iovec);
}

static int init_clones(struct eng_bufs *b, const struct eng_dev *dev)
{
	int err = 0;

	for (unsigned int i = 0; i < CLONE_CLASSES && !err; i++)
		err = class_init(&b->payload[CLONES + i],
				 with_room(dev, clone_size(i), b->max_io,
					   clone_segs[i]),
				 64, i == CLONE_CLASSES - 1);
	return err;
}

struct eng_io *eng_bufs_get_clone(struct eng_bufs *b, unsigned int segs)
{
	unsigned int i = CLONES + (segs > clone_segs[0]);
	struct eng_io *io = class_get(&b->payload[i]);

	if (!io) {
		i = CLONES + CLONE_CLASSES - 1;
		io = class_get(&b->payload[i]);
	}
	memset(io, 0, sizeof(*io));
	io->iov = (struct iovec *)(io + 1);
	io->priv = (uint8_t *)io + round_up(clone_size(i - CLONES),
					    ROOM_ALIGN);
	io->mem = io;
	io->pool_class = i;
	io->users = 1;
	io->max_iov = segs;
	return io;
}

void eng_bufs_put_io(struct eng_bufs *b, struct eng_io *io)
{
	class_put(&b->payload[io->pool_class], io->mem);	/* (3) */
}

/* ---- data ------------------------------------------------------------- */

static int init_data(struct eng_bufs *b, size_t largest)
{
	size_t size = DATA_ALIGN;
	int err;

	do {
		bool last = size >= largest || b->ndata == DATA_CLASSES - 1;

		err = class_init(&b->data[b->ndata++], size, DATA_ALIGN,
				 last);
		if (err || last)
			return err;
		size *= 2;
	} while (true);
}

/* NULL: larger than the largest. */
static struct class *data_class(struct eng_bufs *b, size_t bytes)
{
	for (unsigned int i = 0; i < b->ndata; i++)
		if (bytes <= b->data[i].size)
			return &b->data[i];
	return NULL;
}

void *eng_bufs_get(struct eng_bufs *b, size_t bytes, enum eng_bufs_how how)
{
	struct class *c = data_class(b, bytes);
	void *mem;

	if (c)
		return how == ENG_BUFS_SPARE ? class_spare(c) : class_get(c);
	return eng_bufs_alloc(&mem, DATA_ALIGN, bytes) ? NULL : mem;
}

void eng_bufs_put(struct eng_bufs *b, void *buf, size_t bytes)
{
	struct class *c = data_class(b, bytes);

	if (c && buf)
		class_put(c, buf);
	else
		free(buf);
}

/* ---- all of them ------------------------------------------------------ */

int eng_bufs_create(struct eng_bufs **out, const struct eng_dev *dev)
{
	const struct eng_geometry *geo = &dev->geo;
	struct eng_bufs *b = calloc(1, sizeof(*b));
	int err;

	*out = NULL;
	if (!b)
		return -ENOMEM;
	b->max_io = geo->max_io;
	b->meta_size = geo->profile->meta_size;
	b->pi_size = geo->profile->pi_size;
	b->tags = eng_profile_tags(geo->profile, ENG_TAGS) ? ENG_TAGS : 1;
	err = init_payloads(b, dev);
	if (!err)
		err = init_clones(b, dev);
	if (!err)
		err = init_data(b, (size_t)geo->max_io *
				   geo->profile->interval);
	if (err) {
		eng_bufs_destroy(b);
		return err;
	}
	*out = b;
	return 0;
}

void eng_bufs_destroy(struct eng_bufs *b)
{
	if (!b)
		return;
	for (unsigned int i = 0; i < SEG_CLASSES + CLONE_CLASSES; i++)
		class_destroy(&b->payload[i]);
	for (unsigned int i = 0; i < b->ndata; i++)
		class_destroy(&b->data[i]);
	free(b);
}
