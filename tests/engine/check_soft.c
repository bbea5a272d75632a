/* SPDX-License-Identifier: GPL-2.0-or-later */
/* check_soft.c - what the software container promises: what was written is
 * read, and a header that lies is refused. */
#include "engine/soft_bed.h"

/* ---- round trips ------------------------------------------------------ */

static uint32_t some_count(struct bed *b, uint64_t start)
{
	uint64_t left = b->lay.intervals - start;
	uint32_t most = eng_dev_geometry(b->dev)->max_io;

	if (sim_rand(&b->rand) % 4)
		most = 3 * b->group;
	if (most > left)
		most = (uint32_t)left;
	return 1 + sim_rand(&b->rand) % most;
}

/* What is written is read, at any offset and in any pieces, also after the
 * container was closed and opened. */
START_TEST(reads_return_what_was_written)	/* _i: profile, mode */
{
	struct bed b;
	uint64_t start;
	uint32_t count, steps = thinned(120, 60);

	bed_format(&b, _i % NPROFILES, bed_size(_i % NPROFILES, 5),
		   (uint64_t)_i);
	b.mode = _i / NPROFILES;
	bed_open(&b);
	for (uint32_t step = 1; step < steps; step++) {
		snprintf(b.where, sizeof(b.where), "%s, %s, step %u",
			 b.lay.profile->name, mode_names[b.mode], step);
		start = sim_rand(&b.rand) % b.lay.intervals;
		must_write(&b, start, some_count(&b, start), step);
		start = sim_rand(&b.rand) % b.lay.intervals;
		count = some_count(&b, start);
		while (count && b.ver[start])
			start++, count--;	/* may go to the end */
		for (start -= !!start; start && b.ver[start - 1]; start--)
			;
		for (count = 0; start + count < b.lay.intervals &&
		     b.ver[start + count] &&
		     count < eng_dev_geometry(b.dev)->max_io; count++)
			;
		if (count)
			must_read(&b, start, count);
		if (step % 16 == 0)
			must_flush(&b);
		if (step % 16 == 0 && step % 48)
			bed_reopen(&b);
	}
	bed_free(&b);
}
END_TEST

/* Reads of part of what was written, of one interval, of the last one. */
START_TEST(reads_of_any_part)	/* _i: profile */
{
	struct bed b;
	uint64_t start;
	uint32_t all;

	bed_format(&b, _i, bed_size(_i, 2), 1);
	bed_open(&b);
	all = (uint32_t)b.lay.intervals;
	for (uint32_t i = 0; i < all; i += b.group)
		must_write(&b, i, b.group, i + 1);
	for (unsigned int i = 0; i < 200; i++) {
		start = sim_rand(&b.rand) % all;
		must_read(&b, start, some_count(&b, start));
		if (i % 50 == 20)
			eng_dev_drop_caches(b.dev);
	}
	must_read(&b, all - 1, 1);
	must_flush(&b);
	bed_reopen(&b);
	must_read(&b, all - b.group, b.group);
	for (unsigned int i = 0; i < 50; i++) {
		start = sim_rand(&b.rand) % all;
		must_read(&b, start, some_count(&b, start));
	}
	bed_free(&b);
}
END_TEST

/* A payload of as many segments as there can be, across zones. */
START_TEST(thousand_segments)
{
	enum { SEGS = 1024 };
	struct bed b;
	uint8_t *buf = malloc(SEGS * 512);
	struct eng_io *io;

	bed_format(&b, 0, bed_size(0, 6), 1);
	bed_open(&b);
	for (int op = ENG_WRITE; op >= ENG_READ; op--) {
		eng_dev_drop_caches(b.dev);
		io = eng_io_get(b.dev, SEGS, SEGS);
		ck_assert_ptr_nonnull(io);
		io->op = op;
		io->start = 5;
		for (int i = 0; i < SEGS; i++) {
			ck_assert_int_eq(eng_io_add(io, buf + i * 512, 512),
					 0);
			make_data(buf + i * 512, op ? 512 : 0, 5 + i, 1);
			io->tags[i] = make_tag(5 + i, 1);
			b.ver[5 + i] = 1;
		}
		ck_assert_int_eq(run(&b, io), 0);
		eng_io_put(io);
		must_flush(&b);
	}
	must_read(&b, 5, SEGS);
	free(buf);
	bed_free(&b);
}
END_TEST

/* What was never written is an escape, and so is what was discarded. */
START_TEST(unwritten_is_escape)	/* _i: profile */
{
	struct bed b;
	uint32_t g;

	bed_format(&b, _i, bed_size(_i, 2), 1);
	bed_open(&b);
	g = b.group;
	must_escape(&b, 0, 8);
	must_escape(&b, b.lay.intervals - 1, 1);
	must_write(&b, 0, 4 * g, 1);
	must_write(&b, zone_start(&b, 1) - g, 2 * g, 1);
	must_flush(&b);
	ck_assert_int_eq(eng_dev_discard(b.dev, g, 2 * g), 0);
	ck_assert_int_eq(eng_dev_discard(b.dev, zone_start(&b, 1) - g, 2 * g),
			 0);
	for (int i = 0; i < 2; i++) {
		must_escape(&b, g, 8);
		must_escape(&b, zone_start(&b, 1) - 4, 8);
		must_read(&b, 0, g);
		must_read(&b, 3 * g, g);
		must_flush(&b);
		bed_reopen(&b);
	}
	bed_free(&b);
}
END_TEST

START_TEST(discard_may_be_impossible)
{
	struct bed b;

	bed_format(&b, 0, bed_size(0, 1), 1);
	bed_open(&b);
	must_write(&b, 0, 8, 1);
	sim_fault(b.sim, SIM_DISCARD_FAIL, 0, -1ull, -EOPNOTSUPP, 0, 0);
	ck_assert_int_eq(eng_dev_discard(b.dev, 0, 8), -EOPNOTSUPP);
	must_read(&b, 0, 8);
	bed_free(&b);
}
END_TEST

/* A read across zones costs one raw read, pages that it misses included;
 * a page that is there costs nothing. */
START_TEST(reads_are_few)
{
	struct sim_counts before, after;
	struct bed b;
	uint32_t n = 1500;

	bed_format(&b, 0, bed_size(0, 6), 1);
	bed_open(&b);
	must_write(&b, 0, n, 1);
	must_flush(&b);
	bed_reopen(&b);
	for (int i = 0; i < 2; i++) {
		sim_counts(b.sim, &before);
		must_read(&b, 0, n);
		sim_counts(b.sim, &after);
		ck_assert_uint_eq(after.reads - before.reads, 1);
	}
	bed_reopen(&b);
	sim_counts(b.sim, &before);
	must_read(&b, 10, 1);
	sim_counts(b.sim, &after);
	ck_assert_uint_eq(after.reads - before.reads, 2);
	bed_free(&b);
}
END_TEST

/* ---- layout ----------------------------------------------------------- */

/* Any size: the last interval is usable, nothing overlaps. */
START_TEST(every_size_works)	/* _i: profile */
{
	const struct eng_profile *p = eng_profile_find(profiles[_i]);
	struct eng_soft_geometry geo;
	struct soft_layout l;
	struct bed b;
	uint64_t base, run_bytes = eng_profile_run(p, 16);

	ck_assert_int_eq(soft_layout(&l, p, 1ull << 30), 0);
	for (int64_t d = -20; d <= 20; d++) {
		base = 2 * SOFT_BLOCK + 2 * l.zone_bytes + SOFT_PAGES +
		       run_bytes + (uint64_t)(d * 1024);
		bed_format(&b, _i, base, 1);
		ck_assert_int_eq(eng_soft_geometry(p, base, &geo), 0);
		ck_assert_uint_eq(geo.intervals, b.lay.intervals);
		ck_assert_uint_eq(geo.intervals * p->interval + geo.overhead,
				  base);
		ck_assert_uint_ge(b.lay.size, SOFT_BLOCK +
				  soft_data_off(&b.lay, b.lay.zones - 1,
				  soft_zone_count(&b.lay, b.lay.zones - 1)));
		bed_open(&b);
		must_write(&b, b.lay.intervals - b.group, b.group, 7);
		must_flush(&b);
		bed_reopen(&b);
		must_read(&b, b.lay.intervals - b.group, b.group);
		bed_free(&b);
	}
	ck_assert_int_eq(eng_soft_geometry(p, 2 * SOFT_BLOCK + SOFT_PAGES +
					   run_bytes - 1, &geo), -ENOSPC);
	ck_assert_int_eq(eng_soft_geometry(p, 0, &geo), -ENOSPC);
	ck_assert_int_eq(eng_soft_geometry(p, 2 * SOFT_BLOCK + SOFT_PAGES +
					   run_bytes, &geo), 0);
	ck_assert_uint_eq(geo.intervals * p->interval, run_bytes);
}
END_TEST

/* Size costs nothing: not to format, not to open, not to write at the end. */
START_TEST(huge_is_sparse)	/* _i: profile */
{
	static const uint64_t sizes[] = {
		16ull << 40, (16ull << 40) + 12345, 1ull << 60, (1ull << 63) - 1
	};
	struct sim_counts counts;
	struct bed b;
	uint64_t last;
	uint32_t ver[8] = { 9, 9, 9, 9, 9, 9, 9, 9 };

	for (unsigned int i = 0; i < 4; i++) {
		bed_format(&b, _i, sizes[i], i);
		free(b.ver);
		b.ver = NULL;
		bed_open(&b);
		last = b.lay.intervals - 8;
		ck_assert_int_eq(try_write(&b, last, 8, 9, &b.rand), 0);
		ck_assert_int_eq(eng_dev_flush(b.dev), 0);
		bed_reopen(&b);
		ck_assert_int_eq(try_read(&b, last, 8, ver, 0, NULL, &b.rand),
				 0);
		sim_counts(b.sim, &counts);
		ck_assert_uint_lt(counts.blocks, 20);
		bed_free(&b);
	}
}
END_TEST

/* ---- headers ---------------------------------------------------------- */

static int open_err(struct bed *b)
{
	int err = eng_soft_open(&b->dev, sim_raw(b->sim), &b->how);

	if (err)
		ck_assert_ptr_null(b->dev);
	return err;
}

/* Damage to either header is survived and healed, to both is an error. */
START_TEST(headers_stand_in)	/* _i: 0: the first, 1: the last, 2: both */
{
	struct bed base, b;

	bed_rot_base(&base, 0);
	for (uint32_t at = 0; at < SOFT_BLOCK; at += at < 100 ? 1 : 97) {
		bed_clone(&b, &base);
		snprintf(b.where, sizeof(b.where), "copy %d, byte %u", _i, at);
		if (_i != 1)
			sim_flip(b.sim, at, 0x10);
		if (_i != 0)
			sim_flip(b.sim, b.lay.size - SOFT_BLOCK + at, 0x10);
		if (_i == 2) {
			ck_assert_int_eq(open_err(&b), at < 8 ? -EMEDIUMTYPE :
					 -EUCLEAN);
			bed_free(&b);
			continue;
		}
		log_lines[LOG_WARNING] = 0;
		bed_open(&b);
		ck_assert_int_ge(log_lines[LOG_WARNING], 1);
		must_be_intact(&b);
		must_flush(&b);
		bed_close(&b);
		log_lines[LOG_WARNING] = 0;
		bed_open(&b);
		ck_assert_int_eq(log_lines[LOG_WARNING], 0);
		bed_free(&b);
	}
	bed_free(&base);
}
END_TEST

static void head_forge(struct bed *b, size_t at, const void *bytes,
		       size_t len)
{
	struct soft_disk_head d;

	for (unsigned int i = 0; i < 2; i++) {
		uint64_t off = i ? b->lay.size - SOFT_BLOCK : 0;

		sim_peek(b->sim, off, &d, sizeof(d));
		memcpy((char *)&d + at, bytes, len);
		d.crc = put_le32(soft_crc(&d, offsetof(struct soft_disk_head,
						       crc)));
		sim_poke(b->sim, off, &d, sizeof(d));
	}
}

static int forged(struct bed *base, size_t at, const void *bytes, size_t len)
{
	struct bed b;
	int err;

	bed_clone(&b, base);
	head_forge(&b, at, bytes, len);
	err = open_err(&b);
	bed_free(&b);
	return err;
}

/* A header that lies is refused, whatever it says. */
START_TEST(hostile_headers_are_refused)
{
	static const uint64_t odd[] = {
		0, 1, 7, 8, 63, 64, 65, 504, 511, 512, 513, 4095, 4096, 8192,
		65535, 1ull << 31, (1ull << 32) - 1, 1ull << 32, 1ull << 62,
		(1ull << 63) - 1, 1ull << 63, -1ull - 4095, -1ull,
	};
	struct bed base;
	uint8_t was[16], word[8];
	int err;

	bed_rot_base(&base, 0);
	for (size_t at = 0x28; at < 0x58; at++)
		for (size_t i = 0; i < sizeof(odd) / sizeof(*odd); i++)
			for (size_t len = 1; len <= 8; len *= 2) {
				sim_peek(base.sim, at & ~7ull, was, 16);
				memcpy(word, &odd[i], 8);
				err = forged(&base, at, word, len);
				if (at + len <= 0x30 || at < 0x30 ||
				    !memcmp(was + at % 8, word, len))
					continue;	/* id, or no change */
				/* Some profiles differ in one field. */
				ck_assert_msg(err == -EUCLEAN ||
					(!err && at >= 0x34 && at < 0x3b),
					"%zx %zu %llx: %d", at, len,
					(unsigned long long)odd[i], err);
			}
	ck_assert_int_eq(forged(&base, 0x3b, "\1", 1), -EUCLEAN);
	ck_assert_int_eq(forged(&base, 0x58, "\1", 1), -EUCLEAN);
	ck_assert_int_eq(forged(&base, 0xffb, "\1", 1), -EUCLEAN);
	bed_free(&base);
}
END_TEST

START_TEST(newer_versions_are_refused)
{
	struct bed base, b;

	bed_rot_base(&base, 0);
	ck_assert_int_eq(forged(&base, 0x08, "\2", 1), -EOPNOTSUPP);
	ck_assert_ptr_nonnull(strstr(log_last, "newer version"));
	ck_assert_int_eq(forged(&base, 0x20, "\1", 1), -EOPNOTSUPP);
	ck_assert_int_eq(forged(&base, 0x18, "\1", 1), -EOPNOTSUPP);
	ck_assert_int_eq(forged(&base, 0x10, "\1", 1), 0);
	bed_clone(&b, &base);
	head_forge(&b, 0x18, "\1", 1);
	sim_set_rdonly(b.sim, true);
	bed_open(&b);
	must_be_intact(&b);
	bed_free(&b);
	bed_free(&base);
}
END_TEST

START_TEST(size_of_file_may_change)
{
	struct bed base, b;

	bed_rot_base(&base, 0);
	bed_clone(&b, &base);
	sim_resize(b.sim, b.lay.size + 123456);
	bed_open(&b);
	must_be_intact(&b);
	bed_free(&b);

	bed_clone(&b, &base);
	sim_resize(b.sim, b.lay.size - SOFT_BLOCK);
	ck_assert_int_eq(open_err(&b), -EUCLEAN);
	ck_assert_ptr_nonnull(strstr(log_last, "truncated"));
	bed_free(&b);
	bed_free(&base);
}
END_TEST

START_TEST(foreign_files_are_told)
{
	uint8_t junk[SOFT_BLOCK];
	struct bed b;

	for (unsigned int i = 0; i < 40; i++) {
		bed_format(&b, 0, 1 << 20, 1);
		make_data(junk, sizeof(junk), i, 1);
		sim_poke(b.sim, 0, junk, sizeof(junk));
		sim_poke(b.sim, (1 << 20) - SOFT_BLOCK, junk, sizeof(junk));
		ck_assert_int_eq(open_err(&b), -EMEDIUMTYPE);
		sim_resize(b.sim, i * 512);
		ck_assert_int_eq(open_err(&b), -EMEDIUMTYPE);
		bed_free(&b);
	}
}
END_TEST

/* Format makes everything unwritten, without touching it. */
START_TEST(old_container_is_blank)	/* _i: profile before */
{
	struct bed b;

	bed_format(&b, _i, bed_size(_i, 3), 1);
	bed_open(&b);
	ck_assert_int_eq(some_work(&b, 100, 1), 0);
	must_flush(&b);
	bed_close(&b);
	for (int p = 0; p < NPROFILES; p++) {
		const struct eng_profile *to = eng_profile_find(profiles[p]);

		ck_assert_int_eq(eng_soft_format_raw(sim_raw(b.sim), to,
						     100 + p), 0);
		b.lay.profile = to;
		free(b.ver);
		free(b.fate);
		bed_model(&b, sim_raw(b.sim)->size);
		bed_open(&b);
		for (uint64_t i = 0; i < b.lay.intervals - 8; i += 5)
			must_escape(&b, i, 1);
		ck_assert_uint_eq(stat_of(&b, "repairs"), 0);
		ck_assert_int_eq(some_work(&b, 100, 1), 0);
		must_flush(&b);
		bed_reopen(&b);
		must_be_intact(&b);
		bed_close(&b);
	}
	bed_free(&b);
}
END_TEST

/* ---- errors ----------------------------------------------------------- */

/* After a failed flush nothing is vouched for any more. */
START_TEST(flush_errors_are_final)	/* _i: what fails */
{
	struct bed b;

	bed_generations(&b, 0);
	must_write(&b, 8, 8, 9);
	if (_i)
		sim_fault(b.sim, SIM_FLUSH_FAIL, 0, 0, -ENOSPC, 0, 1);
	else
		sim_fault(b.sim, SIM_WRITE_FAIL, SOFT_BLOCK, SOFT_PAGES,
			  -ENOSPC, 0, 1);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(try_flush(&b), -ENOSPC);
	ck_assert_int_eq(try_write(&b, 24, 8, 9, &b.rand), -ENOSPC);
	forget_new(&b);
	must_be_intact(&b);
	bed_close(&b);
	sim_settle(b.sim, false);
	bed_open(&b);
	must_be_intact(&b);
	must_write(&b, 8, 8, 9);
	must_flush(&b);
	bed_free(&b);
}
END_TEST

START_TEST(io_errors_are_passed_on)
{
	struct bed b;
	uint64_t data;

	bed_generations(&b, 0);
	data = soft_data_off(&b.lay, 0, 16);
	sim_fault(b.sim, SIM_READ_FAIL, data, 512, -EIO, 0, 0);
	ck_assert_int_eq(try_read(&b, 16, 8, b.ver + 16, 0, NULL, &b.rand),
			 -EIO);
	must_read(&b, 0, 8);
	/* A page that comes with data that fails is read by itself. */
	bed_reopen(&b);
	ck_assert_int_eq(try_read(&b, 0, 24, b.ver, 0, NULL, &b.rand), -EIO);
	must_read(&b, 0, 8);
	sim_clear_faults(b.sim);
	sim_fault(b.sim, SIM_WRITE_FAIL, data, 512, -ENOSPC, 0, 0);
	ck_assert_int_eq(try_write(&b, 16, 8, 5, &b.rand), -ENOSPC);
	must_flush(&b);
	ck_assert_int_eq(try_read(&b, 0, 1, b.ver, 0, NULL, &b.rand), 0);
	bed_free(&b);
}
END_TEST

START_TEST(out_of_range_is_refused)
{
	struct bed b;
	uint32_t ver[2] = { 1, 1 };

	bed_generations(&b, 0);
	ck_assert_int_eq(try_read(&b, b.lay.intervals - 1, 2, ver, 0, NULL,
				  &b.rand), -EINVAL);
	ck_assert_int_eq(eng_dev_discard(b.dev, b.lay.intervals, 1), -EINVAL);
	ck_assert_int_eq(eng_dev_discard(b.dev, 1, -1ull), -EINVAL);
	bed_free(&b);
}
END_TEST

static TCase *io_case(void)
{
	TCase *tc = tcase_create("io");

	tcase_set_timeout(tc, 300);
	tcase_add_loop_test(tc, reads_return_what_was_written, 0,
			    3 * NPROFILES);
	tcase_add_loop_test(tc, reads_of_any_part, 0, NPROFILES);
	tcase_add_test(tc, thousand_segments);
	tcase_add_loop_test(tc, unwritten_is_escape, 0, NPROFILES);
	tcase_add_test(tc, discard_may_be_impossible);
	tcase_add_test(tc, reads_are_few);
	tcase_add_loop_test(tc, every_size_works, 0, NPROFILES);
	tcase_add_loop_test(tc, huge_is_sparse, 0, NPROFILES);
	tcase_add_loop_test(tc, flush_errors_are_final, 0, 2);
	tcase_add_test(tc, io_errors_are_passed_on);
	tcase_add_test(tc, out_of_range_is_refused);
	return tc;
}

static TCase *header_case(void)
{
	TCase *tc = tcase_create("headers");

	tcase_set_timeout(tc, 300);
	tcase_add_loop_test(tc, headers_stand_in, 0, 3);
	tcase_add_test(tc, hostile_headers_are_refused);
	tcase_add_test(tc, newer_versions_are_refused);
	tcase_add_test(tc, size_of_file_may_change);
	tcase_add_test(tc, foreign_files_are_told);
	tcase_add_loop_test(tc, old_container_is_blank, 0, NPROFILES);
	return tc;
}

int main(void)
{
	Suite *suite = suite_create("soft");

	suite_add_tcase(suite, io_case());
	suite_add_tcase(suite, header_case());
	return soft_run(suite);
}
