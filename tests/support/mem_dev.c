/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mem_dev.c - see mem_dev.h. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/io.h"
#include "support/mem_dev.h"

void fill(void *buf, size_t len, unsigned int seed)
{
	uint8_t *p = buf;

	while (len--) {
		seed = seed * 1664525 + 1013904223;
		*p++ = (uint8_t)(seed >> 24);
	}
}

/* Every fourth read, and not all for the same time. */
static void mem_delay(struct mem_dev *m)
{
	unsigned int n = __atomic_load_n(&m->submits, __ATOMIC_RELAXED);

	if (m->clock)
		*m->clock += m->takes;
	if (m->delay && n % 4 == 0)
		usleep(n * 2654435761u % m->delay);
}

static void mem_move(struct mem_dev *m, struct eng_io *io)
{
	const struct eng_profile *p = m->dev.geo.profile;
	uint8_t *data = m->data + io->start * p->interval;
	uint8_t *meta = m->meta + io->start * p->meta_size;
	bool write = io->op == ENG_WRITE;

	if (!write)
		mem_delay(m);
	for (unsigned int i = 0; i < io->niov; i++) {
		void *base = io->iov[i].iov_base;
		size_t len = io->iov[i].iov_len;

		memcpy(write ? data : base, write ? base : data, len);
		data += len;
	}
	memcpy(write ? meta : io->tuples, write ? io->tuples : meta,
	       (size_t)io->count * p->meta_size);
}

static void *mem_ring(void *arg)
{
	struct mem_dev *m = arg;
	struct eng_io *io;

	pthread_mutex_lock(&m->lock);
	while (m->head || !m->stop) {
		if (!m->head) {
			pthread_cond_wait(&m->more, &m->lock);
			continue;
		}
		io = m->head;
		m->head = io->next;
		if (!m->head)
			m->tail = &m->head;
		pthread_mutex_unlock(&m->lock);
		mem_move(m, io);
		eng_io_done(io, m->err);
		pthread_mutex_lock(&m->lock);
	}
	pthread_mutex_unlock(&m->lock);
	return NULL;
}

static void mem_submit(struct eng_dev *dev, struct eng_io *io)
{
	struct mem_dev *m = (struct mem_dev *)dev;

	__atomic_add_fetch(&m->submits, 1, __ATOMIC_RELAXED);
	if (!m->threaded) {
		mem_move(m, io);
		eng_io_done(io, m->err);
		return;
	}
	io->next = NULL;
	pthread_mutex_lock(&m->lock);
	*m->tail = io;
	m->tail = &io->next;
	pthread_cond_signal(&m->more);
	pthread_mutex_unlock(&m->lock);
}

static int mem_flush(struct eng_dev *dev)
{
	struct mem_dev *m = (struct mem_dev *)dev;

	m->flushes++;
	return m->flush_err;
}

static int mem_discard(struct eng_dev *dev, uint64_t start, uint64_t count)
{
	struct mem_dev *m = (struct mem_dev *)dev;
	const struct eng_profile *p = m->dev.geo.profile;

	if (!m->discards)
		return -EOPNOTSUPP;
	memset(m->data + start * p->interval, 0xa5, count * p->interval);
	memset(m->meta + start * p->meta_size, 0xa5, count * p->meta_size);
	return 0;
}

static void mem_close(struct eng_dev *dev)
{
	struct mem_dev *m = (struct mem_dev *)dev;

	if (m->threaded) {
		pthread_mutex_lock(&m->lock);
		m->stop = true;
		pthread_cond_signal(&m->more);
		pthread_mutex_unlock(&m->lock);
		pthread_join(m->ring, NULL);
	}
	free(m->data);
	free(m->meta);
	free(m);
}

static const struct eng_dev_ops mem_ops = {
	.submit = mem_submit, .flush = mem_flush, .discard = mem_discard,
	.close = mem_close,
};

struct mem_dev *mem_open(const char *profile, struct eng_pool *pool,
			 bool threaded)
{
	return mem_open_size(profile, pool, threaded, MEM_INTERVALS);
}

struct mem_dev *mem_open_size(const char *profile, struct eng_pool *pool,
			      bool threaded, uint64_t intervals)
{
	struct mem_dev *m = calloc(1, sizeof(*m));
	const struct eng_profile *p = eng_profile_find(profile);

	m->dev.ops = &mem_ops;
	m->dev.geo = (struct eng_geometry){ .profile = p, .align = 1,
		.intervals = intervals, .max_io = MEM_MAX_IO, .backend = "mem" };
	m->dev.pool = pool;
	m->data = calloc(intervals, p->interval);
	m->meta = malloc(intervals * p->meta_size);
	memset(m->meta, 0xff, intervals * p->meta_size);
	m->tail = &m->head;
	pthread_mutex_init(&m->lock, NULL);
	pthread_cond_init(&m->more, NULL);
	m->threaded = threaded;
	if (threaded)
		pthread_create(&m->ring, NULL, mem_ring, m);
	ck_assert_int_eq(eng_dev_init(&m->dev), 0);
	return m;
}
