/* SPDX-License-Identifier: GPL-2.0-or-later */
/* check_sorter.c - what is put into a sorter comes out of it, sorted, however
 * little memory there is; and what its file does wrong is an error. */
#include <check.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/sorter.h"
#include "support/fs_bed.h"
#include "support/sim_raw.h"
#include "tagpi.h"

#define MANY	6000u

struct rec {
	uint64_t	key, n;
	uint8_t		pad[40];
};

/* What the file does, as the test says: linked with --wrap. */
static unsigned int writes, reads, fail_write, fail_read, flip_read;
static int fail_with;

ssize_t __real_pwrite(int fd, const void *buf, size_t len, off_t off);
ssize_t __real_pread(int fd, void *buf, size_t len, off_t off);
ssize_t __wrap_pwrite(int fd, const void *buf, size_t len, off_t off);
ssize_t __wrap_pread(int fd, void *buf, size_t len, off_t off);

ssize_t __wrap_pwrite(int fd, const void *buf, size_t len, off_t off)
{
	if (++writes == fail_write) {
		errno = fail_with;
		return -1;
	}
	return __real_pwrite(fd, buf, len / (1 + writes % 2), off);
}

ssize_t __wrap_pread(int fd, void *buf, size_t len, off_t off)
{
	ssize_t n;

	if (++reads == fail_read) {
		errno = EIO;
		return -1;
	}
	n = __real_pread(fd, buf, len / (1 + reads % 2), off);
	if (n > 0 && reads == flip_read)
		((uint8_t *)buf)[n / 2] ^= 1;
	return n;
}

static void calm(void)
{
	writes = reads = fail_write = fail_read = flip_read = 0;
	fail_with = ENOSPC;
}

static int by_key(const void *a, const void *b)
{
	const struct rec *x = a, *y = b;

	if (x->key != y->key)
		return x->key < y->key ? -1 : 1;
	return x->n < y->n ? -1 : x->n > y->n;
}

static int fill(struct tfs_sorter *s, unsigned int n, uint64_t seed)
{
	struct rec r = { .key = 0 };
	uint64_t state = seed;
	int err = 0;

	for (r.n = 0; r.n < n && !err; r.n++) {
		r.key = sim_rand(&state) % MANY;
		err = tfs_sorter_add(s, &r);
	}
	return err;
}

/* All of it, and in order. */
static int drain(struct tfs_sorter *s, unsigned int n, bool sorted)
{
	struct rec r, last = { .key = 0 };
	unsigned int got = 0;
	uint64_t sum = 0;
	int more;

	while ((more = tfs_sorter_next(s, &r)) > 0) {
		if (got && sorted)
			ck_assert_int_lt(by_key(&last, &r), 0);
		else if (!sorted)
			ck_assert_uint_eq(r.n, got);
		sum += r.n;
		got++;
		last = r;
	}
	if (more)
		return more;
	ck_assert_uint_eq(got, n);
	ck_assert_uint_eq(sum, (uint64_t)n * (n - 1) / 2);
	return 0;
}

/* _i: of the sizes, sorted and as they come. */
START_TEST(what_goes_in_comes_out)
{
	static const size_t bytes[] = { 0, 1, 40000, 400000, 1 << 25 };
	static const unsigned int counts[] = { 1, 63, 64, 65, 2100, MANY };
	struct tfs_scratch scratch = { "/tmp", bytes[_i / 2], 0 };
	bool sorted = _i % 2;

	calm();
	for (unsigned int i = 0; i < 6; i++) {
		struct tfs_sorter *s;

		ck_assert_int_eq(tfs_sorter_create(&s, &scratch,
						   sizeof(struct rec), sorted ?
						   by_key : NULL), 0);
		ck_assert_int_eq(fill(s, counts[i], _i), 0);
		ck_assert_uint_eq(tfs_sorter_count(s), counts[i]);
		for (int again = 0; again < 2; again++) {
			ck_assert_int_eq(tfs_sorter_rewind(s), 0);
			ck_assert_int_eq(drain(s, counts[i], sorted), 0);
		}
		tfs_sorter_destroy(s);
	}
	ck_assert_uint_eq(scratch.used, 0);
	ck_assert(!writes == (!bytes[_i / 2] || bytes[_i / 2] == 1 << 25));
}
END_TEST

START_TEST(nothing_is_nothing)
{
	struct tfs_scratch scratch = { .dir = "/tmp", .bytes = 1 };
	struct tfs_sorter *s;
	struct rec r;

	ck_assert_int_eq(tfs_sorter_create(&s, &scratch, sizeof(r), by_key),
			 0);
	ck_assert_int_eq(tfs_sorter_rewind(s), 0);
	ck_assert_int_eq(tfs_sorter_next(s, &r), 0);
	tfs_sorter_destroy(s);
	tfs_sorter_destroy(NULL);
}
END_TEST

/* Without a directory memory is full at its bound, for all of them. */
START_TEST(memory_has_a_bound)
{
	struct tfs_scratch scratch = { .bytes = 1 << 20 };
	struct tfs_sorter *a, *b;

	ck_assert_int_eq(tfs_sorter_create(&a, &scratch, sizeof(struct rec),
					   by_key), 0);
	ck_assert_int_eq(tfs_sorter_create(&b, &scratch, sizeof(struct rec),
					   by_key), 0);
	ck_assert_int_eq(fill(a, 10000, 1), 0);
	ck_assert_int_eq(fill(b, 10000, 1), -ENOBUFS);
	ck_assert_uint_le(scratch.used, 1 << 20);
	tfs_sorter_destroy(a);
	tfs_sorter_destroy(b);
	ck_assert_uint_eq(scratch.used, 0);
}
END_TEST

static int whole(struct tfs_scratch *scratch)
{
	struct tfs_sorter *s;
	int err = tfs_sorter_create(&s, scratch, sizeof(struct rec), by_key);

	if (!err)
		err = fill(s, MANY / 4, 7);
	for (int again = 0; again < 2 && !err; again++) {
		err = tfs_sorter_rewind(s);
		if (!err)
			err = drain(s, MANY / 4, true);
	}
	tfs_sorter_destroy(s);
	return err;
}

/* Whichever write or read it is: the error is that of the file, and no record
 * is wrong. */
START_TEST(what_the_file_does_wrong_is_an_error)
{
	struct tfs_scratch scratch = { .dir = "/tmp", .bytes = 1 };
	unsigned int all_writes, all_reads;

	calm();
	ck_assert_int_eq(whole(&scratch), 0);
	all_writes = writes;
	all_reads = reads;
	for (unsigned int i = 1; i <= all_writes; i += 1 + all_writes / 10) {
		calm();
		fail_write = i;
		ck_assert_msg(whole(&scratch) == -ENOSPC, "write %u", i);
	}
	for (unsigned int i = 1; i <= all_reads; i += 1 + all_reads / 10) {
		calm();
		fail_read = i;
		ck_assert_msg(whole(&scratch) == -EIO, "read %u", i);
		calm();
		flip_read = i;
		ck_assert_msg(whole(&scratch) == -EIO, "flip %u", i);
	}
	calm();
	ck_assert_uint_eq(scratch.used, 0);
}
END_TEST

START_TEST(a_directory_that_is_none_is_an_error)
{
	struct tfs_scratch scratch = { .dir = "/nowhere/at/all", .bytes = 1 };

	ck_assert_int_eq(tfs_scratch_try(&scratch), -ENOENT);
	ck_assert_int_eq(whole(&scratch), -ENOENT);
	scratch.dir = "/dev/null";
	ck_assert_int_eq(whole(&scratch), -ENOTDIR);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("sorter");
	TCase *t = tcase_create("all");

	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, what_goes_in_comes_out, 0, 10);
	tcase_add_test(t, nothing_is_nothing);
	tcase_add_test(t, memory_has_a_bound);
	tcase_add_test(t, what_the_file_does_wrong_is_an_error);
	tcase_add_test(t, a_directory_that_is_none_is_an_error);
	suite_add_tcase(s, t);
	return bed_run_suite(s);
}
