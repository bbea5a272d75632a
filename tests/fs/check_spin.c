/* SPDX-License-Identifier: GPL-2.0-or-later */
/* check_spin.c - who looks for the next request before sleeping does so only
 * where it pays, and not for long. */
#include <check.h>
#include <poll.h>
#include <stdint.h>
#include <time.h>

#include "fuse/spin.h"
#include "support/fs_bed.h"

#define LOOK_NS		500u

/* The device and the clock, as the test says: linked with --wrap. */
static uint64_t now, comes, stolen_at, stolen;
static unsigned int looks;

int __wrap_poll(struct pollfd *pfd, nfds_t n, int timeout);
int __wrap_clock_gettime(clockid_t clock, struct timespec *t);

int __wrap_poll(struct pollfd *pfd, nfds_t n, int timeout)
{
	ck_assert_msg(n == 1 && pfd->fd == 7 && pfd->events == POLLIN,
		      "it looks at the descriptor");
	ck_assert_msg(!timeout, "it looks, and does not sleep");
	looks++;
	now += LOOK_NS;
	if (stolen_at && now >= stolen_at) {
		now += stolen;
		stolen_at = 0;
	}
	return now >= comes;
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *t)
{
	ck_assert_int_eq(clock, CLOCK_MONOTONIC);
	t->tv_sec = (time_t)(now / 1000000000);
	t->tv_nsec = (long)(now % 1000000000);
	return 0;
}

static enum tfs_spun spin_until(struct tfs_spin *spin, uint64_t ns)
{
	comes = now + ns;
	return tfs_spin(spin, 7);
}

START_TEST(what_comes_soon_is_found)
{
	struct tfs_spin spin = { 0 };

	for (unsigned int i = 0; i < 1000; i++)
		ck_assert_msg(spin_until(&spin, i * 19) == TFS_SPIN_CAME,
			      "request %u, after %u ns", i, i * 19);
}
END_TEST

START_TEST(a_look_ends)
{
	struct tfs_spin spin = { 0 };
	uint64_t begin = now;

	ck_assert_int_eq(spin_until(&spin, 1000000000), TFS_SPIN_VAIN);
	ck_assert_uint_ge(now - begin, TFS_SPIN_NS);
	ck_assert_uint_le(now - begin, TFS_SPIN_NS + LOOK_NS);
}
END_TEST

/* How many of n requests, each so many nanoseconds after the answer before
 * it, are looked for. */
static unsigned int looked_for(struct tfs_spin *spin, unsigned int n,
			       uint64_t gap, uint64_t odd_gap)
{
	unsigned int looked = 0;

	for (unsigned int i = 0; i < n; i++)
		looked += spin_until(spin, i % 2 ? odd_gap : gap) !=
			TFS_SPIN_NOT;
	return looked;
}

START_TEST(who_looks_in_vain_looks_seldom)
{
	struct tfs_spin spin = { 0 };
	unsigned int looked = looked_for(&spin, 25600, 100000, 100000);

	ck_assert_msg(looked >= 90 && looked <= 110,
		      "%u of 25600 were looked for", looked);
	looked = looked_for(&spin, 25600, 100000, 5000);
	ck_assert_msg(looked <= 400, "where half of the requests come soon, "
		      "%u of 25600 were looked for", looked);
}
END_TEST

START_TEST(it_is_found_out_when_it_pays_again)
{
	struct tfs_spin spin = { 0 };

	looked_for(&spin, 1000, 100000, 100000);
	looked_for(&spin, 256, 5000, 5000);
	ck_assert_uint_eq(looked_for(&spin, 1000, 5000, 5000), 1000);
}
END_TEST

START_TEST(a_processor_that_others_need_is_left_to_them)
{
	struct tfs_spin spin = { 0 };

	stolen_at = now + 3000;
	stolen = 50000;
	ck_assert_msg(spin_until(&spin, 10000) == TFS_SPIN_VAIN,
		      "in vain, though something came meanwhile");
	ck_assert_uint_le(looks, 3000 / LOOK_NS + 1);
	ck_assert_int_eq(spin_until(&spin, 10000), TFS_SPIN_NOT);
}
END_TEST

static void begin(void)
{
	now = 5000000000;
	comes = stolen_at = stolen = 0;
	looks = 0;
}

int main(void)
{
	Suite *s = suite_create("spin");
	TCase *t = tcase_create("all");

	tcase_add_checked_fixture(t, begin, NULL);
	tcase_add_test(t, what_comes_soon_is_found);
	tcase_add_test(t, a_look_ends);
	tcase_add_test(t, who_looks_in_vain_looks_seldom);
	tcase_add_test(t, it_is_found_out_when_it_pays_again);
	tcase_add_test(t, a_processor_that_others_need_is_left_to_them);
	suite_add_tcase(s, t);
	return bed_run_suite(s);
}
