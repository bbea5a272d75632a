/* SPDX-License-Identifier: GPL-2.0-or-later */
/* check_rescue.c - containers without headers, and ones that are cut short:
 * found by their tuple pages, read as far as they go, and never guessed at
 * unless somebody asks for it. */
#include "engine/soft_bed.h"

static void clear(struct sim *sim, uint64_t off, uint64_t len)
{
	static const uint8_t zero[SOFT_BLOCK];

	for (uint64_t at = off; at < off + len; at += SOFT_BLOCK)
		sim_poke(sim, at, zero, SOFT_BLOCK);
}

static void lose_headers(struct bed *b)
{
	clear(b->sim, 0, SOFT_BLOCK);
	clear(b->sim, b->lay.size - SOFT_BLOCK, SOFT_BLOCK);
}

static void some_content(struct bed *b, int profile, unsigned int zones,
			 uint64_t seed)
{
	bed_format(b, profile, bed_size(profile, zones), seed);
	bed_open(b);
	must_write(b, 0, b->group, 7);
	ck_assert_int_eq(some_work(b, 80, 10), 0);
	must_flush(b);
	bed_close(b);
	sim_settle(b->sim, true);
}

static int open_with(struct bed *b, unsigned int flags)
{
	b->how.flags = flags;
	return eng_soft_open(&b->dev, sim_raw(b->sim), &b->how);
}

/* Where and what everything is follows from the pages.  _i: profile */
START_TEST(a_container_without_headers_is_found)
{
	struct bed b;

	for (unsigned int zones = 1; zones < 6; zones += 2) {
		some_content(&b, _i, zones, zones);
		lose_headers(&b);
		ck_assert_int_eq(open_with(&b, 0), -EMEDIUMTYPE);
		ck_assert_int_eq(open_with(&b, ENG_OPEN_RDONLY |
					   ENG_OPEN_RESCUE), 0);
		snprintf(b.where, sizeof(b.where), "%s, %u zones",
			 profiles[_i], zones);
		ck_assert_msg(eng_dev_geometry(b.dev)->profile ==
			      b.lay.profile, "%s: taken for %s", b.where,
			      eng_dev_geometry(b.dev)->profile->name);
		ck_assert_uint_eq(eng_dev_geometry(b.dev)->intervals,
				  b.lay.intervals);
		must_be_intact(&b);
		bed_free(&b);
	}
}
END_TEST

/* Every profile is told from those of the same zones. */
START_TEST(each_profile_is_told_from_all_others)
{
	const struct eng_profile *p;

	for (unsigned int i = 0; (p = eng_profile_at(i)); i++) {
		const struct eng_profile *got;
		struct bed b = { .how.pool = NULL };
		struct soft_layout lay;

		ck_assert_int_eq(soft_layout(&lay, p, 4u << 20), 0);
		b.lay = lay;
		b.sim = sim_create(4u << 20, i);
		b.rand = i;
		ck_assert_int_eq(eng_soft_format_raw(sim_raw(b.sim), p, i + 1),
				 0);
		ck_assert_int_eq(eng_pool_create_serial(&b.pool), 0);
		b.how.pool = b.pool;
		bed_model(&b, 4u << 20);
		ck_assert_int_eq(open_with(&b, 0), 0);
		must_write(&b, 0, b.group, 1);
		must_write(&b, b.group * 3, b.group, 2);
		must_flush(&b);
		bed_close(&b);
		lose_headers(&b);
		ck_assert_msg(!open_with(&b, ENG_OPEN_RDONLY |
					 ENG_OPEN_RESCUE), "%s", p->name);
		got = eng_dev_geometry(b.dev)->profile;
		/* Types 1 and 2 are the same on the medium. */
		ck_assert_msg(got == p || (p->type == 2 && got->type == 1 &&
			      got->interval == p->interval &&
			      got->meta_size == p->meta_size &&
			      got->pi_offset == p->pi_offset &&
			      got->guard == p->guard),
			      "%s is taken for %s", p->name, got->name);
		bed_free(&b);
	}
}
END_TEST

/* Opened for writing, it has headers again after the next flush. */
START_TEST(what_is_found_is_whole_again)
{
	struct bed b;

	some_content(&b, 0, 3, 5);
	lose_headers(&b);
	ck_assert_int_eq(open_with(&b, ENG_OPEN_RESCUE), 0);
	must_write(&b, some_group(&b, FREE, false), b.group, 9000);
	must_flush(&b);
	bed_close(&b);
	log_lines[LOG_WARNING] = 0;
	ck_assert_int_eq(open_with(&b, 0), 0);
	ck_assert_int_eq(log_lines[LOG_WARNING], 0);
	must_be_intact(&b);
	bed_free(&b);
}
END_TEST

/* A container that was formatted over another one is the one that counts,
 * the other one is named, and can be had. */
START_TEST(of_two_containers_the_younger_counts)
{
	struct bed old, b;
	int before;

	some_content(&old, 0, 8, 3);
	bed_format(&b, 0, bed_size(0, 8), 4);
	sim_destroy(b.sim);
	b.sim = sim_clone(old.sim);
	ck_assert_int_eq(eng_soft_format_raw(sim_raw(b.sim), b.lay.profile,
					     77), 0);
	ck_assert_int_eq(open_with(&b, 0), 0);
	must_write(&b, 0, b.group, 5);
	must_write(&b, zone_start(&b, 2), b.group, 6);
	must_flush(&b);
	bed_close(&b);
	lose_headers(&b);
	before = log_lines[LOG_WARNING];
	ck_assert_int_eq(open_with(&b, ENG_OPEN_RDONLY | ENG_OPEN_RESCUE), 0);
	ck_assert_int_ge(log_lines[LOG_WARNING] - before, 2);
	must_be_intact(&b);
	must_escape(&b, zone_start(&b, 2) + b.group, b.group);
	bed_free(&b);
	bed_free(&old);
}
END_TEST

START_TEST(a_container_that_is_not_there_is_not_found)
{
	struct bed b;

	some_content(&b, 0, 3, 5);
	lose_headers(&b);
	b.how.id = 1234567;
	ck_assert_int_eq(open_with(&b, ENG_OPEN_RDONLY | ENG_OPEN_RESCUE),
			 -EMEDIUMTYPE);
	b.how.id = 0;
	clear(b.sim, 0, b.lay.size - SOFT_BLOCK);
	ck_assert_int_eq(open_with(&b, ENG_OPEN_RDONLY | ENG_OPEN_RESCUE),
			 -EMEDIUMTYPE);
	bed_free(&b);
}
END_TEST

/* What is left is read; what is gone is an error; nothing is written. */
START_TEST(a_container_that_is_cut_short_can_be_read)
{
	struct bed b;

	some_content(&b, 0, 4, 6);
	for (uint64_t size = b.lay.size - SOFT_BLOCK; size > 3 * SOFT_BLOCK;
	     size -= size > 70000 ? 61440 : SOFT_BLOCK) {
		uint64_t n;

		sim_resize(b.sim, size);
		ck_assert_int_ne(open_with(&b, 0), 0);
		ck_assert_int_ne(open_with(&b, ENG_OPEN_RESCUE), 0);
		if (open_with(&b, ENG_OPEN_RDONLY | ENG_OPEN_RESCUE)) {
			ck_assert_uint_lt(size, 5 * SOFT_BLOCK);
			break;
		}
		n = eng_dev_geometry(b.dev)->intervals;
		ck_assert_uint_le(n, b.lay.intervals);
		b.lay.intervals = n;
		snprintf(b.where, sizeof(b.where), "%llu bytes",
			 (unsigned long long)size);
		must_be_intact(&b);
		bed_close(&b);
	}
	bed_free(&b);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rescue");
	TCase *tc = tcase_create("containers");

	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, a_container_without_headers_is_found, 0,
			    NPROFILES);
	tcase_add_test(tc, each_profile_is_told_from_all_others);
	tcase_add_test(tc, what_is_found_is_whole_again);
	tcase_add_test(tc, of_two_containers_the_younger_counts);
	tcase_add_test(tc, a_container_that_is_not_there_is_not_found);
	tcase_add_test(tc, a_container_that_is_cut_short_can_be_read);
	suite_add_tcase(suite, tc);
	return soft_run(suite);
}
