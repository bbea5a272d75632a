/* SPDX-License-Identifier: GPL-2.0-or-later */
/* check_mirror.c - what one device over others promises: with one leg in order
 * never an error and never a wrong byte; what was bad is put right; and
 * nothing is durable that a leg misses without the others knowing. */
#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "mirror/mirror.h"
#include "support/mem_dev.h"

enum { LEGS = 3, COUNT = 64, BYTES = COUNT * 512, CLOCK = 4 };

static struct eng_pool *pool;
static struct mem_dev *mem[LEGS];
static struct eng_dev *dev;
static unsigned int told;		/* to the owner: legs */
static int tell_err;
static uint64_t clock_now;		/* where a test makes time itself */
static uint8_t out[BYTES], in[BYTES];

static void quiet(int level, const char *line)
{
	(void)level;
	(void)line;
}

static uint64_t now(void)
{
	return clock_now;
}

static int lost(void *arg, unsigned int legs)
{
	(void)arg;
	told |= legs;
	return tell_err;
}

/* _i: on threads of their own, and the pool's, or all in one.  With CLOCK only
 * reads take time, and as much as they are told to. */
static void setup(int i, unsigned int n, unsigned int behind,
		  const char *profile)
{
	struct eng_mirror_how how = { .n = n, .behind = behind };
	const struct eng_mirror_owner owner = { .lost = lost };

	eng_log_to(quiet);
	if (i & 1)
		ck_assert_int_eq(eng_pool_create_serial(&pool), 0);
	else
		ck_assert_int_eq(eng_pool_create(&pool, 2), 0);
	for (unsigned int k = 0; k < n; k++) {
		mem[k] = mem_open(profile, pool, i & 2);
		how.leg[k] = &mem[k]->dev;
		how.name[k] = k ? k > 1 ? "third" : "second" : "first";
	}
	how.pool = pool;
	how.now = i & CLOCK ? now : NULL;
	ck_assert_int_eq(eng_mirror_create(&dev, &how), 0);
	eng_mirror_own(dev, &owner);
	told = 0;
	tell_err = 0;
	fill(out, sizeof(out), (unsigned int)i + 7);
}

static void teardown(void)
{
	eng_dev_close(dev);
	eng_pool_destroy(pool);
}

static struct eng_io *io_for(enum eng_op op, uint64_t start, uint32_t count,
			     void *data)
{
	struct eng_io *io = eng_io_get(dev, count, 1);

	ck_assert_ptr_nonnull(io);
	ck_assert_int_eq(eng_io_add(io, data, (size_t)count *
				    eng_dev_geometry(dev)->profile->interval),
			 0);
	io->op = op;
	io->start = start;
	for (uint32_t i = 0; i < count; i++)
		io->tags[i] = (uint16_t)((start + i) * 37 & 0x7fff);
	return io;
}

static int rw_flags(enum eng_op op, unsigned int flags, unsigned int leg,
		    uint32_t *healed)
{
	struct eng_io *io = io_for(op, 100, COUNT, op == ENG_READ ? in : out);
	int err;

	io->flags = flags;
	io->leg = leg;
	memset(in, 0xee, sizeof(in));
	err = eng_io_run(io);
	if (healed)
		*healed = io->healed;
	if (!err && op == ENG_READ)
		ck_assert_mem_eq(in, out, sizeof(out));
	eng_io_put(io);
	return err;
}

static int rw(enum eng_op op)
{
	return rw_flags(op, 0, 0, NULL);
}

/* One leg's own answer. */
static int read_leg(unsigned int i)
{
	return rw_flags(ENG_READ, 0, i + 1, NULL);
}

static uint8_t *data_at(unsigned int leg, uint64_t interval)
{
	return mem[leg]->data + interval * 512;
}

START_TEST(a_write_is_on_every_leg)
{
	setup(_i, LEGS, 0, "512+8");
	ck_assert_int_eq(rw(ENG_WRITE), 0);
	ck_assert_int_eq(rw(ENG_READ), 0);
	for (unsigned int i = 0; i < LEGS; i++)
		ck_assert_int_eq(read_leg(i), 0);
	ck_assert_int_eq(eng_dev_flush(dev), 0);
	for (unsigned int i = 0; i < LEGS; i++)
		ck_assert_uint_eq(mem[i]->flushes, 1);
	teardown();
}
END_TEST

/* What is spoilt on one leg, and how: 0 data, 1 guard, 2 tag, 3 reference,
 * 4 all metadata, 5 another write's data and tuples. */
static void spoil(unsigned int leg, uint64_t interval, int how)
{
	uint8_t *meta = mem[leg]->meta + interval * 8;

	if (how == 0)
		*data_at(leg, interval) ^= 0x10;
	else if (how < 4)
		meta[how == 1 ? 0 : how == 2 ? 2 : 7] ^= 1;
	else if (how == 4)
		memset(meta, 0xff, 8);
	else
		meta[3] ^= 0x55, meta[2] ^= 0x2a;
}

START_TEST(what_one_leg_has_wrong_is_healed)
{
	setup(_i, 2, 0, "512+8");
	for (int how = 0; how < 6; how++) {
		for (unsigned int leg = 0; leg < 2; leg++) {
			ck_assert_int_eq(rw(ENG_WRITE), 0);
			spoil(leg, 103, how);
			spoil(leg, 140, how);
			ck_assert_int_ne(read_leg(leg), 0);
			/* Within so many reads it is that leg's turn. */
			for (int k = 0; k < 4; k++)
				ck_assert_msg(!rw_flags(ENG_READ, ENG_IO_LEGS,
							0, NULL),
					      "fault %d, leg %u", how, leg);
			ck_assert_msg(!read_leg(leg), "fault %d, leg %u is "
				      "not healed", how, leg);
			ck_assert_int_eq(read_leg(!leg), 0);
		}
	}
	ck_assert_uint_eq(told, 0);
	teardown();
}
END_TEST

START_TEST(reads_alone_heal_as_well)
{
	uint32_t healed, sum = 0;

	setup(_i, 2, 0, "512+8");
	ck_assert_int_eq(rw(ENG_WRITE), 0);
	spoil(0, 110, 0);
	spoil(1, 150, 2);
	/* In one request, both are wrong. */
	for (int k = 0; k < 4; k++) {
		ck_assert_int_eq(rw_flags(ENG_READ, 0, 0, &healed), 0);
		sum += healed;
	}
	ck_assert_uint_eq(sum, 16);	/* two groups of eight */
	ck_assert_int_eq(read_leg(0), 0);
	ck_assert_int_eq(read_leg(1), 0);
	teardown();
}
END_TEST

/* Where both have it wrong, nobody is told anything. */
START_TEST(rot_on_both_is_an_error_only_in_one_place)
{
	setup(_i, 2, 0, "512+8");
	ck_assert_int_eq(rw(ENG_WRITE), 0);
	spoil(0, 120, 0);
	spoil(1, 120, 1);
	ck_assert_int_eq(rw(ENG_READ), -EBADMSG);
	ck_assert_int_eq(rw_flags(ENG_READ, ENG_IO_LEGS, 0, NULL), -EBADMSG);
	/* Nothing was made of it. */
	ck_assert_int_eq(read_leg(0), -EBADMSG);
	ck_assert_int_eq(read_leg(1), -EBADMSG);
	ck_assert_int_eq(rw(ENG_WRITE), 0);
	ck_assert_int_eq(rw(ENG_READ), 0);
	teardown();
}
END_TEST

START_TEST(a_leg_that_fails_reads_is_no_error)
{
	setup(_i, 2, 0, "512+8");
	ck_assert_int_eq(rw(ENG_WRITE), 0);
	mem[0]->err = -EIO;	/* writes, too: the repair fails */
	for (int k = 0; k < 8; k++)
		ck_assert_int_eq(rw(ENG_READ), 0);
	ck_assert_int_eq(eng_mirror_state(dev, 1), ENG_LEG_CURRENT);
	ck_assert_int_eq(eng_mirror_state(dev, 0), ENG_LEG_LOST);
	ck_assert_int_eq(eng_dev_flush(dev), 0);
	ck_assert_uint_eq(told, 1);
	teardown();
}
END_TEST

START_TEST(a_failed_write_is_told_before_a_flush_succeeds)
{
	setup(_i, LEGS, 0, "512+8");
	mem[1]->err = -EIO;
	ck_assert_int_eq(rw(ENG_WRITE), 0);
	ck_assert_uint_eq(told, 0);
	tell_err = -EROFS;
	ck_assert_int_eq(eng_dev_flush(dev), -EROFS);
	ck_assert_uint_eq(told, 2);
	mem[1]->err = 0;
	ck_assert_int_eq(rw(ENG_READ), 0);
	teardown();
}
END_TEST

START_TEST(a_failed_flush_loses_the_leg)
{
	setup(_i, 2, 0, "512+8");
	ck_assert_int_eq(rw(ENG_WRITE), 0);
	mem[1]->flush_err = -EIO;
	ck_assert_int_eq(eng_dev_flush(dev), 0);
	ck_assert_uint_eq(told, 2);
	ck_assert_int_eq(eng_mirror_state(dev, 1), ENG_LEG_LOST);
	mem[0]->flush_err = -EIO;	/* the last one is not given up */
	ck_assert_int_eq(eng_dev_flush(dev), -EIO);
	ck_assert_int_eq(eng_mirror_state(dev, 0), ENG_LEG_CURRENT);
	teardown();
}
END_TEST

START_TEST(where_all_fail_nothing_is_lost)
{
	setup(_i, 2, 0, "512+8");
	mem[0]->err = mem[1]->err = -EIO;
	ck_assert_int_eq(rw(ENG_WRITE), -EIO);
	ck_assert_int_eq(eng_mirror_state(dev, 0), ENG_LEG_CURRENT);
	ck_assert_int_eq(eng_mirror_state(dev, 1), ENG_LEG_CURRENT);
	mem[0]->err = mem[1]->err = 0;
	ck_assert_int_eq(rw(ENG_WRITE), 0);
	ck_assert_int_eq(eng_dev_flush(dev), 0);
	ck_assert_uint_eq(told, 0);
	teardown();
}
END_TEST

/* It is written, but nobody takes its word. */
START_TEST(a_leg_behind_is_given_what_it_misses)
{
	struct eng_leg_count c;

	setup(_i, 2, 2, "512+8");
	mem[1]->err = -EIO;
	ck_assert_int_eq(eng_dev_flush(dev), 0);
	mem[1]->err = 0;
	ck_assert_int_eq(rw(ENG_WRITE), 0);
	for (uint64_t k = 100; k < 100 + COUNT; k++)
		spoil(1, k, 5);
	for (int k = 0; k < 8; k++)
		ck_assert_int_eq(rw(ENG_READ), 0);
	ck_assert_int_eq(read_leg(1), -EBADMSG);
	ck_assert_int_eq(rw_flags(ENG_READ, ENG_IO_LEGS, 0, NULL), 0);
	eng_mirror_count(dev, 1, &c);
	ck_assert_uint_eq(c.copied, COUNT);
	ck_assert_uint_eq(c.healed, 0);
	eng_mirror_catch_up(dev, 1);
	ck_assert_int_eq(eng_mirror_state(dev, 1), ENG_LEG_CURRENT);
	ck_assert_int_eq(read_leg(1), 0);
	teardown();
}
END_TEST

/* One write behind the other, on one leg each: neither can be lost any more,
 * and what the last one has not is an error. */
START_TEST(the_last_leg_answers_for_itself)
{
	setup(_i, 2, 2, "512+8");
	mem[0]->err = -EIO;		/* the only one with everything */
	ck_assert_int_eq(rw(ENG_WRITE), -EIO);
	ck_assert_int_eq(eng_mirror_state(dev, 0), ENG_LEG_CURRENT);
	ck_assert_int_eq(eng_mirror_state(dev, 1), ENG_LEG_BEHIND);
	mem[0]->err = 0;
	mem[1]->err = -EIO;
	ck_assert_int_eq(rw(ENG_WRITE), 0);
	ck_assert_int_eq(eng_dev_flush(dev), 0);
	ck_assert_uint_eq(told, 2);
	teardown();
}
END_TEST

START_TEST(legs_differ_in_size_only)
{
	struct eng_mirror_how how = { .n = 2, .name = { "a", "b" } };
	struct mem_dev *a, *b;
	struct eng_dev *d;

	eng_log_to(quiet);
	ck_assert_int_eq(eng_pool_create_serial(&pool), 0);
	a = mem_open_size("512+8", pool, false, 2000);
	b = mem_open_size("512+8:type3", pool, false, 1000);
	how.leg[0] = &a->dev;
	how.leg[1] = &b->dev;
	how.pool = pool;
	ck_assert_int_eq(eng_mirror_create(&d, &how), -EINVAL);
	eng_dev_close(&b->dev);
	b = mem_open_size("512+8", pool, false, 1000);
	how.leg[1] = &b->dev;
	ck_assert_int_eq(eng_mirror_create(&d, &how), 0);
	ck_assert_uint_eq(eng_dev_geometry(d)->intervals, 1000);
	eng_dev_close(d);
	eng_pool_destroy(pool);
}
END_TEST

/* Legs begin at other places of their disks, so the same interval has another
 * reference tag on each. */
START_TEST(reference_tags_are_each_legs_own)
{
	struct eng_io *io;

	setup(_i, 2, 0, "512+8");
	mem[1]->dev.ref_base = 5000;
	ck_assert_int_eq(rw(ENG_WRITE), 0);
	ck_assert_int_eq(read_leg(0), 0);
	ck_assert_int_eq(read_leg(1), 0);
	ck_assert_mem_ne(mem[0]->meta + 800, mem[1]->meta + 800, 8);
	io = io_for(ENG_READ, 100, COUNT, in);
	io->leg = 2;
	ck_assert_int_eq(eng_io_run(io), 0);
	ck_assert_int_eq(eng_io_verify(io), 0);
	eng_io_put(io);
	spoil(1, 130, 0);
	ck_assert_int_eq(rw_flags(ENG_READ, ENG_IO_LEGS, 0, NULL), 0);
	ck_assert_int_eq(read_leg(1), 0);
	teardown();
}
END_TEST

/* Reads and writes of many threads, while one leg rots and fails reads. */
static void *hammer(void *arg)
{
	uint64_t start = 64 * (uintptr_t)arg;
	static __thread uint8_t a[512 * 16], b[512 * 16];

	for (unsigned int n = 0; n < 200; n++) {
		struct eng_io *io;

		fill(a, sizeof(a), n + (unsigned int)start);
		io = io_for(ENG_WRITE, start, 16, a);
		ck_assert_int_eq(eng_io_run(io), 0);
		eng_io_put(io);
		spoil(n % 2, start + n % 16, 0);
		io = io_for(ENG_READ, start, 16, b);
		ck_assert_int_eq(eng_io_run(io), 0);
		eng_io_put(io);
		ck_assert_mem_eq(a, b, sizeof(a));
		if (n % 16 == 0)
			ck_assert_int_eq(eng_dev_flush(dev), 0);
	}
	return NULL;
}

START_TEST(many_at_once)
{
	pthread_t t[8];

	setup(_i, 2, 0, "512+8");
	for (uintptr_t i = 0; i < 8; i++)
		pthread_create(&t[i], NULL, hammer, (void *)i);
	for (unsigned int i = 0; i < 8; i++)
		pthread_join(t[i], NULL);
	ck_assert_uint_eq(told, 0);
	teardown();
}
END_TEST

/* Until it is told to end. */
static atomic_bool enough;

static void *use(void *arg)
{
	while (!atomic_load(&enough))
		hammer(arg);
	return NULL;
}

static int join(struct eng_dev *leg, unsigned int *i)
{
	return eng_mirror_join(dev, leg, "new", i);
}

/* Whoever leaves is not used any more, and who joins gets what is written. */
START_TEST(legs_come_and_go_beneath_others)
{
	pthread_t thread[2];
	unsigned int i;

	setup(_i, 2, 0, "512+8");
	atomic_store(&enough, false);
	for (uintptr_t k = 0; k < 2; k++)
		ck_assert_int_eq(pthread_create(&thread[k], NULL, use,
						(void *)(k + 8)), 0);
	for (unsigned int round = 0; round < 20; round++) {
		struct mem_dev *new = mem_open("512+8", pool, _i & 2);
		uint64_t seen;

		ck_assert_int_eq(join(&new->dev, &i), 0);
		ck_assert_uint_eq(i, 2);
		ck_assert_int_eq(eng_mirror_state(dev, 2), ENG_LEG_BEHIND);
		ck_assert_int_eq(rw(ENG_WRITE), 0);
		eng_mirror_catch_up(dev, 2);
		ck_assert_int_eq(read_leg(2), 0);
		ck_assert_int_eq(eng_dev_flush(dev), 0);
		ck_assert(eng_mirror_drop(dev, 2));
		ck_assert_int_eq(read_leg(2), -ENODEV);
		ck_assert_ptr_eq(eng_mirror_part(dev, 2), &new->dev);
		seen = new->submits;
		ck_assert_int_eq(rw(ENG_WRITE), 0);
		ck_assert_uint_eq(new->submits, seen);
		eng_dev_close(&new->dev);
	}
	atomic_store(&enough, true);
	for (unsigned int k = 0; k < 2; k++)
		pthread_join(thread[k], NULL);
	teardown();
}
END_TEST

/* The first one leaves, and another takes its place. */
START_TEST(a_mirror_of_others_than_at_first)
{
	unsigned int i;

	setup(_i, 2, 0, "512+8");
	ck_assert_int_eq(rw(ENG_WRITE), 0);
	ck_assert(eng_mirror_drop(dev, 0));
	ck_assert(!eng_mirror_drop(dev, 1));
	eng_dev_close(eng_mirror_part(dev, 0));
	ck_assert_int_eq(rw(ENG_READ), 0);
	ck_assert_uint_eq(eng_dev_byte(dev, 3), eng_dev_byte(&mem[1]->dev, 3));
	ck_assert_int_eq(eng_dev_flush(dev), 0);
	mem[0] = mem_open("512+8", pool, _i & 2);
	ck_assert_int_eq(join(&mem[0]->dev, &i), 0);
	ck_assert_uint_eq(i, 0);
	/* What is read from all legs is given to it. */
	ck_assert_int_eq(rw_flags(ENG_READ, ENG_IO_LEGS, 0, NULL), 0);
	eng_mirror_catch_up(dev, 0);
	ck_assert_int_eq(read_leg(0), 0);
	ck_assert(eng_mirror_drop(dev, 1));
	ck_assert_int_eq(rw(ENG_READ), 0);
	eng_dev_close(eng_mirror_part(dev, 1));
	teardown();
}
END_TEST

START_TEST(who_may_join_a_mirror_in_use)
{
	struct mem_dev *other, *more[2];
	unsigned int i;

	setup(0, 2, 0, "512+8");
	other = mem_open("4096+8", pool, false);
	ck_assert_int_eq(join(&other->dev, &i), -EINVAL);
	eng_dev_close(&other->dev);
	other = mem_open_size("512+8", pool, false, MEM_INTERVALS - 1);
	ck_assert_int_eq(join(&other->dev, &i), -ENOSPC);
	eng_dev_close(&other->dev);
	other = mem_open("512+8", pool, false);
	other->dev.geo.max_io--;
	ck_assert_int_eq(join(&other->dev, &i), -EXDEV);
	other->dev.geo.max_io++;
	for (unsigned int k = 0; k < 2; k++) {
		more[k] = mem_open("512+8", pool, false);
		ck_assert_int_eq(join(&more[k]->dev, &i), 0);
		ck_assert_uint_eq(i, k + 2);
	}
	ck_assert_int_eq(join(&other->dev, &i), -EMLINK);
	eng_dev_close(&other->dev);
	ck_assert_int_eq(rw(ENG_WRITE), 0);
	teardown();
}
END_TEST

static void read_often(unsigned int times, struct eng_leg_count count[2])
{
	struct eng_leg_count before[2];

	for (unsigned int i = 0; i < 2; i++)
		eng_mirror_count(dev, i, &before[i]);
	while (times--)
		ck_assert_int_eq(rw(ENG_READ), 0);
	for (unsigned int i = 0; i < 2; i++) {
		eng_mirror_count(dev, i, &count[i]);
		count[i].reads -= before[i].reads;
	}
}

/* And no longer when it is not slow any more. */
START_TEST(a_slow_leg_is_asked_less)
{
	struct eng_leg_count count[2];

	setup(1 | CLOCK, 2, 0, "512+8");
	for (unsigned int i = 0; i < 2; i++) {
		mem[i]->clock = &clock_now;
		mem[i]->takes = i ? 100000 : 4000000;	/* 0: its part */
	}
	ck_assert_int_eq(rw(ENG_WRITE), 0);
	read_often(400, count);
	ck_assert_msg(count[1].reads > 50 * count[0].reads,
		      "%llu and %llu reads", (unsigned long long)count[0].reads,
		      (unsigned long long)count[1].reads);
	mem[0]->takes = 100000;
	read_often(1000, count);
	ck_assert_msg(count[0].reads > 250, "it is fast again: %llu and %llu "
		      "reads", (unsigned long long)count[0].reads,
		      (unsigned long long)count[1].reads);
	teardown();
}
END_TEST

int main(void)
{
	Suite *s = suite_create("mirror");
	TCase *tc = tcase_create("mirror");
	SRunner *sr;
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, a_write_is_on_every_leg, 0, 4);
	tcase_add_loop_test(tc, what_one_leg_has_wrong_is_healed, 0, 4);
	tcase_add_loop_test(tc, reads_alone_heal_as_well, 0, 4);
	tcase_add_loop_test(tc, rot_on_both_is_an_error_only_in_one_place, 0,
			    4);
	tcase_add_loop_test(tc, a_leg_that_fails_reads_is_no_error, 0, 4);
	tcase_add_loop_test(tc, a_failed_write_is_told_before_a_flush_succeeds,
			    0, 4);
	tcase_add_loop_test(tc, a_failed_flush_loses_the_leg, 0, 4);
	tcase_add_loop_test(tc, where_all_fail_nothing_is_lost, 0, 4);
	tcase_add_loop_test(tc, a_leg_behind_is_given_what_it_misses, 0, 4);
	tcase_add_loop_test(tc, the_last_leg_answers_for_itself, 0, 4);
	tcase_add_test(tc, legs_differ_in_size_only);
	tcase_add_loop_test(tc, reference_tags_are_each_legs_own, 0, 4);
	tcase_add_loop_test(tc, many_at_once, 0, 4);
	tcase_add_loop_test(tc, legs_come_and_go_beneath_others, 0, 4);
	tcase_add_loop_test(tc, a_mirror_of_others_than_at_first, 0, 4);
	tcase_add_test(tc, who_may_join_a_mirror_in_use);
	tcase_add_test(tc, a_slow_leg_is_asked_less);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
