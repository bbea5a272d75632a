/* SPDX-License-Identifier: GPL-2.0-or-later */
/* check_sim.c - the disk that all crash tests trust does what sim_raw.h says:
 * loses, tears, rots and lies, by seed, and not otherwise. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "support/sim_raw.h"

#define PAGE	4096u
#define PAGES	16u
#define SECTOR	512u
#define SIZE	(PAGE * PAGES)

static int put(struct sim *sim, unsigned int page, uint8_t byte)
{
	uint8_t buf[PAGE];

	memset(buf, byte, sizeof(buf));
	return eng_raw_rw(sim_raw(sim), true, page * PAGE, buf, sizeof(buf));
}

/* The byte that all of a page is of; 0: they differ. */
static uint8_t get(struct sim *sim, unsigned int page)
{
	uint8_t buf[PAGE];

	ck_assert_int_eq(eng_raw_rw(sim_raw(sim), false, page * PAGE, buf,
				    sizeof(buf)), 0);
	return memcmp(buf, buf + 1, sizeof(buf) - 1) ? 0 : buf[0];
}

static int flush(struct sim *sim)
{
	return sim_raw(sim)->ops->flush(sim_raw(sim));
}

/* All pages 'a', durable; and 'b', which is not. */
static struct sim *half_written(void)
{
	struct sim *sim = sim_create(SIZE, 1);

	for (unsigned int i = 0; i < PAGES; i++)
		ck_assert_int_eq(put(sim, i, 'a'), 0);
	ck_assert_int_eq(flush(sim), 0);
	for (unsigned int i = 0; i < PAGES; i++)
		ck_assert_int_eq(put(sim, i, 'b'), 0);
	return sim;
}

/* How many pages are old, new and torn; no sector is. */
static void count(struct sim *sim, unsigned int n[3])
{
	uint8_t buf[SIZE];

	n[0] = n[1] = n[2] = 0;
	sim_peek(sim, 0, buf, sizeof(buf));
	for (size_t at = 0; at < SIZE; at += SECTOR)
		ck_assert_msg(!memcmp(buf + at, buf + at + 1, SECTOR - 1) &&
			      (buf[at] == 'a' || buf[at] == 'b'),
			      "sector at %zu is torn", at);
	for (unsigned int i = 0; i < PAGES; i++) {
		uint8_t byte = get(sim, i);

		n[byte == 'a' ? 0 : byte == 'b' ? 1 : 2]++;
	}
}

START_TEST(crash_keeps_drops_or_tears_each_write)
{
	struct sim *base = half_written();
	unsigned int n[3], mixed = 0, torn = 0;

	for (uint64_t seed = 0; seed < 100; seed++) {
		struct sim *sim = sim_clone(base);

		sim_crash(sim, seed);
		count(sim, n);
		if (seed == 0)
			ck_assert_uint_eq(n[0], PAGES);
		if (seed == 1)
			ck_assert_uint_eq(n[1], PAGES);
		mixed += n[0] && n[1];
		torn += n[2] > 2;
		sim_destroy(sim);
	}
	ck_assert_uint_gt(mixed, 50);
	ck_assert_uint_gt(torn, 20);
	sim_destroy(base);
}
END_TEST

START_TEST(what_was_flushed_survives)
{
	struct sim *sim = half_written();
	unsigned int n[3];

	ck_assert_int_eq(flush(sim), 0);
	for (uint64_t seed = 0; seed < 20; seed++) {
		sim_crash(sim, seed);
		count(sim, n);
		ck_assert_uint_eq(n[1], PAGES);
	}
	sim_destroy(sim);
}
END_TEST

START_TEST(same_seed_is_same_crash)
{
	struct sim *base = half_written();
	uint8_t a[SIZE], b[SIZE], first[SIZE];
	unsigned int others = 0;

	for (uint64_t seed = 2; seed < 20; seed++) {
		struct sim *x = sim_clone(base), *y = sim_clone(base);

		sim_crash(x, seed);
		sim_crash(y, seed);
		sim_peek(x, 0, a, SIZE);
		sim_peek(y, 0, b, SIZE);
		ck_assert(!memcmp(a, b, SIZE));
		if (seed == 2)
			memcpy(first, a, SIZE);
		others += memcmp(a, first, SIZE) != 0;
		sim_destroy(x);
		sim_destroy(y);
	}
	ck_assert_uint_gt(others, 10);
	sim_destroy(base);
}
END_TEST

START_TEST(copy_is_the_disk_as_it_is)
{
	struct sim *sim = half_written(), *copy = sim_clone(sim);
	struct sim_counts counts;

	sim_counts(copy, &counts);
	ck_assert_uint_eq(counts.unflushed, PAGES);
	ck_assert_int_eq(put(sim, 0, 'c'), 0);
	ck_assert_int_eq(get(copy, 0), 'b');
	sim_crash(copy, 0);
	ck_assert_int_eq(get(copy, 0), 'a');
	ck_assert_int_eq(get(sim, 0), 'c');
	sim_destroy(copy);
	sim_destroy(sim);
}
END_TEST

/* The write during which the power goes may arrive; none after it does. */
START_TEST(power_goes_at_a_write)
{
	struct sim *base = half_written();
	unsigned int arrived = 0;

	for (uint64_t seed = 0; seed < 20; seed++) {
		struct sim *sim = sim_clone(base);

		ck_assert_int_eq(flush(sim), 0);
		sim_power_off_at(sim, 2);
		ck_assert_int_eq(put(sim, 0, 'a'), 0);
		ck_assert_int_eq(put(sim, 1, 'a'), 0);
		ck_assert(!sim_is_off(sim));
		ck_assert_int_eq(put(sim, 2, 'a'), -EIO);
		ck_assert_int_eq(put(sim, 3, 'a'), -EIO);
		ck_assert_int_eq(flush(sim), -EIO);
		ck_assert(sim_is_off(sim));
		sim_crash(sim, seed);
		arrived += get(sim, 2) == 'a';
		ck_assert_int_eq(get(sim, 3), 'b');
		sim_destroy(sim);
	}
	ck_assert(arrived && arrived < 20);
	sim_destroy(base);
}
END_TEST

/* skip, then count of them: writes that are said to be done. */
START_TEST(writes_are_lost_torn_or_go_astray)
{
	struct sim *sim = half_written();
	unsigned int n[3];

	sim_fault(sim, SIM_WRITE_LOST, 0, SIZE, 0, 1, 1);
	ck_assert_int_eq(put(sim, 0, 'a'), 0);
	ck_assert_int_eq(put(sim, 1, 'a'), 0);
	ck_assert_int_eq(put(sim, 2, 'a'), 0);
	ck_assert_int_eq(get(sim, 0), 'a');
	ck_assert_int_eq(get(sim, 1), 'b');
	ck_assert_int_eq(get(sim, 2), 'a');
	sim_fault(sim, SIM_WRITE_MISDIRECTED, 4 * PAGE, PAGE, 2 * PAGE, 0, 1);
	ck_assert_int_eq(put(sim, 4, 'a'), 0);
	ck_assert_int_eq(get(sim, 4), 'b');
	ck_assert_int_eq(get(sim, 6), 'a');
	sim_fault(sim, SIM_WRITE_TORN, 8 * PAGE, PAGE, 0, 0, 1);
	ck_assert_int_eq(put(sim, 8, 'a'), 0);
	ck_assert_uint_eq(sim_faults_hit(sim), 3);
	count(sim, n);
	ck_assert_uint_le(n[2], 1);
	sim_destroy(sim);
}
END_TEST

/* They are told once each, and are not on the medium. */
START_TEST(reads_are_stale_go_astray_or_fail)
{
	struct sim *sim = sim_create(SIZE, 1);
	uint8_t buf[PAGE];

	sim_keep_old(sim);
	for (unsigned int i = 0; i < PAGES; i++)
		ck_assert_int_eq(put(sim, i, (uint8_t)('A' + i)), 0);
	ck_assert_int_eq(put(sim, 3, 'z'), 0);
	sim_fault(sim, SIM_READ_STALE, 3 * PAGE, PAGE, 0, 0, 1);
	ck_assert_int_eq(get(sim, 3), 'D');
	ck_assert_int_eq(get(sim, 3), 'z');
	sim_fault(sim, SIM_READ_MISDIRECTED, 5 * PAGE, PAGE,
		  -2 * (int64_t)PAGE, 0, 1);
	ck_assert_int_eq(get(sim, 6), 'G');
	ck_assert_int_eq(get(sim, 5), 'z');
	ck_assert_int_eq(get(sim, 5), 'F');
	sim_fault(sim, SIM_READ_FAIL, 0, SIZE, -EILSEQ, 1, 2);
	ck_assert_int_eq(get(sim, 0), 'A');
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(eng_raw_rw(sim_raw(sim), false, 0, buf, PAGE),
				 -EILSEQ);
	ck_assert_int_eq(get(sim, 0), 'A');
	sim_destroy(sim);
}
END_TEST

START_TEST(flushes_fail_or_lie)
{
	struct sim *sim = half_written();
	unsigned int n[3];

	sim_fault(sim, SIM_FLUSH_FAIL, 0, 0, -ENOSPC, 0, 1);
	ck_assert_int_eq(flush(sim), -ENOSPC);
	sim_fault(sim, SIM_FLUSH_LOST, 0, 0, 0, 0, 1);
	ck_assert_int_eq(flush(sim), 0);
	sim_crash(sim, 0);
	count(sim, n);
	ck_assert_uint_eq(n[0], PAGES);
	sim_destroy(sim);
}
END_TEST

START_TEST(rot_is_there_and_stays)
{
	struct sim *sim = half_written();
	uint8_t byte;

	ck_assert_int_eq(flush(sim), 0);
	sim_flip(sim, 5 * PAGE + 77, 0x10);
	ck_assert_int_eq(get(sim, 5), 0);
	sim_crash(sim, 0);
	sim_peek(sim, 5 * PAGE + 77, &byte, 1);
	ck_assert_int_eq(byte, 'b' ^ 0x10);
	sim_destroy(sim);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("sim");
	TCase *tc = tcase_create("sim");
	SRunner *sr;
	int failed;

	tcase_add_test(tc, crash_keeps_drops_or_tears_each_write);
	tcase_add_test(tc, what_was_flushed_survives);
	tcase_add_test(tc, same_seed_is_same_crash);
	tcase_add_test(tc, copy_is_the_disk_as_it_is);
	tcase_add_test(tc, power_goes_at_a_write);
	tcase_add_test(tc, writes_are_lost_torn_or_go_astray);
	tcase_add_test(tc, reads_are_stale_go_astray_or_fail);
	tcase_add_test(tc, flushes_fail_or_lie);
	tcase_add_test(tc, rot_is_there_and_stays);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
