/* SPDX-License-Identifier: GPL-2.0-or-later */
/* library_bed.h - requests as another program makes them, for check_library.c
 * and check_inject.c. */
#ifndef LIBRARY_BED_H
#define LIBRARY_BED_H

#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/io.h"
#include "support/mem_dev.h"

enum { N = 24 };		/* intervals of most requests */

static struct eng_pool *pool;
static struct mem_dev *mem;
static const struct eng_profile *prof;
static uint8_t *data, *other;	/* N intervals each */

static inline void setup(const char *profile)
{
	ck_assert_int_eq(eng_pool_create(&pool, 2), 0);
	mem = mem_open(profile, pool, false);
	prof = mem->dev.geo.profile;
	data = malloc((size_t)N * prof->interval);
	other = malloc((size_t)N * prof->interval);
	fill(data, (size_t)N * prof->interval, 11);
	memset(other, 0, (size_t)N * prof->interval);
}

static inline void teardown(void)
{
	eng_dev_close(&mem->dev);
	eng_pool_destroy(pool);
	free(data);
	free(other);
}

/* Runs for every profile of the table, which name is one of. */
#define for_each_profile(p)						\
	for (unsigned int i_ = 0; ((p) = eng_profile_at(i_)); i_++)

static inline uint8_t *meta_at(uint64_t interval)
{
	return mem->meta + interval * prof->meta_size;
}

static inline uint8_t *tuple_at(uint64_t interval)
{
	return meta_at(interval) + prof->pi_offset;
}

static inline uint16_t tag_of(uint64_t interval)
{
	return (uint16_t)(0x1234 + interval * 0x101);
}

/* A request for the N intervals at start, in three segments. */
static inline struct eng_io *request(enum eng_op op, uint64_t start, uint8_t *buf)
{
	size_t size = prof->interval;
	struct iovec iov[] = {
		{ buf, 5 * size }, { buf + 5 * size, size },
		{ buf + 6 * size, (N - 6) * size },
	};
	struct eng_io *io;

	ck_assert_int_eq(eng_io_prep(&io, &mem->dev, op, start, iov, 3), 0);
	for (uint32_t i = 0; i < N; i++)
		io->tags[i] = tag_of(start + i);
	return io;
}

static inline int rw(enum eng_op op, uint64_t start, uint8_t *buf)
{
	struct eng_io *io = request(op, start, buf);
	int err = eng_io_run(io);

	eng_io_put(io);
	return err;
}

static inline int run_and_put(struct eng_io *io)
{
	int err = eng_io_run(io);

	eng_io_put(io);
	return err;
}

/* Reads all of it; the fault is at interval, and of that kind. */
static inline void ck_read_fault(const char *what, enum eng_fault_kind kind,
			  uint64_t interval)
{
	struct eng_io *io = request(ENG_READ, 0, other);
	int err = eng_io_run(io);

	ck_assert_msg(err == -EBADMSG && io->fault.kind == kind &&
		      io->fault.interval == interval,
		      "%s, %s: error %d, %s at %llu", prof->name, what, err,
		      eng_fault_name(io->fault.kind),
		      (unsigned long long)io->fault.interval);
	eng_io_put(io);
}

/* A string for all tags of a request, with no escape in it. */
static inline uint8_t *tag_string(const struct eng_io *io, unsigned int seed)
{
	size_t size = eng_io_tag_size(io);
	uint8_t *tag = malloc(size);

	fill(tag, size, seed);
	for (size_t i = 0; i < size; i += io->dev->geo.tag_size)
		tag[i] &= 0x7f;
	return tag;
}

/* A thread that makes requests. */
struct client {
	pthread_t	thread;
	unsigned int	seed, done;
	uint64_t	start;		/* of a range of its own */
};

/* What main() returns. */
static inline int library_run(Suite *suite)
{
	SRunner *sr = srunner_create(suite);
	int failed;

	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
