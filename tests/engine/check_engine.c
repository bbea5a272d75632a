/* SPDX-License-Identifier: GPL-2.0-or-later */
/* check_engine.c - what the integrity engine promises above its backends:
 * requests on a device in memory, which completes either inside submit or on a
 * thread of its own. */
#include <check.h>
#include <endian.h>
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

/* ---- requests on a device in memory ------------------------------------ */

/* Tests run with the pool of threads and with the serial one, on a device
 * that completes in submit and on one that does so elsewhere. */
static struct eng_pool *pool;
static struct mem_dev *mem;
enum { SETUPS = 4 };

static void setup(int i, const char *profile)
{
	if (i & 1)
		ck_assert_int_eq(eng_pool_create_serial(&pool), 0);
	else
		ck_assert_int_eq(eng_pool_create(&pool, 3), 0);
	mem = mem_open(profile, pool, i & 2);
}

static void teardown(void)
{
	eng_dev_close(&mem->dev);
	eng_pool_destroy(pool);
}

static uint16_t tag_of(uint64_t interval)
{
	return (uint16_t)(interval * 37 & 0x7fff);
}

/* A request for count intervals at start, in one segment. */
static struct eng_io *io_for(enum eng_op op, uint64_t start, uint32_t count,
			     void *data)
{
	struct eng_io *io = eng_io_get(&mem->dev, count, 1);

	ck_assert_ptr_nonnull(io);
	ck_assert_int_eq(eng_io_add(io, data, (size_t)count *
				    mem->dev.geo.profile->interval), 0);
	io->op = op;
	io->start = start;
	for (uint32_t i = 0; i < count; i++)
		io->tags[i] = tag_of(start + i);
	return io;
}

static int rw(enum eng_op op, uint64_t start, uint32_t count, void *data)
{
	struct eng_io *io = io_for(op, start, count, data);
	int err = eng_io_run(io);

	eng_io_put(io);
	return err;
}

/* ---- requests --------------------------------------------------------- */

START_TEST(write_then_read)
{
	static uint8_t out[512 * 64], in[512 * 64];

	setup(_i, "512+8");
	fill(out, sizeof(out), 5);
	ck_assert_int_eq(rw(ENG_WRITE, 100, 64, out), 0);
	ck_assert_int_eq(rw(ENG_READ, 100, 64, in), 0);
	ck_assert_mem_eq(in, out, sizeof(out));
	teardown();
}
END_TEST

/* On a device that stores tuples itself: what is written carries its tags,
 * and what is read comes as it is. */
START_TEST(a_bypass_verifies_nothing)
{
	static uint8_t out[512 * 8], in[512 * 8];
	uint16_t tags[8];

	setup(_i, "512+8");
	fill(out, sizeof(out), 9);
	for (int i = 0; i < 8; i++)
		tags[i] = tag_of(40 + i);
	ck_assert_int_eq(eng_dev_bypass(&mem->dev, ENG_WRITE, 40, out,
					sizeof(out), tags), 0);
	ck_assert_int_eq(rw(ENG_READ, 40, 8, in), 0);
	ck_assert_mem_eq(in, out, sizeof(out));
	mem->data[40 * 512] ^= 1;
	ck_assert_int_eq(rw(ENG_READ, 40, 8, in), -EBADMSG);
	ck_assert_int_eq(eng_dev_bypass(&mem->dev, ENG_READ, 40, in,
					sizeof(in), NULL), 0);
	out[0] ^= 1;
	ck_assert_mem_eq(in, out, sizeof(out));
	teardown();
}
END_TEST

/* Segments of different lengths hold one run of intervals, and a fault in a
 * later one has its number on the device. */
START_TEST(segments_are_one_run)
{
	static const size_t cut[] = { 0, 1, 4, 11, 12, 40 };
	static uint8_t out[512 * 40], in[512 * 40];
	struct eng_io *io;

	setup(_i, "512+8");
	fill(out, sizeof(out), 6);
	io = eng_io_get(&mem->dev, 40, 5);
	for (int pass = 0; pass < 2; pass++) {
		io->niov = io->count = 0;
		for (int i = 0; i < 5; i++)
			ck_assert_int_eq(eng_io_add(io, (pass ? in : out) +
						    cut[i] * 512,
						    (cut[i + 1] - cut[i]) *
						    512), 0);
		for (uint16_t i = 0; i < 40; i++)
			io->tags[i] = i;
		io->op = pass ? ENG_READ : ENG_WRITE;
		io->start = 777;
		ck_assert_int_eq(eng_io_run(io), 0);
	}
	ck_assert_mem_eq(in, out, sizeof(out));
	for (unsigned int i = 0; i < 40; i++) {
		mem->data[(777 + i) * 512 + 13] ^= 1;
		ck_assert_int_eq(eng_io_run(io), -EBADMSG);
		ck_assert_int_eq(io->fault.kind, ENG_FAULT_GUARD);
		ck_assert_uint_eq(io->fault.interval, 777 + i);
		mem->data[(777 + i) * 512 + 13] ^= 1;
	}
	eng_io_put(io);
	teardown();
}
END_TEST

/* A read that expects other tags fails, and says what it expected. */
START_TEST(tags_are_compared)
{
	static uint8_t buf[512 * 8];
	struct eng_io *io;

	setup(_i, "512+8");
	ck_assert_int_eq(rw(ENG_WRITE, 8, 8, buf), 0);
	io = io_for(ENG_READ, 8, 8, buf);
	io->tags[5] ^= 1;
	ck_assert_int_eq(eng_io_run(io), -EBADMSG);
	ck_assert_int_eq(io->fault.kind, ENG_FAULT_APP);
	ck_assert_uint_eq(io->fault.interval, 13);
	ck_assert_uint_eq(io->fault.expected, tag_of(13) ^ 1);
	ck_assert_uint_eq(io->fault.actual, tag_of(13));
	io->tags[5] ^= 1;
	ck_assert_int_eq(eng_io_run(io), 0);
	ck_assert_int_eq(io->fault.kind, ENG_FAULT_NONE);
	eng_io_put(io);
	teardown();
}
END_TEST

/* TAGS_OUT reports tags, and still checks all the rest. */
START_TEST(tags_out_reports)
{
	static uint8_t buf[512 * 8];
	struct eng_io *io;

	setup(_i, "512+8");
	ck_assert_int_eq(rw(ENG_WRITE, 8, 8, buf), 0);
	io = io_for(ENG_READ, 8, 8, buf);
	io->flags = ENG_IO_TAGS_OUT;
	memset(io->tags, 0xee, 8 * sizeof(*io->tags));
	ck_assert_int_eq(eng_io_run(io), 0);
	for (unsigned int i = 0; i < 8; i++)
		ck_assert_uint_eq(io->tags[i], tag_of(8 + i));
	io->start = 9;		/* the last one was never written */
	ck_assert_int_eq(eng_io_run(io), -EBADMSG);
	ck_assert_int_eq(io->fault.kind, ENG_FAULT_ESCAPE);
	ck_assert_uint_eq(io->fault.interval, 16);
	mem->data[512 * 10] ^= 4;
	ck_assert_int_eq(eng_io_run(io), -EBADMSG);
	ck_assert_int_eq(io->fault.kind, ENG_FAULT_GUARD);
	ck_assert_uint_eq(io->fault.interval, 10);
	eng_io_put(io);
	teardown();
}
END_TEST

/* A write whose tag would be an escape does not reach the device. */
START_TEST(escape_is_never_written)
{
	static const char *const profiles[] = { "512+8", "512+8:type3" };
	static uint8_t buf[512 * 8];
	struct eng_io *io;

	for (int p = 0; p < 2; p++) {
		setup(_i, profiles[p]);
		io = io_for(ENG_WRITE, 0, 8, buf);
		io->tags[7] = 0xffff;
		ck_assert_int_eq(eng_io_run(io), -EINVAL);
		ck_assert_uint_eq(mem->submits, 0);
		eng_io_put(io);
		teardown();
	}
}
END_TEST

START_TEST(bad_requests_do_not_reach_the_device)
{
	static uint8_t buf[512 * 8];
	struct eng_io *io;

	setup(_i, "512+8");
	ck_assert_int_eq(rw(ENG_WRITE, MEM_INTERVALS - 7, 8, buf), -EINVAL);
	ck_assert_int_eq(rw(ENG_READ, MEM_INTERVALS, 1, buf), -EINVAL);
	ck_assert_int_eq(rw(ENG_READ, UINT64_MAX, 2, buf), -EINVAL);
	io = io_for(ENG_READ, 0, 8, buf);
	io->flags = 1u << 31;
	ck_assert_int_eq(eng_io_run(io), -EINVAL);
	io->flags = ENG_IO_TAGS_OUT;
	io->op = ENG_WRITE;
	ck_assert_int_eq(eng_io_run(io), -EINVAL);
	eng_io_put(io);
	io = eng_io_get(&mem->dev, 8, 1);
	ck_assert_int_eq(eng_io_run(io), -EINVAL);
	eng_io_put(io);
	ck_assert_uint_eq(mem->submits, 0);
	ck_assert_int_eq(rw(ENG_WRITE, MEM_INTERVALS - 8, 8, buf), 0);
	teardown();
}
END_TEST

START_TEST(full_payload_says_so)
{
	static uint8_t buf[512 * 8];
	struct eng_io *io;

	setup(_i, "512+8");
	io = eng_io_get(&mem->dev, 4, 2);
	ck_assert_int_eq(eng_io_add(io, buf, 5 * 512), -ENOSPC);
	ck_assert_int_eq(eng_io_add(io, buf, 512), 0);
	ck_assert_int_eq(eng_io_add(io, buf, 0), -EINVAL);
	ck_assert_int_eq(eng_io_add(io, buf, 513), -EINVAL);
	ck_assert_int_eq(eng_io_add(io, buf, 4 * 512), -ENOSPC);
	ck_assert_int_eq(eng_io_add(io, buf, 512), 0);
	ck_assert_int_eq(eng_io_add(io, buf, 512), -ENOSPC);
	ck_assert_uint_eq(io->count, 2);
	mem->dev.geo.align = 4;
	io->niov = io->count = 0;
	ck_assert_int_eq(eng_io_add(io, buf + 2, 512), -EINVAL);
	eng_io_put(io);
	ck_assert_ptr_null(eng_io_get(&mem->dev, 0, 1));
	ck_assert_ptr_null(eng_io_get(&mem->dev, 1, 0));
	ck_assert_ptr_null(eng_io_get(&mem->dev, MEM_MAX_IO + 1, 1));
	ck_assert_ptr_null(eng_io_get(&mem->dev, 1, ENG_MAX_SEGS + 1));
	teardown();
}
END_TEST

/* After one failed flush there is no good one, and the device isn't asked. */
START_TEST(failed_flush_is_for_ever)
{
	setup(_i, "512+8");
	ck_assert_int_eq(eng_dev_flush(&mem->dev), 0);
	mem->flush_err = -EIO;
	ck_assert_int_eq(eng_dev_flush(&mem->dev), -EIO);
	mem->flush_err = 0;
	ck_assert_int_eq(eng_dev_flush(&mem->dev), -EIO);
	ck_assert_uint_eq(mem->flushes, 2);
	teardown();
}
END_TEST

/* What a backend has not got is answered for it. */
START_TEST(optional_operations)
{
	char buf[16];

	setup(_i, "512+8");
	ck_assert_int_eq(eng_dev_discard(&mem->dev, 0, 8), -EOPNOTSUPP);
	ck_assert_int_eq(eng_dev_discard(&mem->dev, MEM_INTERVALS, 1), -EINVAL);
	ck_assert_int_eq(eng_dev_discard(&mem->dev, 2, UINT64_MAX), -EINVAL);
	eng_dev_drop_caches(&mem->dev);
	ck_assert_int_eq(eng_dev_stats(&mem->dev, buf, sizeof(buf)), 2);
	ck_assert_str_eq(buf, "{}");
	teardown();
	eng_dev_close(NULL);
	eng_pool_destroy(NULL);
}
END_TEST

/* ---- who runs what ---------------------------------------------------- */

struct seen {
	pthread_t	thread;
	int		err;
	enum eng_fault_kind fault;
	sem_t		ended;
};

static void note_end(struct eng_io *io)
{
	struct seen *seen = io->arg;

	seen->thread = pthread_self();
	seen->err = io->err;
	seen->fault = io->fault.kind;
	eng_io_put(io);		/* end() may */
	sem_post(&seen->ended);
}

static void see(struct eng_io *io, struct seen *seen)
{
	sem_init(&seen->ended, 0, 0);
	io->end = note_end;
	io->arg = seen;
	eng_io_submit(io);
	while (sem_wait(&seen->ended))
		;
}

/* A read is verified in its submitter if it completed there, and by a worker,
 * not by who reaps completions, if not. */
START_TEST(verification_is_off_the_ring)
{
	static uint8_t buf[512 * 8];
	struct seen seen;

	setup(_i, "512+8");
	ck_assert_int_eq(rw(ENG_WRITE, 0, 8, buf), 0);
	see(io_for(ENG_READ, 0, 8, buf), &seen);
	ck_assert_int_eq(seen.err, 0);
	if (!mem->threaded)
		ck_assert(pthread_equal(seen.thread, pthread_self()));
	else if (!(_i & 1))
		ck_assert(!pthread_equal(seen.thread, mem->ring) &&
			  !pthread_equal(seen.thread, pthread_self()));
	see(io_for(ENG_READ, 8, 8, buf), &seen);
	ck_assert_int_eq(seen.err, -EBADMSG);
	see(io_for(ENG_WRITE, 0, 8, buf), &seen);
	ck_assert_int_eq(seen.err, 0);
	if (mem->threaded)
		ck_assert(pthread_equal(seen.thread, mem->ring));
	teardown();
}
END_TEST

/* A failed transfer's error is passed on; what it left is not looked at. */
START_TEST(error_skips_verification)
{
	static uint8_t buf[512 * 8];
	struct seen seen;

	setup(_i, "512+8");
	mem->err = -EILSEQ;
	for (int op = ENG_READ; op <= ENG_WRITE; op++) {
		see(io_for(op, 0, 8, buf), &seen);
		ck_assert_int_eq(seen.err, -EILSEQ);
		ck_assert_int_eq(seen.fault, ENG_FAULT_NONE);
		ck_assert_int_eq(rw(op, 0, 8, buf), -EILSEQ);
	}
	teardown();
}
END_TEST

struct chain {
	unsigned int	left;
	uint8_t		buf[512];
	sem_t		done;
};

static void chain_end(struct eng_io *io)
{
	struct chain *chain = io->arg;

	ck_assert_int_eq(io->err, 0);
	if (!chain->left--) {
		eng_io_put(io);
		sem_post(&chain->done);
		return;
	}
	io->op = io->op == ENG_READ ? ENG_WRITE : ENG_READ;
	eng_io_submit(io);
}

/* end() may submit, the same request even. */
START_TEST(end_may_submit)
{
	struct chain chain = { .left = 200 };
	struct eng_io *io;

	setup(_i, "512+8");
	sem_init(&chain.done, 0, 0);
	io = io_for(ENG_WRITE, 7, 1, chain.buf);
	io->end = chain_end;
	io->arg = &chain;
	eng_io_submit(io);
	while (sem_wait(&chain.done))
		;
	teardown();
}
END_TEST

enum { QUEUED = 50 };

struct order {
	unsigned int	n;		/* ended so far */
	uint64_t	at[QUEUED];
};

static void order_end(struct eng_io *io)
{
	struct order *o = io->arg;

	o->at[o->n++] = io->start;
	if (o->n == 1)
		usleep(20000);	/* let the others queue up */
	eng_io_put(io);
}

static void order_submit(struct order *o)
{
	static uint8_t buf[512];

	for (unsigned int i = 0; i < QUEUED; i++) {
		struct eng_io *io = io_for(ENG_READ, i * 3 % QUEUED, 1, buf);

		io->end = order_end;
		io->arg = o;
		eng_io_submit(io);
	}
}

/* Work is begun in the order in which it was queued; and close waits for all
 * of it. */
START_TEST(pool_is_first_in_first_out)
{
	struct order o = { .n = 0 };

	if (_i)
		ck_assert_int_eq(eng_pool_create_serial(&pool), 0);
	else
		ck_assert_int_eq(eng_pool_create(&pool, 1), 0);
	mem = mem_open("512+8", pool, true);
	order_submit(&o);
	eng_dev_close(&mem->dev);
	ck_assert_uint_eq(o.n, QUEUED);
	for (unsigned int i = 0; i < QUEUED; i++)
		ck_assert_uint_eq(o.at[i], i * 3 % QUEUED);
	eng_pool_destroy(pool);
}
END_TEST

/* ---- many at once ----------------------------------------------------- */

enum { PRODUCERS = 4, ROUNDS = 300, AT_ONCE = 8, PIECE = 16 };

struct producer {
	pthread_t	thread;
	uint64_t	start;
	sem_t		ended;
	unsigned int	ends, bad, wrong;
};

static void producer_end(struct eng_io *io)
{
	struct producer *me = io->arg;
	void *data = io->iov[0].iov_base;
	bool must_fail = io->op == ENG_READ && io->tags[3] != tag_of(io->start +
								     3);

	__atomic_add_fetch(&me->ends, 1, __ATOMIC_RELAXED);
	if (io->err == -EBADMSG)
		__atomic_add_fetch(&me->bad, 1, __ATOMIC_RELAXED);
	if (must_fail ? io->err != -EBADMSG ||
			io->fault.interval != io->start + 3 : io->err)
		__atomic_add_fetch(&me->wrong, 1, __ATOMIC_RELAXED);
	eng_buf_put(io->dev, data, PIECE * 512);
	eng_io_put(io);
	sem_post(&me->ended);
}

static void produce_one(struct producer *me, enum eng_op op, uint64_t piece,
			bool spoil)
{
	uint8_t *buf = eng_buf_get(&mem->dev, PIECE * 512);
	struct eng_io *io;

	memset(buf, (int)piece, PIECE * 512);
	io = io_for(op, me->start + piece * PIECE, PIECE, buf);
	io->tags[3] ^= spoil;
	io->end = producer_end;
	io->arg = me;
	eng_io_submit(io);
}

static void *produce(void *arg)
{
	struct producer *me = arg;

	for (unsigned int round = 0; round < ROUNDS; round++) {
		for (unsigned int i = 0; i < AT_ONCE; i++)
			produce_one(me, round ? ENG_READ : ENG_WRITE, i,
				    round && (round + i) % 7 == 0);
		for (unsigned int i = 0; i < AT_ONCE; i++)
			while (sem_wait(&me->ended))
				;
	}
	return NULL;
}

/* Requests of several threads end once each, each with its own result. */
START_TEST(producers_do_not_meet)
{
	struct producer p[PRODUCERS] = { 0 };

	setup(_i, "512+8");
	for (unsigned int i = 0; i < PRODUCERS; i++) {
		p[i].start = i * AT_ONCE * PIECE;
		sem_init(&p[i].ended, 0, 0);
		pthread_create(&p[i].thread, NULL, produce, &p[i]);
	}
	for (unsigned int i = 0; i < PRODUCERS; i++) {
		pthread_join(p[i].thread, NULL);
		ck_assert_uint_eq(p[i].ends, ROUNDS * AT_ONCE);
		ck_assert_uint_eq(p[i].wrong, 0);
		ck_assert_uint_gt(p[i].bad, 0);
	}
	teardown();
}
END_TEST

/* ---- memory ----------------------------------------------------------- */

static int no_memory(void **out, size_t align, size_t bytes)
{
	(void)align;
	(void)bytes;
	*out = NULL;
	return ENOMEM;
}

/* What was put back is used again, by its class only. */
START_TEST(classes_recycle)
{
	struct eng_io *small, *large;
	void *buf;

	setup(0, "512+8");
	small = eng_io_get(&mem->dev, 8, 1);
	large = eng_io_get(&mem->dev, 8, 100);
	eng_io_put(small);
	eng_io_put(large);
	ck_assert_ptr_eq(eng_io_get(&mem->dev, 5, 1), small);
	ck_assert_ptr_eq(eng_io_get(&mem->dev, 1000, 65), large);
	eng_io_put(small);
	eng_io_put(large);

	buf = eng_buf_get(&mem->dev, 5000);
	ck_assert_uint_eq((uintptr_t)buf % 4096, 0);
	memset(buf, 1, 8192);
	eng_buf_put(&mem->dev, buf, 5000);
	ck_assert_ptr_eq(eng_buf_get(&mem->dev, 8192), buf);
	eng_buf_put(&mem->dev, buf, 8192);

	buf = eng_buf_get(&mem->dev, MEM_MAX_IO * 512 + 1);
	ck_assert_uint_eq((uintptr_t)buf % 4096, 0);
	memset(buf, 1, MEM_MAX_IO * 512 + 1);
	eng_buf_put(&mem->dev, buf, MEM_MAX_IO * 512 + 1);
	eng_buf_put(&mem->dev, NULL, 1);
	teardown();
}
END_TEST

/* A payload starts empty, whoever had it before, and has all its room. */
START_TEST(payload_starts_empty)
{
	static uint8_t buf[512];
	uint8_t dirty = 0;
	struct eng_io *io;

	setup(0, "4096+64");
	for (unsigned int pass = 0; pass < 2; pass++) {
		for (unsigned int segs = 1; segs <= ENG_MAX_SEGS; segs *= 2) {
			uint32_t count = segs * 2;

			io = eng_io_get(&mem->dev, count, segs);
			ck_assert(!io->niov && !io->count && !io->flags &&
				  !io->end && !io->start && !io->err);
			for (uint32_t i = 0; i < count * 64; i++)
				dirty |= io->tuples[i];
			ck_assert_uint_eq(dirty, 0);
			memset(io->tuples, 0xa5, (size_t)count * 64);
			memset(io->tags, 0xa5, count * sizeof(*io->tags));
			for (unsigned int i = 0; i < segs; i++)
				ck_assert_int_eq(eng_io_add(io, buf, 4096), 0);
			eng_io_put(io);
		}
	}
	teardown();
}
END_TEST

static sem_t got;

static void *get_largest(void *arg)
{
	void *mem_[2];

	(void)arg;
	mem_[0] = eng_io_get(&mem->dev, MEM_MAX_IO, 1);
	mem_[1] = eng_buf_get(&mem->dev, MEM_MAX_IO * 512);
	sem_post(&got);
	eng_io_put(mem_[0]);
	eng_buf_put(&mem->dev, mem_[1], MEM_MAX_IO * 512);
	return NULL;
}

/* When there is no memory, the largest size has one of each, and who comes
 * next waits for it instead of failing; but for whoever must not have it. */
START_TEST(largest_class_has_a_reserve)
{
	struct eng_io *io;
	pthread_t other;
	void *buf;

	setup(0, "512+8");
	sem_init(&got, 0, 0);
	eng_bufs_alloc = no_memory;
	ck_assert_ptr_null(eng_io_get(&mem->dev, 8, 1));
	ck_assert_ptr_null(eng_buf_get(&mem->dev, 4096));
	ck_assert_ptr_null(eng_buf_get(&mem->dev, MEM_MAX_IO * 512 + 1));
	ck_assert_ptr_null(eng_io_get_spare(&mem->dev, MEM_MAX_IO, 1));
	ck_assert_ptr_null(eng_buf_get_spare(&mem->dev, MEM_MAX_IO * 512));
	io = eng_io_get(&mem->dev, MEM_MAX_IO, 1);
	buf = eng_buf_get(&mem->dev, MEM_MAX_IO * 512);
	ck_assert(io && buf);
	pthread_create(&other, NULL, get_largest, NULL);
	usleep(20000);
	ck_assert_int_eq(sem_trywait(&got), -1);
	eng_io_put(io);
	usleep(10000);
	ck_assert_int_eq(sem_trywait(&got), -1);
	eng_buf_put(&mem->dev, buf, MEM_MAX_IO * 512);
	pthread_join(other, NULL);
	ck_assert_int_eq(sem_trywait(&got), 0);
	eng_bufs_alloc = posix_memalign;
	teardown();
}
END_TEST

/* No memory for a device is an error, and nothing is left of it. */
START_TEST(init_may_fail)
{
	static const struct eng_dev_ops ops;
	struct eng_dev dev = { .ops = &ops, .geo = {
		.profile = eng_profile_find("512+8"), .max_io = MEM_MAX_IO } };

	eng_bufs_alloc = no_memory;
	ck_assert_int_eq(eng_dev_init(&dev), -ENOMEM);
	ck_assert_ptr_null(dev.bufs);
	eng_bufs_alloc = posix_memalign;
}
END_TEST

/* ---- messages --------------------------------------------------------- */

static char logged[2048];
static int logged_level;

static void catch_log(int level, const char *line)
{
	logged_level = level;
	snprintf(logged, sizeof(logged), "%s", line);
}

START_TEST(log_is_one_line)
{
	eng_log_to(catch_log);
	errno = EDOM;
	eng_log(4, "two\nlines, %d", 42);
	ck_assert_int_eq(errno, EDOM);
	ck_assert_int_eq(logged_level, 4);
	ck_assert_str_eq(logged, "two\\012lines, 42");
	eng_log(3, "%3000s", "long");
	ck_assert_uint_lt(strlen(logged), 1024);
	eng_log_to(NULL);
	ck_assert_str_eq(eng_fault_name(ENG_FAULT_ESCAPE), "escape");
	ck_assert_str_eq(eng_fault_name((enum eng_fault_kind)99), "?");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("engine");
	TCase *tc;
	SRunner *sr;
	int failed;

	tc = tcase_create("parts");
	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, classes_recycle);
	tcase_add_test(tc, payload_starts_empty);
	tcase_add_test(tc, largest_class_has_a_reserve);
	tcase_add_test(tc, init_may_fail);
	tcase_add_test(tc, log_is_one_line);
	suite_add_tcase(suite, tc);
	tc = tcase_create("io");
	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, write_then_read, 0, SETUPS);
	tcase_add_loop_test(tc, a_bypass_verifies_nothing, 0, SETUPS);
	tcase_add_loop_test(tc, segments_are_one_run, 0, SETUPS);
	tcase_add_loop_test(tc, tags_are_compared, 0, SETUPS);
	tcase_add_loop_test(tc, tags_out_reports, 0, SETUPS);
	tcase_add_loop_test(tc, escape_is_never_written, 0, SETUPS);
	tcase_add_loop_test(tc, bad_requests_do_not_reach_the_device, 0,
			    SETUPS);
	tcase_add_loop_test(tc, error_skips_verification, 0, SETUPS);
	tcase_add_loop_test(tc, full_payload_says_so, 0, SETUPS);
	tcase_add_loop_test(tc, failed_flush_is_for_ever, 0, SETUPS);
	tcase_add_loop_test(tc, optional_operations, 0, SETUPS);
	tcase_add_loop_test(tc, verification_is_off_the_ring, 0, SETUPS);
	tcase_add_loop_test(tc, end_may_submit, 0, SETUPS);
	tcase_add_loop_test(tc, pool_is_first_in_first_out, 0, 2);
	tcase_add_loop_test(tc, producers_do_not_meet, 0, SETUPS);
	suite_add_tcase(suite, tc);
	sr = srunner_create(suite);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
